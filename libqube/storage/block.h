/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The drivers `reflink` and `file` from inside: volumes are raw images.
 *
 *   volumes/OWNER/root.img          the committed state: replaced by a rename, never written to
 *   volumes/OWNER/root.N@TIME.img   an old one, as it was
 *   volumes/OWNER/private.img       in place: written to by who runs
 *   run/OWNER/root/fresh.img        a copy of the committed state, for the next start
 *   run/OWNER/root/work.img         what a started volume writes to
 *   run/OWNER/root/root.img         of a snapshot: one more name of the state that it reads
 *
 * Who runs on a committed state has a name of his own for it, so a commit, a revert and a removal
 * take nothing from him, and nobody has to count. The two drivers differ in how a copy is made: by
 * a call that shares all data, or by the worker. */
#ifndef QUBE_STORAGE_BLOCK_H
#define QUBE_STORAGE_BLOCK_H

#include "storage/inside.h"

#include <sys/stat.h>

#define QUBE__BLOCK_WORK  "work.img"
#define QUBE__BLOCK_FRESH "fresh.img"

enum { QUBE__BLOCK_FILE_MAX = 96 };

/* block_name.c */
void qube__block_file(char out[QUBE__BLOCK_FILE_MAX], const char *name);
void qube__block_state_file(char out[QUBE__BLOCK_FILE_MAX], const char *name, uint64_t number,
			    int64_t time);
/* False: file is no old state of the volume, as we would have called it. */
bool qube__block_parse_state(uint64_t *number, int64_t *time, const char *file, const char *name);

/* block.c */
/* Reads the committed image of owner. QUBE_E_NOENT: it has none. */
int qube__block_open(struct qube__pool *p, const char *owner, const char *name, struct stat *st);
/* from in directory dir becomes the committed state, flushed as it is; the one before is kept as
 * keep says. */
int qube__block_place(struct qube__pool *p, int dir, const char *from, const char *owner,
		      const char *name, int32_t keep);
/* Writes of a session that crashed, which the next start continues. */
bool qube__block_dirty(struct qube__pool *p, const char *owner, const char *name);
/* Shares all data with src, has its time: dir/name. */
int qube__block_share(struct qube__pool *p, int src, const struct stat *st, int dir,
		      const char *name);
/* op's finish() finds a copy of src as tmp/TEMP. */
int qube__block_op_copy(struct qube__pool_op *op, int src, uint32_t flags);
bool qube__block_shares(const struct qube__pool *p);

/* block_run.c */
int qube__block_clean_up(struct qube__pool *p);
int qube__block_prepare(struct qube__pool_op **out_op, struct qube__pool *p,
			const struct qube__volume_spec *v, const struct qube__pool_cb *cb);
int qube__block_expect(struct qube__volume_run *out, struct qube__pool *p,
		       const struct qube__volume_spec *v);
int qube__block_start(struct qube__volume_run *out, struct qube__pool *p,
		      const struct qube__volume_spec *v);
int qube__block_attach(struct qube__pool *p, const struct qube__volume_spec *v,
		       const char *const *layers, uint32_t n_layers);
int qube__block_stop(struct qube__pool_op **out_op, struct qube__pool *p,
		     const struct qube__volume_spec *v, uint32_t how,
		     const struct qube__pool_cb *cb);

#endif
