/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Every method's answer, in-process, and the same bytes over a socket. */
#include "peer.h"
#include "qtest.h"

#include "admin/call.h"

#include <stdio.h>
#include <stdlib.h>

struct step {
	const char *method;
	const char *arg;
	const char *dest;
	const char *payload;
	const char *want; /* the content; NULL: not looked at */
	int detail;	  /* or the exception */
};

static const struct step steps[] = {
	{ "admin.vmclass.List", 0, "dom0", 0,
	  "AdminVM\nTemplateVM\nAppVM\nStandaloneVM\nDispVM\nRemoteVM\n", 0 },
	{ "admin.vm.CurrentState", 0, "dom0", 0, NULL, 0 },
	{ "admin.vm.Start", 0, "work", 0, "", 0 },
	{ "admin.vm.Start", 0, "work", 0, "", 0 },
	{ "admin.vm.Start", 0, "dom0", 0, 0, QUBE_D_VM_NOT_HALTED },
	{ "admin.vm.Pause", 0, "work", 0, "", 0 },
	{ "admin.vm.Pause", 0, "work", 0, 0, QUBE_D_VM_NOT_RUNNING },
	{ "admin.vm.Shutdown", "wait", "work", 0, 0, QUBE_D_VM_NOT_RUNNING },
	{ "admin.vm.Unpause", 0, "work", 0, "", 0 },
	{ "admin.vm.Unpause", 0, "work", 0, 0, QUBE_D_VM_NOT_PAUSED },
	{ "admin.vm.Shutdown", "wait+now", "work", 0, 0, QUBE_D_PROTOCOL },
	{ "admin.vm.Shutdown", "wait+force", "work", 0, "", 0 },
	{ "admin.vm.Shutdown", 0, "work", 0, 0, QUBE_D_VM_NOT_STARTED },
	{ "admin.vm.Kill", 0, "work", 0, 0, QUBE_D_VM_NOT_STARTED },
	{ "qube.Start", "now", "work", 0, 0, QUBE_D_PROTOCOL },
	{ "qube.Start", "discard", "work", 0, 0, QUBE_D_GENERIC },
	{ "qube.Start", "discard", "deb", 0, NULL, 0 },
	{ "qube.Start", "discard", "deb", 0, 0, QUBE_D_VM_NOT_HALTED },
	{ "admin.vm.Shutdown", "wait+keep", "deb", 0, "", 0 },
	{ "qube.Start", 0, "work", 0, NULL, 0 },
	{ "admin.vm.Kill", 0, "work", 0, "", 0 },
	{ "qube.Kill", 0, "work", 0, 0, QUBE_D_VM_NOT_STARTED },
	{ "qube.Shutdown", 0, "work", 0, 0, QUBE_D_VM_NOT_STARTED },
	{ "qube.Shutdown", "nonsense", "work", 0, 0, QUBE_D_PROTOCOL },
	{ "admin.vm.Start", 0, "work", 0, "", 0 },
	{ "qube.Kill", 0, "work", 0, NULL, 0 },
	{ "admin.vm.Start", 0, "work", 0, "", 0 },
	{ "qube.Shutdown", "wait+force", "work", 0, NULL, 0 },
	{ "qube.Clone", 0, "work", "two", "", 0 },
	{ "qube.Clone", 0, "work", "two", 0, QUBE_D_VM_ALREADY_EXISTS },
	{ "admin.vm.Remove", 0, "two", 0, "", 0 },
	{ "admin.vm.Remove", 0, "deb", 0, 0, QUBE_D_VM_IN_USE },
	{ "admin.vm.Create.AppVM", "deb", "dom0", "name=made label=green", "", 0 },
	{ "admin.vm.Create.AppVM", "deb", "dom0", "name=made label=green", 0,
	  QUBE_D_VM_ALREADY_EXISTS },
	{ "admin.vm.Create.AppVM", "nobody", "dom0", "name=m2 label=red", 0, QUBE_D_VM_NOT_FOUND },
	{ "admin.vm.Create.AppVM", "deb", "dom0", "name=m2", 0, QUBE_D_PROTOCOL },
	{ "admin.vm.Create.AppVM", "deb", "dom0", "name=m2 label=red name=m3", 0, QUBE_D_PROTOCOL },
	{ "admin.vm.Create.AppVM", "deb", "dom0", "name=m2 label=red x=1", 0, QUBE_D_PROTOCOL },
	{ "admin.vm.Create.AppVM", "deb", "dom0", "name=m2 label=red pool=p", 0, QUBE_D_PROTOCOL },
	{ "admin.vm.Create.AppVM", "deb", "dom0", "name=none label=red", 0, QUBE_D_VALUE },
	{ "admin.vm.Create.StandaloneVM", 0, "dom0", "name=empty label=blue", "", 0 },
	{ "admin.vm.property.Get", "klass", "empty", 0, "default=True type=str StandaloneVM", 0 },
	{ "admin.vm.Remove", 0, "empty", 0, "", 0 },
	{ "admin.vm.Create.StandaloneVM", "work", "dom0", "name=x label=blue", 0, QUBE_D_VALUE },
	{ "admin.vm.Create.StandaloneVM", "deb", "dom0", "name=empty label=blue", "", 0 },
	{ "admin.vm.Remove", 0, "empty", 0, "", 0 },
	{ "admin.vm.Create.DispVM", "dvm", "dom0", "name=named label=blue", "", 0 },
	{ "admin.vm.property.Get", "auto_cleanup", "named", 0, "default=True type=bool False", 0 },
	{ "admin.vm.property.Get", "default_dispvm", "named", 0, "default=True type=vm dvm", 0 },
	{ "admin.vm.Remove", 0, "named", 0, "", 0 },
	{ "admin.vm.Create.DispVM", "work", "dom0", "name=named label=blue", 0, -1 },
	{ "admin.vm.property.Get", "label", "made", 0, "default=False type=label green", 0 },
	{ "admin.vm.property.Get", "autostart", "made", 0, "default=True type=bool False", 0 },
	{ "admin.vm.property.Get", "no-such", "made", 0, 0, QUBE_D_NO_SUCH_PROPERTY },
	{ "admin.vm.property.Set", "autostart", "made", "on", "", 0 },
	{ "admin.vm.property.Get", "autostart", "made", 0, "default=False type=bool True", 0 },
	{ "admin.vm.property.Set", "autostart", "made", "perhaps", 0, QUBE_D_VALUE },
	{ "admin.vm.property.Set", "klass", "made", "x", 0, QUBE_D_PROPERTY_VALUE },
	{ "admin.vm.property.Reset", "autostart", "made", 0, "", 0 },
	{ "admin.vm.property.GetDefault", "autostart", "made", 0, "type=bool False", 0 },
	{ "admin.vm.property.GetDefault", "qid", "made", 0, "", 0 },
	{ "admin.vm.property.Help", "autostart", "made", 0, NULL, 0 },
	{ "admin.vm.property.Help", "no-such", "made", 0, 0, QUBE_D_NO_SUCH_PROPERTY },
	{ "admin.vm.property.List", 0, "made", 0, NULL, 0 },
	{ "admin.vm.property.GetAll", 0, "made", 0, NULL, 0 },
	{ "admin.property.List", 0, "dom0", 0, NULL, 0 },
	{ "admin.property.GetAll", 0, "dom0", 0, NULL, 0 },
	{ "admin.property.Set", "default_template", "dom0", "deb", "", 0 },
	{ "admin.property.Get", "default_template", "dom0", 0, "default=False type=vm deb", 0 },
	{ "admin.property.Set", "default_template", "dom0", "nobody", 0, -1 },
	{ "admin.property.Reset", "default_template", "dom0", 0, "", 0 },
	{ "admin.property.GetDefault", "default_template", "dom0", 0, NULL, 0 },
	{ "admin.property.Help", "default_template", "dom0", 0, NULL, 0 },
	{ "admin.vm.tag.List", 0, "made", 0, "audiovm-dom0\ncreated-by-dom0\nguivm-dom0\n", 0 },
	{ "admin.vm.tag.Set", "a-tag", "made", 0, "", 0 },
	{ "admin.vm.tag.Get", "a-tag", "made", 0, "1", 0 },
	{ "admin.vm.tag.Remove", "a-tag", "made", 0, "", 0 },
	{ "admin.vm.tag.Get", "a-tag", "made", 0, "0", 0 },
	{ "admin.vm.tag.Remove", "a-tag", "made", 0, 0, QUBE_D_TAG_NOT_FOUND },
	{ "admin.vm.tag.Get", "a.tag", "made", 0, 0, QUBE_D_INVALID_TAG },
	{ "admin.vm.feature.Set", "gui", "deb", "yes", "", 0 },
	{ "admin.vm.feature.List", 0, "deb", 0, "gui\n", 0 },
	{ "admin.vm.feature.Get", "gui", "deb", 0, "yes", 0 },
	{ "admin.vm.feature.Get", "gui", "made", 0, 0, QUBE_D_FEATURE_NOT_FOUND },
	{ "admin.vm.feature.CheckWithTemplate", "gui", "made", 0, "yes", 0 },
	{ "admin.vm.feature.CheckWithNetvm", "gui", "made", 0, 0, QUBE_D_FEATURE_NOT_FOUND },
	{ "admin.vm.feature.CheckWithAdminVM", "gui", "made", 0, 0, QUBE_D_FEATURE_NOT_FOUND },
	{ "admin.vm.feature.CheckWithTemplateAndAdminVM", "gui", "made", 0, "yes", 0 },
	{ "admin.vm.feature.Set", "empty", "deb", 0, "", 0 },
	{ "admin.vm.feature.Get", "empty", "deb", 0, "", 0 },
	{ "admin.vm.feature.Remove", "gui", "deb", 0, "", 0 },
	{ "admin.vm.feature.Remove", "gui", "deb", 0, 0, QUBE_D_FEATURE_NOT_FOUND },
	{ "admin.vm.notes.Get", 0, "made", 0, "", 0 },
	{ "admin.vm.notes.Set", 0, "made", "a\033[1m\tnote\n", "", 0 },
	{ "admin.vm.notes.Get", 0, "made", 0, "a_[1m\tnote\n", 0 },
	{ "admin.vm.notes.Set", 0, "made", "\xff", 0, QUBE_D_PROTOCOL },
	{ "admin.vm.notes.Set", 0, "made", 0, "", 0 },
	{ "admin.vm.notes.Get", 0, "made", 0, "", 0 },
	{ "admin.vm.notes.Get", 0, "dom0", 0, 0, QUBE_D_PROTOCOL },
	{ "admin.label.Create", "mine", "dom0", "0x123456", "", 0 },
	{ "admin.label.Get", "mine", "dom0", 0, "0x123456", 0 },
	{ "admin.label.Index", "mine", "dom0", 0, "9", 0 },
	{ "admin.label.Create", "mine", "dom0", "0x123456", 0, QUBE_D_LABEL_IN_USE },
	{ "admin.label.Create", "bad", "dom0", "0x12345g", 0, QUBE_D_INVALID_LABEL_VALUE },
	{ "admin.label.Create", "12", "dom0", "0x123456", 0, QUBE_D_INVALID_LABEL },
	{ "admin.label.Create", "bad", "dom0", "0x1234567", 0, QUBE_D_INVALID_LABEL_VALUE },
	{ "admin.label.Create", "bad", "dom0", "0x0123456789abcdef", 0,
	  QUBE_D_INVALID_LABEL_VALUE },
	{ "admin.vm.property.Set", "label", "made", "mine", "", 0 },
	{ "admin.label.Remove", "mine", "dom0", 0, 0, QUBE_D_LABEL_IN_USE },
	{ "admin.label.Remove", "black", "dom0", 0, 0, QUBE_D_PROTOCOL },
	{ "admin.vm.property.Set", "label", "made", "9", "", 0 },
	{ "admin.vm.property.Set", "label", "made", "green", "", 0 },
	{ "admin.label.Remove", "mine", "dom0", 0, "", 0 },
	{ "admin.label.Remove", "mine", "dom0", 0, 0, QUBE_D_LABEL_NOT_FOUND },
	{ "admin.label.Index", "mine", "dom0", 0, 0, QUBE_D_LABEL_NOT_FOUND },
	{ "admin.label.Get", "mine", "dom0", 0, 0, QUBE_D_LABEL_NOT_FOUND },
	{ "admin.label.List", 0, "dom0", 0,
	  "red\norange\nyellow\ngreen\ngray\nblue\npurple\nblack\n", 0 },
	{ "admin.vm.volume.List", 0, "made", 0, NULL, 0 },
	{ "admin.vm.volume.Info", "private", "made", 0, NULL, 0 },
	{ "admin.vm.volume.Info", "no-such", "made", 0, 0, QUBE_D_PERMISSION },
	{ "admin.vm.volume.ListSnapshots", "no-such", "made", 0, 0, QUBE_D_PERMISSION },
	{ "admin.vm.volume.Revert", "root", "deb", "1 2", 0, QUBE_D_PROTOCOL },
	{ "admin.vm.volume.Clear", "no-such", "made", 0, 0, QUBE_D_PERMISSION },
	{ "admin.vm.volume.Resize", "private", "made", "3221225472", "", 0 },
	{ "admin.vm.volume.Resize", "private", "made", "03", 0, QUBE_D_VALUE },
	{ "admin.vm.volume.Resize", "private", "made", "1G", 0, QUBE_D_VALUE },
	{ "admin.vm.volume.Resize", "private", "made", "99999999999999999999", 0, QUBE_D_VALUE },
	{ "admin.vm.volume.Set.revisions_to_keep", "root", "deb", "3", "", 0 },
	{ "admin.vm.volume.Set.revisions_to_keep", "root", "deb", "-2", 0, QUBE_D_VALUE },
	{ "admin.vm.volume.Set.rw", "root", "deb", "False", "", 0 },
	{ "admin.vm.volume.Set.rw", "root", "deb", "no", 0, QUBE_D_VALUE },
	{ "admin.vm.volume.Set.ephemeral", "volatile", "made", "True", "", 0 },
	{ "admin.vm.volume.Set.ephemeral", "private", "made", "True", 0, QUBE_D_VALUE },
	{ "admin.vm.volume.Info", "private", "made", 0,
	  "pool=default\nvid=made/private\nsize=3221225472\nusage=0\nrw=True\nsource=\npath=\n"
	  "save_on_stop=True\nsnap_on_start=False\nrevisions_to_keep=1\nephemeral=False\n",
	  0 },
	{ "qube.volume.Info", "private", "made", 0, NULL, 0 },
	{ "qube.volume.Info", "no-such", "made", 0, 0, QUBE_D_PERMISSION },
	{ "admin.pool.List", 0, "dom0", 0, NULL, 0 },
	{ "admin.pool.ListDrivers", 0, "dom0", 0, NULL, 0 },
	{ "admin.pool.Info", "no-such", "dom0", 0, 0, QUBE_D_PERMISSION },
	{ "admin.vm.CreateDisposable", "preload", "dvm", 0, 0, QUBE_D_NOT_IMPLEMENTED },
	{ "admin.vm.CreateDisposable", 0, "dvm", "name", 0, QUBE_D_PROTOCOL },
	{ "admin.vm.CreateDisposable", 0, "dom0", 0, 0, QUBE_D_GENERIC },
	{ "admin.vm.CreateDisposable", 0, "work", 0, 0, -1 },
	{ "internal.GetSystemInfo", 0, "dom0", 0, NULL, 0 },
	{ "qube.HostInfo", 0, "dom0", 0, "driver=fake\nisolation=0\nversion=0.1.0\n", 0 },
	{ "qube.GetAll", 0, "dom0", 0, NULL, 0 },
	{ "qube.Log", 0, "made", 0, "", 0 },
	{ "qube.HostCheck", 0, "dom0", 0, "0\tdriver\tfake: qubes are only remembered\n", 0 },
	{ "qube.Stats", 0, "made", 0, 0, QUBE_D_VM_NOT_STARTED },
	{ "qube.Unenforced", 0, "made", 0, "", 0 },
	{ "qube.Call", 0, "made", "not json", 0, QUBE_D_PROTOCOL },
	{ "qube.Call", 0, "made", "{\"flags\":64,\"service\":\"a\"}", 0, QUBE_D_PROTOCOL },
	{ "qube.Call", 0, "made", "{\"service\":7}", 0, QUBE_D_PROTOCOL },
	{ "qube.Call", 0, "made", "{\"service\":\"a\",\"streams\":2}", 0, QUBE_D_PROTOCOL },
	{ "qube.Call", 0, "made", "{\"service\":\"a\",\"streams\":8}", 0, QUBE_D_PROTOCOL },
	{ "qube.Call", 0, "made", "{\"service\":\"a\",\"flags\":1}", 0, -1 },
	{ "admin.vm.List", 0, "uuid:not-a-uuid", 0, 0, QUBE_D_INVALID_UUID },
	{ "admin.vm.Nonsense", 0, "dom0", 0, 0, QUBE_D_PROTOCOL },
	{ "admin.pool.volume.Snapshot", "x", "dom0", 0, 0, QUBE_D_PROTOCOL },
	{ "admin.vm.Remove", 0, "made", 0, "", 0 },
};

