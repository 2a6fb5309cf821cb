/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The file VOL.vol of a persistent layered volume: its states, each an ordered list of layers.
 *
 *   qube-volume 1                      (2 with merged layers)
 *   pending ID                         (a commit was begun: layers/ID may have become its result)
 *   merged ID TOP                      (layer ID shows what the list with TOP on top shows)
 *   revision NUMBER TIME ID ID ...     (the current state first, layers newest first)
 *
 * A layer is made on one list of layers and never moved: the name of the topmost says what the
 * whole list shows. Pure code: codes only. */
#ifndef QUBE_STORAGE_VOLUME_FILE_H
#define QUBE_STORAGE_VOLUME_FILE_H

#include "storage/pool.h"

enum {
	QUBE__VOLUME_FILE_MAX = 64 * 1024,
	QUBE__VOLUME_FORMAT = 2, /* the newest that is understood; 1 is the first */
};

struct qube__volume_state {
	uint64_t number;
	int64_t time;
	uint32_t n_layers;
	char layers[QUBE__LAYERS_MAX][QUBE__LAYER_ID_MAX];
};

struct qube__volume_merged {
	char id[QUBE__LAYER_ID_MAX];
	char top[QUBE__LAYER_ID_MAX];
};

struct qube__volume_file {
	char pending[QUBE__LAYER_ID_MAX]; /* empty: none */
	uint32_t n_merged;
	struct qube__volume_merged merged[QUBE__REVISIONS_MAX];
	uint32_t n_states;
	struct qube__volume_state states[QUBE__REVISIONS_MAX];
};

/* 0; QUBE_E_NOTSUP for a format newer than this; QUBE_E_PROTO for anything else that is wrong. out
 * is untouched on failure but large: it is filled in place once the text was found good. */
int qube__volume_file_parse(struct qube__volume_file *out, const char *untrusted, size_t len);
/* Bytes written, or QUBE_E_LIMIT. */
int qube__volume_file_encode(char *buf, size_t cap, const struct qube__volume_file *f);
/* A new current state; those beyond keep old ones go. QUBE_E_LIMIT: it has too many layers. */
int qube__volume_file_push(struct qube__volume_file *f, const struct qube__volume_state *state,
			   int32_t keep);
/* Layer id takes the place of list in every state that ends with it. How many those are; 0 or
 * QUBE_E_LIMIT: nothing changed. */
int qube__volume_file_merge(struct qube__volume_file *f, const struct qube__volume_state *list,
			    const char *id);
/* The name of what a list shows, whatever was merged; "" of an empty one. */
const char *qube__volume_file_top(const struct qube__volume_file *f,
				  const struct qube__volume_state *s);
/* True when both lists show the same, as far as f knows. */
bool qube__volume_file_same(const struct qube__volume_file *f, const struct qube__volume_state *a,
			    const struct qube__volume_state *b);
bool qube__layer_id_ok(const char *id);

#endif
