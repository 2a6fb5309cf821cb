/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which kernel modules to load, and in which order. */
#include "qtest.h"

#include "moddep.h"

#include <qube/error.h>

#include <stdio.h>

static struct moddep_list list;

static int add(const char *dep, const char *name)
{
	static const char builtin[] = "kernel/drivers/xen/xen-evtchn.ko\nkernel/lib/x.ko\n";
	struct moddep_texts t = { dep, strlen(dep), builtin, strlen(builtin) };

	return moddep_add(&list, &t, name);
}

static int add_fresh(const char *dep, const char *name)
{
	list.n = 0;
	return add(dep, name);
}

QTEST(moddep, lists_what_a_module_needs_before_it)
{
	static const char dep[] = "kernel/b.ko.xz: kernel/c.ko\n"
				  "kernel/a.ko: kernel/b.ko.xz kernel/c.ko\n"
				  "kernel/c.ko:\n";

	QT_INT(add_fresh(dep, "a"), MODDEP_MODULE);
	QT_INT(list.n, 3);
	QT_STR(list.list[0].path, "kernel/c.ko");
	QT_STR(list.list[1].path, "kernel/b.ko.xz");
	QT_STR(list.list[2].path, "kernel/a.ko");
	QT_INT(add(dep, "b"), MODDEP_MODULE);
	QT_INT(list.n, 3);
}

QTEST(moddep, takes_dash_and_underscore_for_one)
{
	QT_INT(add_fresh("kernel/dm-mod.ko:\n", "dm_mod"), MODDEP_MODULE);
	QT_INT(add_fresh("kernel/dm_mod.ko:\n", "dm-mod"), MODDEP_MODULE);
	QT_INT(add_fresh("kernel/dm-mod.ko:\n", "dm-mo"), MODDEP_MISSING);
	QT_INT(add_fresh("kernel/dm-mod.ko:\n", "dm-mods"), MODDEP_MISSING);
}

QTEST(moddep, tells_built_in_from_missing)
{
	QT_INT(add_fresh("kernel/a.ko:\n", "xen_evtchn"), MODDEP_BUILTIN);
	QT_INT(add_fresh("kernel/a.ko:\n", "ext4"), MODDEP_MISSING);
	QT_INT(list.n, 0);
}

QTEST(moddep, threat_17_paths_of_a_template_do_not_lead_out)
{
	static const char *const bad[] = {
		"/etc/a.ko:\n",
		"../a.ko:\n",
		"kernel/../a.ko:\n",
		"kernel/./a.ko:\n",
		"kernel//a.ko:\n",
		"kernel/.hidden/a.ko:\n",
		"kernel/\001/a.ko:\n",
		"kernel/ x/a.ko:\n",
		"kernel/a.ko: ../b.ko\n../b.ko:\n",
		"kernel/a.ko: /b.ko\n/b.ko:\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		QT_INT(add_fresh(bad[i], "a"), QUBE_E_PROTO);
	QT_INT(list.n, 0);
}

QTEST(moddep, refuses_circles_and_what_nobody_defines)
{
	QT_INT(add_fresh("a.ko: b.ko\nb.ko: a.ko\n", "a"), QUBE_E_PROTO);
	QT_INT(add_fresh("a.ko: a.ko\n", "a"), QUBE_E_PROTO);
	QT_INT(add_fresh("a.ko: b.ko\n", "a"), QUBE_E_PROTO);
	QT_INT(add_fresh("x/a.ko: y/a.ko\ny/a.ko:\n", "a"), QUBE_E_PROTO);
}

QTEST(moddep, has_a_longest_list_and_a_longest_path)
{
	static char dep[MODDEP_LIST_MAX * 64];
	char path[MODDEP_PATH_MAX + 2];
	size_t len = 0;

	/* One more than fit, all of them needed by the last. */
	for (int i = 0; i < MODDEP_LIST_MAX; i++)
		len += (size_t)snprintf(dep + len, sizeof(dep) - len, "m%d.ko:\n", i);
	len += (size_t)snprintf(dep + len, sizeof(dep) - len, "a.ko:");
	for (int i = 0; i < MODDEP_LIST_MAX; i++)
		len += (size_t)snprintf(dep + len, sizeof(dep) - len, " m%d.ko", i);
	QT_INT(add_fresh(dep, "a"), QUBE_E_LIMIT);
	memset(path, 'a', sizeof(path));
	memcpy(path + MODDEP_PATH_MAX - 3, ".ko", 3);
	QT_TRUE(moddep_path_ok(path, MODDEP_PATH_MAX));
	memset(path, 'a', sizeof(path));
	memcpy(path + MODDEP_PATH_MAX - 2, ".ko", 3);
	QT_TRUE(!moddep_path_ok(path, MODDEP_PATH_MAX + 1));
}

QTEST(moddep, names_files_without_their_compression)
{
	char name[MODDEP_PATH_MAX + 1];

	moddep_file(name, "kernel/fs/ext4/ext4.ko.zst");
	QT_STR(name, "ext4.ko");
	moddep_file(name, "x.ko");
	QT_STR(name, "x.ko");
}
