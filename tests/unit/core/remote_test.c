/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A connected context lives the same story as the host itself, and outlives the host. */
#include "qtest.h"
#include "scenario.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void first_difference(const struct text *a, const struct text *b, char *out, size_t cap)
{
	const char *p = a->s;
	const char *q = b->s;

	while (*p && *q) {
		size_t n = strcspn(p, "\n");
		size_t m = strcspn(q, "\n");

		if (n != m || strncmp(p, q, n)) {
			snprintf(out, cap, "host: %.*s | connected: %.*s", (int)n, p, (int)m, q);
			return;
		}
		p += n + (p[n] == '\n');
		q += m + (q[m] == '\n');
	}
	snprintf(out, cap, *p || *q ? "one ends early: %.100s" : "", *p ? p : q);
}

static void compare(void (*story)(qube_ctx *ctx, struct text *t), const char *name)
{
	static struct text host_told;
	static struct text told;
	struct rig_server s;
	char diff[2048];
	CTX here = rig_open();
	qube_ctx *there;

	host_told = (struct text){ 0 };
	told = (struct text){ 0 };
	QT_TRUE(here != NULL);
	QT_INT(rig_serve(&s), 0);
	there = rig_connect(&s);
	if (there) {
		story(here, &host_told);
		story(there, &told);
	}
	qube_ctx_unref(there);
	rig_serve_end(&s);
	QT_TRUE(there != NULL);
	first_difference(&host_told, &told, diff, sizeof(diff));
	if (*diff)
		qtest_fail(__FILE__, __LINE__, "%s: %s", name, diff);
	QT_TRUE(host_told.len > 500);
}

QTEST(remote, lives_the_same_life)
{
	compare(scenario_life, "life");
}

QTEST(remote, has_the_same_settings)
{
	compare(scenario_settings, "settings");
}

static qube_domain *bound_disposable(qube_ctx *ctx)
{
	struct qube_domain_create_opts o = {
		.size = sizeof(o),
		.flags = QUBE_DOMAIN_CREATE_DISPOSABLE | QUBE_DOMAIN_CREATE_BOUND,
		.template_name = "dvm",
	};
	qube_domain *d = NULL;

	return qube_domain_create(&d, ctx, &o) == 0 ? d : NULL;
}

static bool is_there(qube_ctx *ctx, const char *name)
{
	qube_domain *d = NULL;

	if (qube_domain_open(&d, ctx, name) < 0)
		return false;
	qube_domain_unref(d);
	return true;
}

QTEST(remote, a_bound_disposable_ends_with_the_context_that_made_it)
{
	struct rig_server s;
	uint64_t end = qube__now_ms() + 5000;
	char names[2][32];
	qube_ctx *maker;
	qube_ctx *other;

	QT_INT(rig_serve(&s), 0);
	maker = rig_connect(&s);
	other = rig_connect(&s);
	/* One that runs, and one that was never started. */
	for (int i = 0; i < 2; i++) {
		qube_domain *d = bound_disposable(maker);

		QT_TRUE(d != NULL);
		snprintf(names[i], sizeof(names[i]), "%s", qube_domain_get_name(d));
		if (i == 0)
			QT_INT(qube_domain_start(d, NULL), 0);
		qube_domain_unref(d);
	}
	QT_TRUE(is_there(other, names[0]) && is_there(other, names[1]));
	qube_ctx_unref(maker);
	while ((is_there(other, names[0]) || is_there(other, names[1])) && qube__now_ms() < end)
		rig_drain(other);
	QT_TRUE(!is_there(other, names[0]) && !is_there(other, names[1]));
	qube_ctx_unref(other);
	rig_serve_end(&s);
}

QTEST(remote, has_the_same_properties_of_the_host)
{
	compare(scenario_globals, "globals");
}

QTEST(remote, has_the_same_notes)
{
	compare(scenario_notes, "notes");
}

QTEST(remote, has_the_same_labels)
{
	compare(scenario_labels, "labels");
}

QTEST(remote, is_refused_alike)
{
	compare(scenario_refusals, "refusals");
}

