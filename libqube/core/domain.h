/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The host backend's members that concern one qube (backend.h says what each does). */
#ifndef QUBE_CORE_DOMAIN_H
#define QUBE_CORE_DOMAIN_H

#include "core/backend.h"
#include "model/model.h"

extern const struct qube__backend qube__host_backend;

int qube__host_domain_open(qube_domain **out, qube_ctx *ctx, const char *name);
int qube__host_domain_list(qube_domain ***out, size_t *count, qube_ctx *ctx);
void qube__host_domain_forget(qube_domain *d);
void qube__host_domain_view(struct qube__domain_view *out, qube_domain *d);
int qube__host_domain_create(qube_domain **out, qube_ctx *ctx,
			     const struct qube_domain_create_opts *o);
int qube__host_domain_start(qube_domain *d, uint32_t flags, qube_op *op);
int qube__host_domain_shutdown(qube_domain *d, const struct qube_domain_shutdown_opts *o,
			       qube_op *op);
int qube__host_domain_kill(qube_domain *d, qube_op *op);
int qube__host_domain_wait(qube_domain *d, uint32_t state, qube_op *op);
int qube__host_domain_clone(qube_domain *d, const char *name, qube_op *op);
int qube__host_domain_call(qube_domain *d, const struct qube_call_opts *o, qube_op *op);
int qube__host_domain_copy(qube_domain *d, bool in, const struct qube_copy_opts *o, qube_op *op);
int qube__host_template_import(qube_ctx *ctx, const struct qube_template_import_opts *o,
			       qube_op *op);
int qube__host_domain_pause(qube_domain *d);
int qube__host_domain_unpause(qube_domain *d);
int qube__host_domain_destroy(qube_domain *d);
int qube__host_property_fetch(struct qube_property *out, qube_domain *d, const char *name);
int qube__host_domain_property_set(qube_domain *d, const char *name, const char *value);
int qube__host_domain_property_reset(qube_domain *d, const char *name);
int qube__host_property_list(char ***out, qube_domain *d);
int qube__host_tag_list(char ***out, qube_domain *d);
int qube__host_tag_add(qube_domain *d, const char *tag);
int qube__host_tag_remove(qube_domain *d, const char *tag);
int qube__host_feature_list(char ***out, qube_domain *d);
int qube__host_feature_fetch(char **out, qube_domain *d, const char *name);
int qube__host_feature_set(qube_domain *d, const char *name, const char *value);
int qube__host_feature_remove(qube_domain *d, const char *name);
int qube__host_log_fetch(char **out, qube_domain *d);
const char *qube__host_unenforced(qube_domain *d);
int qube__host_domain_stats(struct qube_domain_stats *out, qube_domain *d);
/* stats.c; what qube_host_check() answers, for a folder of helper programs. */
int qube__check_machine(struct qube_check **out, size_t *count, const char *driver,
			const char *libexec_dir);
int qube__check_worst(const struct qube_check *list, size_t n);
int qube__host_check(struct qube_check **out, size_t *count, qube_ctx *ctx);
/* The qube of a handle; QUBE_E_NOENT when it is gone. */
int qube__host_vm_of(struct qube__vm **out, qube_domain *d);
/* What a fetch answers for a value. */
int qube__host_property_out(struct qube_property *out, const struct qube__prop_value *v,
			    const char *whose);
/* settings.c */
int qube__host_ctx_property_fetch(struct qube_property *out, qube_ctx *ctx, const char *name);
int qube__host_ctx_property_set(qube_ctx *ctx, const char *name, const char *value);
int qube__host_ctx_property_reset(qube_ctx *ctx, const char *name);
int qube__host_ctx_property_list(char ***out, qube_ctx *ctx);
int qube__host_notes_fetch(char **out, qube_domain *d);
int qube__host_notes_set(qube_domain *d, const char *text, size_t len);
int qube__host_label_list(char ***out, qube_ctx *ctx);
int qube__host_label_info(struct qube_label_info *out, qube_ctx *ctx, const char *name);
int qube__host_label_create(qube_ctx *ctx, const char *name, uint32_t rgb);
int qube__host_label_destroy(qube_ctx *ctx, const char *name);
/* volume_ops.c */
int qube__host_domain_volume_list(char ***out, qube_domain *d);
int qube__host_domain_volume_info(struct qube_volume_info *out, qube_domain *d, const char *name);
int qube__host_domain_volume_revisions(char ***out, qube_domain *d, const char *name);
int qube__host_domain_volume_revert(qube_domain *d, const char *name, const char *revision);
int qube__host_domain_volume_set(qube_domain *d, const char *name, const char *key,
				 const char *value);
int qube__host_domain_volume_clear(qube_domain *d, const char *name);
int qube__host_domain_volume_measure(qube_domain *d, const char *name, qube_op *op);
int qube__host_domain_volume_export(qube_domain *d, const char *name, int fd, qube_op *op);
int qube__host_domain_volume_import(qube_domain *d, const char *name, int fd, qube_op *op);

#endif