static int say(qube_ctx *ctx, const struct step *s, char **out)
{
	struct qube_admin_request rq = {
		.size = sizeof(rq),
		.dest = s->dest,
		.method = s->method,
		.argument = s->arg,
		.payload = s->payload,
		.payload_len = s->payload ? strlen(s->payload) : 0,
	};

	return qube_admin_call(out, NULL, ctx, &rq);
}

QTEST(call, every_method_answers_as_the_admin_api_says)
{
	CTX ctx = rig_open();

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct step *s = &steps[i];
		char *out = NULL;
		int r = say(ctx, s, &out);

		if (s->detail ?
			    r >= 0 || (s->detail > 0 && qube_error_last()->detail != s->detail) :
			    r < 0 || (s->want && *s->want && strcmp(out, s->want)))
			QT_FAIL("%s+%s %s: %d %d \"%s\" %s", s->method, s->arg ? s->arg : "",
				s->dest, r, r < 0 ? qube_error_last()->detail : 0, out ? out : "",
				r < 0 ? qube_error_last()->message : "");
		QT_TRUE(r >= 0 || out == NULL);
		qube_free(out);
		rig_drain(ctx);
	}
}

QTEST(call, a_socket_says_the_same_as_a_call_in_the_process)
{
	CTX direct = rig_open();
	CTX served = rig_open();

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct step *s = &steps[i];
		ANSWER a = peer_call(served, "dom0", s->method, s->arg, s->dest, s->payload);
		char *out = NULL;
		int r = say(direct, s, &out);
		const char *type = r < 0 ? qube__wire_admin_type(r, qube_error_last()->detail) : "";

		QT_TRUE(a.closed && a.len >= 2);
		QT_INT(a.bytes[0], r < 0 ? '2' : '0');
		if (r < 0)
			QT_STR((char *)a.bytes + 2, type);
		else if (!strstr(s->method, "Start") && !strstr(s->method, "Clone") &&
			 strcmp(s->method, "qube.Kill") && strcmp(s->method, "qube.Shutdown") &&
			 !strstr(s->method, "GetAll") && !strstr(s->method, "SystemInfo"))
			QT_STR((char *)a.bytes + 2, out);
		qube_free(out);
	}
}

