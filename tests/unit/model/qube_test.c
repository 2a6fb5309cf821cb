/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Creating, cloning, removing. */
#include "house.h"

#include <stdio.h>

QTEST(qube, classes_and_states_have_their_names)
{
	uint32_t c;

	for (uint32_t i = 0; i < QUBE__CLASS_COUNT; i++) {
		QT_INT(qube__vm_class_parse(&c, qube__vm_class_name(i)), 0);
		QT_INT(c, i);
	}
	QT_INT(qube__vm_class_parse(&c, "appvm"), QUBE_E_NOENT);
	QT_STR(qube__vm_state_name(QUBE__STATE_HALTED), "Halted");
	QT_STR(qube__vm_state_name(QUBE__STATE_CRASHED), "Crashed");
	QT_STR(qube__vm_state_name(99), "NA");
}

QTEST(qube, a_fresh_model_has_dom0_alone)
{
	struct qube__model *m = NULL;

	QT_INT(qube__model_open(&m, NULL), 0);
	QT_INT(m->n_vms, 1);
	QT_TRUE(qube__model_vm(m, "dom0") == m->dom0);
	QT_TRUE(qube__model_vm_by_uuid(m, "00000000-0000-0000-0000-000000000000") == m->dom0);
	QT_INT(m->dom0->state, QUBE__STATE_RUNNING);
	QT_INT(m->n_labels, 8);
	QT_STR(qube__model_label(m, "purple")->colour, "0x75507b");
	qube__model_close(m);
}

QTEST(qube, gets_the_lowest_number_and_a_uuid_of_its_own)
{
	AUTO_MODEL *m = house();
	struct qube__vm *vm = qube__model_vm(m, "work");
	char uuid[37];

	QT_INT(qube__model_vm(m, "deb")->qid, 1);
	QT_INT(vm->qid, 2);
	QT_TRUE(qube__name_is_uuid(vm->uuid, 36));
	QT_INT(vm->uuid[14], '4');
	QT_TRUE(strchr("89ab", vm->uuid[19]));
	QT_TRUE(qube__model_vm_by_uuid(m, vm->uuid) == vm);
	memcpy(uuid, vm->uuid, sizeof(uuid));
	QT_INT(qube__vm_remove(vm), 0);
	QT_TRUE(!qube__model_vm(m, "work") && !qube__model_vm_by_uuid(m, uuid));
	vm = house_vm(m, QUBE__CLASS_APP, "next", "deb");
	QT_INT(vm->qid, 2);
	QT_TRUE(strcmp(vm->uuid, uuid) != 0);
}

QTEST(qube, are_listed_dom0_first_then_by_name)
{
	AUTO_MODEL *m = house();
	const char *last = "";
	size_t n = 0;

	house_vm(m, QUBE__CLASS_STANDALONE, "Zoo", NULL);
	house_vm(m, QUBE__CLASS_STANDALONE, "aaa", NULL);
	for (struct qube__vm *vm = NULL; (vm = qube__model_next(m, vm)); n++) {
		if (n == 0)
			QT_STR(vm->name, "dom0");
		else
			QT_TRUE(strcmp(last, vm->name) < 0);
		last = n ? vm->name : "";
	}
	QT_INT(n, 10);
	QT_INT(m->n_vms, 10);
}

