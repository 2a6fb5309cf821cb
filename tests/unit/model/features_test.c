/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tags, features, labels, pools. */
#include "house.h"

#include <stdio.h>
#include <stdlib.h>

QTEST(tags, are_a_sorted_set)
{
	AUTO_MODEL *m = house();
	struct qube__vm *vm = qube__model_vm(m, "work");
	char **list;
	size_t n;

	QT_INT(qube__vm_tag_add(vm, "b"), 0);
	QT_INT(qube__vm_tag_add(vm, "a"), 0);
	QT_INT(qube__vm_tag_add(vm, "z"), 0);
	QT_INT(qube__vm_tag_add(vm, "b"), 0);
	QT_INT(qube__vm_tag_list(&list, &n, vm), 0);
	QT_INT(n, 5);
	QT_STR(list[0], "a");
	QT_STR(list[1], "audiovm-dom0");
	QT_STR(list[2], "b");
	QT_STR(list[3], "guivm-dom0");
	QT_STR(list[4], "z");
	free(list);
	QT_INT(qube__vm_tag_remove(vm, "b"), 0);
	QT_TRUE(!qube__vm_tag_has(vm, "b") && qube__vm_tag_has(vm, "z"));
	QT_INT(qube__vm_tag_remove(vm, "b"), QUBE_E_NOENT);
	QT_INT(house_detail(), QUBE_D_TAG_NOT_FOUND);
	QT_INT(qube__vm_tag_add(vm, "a b"), QUBE_E_INVALID);
	QT_INT(house_detail(), QUBE_D_INVALID_TAG);
	QT_INT(qube__vm_tag_remove(vm, "a.b"), QUBE_E_INVALID);
}

QTEST(tags, of_guivm_audiovm_and_relayvm_follow_the_property)
{
	AUTO_MODEL *m = house();
	struct qube__vm *vm = qube__model_vm(m, "work");

	QT_TRUE(qube__vm_tag_has(vm, "guivm-dom0") && qube__vm_tag_has(vm, "audiovm-dom0"));
	QT_INT(qube__vm_prop_set(vm, "guivm", "alone"), 0);
	QT_TRUE(qube__vm_tag_has(vm, "guivm-alone") && !qube__vm_tag_has(vm, "guivm-dom0"));
	QT_INT(qube__vm_prop_set(vm, "guivm", ""), 0);
	QT_TRUE(!qube__vm_tag_has(vm, "guivm-alone"));
	QT_INT(qube__vm_tag_add(vm, "guivm-alone"), QUBE_E_DENIED);
	QT_INT(qube__vm_tag_remove(vm, "audiovm-dom0"), QUBE_E_DENIED);
	QT_INT(qube__vm_tag_remove(vm, "guivm-alone"), QUBE_E_NOENT);
	QT_INT(qube__vm_prop_set(qube__model_vm(m, "far"), "relayvm", "work"), 0);
	QT_TRUE(qube__vm_tag_has(qube__model_vm(m, "far"), "relayvm-work"));
}

QTEST(tags, have_a_ceiling)
{
	AUTO_MODEL *m = house();
	struct qube__vm *vm = qube__model_vm(m, "work");
	char tag[16];

	for (int i = 0; i < QUBE__TAGS_MAX; i++) {
		snprintf(tag, sizeof(tag), "t%d", i);
		QT_INT(qube__vm_tag_add(vm, tag), 0);
	}
	QT_INT(qube__vm_tag_add(vm, "more"), QUBE_E_LIMIT);
	QT_INT(qube__vm_tag_add(vm, "t7"), 0);
}