QTEST(call, each_row_of_the_table_is_called_here)
{
	const struct qube__method *m;

	for (size_t i = 0; (m = qube__method_at(i)); i++) {
		bool found = m->flags & QUBE__METHOD_STREAM || !strcmp(m->name, "admin.vm.List") ||
			     !strcmp(m->name, "admin.vm.CreateInPool.");

		for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++)
			found = found || !strncmp(steps[k].method, m->name, strlen(m->name));
		if (!found)
			QT_FAIL("%s is not called", m->name);
	}
}

QTEST(call, lists_qubes_with_the_host_first)
{
	const struct step all = { .method = "admin.vm.List", .dest = "dom0" };
	const struct step one = { .method = "admin.vm.List", .dest = "work" };
	CTX ctx = rig_open();
	DOMAIN d = rig_domain(ctx, "work");
	char want[256];
	char *out = NULL;

	QT_INT(say(ctx, &all, &out), 0);
	QT_MEM(out, "dom0 class=AdminVM state=Running uuid=00000000-0000-", 52);
	QT_TRUE(strstr(out, "\ndeb class=") < strstr(out, "\ndvm class="));
	qube_free(out);
	QT_INT(say(ctx, &one, &out), 0);
	snprintf(want, sizeof(want), "work class=AppVM state=Halted uuid=%s\n",
		 qube_domain_get_uuid(d));
	QT_STR(out, want);
	qube_free(out);
}

