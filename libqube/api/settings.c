/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * domain.h, host.h, label.h, pool.h: properties, tags, features, notes, labels, pools. */
#include <qube/domain.h>
#include <qube/host.h>
#include <qube/label.h>
#include <qube/pool.h>

#include "api/api.h"
#include "model/model.h"

#include <string.h>

QUBE_API int qube_domain_property_fetch(struct qube_property *out, qube_domain *d, const char *name)
{
	int r;

	QUBE__ENTER(out && d && name);
	r = qube__api_out(out->size, sizeof(*out));
	return r < 0 ? r : d->ctx->be->property_fetch(out, d, name);
}

QUBE_API int qube_domain_property_set(qube_domain *d, const char *name, const char *value)
{
	QUBE__ENTER(d && name && value);
	return d->ctx->be->property_set(d, name, value);
}

QUBE_API int qube_domain_property_reset(qube_domain *d, const char *name)
{
	QUBE__ENTER(d && name);
	return d->ctx->be->property_reset(d, name);
}

QUBE_API int qube_domain_property_list(char ***out, qube_domain *d)
{
	QUBE__ENTER(out && d);
	return d->ctx->be->property_list(out, d);
}

QUBE_API int qube_ctx_property_fetch(struct qube_property *out, qube_ctx *ctx, const char *name)
{
	int r;

	QUBE__ENTER(out && ctx && name);
	r = qube__api_out(out->size, sizeof(*out));
	return r < 0 ? r : ctx->be->global_fetch(out, ctx, name);
}

QUBE_API int qube_ctx_property_set(qube_ctx *ctx, const char *name, const char *value)
{
	QUBE__ENTER(ctx && name && value);
	return ctx->be->global_set(ctx, name, value);
}

QUBE_API int qube_ctx_property_reset(qube_ctx *ctx, const char *name)
{
	QUBE__ENTER(ctx && name);
	return ctx->be->global_reset(ctx, name);
}

QUBE_API int qube_ctx_property_list(char ***out, qube_ctx *ctx)
{
	QUBE__ENTER(out && ctx);
	return ctx->be->global_list(out, ctx);
}

QUBE_API int qube_domain_tag_list(char ***out, qube_domain *d)
{
	QUBE__ENTER(out && d);
	return d->ctx->be->tag_list(out, d);
}

QUBE_API int qube_domain_tag_add(qube_domain *d, const char *tag)
{
	QUBE__ENTER(d && tag);
	return d->ctx->be->tag_add(d, tag);
}

QUBE_API int qube_domain_tag_remove(qube_domain *d, const char *tag)
{
	QUBE__ENTER(d && tag);
	return d->ctx->be->tag_remove(d, tag);
}

QUBE_API int qube_domain_feature_list(char ***out, qube_domain *d)
{
	QUBE__ENTER(out && d);
	return d->ctx->be->feature_list(out, d);
}

QUBE_API int qube_domain_feature_fetch(char **out, qube_domain *d, const char *name)
{
	QUBE__ENTER(out && d && name);
	return d->ctx->be->feature_fetch(out, d, name);
}

QUBE_API int qube_domain_feature_set(qube_domain *d, const char *name, const char *value)
{
	QUBE__ENTER(d && name && value);
	return d->ctx->be->feature_set(d, name, value);
}

QUBE_API int qube_domain_feature_remove(qube_domain *d, const char *name)
{
	QUBE__ENTER(d && name);
	return d->ctx->be->feature_remove(d, name);
}

static int has_notes(const qube_domain *d)
{
	if (d->klass == QUBE_CLASS_ADMIN)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
					 "the host itself has no notes");
	return 0;
}

QUBE_API int qube_domain_notes_fetch(char **out, qube_domain *d)
{
	int r;

	QUBE__ENTER(out && d);
	r = has_notes(d);
	return r < 0 ? r : d->ctx->be->notes_fetch(out, d);
}

QUBE_API int qube_domain_notes_set(qube_domain *d, const char *text)
{
	size_t len;
	int r;

	QUBE__ENTER(d && text);
	r = has_notes(d);
	if (r < 0)
		return r;
	len = strlen(text);
	r = qube__notes_check(NULL, text, len);
	return r < 0 ? r : d->ctx->be->notes_set(d, text, len);
}

QUBE_API int qube_label_list(char ***out, qube_ctx *ctx)
{
	QUBE__ENTER(out && ctx);
	return ctx->be->label_list(out, ctx);
}

QUBE_API int qube_label_info_fetch(struct qube_label_info *out, qube_ctx *ctx, const char *name)
{
	int r;

	QUBE__ENTER(out && ctx && name);
	r = qube__api_out(out->size, sizeof(*out));
	return r < 0 ? r : ctx->be->label_info(out, ctx, name);
}

QUBE_API int qube_label_create(qube_ctx *ctx, const char *name, uint32_t rgb)
{
	QUBE__ENTER(ctx && name);
	if (rgb > 0xffffff)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_INVALID_LABEL_VALUE,
					 "a colour has 24 bits: 0xRRGGBB");
	return ctx->be->label_create(ctx, name, rgb);
}

QUBE_API int qube_label_destroy(qube_ctx *ctx, const char *name)
{
	QUBE__ENTER(ctx && name);
	return ctx->be->label_destroy(ctx, name);
}

QUBE_API int qube_pool_list(char ***out, qube_ctx *ctx)
{
	QUBE__ENTER(out && ctx);
	return ctx->be->pool_list(out, ctx);
}

QUBE_API int qube_pool_info_fetch(struct qube_pool_info *out, qube_ctx *ctx, const char *name)
{
	int r;

	QUBE__ENTER(out && ctx && name);
	r = qube__api_out(out->size, sizeof(*out));
	return r < 0 ? r : ctx->be->pool_info(out, ctx, name);
}
