/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What of the xenstore concerns us beside libxenlight: the memory that guests say they use, and
 * what was left there for domains that are no more. A guest writes one key, and that is a number or
 * nothing. */
#include "xl.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore.h>

enum {
	PATH_LEN = 64,
	DIGITS_MAX = 20,
	EVENTS_A_TURN = 64,
	LOOK_MS = 200, /* however often a guest writes, it is read so often */
};

static void path_of(char path[PATH_LEN], uint32_t domid)
{
	snprintf(path, PATH_LEN, "/local/domain/%u/memory/meminfo", domid);
}

static int read_used(struct xl *x, uint32_t domid, uint64_t *kb)
{
	qube__autofree char *text = NULL;
	char path[PATH_LEN];
	unsigned int len = 0;

	path_of(path, domid);
	text = xs_read(x->xs, XBT_NULL, path, &len);
	return text && len && len <= DIGITS_MAX && strlen(text) == len ?
		       qube__text_u64(kb, text, UINT64_MAX / 1024) :
		       QUBE_E_NOENT;
}

static void on_look(struct qube__timer *t)
{
	struct xl *x = qube__container_of(t, struct xl, look);
	struct qube__list *pos;

	qube__list_foreach (pos, &x->watched) {
		struct watched *w = qube__container_of(pos, struct watched, link);
		struct qube__xl_msg m = { .type = QUBE__XL_USED, .domid = w->domid };

		if (!w->wrote)
			continue;
		w->wrote = false;
		memcpy(m.uuid, w->uuid, sizeof(m.uuid));
		if (read_used(x, w->domid, &m.memory_kb) == 0)
			xl_send(x, &m);
	}
}

static void on_store(struct qube__source *s, uint32_t revents)
{
	struct xl *x = qube__container_of(s, struct xl, store);
	char **event;

	(void)revents;
	/* The token is ours, the path may be anything below what is watched. */
	for (int i = 0; i < EVENTS_A_TURN; i++) {
		uint64_t domid = 0;
		struct watched *w = NULL;

		event = xs_check_watch(x->xs);
		if (!event)
			return;
		if (qube__text_u64(&domid, event[XS_WATCH_TOKEN], UINT32_MAX) == 0)
			w = xl_watched(x, (uint32_t)domid);
		if (w)
			w->wrote = true;
		free(event);
		if (w && qube__list_empty(&x->look.link))
			qube__timer_set(&x->loop, &x->look, qube__now_ms() + LOOK_MS);
	}
	qube__source_again(&x->loop, s);
}

int xl_store_open(struct xl *x)
{
	qube__timer_init(&x->look, on_look);
	x->xs = xs_open(0);
	if (!x->xs)
		return -1;
	return qube__source_add(&x->loop, &x->store, xs_fileno(x->xs), EPOLLIN, on_store);
}

/* libxenlight makes the folder read-only: the key is there and the guest's before it runs. */
int xl_store_prepare(struct xl *x, uint32_t domid)
{
	struct xs_permissions perms = { .id = domid, .perms = XS_PERM_NONE };
	char path[PATH_LEN];

	path_of(path, domid);
	if (xs_write(x->xs, XBT_NULL, path, "", 0) &&
	    xs_set_permissions(x->xs, XBT_NULL, path, &perms, 1))
		return 0;
	xtl_log(x->log, XTL_ERROR, errno, "xenstore", "cannot give a domain its key %s", path);
	return ERROR_FAIL;
}

void xl_store_watch(struct xl *x, uint32_t domid, bool on)
{
	char path[PATH_LEN];
	char token[16];

	path_of(path, domid);
	snprintf(token, sizeof(token), "%u", domid);
	if (on)
		xs_watch(x->xs, path, token);
	else
		xs_unwatch(x->xs, path, token);
}

/* What a channel's holder that was killed had still on offer. */
void xl_store_gone(struct xl *x, uint32_t domid)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "/local/domain/0/data/vchan/%u", domid);
	xs_rm(x->xs, XBT_NULL, path);
}

/* libxenlight finds it by a node of the domain, which may have been the one that failed. */
void xl_store_forget(struct xl *x, const uint8_t uuid[QUBE__XL_UUID])
{
	char path[PATH_LEN];
	int n = snprintf(path, sizeof(path), "/vm/");

	for (int i = 0; i < QUBE__XL_UUID; i++)
		n += snprintf(path + n, sizeof(path) - (size_t)n, "%s%02x",
			      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
	xs_rm(x->xs, XBT_NULL, path);
}
