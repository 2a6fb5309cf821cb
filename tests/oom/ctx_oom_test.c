/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A host in memory and a connection to one with each allocation failing in turn: no memory or
 * success, nothing else, and afterwards everything works. */
#include "qtest.h"
#include "rig.h"

#include "core/host.h"

#include <jansson.h>
#include <stdlib.h>

__attribute__((constructor)) static void lend_malloc(void)
{
	json_set_alloc_funcs(malloc, free);
}

/* Whatever failed before, this host starts and stops qubes. */
static int in_order(qube_ctx *ctx)
{
	qube_domain *d = rig_domain(ctx, "work");
	int r;

	if (!d)
		return 0;
	rig_drain(ctx);
	if (qube_domain_get_state(d) != QUBE_STATE_HALTED)
		qube_domain_kill(d, NULL);
	r = qube_domain_start(d, NULL);
	if (r == 0)
		r = qube_domain_kill(d, NULL);
	qube_domain_unref(d);
	rig_drain(ctx);
	return r == 0 && qube__list_empty(&ctx->ops) && qube__list_empty(&ctx->loop.timers);
}

static int open_fake(qube_ctx **out)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;

	o.mode = QUBE_MODE_FAKE;
	return qube_ctx_open(out, &o);
}

QTEST(oom, ctx_open_survives_every_failed_allocation)
{
	qube_ctx *ctx = NULL;

	QT_EACH_OOM(open_fake(&ctx), qube_ctx_unref(ctx));
}

static int create_one(qube_ctx *ctx, qube_domain **out)
{
	struct qube_domain_create_opts o = { .size = sizeof(o), .name = "new" };

	o.template_name = "deb";
	return qube_domain_create(out, ctx, &o);
}

static void remove_one(qube_domain *d)
{
	qube_domain_destroy(d);
	qube_domain_unref(d);
}

QTEST(oom, domain_create_survives_every_failed_allocation)
{
	CTX ctx = rig_open();
	qube_domain *d = NULL;

	for (long nth = 1;; nth++) {
		qube_domain *left = NULL;
		int r;
		long fired;

		qtest_oom_arm(nth);
		r = create_one(ctx, &d);
		fired = qtest_oom_disarm();
		if (r == 0) {
			remove_one(d);
		} else {
			QT_INT(r, QUBE_E_NOMEM);
			/* Made but for its handle, or not at all: never half. */
			if (qube_domain_open(&left, ctx, "new") == 0)
				remove_one(left);
		}
		if (!fired)
			break;
	}
	QT_TRUE(in_order(ctx));
}

QTEST(oom, domain_start_survives_every_failed_allocation)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	QT_EACH_OOM(qube_domain_start(d, NULL), qube_domain_kill(d, NULL));
	QT_TRUE(in_order(ctx));
}

QTEST(oom, domain_stop_survives_every_failed_allocation)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	QT_INT(qube_domain_start(d, NULL), 0);
	QT_EACH_OOM(qube_domain_shutdown(d, NULL, NULL), qube_domain_start(d, NULL));
	QT_EACH_OOM(qube_domain_kill(d, NULL), qube_domain_start(d, NULL));
	QT_TRUE(in_order(ctx));
}

static int settings(qube_domain *d)
{
	struct qube_property p = { .size = sizeof(p) };
	char **list = NULL;
	char *text = NULL;
	int r = qube_domain_property_set(d, "label", "blue");

	if (r == 0)
		r = qube_domain_property_fetch(&p, d, "label");
	if (r == 0)
		qube_free(p.value);
	if (r == 0)
		r = qube_domain_tag_add(d, "a");
	if (r == 0)
		r = qube_domain_tag_list(&list, d);
	if (r == 0) {
		qube_strings_free(list);
		r = qube_domain_feature_set(d, "f", "v");
	}
	if (r == 0)
		r = qube_domain_notes_set(d, "noted");
	if (r == 0) {
		r = qube_domain_notes_fetch(&text, d);
		if (r == 0)
			qube_free(text);
	}
	if (r == 0)
		r = qube_domain_feature_list(&list, d);
	if (r == 0) {
		qube_strings_free(list);
		r = qube_domain_feature_fetch(&text, d, "f");
	}
	if (r == 0) {
		qube_free(text);
		r = qube_domain_property_list(&list, d);
	}
	if (r == 0) {
		qube_strings_free(list);
		r = qube_domain_volume_list(&list, d);
	}
	if (r == 0)
		qube_strings_free(list);
	return r;
}

QTEST(oom, settings_survive_every_failed_allocation)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	QT_EACH_OOM(settings(d), (void)0);
	QT_INT(settings(d), 0);
}

static int labels(qube_ctx *ctx)
{
	struct qube_label_info info = { .size = sizeof(info) };
	char **list = NULL;
	int r = qube_label_create(ctx, "mauve", 0xe0b0ff);

	if (r == QUBE_E_EXISTS)
		r = 0; /* it was made, and what came then failed */
	if (r == 0)
		r = qube_label_list(&list, ctx);
	if (r == 0)
		qube_strings_free(list);
	if (r == 0)
		r = qube_label_info_fetch(&info, ctx, "mauve");
	if (r == 0)
		r = qube_label_destroy(ctx, "mauve");
	return r == QUBE_E_NOENT ? 0 : r; /* the host did it, and we had no room for its answer */
}

QTEST(oom, labels_survive_every_failed_allocation)
{
	CTX ctx = rig_open();

	QT_EACH_OOM(labels(ctx), (void)0);
	QT_INT(labels(ctx), 0);
}

