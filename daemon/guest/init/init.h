/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-init: the first process of a guest of Xen, in the file system that came with its kernel. It
 * mounts the guest's disks, enters the root, and then either makes place for the root's own init or
 * stays: keeps the agent and its helpers alive, reaps, and ends the guest. Files of the root are
 * the guest's: none is parsed but those of root/home.c, and no link of the root is followed before
 * the root is entered. Functions return 0, or a descriptor, or -1 after root_fail(). */
#ifndef QUBE_GUEST_INIT_H
#define QUBE_GUEST_INIT_H

#include "root/root.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INIT_BIN     "/run/qube/guest"
#define INIT_CONTROL "/run/qube/control/control.sock"

/* What the agent is told beside its socket and its user, where there is such a program. */
#define INIT_VCHAN	  INIT_BIN "/qube-vchan"
#define INIT_VCHAN_OPTION "--vchan"

enum { INIT_CMDLINE_MAX = 4096 };

/* cmdline.c: of the kernel's command line. */
struct init_cmdline {
	char name[64];	     /* qube.name; "" if none */
	char user[33];	     /* qube.user */
	char services[1024]; /* qube.services, with spaces between them */
	bool system;	     /* qube.init=system */
};

/* Pure. 0, or QUBE_E_PROTO for a value that is none; words of others are not looked at. */
int init_cmdline_parse(struct init_cmdline *out, const char *text, size_t len);
/* Reads /proc/cmdline. */
int init_cmdline_read(struct init_cmdline *out);

/* say.c: lines on the console, without ever waiting for it. */
void init_console_open(void);
int init_console_fd(void);
/* Says so, and ends the guest. */
void init_give_up(void) __attribute__((noreturn));

/* files.c */
int init_remove_tree(int dir, const char *name);
/* What is in the directory at the root of the first file system becomes INIT_BIN. */
int init_copy_programs(int run);

/* mounts.c: what is the guest's own and not of a disk; made in the first file system, then moved.
 */
struct init_mounts {
	int dev;
	int proc;
	int sys;
	int run;
	int tmp;
};

int init_make_mounts(struct init_mounts *m);
void init_mount_xenfs(const struct init_mounts *m);
int init_move_mounts(const struct init_mounts *m, int root);
/* Makes the tree, which is mounted at /newroot, the root of this process and of the kernel. */
int init_enter(void);

/* modules.c */
void init_load_modules(void);

/* disks.c */
enum { INIT_XVDA, INIT_XVDB, INIT_XVDC, INIT_XVDD, INIT_DISKS };

struct init_disk {
	char path[16];
	bool is_there;
	bool read_only;
	uint64_t bytes;
	unsigned int major;
	unsigned int minor;
};

/* Which of the four disks a device of the xenbus is ("vbd-51712" is the first), or -1. Pure. */
int init_disk_of(const char *xenbus);
int init_find_disks(struct init_disk disks[INIT_DISKS]);
int init_disk_look(struct init_disk *d, const char *path);
bool init_has_ext4(const char *path);
/* The disk or the partition of it that has an ext4. */
int init_find_root(struct init_disk *out, const struct init_disk *disk);
/* /dev/mapper/dmroot: origin as it is, what is written goes to cow. Its path. */
int init_snapshot(char path[32], const struct init_disk *origin, const struct init_disk *cow);

/* serve.c */
struct init_halt {
	int root; /* mounts to make read-only at the end, or -1 */
	int rw;
};

/* Those that init_serve() waits for. */
int init_block_signals(void);
int init_listen(void);
/* As process 1 it ends with the guest; else it returns the exit status. */
int init_serve(const struct init_cmdline *c, const struct init_halt *h, int control);
void init_power_off(const struct init_halt *h) __attribute__((noreturn));

#endif
