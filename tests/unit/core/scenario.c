/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scenario.h"

#include <string.h>

/* A call's code and, if it failed, what the record says beside the text. */
static int told(struct text *t, const char *what, int r)
{
	text_add(t, "%s: %s", what, qube_error_name(r < 0 ? r : 0));
	if (r < 0)
		text_add(t, " detail %d: %s", qube_error_last()->detail,
			 qube_error_last()->message);
	text_add(t, "\n");
	return r;
}
#define TOLD(call) told(t, #call, call)

static void view(qube_ctx *ctx, struct text *t, qube_domain *d)
{
	/* A connected context's getters answer from what its stream told. */
	rig_drain(ctx);
	text_add(t, "%s %s %s label %s", qube_domain_get_name(d),
		 qube_class_name(qube_domain_get_class(d)),
		 qube_state_name(qube_domain_get_state(d)), qube_domain_get_label(d));
	text_add(t, " template %s uuid of %zu\n", qube_domain_get_template(d),
		 strlen(qube_domain_get_uuid(d)));
}

static void list(qube_ctx *ctx, struct text *t)
{
	qube_domain **all = NULL;
	size_t n = 0;

	if (told(t, "list", qube_domain_list(&all, &n, ctx)) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		view(ctx, t, all[i]);
	qube_domain_list_free(all, n);
}

static void strings(struct text *t, const char *what, int r, char **items)
{
	told(t, what, r);
	if (r < 0)
		return;
	for (char **s = items; *s; s++)
		text_add(t, " %s", *s);
	text_add(t, "\n");
	qube_strings_free(items);
}

/* d NULL: of the host as a whole. */
static void property_of(qube_ctx *ctx, struct text *t, qube_domain *d, const char *name)
{
	struct qube_property p = { .size = sizeof(p) };

	text_add(t, "%s of %s: ", name, d ? qube_domain_get_name(d) : "the host");
	if (told(t, "property",
		 d ? qube_domain_property_fetch(&p, d, name) :
		     qube_ctx_property_fetch(&p, ctx, name)) < 0)
		return;
	text_add(t, "type %u flags %u '%s'\n", p.type, p.flags, p.value);
	qube_free(p.value);
}

static void property(struct text *t, qube_domain *d, const char *name)
{
	property_of(NULL, t, d, name);
}

void scenario_life(qube_ctx *ctx, struct text *t)
{
	struct qube_domain_create_opts o = { .size = sizeof(o), .name = "made" };
	struct qube_domain_create_opts disp = {
		.size = sizeof(disp),
		.flags = QUBE_DOMAIN_CREATE_DISPOSABLE,
		.template_name = "dvm",
	};
	struct qube_op_stage st[16];
	qube_domain *d = NULL;
	qube_domain *two = NULL;
	qube_op *op = NULL;
	size_t n;

	list(ctx, t);
	o.template_name = "deb";
	if (TOLD(qube_domain_create(&d, ctx, &o)) < 0)
		return;
	view(ctx, t, d);
	TOLD(qube_domain_create(&two, ctx, &o));
	TOLD(qube_domain_start(d, NULL));
	view(ctx, t, d);
	TOLD(qube_domain_start(d, NULL));
	TOLD(qube_domain_destroy(d));
	TOLD(qube_domain_pause(d));
	view(ctx, t, d);
	TOLD(qube_domain_shutdown(d, NULL, NULL));
	TOLD(qube_domain_unpause(d));
	TOLD(qube_domain_unpause(d));
	TOLD(qube_domain_wait(d, QUBE_STATE_RUNNING, NULL));
	TOLD(qube_domain_shutdown(d, NULL, NULL));
	TOLD(qube_domain_kill(d, NULL));
	TOLD(qube_domain_wait(d, QUBE_STATE_HALTED, NULL));
	view(ctx, t, d);
	TOLD(qube_domain_start(d, &op));
	TOLD(qube_op_wait(op, 5000));
	n = qube_op_trace(op, st, 16);
	for (size_t i = 0; i < n; i++)
		text_add(t, "stage %s\n", st[i].name);
	TOLD(qube_op_cancel(op));
	qube_op_unref(op);
	TOLD(qube_domain_kill(d, &op));
	TOLD(qube_op_wait(op, 5000));
	qube_op_unref(op);
	op = NULL;
	TOLD(qube_domain_clone(d, "two", NULL));
	TOLD(qube_domain_clone(d, "two", NULL));
	TOLD(qube_domain_open(&two, ctx, "two"));
	view(ctx, t, two);
	TOLD(qube_domain_destroy(two));
	qube_domain_unref(two);
	TOLD(qube_domain_wait(d, QUBE_STATE_RUNNING, &op));
	TOLD(qube_op_wait(op, 0));
	TOLD(qube_op_cancel(op));
	TOLD(qube_op_wait(op, 1000));
	qube_op_unref(op);
	TOLD(qube_domain_destroy(d));
	view(ctx, t, d);
	qube_domain_unref(d);
	if (TOLD(qube_domain_create(&d, ctx, &disp)) == 0) {
		text_add(t, "%s label %s\n", qube_class_name(qube_domain_get_class(d)),
			 qube_domain_get_label(d));
		TOLD(qube_domain_start(d, NULL));
		TOLD(qube_domain_kill(d, NULL));
		qube_domain_unref(d);
	}
	if (TOLD(qube_domain_open(&d, ctx, "deb")) == 0) {
		struct qube_domain_start_opts discard = { sizeof(discard),
							  QUBE_DOMAIN_START_DISCARD };
		struct qube_domain_shutdown_opts keep = { .size = sizeof(keep),
							  .flags = QUBE_DOMAIN_SHUTDOWN_KEEP };

		TOLD(qube_domain_start_with(d, NULL, NULL));
		TOLD(qube_domain_start_with(d, &discard, NULL));
		TOLD(qube_domain_kill(d, NULL));
		TOLD(qube_domain_start_with(d, &discard, NULL));
		TOLD(qube_domain_start_with(d, &discard, NULL));
		TOLD(qube_domain_shutdown(d, &keep, NULL));
		view(ctx, t, d);
		qube_domain_unref(d);
	}
	list(ctx, t);
}

void scenario_settings(qube_ctx *ctx, struct text *t)
{
	static const char *const names[] = {
		"name",	  "klass",  "label", "template",    "autostart",    "netvm",
		"memory", "maxmem", "vcpus", "stubdom_mem", "default_user", "nothing"
	};
	struct qube_volume_info v = { .size = sizeof(v) };
	struct qube_pool_info p = { .size = sizeof(p) };
	qube_domain *d = NULL;
	char **items = NULL;
	char *text = NULL;
	int r;

	if (TOLD(qube_domain_open(&d, ctx, "work")) < 0)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		property(t, d, names[i]);
	TOLD(qube_domain_property_set(d, "autostart", "on"));
	property(t, d, "autostart");
	TOLD(qube_domain_property_set(d, "autostart", "perhaps"));
	TOLD(qube_domain_property_set(d, "name", "other"));
	TOLD(qube_domain_property_set(d, "nothing", "x"));
	TOLD(qube_domain_property_set(d, "template", "nobody"));
	TOLD(qube_domain_property_set(d, "default_dispvm", "dvm"));
	TOLD(qube_domain_property_set(d, "default_dispvm", ""));
	property(t, d, "default_dispvm");
	TOLD(qube_domain_property_set(d, "kernelopts", "a b  c=%s"));
	property(t, d, "kernelopts");
	TOLD(qube_domain_property_reset(d, "autostart"));
	property(t, d, "autostart");
	TOLD(qube_domain_property_reset(d, "label"));
	TOLD(qube_domain_property_set(d, "label", "purple"));
	text_add(t, "%s\n", qube_domain_get_label(d));
	r = qube_domain_property_list(&items, d);
	strings(t, "properties", r, items);
	TOLD(qube_domain_tag_add(d, "one"));
	TOLD(qube_domain_tag_add(d, "one"));
	TOLD(qube_domain_tag_add(d, "not one"));
	TOLD(qube_domain_tag_remove(d, "two"));
	r = qube_domain_tag_list(&items, d);
	strings(t, "tags", r, items);
	TOLD(qube_domain_tag_remove(d, "one"));
	TOLD(qube_domain_feature_set(d, "f", "a value"));
	TOLD(qube_domain_feature_set(d, "empty", ""));
	r = qube_domain_feature_list(&items, d);
	strings(t, "features", r, items);
	if (TOLD(qube_domain_feature_fetch(&text, d, "f")) == 0)
		text_add(t, "%s\n", text);
	qube_free(text);
	TOLD(qube_domain_feature_remove(d, "f"));
	TOLD(qube_domain_feature_remove(d, "f"));
	TOLD(qube_domain_feature_remove(d, "empty"));
	r = qube_domain_volume_list(&items, d);
	strings(t, "volumes", r, items);
	if (TOLD(qube_domain_volume_info_fetch(&v, d, "root")) == 0)
		text_add(t, "flags %u max %llu pool %s vid %s source %s\n", v.flags,
			 (unsigned long long)v.max_bytes, v.pool, v.vid, v.source);
	TOLD(qube_domain_volume_info_fetch(&v, d, "none"));
	TOLD(qube_domain_volume_set(d, "private", "size", "4294967296"));
	TOLD(qube_domain_volume_set(d, "private", "size", "4G"));
	TOLD(qube_domain_volume_set(d, "private", "nothing", "1"));
	TOLD(qube_domain_volume_set(d, "none", "rw", "True"));
	TOLD(qube_domain_volume_set(d, "volatile", "ephemeral", "True"));
	TOLD(qube_domain_volume_set(d, "root", "revisions_to_keep", "7"));
	TOLD(qube_domain_volume_revert(d, "none", "1"));
	TOLD(qube_domain_volume_clear(d, "none"));
	if (TOLD(qube_domain_volume_info_fetch(&v, d, "root")) == 0)
		text_add(t, "flags %u keeps %d\n", v.flags, v.revisions_to_keep);
	r = qube_pool_list(&items, ctx);
	strings(t, "pools", r, items);
	TOLD(qube_pool_info_fetch(&p, ctx, "none"));
	text = NULL;
	if (TOLD(qube_domain_log_fetch(&text, d)) == 0)
		text_add(t, "'%s'\n", text);
	qube_free(text);
	text_add(t, "unenforced '%s' isolation %u\n", qube_domain_get_unenforced(d),
		 qube_ctx_get_isolation(ctx));
	qube_domain_unref(d);
}

static void label(qube_ctx *ctx, struct text *t, const char *name)
{
	struct qube_label_info info = { .size = sizeof(info) };

	text_add(t, "label %s: ", name);
	if (told(t, "label", qube_label_info_fetch(&info, ctx, name)) == 0)
		text_add(t, "%u 0x%06x\n", info.index, info.rgb);
}

static void notes(struct text *t, qube_domain *d)
{
	char *text = NULL;

	if (TOLD(qube_domain_notes_fetch(&text, d)) == 0)
		text_add(t, "notes of %s: '%s'\n", qube_domain_get_name(d), text);
	qube_free(text);
}

void scenario_notes(qube_ctx *ctx, struct text *t)
{
	struct qube_domain_create_opts disp = {
		.size = sizeof(disp),
		.flags = QUBE_DOMAIN_CREATE_DISPOSABLE,
		.template_name = "dvm",
	};
	static char longest[256002];
	qube_domain *d = NULL;
	qube_domain *other = NULL;

	if (TOLD(qube_domain_open(&d, ctx, "dvm")) < 0)
		return;
	notes(t, d);
	TOLD(qube_domain_notes_set(d, "for documents\n\tgr\xc3\xbc\xc3\x9f"
				      "e"));
	notes(t, d);
	TOLD(qube_domain_notes_set(d, "\x1b]0;title\x07 \xe2\x80\xaetxt.exe\r\n"));
	notes(t, d);
	TOLD(qube_domain_notes_set(d, "no text: \xff"));
	notes(t, d);
	memset(longest, 'a', sizeof(longest) - 1);
	TOLD(qube_domain_notes_set(d, longest));
	longest[60000] = '\0';
	TOLD(qube_domain_notes_set(d, longest));
	TOLD(qube_domain_notes_set(d, "kept"));
	TOLD(qube_domain_clone(d, "copy", NULL));
	if (TOLD(qube_domain_open(&other, ctx, "copy")) == 0) {
		notes(t, other);
		TOLD(qube_domain_destroy(other));
		TOLD(qube_domain_notes_set(other, "gone"));
		qube_domain_unref(other);
	}
	if (qube_domain_create(&other, ctx, &disp) == 0) {
		char *text = NULL;

		if (TOLD(qube_domain_notes_fetch(&text, other)) == 0)
			text_add(t, "of its disposable: '%s'\n", text);
		qube_free(text);
		qube_domain_unref(other);
	}
	TOLD(qube_domain_notes_set(d, ""));
	notes(t, d);
	qube_domain_unref(d);
	if (TOLD(qube_domain_open(&d, ctx, "dom0")) == 0) {
		notes(t, d);
		TOLD(qube_domain_notes_set(d, "x"));
		qube_domain_unref(d);
	}
}

void scenario_globals(qube_ctx *ctx, struct text *t)
{
	static const char *const names[] = { "default_template", "default_dispvm",
					     "default_netvm",	 "default_guivm",
					     "default_kernel",	 "default_qrexec_timeout",
					     "check_updates_vm", "default_pool",
					     "nothing" };
	struct qube_domain_create_opts o = { .size = sizeof(o), .name = "plain" };
	qube_domain *d = NULL;
	char **items = NULL;
	int r = qube_ctx_property_list(&items, ctx);

	strings(t, "globals", r, items);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		property_of(ctx, t, NULL, names[i]);
	TOLD(qube_domain_create(&d, ctx, &o));
	TOLD(qube_ctx_property_set(ctx, "default_template", "deb"));
	TOLD(qube_ctx_property_set(ctx, "default_dispvm", "dvm"));
	TOLD(qube_ctx_property_set(ctx, "default_dispvm", "work"));
	TOLD(qube_ctx_property_set(ctx, "default_template", "work"));
	TOLD(qube_ctx_property_set(ctx, "default_netvm", "nobody"));
	TOLD(qube_ctx_property_set(ctx, "default_qrexec_timeout", "7"));
	TOLD(qube_ctx_property_set(ctx, "default_qrexec_timeout", "0"));
	TOLD(qube_ctx_property_set(ctx, "no_cpus", "7"));
	TOLD(qube_ctx_property_set(ctx, "nothing", "7"));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		property_of(ctx, t, NULL, names[i]);
	if (TOLD(qube_domain_create(&d, ctx, &o)) == 0) {
		view(ctx, t, d);
		property(t, d, "default_dispvm");
		property(t, d, "qrexec_timeout");
		TOLD(qube_domain_destroy(d));
		qube_domain_unref(d);
	}
	/* A named disposable looks like its template, the default one here. */
	o.klass = "DispVM";
	if (TOLD(qube_domain_open(&d, ctx, "dvm")) == 0) {
		TOLD(qube_domain_property_set(d, "label", "purple"));
		qube_domain_unref(d);
	}
	for (int i = 0; i < 3; i++) {
		o.template_name = i == 1 ? "dvm" : NULL;
		o.label = i == 2 ? "green" : NULL;
		if (TOLD(qube_domain_create(&d, ctx, &o)) == 0) {
			view(ctx, t, d);
			property(t, d, "auto_cleanup");
			property(t, d, "default_dispvm");
			TOLD(qube_domain_destroy(d));
			qube_domain_unref(d);
		}
	}
	o.template_name = "nobody";
	TOLD(qube_domain_create(&d, ctx, &o));
	o.template_name = o.label = NULL;
	o.klass = "StandaloneVM";
	if (TOLD(qube_domain_create(&d, ctx, &o)) == 0) {
		view(ctx, t, d);
		TOLD(qube_domain_destroy(d));
		qube_domain_unref(d);
	}
	o.template_name = "work";
	TOLD(qube_domain_create(&d, ctx, &o));
	o.template_name = "dom0";
	TOLD(qube_domain_create(&d, ctx, &o));
	o.template_name = "deb";
	if (TOLD(qube_domain_create(&d, ctx, &o)) == 0) {
		view(ctx, t, d);
		TOLD(qube_domain_destroy(d));
		qube_domain_unref(d);
	}
	TOLD(qube_ctx_property_reset(ctx, "default_template"));
	TOLD(qube_ctx_property_reset(ctx, "default_template"));
	TOLD(qube_ctx_property_set(ctx, "default_dispvm", ""));
	TOLD(qube_ctx_property_reset(ctx, "nothing"));
	property_of(ctx, t, NULL, "default_template");
	property_of(ctx, t, NULL, "default_dispvm");
}

void scenario_labels(qube_ctx *ctx, struct text *t)
{
	struct qube_label_info small = { .size = 4 };
	qube_domain *d = NULL;
	char **items = NULL;
	int r = qube_label_list(&items, ctx);

	strings(t, "labels", r, items);
	TOLD(qube_label_create(ctx, "mauve", 0xe0b0ff));
	TOLD(qube_label_create(ctx, "mauve", 0));
	TOLD(qube_label_create(ctx, "red", 0));
	TOLD(qube_label_create(ctx, "77", 0));
	TOLD(qube_label_create(ctx, "", 0));
	TOLD(qube_label_create(ctx, "no label\n", 0));
	TOLD(qube_label_create(ctx, "grey", 0x1000000));
	TOLD(qube_label_create(ctx, "teal", 0x008080));
	label(ctx, t, "mauve");
	label(ctx, t, "teal");
	label(ctx, t, "blue");
	label(ctx, t, "none");
	label(ctx, t, "no label\n");
	TOLD(qube_label_info_fetch(&small, ctx, "blue"));
	if (TOLD(qube_domain_open(&d, ctx, "work")) < 0)
		return;
	TOLD(qube_domain_property_set(d, "label", "mauve"));
	view(ctx, t, d);
	TOLD(qube_label_destroy(ctx, "mauve"));
	TOLD(qube_domain_property_set(d, "label", "red"));
	TOLD(qube_label_destroy(ctx, "mauve"));
	TOLD(qube_label_destroy(ctx, "mauve"));
	TOLD(qube_label_destroy(ctx, "red"));
	TOLD(qube_label_destroy(ctx, "no label\n"));
	r = qube_label_list(&items, ctx);
	strings(t, "labels", r, items);
	qube_domain_unref(d);
}

void scenario_refusals(qube_ctx *ctx, struct text *t)
{
	struct qube_domain_create_opts o = { .size = sizeof(o), .name = "x", .klass = "AppVM" };
	qube_domain *d = NULL;

	TOLD(qube_domain_open(&d, ctx, "nobody"));
	TOLD(qube_domain_open(&d, ctx, ""));
	TOLD(qube_domain_open(&d, ctx, "no body"));
	o.template_name = "nobody";
	TOLD(qube_domain_create(&d, ctx, &o));
	o.template_name = "deb";
	o.label = "pinkish";
	TOLD(qube_domain_create(&d, ctx, &o));
	o.label = NULL;
	o.name = "none";
	TOLD(qube_domain_create(&d, ctx, &o));
	if (TOLD(qube_domain_open(&d, ctx, "dom0")) == 0) {
		view(ctx, t, d);
		TOLD(qube_domain_start(d, NULL));
		TOLD(qube_domain_pause(d));
		TOLD(qube_domain_wait(d, QUBE_STATE_RUNNING, NULL));
		qube_domain_unref(d);
	}
	if (TOLD(qube_domain_open(&d, ctx, "deb")) == 0) {
		TOLD(qube_domain_destroy(d));
		qube_domain_unref(d);
	}
}
