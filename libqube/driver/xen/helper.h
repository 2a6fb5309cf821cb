/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A running qube-xl and what it was ordered. When it dies, or does not answer in time and is
 * killed, all its orders have failed and the next order starts another one: the domains are not
 * its. */
#ifndef QUBE_DRIVER_XEN_HELPER_H
#define QUBE_DRIVER_XEN_HELPER_H

#include "base/list.h"
#include "base/spawn.h"
#include "driver/xen/proto.h"
#include "event/loop.h"

struct qube__xen_helper;

struct qube__xen_order {
	struct qube__list link;
	uint32_t id;
	uint32_t type;
	uint64_t late_ms; /* when nobody believes in an answer any more */
	uint8_t uuid[QUBE__XL_UUID];
};

struct qube__xen_helper {
	struct qube__loop *loop;
	const char *path; /* of qube-xl; borrowed */
	void *user;
	/* What it says beside DONE. */
	void (*told)(struct qube__xen_helper *h, const struct qube__xl_msg *m);
	/* Once for each order: code < 0 and text say why not. m is NULL when it died. */
	void (*done)(struct qube__xen_helper *h, const struct qube__xen_order *o, int code,
		     const struct qube__xl_msg *m);
	/* It died, after done() of all its orders. */
	void (*lost)(struct qube__xen_helper *h);
	struct qube__child child;
	struct qube__source sock;
	struct qube__timer late;
	struct qube__list orders; /* oldest first */
	struct qube__list outbox;
	uint32_t n_outbox;
	uint32_t next_id;
	uint64_t started_ms;
	uint32_t soon; /* deaths in a row, each right after the start */
	bool running;
	bool greeted;
};

void qube__xen_helper_init(struct qube__xen_helper *h);
/* Starts it and waits for its greeting, at most wait_ms: for open(). QUBE_E_NOTSUP with the reason
 * where there is no Xen to talk to. */
int qube__xen_helper_open(struct qube__xen_helper *h, int wait_ms);
/* An order; m's id is set. Starts a helper if there is none. */
int qube__xen_helper_order(struct qube__xen_helper *h, struct qube__xl_msg *m);
/* Reads what it says, at most wait_ms: where there is no loop to wait in. False: nothing came. */
bool qube__xen_helper_turn(struct qube__xen_helper *h, int wait_ms);
/* Its end, without done() for anything. */
void qube__xen_helper_close(struct qube__xen_helper *h);

#endif
