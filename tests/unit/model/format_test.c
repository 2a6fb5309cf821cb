/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * State directories as each format number left them, in formats/N. One that was written once is
 * never changed: it is what is on somebody's disk. */
#include "house.h"

#include "base/io.h"
#include "model/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct copy {
	char dir[64];
};

static void copy_fini(struct copy *c)
{
	char command[128];

	snprintf(command, sizeof(command), "exec rm -rf %s", c->dir);
	if (system(command) != 0)
		qtest_fail(__FILE__, __LINE__, "cannot remove %s", c->dir);
}
#define AUTO_COPY __attribute__((cleanup(copy_fini))) struct copy

/* Of formats/N, edited by a shell command in it. */
static struct copy copy_of(int format, const char *edit)
{
	struct copy c = { .dir = "/tmp/qube-format-XXXXXX" };
	char command[512];

	if (!mkdtemp(c.dir))
		abort();
	snprintf(command, sizeof(command),
		 "cd %s && cp -r %s/unit/model/formats/%d/. . && chmod -R go= . && { %s; }", c.dir,
		 QUBE_TEST_SOURCE_DIR, format, edit);
	if (system(command) != 0)
		qtest_fail(__FILE__, __LINE__, "failed: %s", command);
	return c;
}

static int open_copy(struct qube__model **m, const struct copy *c)
{
	struct qube__model_opts opts = { .state_dir = c->dir };

	return qube__model_open(m, &opts);
}

static char *content(const struct copy *c, const char *name)
{
	char path[128];
	char *text = NULL;

	snprintf(path, sizeof(path), "%s/%s", c->dir, name);
	return qube__io_read_file(&text, NULL, AT_FDCWD, path, 1 << 20) == 0 ? text : NULL;
}

static void check_qubes(const struct qube__model *m)
{
	struct qube__vm *work = qube__model_vm(m, "work");
	char text[256];

	QT_INT(m->n_damaged, 0);
	QT_INT(m->n_vms, 4);
	QT_TRUE(work != NULL);
	QT_STR(work->uuid, "052faea0-f53a-4af4-981d-f11916667b24");
	QT_INT(work->qid, 2);
	QT_STR(house_get(text, m, "work", "template"), "deb");
	QT_STR(house_get(text, m, "work", "label"), "mauve");
	QT_STR(house_get(text, m, "work", "kernelopts"), "a \"b\" \\c");
	QT_STR(house_get(text, m, "work", "netvm"), "(none)");
	QT_STR(house_get(text, m, "dom0", "keyboard_layout"), "de++");
	QT_STR(qube__vm_feature_find(work, "local.userns"), "1");
	QT_TRUE(qube__vm_tag_has(work, "team"));
	QT_INT(work->n_volumes, 3);
	for (size_t i = 0; i < work->n_volumes; i++) {
		bool own = strcmp(work->volumes[i].name, "private") == 0;

		QT_STR(work->volumes[i].pool, "lake");
		QT_INT(work->volumes[i].rw, !own);
		if (own) {
			QT_INT(work->volumes[i].size_bytes, 1234567890);
			QT_INT(work->volumes[i].revisions_to_keep, 3);
		}
	}
	QT_INT(qube__model_vm(m, "alone")->vm_class, QUBE__CLASS_STANDALONE);
}

QTEST(format, every_one_that_ever_was_still_opens)
{
	char text[256];

	for (int format = 1; format <= QUBE__STORE_FORMAT; format++) {
		AUTO_COPY c = copy_of(format, "true");
		struct qube__model *m = NULL;

		QT_INT(open_copy(&m, &c), 0);
		check_qubes(m);
		QT_STR(house_get(text, m, NULL, "default_template"), "deb");
		QT_STR(qube__pool_option(qube__model_pool(m, "lake"), "dir_path"), "/srv/lake");
		QT_TRUE(qube__model_label(m, "mauve") != NULL);
		/* What is saved now is of today's format, and opens as well. */
		QT_INT(qube__vm_tag_add(qube__model_vm(m, "work"), "more"), 0);
		qube__model_close(m);
		m = NULL;
		QT_INT(open_copy(&m, &c), 0);
		check_qubes(m);
		qube__model_close(m);
	}
}

/* Nothing of today's format is written otherwise than it stands in formats/: a change that forgets
 * the number shows here. */
QTEST(format, of_today_is_written_as_it_was)
{
	AUTO_COPY c = copy_of(QUBE__STORE_FORMAT, "true");
	struct qube__model *m = NULL;
	struct qube__vm *vm = NULL;
	char name[64];
	size_t len;

	QT_INT(open_copy(&m, &c), 0);
	while ((vm = qube__model_next(m, vm))) {
		qube__autofree char *was = NULL;
		qube__autofree char *is = NULL;

		snprintf(name, sizeof(name), "qubes/%s.json", vm->name);
		was = content(&c, name);
		QT_INT(qube__store_vm_encode(&is, &len, vm), 0);
		QT_STR(is, was);
	}
	{
		qube__autofree char *was = content(&c, "system.json");
		qube__autofree char *is = NULL;

		QT_INT(qube__store_system_encode(&is, &len, m), 0);
		QT_STR(is, was);
	}
	qube__model_close(m);
}

/* A file that another format, or a damaged disk, left: the others open, it is named and untouched.
 */
static void keeps_aside(const char *edit, const char *why)
{
	AUTO_COPY c = copy_of(QUBE__STORE_FORMAT, edit);
	qube__autofree char *before = content(&c, "qubes/work.json");
	struct qube__model *m = NULL;

	for (int i = 0; i < 2; i++) {
		qube__autofree char *after = NULL;

		QT_INT(open_copy(&m, &c), 0);
		QT_TRUE(!qube__model_vm(m, "work") && qube__model_vm(m, "alone"));
		QT_INT(m->n_damaged, 1);
		QT_TRUE(strstr(qube__model_damaged(m, "work"), why) != NULL);
		QT_TRUE(house_vm(m, QUBE__CLASS_APP, "work", "deb") == NULL);
		qube__model_close(m);
		m = NULL;
		after = content(&c, "qubes/work.json");
		QT_STR(after, before);
	}
}

QTEST(format, a_newer_qube_is_named_and_left_as_it_is)
{
	keeps_aside("sed -i 's/\"format\": 1/\"format\": 4711/' qubes/work.json",
		    "work.json has format 4711, this libqube reads up to 1: a newer one wrote it");
}

QTEST(format, one_that_never_was_is_named_and_left_as_it_is)
{
	keeps_aside("sed -i 's/\"format\": 1/\"format\": 0/' qubes/work.json",
		    "work.json has format 0, which never was");
}

QTEST(format, a_damaged_qube_is_named_and_left_as_it_is)
{
	keeps_aside("truncate -s 300 qubes/work.json", "work.json:");
}

QTEST(format, a_newer_system_is_refused_and_left_as_it_is)
{
	AUTO_COPY c = copy_of(1, "sed -i 's/\"format\": 1/\"format\": 4711/' system.json");
	qube__autofree char *before = content(&c, "system.json");
	qube__autofree char *after = NULL;
	struct qube__model *m = NULL;

	QT_INT(open_copy(&m, &c), QUBE_E_NOTSUP);
	QT_TRUE(strstr(qube_error_last()->message, "system.json has format 4711") != NULL);
	after = content(&c, "system.json");
	QT_STR(after, before);
}
