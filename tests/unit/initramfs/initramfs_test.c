/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-initramfs as a program: what is in the file that it makes, and what it refuses. */
#include "qtest.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ELF	"\177ELF of "
#define MODULES "lib/modules/6.1"

static const char modules_dep[] = "kernel/xen-blkfront.ko:\n"
				  "kernel/xen-netfront.ko.xz:\n"
				  "kernel/jbd2.ko:\n"
				  "kernel/ext4.ko: kernel/jbd2.ko\n"
				  "kernel/dm-mod.ko:\n"
				  "kernel/dm-snapshot.ko: kernel/dm-mod.ko\n";
static const char modules_builtin[] = "kernel/xenfs.ko\nkernel/xen-privcmd.ko\n"
				      "kernel/xen-evtchn.ko\nkernel/xen-gntdev.ko\n"
				      "kernel/xen-gntalloc.ko\n";

struct world {
	char dir[64];
	char said[4096];
};

static void at(char out[256], const struct world *w, const char *name)
{
	snprintf(out, 256, "%s/%s", w->dir, name);
}

static void put(const struct world *w, const char *name, const char *text, mode_t mode)
{
	char path[256];
	FILE *f;

	at(path, w, name);
	f = fopen(path, "we");
	if (!f)
		QT_FAIL("cannot write %s", path);
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

/* A module as distributions have it. */
static void put_packed(const struct world *w, const char *name, const char *text)
{
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	char path[256];

	at(path, w, name);
	archive_write_add_filter_xz(a);
	archive_write_set_format_raw(a);
	archive_write_open_filename(a, path);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_write_header(a, e);
	archive_write_data(a, text, strlen(text));
	archive_entry_free(e);
	archive_write_free(a);
}

static void make_dir(const struct world *w, const char *name)
{
	char path[256];

	at(path, w, name);
	mkdir(path, 0755);
}

static void world_init(struct world *w)
{
	static const char *const dirs[] = { "lib",     "lib/modules", MODULES, MODULES "/kernel",
					    "bin",     "xen",	      "over",  "over/etc",
					    "over/bin" };
	static const char *const plain[] = { "xen-blkfront", "jbd2", "ext4", "dm-mod",
					     "dm-snapshot" };
	static const char *const programs[] = { "qube-agent", "qube-copy", "qube-pty", "qube-rpc" };
	char name[128];
	char path[256];

	snprintf(w->dir, sizeof(w->dir), "/tmp/qube-initramfs-XXXXXX");
	if (!mkdtemp(w->dir))
		QT_FAIL("cannot make a directory");
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		make_dir(w, dirs[i]);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		snprintf(name, sizeof(name), MODULES "/kernel/%s.ko", plain[i]);
		put(w, name, ELF "a module", 0644);
	}
	put_packed(w, MODULES "/kernel/xen-netfront.ko.xz", ELF "netfront");
	put(w, MODULES "/modules.dep", modules_dep, 0644);
	put(w, MODULES "/modules.builtin", modules_builtin, 0644);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		snprintf(name, sizeof(name), "bin/%s", programs[i]);
		put(w, name, ELF "a program", 0755);
	}
	put(w, "xen/qube-init", ELF "init", 0755);
	put(w, "over/bin/hello", "#!", 0755);
	put(w, "over/etc/motd", "hi", 0600);
	at(path, w, "over/bin/link");
	if (symlink("hello", path) < 0)
		QT_FAIL("cannot make %s", path);
}

static void world_fini(struct world *w)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	if (system(command) != 0)
		fprintf(stderr, "cannot remove %s\n", w->dir);
}
#define autoworld __attribute__((cleanup(world_fini))) struct world

/* Its exit status; what it says is in w->said. */
static int make(struct world *w, const char *out)
{
	char command[1024];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command),
		 "cd %s && '%s' --modules " MODULES " --programs bin --programs xen "
		 "--overlay over --out %s 2>&1",
		 w->dir, QUBE_TEST_INITRAMFS, out);
	f = popen(command, "re");
	if (!f)
		return -1;
	n = fread(w->said, 1, sizeof(w->said) - 1, f);
	w->said[n] = '\0';
	return WEXITSTATUS(pclose(f));
}

