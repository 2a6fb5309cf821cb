/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Qubes over the Admin API: listed, made, started, stopped; events. */
#include "admin/call.h"

#include "base/error.h"
#include "base/text.h"
#include "core/domain.h"
#include "core/rules.h"

#include <stdlib.h>
#include <string.h>

int qube__m_vmclass_list(struct qube__admin_call *c)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < QUBE__CLASS_COUNT; i++)
		r = qube__reply(c, "%s\n", qube__vm_class_name(i));
	return r;
}

static int list_one(struct qube__admin_call *c, const struct qube__vm *vm)
{
	return qube__reply(c, "%s class=%s state=%s uuid=%s\n", vm->name,
			   qube__vm_class_name(vm->vm_class),
			   qube__vm_state_name(qube__host_state(vm)), vm->uuid);
}

/* A qube sees what the policy lets it see, one decision a line (admin-api.md 13). */
static bool may_see(struct qube__admin_call *c, const struct qube__vm *vm)
{
	struct qube__policy_request req = {
		.source = c->req.source,
		.target = vm->name,
		.service = "admin.vm.List",
		.argument = "+",
	};
	struct qube__policy_result res;
	bool yes;

	if (c->from_host)
		return true;
	if (qube__rules_evaluate(&res, c->host, &req) < 0)
		return false;
	yes = res.verdict == QUBE__POLICY_ALLOW;
	qube__policy_result_fini(&res);
	return yes;
}

int qube__m_vm_list(struct qube__admin_call *c)
{
	struct qube__vm *vm;
	int r = 0;

	if (c->dest->vm_class != QUBE__CLASS_ADMIN)
		return list_one(c, c->dest);
	for (vm = NULL; r == 0 && (vm = qube__model_next(c->host->model, vm));)
		if (may_see(c, vm))
			r = list_one(c, vm);
	return r;
}

/* "name=N label=L [pool=P]", each once. */
static int parse_params(char *text, struct qube_domain_create_opts *o)
{
	char *save = NULL;

	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
		const char **slot = NULL;

		if (!strncmp(p, "name=", 5))
			slot = &o->name;
		else if (!strncmp(p, "label=", 6))
			slot = &o->label;
		else if (!strncmp(p, "pool=", 5))
			slot = &o->pool;
		if (!slot || *slot)
			return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
						 "an unknown or repeated parameter");
		*slot = strchr(p, '=') + 1;
	}
	if (!o->name || !o->label)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
					 "name and label must be given");
	return 0;
}

int qube__m_vm_create(struct qube__admin_call *c)
{
	struct qube_domain_create_opts o = { .size = sizeof(o), .klass = c->suffix };
	struct qube__vm *vm;
	char text[1024];
	int r = qube__payload_text(text, sizeof(text), c);

	if (r == 0)
		r = parse_params(text, &o);
	if (r < 0)
		return r;
	if (o.pool && strcmp(c->method->name, "admin.vm.CreateInPool."))
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
					 "pool is a parameter of admin.vm.CreateInPool");
	if (*c->req.arg)
		o.template_name = c->req.arg;
	return qube__host_create(&vm, c->host, &o, c->req.source);
}

static int make_disposable(struct qube__vm **out, struct qube__admin_call *c, uint32_t flags)
{
	struct qube_domain_create_opts o = {
		.size = sizeof(o),
		.flags = QUBE_DOMAIN_CREATE_DISPOSABLE | flags,
	};
	struct qube__vm *source;
	int r;

	if (c->dest->vm_class != QUBE__CLASS_ADMIN) {
		o.template_name = c->dest->name;
	} else {
		r = qube__host_vm(&source, c->host, c->req.source);
		if (r < 0)
			return r;
		if (source->vm_class == QUBE__CLASS_ADMIN)
			source = qube__global_ref(c->host->model, QUBE__PROP_G_DEFAULT_DISPVM);
		else
			source = qube__vm_ref(source, QUBE__PROP_DEFAULT_DISPVM);
		if (!source)
			return qube__fail_detail(QUBE_E_NOENT, QUBE_D_GENERIC,
						 "there is no default_dispvm");
		o.template_name = source->name;
	}
	return qube__host_create(out, c->host, &o, c->req.source);
}

int qube__m_vm_create_disposable(struct qube__admin_call *c)
{
	struct qube__vm *vm;
	char want[8];
	bool uuid;
	int r = qube__payload_text(want, sizeof(want), c);

	if (r < 0)
		return r;
	uuid = !strcmp(want, "uuid");
	if (*want && !uuid)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL, "unexpected payload");
	if (*c->req.arg)
		return qube__fail_detail(QUBE_E_NOTSUP, QUBE_D_NOT_IMPLEMENTED,
					 "disposables are not preloaded");
	r = make_disposable(&vm, c, 0);
	if (r < 0)
		return r;
	return qube__reply(c, uuid ? "uuid:%s" : "%s", uuid ? vm->uuid : vm->name);
}

