/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A qube asks to call another: the policy decides, the target is started or made if need be, and
 * the broker is told. The request's fields were checked by the broker and are checked again by
 * proto. */
#include "core/host.h"
#include "core/rules.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_PER_S = 20 };

struct qube__ask {
	struct qube__list link;
	struct qube__waiter started;
	struct qube__host *host;
	uint64_t request;
	bool decided;
	bool for_host; /* its target is the host: HOST_SERVICE may come, once */
	bool claimed;
	bool dispose; /* target is thrown away when the call ends */
	char source[QUBE__NAME_MAX + 1];
	char target[QUBE__NAME_MAX + 1];
	char *user;
	char *service;
	char *call; /* what the host is called with: name+argument */
	char *policy_source;
	char requested[QUBE__POLICY_SPELLING];
};

static void ask_free(struct qube__ask *a)
{
	qube__waiter_drop(&a->started);
	qube__list_remove(&a->link);
	a->host->n_asks--;
	free(a->user);
	free(a->service);
	free(a->call);
	free(a->policy_source);
	free(a);
}

static void answer(struct qube__host *h, uint64_t request, uint32_t verdict)
{
	struct qube__rpc_msg msg = {
		.type = QUBE__RPC_DECISION,
		.decision = { .request = request, .verdict = verdict },
	};

	qube__link_send(h, &msg, NULL);
}

static void throw_away(struct qube__host *h, const char *name)
{
	struct qube__vm *vm = qube__model_vm(h->model, name);

	if (!vm)
		return;
	if (vm->run)
		qube__life_kill(h, vm, NULL);
	else
		qube__host_destroy(h, vm);
}

/* What a guest makes us write into the host's log, and tell as events, has a ceiling like all else.
 */
static bool may_tell(struct qube__run *r)
{
	uint64_t now = qube__now_ms();

	if (now - r->told_ms >= 1000) {
		if (r->untold)
			qube__ctx_log(&r->host->ctx, 5,
				      "%u more calls of '%s' were denied or failed", r->untold,
				      r->vm->name);
		r->told_ms = now;
		r->told = r->untold = 0;
	}
	if (r->told < LINES_PER_S) {
		r->told++;
		return true;
	}
	r->untold++;
	return false;
}

static void fail(struct qube__ask *a, const char *why)
{
	struct qube__host *h = a->host;
	struct qube__vm *vm = qube__model_vm(h->model, a->source);

	if (!vm || !vm->run || may_tell(vm->run))
		qube__ctx_log(&h->ctx, 4, "a call of '%s' was allowed and failed: %s", a->source,
			      why);
	answer(h, a->request, QUBE__RPC_FAIL);
	if (a->dispose)
		throw_away(h, a->target);
	ask_free(a);
}

static void allow(struct qube__ask *a, uint32_t guest)
{
	struct qube__rpc_msg msg = {
		.type = QUBE__RPC_DECISION,
		.decision = {
			.request = a->request,
			.verdict = QUBE__RPC_ALLOW,
			.target = guest,
			.flags = a->dispose ? QUBE__RPC_DISPOSE : 0,
			.user = a->user,
			.service = a->service,
			.source = a->policy_source,
			.requested = a->requested,
		},
	};

	if (qube__link_send(a->host, &msg, NULL) < 0) {
		fail(a, qube_error_last()->message);
		return;
	}
	a->decided = true;
	a->for_host = guest == QUBE__RPC_GUEST_HOST;
	if (!a->dispose && !a->for_host)
		ask_free(a);
}

static void on_started(struct qube__waiter *w, int code)
{
	struct qube__ask *a = qube__container_of(w, struct qube__ask, started);
	struct qube__vm *vm;
	struct qube__run *r;

	qube__list_init(&a->started.link);
	if (code < 0) {
		fail(a, qube_error_last()->message);
		return;
	}
	vm = qube__model_vm(a->host->model, a->target);
	r = vm ? vm->run : NULL;
	if (!r || !r->guest || vm->state != QUBE__STATE_RUNNING) {
		fail(a, "the target does not answer");
		return;
	}
	allow(a, r->guest);
}