QTEST(call, a_disposable_is_named_or_told_by_uuid)
{
	const struct step named = { .method = "admin.vm.CreateDisposable", .dest = "dvm" };
	const struct step uuid = { .method = "admin.vm.CreateDisposable",
				   .dest = "dvm",
				   .payload = "uuid" };
	CTX ctx = rig_open();
	char *out = NULL;
	qube_domain *d = NULL;

	QT_INT(say(ctx, &named, &out), 0);
	QT_MEM(out, "disp", 4);
	QT_INT(qube_domain_open(&d, ctx, out), 0);
	qube_domain_unref(d);
	qube_free(out);
	QT_INT(say(ctx, &uuid, &out), 0);
	QT_INT(strlen(out), 41);
	QT_INT(qube_domain_open(&d, ctx, out), 0);
	qube_domain_unref(d);
	qube_free(out);
}

static int code_inside;

static void call_inside(void *user, const struct qube_event *ev)
{
	const struct step list = { .method = "admin.vmclass.List", .dest = "dom0" };
	const struct step start = { .method = "admin.vm.Start", .dest = "dvm" };
	char *out = NULL;

	(void)ev;
	if (say(user, &list, &out) == 0)
		code_inside = say(user, &start, &out);
	qube_free(out);
}

QTEST(call, inside_a_callback_only_what_is_answered_at_once)
{
	CTX ctx = rig_open();
	struct qube_callback cb = { .fn = call_inside, .user = ctx };
	SUB sub = NULL;
	DOMAIN d = rig_domain(ctx, "work");

	rig_drain(ctx);
	QT_INT(qube_ctx_subscribe(&sub, ctx, &cb), 0);
	QT_INT(qube_domain_tag_add(d, "x"), 0);
	rig_drain(ctx);
	QT_INT(code_inside, QUBE_E_INVALID);
}

QTEST(call, an_operation_answers_with_its_trace_and_is_over)
{
	const struct step start = { .method = "qube.Start", .dest = "work" };
	const struct step events = { .method = "admin.Events", .dest = "dom0" };
	CTX ctx = rig_open();
	char *out = NULL;

	QT_INT(say(ctx, &start, &out), 0);
	QT_TRUE(strstr(out, "stage prepare ") == out && strstr(out, "\nstage up "));
	qube_free(out);
	out = NULL;
	rig_drain(ctx); /* no callback of it is left */
	QT_INT(say(ctx, &events, &out), QUBE_E_NOTSUP);
	QT_TRUE(out == NULL);
}