/* The connection stays, and with it the disposable: its end lets go of it. */
int qube__m_vm_create_held(struct qube__admin_call *c)
{
	struct qube__vm *vm;
	const char *pairs[2] = { "vm", NULL };
	int r = make_disposable(&vm, c, QUBE_DOMAIN_CREATE_BOUND);

	if (r < 0)
		return r;
	qube__text_copy(c->held, sizeof(c->held), vm->name);
	qube__text_copy(c->held_uuid, sizeof(c->held_uuid), vm->uuid);
	pairs[1] = vm->name;
	r = qube__wire_admin_event(&c->reply, "", "held", pairs, 1);
	if (r < 0)
		return qube__fail(r, "the answer cannot be written");
	c->stream(c);
	return 1;
}

int qube__m_vm_remove(struct qube__admin_call *c)
{
	return qube__host_destroy(c->host, c->dest);
}

static void on_life(struct qube__waiter *w, int code)
{
	struct qube__admin_call *c = qube__container_of(w, struct qube__admin_call, waiter);

	qube__list_init(&c->waiter.link);
	qube__admin_done(c, code);
}

/* The waiter may be called from inside fn, and c be gone then: only its result is looked at. */
static int later(struct qube__admin_call *c,
		 int (*fn)(struct qube__admin_call *c, struct qube__waiter *w))
{
	int r;

	c->waiter.fn = on_life;
	r = fn(c, &c->waiter);
	return r < 0 ? r : 1;
}

static int start(struct qube__admin_call *c, struct qube__waiter *w)
{
	return qube__life_start(c->host, c->dest, w, 0, NULL);
}

int qube__m_vm_start(struct qube__admin_call *c)
{
	/* Not halted: success, and nothing to wait for (admin-api.md 4). */
	if (c->dest->run && c->dest->state != QUBE__STATE_TRANSIENT)
		return 0;
	return later(c, start);
}

/* Of Qubes: force and wait. Ours: kill, keep, and timeout-5000 (milliseconds) or timeout-none. */
struct shutdown_words {
	uint32_t flags;
	bool wait;
	int32_t timeout_ms;
};

static int parse_timeout(int32_t *out, const char *word)
{
	uint64_t ms;

	if (!strcmp(word, "none")) {
		*out = -1;
		return 0;
	}
	if (qube__text_u64(&ms, word, INT32_MAX) < 0 || !ms)
		return QUBE_E_INVALID;
	*out = (int32_t)ms;
	return 0;
}

/* An option that is not known is refused, not skipped. */
static int parse_words(struct shutdown_words *out, const char *list)
{
	struct shutdown_words w = { 0 };
	char text[QUBE__ADMIN_ARG_MAX + 1];
	char *save = NULL;
	int r = qube__text_copy(text, sizeof(text), list);

	for (char *p = strtok_r(text, "+", &save); r == 0 && p; p = strtok_r(NULL, "+", &save)) {
		if (!strcmp(p, "force"))
			w.flags |= QUBE_DOMAIN_SHUTDOWN_FORCE;
		else if (!strcmp(p, "kill"))
			w.flags |= QUBE_DOMAIN_SHUTDOWN_OR_KILL;
		else if (!strcmp(p, "keep"))
			w.flags |= QUBE_DOMAIN_SHUTDOWN_KEEP;
		else if (!strcmp(p, "wait"))
			w.wait = true;
		else if (!strncmp(p, "timeout-", 8))
			r = parse_timeout(&w.timeout_ms, p + 8);
		else
			r = QUBE_E_INVALID;
	}
	if (r < 0)
		return qube__fail_detail(QUBE_E_INVALID, QUBE_D_PROTOCOL,
					 "admin.vm.Shutdown: unexpected argument");
	*out = w;
	return 0;
}

static int shut_down(struct qube__admin_call *c, struct qube__waiter *w)
{
	struct shutdown_words words;
	int r = parse_words(&words, c->req.arg);

	if (r < 0)
		return r;
	return qube__life_shutdown(c->host, c->dest, w, words.flags, words.timeout_ms);
}

int qube__m_vm_shutdown(struct qube__admin_call *c)
{
	struct shutdown_words words;
	int r = parse_words(&words, c->req.arg);

	if (r < 0)
		return r;
	return words.wait ? later(c, shut_down) : shut_down(c, NULL);
}

