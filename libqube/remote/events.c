/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The host's event stream: for subscribers, and for what the handles of this context remember. */
#include "remote/request.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *event;
	uint32_t state;
} changes[] = {
	{ "domain-pre-start", QUBE_STATE_TRANSIENT },
	{ "domain-start", QUBE_STATE_RUNNING },
	{ "domain-start-failed", QUBE_STATE_HALTED },
	{ "domain-pre-shutdown", QUBE_STATE_HALTING },
	{ "domain-shutdown-failed", QUBE_STATE_RUNNING },
	{ "domain-shutdown", QUBE_STATE_HALTED },
	{ "domain-paused", QUBE_STATE_PAUSED },
	{ "domain-unpaused", QUBE_STATE_RUNNING },
};

static void remember(qube_domain *d, const struct qube__wire_admin_event *e)
{
	const char *value = NULL;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		if (!strcmp(e->event, changes[i].event))
			d->state = changes[i].state;
	for (size_t i = 0; i < e->n_pairs; i++)
		if (!strcmp(e->key[i], "newvalue"))
			value = e->value[i];
	if (value && !strcmp(e->event, "property-set:label"))
		qube__text_copy(d->label, sizeof(d->label), value);
	if (value && !strcmp(e->event, "property-set:template"))
		qube__text_copy(d->template_name, sizeof(d->template_name), value);
}

static void forget(qube_domain *d)
{
	d->state = QUBE_STATE_HALTED;
	d->label[0] = '\0';
	d->template_name[0] = '\0';
}

static void tell(struct qube__remote *r, const struct qube__wire_admin_event *e)
{
	struct qube_event ev = {
		.subject = e->subject,
		.name = e->event,
		.keys = e->key,
		.values = e->value,
		.n_fields = e->n_pairs > 8 ? 8 : e->n_pairs,
	};
	struct qube__list *pos;

	ev.time_ms = qube__wall_ms();
	qube__list_foreach (pos, &r->handles) {
		qube_domain *d = qube__container_of(pos, qube_domain, link);

		if (!strcmp(d->name, e->subject))
			remember(d, e);
		else if (!strcmp(e->event, "domain-delete") && e->n_pairs &&
			 !strcmp(e->value[0], d->name))
			forget(d);
	}
	qube__ctx_emit_event(&r->ctx, &ev);
}

static void lost(struct qube__remote *r)
{
	qube__remote_stop_events(r);
	qube__ctx_emit(&r->ctx, "", "connection-lost", NULL);
}

static void on_events(struct qube__source *s, uint32_t revents)
{
	struct qube__remote *r = qube__container_of(s, struct qube__remote, events);
	uint8_t *at;
	ssize_t n;

	(void)revents;
	if (qube__buf_reserve(&r->events_buf, 16384, &at) < 0) {
		lost(r);
		return;
	}
	n = qube__io_read(r->events_fd, at, 16384);
	if (n == QUBE_E_AGAIN)
		return;
	if (n <= 0) {
		lost(r);
		return;
	}
	qube__buf_commit(&r->events_buf, (size_t)n);
	for (;;) {
		struct qube__wire_admin_event e;
		int ret = qube__wire_admin_event_parse(&e, qube__buf_data(&r->events_buf),
						       r->events_buf.len);

		if (ret == QUBE_E_AGAIN)
			return;
		if (ret < 0) {
			lost(r);
			return;
		}
		tell(r, &e);
		qube__buf_consume(&r->events_buf, e.used);
	}
}

int qube__remote_subscribed(qube_ctx *ctx)
{
	struct qube__remote *r = qube__remote_of(ctx);
	struct qube__list *pos;
	qube__autofd fd = -1;
	int ret;

	if (r->events_fd >= 0)
		return 0;
	ret = qube__remote_send(&fd, ctx, "admin.Events", NULL, "dom0", NULL, 0, NULL, 0);
	if (ret == 0)
		ret = qube__io_nonblock(fd);
	if (ret == 0)
		ret = qube__source_add(&ctx->loop, &r->events, fd, EPOLLIN, on_events);
	if (ret < 0)
		return ret;
	r->events_fd = qube__steal_fd(&fd);
	/* What was remembered so far nobody kept up to date. */
	qube__list_foreach (pos, &r->handles)
		qube__container_of(pos, qube_domain, link)->label[0] = '\0';
	return 0;
}

void qube__remote_stop_events(struct qube__remote *r)
{
	qube__source_remove(&r->ctx.loop, &r->events);
	qube__close_fd(&r->events_fd);
	qube__buf_fini(&r->events_buf);
}