static int globals(qube_ctx *ctx)
{
	struct qube_property p = { .size = sizeof(p) };
	char **list = NULL;
	int r = qube_ctx_property_set(ctx, "default_template", "deb");

	if (r == 0)
		r = qube_ctx_property_list(&list, ctx);
	if (r == 0)
		qube_strings_free(list);
	if (r == 0)
		r = qube_ctx_property_fetch(&p, ctx, "default_template");
	if (r == 0)
		qube_free(p.value);
	return r == 0 ? qube_ctx_property_reset(ctx, "default_template") : r;
}

QTEST(oom, properties_of_the_host_survive_every_failed_allocation)
{
	CTX ctx = rig_open();

	QT_EACH_OOM(globals(ctx), (void)0);
	QT_INT(globals(ctx), 0);
}

static int lists(qube_ctx *ctx)
{
	qube_domain **all = NULL;
	char *text = NULL;
	size_t n = 0;
	int r = qube_domain_list(&all, &n, ctx);

	if (r < 0)
		return r;
	qube_domain_list_free(all, n);
	r = qube_ctx_system_info_fetch(&text, ctx);
	if (r == 0)
		qube_free(text);
	return r;
}

QTEST(oom, lists_survive_every_failed_allocation)
{
	CTX ctx = rig_open();

	QT_EACH_OOM(lists(ctx), (void)0);
}

static int clone_it(qube_domain *d)
{
	return qube_domain_clone(d, "copy", NULL);
}

static void drop_copy(qube_ctx *ctx)
{
	qube_domain *d = rig_domain(ctx, "copy");

	if (d)
		remove_one(d);
}

QTEST(oom, a_clone_survives_every_failed_allocation)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	QT_EACH_OOM(clone_it(d), drop_copy(ctx));
	QT_TRUE(in_order(ctx));
}

static void ignore(void *user, const struct qube_event *ev)
{
	(void)user;
	(void)ev;
}

QTEST(oom, a_subscription_survives_every_failed_allocation)
{
	struct qube_callback cb = { .fn = ignore };
	CTX ctx = rig_open();
	qube_subscription *s = NULL;

	QT_EACH_OOM(qube_ctx_subscribe(&s, ctx, &cb), qube_subscription_unref(s));
}

static int wait_and_cancel(qube_domain *d)
{
	qube_op *op = NULL;
	int r = qube_domain_wait(d, QUBE_STATE_PAUSED, &op);

	if (r < 0)
		return r;
	qube_op_cancel(op);
	qube_op_unref(op);
	return 0;
}

QTEST(oom, a_wait_survives_every_failed_allocation)
{
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");

	QT_EACH_OOM(wait_and_cancel(d), (void)0);
	QT_TRUE(in_order(ctx));
}

static int admin(qube_ctx *ctx, const char *method, const char *arg, const char *dest,
		 const char *payload)
{
	struct qube_admin_request rq = {
		.size = sizeof(rq),
		.dest = dest,
		.method = method,
		.argument = arg,
		.payload = payload,
		.payload_len = payload ? strlen(payload) : 0,
	};
	char *text = NULL;
	int r = qube_admin_call(&text, NULL, ctx, &rq);

	if (r == 0)
		qube_free(text);
	return r;
}

QTEST(oom, admin_calls_survive_every_failed_allocation)
{
	CTX ctx = rig_open();

	QT_EACH_OOM(admin(ctx, "admin.vm.List", NULL, "dom0", NULL), (void)0);
	QT_EACH_OOM(admin(ctx, "qube.GetAll", NULL, "dom0", NULL), (void)0);
	QT_EACH_OOM(admin(ctx, "internal.GetSystemInfo", NULL, "dom0", NULL), (void)0);
	QT_EACH_OOM(admin(ctx, "admin.vm.feature.Set", "f", "work", "v"), (void)0);
	QT_EACH_OOM(admin(ctx, "qube.Start", NULL, "work", NULL),
		    admin(ctx, "admin.vm.Kill", NULL, "work", NULL));
	QT_EACH_OOM(admin(ctx, "admin.vm.CreateDisposable", NULL, "dvm", NULL), (void)0);
	QT_TRUE(in_order(ctx));
}

/* --- connected: the host has its memory, this side has not --- */

QTEST(oom, a_connection_survives_every_failed_allocation)
{
	struct qube_callback cb = { .fn = ignore };
	struct rig_server s;
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;
	qube_ctx *ctx = NULL;
	qube_domain *d = NULL;
	qube_subscription *sub = NULL;

	QT_INT(rig_serve(&s), 0);
	o.mode = QUBE_MODE_CONNECTED;
	o.socket_path = s.socket_path;
	QT_EACH_OOM(qube_ctx_open(&ctx, &o), qube_ctx_unref(ctx));
	QT_INT(qube_ctx_open(&ctx, &o), 0);
	QT_EACH_OOM(lists(ctx), (void)0);
	QT_EACH_OOM(labels(ctx), (void)0);
	QT_EACH_OOM(globals(ctx), (void)0);
	QT_EACH_OOM(qube_domain_open(&d, ctx, "work"), qube_domain_unref(d));
	QT_INT(qube_domain_open(&d, ctx, "work"), 0);
	QT_EACH_OOM(settings(d), (void)0);
	QT_EACH_OOM(qube_domain_start(d, NULL), qube_domain_kill(d, NULL));
	qube_domain_kill(d, NULL);
	QT_EACH_OOM(qube_ctx_subscribe(&sub, ctx, &cb), qube_subscription_unref(sub));
	QT_EACH_OOM(wait_and_cancel(d), (void)0);
	qube_domain_unref(d);
	qube_ctx_unref(ctx);
	rig_serve_end(&s);
}
