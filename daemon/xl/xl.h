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

struct xs_handle;

/* A domain whose end and memory the driver wants to know. */
struct watched {
	struct qube__list link;
	libxl_evgen_domain_death *death;
	uint32_t domid;
	uint8_t uuid[QUBE__XL_UUID];
	bool wrote; /* how much memory it uses, since we looked */
};

struct xl {
	struct qube__loop loop;
	struct qube__source sock;
	libxl_ctx *ctx;
	xentoollog_logger *log;
	struct qube__list orders;  /* under way */
	struct qube__list watched; /* domains whose end is told */
	struct xs_handle *xs;
	struct qube__source store;
	struct qube__timer look;
	struct qube__timer sweep;
	bool gone; /* the driver is */
};

/* hooks.c: libxenlight's descriptors and timers are the loop's. Before anything else is done
 * with ctx. */
void xl_hook(struct xl *x);

/* orders.c */
int xl_orders_init(struct xl *x);
void xl_order(struct xl *x, const struct qube__xl_msg *m);

/* NULL: it is not watched. */
struct watched *xl_watched(struct xl *x, uint32_t domid);

/* disks.c: fills in the config's disks; fds keep the devices until the domain has them, and are the
 * caller's also on failure: ERROR_*, and why. */
int xl_disks_open(libxl_domain_config *c, int fds[QUBE__XL_DISKS_MAX], const struct qube__xl_msg *m,
		  char *why, size_t cap);
void xl_disks_close(int fds[QUBE__XL_DISKS_MAX]);

/* store.c */
int xl_store_open(struct xl *x);
int xl_store_prepare(struct xl *x, uint32_t domid);
void xl_store_watch(struct xl *x, uint32_t domid, bool on);
void xl_store_gone(struct xl *x, uint32_t domid);
void xl_store_forget(struct xl *x, const uint8_t uuid[QUBE__XL_UUID]);

/* sweep.c: soon, and until there is nothing to wait for. Needs the store. */
void xl_sweep_init(struct xl *x);
void xl_sweep(struct xl *x);

/* main.c: a driver that does not read is gone. */
void xl_send(struct xl *x, const struct qube__xl_msg *m);

/* say.c: a logger that keeps the last complaint, and writes all to standard error. */
xentoollog_logger *xl_say_open(void);
void xl_say_forget(xentoollog_logger *log);
const char *xl_say_last(xentoollog_logger *log);

#endif
