/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Contexts: options that fail closed, subscriptions, misuse. */
#include "qtest.h"
#include "rig.h"

#include "core/ctx.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

QTEST(ctx, options_fail_closed)
{
	struct {
		struct qube_ctx_opts o;
		uint64_t later;
	} big = { .o = QUBE_CTX_OPTS_INIT };
	qube_ctx *ctx = NULL;

	big.o.mode = QUBE_MODE_FAKE;
	QT_INT(qube_ctx_open(NULL, &big.o), QUBE_E_INVALID);
	big.o.size = 4;
	QT_INT(qube_ctx_open(&ctx, &big.o), QUBE_E_INVALID);
	big.o.size = 100000;
	QT_INT(qube_ctx_open(&ctx, &big.o), QUBE_E_INVALID);
	big.o.size = sizeof(big);
	big.later = 1;
	QT_INT(qube_ctx_open(&ctx, &big.o), QUBE_E_NOTSUP);
	big.later = 0;
	big.o.flags = 1u << 30;
	QT_INT(qube_ctx_open(&ctx, &big.o), QUBE_E_INVALID);
	big.o.flags = 0;
	big.o.mode = 17;
	QT_INT(qube_ctx_open(&ctx, &big.o), QUBE_E_INVALID);
	big.o.mode = QUBE_MODE_EMBEDDED;
	big.o.driver = "xem";
	QT_INT(qube_ctx_open(&ctx, &big.o), QUBE_E_NOENT);
	QT_STR(qube_error_last()->message, "no driver named 'xem'");
	QT_STR(qube_error_last()->where, "qube_ctx_open");
	big.o.driver = NULL;
	big.o.state_dir = "not/absolute";
	QT_INT(qube_ctx_open(&ctx, &big.o), QUBE_E_INVALID);
	big.o.mode = QUBE_MODE_CONNECTED;
	big.o.socket_path = "/nonexistent/socket";
	QT_INT(qube_ctx_open(&ctx, &big.o), QUBE_E_NOENT);
	QT_TRUE(ctx == NULL);
	big.o.mode = QUBE_MODE_FAKE;
	big.o.state_dir = NULL;
	QT_INT(qube_ctx_open(&ctx, &big.o), 0);
	qube_ctx_unref(ctx);
}

QTEST(ctx, every_call_refuses_unknown_flags_and_reserved_fields)
{
	struct qube_domain_create_opts c = { .size = sizeof(c), .flags = 2, .name = "x" };
	struct qube_domain_shutdown_opts s = { .size = sizeof(s), .flags = 64 };
	struct qube_call_opts call = { .size = sizeof(call), .flags = 64, .service = "a" };
	struct qube_copy_opts copy = { .size = sizeof(copy), .path = "", .name = "n", .flags = 64 };
	struct qube_template_import_opts t = { .size = sizeof(t), .flags = 64, .name = "t" };
	struct qube_property p = { .size = 3 };
	struct qube_volume_info v = { .size = 3 };
	struct qube_pool_info pool = { .size = 3 };
	struct qube_admin_request rq = { .size = sizeof(rq), .reserved0 = 1, .method = "m" };
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	qube_domain *made = NULL;
	char *text = NULL;

	QT_INT(qube_domain_create(&made, ctx, &c), QUBE_E_INVALID);
	QT_INT(qube_domain_create(&made, ctx, NULL), QUBE_E_INVALID);
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(qube_domain_shutdown(d, &s, NULL), QUBE_E_INVALID);
	s.flags = 0;
	s.reserved0 = 1;
	QT_INT(qube_domain_shutdown(d, &s, NULL), QUBE_E_INVALID);
	QT_INT(qube_domain_call(d, &call, NULL), QUBE_E_INVALID);
	call.flags = 0;
	call.reserved0 = 1;
	QT_INT(qube_domain_call(d, &call, NULL), QUBE_E_INVALID);
	QT_INT(qube_domain_copy_in(d, &copy, NULL), QUBE_E_INVALID);
	copy.flags = 0;
	copy.reserved0 = 1;
	QT_INT(qube_domain_copy_out(d, &copy, NULL), QUBE_E_INVALID);
	copy.reserved0 = 0;
	copy.name = "a/b";
	QT_INT(qube_domain_copy_out(d, &copy, NULL), QUBE_E_INVALID);
	copy.name = "..";
	QT_INT(qube_domain_copy_out(d, &copy, NULL), QUBE_E_INVALID);
	copy.name = NULL;
	QT_INT(qube_domain_copy_in(d, &copy, NULL), QUBE_E_INVALID);
	QT_INT(qube_template_import(ctx, &t, NULL), QUBE_E_INVALID);
	QT_INT(qube_domain_property_fetch(&p, d, "name"), QUBE_E_INVALID);
	QT_INT(qube_domain_volume_info_fetch(&v, d, "root"), QUBE_E_INVALID);
	QT_INT(qube_pool_info_fetch(&pool, ctx, "default"), QUBE_E_INVALID);
	QT_INT(qube_admin_call(&text, NULL, ctx, &rq), QUBE_E_INVALID);
	QT_INT(qube_domain_wait(d, 99, NULL), QUBE_E_INVALID);
	QT_INT(qube_domain_open(&made, ctx, NULL), QUBE_E_INVALID);
	QT_TRUE(made == NULL && text == NULL);
	QT_INT(qube_domain_get_state(d), QUBE_STATE_RUNNING);
}

