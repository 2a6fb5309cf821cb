/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an opened context calls: core/host.c when this process is the host, remote/ when another is.
 * Every member is mandatory; what a backend cannot it refuses with QUBE_E_NOTSUP. Arguments were
 * checked for NULL and options imported by api/. */
#ifndef QUBE_CORE_BACKEND_H
#define QUBE_CORE_BACKEND_H

#include <qube/admin.h>
#include <qube/copy.h>
#include <qube/domain.h>
#include <qube/host.h>
#include <qube/label.h>
#include <qube/pool.h>
#include <qube/rpc.h>
#include <qube/template.h>
#include <qube/volume.h>

#include "core/ctx.h"
#include "core/op.h"

struct qube_domain {
	uint32_t refs;
	qube_ctx *ctx;
	char name[32];
	char uuid[40];
	uint32_t klass;
	/* remote: as last told; host: unused */
	uint32_t state;
	char label[64];
	char template_name[32];
	char unenforced[128];
	struct qube__list link; /* remote: ctx's handles, fed by the event stream */
};

struct qube__domain_view {
	uint32_t state;
	const char *label;
	const char *template_name;
};

struct qube__backend {
	const char *name;
	void (*close)(qube_ctx *ctx); /* the last reference is gone: frees it */
	uint32_t (*isolation)(qube_ctx *ctx);
	int (*system_info)(char **out, qube_ctx *ctx);
	int (*subscribed)(qube_ctx *ctx); /* before a subscription is added */

	int (*domain_open)(qube_domain **out, qube_ctx *ctx, const char *name);
	int (*domain_list)(qube_domain ***out, size_t *count, qube_ctx *ctx);
	void (*domain_forget)(qube_domain *d); /* the last reference is gone */
	void (*domain_view)(struct qube__domain_view *out, qube_domain *d);
	int (*domain_create)(qube_domain **out, qube_ctx *ctx,
			     const struct qube_domain_create_opts *o);
	/* Ops: 0 and the op finishes by itself (maybe already), or negative and it never began. */
	int (*domain_start)(qube_domain *d, uint32_t flags, qube_op *op);
	int (*domain_shutdown)(qube_domain *d, const struct qube_domain_shutdown_opts *o,
			       qube_op *op);
	int (*domain_kill)(qube_domain *d, qube_op *op);
	int (*domain_wait)(qube_domain *d, uint32_t state, qube_op *op);
	int (*domain_clone)(qube_domain *d, const char *name, qube_op *op);
	int (*domain_call)(qube_domain *d, const struct qube_call_opts *o, qube_op *op);
	/* Sets the op's exit code: 1 if something was left out. */
	int (*domain_copy)(qube_domain *d, bool in, const struct qube_copy_opts *o, qube_op *op);
	int (*template_import)(qube_ctx *ctx, const struct qube_template_import_opts *o,
			       qube_op *op);
	int (*domain_pause)(qube_domain *d);
	int (*domain_unpause)(qube_domain *d);
	int (*domain_destroy)(qube_domain *d);

	/* Of the host as a whole. */
	int (*global_fetch)(struct qube_property *out, qube_ctx *ctx, const char *name);
	int (*global_set)(qube_ctx *ctx, const char *name, const char *value);
	int (*global_reset)(qube_ctx *ctx, const char *name);
	int (*global_list)(char ***out, qube_ctx *ctx);
	int (*property_fetch)(struct qube_property *out, qube_domain *d, const char *name);
	int (*property_set)(qube_domain *d, const char *name, const char *value);
	int (*property_reset)(qube_domain *d, const char *name);
	int (*property_list)(char ***out, qube_domain *d);
	int (*tag_list)(char ***out, qube_domain *d);
	int (*tag_add)(qube_domain *d, const char *tag);
	int (*tag_remove)(qube_domain *d, const char *tag);
	int (*feature_list)(char ***out, qube_domain *d);
	int (*feature_fetch)(char **out, qube_domain *d, const char *name);
	int (*feature_set)(qube_domain *d, const char *name, const char *value);
	int (*feature_remove)(qube_domain *d, const char *name);
	int (*notes_fetch)(char **out, qube_domain *d);
	int (*notes_set)(qube_domain *d, const char *text, size_t len); /* UTF-8 */
	int (*log_fetch)(char **out, qube_domain *d);
	const char *(*unenforced)(qube_domain *d);
	int (*stats)(struct qube_domain_stats *out, qube_domain *d); /* out->size is set */
	int (*host_check)(struct qube_check **out, size_t *count, qube_ctx *ctx);
	int (*volume_list)(char ***out, qube_domain *d);
	int (*volume_info)(struct qube_volume_info *out, qube_domain *d, const char *name);
	int (*volume_revisions)(char ***out, qube_domain *d, const char *name);
	int (*volume_revert)(qube_domain *d, const char *name, const char *revision);
	int (*volume_set)(qube_domain *d, const char *name, const char *key, const char *value);
	int (*volume_clear)(qube_domain *d, const char *name);
	int (*volume_measure)(qube_domain *d, const char *name, qube_op *op); /* done_bytes */
	int (*volume_export)(qube_domain *d, const char *name, int fd, qube_op *op);
	int (*volume_import)(qube_domain *d, const char *name, int fd, qube_op *op);
	int (*label_list)(char ***out, qube_ctx *ctx);
	int (*label_info)(struct qube_label_info *out, qube_ctx *ctx, const char *name);
	int (*label_create)(qube_ctx *ctx, const char *name, uint32_t rgb);
	int (*label_destroy)(qube_ctx *ctx, const char *name);
	int (*pool_list)(char ***out, qube_ctx *ctx);
	int (*pool_info)(struct qube_pool_info *out, qube_ctx *ctx, const char *name);
};

/* A handle with the fixed fields filled; QUBE_E_NOMEM. Holds a reference to ctx. */
int qube__domain_handle(qube_domain **out, qube_ctx *ctx, const char *name, const char *uuid,
			uint32_t klass);
/* NULL-terminated list of strings that grows; freed by qube_strings_free(). */
struct qube__strings {
	char **items;
	size_t n;
};
int qube__strings_add(struct qube__strings *s, const char *item);
/* The list is the caller's; of nothing it is an empty one. */
int qube__strings_take(char ***out, struct qube__strings *s);
static inline void qube__strings_fini(struct qube__strings *s)
{
	qube_strings_free(s->items);
}
#define qube__autostrings __attribute__((cleanup(qube__strings_fini))) struct qube__strings

#endif
