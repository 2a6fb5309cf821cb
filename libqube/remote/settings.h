/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The remote backend's members about settings, volumes and pools, and the wait for a state. */
#ifndef QUBE_REMOTE_SETTINGS_H
#define QUBE_REMOTE_SETTINGS_H

#include "core/backend.h"

int qube__remote_wait(qube_domain *d, uint32_t state, qube_op *op);
int qube__remote_global_fetch(struct qube_property *out, qube_ctx *ctx, const char *name);
int qube__remote_global_set(qube_ctx *ctx, const char *name, const char *value);
int qube__remote_global_reset(qube_ctx *ctx, const char *name);
int qube__remote_global_list(char ***out, qube_ctx *ctx);
/* Of a disposable template; NULL: the default one. */
int qube__remote_label_of_template(char *out, size_t cap, qube_ctx *ctx, const char *name);
int qube__remote_property_fetch(struct qube_property *out, qube_domain *d, const char *name);
int qube__remote_property_set(qube_domain *d, const char *name, const char *value);
int qube__remote_property_reset(qube_domain *d, const char *name);
int qube__remote_property_list(char ***out, qube_domain *d);
int qube__remote_tag_list(char ***out, qube_domain *d);
int qube__remote_tag_add(qube_domain *d, const char *tag);
int qube__remote_tag_remove(qube_domain *d, const char *tag);
int qube__remote_feature_list(char ***out, qube_domain *d);
int qube__remote_feature_fetch(char **out, qube_domain *d, const char *name);
int qube__remote_feature_set(qube_domain *d, const char *name, const char *value);
int qube__remote_feature_remove(qube_domain *d, const char *name);
int qube__remote_log_fetch(char **out, qube_domain *d);
const char *qube__remote_unenforced(qube_domain *d);
/* look.c */
int qube__remote_stats(struct qube_domain_stats *out, qube_domain *d);
int qube__remote_check(struct qube_check **out, size_t *count, qube_ctx *ctx);
int qube__remote_volume_list(char ***out, qube_domain *d);
int qube__remote_volume_info(struct qube_volume_info *out, qube_domain *d, const char *name);
int qube__remote_volume_revisions(char ***out, qube_domain *d, const char *name);
int qube__remote_volume_revert(qube_domain *d, const char *name, const char *revision);
int qube__remote_volume_set(qube_domain *d, const char *name, const char *key, const char *value);
int qube__remote_volume_clear(qube_domain *d, const char *name);
int qube__remote_volume_measure(qube_domain *d, const char *name, qube_op *op);
int qube__remote_domain_copy(qube_domain *d, bool in, const struct qube_copy_opts *o, qube_op *op);
int qube__remote_volume_export(qube_domain *d, const char *name, int fd, qube_op *op);
int qube__remote_volume_import(qube_domain *d, const char *name, int fd, qube_op *op);
int qube__remote_notes_fetch(char **out, qube_domain *d);
int qube__remote_notes_set(qube_domain *d, const char *text, size_t len);
int qube__remote_label_list(char ***out, qube_ctx *ctx);
int qube__remote_label_info(struct qube_label_info *out, qube_ctx *ctx, const char *name);
int qube__remote_label_create(qube_ctx *ctx, const char *name, uint32_t rgb);
int qube__remote_label_destroy(qube_ctx *ctx, const char *name);
int qube__remote_pool_list(char ***out, qube_ctx *ctx);
int qube__remote_volume_revisions(char ***out, qube_domain *d, const char *name);
int qube__remote_volume_revert(qube_domain *d, const char *name, const char *revision);
int qube__remote_volume_set(qube_domain *d, const char *name, const char *key, const char *value);
int qube__remote_volume_clear(qube_domain *d, const char *name);
int qube__remote_volume_measure(qube_domain *d, const char *name, qube_op *op);
int qube__remote_volume_export(qube_domain *d, const char *name, int fd, qube_op *op);
int qube__remote_volume_import(qube_domain *d, const char *name, int fd, qube_op *op);
int qube__remote_pool_info(struct qube_pool_info *out, qube_ctx *ctx, const char *name);

#endif
