/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A channel over libxenvchan. The server writes where it is to be found below its own part of the
 * xenstore, and only the client may read that. */
#include "vchan.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <libxenvchan.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <xen/sys/evtchn.h>
#include <xenstore.h>

enum { PATH_MAX_LEN = 96, STEP_MS = 100, SLOW_MS = 1000, BOOT_MS = 30000, TRIES = 50 };

static void close_store(struct xs_handle **xs)
{
	if (*xs)
		xs_close(*xs);
}
#define autostore __attribute__((cleanup(close_store))) struct xs_handle *

/* --- server --- */

/* What was written, which is nobody else's while the channel is open: no two of a domain have an
 * event channel of the same number. */
struct offer {
	char path[PATH_MAX_LEN];
	char bell[16];
	char *grant; /* read back: no field tells it */
};

static char *value_of(struct xs_handle *xs, xs_transaction_t t, const char *path, const char *name)
{
	char full[PATH_MAX_LEN + 16];

	snprintf(full, sizeof(full), "%s/%s", path, name);
	return xs_read(xs, t, full, NULL);
}

static bool stands(struct xs_handle *xs, xs_transaction_t t, const struct offer *o,
		   const char *name, const char *want)
{
	qube__autofree char *value = value_of(xs, t, o->path, name);

	return value && want && strcmp(value, want) == 0;
}

/* With its parent, if that holds no other; in one go, as another server may just be writing there,
 * or at the very place: what is not wholly ours by now is left to whose it is. */
static bool take_down_once(struct xs_handle *xs, const struct vchan_opts *o, const struct offer *of)
{
	xs_transaction_t t = xs_transaction_start(xs);
	char parent[PATH_MAX_LEN];
	unsigned int n = 0;
	char **others;

	if (!t)
		return false;
	if (!stands(xs, t, of, "event-channel", of->bell) ||
	    !stands(xs, t, of, "ring-ref", of->grant)) {
		xs_transaction_end(xs, t, true);
		return true;
	}
	xs_rm(xs, t, of->path);
	snprintf(parent, sizeof(parent), "data/vchan/%u", o->peer);
	others = xs_directory(xs, t, parent, &n);
	free(others);
	if (others && !n)
		xs_rm(xs, t, parent);
	return xs_transaction_end(xs, t, false) || errno != EAGAIN;
}

/* What failed is another's change meanwhile, or the number of a guest's transactions. */
static void take_down(struct xs_handle *xs, const struct vchan_opts *o, const struct offer *of)
{
	for (int i = 0; i < TRIES && !take_down_once(xs, o, of); i++)
		poll(NULL, 0, 1 << (i < 6 ? i : 6));
}

static int serve(struct libxenvchan **out, const struct vchan_opts *o, struct vchan_wait *w)
{
	autostore xs = xs_open(0);
	struct libxenvchan *c;
	struct offer of;
	int r = 0;

	if (!xs)
		return VCHAN_NOT_HERE;
	snprintf(of.path, sizeof(of.path), "data/vchan/%u/%u", o->peer, o->port);
	c = libxenvchan_server_init(NULL, (int)o->peer, of.path, o->ring, o->ring);
	if (!c)
		return VCHAN_NOT_HERE;
	c->blocking = 0;
	of.grant = value_of(xs, XBT_NULL, of.path, "ring-ref");
	snprintf(of.bell, sizeof(of.bell), "%u", c->event_port);
	while (r == 0 && libxenvchan_is_open(c) == 2) {
		struct pollfd p = { .fd = libxenvchan_fd_for_select(c), .events = POLLIN };

		r = vchan_wait_for(w, p.fd, -1);
		if (poll(&p, 1, 0) == 1)
			libxenvchan_wait(c);
	}
	/* The connection is made, or will not be: nobody else is to find it. */
	take_down(xs, o, &of);
	free(of.grant);
	free(c->xs_path);
	c->xs_path = NULL;
	if (r) {
		libxenvchan_close(c);
		return r;
	}
	*out = c;
	return 0;
}

/* --- client --- */

static bool is_offered(struct xs_handle *xs, const char *path)
{
	unsigned int n = 0;
	char *value = xs_read(xs, XBT_NULL, path, &n);

	free(value);
	return value && n;
}

static int own_domain(struct xs_handle *xs)
{
	qube__autofree char *text = xs_read(xs, XBT_NULL, "domid", NULL);
	uint64_t id = 0;

	return text && qube__text_u64(&id, text, 0x7fef) == 0 ? (int)id : -1;
}

static int next_step(const struct vchan_wait *w, int step)
{
	int most = qube__now_ms() - w->begin < BOOT_MS ? STEP_MS : SLOW_MS;

	return 2 * step < most ? 2 * step : most;
}

static int reach(struct libxenvchan **out, const struct vchan_opts *o, struct vchan_wait *w)
{
	autostore xs = xs_open(0);
	char base[PATH_MAX_LEN];
	char path[PATH_MAX_LEN + 16];
	int me = xs ? own_domain(xs) : -1;
	int r = 0;

	if (me < 0)
		return VCHAN_NOT_HERE;
	snprintf(base, sizeof(base), "/local/domain/%u/data/vchan/%d/%u", o->peer, me, o->port);
	/* It is the last that the server writes. */
	snprintf(path, sizeof(path), "%s/event-channel", base);
	/* The static libxenstore takes a watch's event for the answer to something else: it is
	 * asked, again and again, but soon not often. One that a dead server left cannot be had:
	 * the next one writes again. */
	for (int step = 1; r == 0; step = next_step(w, step)) {
		if (is_offered(xs, path))
			*out = libxenvchan_client_init(NULL, (int)o->peer, base);
		if (*out)
			return 0;
		r = vchan_wait_for(w, -1, step);
	}
	return r;
}

int vchan_xen_open(struct qube__transport **out, const struct vchan_opts *o)
{
	struct libxenvchan *c = NULL;
	struct vchan_wait w;
	int r;

	vchan_wait_begin(&w, o);
	r = o->server ? serve(&c, o, &w) : reach(&c, o, &w);
	if (r)
		return r;
	return qube__transport_vchan(out, c) < 0 ? VCHAN_FAILED : 0;
}

uint32_t vchan_xen_bell(void)
{
	return IOCTL_EVTCHN_NOTIFY;
}