QTEST(features, are_set_read_and_removed)
{
	AUTO_MODEL *m = house();
	struct qube__vm *vm = qube__model_vm(m, "work");
	const char *v = NULL;

	QT_INT(qube__vm_feature_set(vm, "b", "1"), 0);
	QT_INT(qube__vm_feature_set(vm, "a", ""), 0);
	QT_INT(qube__vm_feature_set(vm, "b", "2"), 0);
	QT_INT(vm->n_features, 2);
	QT_STR(vm->features[0].name, "a");
	QT_STR(qube__vm_feature_find(vm, "b"), "2");
	QT_TRUE(!qube__feature_true(qube__vm_feature_find(vm, "a")));
	QT_TRUE(qube__feature_true("0"));
	QT_INT(qube__vm_feature_remove(vm, "b"), 0);
	QT_INT(qube__vm_feature_remove(vm, "b"), QUBE_E_NOENT);
	QT_INT(house_detail(), QUBE_D_FEATURE_NOT_FOUND);
	QT_INT(qube__vm_feature_get(&v, vm, "b", QUBE__CHAIN_SELF), QUBE_E_NOENT);
	QT_STR(qube_error_last()->message, "Feature not set for domain work: b");
	QT_TRUE(v == NULL);
}

QTEST(features, bad_names_and_values_are_refused)
{
	static const struct {
		const char *name;
		const char *value;
		int want;
	} rows[] = {
		{ "a b", "1", QUBE_E_INVALID },
		{ "", "1", QUBE_E_INVALID },
		{ "a/b", "1", QUBE_E_INVALID },
		{ "a", "x\n", QUBE_E_INVALID },
		{ "a", "\xc3\xa9", QUBE_E_INVALID },
		{ "a", " ~", 0 },
		{ "service.", "1", QUBE_E_INVALID },
		{ "service...", "1", QUBE_E_INVALID },
		{ "service.a", "1", 0 },
		{ "vm-config.9", "1", QUBE_E_INVALID },
		{ "vm-config.a", "1", 0 },
		{ "local.userns", "1", 0 },
		{ "service.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "1",
		  QUBE_E_INVALID },
	};
	AUTO_MODEL *m = house();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = qube__vm_feature_set(qube__model_vm(m, "work"), rows[i].name,
					     rows[i].value);

		if (r != rows[i].want)
			QT_FAIL("%s='%s' gave %d", rows[i].name, rows[i].value, r);
	}
	QT_TRUE(qube__feature_prohibited("preload-dispvm"));
	QT_TRUE(!qube__feature_prohibited("preload-dispvm-max"));
}

QTEST(features, are_looked_up_along_chains)
{
	AUTO_MODEL *m = house();
	struct qube__vm *disp = qube__model_vm(m, "disp");

	QT_INT(qube__vm_prop_set(disp, "netvm", "net"), 0);
	QT_INT(qube__vm_feature_set(qube__model_vm(m, "deb"), "t", "deb"), 0);
	QT_INT(qube__vm_feature_set(qube__model_vm(m, "net"), "n", "net"), 0);
	QT_INT(qube__vm_feature_set(m->dom0, "d", "dom0"), 0);
	QT_STR(qube__vm_feature_check(disp, "t", QUBE__CHAIN_TEMPLATE), "deb");
	QT_TRUE(!qube__vm_feature_check(disp, "t", QUBE__CHAIN_SELF));
	QT_TRUE(!qube__vm_feature_check(disp, "t", QUBE__CHAIN_NETVM));
	QT_STR(qube__vm_feature_check(disp, "n", QUBE__CHAIN_NETVM), "net");
	QT_STR(qube__vm_feature_check(disp, "d", QUBE__CHAIN_ADMIN), "dom0");
	QT_TRUE(!qube__vm_feature_check(disp, "d", QUBE__CHAIN_TEMPLATE));
	QT_STR(qube__vm_feature_check(disp, "d", QUBE__CHAIN_TEMPLATE | QUBE__CHAIN_ADMIN), "dom0");
	/* An empty value is a value: it ends the search. */
	QT_INT(qube__vm_feature_set(qube__model_vm(m, "dvm"), "t", ""), 0);
	QT_STR(qube__vm_feature_check(disp, "t", QUBE__CHAIN_TEMPLATE), "");
}

