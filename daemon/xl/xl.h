/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-xl: the helper that holds libxenlight, its threads and its children, for the xen driver. One
 * loop; whatever may take long is asynchronous and has a deadline. */
#ifndef QUBE_XL_H
#define QUBE_XL_H

#include "driver/xen/proto.h"
#include "event/loop.h"

/* The newest that Xen 4.17 has. */
#define LIBXL_API_VERSION 0x041400
#include <libxl.h>
#include <libxl_utils.h>
#include <xentoollog.h>

struct xl {
	struct qube__loop loop;
	struct qube__source sock;
	libxl_ctx *ctx;
	xentoollog_logger *log;
	struct qube__list orders;  /* under way */
	struct qube__list watched; /* domains whose end is told */
	uint32_t undoing;	   /* domains that came too late and are being destroyed */
	bool gone;		   /* the driver is */
};

/* hooks.c: libxenlight's descriptors and timers are the loop's. Before anything else is done
 * with ctx. */
void xl_hook(struct xl *x);

/* orders.c */
int xl_orders_init(struct xl *x);
void xl_order(struct xl *x, const struct qube__xl_msg *m);
/* The driver is gone: what is being created is taken away again, within bounds. */
void xl_orders_end(struct xl *x);

/* main.c: a driver that does not read is gone. */
void xl_send(struct xl *x, const struct qube__xl_msg *m);

/* say.c: a logger that keeps the last complaint, and writes all to standard error. */
xentoollog_logger *xl_say_open(void);
void xl_say_forget(xentoollog_logger *log);
const char *xl_say_last(xentoollog_logger *log);

#endif