QTEST(ctx, a_fake_host_says_what_it_cannot)
{
	struct qube_call_opts call = { .size = sizeof(call),
				       .command = "true",
				       .stdin_fd = -1,
				       .stdout_fd = -1,
				       .stderr_fd = -1 };
	struct qube_template_import_opts t = {
		.size = sizeof(t),
		.flags = QUBE_TEMPLATE_IMPORT_HOST,
		.name = "t",
	};
	struct qube_copy_opts copy = { .size = sizeof(copy), .path = "", .name = "n", .fd = -1 };
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	QT_INT(qube_domain_copy_in(d, &copy, NULL), QUBE_E_NOTSUP);
	QT_INT(qube_domain_copy_out(d, &copy, NULL), QUBE_E_NOTSUP);
	QT_INT(qube_ctx_get_isolation(ctx), QUBE_ISOLATION_NONE);
	QT_INT(qube_template_import(ctx, &t, NULL), QUBE_E_NOTSUP);
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_TRUE(qube_domain_call(d, &call, NULL) < 0);
	call.service = "both";
	QT_INT(qube_domain_call(d, &call, NULL), QUBE_E_INVALID);
	call.service = NULL;
	call.command = NULL;
	QT_INT(qube_domain_call(d, &call, NULL), QUBE_E_INVALID);
	QT_STR(qube_domain_get_unenforced(d), "memory vcpus pids");
}

/* --- subscriptions --- */

struct sub {
	struct sub *other;
	qube_ctx *ctx;
	qube_subscription *s;
	int heard;
	int frees;
	bool once;
	bool drop_other;
	bool grow;
	qube_subscription *grown[4];
	size_t n_grown;
};

static void hear(void *user, const struct qube_event *ev);

static void count_free(void *user)
{
	((struct sub *)user)->frees++;
}

static int listen_to(qube_ctx *ctx, struct sub *s)
{
	struct qube_callback cb = { .fn = hear, .user = s, .free = count_free };

	s->ctx = ctx;
	return qube_ctx_subscribe(&s->s, ctx, &cb);
}

static void only_count(void *user, const struct qube_event *ev)
{
	(void)ev;
	((struct sub *)user)->heard += 1000;
}

static void hear(void *user, const struct qube_event *ev)
{
	struct sub *s = user;

	(void)ev;
	s->heard++;
	if (s->once) {
		qube_subscription_unref(s->s);
		s->s = NULL;
	}
	if (s->drop_other && s->other->s) {
		qube_subscription_unref(s->other->s);
		s->other->s = NULL;
	}
	if (s->grow && s->n_grown < 1) {
		struct qube_callback cb = { .fn = only_count, .user = s };

		qube_ctx_subscribe(&s->grown[s->n_grown++], s->ctx, &cb);
	}
}

static void two_events(qube_ctx *ctx)
{
	qube_domain *d = rig_domain(ctx, "work");

	qube_domain_tag_add(d, "one");
	qube_domain_tag_add(d, "two");
	qube_domain_tag_remove(d, "one");
	qube_domain_tag_remove(d, "two");
	qube_domain_unref(d);
	rig_drain(ctx);
}

QTEST(subscription, ends_inside_its_own_callback)
{
	struct sub a = { .once = true };
	struct sub b = { 0 };
	CTX ctx = rig_open();

	rig_drain(ctx);
	QT_INT(listen_to(ctx, &a), 0);
	QT_INT(listen_to(ctx, &b), 0);
	two_events(ctx);
	QT_INT(a.heard, 1);
	QT_INT(a.frees, 1);
	QT_INT(b.heard, 4);
	qube_subscription_unref(b.s);
	QT_INT(b.frees, 1);
}

QTEST(subscription, ends_another_that_has_not_heard_yet)
{
	struct sub a = { .drop_other = true };
	struct sub b = { 0 };
	CTX ctx = rig_open();

	a.other = &b;
	rig_drain(ctx);
	QT_INT(listen_to(ctx, &a), 0);
	QT_INT(listen_to(ctx, &b), 0);
	two_events(ctx);
	QT_INT(a.heard, 4);
	QT_INT(b.heard, 0);
	QT_INT(b.frees, 1);
	qube_subscription_unref(a.s);
}

QTEST(subscription, one_made_in_a_callback_hears_the_next_event_only)
{
	struct sub a = { .grow = true };
	CTX ctx = rig_open();

	rig_drain(ctx);
	QT_INT(listen_to(ctx, &a), 0);
	two_events(ctx);
	QT_INT(a.heard, 4 + 3 * 1000);
	qube_subscription_unref(a.grown[0]);
	qube_subscription_unref(a.s);
}

