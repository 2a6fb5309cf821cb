/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-box: makes a local qube's namespaces and mounts, then stays as its PID 1.
 *
 * Two processes share the work. The *launcher* is host root in a private copy of the host's mounts:
 * it opens host paths, shifts ids and mounts the overlay. The *box* is PID 1 in all the new
 * namespaces, without any power over the host: it alone touches names inside the guest's tree, so a
 * hostile template can deceive nobody but its own qube. Trees cross from one to the other as
 * descriptors of detached mounts. Every function returns 0 or -1 after box_fail(). */
#ifndef QUBE_BOX_BOX_H
#define QUBE_BOX_BOX_H

#include "driver/local/proto.h"
#include "root/root.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { BOX_DEVICES = 6 };

/* Told to a later host, which may be newer. */
#ifndef BOX_RELEASE
#define BOX_RELEASE "0.1.0"
#endif

/* What the launcher hands to the box; -1 where there is none. */
struct box_trees {
	int root;
	int rw;
	int tmp;
	int guest;
};

/* What the box makes for itself while the launcher prepares the trees: mounts at their places of
 * the scratch directory, to be moved from there; sys is a mount that is nowhere yet. */
struct box_own {
	int dev;
	int proc;
	int sys;
	int run;
};

/* Opened by the launcher before the box is born. */
struct box_devices {
	int tree[BOX_DEVICES];
};

/* say.c: each sends to the driver; fail uses errno, refuse has none. Both return -1. */
int box_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int box_refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void box_log(int priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int box_send(const struct qube__box_reply *r, int fd);
int box_reply(uint32_t type, int32_t status, int fd);

/* layers.c: the launcher's mounts; cwd is the scratch directory. */
int box_root_tree(const struct qube__box_spec *spec, int userns);
int box_volume_tree(const struct qube__box_spec *spec, const struct qube__box_volume *v,
		    int userns);
int box_guest_tree(const struct qube__box_spec *spec);
int box_devices_open(struct box_devices *d);

/* net.c: a descriptor of the network namespace; the box enters it. */
int box_make_network(int userns);
int box_join_network(int net);

/* root.c, dev.c: inside the namespaces; cwd is the scratch directory until the root is entered.
 * Of a place's name there the descriptor of what was mounted. */
int box_make_own(struct box_own *own, const struct qube__box_spec *spec,
		 const struct box_devices *d);
int box_enter_root(const struct qube__box_spec *spec, const struct box_trees *t,
		   const struct box_own *own);
int box_make_dev(const char *place, const struct box_devices *d);
int box_make_proc(const char *place, int dev, bool userns);

/* jail.c */
int box_limit(const struct qube__box_spec *spec); /* before the namespaces are made */
int box_jail(const struct qube__box_spec *spec);

/* init.c: never returns */
void box_init(const struct qube__box_spec *spec) __attribute__((noreturn));

#endif