QTEST(labels, custom_ones_come_and_go)
{
	AUTO_MODEL *m = house();

	QT_INT(qube__model_label_create(m, "mauve", "0xE0B0ff"), 0);
	QT_INT(qube__model_label(m, "mauve")->index, 9);
	QT_INT(qube__model_label_create(m, "mauve", "0x000000"), QUBE_E_EXISTS);
	QT_INT(house_detail(), QUBE_D_LABEL_IN_USE);
	QT_INT(qube__model_label_create(m, "12", "0x000000"), QUBE_E_INVALID);
	QT_INT(house_detail(), QUBE_D_INVALID_LABEL);
	QT_INT(qube__model_label_create(m, "x", "0x00000g"), QUBE_E_INVALID);
	QT_INT(house_detail(), QUBE_D_INVALID_LABEL_VALUE);
	QT_INT(qube__model_label_create(m, "teal", "0x008080"), 0);
	QT_INT(qube__model_label(m, "teal")->index, 10);
	QT_INT(qube__vm_prop_set(qube__model_vm(m, "work"), "label", "mauve"), 0);
	QT_INT(qube__model_label_remove(m, "mauve"), QUBE_E_BUSY);
	QT_TRUE(strstr(qube_error_last()->message, "work"));
	QT_INT(qube__vm_prop_set(qube__model_vm(m, "work"), "label", "red"), 0);
	QT_INT(qube__model_label_remove(m, "mauve"), 0);
	QT_TRUE(!qube__model_label(m, "mauve") && qube__model_label(m, "teal"));
	QT_INT(qube__model_label_remove(m, "mauve"), QUBE_E_NOENT);
	QT_INT(qube__model_label_remove(m, "red"), QUBE_E_INVALID);
	QT_INT(house_detail(), QUBE_D_PROTOCOL);
}

QTEST(pools, are_configured_and_guarded)
{
	static const struct qube__vm_pair options[] = { { "dir_path", "/p" }, { "a_thing", "1" } };
	AUTO_MODEL *m = house();
	char text[256];

	QT_INT(qube__model_pool_add(m, "lake", "tree", options, 2), 0);
	QT_STR(qube__pool_option(qube__model_pool(m, "lake"), "dir_path"), "/p");
	QT_STR(qube__model_pool(m, "lake")->options[0].name, "a_thing");
	QT_INT(qube__model_pool_add(m, "lake", "tree", NULL, 0), QUBE_E_EXISTS);
	QT_INT(house_detail(), QUBE_D_POOL_IN_USE);
	QT_INT(qube__model_pool_add(m, "..", "tree", NULL, 0), QUBE_E_INVALID);
	QT_STR(house_get(text, m, NULL, "default_pool_root"), "lake");
	QT_INT(qube__model_pool_add(m, "default", "tree", NULL, 0), 0);
	QT_STR(house_get(text, m, NULL, "default_pool_root"), "default");
	QT_INT(qube__global_set(m, "default_pool", "lake"), 0);
	QT_STR(house_get(text, m, NULL, "default_pool_root"), "lake");
	QT_INT(qube__model_pool_remove(m, "lake"), QUBE_E_BUSY);
	QT_INT(house_detail(), QUBE_D_POOL_IN_USE);
	QT_INT(qube__global_reset(m, "default_pool"), 0);
	QT_INT(qube__model_pool_option_set(m, "lake", "revisions_to_keep", "3"), 0);
	QT_INT(qube__model_pool_option_set(m, "sea", "revisions_to_keep", "3"), QUBE_E_NOENT);
	QT_STR(qube__pool_option(qube__model_pool(m, "lake"), "revisions_to_keep"), "3");
	QT_INT(qube__model_pool_remove(m, "lake"), 0);
	QT_INT(qube__model_pool_remove(m, "lake"), QUBE_E_NOENT);
	/* The qubes of the house are in it by name. */
	QT_INT(qube__model_pool_remove(m, "default"), QUBE_E_BUSY);
}