static int make_disposable(struct qube__ask *a, const char *base)
{
	struct qube_domain_create_opts o = {
		.size = sizeof(o),
		.flags = QUBE_DOMAIN_CREATE_DISPOSABLE,
		.template_name = base,
	};
	struct qube__vm *template;
	struct qube__vm *vm;
	int r = qube__host_vm(&template, a->host, base);

	if (r < 0)
		return r;
	o.template_name = template->name;
	r = qube__host_create(&vm, a->host, &o, a->source);
	if (r < 0)
		return r;
	memcpy(a->target, vm->name, sizeof(a->target));
	a->dispose = true;
	vm->bound = true;
	return 0;
}

static void reach(struct qube__ask *a, const struct qube__policy_result *res)
{
	struct qube__host *h = a->host;
	struct qube__vm *vm;
	int r = 0;

	if (!strncmp(res->target, "@dispvm:", 8)) {
		r = make_disposable(a, res->target + 8);
	} else {
		r = qube__host_vm(&vm, h, res->target);
		if (r == 0)
			memcpy(a->target, vm->name, sizeof(a->target));
	}
	if (r == 0)
		r = qube__host_vm(&vm, h, a->target);
	if (r == 0 && vm->vm_class == QUBE__CLASS_ADMIN) {
		allow(a, QUBE__RPC_GUEST_HOST);
		return;
	}
	if (r == 0 && vm->state == QUBE__STATE_RUNNING &&
	    qube__life_wait_for_agent(vm->run, &a->started))
		return;
	if (r == 0 && vm->state == QUBE__STATE_RUNNING) {
		on_started(&a->started, 0);
		return;
	}
	if (r == 0 && !res->autostart && !a->dispose)
		r = qube__fail(QUBE_E_STATE, "the target does not run");
	if (r == 0 && vm->state == QUBE__STATE_PAUSED)
		r = qube__fail(QUBE_E_STATE, "the target is paused");
	if (r == 0)
		r = qube__life_start(h, vm, &a->started, 0, NULL);
	if (r < 0)
		fail(a, qube_error_last()->message);
}

static struct qube__ask *ask_new(struct qube__host *h, const struct qube__rpc_decide *d,
				 const char *source, const struct qube__policy_result *res)
{
	struct qube__ask *a;

	/* The broker has a ceiling for each guest; this one holds if it was taken over. */
	if (h->n_asks >= QUBE__HOST_CALLS_MAX)
		return NULL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	qube__list_init(&a->started.link);
	qube__list_append(&h->asks, &a->link);
	h->n_asks++;
	a->started.fn = on_started;
	a->host = h;
	a->request = d->request;
	qube__text_copy(a->source, sizeof(a->source), source);
	memcpy(a->requested, res->requested_target, sizeof(a->requested));
	a->user = strdup(res->user ? res->user : "");
	a->service = strdup(res->service ? res->service : "");
	if (res->service && *res->service)
		a->call = qube__text_format("%s%s", res->service,
					    strchr(res->service, '+') ? "" : "+");
	else
		a->call = qube__text_format("%s+%s", d->service, d->argument);
	a->policy_source = strdup(res->policy_source);
	if (!a->user || !a->service || !a->call || !a->policy_source) {
		ask_free(a);
		return NULL;
	}
	return a;
}

static void tell_refusal(struct qube__run *r, const struct qube__rpc_decide *d,
			 const struct qube__policy_result *res)
{
	struct qube__host *h = r->host;
	const char *source = r->vm->name;
	bool tell = may_tell(r);
	char target[160];
	char service[300];
	char line[16];

	qube__text_escape(target, sizeof(target), d->target, strlen(d->target));
	qube__text_escape(service, sizeof(service), d->service, strlen(d->service));
	snprintf(line, sizeof(line), "%u", res->line);
	if (tell && res->file)
		qube__ctx_log(&h->ctx, 5, "denied: %s -> %s: %s by %s:%u (%s)", source,
			      *target ? target : "@default", service, res->file, res->line,
			      qube__policy_cause_text(res->cause));
	else if (tell)
		qube__ctx_log(&h->ctx, 5, "denied: %s -> %s: %s (%s)", source,
			      *target ? target : "@default", service,
			      qube__policy_cause_text(res->cause));
	qube__ctx_emit(&h->ctx, source, "rpc-denied", "service", service, "target", target, "cause",
		       qube__policy_cause_name(res->cause), "file", res->file ? res->file : "",
		       "line", res->file ? line : "", NULL);
}