QTEST(qube, a_bad_wish_is_refused_with_its_reason)
{
	static const struct {
		struct qube__vm_new n;
		int code;
		int detail;
	} rows[] = {
		{ { .name = "work", .vm_class = QUBE__CLASS_APP },
		  QUBE_E_EXISTS,
		  QUBE_D_VM_ALREADY_EXISTS },
		{ { .name = "dom0", .vm_class = QUBE__CLASS_APP },
		  QUBE_E_EXISTS,
		  QUBE_D_VM_ALREADY_EXISTS },
		{ { .name = "1x", .vm_class = QUBE__CLASS_APP }, QUBE_E_INVALID, QUBE_D_VALUE },
		{ { .vm_class = QUBE__CLASS_APP }, QUBE_E_INVALID, QUBE_D_VALUE },
		{ { .name = "x", .vm_class = QUBE__CLASS_ADMIN }, QUBE_E_INVALID, QUBE_D_PROTOCOL },
		{ { .name = "x", .vm_class = QUBE__CLASS_COUNT }, QUBE_E_INVALID, QUBE_D_PROTOCOL },
		{ { .name = "x", .vm_class = QUBE__CLASS_APP }, QUBE_E_INVALID, QUBE_D_VALUE },
		{ { .name = "x", .vm_class = QUBE__CLASS_DISP }, QUBE_E_INVALID, QUBE_D_VALUE },
		{ { .name = "x", .vm_class = QUBE__CLASS_APP, .template_name = "ghost" },
		  QUBE_E_NOENT,
		  QUBE_D_VM_NOT_FOUND },
		{ { .name = "x", .vm_class = QUBE__CLASS_DISP, .template_name = "work" },
		  QUBE_E_INVALID,
		  QUBE_D_PROPERTY_VALUE },
		{ { .name = "x", .vm_class = QUBE__CLASS_TEMPLATE, .template_name = "deb" },
		  QUBE_E_INVALID,
		  QUBE_D_PROTOCOL },
		{ { .name = "x", .vm_class = QUBE__CLASS_TEMPLATE, .label = "mauve" },
		  QUBE_E_NOENT,
		  QUBE_D_LABEL_NOT_FOUND },
		{ { .name = "x", .vm_class = QUBE__CLASS_TEMPLATE, .pool = "lake" },
		  QUBE_E_NOENT,
		  QUBE_D_GENERIC },
		{ { .name = "x", .vm_class = QUBE__CLASS_TEMPLATE, .uuid = "1" },
		  QUBE_E_INVALID,
		  QUBE_D_INVALID_UUID },
		{ { .name = "x",
		    .vm_class = QUBE__CLASS_TEMPLATE,
		    .uuid = "00000000-0000-0000-0000-000000000000" },
		  QUBE_E_EXISTS,
		  QUBE_D_VM_ALREADY_EXISTS },
		{ { .name = "x", .vm_class = QUBE__CLASS_TEMPLATE, .driver = "a/b" },
		  QUBE_E_INVALID,
		  QUBE_D_VALUE },
	};
	AUTO_MODEL *m = house();
	size_t n = m->n_vms;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct qube__vm *vm = NULL;
		int r = qube__vm_create(&vm, m, &rows[i].n);

		if (r != rows[i].code || house_detail() != rows[i].detail || vm)
			QT_FAIL("row %zu: %d, detail %d: %s", i, r, house_detail(),
				qube_error_last()->message);
		QT_INT(m->n_vms, n);
	}
	/* Nothing was used up. */
	QT_INT(house_vm(m, QUBE__CLASS_TEMPLATE, "x", NULL)->qid, 8);
}

QTEST(qube, takes_everything_at_creation)
{
	static const struct qube__vm_pair props[] = { { "memory", "700" }, { "netvm", "" } };
	static const struct qube__vm_pair features[] = { { "service.x", "1" } };
	static const struct qube__vm_pair volumes[] = { { "private", "fast" } };
	static const char *const tags[] = { "created-by-dom0", "blue-team" };
	struct qube__vm_new n = { .name = "x",
				  .vm_class = QUBE__CLASS_APP,
				  .label = "blue",
				  .driver = "xen",
				  .import_source = "debian/bookworm",
				  .volume_pools = volumes,
				  .n_volume_pools = 1,
				  .properties = props,
				  .n_properties = 2,
				  .features = features,
				  .n_features = 1,
				  .tags = tags,
				  .n_tags = 2 };
	AUTO_MODEL *m = house();
	struct qube__vm *vm = NULL;
	char text[256];

	QT_INT(qube__model_pool_add(m, "fast", "tree", NULL, 0), 0);
	QT_INT(qube__model_pool_add(m, "default", "tree", NULL, 0), 0);
	QT_INT(qube__global_set(m, "default_template", "deb"), 0);
	QT_INT(qube__global_set(m, "check_updates_vm", "False"), 0);
	QT_INT(qube__vm_create(&vm, m, &n), 0);
	QT_STR(house_get(text, m, "x", "template"), "deb");
	QT_STR(house_get(text, m, "x", "memory"), "700");
	QT_STR(house_get(text, m, "x", "netvm"), "(none)");
	QT_STR(house_get(text, m, "x", "icon"), "appvm-blue");
	QT_STR(qube__vm_feature_find(vm, "service.x"), "1");
	QT_STR(qube__vm_feature_find(vm, "check-updates"), "");
	QT_TRUE(qube__vm_tag_has(vm, "blue-team"));
	QT_STR(vm->driver, "xen");
	QT_STR(vm->import_source, "debian/bookworm");
	QT_STR(qube__vm_volume(vm, "private")->pool, "fast");
	QT_STR(qube__vm_volume(vm, "volatile")->pool, "default");
	QT_TRUE(qube__vm_volume_snap_on_start(vm, "root"));
	QT_TRUE(!qube__vm_volume_save_on_stop(vm, "root"));
	QT_TRUE(qube__vm_volume_save_on_stop(vm, "private"));
	QT_TRUE(!qube__vm_volume_save_on_stop(vm, "volatile"));
	QT_INT(vm->state, QUBE__STATE_HALTED);
}

