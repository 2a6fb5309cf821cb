/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Many qubes at once, see fleet.h. Each end of an operation looks for those that are free to go
 * now. Where nothing is free and nothing under way they need each other in a circle: the first of
 * it goes. */
#include "common/fleet.h"
#include "common/text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Who serves a qube, by property. */
static const char *const providers[] = { "netvm", "guivm", "audiovm" };
enum { PROVIDERS = sizeof(providers) / sizeof(providers[0]) };

enum state { WAITING, UNDER_WAY, OVER };

struct item {
	struct cli_fleet *fleet;
	qube_domain *d;
	qube_op *op;
	char *needs[PROVIDERS]; /* names; NULL: nobody */
	enum state state;
};

struct cli_fleet {
	qube_ctx *ctx;
	struct cli_fleet_opts opts;
	struct item *items;
	size_t n;
	size_t under_way;
	size_t failed;
	int64_t deadline_ms; /* < 0: none */
};

static bool needs(const struct item *i, const struct item *other)
{
	const char *name = qube_domain_get_name(other->d);

	for (int p = 0; p < PROVIDERS; p++)
		if (i != other && i->needs[p] && strcmp(i->needs[p], name) == 0)
			return true;
	return false;
}

/* Nobody who must go before it is left. */
static bool is_free(const struct cli_fleet *f, const struct item *i)
{
	for (size_t k = 0; k < f->n; k++) {
		const struct item *o = &f->items[k];
		bool waits = f->opts.what == CLI_FLEET_START ? needs(i, o) : needs(o, i);

		if (waits && o->state != OVER)
			return false;
	}
	return true;
}

static void next(struct cli_fleet *f);

static void over(struct item *i, const struct qube_error *e)
{
	struct cli_fleet *f = i->fleet;

	/* A disposable that ended by itself meanwhile is what was asked for. */
	if (e && f->opts.what == CLI_FLEET_STOP &&
	    (e->code == QUBE_E_NOENT || e->code == QUBE_E_STATE))
		e = NULL;
	i->state = OVER;
	f->failed += e != NULL;
	if (f->opts.told)
		f->opts.told(f->opts.user, qube_domain_get_name(i->d), e);
}

static void on_op(void *user, qube_op *op)
{
	struct item *i = user;
	struct cli_fleet *f = i->fleet;

	f->under_way--;
	i->op = NULL;
	if (f->opts.ended)
		f->opts.ended(f->opts.user, qube_domain_get_name(i->d), op);
	over(i, qube_op_get_state(op) == QUBE_OP_DONE ? NULL : qube_op_get_error(op));
	qube_op_unref(op);
	next(f);
}

static int stop_one(struct cli_fleet *f, struct item *i)
{
	struct qube_domain_shutdown_opts o = {
		.size = sizeof(o),
		.flags = QUBE_DOMAIN_SHUTDOWN_FORCE | QUBE_DOMAIN_SHUTDOWN_OR_KILL,
		.timeout_ms = -1,
	};
	int64_t left = f->deadline_ms - cli_now_ms();

	if (f->deadline_ms >= 0 && left <= 0)
		return qube_domain_kill(i->d, &i->op);
	if (f->deadline_ms >= 0)
		o.timeout_ms = (int32_t)left;
	return qube_domain_shutdown(i->d, &o, &i->op);
}

static void go(struct cli_fleet *f, struct item *i)
{
	struct qube_op_callback cb = { .fn = on_op, .user = i };
	int r = f->opts.what == CLI_FLEET_START ? qube_domain_start(i->d, &i->op) : stop_one(f, i);

	if (r < 0) {
		over(i, qube_error_last());
		return;
	}
	i->state = UNDER_WAY;
	f->under_way++;
	qube_op_set_callback(i->op, &cb);
}

static struct item *pick(struct cli_fleet *f)
{
	struct item *first = NULL;

	for (size_t k = 0; k < f->n; k++) {
		struct item *i = &f->items[k];

		if (i->state != WAITING)
			continue;
		if (is_free(f, i))
			return i;
		if (!first)
			first = i;
	}
	return f->under_way ? NULL : first;
}

static void next(struct cli_fleet *f)
{
	struct item *i;

	while ((!f->opts.at_once || f->under_way < f->opts.at_once) && (i = pick(f)))
		go(f, i);
	if (!f->under_way && !pick(f))
		f->opts.done(f->opts.user);
}

static bool is_wanted(const struct cli_fleet *f, qube_domain *d)
{
	uint32_t klass = qube_domain_get_class(d);
	uint32_t state = qube_domain_get_state(d);

	if (klass == QUBE_CLASS_ADMIN || klass == QUBE_CLASS_REMOTE)
		return false;
	if (f->opts.what == CLI_FLEET_STOP)
		return state != QUBE_STATE_HALTED;
	return state == QUBE_STATE_HALTED && f->opts.wanted(f->opts.user, d);
}

static void add(struct cli_fleet *f, qube_domain *d)
{
	struct item *i = &f->items[f->n++];

	*i = (struct item){ .fleet = f, .d = qube_domain_ref(d) };
	for (int p = 0; p < PROVIDERS; p++) {
		struct qube_property value = { .size = sizeof(value) };

		/* Not every class has each of them. */
		if (qube_domain_property_fetch(&value, d, providers[p]) == 0)
			i->needs[p] = value.value;
	}
}

int cli_fleet_begin(struct cli_fleet **out, qube_ctx *ctx, const struct cli_fleet_opts *opts)
{
	struct cli_fleet *f = calloc(1, sizeof(*f));
	qube_domain **list = NULL;
	size_t n = 0;
	int r = f ? qube_domain_list(&list, &n, ctx) : QUBE_E_NOMEM;

	if (r == 0)
		f->items = calloc(n ? n : 1, sizeof(*f->items));
	if (r < 0 || !f->items) {
		qube_domain_list_free(list, n);
		cli_fleet_free(f);
		return r < 0 ? r : QUBE_E_NOMEM;
	}
	f->ctx = ctx;
	f->opts = *opts;
	f->deadline_ms = opts->timeout_ms < 0 ? -1 : cli_now_ms() + opts->timeout_ms;
	for (size_t k = 0; k < n; k++)
		if (is_wanted(f, list[k]))
			add(f, list[k]);
	qube_domain_list_free(list, n);
	if (!f->n) {
		cli_fleet_free(f);
		return 0;
	}
	*out = f;
	next(f);
	return 1;
}

size_t cli_fleet_failed(const struct cli_fleet *f)
{
	return f->failed;
}

void cli_fleet_free(struct cli_fleet *f)
{
	if (!f)
		return;
	for (size_t k = 0; k < f->n; k++) {
		struct qube_op_callback none = { 0 };

		if (f->items[k].op)
			qube_op_set_callback(f->items[k].op, &none);
		qube_op_unref(f->items[k].op);
		qube_domain_unref(f->items[k].d);
		for (int p = 0; p < PROVIDERS; p++)
			qube_free(f->items[k].needs[p]);
	}
	free(f->items);
	free(f);
}
