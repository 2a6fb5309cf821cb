/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The files: round trips, damage, crashes, locks. */
#include "house.h"

#include "base/io.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct place {
	char root[64];
	char state[80];
	char run[80];
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void place_fini(struct place *p)
{
	nftw(p->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct place place(void)
{
	struct place p = { .root = "/tmp/qube-store-XXXXXX" };

	if (mkdtemp(p.root)) {
		snprintf(p.state, sizeof(p.state), "%s/state", p.root);
		snprintf(p.run, sizeof(p.run), "%s/run", p.root);
	}
	return p;
}
#define AUTO_PLACE __attribute__((cleanup(place_fini))) struct place

static int open_place(struct qube__model **m, const struct place *p)
{
	struct qube__model_opts opts = { .state_dir = p->state, .run_dir = p->run };

	return qube__model_open(m, &opts);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

static char *read_file(const char *dir, const char *name)
{
	char path[200];
	char *text = NULL;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return qube__io_read_file(&text, NULL, AT_FDCWD, path, 1 << 20) == 0 ? text : NULL;
}

static bool has_file(const char *dir, const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

QTEST(store, everything_comes_back)
{
	static const struct qube__vm_pair options[] = { { "dir_path", "/p" } };
	AUTO_PLACE p = place();
	struct qube__model *m = NULL;
	struct qube__vm *vm;
	char before[8][4096];
	char uuid[37];
	char text[256];
	size_t n = 0;

	QT_INT(open_place(&m, &p), 0);
	QT_INT(qube__model_pool_add(m, "lake", "tree", options, 1), 0);
	QT_INT(qube__model_label_create(m, "mauve", "0xe0b0ff"), 0);
	house_fill(m);
	vm = qube__model_vm(m, "work");
	QT_INT(qube__vm_prop_set(vm, "kernelopts", "a \"b\" \\c"), 0);
	QT_INT(qube__vm_prop_set(vm, "netvm", ""), 0);
	QT_INT(qube__vm_prop_set(vm, "label", "mauve"), 0);
	QT_INT(qube__vm_feature_set(vm, "local.userns", "1"), 0);
	QT_INT(qube__vm_tag_add(vm, "team"), 0);
	QT_INT(qube__vm_notes_set(vm, "a \"note\"\n\xc3\xbc", 11), 0);
	QT_INT(qube__global_set(m, "default_netvm", "net"), 0);
	QT_INT(qube__vm_prop_set(m->dom0, "keyboard_layout", "de++"), 0);
	QT_INT(qube__vm_feature_set(m->dom0, "d", "1"), 0);
	memcpy(uuid, vm->uuid, sizeof(uuid));
	for (vm = NULL; (vm = qube__model_next(m, vm)) && n < 8; n++) {
		char *encoded = NULL;
		size_t len;

		QT_INT(qube__store_vm_encode(&encoded, &len, vm), 0);
		QT_TRUE(len < sizeof(before[0]));
		memcpy(before[n], encoded, len + 1);
		free(encoded);
	}
	qube__model_close(m);
	m = NULL;
	QT_INT(open_place(&m, &p), 0);
	QT_INT(m->n_damaged, 0);
	QT_INT(m->n_vms, 8);
	n = 0;
	for (vm = NULL; (vm = qube__model_next(m, vm)); n++) {
		char *encoded = NULL;
		size_t len;

		QT_INT(qube__store_vm_encode(&encoded, &len, vm), 0);
		if (strcmp(encoded, before[n]) != 0)
			qtest_fail(__FILE__, __LINE__, "%s\nbecame\n%s", before[n], encoded);
		free(encoded);
	}
	QT_STR(qube__model_vm(m, "work")->uuid, uuid);
	QT_STR(house_get(text, m, "work", "netvm"), "(none)");
	QT_STR(house_get(text, m, "disp", "netvm"), "net");
	QT_STR(house_get(text, m, "work", "icon"), "appvm-mauve");
	QT_STR(house_get(text, m, "work", "keyboard_layout"), "de++");
	QT_STR(qube__pool_option(qube__model_pool(m, "lake"), "dir_path"), "/p");
	QT_INT(house_vm(m, QUBE__CLASS_TEMPLATE, "new", NULL)->qid, 8);
	QT_INT(qube__vm_remove(qube__model_vm(m, "new")), 0);
	qube__model_close(m);
	QT_TRUE(!has_file(p.state, "qubes/new.json") && has_file(p.state, "qubes/work.json"));
}

QTEST(store, a_creation_writes_one_file_and_touches_no_other)
{
	AUTO_PLACE p = place();
	AUTO_MODEL *m = NULL;
	struct stat before;
	struct stat after;
	char path[128];

	QT_INT(open_place(&m, &p), 0);
	house_fill(m);
	snprintf(path, sizeof(path), "%s/qubes/deb.json", p.state);
	QT_INT(stat(path, &before), 0);
	QT_TRUE(!has_file(p.state, "system.json"));
	house_vm(m, QUBE__CLASS_APP, "x", "deb");
	QT_INT(stat(path, &after), 0);
	QT_TRUE(before.st_ino == after.st_ino);
	QT_TRUE(has_file(p.state, "qubes/x.json") && !has_file(p.state, "system.json"));
}

QTEST(store, disposables_are_recorded_on_run_and_move_with_auto_cleanup)
{
	struct qube__vm_new n = { .vm_class = QUBE__CLASS_DISP, .template_name = "dvm" };
	AUTO_PLACE p = place();
	struct qube__model *m = NULL;
	struct qube__vm *vm = NULL;
	char file[64];
	char name[32];

	QT_INT(open_place(&m, &p), 0);
	house_fill(m);
	QT_INT(qube__vm_create(&vm, m, &n), 0);
	memcpy(name, vm->name, sizeof(name));
	snprintf(file, sizeof(file), "qubes/%s.json", name);
	QT_TRUE(has_file(p.run, file) && !has_file(p.state, file));
	qube__model_close(m);
	QT_INT(open_place(&m, &p), 0);
	vm = qube__model_vm(m, name);
	QT_TRUE(vm && vm->on_run);
	QT_INT(qube__vm_prop_set(vm, "auto_cleanup", "False"), 0);
	QT_TRUE(!has_file(p.run, file) && has_file(p.state, file));
	QT_INT(qube__vm_prop_set(vm, "auto_cleanup", "True"), 0);
	QT_TRUE(has_file(p.run, file) && !has_file(p.state, file));
	QT_INT(qube__vm_remove(vm), 0);
	QT_TRUE(!has_file(p.run, file));
	qube__model_close(m);
}

QTEST(store, an_interrupted_replacement_leaves_the_old_content)
{
	AUTO_PLACE p = place();
	struct qube__model *m = NULL;
	char text[256];

	QT_INT(open_place(&m, &p), 0);
	house_fill(m);
	QT_INT(qube__vm_prop_set(qube__model_vm(m, "work"), "memory", "700"), 0);
	qube__model_close(m);
	/* Died between writing and renaming: half a file under the temporary name. */
	write_file(p.state, "qubes/.work.json.new", "{\"format\": 1, \"na");
	write_file(p.state, "qubes/.ghost.json.new", "{\"format\": 1, \"na");
	write_file(p.state, ".system.json.new", "{");
	QT_INT(open_place(&m, &p), 0);
	QT_INT(m->n_damaged, 0);
	QT_STR(house_get(text, m, "work", "memory"), "700");
	QT_TRUE(!qube__model_vm(m, "ghost"));
	QT_INT(qube__vm_prop_set(qube__model_vm(m, "work"), "memory", "800"), 0);
	qube__model_close(m);
	QT_INT(open_place(&m, &p), 0);
	QT_STR(house_get(text, m, "work", "memory"), "800");
	qube__model_close(m);
}

QTEST(store, a_failed_write_takes_the_change_back)
{
	AUTO_PLACE p = place();
	AUTO_MODEL *m = NULL;
	struct qube__vm *vm;
	char text[256];
	char path[128];
	int fd;

	QT_INT(open_place(&m, &p), 0);
	house_fill(m);
	vm = qube__model_vm(m, "work");
	QT_INT(qube__vm_feature_set(vm, "f", "1"), 0);
	QT_INT(qube__vm_tag_add(vm, "t"), 0);
	QT_INT(qube__vm_notes_set(vm, "n", 1), 0);
	/* A directory under the temporary's name: even root cannot write there. */
	snprintf(path, sizeof(path), "%s/qubes/.work.json.new", p.state);
	QT_INT(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/qubes/.x.json.new", p.state);
	QT_INT(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/.system.json.new", p.state);
	QT_INT(mkdir(path, 0700), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	QT_TRUE(fd >= 0);
	close(fd);
	QT_INT(qube__vm_prop_set(vm, "memory", "700"), QUBE_E_SYSTEM);
	QT_STR(house_get(text, m, "work", "memory"), "400");
	QT_INT(qube__vm_feature_set(vm, "f", "2"), QUBE_E_SYSTEM);
	QT_INT(qube__vm_feature_set(vm, "g", "2"), QUBE_E_SYSTEM);
	QT_INT(qube__vm_feature_remove(vm, "f"), QUBE_E_SYSTEM);
	QT_STR(qube__vm_feature_find(vm, "f"), "1");
	QT_TRUE(!qube__vm_feature_find(vm, "g"));
	QT_INT(qube__vm_tag_add(vm, "u"), QUBE_E_SYSTEM);
	QT_INT(qube__vm_tag_remove(vm, "t"), QUBE_E_SYSTEM);
	QT_TRUE(qube__vm_tag_has(vm, "t") && !qube__vm_tag_has(vm, "u"));
	QT_INT(qube__vm_notes_set(vm, "other", 5), QUBE_E_SYSTEM);
	QT_INT(qube__vm_notes_set(vm, "", 0), QUBE_E_SYSTEM);
	QT_STR(vm->notes, "n");
	QT_TRUE(!house_vm(m, QUBE__CLASS_APP, "x", "deb") && !qube__model_vm(m, "x"));
	QT_INT(qube__global_set(m, "updatevm", "net"), QUBE_E_SYSTEM);
	QT_STR(house_get(text, m, NULL, "updatevm"), "(none)");
	QT_INT(qube__model_label_create(m, "mauve", "0xe0b0ff"), QUBE_E_SYSTEM);
	QT_TRUE(!qube__model_label(m, "mauve"));
	QT_INT(qube__model_pool_add(m, "lake", "tree", NULL, 0), QUBE_E_SYSTEM);
	QT_TRUE(!qube__model_pool(m, "lake"));
}

QTEST(store, a_batch_is_one_write)
{
	AUTO_PLACE p = place();
	AUTO_MODEL *m = NULL;
	struct qube__vm *vm;
	char *text;

	QT_INT(open_place(&m, &p), 0);
	house_fill(m);
	vm = qube__model_vm(m, "work");
	qube__vm_batch_begin(vm);
	QT_INT(qube__vm_tag_add(vm, "team"), 0);
	QT_INT(qube__vm_feature_set(vm, "feat", "1"), 0);
	text = read_file(p.state, "qubes/work.json");
	QT_TRUE(text && !strstr(text, "team"));
	free(text);
	QT_INT(qube__vm_batch_end(vm), 0);
	text = read_file(p.state, "qubes/work.json");
	QT_TRUE(text && strstr(text, "team") && strstr(text, "feat"));
	free(text);
}

#define HEAD "{\"format\":1,\"name\":\"bad\",\"uuid\":\"0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff\","
#define TAIL                                                                                       \
	"\"class\":\"AppVM\",\"qid\":77,\"properties\":{\"template\":\"deb\"},\"tags\":[],"        \
	"\"features\":{},\"volumes\":{}}"

static const struct {
	const char *text;
	const char *reason; /* NULL: it is fine */
} files[] = {
	{ HEAD TAIL, NULL },
	{ "", "bad.json:1 is not JSON" },
	{ "{", "is not JSON" },
	{ "{\n\"a\":1,\n\"a\":2}", "bad.json:3 is not JSON" },
	{ "[]", "no format" },
	{ "{\"name\":\"bad\"}", "no format" },
	{ "{\"format\":\"1\"}", "no format" },
	{ "{\"format\":0}", "format 0" },
	{ "{\"format\":2}", "bad.json has format 2, this libqube reads up to 1" },
	{ "{\"format\":1}", "is not about 'bad'" },
	{ "{\"format\":1,\"name\":\"worse\"}", "is not about 'bad'" },
	{ "{\"format\":1,\"name\":\"bad\",\"class\":\"AdminVM\"}", "bad class" },
	{ "{\"format\":1,\"name\":\"bad\",\"class\":\"Qube\"}", "bad class" },
	{ HEAD "\"more\":1," TAIL, "bad member more" },
	{ HEAD "\"notes\":\"\"," TAIL, "bad notes" },
	{ HEAD "\"notes\":\"a\\u001b\"," TAIL, "bad notes" },
	{ HEAD "\"notes\":[]," TAIL, "bad notes" },
	{ HEAD "\"notes\":\"fine\"," TAIL, NULL },
	{ HEAD "\"dispid\":1," TAIL, "bad dispid" },
	{ HEAD "\"driver\":\"\\u001b\"," TAIL, "bad driver" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":0}", "bad qid" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":10000}", "bad qid" },
	{ HEAD "\"class\":\"DispVM\",\"qid\":7}", "bad dispid" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":77}", "bad properties" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":77,\"properties\":{\"xyz\":\"1\"}}",
	  "bad property xyz" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":77,\"properties\":{\"memory\":1}}",
	  "bad property memory" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":77,\"properties\":{\"memory\":\"x\"}}",
	  "bad property memory" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":77,\"properties\":{\"debug\":\"yes\"}}",
	  "bad property debug" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":77,\"properties\":{\"template\":\"../x\"}}",
	  "bad property template" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":77,\"properties\":{\"name\":\"x\"}}",
	  "bad property name" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":77,\"properties\":{},\"tags\":[\"a b\"]}",
	  "Invalid tag" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":77,\"properties\":{},\"tags\":[1]}", "bad tag" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":77,\"properties\":{},\"tags\":[],"
	       "\"features\":{\"a/\":\"\"}}",
	  "feature 'a/'" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":77,\"properties\":{},\"tags\":[],\"features\":{},"
	       "\"volumes\":{\"root\":{}}}",
	  "bad volume root" },
	{ HEAD "\"class\":\"AppVM\",\"qid\":1,\"properties\":{},\"tags\":[],\"features\":{},"
	       "\"volumes\":{}}",
	  "its qid belongs to 'deb'" },
};

QTEST(store, a_damaged_qube_is_named_left_alone_and_hides_no_other)
{
	AUTO_PLACE p = place();
	struct qube__model *m = NULL;

	QT_INT(open_place(&m, &p), 0);
	house_fill(m);
	qube__model_close(m);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const char *want = files[i].reason;
		const char *got;
		qube__autofree char *text = NULL;
		struct qube__vm *vm = NULL;

		write_file(p.state, "qubes/bad.json", files[i].text);
		QT_INT(open_place(&m, &p), 0);
		got = qube__model_damaged(m, "bad");
		/* Which of two owners of a number is found first is the directory's choice. */
		if (i + 1 == sizeof(files) / sizeof(files[0]) && !got) {
			got = qube__model_damaged(m, "deb");
			want = "its qid belongs to 'bad'";
		} else if (want) {
			QT_INT(m->n_vms, 8);
			QT_TRUE(!qube__model_vm(m, "bad"));
		}
		if (!want != !got || (want && !strstr(got, want)))
			qtest_fail(__FILE__, __LINE__, "file %zu: '%s', expected '%s'", i,
				   got ? got : "(fine)", want ? want : "(fine)");
		if (want && qube__model_damaged(m, "bad")) {
			struct qube__vm_new n = { .name = "bad", .vm_class = QUBE__CLASS_TEMPLATE };

			QT_INT(qube__vm_create(&vm, m, &n), QUBE_E_EXISTS);
		}
		qube__model_close(m);
		text = read_file(p.state, "qubes/bad.json");
		QT_STR(text, files[i].text);
	}
}

QTEST(store, a_damaged_dom0_is_not_overwritten)
{
	AUTO_PLACE p = place();
	struct qube__model *m = NULL;
	qube__autofree char *text = NULL;

	QT_INT(open_place(&m, &p), 0);
	qube__model_close(m);
	write_file(p.state, "qubes/dom0.json", "broken");
	QT_INT(open_place(&m, &p), 0);
	QT_TRUE(qube__model_damaged(m, "dom0") != NULL);
	QT_INT(qube__vm_feature_set(m->dom0, "f", "1"), QUBE_E_STATE);
	QT_TRUE(!qube__vm_feature_find(m->dom0, "f"));
	qube__model_close(m);
	text = read_file(p.state, "qubes/dom0.json");
	QT_STR(text, "broken");
}

QTEST(store, a_damaged_or_newer_system_file_stops_the_opening)
{
	static const struct {
		const char *text;
		int code;
		const char *reason;
	} rows[] = {
		{ "x", QUBE_E_INVALID, "system.json:1 is not JSON" },
		{ "{\"format\":2}", QUBE_E_NOTSUP, "system.json has format 2" },
		{ "{\"format\":1}", QUBE_E_INVALID, "bad labels" },
		{ "{\"format\":1,\"labels\":[{}]}", QUBE_E_INVALID, "bad label" },
		{ "{\"format\":1,\"labels\":[{\"name\":\"red\",\"color\":\"0x000000\","
		  "\"index\":9}]}",
		  QUBE_E_INVALID, "bad label" },
		{ "{\"format\":1,\"labels\":[],\"pools\":[{}]}", QUBE_E_INVALID, "bad pool" },
		{ "{\"format\":1,\"labels\":[],\"pools\":[],\"properties\":{\"x\":\"1\"}}",
		  QUBE_E_INVALID, "bad property 'x'" },
		{ "{\"format\":1,\"labels\":[],\"pools\":[],\"properties\":{\"no_cpus\":\"1\"}}",
		  QUBE_E_INVALID, "bad property 'no_cpus'" },
	};
	AUTO_PLACE p = place();
	struct qube__model *m = NULL;

	QT_INT(open_place(&m, &p), 0);
	qube__model_close(m);
	m = NULL;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_file(p.state, "system.json", rows[i].text);
		QT_INT(open_place(&m, &p), rows[i].code);
		if (!strstr(qube_error_last()->message, rows[i].reason))
			QT_FAIL("row %zu: %s", i, qube_error_last()->message);
		QT_TRUE(m == NULL);
	}
}

QTEST(store, a_second_host_is_kept_out)
{
	AUTO_PLACE p = place();
	struct qube__model *m = NULL;
	struct qube__model *second = NULL;

	QT_INT(open_place(&m, &p), 0);
	QT_INT(open_place(&second, &p), QUBE_E_BUSY);
	QT_TRUE(strstr(qube_error_last()->message, p.state));
	qube__model_close(m);
	QT_INT(open_place(&second, &p), 0);
	qube__model_close(second);
}

QTEST(store, threat_32_a_directory_that_others_can_enter_is_refused)
{
	AUTO_PLACE p = place();
	struct qube__model *m = NULL;
	static const mode_t modes[] = { 0755, 0710, 0701, 0770, 0702 };

	QT_INT(open_place(&m, &p), 0);
	qube__model_close(m);
	m = NULL;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		QT_INT(chmod(p.state, modes[i]), 0);
		QT_INT(open_place(&m, &p), QUBE_E_INVALID);
		QT_TRUE(strstr(qube_error_last()->message, "others can enter"));
	}
	QT_INT(chmod(p.state, 0700), 0);
	QT_INT(chmod(p.run, 0755), 0);
	QT_INT(open_place(&m, &p), QUBE_E_INVALID);
	QT_INT(chmod(p.run, 0700), 0);
	if (geteuid() == 0) {
		QT_INT(chown(p.state, 12345, (gid_t)-1), 0);
		QT_INT(open_place(&m, &p), QUBE_E_INVALID);
		QT_TRUE(strstr(qube_error_last()->message, "belongs to user 12345"));
	}
	QT_TRUE(m == NULL);
}

QTEST(store, references_to_what_is_gone_are_no_crash)
{
	AUTO_PLACE p = place();
	struct qube__model *m = NULL;
	char text[256];
	char path[128];

	QT_INT(open_place(&m, &p), 0);
	house_fill(m);
	qube__model_close(m);
	snprintf(path, sizeof(path), "%s/qubes/deb.json", p.state);
	QT_INT(unlink(path), 0);
	QT_INT(open_place(&m, &p), 0);
	QT_STR(house_get(text, m, "work", "template"), "deb");
	QT_TRUE(!qube__vm_template(qube__model_vm(m, "work")));
	QT_STR(house_get(text, m, "work", "memory"), "400");
	qube__model_close(m);
}

QTEST(store, a_clone_is_unfinished_until_it_is_said_to_be_done)
{
	AUTO_PLACE p = place();
	AUTO_MODEL *m = NULL;
	struct qube__vm *copy = NULL;

	QT_INT(open_place(&m, &p), 0);
	house_fill(m);
	QT_INT(qube__vm_clone(&copy, qube__model_vm(m, "work"), "copy", NULL, 0), 0);
	qube__model_close(m);
	m = NULL;
	QT_INT(open_place(&m, &p), 0);
	copy = qube__model_vm(m, "copy");
	QT_TRUE(copy && copy->unfinished);
	QT_INT(qube__vm_finish(copy), 0);
	qube__model_close(m);
	m = NULL;
	QT_INT(open_place(&m, &p), 0);
	copy = qube__model_vm(m, "copy");
	QT_TRUE(copy && !copy->unfinished);
}

/* As a libqube wrote it that knew no notes: its files are read, and written as they were. */
QTEST(store, a_state_directory_from_before_notes_is_read_and_stays_as_it_was)
{
	static const char *const names[] = { "dom0", "alone", "deb", "disp",
					     "dvm",  "far",   "net", "work" };
	static const char before[] = TEST_STATE_WITHOUT_NOTES;
	AUTO_PLACE p = place();
	struct qube__model *m = NULL;
	char path[200];
	char text[256];
	char *file;

	snprintf(path, sizeof(path), "%s/qubes", p.state);
	QT_INT(mkdir(p.state, 0700) || mkdir(path, 0700), 0);
	file = read_file(before, "system.json");
	QT_TRUE(file != NULL);
	write_file(p.state, "system.json", file);
	free(file);
	for (size_t i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "qubes/%s.json", names[i]);
		file = read_file(before, path);
		QT_TRUE(file != NULL);
		write_file(p.state, path, file);
		free(file);
	}
	QT_INT(open_place(&m, &p), 0);
	QT_INT(m->n_damaged, 0);
	QT_INT(m->n_vms, 8);
	QT_STR(house_get(text, m, "work", "label"), "mauve");
	QT_STR(qube__vm_feature_find(qube__model_vm(m, "work"), "local.userns"), "1");
	QT_INT(qube__vm_tag_add(qube__model_vm(m, "work"), "extra"), 0);
	QT_INT(qube__vm_tag_remove(qube__model_vm(m, "work"), "extra"), 0);
	for (size_t i = 0; i < 8; i++) {
		char *encoded = NULL;
		size_t len;

		QT_TRUE(!qube__model_vm(m, names[i])->notes);
		QT_INT(qube__store_vm_encode(&encoded, &len, qube__model_vm(m, names[i])), 0);
		snprintf(path, sizeof(path), "qubes/%s.json", names[i]);
		file = read_file(before, path);
		QT_STR(encoded, file);
		free(file);
		file = read_file(p.state, path);
		QT_STR(encoded, file);
		free(file);
		free(encoded);
	}
	QT_INT(qube__vm_notes_set(qube__model_vm(m, "work"), "new", 3), 0);
	qube__model_close(m);
	QT_INT(open_place(&m, &p), 0);
	QT_INT(m->n_damaged, 0);
	QT_STR(qube__model_vm(m, "work")->notes, "new");
	/* Without them the file is again as it was. */
	QT_INT(qube__vm_notes_set(qube__model_vm(m, "work"), "", 0), 0);
	qube__model_close(m);
	file = read_file(p.state, "qubes/work.json");
	QT_TRUE(file && !strstr(file, "notes"));
	free(file);
}
