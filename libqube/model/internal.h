/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of this room share. */
#ifndef QUBE_MODEL_INTERNAL_H
#define QUBE_MODEL_INTERNAL_H

#include "model/model.h"
#include "wire/json.h"

/* --- model.c --- */
struct qube__vm *qube__vm_alloc(struct qube__model *m, const char *name, uint32_t vm_class);
void qube__vm_free(struct qube__vm *vm); /* not in the model's tables */
static inline void qube__vm_free_ptr(struct qube__vm **vm)
{
	qube__vm_free(*vm);
	*vm = NULL;
}
#define qube__autovm __attribute__((cleanup(qube__vm_free_ptr))) struct qube__vm
/* Cannot fail: the caller checked that name, uuid, qid and dispid are free. */
void qube__model_insert(struct qube__model *m, struct qube__vm *vm);
void qube__model_detach(struct qube__vm *vm);
static inline bool qube__bit(const uint64_t *set, uint32_t i)
{
	return set[i / 64] >> (i % 64) & 1;
}
int qube__model_damaged_add(struct qube__model *m, const char *name, const char *reason);

/* --- values --- */
/* dst = a copy of text (NULL: NULL); the old value goes to *old. Sets the record. */
int qube__text_swap(char **dst, char **old, const char *text);
/* Type and row's own check; canon (QUBE__PROP_CANON_MAX) gets the canonical text. */
int qube__prop_check(const struct qube__prop_of *of, const struct qube__prop *p, const char *value,
		     char *canon);
/* The part of it that needs no other qube: for files. No record. */
bool qube__prop_plausible(const struct qube__prop *p, const char *value);
void qube__prop_read_default(struct qube__prop_value *out, const struct qube__prop_of *of,
			     const struct qube__prop *p);
/* The template if its class can be one for vm's class, so that the chain ends. */
struct qube__vm *qube__vm_sound_template(const struct qube__vm *vm);
/* Would vm reach itself when its netvm is target? netvm_default: stands for default_netvm. */
bool qube__netvm_loops(const struct qube__vm *vm, const struct qube__vm *target,
		       const struct qube__vm *netvm_default);

/* --- features.c, in memory only --- */
int qube__vm_feature_put(struct qube__vm *vm, const char *name, const char *value);
int qube__vm_tag_put(struct qube__vm *vm, const char *tag);

/* --- store.c --- */
/* After a change: counts it and writes the qube's file, unless in a batch. */
int qube__vm_changed(struct qube__vm *vm);
/* Writes the file as it is now. */
int qube__store_vm_save(struct qube__vm *vm);
int qube__store_vm_unlink(struct qube__vm *vm);
int qube__store_system_save(struct qube__model *m);
int qube__store_open(struct qube__model *m, const struct qube__model_opts *opts);
void qube__store_close(struct qube__model *m);

/* --- store_system.c --- */
int qube__store_system_encode(char **out, size_t *len, const struct qube__model *m);
int qube__store_system_decode(struct qube__model *m, const char *text, size_t len);
/* The format number of a file: 0, or the record says what is wrong with it. file: for the message.
 */
int qube__store_format(const struct qube__json *root, const char *file);

/* --- labels and pools, in memory only --- */
int qube__label_put(struct qube__model *m, uint32_t index, const char *name, const char *colour);
int qube__pool_put(struct qube__model *m, const char *name, const char *driver);
int qube__pool_option_put(struct qube__pool_conf *p, const char *name, const char *value);
void qube__pool_fini(struct qube__pool_conf *p);

#endif