static int do_kill(struct qube__admin_call *c, struct qube__waiter *w)
{
	return qube__life_kill(c->host, c->dest, w);
}

int qube__m_vm_kill(struct qube__admin_call *c)
{
	return later(c, do_kill);
}

/* --- the same as operations, with their traces --- */

static int run_end(struct qube__admin_call *c, const struct shutdown_words *w)
{
	struct qube_domain_shutdown_opts o = { .size = sizeof(o) };
	qube_domain *d = NULL;
	int r = qube__host_domain_open(&d, &c->host->ctx, c->dest->name);

	if (r == 0)
		r = qube__admin_make_op(c);
	if (r == 0 && w) {
		o.flags = w->flags;
		o.timeout_ms = w->timeout_ms;
		r = qube__admin_run_op(c, qube__host_domain_shutdown(d, &o, c->op), NULL);
	} else if (r == 0) {
		r = qube__admin_run_op(c, qube__host_domain_kill(d, c->op), NULL);
	}
	qube_domain_unref(d);
	return r;
}

int qube__m_op_shutdown(struct qube__admin_call *c)
{
	struct shutdown_words words;
	int r = parse_words(&words, c->req.arg);

	return r < 0 ? r : run_end(c, &words);
}

int qube__m_op_kill(struct qube__admin_call *c)
{
	return run_end(c, NULL);
}

int qube__m_vm_pause(struct qube__admin_call *c)
{
	return qube__life_pause(c->host, c->dest, true);
}

int qube__m_vm_unpause(struct qube__admin_call *c)
{
	return qube__life_pause(c->host, c->dest, false);
}

int qube__m_vm_current_state(struct qube__admin_call *c)
{
	struct qube__run *run = c->dest->run;
	struct qube__machine_stats stats = { 0 };

	if (run && run->machine && c->host->ops->stats)
		c->host->ops->stats(run->machine, &stats);
	return qube__reply(c, "mem=%llu mem_static_max=%lld cputime=%llu power_state=%s",
			   (unsigned long long)stats.memory_bytes / 1024,
			   (long long)qube__vm_int(c->dest, QUBE__PROP_MAXMEM, 0) * 1024,
			   (unsigned long long)stats.cpu_ns,
			   qube__vm_state_name(qube__host_state(c->dest)));
}

/* --- events --- */

/* A value that is not ASCII: an event is never left out for it. */
static int send_escaped(struct qube__admin_call *c, const struct qube_event *ev)
{
	char space[8][256];
	const char *pairs[16];
	size_t n = 0;

	for (uint64_t i = 0; i < ev->n_fields && i < 8; i++) {
		pairs[n++] = ev->keys[i];
		pairs[n++] = qube__text_escape(space[i], sizeof(space[i]), ev->values[i],
					       strlen(ev->values[i]));
	}
	return qube__wire_admin_event(&c->reply, ev->subject, ev->name, pairs, n / 2);
}

static int send_event(struct qube__admin_call *c, const struct qube_event *ev)
{
	const char *pairs[32];
	size_t n = 0;
	int r;

	for (uint64_t i = 0; i < ev->n_fields && n + 1 < 32; i++) {
		pairs[n++] = ev->keys[i];
		pairs[n++] = ev->values[i];
	}
	r = qube__wire_admin_event(&c->reply, ev->subject, ev->name, pairs, n / 2);
	if (r == QUBE_E_INVALID)
		r = send_escaped(c, ev);
	if (r < 0) {
		/* Better no stream than one with a gap: the client begins anew. */
		qube__ctx_unlisten(&c->listener);
		qube__admin_done(c, qube__fail(r, "an event could not be sent"));
		return r;
	}
	c->stream(c);
	return 0;
}

static void on_event(struct qube__listener *l, const struct qube_event *ev)
{
	struct qube__admin_call *c = qube__container_of(l, struct qube__admin_call, listener);

	/* A stream for one qube: req.dest was checked to be its name or uuid when it began. */
	if (strcmp(c->req.dest, "dom0") && strcmp(c->req.dest, ev->subject))
		return;
	send_event(c, ev);
}

int qube__m_events(struct qube__admin_call *c)
{
	struct qube_event hello = { .subject = "", .name = "connection-established" };

	qube__text_copy(c->req.dest, sizeof(c->req.dest), c->dest->name);
	qube__ctx_listen(&c->host->ctx, &c->listener, on_event);
	if (send_event(c, &hello) < 0)
		qube__ctx_unlisten(&c->listener);
	return 1;
}
