/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The driver `tree` from inside. */
#ifndef QUBE_STORAGE_TREE_H
#define QUBE_STORAGE_TREE_H

#include "storage/inside.h"

/* layers.c */
/* QUBE_E_NOENT if the volume has no file. f is large: its memory is the caller's. */
int qube__tree_read_file(struct qube__pool *p, struct qube__volume_file *f, const char *owner,
			 const char *name);
int qube__tree_write_file(struct qube__pool *p, const struct qube__volume_file *f,
			  const char *owner, const char *name);
bool qube__tree_has_file(struct qube__pool *p, const char *owner, const char *name);
/* Layers that no volume lists and nothing runs on go to the trash. */
int qube__tree_collect(struct qube__pool *p);
/* Commits that a crash interrupted are completed or taken back. */
int qube__tree_recover(struct qube__pool *p);
/* Calls fn for each volume file of the pool, until it returns non-zero. */
int qube__tree_each_file(struct qube__pool *p,
			 int (*fn)(struct qube__pool *p, void *user, const char *owner,
				   const char *name),
			 void *user);
/* run/OWNER/VOL/upper becomes a layer of the volume. */
int qube__tree_commit(struct qube__pool *p, const char *owner, const char *name, int32_t keep);

/* merge.c: begins to merge the layers of a volume that has many. */
void qube__tree_merge(struct qube__pool *p, const char *owner, const char *name);
/* All volumes that have many. */
void qube__tree_merge_all(struct qube__pool *p);

/* op->merged is not read any more: what only it needed is collected. */
void qube__tree_let_layers_go(struct qube__pool_op *op);
/* op->merged is not read any more: what only it needed is collected. */
void qube__tree_let_layers_go(struct qube__pool_op *op);

/* images.c: what a template's layers show, as a disk that is read and never written to. The key of
 * an image is the name of what it shows, so a merge changes nothing. */
/* QUBE_E_NOTSUP for what this pool has no disk of. */
int qube__tree_check_block(const struct qube__volume_spec *v);
int qube__tree_prepare_image(struct qube__pool_op **out_op, struct qube__pool *p,
			     const struct qube__volume_spec *v, const struct qube__pool_cb *cb);
int qube__tree_start_image(struct qube__volume_run *run, struct qube__pool *p,
			   const struct qube__volume_spec *v);
/* The key of the image that a started volume has; "" for none. */
void qube__tree_image_of(char key[QUBE__LAYER_ID_MAX], struct qube__pool *p, const char *owner,
			 const char *name);

/* import.c: tmp/TEMP goes among the layers, flushed. */
int qube__tree_place_layer(struct qube__pool_op *op);
int qube__tree_import_host(struct qube__pool_op **out_op, struct qube__pool *p,
			   const struct qube__import *req, const struct qube__pool_cb *cb);

/* tree.c */
int qube__tree_remove(struct qube__pool *p, const char *owner);
int qube__tree_create(struct qube__pool *p, const struct qube__volume_spec *v);
int qube__tree_clone(struct qube__pool_op **out_op, struct qube__pool *p,
		     const struct qube__volume_spec *dst, const char *src_owner,
		     const struct qube__pool_cb *cb);
int qube__tree_info(struct qube__volume_info *out, struct qube__pool *p,
		    const struct qube__volume_spec *v);
int qube__tree_usage(struct qube__pool *p, const struct qube__volume_spec *v,
		     void (*usage)(void *user, uint64_t bytes), const struct qube__pool_cb *cb);
int qube__tree_revert(struct qube__pool *p, const struct qube__volume_spec *v, uint64_t revision);

/* stream.c */
int qube__tree_clear(struct qube__pool *p, const struct qube__volume_spec *v);
int qube__tree_export(struct qube__pool_op **out_op, struct qube__pool *p,
		      const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb);
int qube__tree_import(struct qube__pool_op **out_op, struct qube__pool *p,
		      const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb);

/* run.c */
int qube__tree_prepare(struct qube__pool_op **out_op, struct qube__pool *p,
		       const struct qube__volume_spec *v, const struct qube__pool_cb *cb);
int qube__tree_expect(struct qube__volume_run *out, struct qube__pool *p,
		      const struct qube__volume_spec *v);
int qube__tree_start(struct qube__volume_run *out, struct qube__pool *p,
		     const struct qube__volume_spec *v);
int qube__tree_attach(struct qube__pool *p, const struct qube__volume_spec *v,
		      const char *const *layers, uint32_t n_layers);
int qube__tree_stop(struct qube__pool_op **out_op, struct qube__pool *p,
		    const struct qube__volume_spec *v, uint32_t how,
		    const struct qube__pool_cb *cb);

#endif