QTEST(qube, a_disposable_is_named_by_its_number_and_inherits)
{
	AUTO_MODEL *m = house();
	struct qube__vm *dvm = qube__model_vm(m, "dvm");
	struct qube__vm_new n = { .vm_class = QUBE__CLASS_DISP, .template_name = "dvm" };
	struct qube__vm *vm = NULL;
	char want[32];
	char text[256];

	QT_INT(qube__vm_prop_set(dvm, "netvm", "net"), 0);
	QT_INT(qube__vm_prop_set(dvm, "memory", "900"), 0);
	QT_INT(qube__vm_prop_set(dvm, "label", "green"), 0);
	QT_INT(qube__vm_prop_set(dvm, "installed_by_rpm", "True"), 0);
	QT_INT(qube__vm_prop_set(dvm, "ip", "10.9.9.9"), 0);
	QT_INT(qube__vm_feature_set(dvm, "service.x", "1"), 0);
	QT_INT(qube__vm_feature_set(dvm, "preload-dispvm-max", "3"), 0);
	QT_INT(qube__vm_feature_set(dvm, "preload-dispvm", "disp1"), 0);
	QT_INT(qube__vm_tag_add(dvm, "team"), 0);
	QT_INT(qube__vm_tag_add(dvm, "created-by-dom0"), 0);
	QT_INT(qube__vm_create(&vm, m, &n), 0);
	snprintf(want, sizeof(want), "disp%d", vm->dispid);
	QT_STR(vm->name, want);
	QT_TRUE(vm->dispid >= 0 && vm->dispid <= QUBE__DISPID_MAX);
	QT_STR(house_get(text, m, want, "auto_cleanup"), "True");
	QT_STR(house_get(text, m, want, "include_in_backups"), "False");
	QT_STR(house_get(text, m, want, "template"), "dvm");
	QT_STR(house_get(text, m, want, "netvm"), "net");
	QT_STR(house_get(text, m, want, "memory"), "900");
	QT_STR(house_get(text, m, want, "label"), "green");
	QT_STR(house_get(text, m, want, "installed_by_rpm"), "False");
	QT_TRUE(strncmp(house_get(text, m, want, "ip"), "10.138.", 7) == 0);
	QT_STR(qube__vm_feature_find(vm, "service.x"), "1");
	QT_TRUE(!qube__vm_feature_find(vm, "preload-dispvm-max"));
	QT_TRUE(!qube__vm_feature_find(vm, "preload-dispvm"));
	QT_TRUE(qube__vm_tag_has(vm, "team") && !qube__vm_tag_has(vm, "created-by-dom0"));
	QT_TRUE(qube__vm_volume_snap_on_start(vm, "private"));
}

QTEST(qube, threat_24_a_disposable_gets_no_more_network_than_its_template)
{
	AUTO_MODEL *m = house();
	struct qube__vm *dvm = qube__model_vm(m, "dvm");
	struct qube__vm_new n = { .vm_class = QUBE__CLASS_DISP, .template_name = "dvm" };
	struct qube__vm *vm = NULL;
	char text[256];

	house_vm(m, QUBE__CLASS_APP, "online", "deb");
	QT_INT(qube__vm_prop_set(qube__model_vm(m, "online"), "template_for_dispvms", "1"), 0);
	QT_INT(qube__global_set(m, "default_netvm", "net"), 0);
	QT_INT(qube__global_set(m, "default_dispvm", "online"), 0);
	QT_INT(qube__vm_prop_set(dvm, "netvm", ""), 0);
	QT_INT(qube__vm_create(&vm, m, &n), 0);
	QT_STR(house_get(text, m, vm->name, "netvm"), "(none)");
	/* And neither do the disposables that it starts. */
	QT_STR(house_get(text, m, vm->name, "default_dispvm"), "dvm");
}

