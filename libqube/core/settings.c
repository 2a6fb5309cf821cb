/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The host backend's members about labels. */
#include "core/domain.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "core/host.h"

#include <stdio.h>
#include <string.h>

int qube__host_label_list(char ***out, qube_ctx *ctx)
{
	struct qube__model *m = qube__host_of(ctx)->model;
	qube__autostrings list = { 0 };

	for (size_t i = 0; i < m->n_labels; i++)
		if (qube__strings_add(&list, m->labels[i].name) < 0)
			return QUBE_E_NOMEM;
	return qube__strings_take(out, &list);
}

int qube__host_label_info(struct qube_label_info *out, qube_ctx *ctx, const char *name)
{
	const struct qube__label *l = qube__model_label(qube__host_of(ctx)->model, name);
	struct qube_label_info info = { .size = out->size };
	char text[80];

	if (!l)
		return qube__fail_detail(QUBE_E_NOENT, QUBE_D_LABEL_NOT_FOUND,
					 "Label does not exist: %s",
					 qube__text_escape(text, sizeof(text), name, strlen(name)));
	info.index = l->index;
	/* It was checked when it came into the model. */
	qube__name_colour(&info.rgb, l->colour, strlen(l->colour));
	*out = info;
	return 0;
}

int qube__host_label_create(qube_ctx *ctx, const char *name, uint32_t rgb)
{
	char colour[16];

	snprintf(colour, sizeof(colour), "0x%06x", rgb);
	return qube__model_label_create(qube__host_of(ctx)->model, name, colour);
}

int qube__host_label_destroy(qube_ctx *ctx, const char *name)
{
	return qube__model_label_remove(qube__host_of(ctx)->model, name);
}