/* "mode path>link=content" of each entry. */
static void list(const struct world *w, const char *name, char *out, size_t cap)
{
	struct archive *a = archive_read_new();
	struct archive_entry *e;
	char path[256];
	size_t len = 0;

	at(path, w, name);
	archive_read_support_format_cpio(a);
	if (archive_read_open_filename(a, path, 4096) != ARCHIVE_OK)
		QT_FAIL("%s is no archive", path);
	while (archive_read_next_header(a, &e) == ARCHIVE_OK) {
		char data[256] = "";
		la_ssize_t n = archive_read_data(a, data, sizeof(data) - 1);

		const char *to = archive_entry_symlink(e);

		len += (size_t)snprintf(out + len, cap - len, "%o %s=%.*s\n",
					(unsigned int)archive_entry_mode(e),
					archive_entry_pathname(e), n > 0 ? (int)n : 0, data);
		if (to)
			len += (size_t)snprintf(out + len, cap - len, ">%s\n", to);
		QT_INT(archive_entry_mtime(e), 0);
		QT_INT(archive_entry_uid(e), 0);
		QT_INT(archive_entry_gid(e), 0);
	}
	archive_read_free(a);
}

QTEST(initramfs, has_programs_modules_in_their_order_and_the_overlay)
{
	static char text[8192];
	autoworld w;

	world_init(&w);
	QT_INT(make(&w, "a"), 0);
	list(&w, "a", text, sizeof(text));
	QT_TRUE(strstr(text, "20600 dev/console=\n") != NULL);
	QT_TRUE(strstr(text, "100755 init=" ELF "init\n") != NULL);
	QT_TRUE(strstr(text, "100755 qube/qube-agent=" ELF "a program\n") != NULL);
	QT_TRUE(strstr(text, "modules/order=xen-blkfront.ko\nxen-netfront.ko\njbd2.ko\next4.ko\n"
			     "dm-mod.ko\ndm-snapshot.ko\n") != NULL);
	QT_TRUE(strstr(text, "100644 modules/xen-netfront.ko=" ELF "netfront\n") != NULL);
	QT_TRUE(strstr(text, "100755 bin/hello=#!\n") != NULL);
	QT_TRUE(strstr(text, "120777 bin/link=\n>hello\n") != NULL);
	QT_TRUE(strstr(text, "100600 etc/motd=hi\n") != NULL);
	QT_TRUE(strstr(w.said, "goes without qube-vchan") != NULL);
}

QTEST(initramfs, is_the_same_for_the_same_content)
{
	char command[256];
	autoworld w;

	world_init(&w);
	QT_INT(make(&w, "a"), 0);
	/* Another time of change, another order in the directory. */
	put(&w, "over/etc/an", "x", 0644);
	snprintf(command, sizeof(command), "%s/over/etc/an", w.dir);
	unlink(command);
	put(&w, "bin/qube-rpc", ELF "a program", 0755);
	QT_INT(make(&w, "b"), 0);
	snprintf(command, sizeof(command), "cmp %s/a %s/b", w.dir, w.dir);
	QT_INT(system(command), 0);
}

static void refuses(struct world *w, const char *why)
{
	char path[256];

	QT_INT(make(w, "a"), 1);
	if (!strstr(w->said, why))
		QT_FAIL("says \"%s\" and not \"%s\"", w->said, why);
	/* Nothing is left, not even a temporary file. */
	at(path, w, "a");
	QT_TRUE(access(path, F_OK) < 0);
	snprintf(path, sizeof(path), "ls %s/a.* >/dev/null 2>&1", w->dir);
	QT_TRUE(system(path) != 0);
}

QTEST(initramfs, refuses_a_kernel_that_lacks_a_module)
{
	autoworld w;

	world_init(&w);
	put(&w, MODULES "/modules.builtin", "kernel/xenfs.ko\n", 0644);
	refuses(&w, "has no module xen-privcmd, nor is it built in");
}

QTEST(initramfs, refuses_what_is_no_module)
{
	autoworld w;

	world_init(&w);
	put(&w, MODULES "/kernel/jbd2.ko", "text", 0644);
	refuses(&w, "jbd2.ko");
}

QTEST(initramfs, threat_17_follows_no_link_to_a_module)
{
	char path[256];
	autoworld w;

	world_init(&w);
	put(&w, "secret", ELF "secret", 0644);
	at(path, &w, MODULES "/kernel/jbd2.ko");
	unlink(path);
	QT_INT(symlink("../../../../secret", path), 0);
	refuses(&w, "cannot open kernel/jbd2.ko");
}

QTEST(initramfs, refuses_an_overlay_over_its_own)
{
	autoworld w;

	world_init(&w);
	put(&w, "over/init", "#!", 0755);
	refuses(&w, "/init may not be laid over");
}

QTEST(initramfs, refuses_to_go_without_a_program)
{
	char path[256];
	autoworld w;

	world_init(&w);
	at(path, &w, "bin/qube-pty");
	unlink(path);
	refuses(&w, "no qube-pty in bin");
}