void qube__ask_decide(struct qube__host *h, const struct qube__rpc_decide *d)
{
	struct qube__run *r = qube__life_find_guest(h, d->guest);
	qube__autofree char *argument = qube__text_format("+%s", d->argument);
	struct qube__policy_result res;
	struct qube__policy_request req;
	struct qube__ask *a;

	if (!r || !argument) {
		answer(h, d->request, QUBE__RPC_FAIL);
		return;
	}
	req = (struct qube__policy_request){
		.source = r->vm->name,
		.target = d->target,
		.service = d->service,
		.argument = argument,
		.requested_source = d->source,
	};
	if (qube__rules_evaluate(&res, h, &req) < 0) {
		qube__ctx_log(&h->ctx, 3, "no decision for '%s': %s", r->vm->name,
			      qube_error_last()->message);
		answer(h, d->request, QUBE__RPC_DENY);
		return;
	}
	/* Nobody can be asked yet: a prompt is a refusal. */
	if (res.verdict == QUBE__POLICY_ASK)
		qube__policy_answer(&res, &h->rules->system, "deny");
	if (res.verdict != QUBE__POLICY_ALLOW) {
		tell_refusal(r, d, &res);
		answer(h, d->request, QUBE__RPC_DENY);
		qube__policy_result_fini(&res);
		return;
	}
	a = ask_new(h, d, r->vm->name, &res);
	if (a)
		reach(a, &res);
	else
		answer(h, d->request, QUBE__RPC_FAIL);
	qube__policy_result_fini(&res);
}

void qube__ask_ended(struct qube__host *h, const struct qube__rpc_call_end *e)
{
	struct qube__list *pos;
	struct qube__list *tmp;

	qube__list_foreach_safe (pos, tmp, &h->asks) {
		struct qube__ask *a = qube__container_of(pos, struct qube__ask, link);

		if (a->request != e->id || !a->decided)
			continue;
		if (a->dispose)
			throw_away(h, a->target);
		ask_free(a);
		return;
	}
}

void qube__ask_close(struct qube__host *h, bool keep)
{
	while (!qube__list_empty(&h->asks)) {
		struct qube__ask *a = qube__container_of(h->asks.next, struct qube__ask, link);

		/* Its own waiter would be told when the target is thrown away, and free it. */
		qube__waiter_drop(&a->started);
		if (a->dispose && !(keep && a->decided))
			throw_away(h, a->target);
		ask_free(a);
	}
}

static bool has_ask(struct qube__host *h, const char *target)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &h->asks) {
		struct qube__ask *a = qube__container_of(pos, struct qube__ask, link);

		if (a->dispose && !strcmp(a->target, target))
			return true;
	}
	return false;
}

/* While its call is known here, the call's own end is what counts. */
void qube__ask_bound(struct qube__run *r, uint32_t calls)
{
	if (r->vm->bound && !calls && r->up && !has_ask(r->host, r->vm->name))
		throw_away(r->host, r->vm->name);
}

bool qube__ask_claim(struct qube__host *h, const struct qube__rpc_host_service *s)
{
	struct qube__run *r = qube__life_find_guest(h, s->guest);
	struct qube__list *pos;

	qube__list_foreach (pos, &h->asks) {
		struct qube__ask *a = qube__container_of(pos, struct qube__ask, link);

		if (a->request != s->request || !a->for_host || a->claimed || !r ||
		    strcmp(a->source, r->vm->name) || strcmp(a->call, s->service) ||
		    strcmp(a->requested, s->target))
			continue;
		a->claimed = true;
		return true;
	}
	return false;
}