QTEST(remote, lives_the_same_life_with_its_event_stream)
{
	static struct text t;
	static struct text host_told;
	static struct text told;
	struct rig_server s;
	char diff[2048];
	CTX here = rig_open();
	qube_ctx *there;
	qube_subscription *sub;

	QT_INT(rig_serve(&s), 0);
	there = rig_connect(&s);
	sub = rig_record(there, &t);
	/* Settled first: a getter answers from what the stream told so far. */
	scenario_settings(here, &host_told);
	scenario_settings(there, &told);
	qube_subscription_unref(sub);
	qube_ctx_unref(there);
	rig_serve_end(&s);
	first_difference(&host_told, &told, diff, sizeof(diff));
	if (*diff)
		qtest_fail(__FILE__, __LINE__, "%s", diff);
}

static bool has_line(const struct text *t, const char *line)
{
	return strstr(t->s, line) != NULL;
}

QTEST(remote, hears_the_events_of_the_host_and_remembers_what_they_say)
{
	static struct text t;
	struct rig_server s;
	uint64_t deadline = qube__now_ms() + 5000;
	qube_ctx *a;
	qube_ctx *b;
	qube_domain *da;
	qube_domain *db;
	qube_subscription *sub;

	QT_INT(rig_serve(&s), 0);
	a = rig_connect(&s);
	b = rig_connect(&s);
	da = rig_domain(a, "work");
	db = rig_domain(b, "work");
	t = (struct text){ 0 };
	QT_STR(qube_domain_get_label(da), "red");
	sub = rig_record(a, &t);
	QT_INT(qube_domain_get_state(da), QUBE_STATE_HALTED);
	QT_INT(qube_domain_start(db, NULL), 0);
	QT_INT(qube_domain_property_set(db, "label", "blue"), 0);
	while (!has_line(&t, "newvalue=blue") && qube__now_ms() < deadline)
		qube_ctx_dispatch(a, 50);
	QT_TRUE(has_line(&t, "- connection-established\n"));
	QT_TRUE(has_line(&t, "work domain-pre-start start_guid=True\n"
			     "work domain-spawn start_guid=True\n"
			     "work domain-start start_guid=True\n"
			     "work property-set:label name=label newvalue=blue oldvalue=red\n"));
	QT_INT(qube_domain_get_state(da), QUBE_STATE_RUNNING);
	QT_STR(qube_domain_get_label(da), "blue");
	qube_subscription_unref(sub);
	qube_domain_unref(da);
	qube_domain_unref(db);
	qube_ctx_unref(a);
	qube_ctx_unref(b);
	rig_serve_end(&s);
}

QTEST(remote, a_host_that_ends_is_told_and_every_call_says_so)
{
	static struct text t;
	struct rig_server s;
	uint64_t deadline = qube__now_ms() + 5000;
	qube_ctx *ctx;
	qube_domain *d;
	qube_domain *none = NULL;
	qube_op *op = NULL;
	qube_subscription *sub;

	QT_INT(rig_serve(&s), 0);
	ctx = rig_connect(&s);
	d = rig_domain(ctx, "work");
	sub = rig_record(ctx, &t);
	t = (struct text){ 0 };
	QT_INT(qube_domain_wait(d, QUBE_STATE_RUNNING, &op), 0);
	rig_serve_end(&s);
	QT_INT(qube_op_wait(op, 5000), QUBE_E_CLOSED);
	while (!has_line(&t, "- connection-lost\n") && qube__now_ms() < deadline)
		qube_ctx_dispatch(ctx, 50);
	QT_TRUE(has_line(&t, "- connection-lost\n"));
	QT_INT(qube_domain_start(d, NULL), QUBE_E_NOENT);
	QT_INT(qube_domain_open(&none, ctx, "work"), QUBE_E_NOENT);
	QT_STR(qube_domain_get_name(d), "work");
	qube_op_unref(op);
	qube_subscription_unref(sub);
	qube_domain_unref(d);
	qube_ctx_unref(ctx);
}