QTEST(qube, threat_24_a_disposable_may_write_no_more_than_what_it_is_made_from)
{
	static const char *const names[] = { "root", "private", "volatile" };
	struct qube__vm_new n = { .vm_class = QUBE__CLASS_DISP, .template_name = "dvm" };
	AUTO_MODEL *m = house();
	struct qube__vm *dvm = qube__model_vm(m, "dvm");
	struct qube__vm *vm;

	for (size_t i = 0; i < 3; i++) {
		struct qube__vm_volume v = *qube__vm_volume(dvm, names[i]);

		v.rw = i == 2;
		v.ephemeral = i == 2;
		QT_INT(qube__vm_volume_set(dvm, &v), 0);
	}
	QT_INT(qube__vm_create(&vm, m, &n), 0);
	for (size_t i = 0; i < 3; i++) {
		QT_INT(qube__vm_volume(vm, names[i])->rw, i == 2);
		QT_INT(qube__vm_volume(vm, names[i])->ephemeral, i == 2);
	}
}

QTEST(qube, a_number_of_a_disposable_rests_after_use)
{
	AUTO_MODEL *m = house();
	struct qube__vm_new n = { .vm_class = QUBE__CLASS_DISP, .template_name = "dvm" };
	static bool seen[QUBE__DISPID_MAX + 1];
	struct qube__vm *vm = NULL;

	for (int i = 0; i < 300; i++) {
		QT_INT(qube__vm_create(&vm, m, &n), 0);
		QT_TRUE(!seen[vm->dispid]);
		seen[vm->dispid] = true;
		QT_INT(qube__vm_remove(vm), 0);
	}
}

QTEST(qube, preload_shows_by_the_templates_list)
{
	AUTO_MODEL *m = house();
	struct qube__vm *dvm = qube__model_vm(m, "dvm");
	char text[256];

	QT_INT(qube__vm_feature_set(dvm, "preload-dispvm", "disp1 disp"), 0);
	QT_STR(house_get(text, m, "disp", "is_preload"), "True");
	QT_INT(qube__vm_feature_set(dvm, "preload-dispvm", "disp1 xdisp"), 0);
	QT_STR(house_get(text, m, "disp", "is_preload"), "False");
}

QTEST(qube, a_clone_is_alike_but_another)
{
	static const char *const tags[] = { "created-by-work" };
	AUTO_MODEL *m = house();
	struct qube__vm *vm = qube__model_vm(m, "net");
	struct qube__vm *clone = NULL;
	char text[256];

	QT_INT(qube__vm_tag_add(vm, "created-by-dom0"), 0);
	QT_INT(qube__vm_tag_add(vm, "x"), 0);
	QT_INT(qube__vm_feature_set(vm, "f", "v"), 0);
	QT_INT(qube__vm_prop_set(vm, "ip", "10.9.9.9"), 0);
	qube__vm_volume(vm, "private")->size_bytes = 12345;
	QT_INT(qube__vm_clone(&clone, vm, "net2", tags, 1), 0);
	QT_STR(house_get(text, m, "net2", "template"), "deb");
	QT_STR(house_get(text, m, "net2", "provides_network"), "True");
	QT_STR(house_get(text, m, "net2", "netvm"), "(none)");
	QT_STR(house_get(text, m, "net2", "ip"), "10.137.0.8");
	QT_STR(house_get(text, m, "net2", "label"), "red");
	QT_STR(qube__vm_feature_find(clone, "f"), "v");
	QT_TRUE(qube__vm_tag_has(clone, "x") && qube__vm_tag_has(clone, "created-by-work"));
	QT_TRUE(!qube__vm_tag_has(clone, "created-by-dom0"));
	QT_INT(qube__vm_volume(clone, "private")->size_bytes, 12345);
	QT_TRUE(strcmp(clone->uuid, vm->uuid) != 0);
	QT_INT(qube__vm_clone(&clone, vm, "work", NULL, 0), QUBE_E_EXISTS);
	QT_INT(qube__vm_clone(&clone, m->dom0, "dom1", NULL, 0), QUBE_E_INVALID);
}

