/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Handles of qubes and lists of strings, as every backend makes them. */
#include "core/backend.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

int qube__domain_handle(qube_domain **out, qube_ctx *ctx, const char *name, const char *uuid,
			uint32_t klass)
{
	qube_domain *d = calloc(1, sizeof(*d));

	if (!d)
		return qube__fail_nomem();
	if (qube__text_copy(d->name, sizeof(d->name), name) < 0 ||
	    qube__text_copy(d->uuid, sizeof(d->uuid), uuid) < 0) {
		free(d);
		return qube__fail(QUBE_E_PROTO, "a qube's name or uuid is too long");
	}
	d->refs = 1;
	d->klass = klass;
	d->ctx = qube_ctx_ref(ctx);
	qube__list_init(&d->link);
	*out = d;
	return 0;
}

QUBE_API qube_domain *qube_domain_ref(qube_domain *d)
{
	d->refs++;
	return d;
}

QUBE_API void qube_domain_unref(qube_domain *d)
{
	qube_ctx *ctx;

	if (!d || --d->refs)
		return;
	ctx = d->ctx;
	ctx->be->domain_forget(d);
	free(d);
	qube_ctx_unref(ctx);
}

QUBE_API void qube_domain_list_free(qube_domain **list, size_t count)
{
	if (!list)
		return;
	for (size_t i = 0; i < count; i++)
		qube_domain_unref(list[i]);
	free(list);
}

int qube__strings_add(struct qube__strings *s, const char *item)
{
	char **grown = realloc(s->items, (s->n + 2) * sizeof(*grown));
	char *copy = strdup(item);

	if (grown) {
		s->items = grown;
		s->items[s->n] = NULL;
	}
	if (!grown || !copy) {
		free(copy);
		return qube__fail_nomem();
	}
	s->items[s->n++] = copy;
	s->items[s->n] = NULL;
	return 0;
}

int qube__strings_take(char ***out, struct qube__strings *s)
{
	if (!s->items)
		s->items = calloc(1, sizeof(char *));
	if (!s->items)
		return qube__fail_nomem();
	*out = s->items;
	s->items = NULL;
	return 0;
}

QUBE_API void qube_strings_free(char **list)
{
	if (!list)
		return;
	for (char **s = list; *s; s++)
		free(*s);
	free(list);
}

QUBE_API void qube_free(void *ptr)
{
	free(ptr);
}