QTEST(remote, closes_over_what_nobody_holds)
{
	struct rig_server s;
	qube_ctx *ctx;
	qube_domain *d;
	qube_op *op[2] = { NULL };

	QT_INT(rig_serve(&s), 0);
	ctx = rig_connect(&s);
	d = rig_domain(ctx, "work");
	QT_INT(qube_domain_wait(d, QUBE_STATE_PAUSED, &op[0]), 0);
	QT_INT(qube_domain_start(d, &op[1]), 0);
	qube_domain_unref(d);
	qube_op_unref(op[0]);
	qube_op_unref(op[1]);
	qube_ctx_unref(ctx);
	rig_serve_end(&s);
}

/* --- a daemon that knows the Admin API and nothing of ours --- */

struct qubesd {
	char dir[64];
	struct sockaddr_un sa;
	int listener;
	int starts;
	int foreign;
	pthread_t thread;
};

static void answer(struct qubesd *q, int fd)
{
	static const char no[] = "2\0ProtocolError\0\0no such method: 'x'";
	static const char one[] = "0\0work class=AppVM state=Halted "
				  "uuid=11111111-1111-4111-8111-111111111111\n";
	char text[4096] = "";
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	if (!strncmp(text, "admin.vm.List", 13)) {
		send(fd, one, sizeof(one) - 1, MSG_NOSIGNAL);
	} else if (!strncmp(text, "admin.", 6)) {
		q->starts += !strncmp(text, "admin.vm.Start", 14);
		send(fd, "0", 2, MSG_NOSIGNAL);
	} else {
		q->foreign++;
		send(fd, no, sizeof(no), MSG_NOSIGNAL);
	}
	close(fd);
}

static void *be_qubesd(void *arg)
{
	struct qubesd *q = arg;
	int fd;

	while ((fd = accept(q->listener, NULL, NULL)) >= 0)
		answer(q, fd);
	return NULL;
}

static int qubesd_begin(struct qubesd *q)
{
	*q = (struct qubesd){ .sa = { .sun_family = AF_UNIX } };
	snprintf(q->dir, sizeof(q->dir), "/tmp/qube-test-XXXXXX");
	if (!mkdtemp(q->dir))
		return -1;
	snprintf(q->sa.sun_path, sizeof(q->sa.sun_path), "%s/sock", q->dir);
	q->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(q->listener, (struct sockaddr *)&q->sa, sizeof(q->sa)) < 0 ||
	    listen(q->listener, 16) < 0)
		return -1;
	return pthread_create(&q->thread, NULL, be_qubesd, q);
}

static void qubesd_end(struct qubesd *q)
{
	shutdown(q->listener, SHUT_RDWR);
	pthread_join(q->thread, NULL);
	close(q->listener);
	unlink(q->sa.sun_path);
	rmdir(q->dir);
}

QTEST(remote, starts_a_qube_of_a_daemon_that_does_not_know_our_methods)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;
	struct qubesd q;
	qube_ctx *ctx = NULL;
	qube_domain *d = NULL;
	char *text = NULL;
	int started;
	int cloned;
	int logged;

	QT_INT(qubesd_begin(&q), 0);
	o.mode = QUBE_MODE_CONNECTED;
	o.socket_path = q.sa.sun_path;
	QT_INT(qube_ctx_open(&ctx, &o), 0);
	QT_INT(qube_domain_open(&d, ctx, "work"), 0);
	started = qube_domain_start(d, NULL);
	cloned = qube_domain_clone(d, "two", NULL);
	logged = qube_domain_log_fetch(&text, d);
	QT_INT(qube_ctx_get_isolation(ctx), QUBE_ISOLATION_HYPERVISOR);
	qube_domain_unref(d);
	qube_ctx_unref(ctx);
	qubesd_end(&q);
	QT_INT(started, 0);
	QT_INT(q.starts, 1);
	/* What has no other name there is not supported, and says so. */
	QT_INT(cloned, QUBE_E_NOTSUP);
	QT_INT(logged, QUBE_E_NOTSUP);
	QT_TRUE(text == NULL);
	/* One more: a door was asked for, once. */
	QT_INT(q.foreign, 5);
}