QTEST(qube, what_others_refer_to_stays)
{
	static const char *const refs[] = { "netvm", "default_dispvm", "management_dispvm", "guivm",
					    "audiovm" };
	AUTO_MODEL *m = house();
	struct qube__vm *work = qube__model_vm(m, "work");
	struct qube__vm *x = house_vm(m, QUBE__CLASS_APP, "x", "deb");

	QT_INT(qube__vm_prop_set(x, "provides_network", "1"), 0);
	QT_INT(qube__vm_prop_set(x, "template_for_dispvms", "1"), 0);
	for (size_t i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
		QT_INT(qube__vm_prop_set(work, refs[i], "x"), 0);
		QT_INT(qube__vm_remove(x), QUBE_E_BUSY);
		QT_INT(house_detail(), QUBE_D_VM_IN_USE);
		QT_TRUE(strstr(qube_error_last()->message, refs[i]) &&
			strstr(qube_error_last()->message, "work"));
		QT_INT(qube__vm_prop_reset(work, refs[i]), 0);
	}
	QT_INT(qube__global_set(m, "updatevm", "x"), 0);
	QT_INT(qube__vm_remove(x), QUBE_E_BUSY);
	QT_TRUE(strstr(qube_error_last()->message, "updatevm"));
	QT_INT(qube__global_reset(m, "updatevm"), 0);
	QT_INT(qube__vm_prop_set(x, "default_dispvm", "x"), 0); /* itself does not hold it */
	QT_INT(qube__vm_prop_set(x, "installed_by_rpm", "1"), 0);
	QT_INT(qube__vm_remove(x), QUBE_E_BUSY);
	QT_INT(qube__vm_prop_reset(x, "installed_by_rpm"), 0);
	x->state = QUBE__STATE_RUNNING;
	QT_INT(qube__vm_remove(x), QUBE_E_STATE);
	QT_INT(house_detail(), QUBE_D_VM_NOT_HALTED);
	x->state = QUBE__STATE_HALTED;
	QT_INT(qube__vm_remove(x), 0);
	QT_INT(qube__vm_remove(qube__model_vm(m, "deb")), QUBE_E_BUSY);
	QT_INT(qube__vm_remove(m->dom0), QUBE_E_BUSY);
	QT_INT(qube__vm_remove(qube__model_vm(m, "far")), 0);
}

QTEST(qube, the_policys_view_is_what_it_wants)
{
	AUTO_MODEL *m = house();
	struct qube__vm *vm = qube__model_vm(m, "work");
	struct qube__vm_view v;

	QT_INT(qube__vm_prop_set(vm, "default_dispvm", "dvm"), 0);
	QT_INT(qube__vm_feature_set(vm, "internal", "1"), 0);
	QT_INT(qube__vm_tag_add(vm, "zz"), 0);
	QT_INT(qube__vm_view(&v, vm), 0);
	QT_STR(v.name, "work");
	QT_STR(v.type, "AppVM");
	QT_STR(v.power_state, "Halted");
	QT_STR(v.default_dispvm, "dvm");
	QT_STR(v.guivm, "dom0");
	QT_TRUE(!v.relayvm && !v.transport_rpc && v.internal && !v.template_for_dispvms);
	QT_STR(v.icon, "appvm-red");
	QT_STR(v.label, "0xcc0000");
	QT_INT(v.n_tags, 3);
	QT_STR(v.tags[0], "audiovm-dom0");
	QT_STR(v.tags[1], "guivm-dom0");
	QT_STR(v.tags[2], "zz");
	qube__vm_view_fini(&v);
	QT_INT(qube__vm_view(&v, m->dom0), 0);
	QT_STR(v.type, "AdminVM");
	QT_STR(v.power_state, "Running");
	QT_TRUE(!v.guivm && v.n_tags == 0);
	qube__vm_view_fini(&v);
}
