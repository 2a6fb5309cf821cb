/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is done to a qube's root before it is entered, and to its private volume at the first use:
 * the same in a box of the local driver and in a guest of Xen. The trees' content is the guest's:
 * no function here follows a symbolic link in one. Each returns 0, or a descriptor, or -1 after
 * root_fail(). */
#ifndef QUBE_ROOT_ROOT_H
#define QUBE_ROOT_ROOT_H

#include <stdint.h>
#include <sys/types.h>

enum { ROOT_IDS = 65536, ROOT_SERVICE_MAX = 48 /* a service's name */ };

/* The program's own: to whom it talks differs. fail uses errno and returns -1. */
int root_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void root_log(int priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* mnt.c */
int root_open_dir(const char *host_path); /* O_PATH; last component is no symlink */
/* A detached copy of one mount's tree at dir (no submounts), ids shifted unless userns is -1. */
int root_clone_tree(int dir, int userns, uint64_t set, uint64_t clear, const char *what);
int root_tmpfs(uint64_t size_bytes, const char *mode, uint64_t attrs, const char *what);
int root_fs(const char *type, const char *const *options, uint64_t attrs);
int root_attach(int tree, int dir, const char *name, const char *what);
/* A directory below root whose components are neither symlinks nor mounts; made if not there. */
int root_dir(int root, const char *path, mode_t mode, const char *whose);
int root_set_attrs(int tree, uint64_t set, const char *what);

/* private.c. A tree at a path of the root, which is made if it is not there. */
int root_mount_at(int tree, int root, const char *path, mode_t mode);
/* rw at /rw, and what is kept in it at /home and /usr/local. */
int root_mount_private(int rw, int root);

/* run.c. The directories of /run, and features service.NAME as programs of Qubes OS look for them:
 * a file for each that is on. Names have spaces between them. */
int root_fill_run(int run, const char *services);

/* home.c: of the root that was entered. An empty name is nobody's. */
int root_make_home(const char *user);

#endif