QTEST(subscription, is_released_also_when_it_could_not_be_made)
{
	struct sub a = { 0 };
	struct qube_callback cb = { .fn = hear, .user = &a, .free = count_free };
	qube_subscription *s = NULL;
	CTX ctx = rig_open();

	QT_INT(qube_ctx_subscribe(&s, NULL, &cb), QUBE_E_INVALID);
	QT_INT(a.frees, 1);
	cb.fn = NULL;
	QT_INT(qube_ctx_subscribe(&s, ctx, &cb), QUBE_E_INVALID);
	QT_INT(a.frees, 2);
	QT_TRUE(s == NULL);
	qube_subscription_unref(NULL);
}

QTEST(subscription, outlives_every_other_reference_to_its_context)
{
	struct sub a = { 0 };
	qube_ctx *ctx = rig_open();

	QT_INT(listen_to(ctx, &a), 0);
	qube_ctx_unref(ctx);
	qube_subscription_unref(a.s);
	QT_INT(a.frees, 1);
}

QTEST(subscription, an_application_that_does_not_dispatch_costs_a_bounded_memory)
{
	static struct text t;
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	SUB sub = NULL;
	size_t lines = 0;

	rig_drain(ctx);
	sub = rig_record(ctx, &t);
	t = (struct text){ 0 };
	for (int i = 0; i < 3000; i++) {
		QT_INT(qube_domain_feature_set(d, "f", "v"), 0);
		QT_INT(qube_domain_feature_remove(d, "f"), 0);
	}
	for (int more = 1; more == 1;) {
		more = qube_ctx_dispatch(ctx, 0);
		for (const char *p = t.s; (p = strchr(p, '\n')); p++)
			lines++;
		t = (struct text){ 0 };
	}
	QT_INT(lines, 4096);
	(void)sub;
}

/* --- misuse --- */

static void wait_in_log(void *user, int32_t priority, const char *line)
{
	struct sub *s = user;

	(void)priority;
	(void)line;
	if (s->ctx)
		s->heard = qube_ctx_dispatch(s->ctx, 0);
}

QTEST(ctx, the_log_callback_must_not_dispatch)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;
	struct sub s = { 0 };
	qube_ctx *ctx = NULL;
	qube_domain *d = NULL;
	struct qube_domain_create_opts c = { .size = sizeof(c),
					     .name = "t",
					     .klass = "TemplateVM" };

	o.mode = QUBE_MODE_FAKE;
	o.log = wait_in_log;
	o.log_user = &s;
	o.log_priority = 7;
	QT_INT(qube_ctx_open(&ctx, &o), 0);
	s.ctx = ctx;
	QT_INT(qube_domain_create(&d, ctx, &c), 0);
	QT_INT(qube_domain_start(d, NULL), 0);
	QT_INT(s.heard, QUBE_E_INVALID);
	s.ctx = NULL;
	qube_domain_unref(d);
	qube_ctx_unref(ctx);
}

#ifdef QUBE_DEBUG
struct other {
	qube_ctx *ctx;
	int result;
};

static void *intrude(void *arg)
{
	struct other *o = arg;

	/* Until the other thread waits inside. */
	while (!__atomic_load_n(&o->ctx->user_thread, __ATOMIC_RELAXED))
		sched_yield();
	o->result = qube_ctx_dispatch(o->ctx, 0);
	qube_ctx_wakeup(o->ctx);
	return NULL;
}

QTEST(ctx, another_thread_is_refused_while_one_waits)
{
	CTX ctx = rig_open();
	struct other o = { .ctx = ctx };
	pthread_t t;

	rig_drain(ctx);
	QT_INT(pthread_create(&t, NULL, intrude, &o), 0);
	QT_TRUE(qube_ctx_dispatch(ctx, -1) >= 0);
	pthread_join(t, NULL);
	QT_INT(o.result, QUBE_E_INVALID);
}
#endif

QTEST(ctx, the_descriptor_is_readable_while_work_is_due)
{
	static struct text t;
	CTX ctx = rig_open();
	SUB sub = NULL;
	DOMAIN d = rig_domain(ctx, "work");
	struct pollfd p = { .fd = qube_ctx_get_fd(ctx), .events = POLLIN };

	rig_drain(ctx);
	sub = rig_record(ctx, &t);
	t = (struct text){ 0 };
	QT_INT(poll(&p, 1, 0), 0);
	QT_INT(qube_domain_tag_add(d, "a"), 0);
	QT_INT(poll(&p, 1, 0), 1);
	QT_INT(qube_ctx_dispatch(ctx, 0), 0);
	QT_STR(t.s, "work domain-tag-add:a tag=a\n");
	QT_INT(poll(&p, 1, 0), 0);
	qube_ctx_wakeup(ctx);
	QT_INT(poll(&p, 1, 0), 1);
	QT_INT(qube_ctx_get_fd(ctx), p.fd);
	(void)sub;
}

QTEST(ctx, the_system_as_the_policy_sees_it)
{
	CTX ctx = rig_open();
	char *text = NULL;

	QT_INT(qube_ctx_system_info_fetch(&text, ctx), 0);
	QT_TRUE(strstr(text, "\"work\"") && strstr(text, "\"dom0\""));
	QT_TRUE(strstr(text, "\"power_state\":\"Halted\"") != NULL);
	qube_free(text);
}
