/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-initramfs: the first file system of a guest of Xen: qube-init, the guest's programs, and the
 * kernel modules that they need, unpacked, with their order. The same input gives the same bytes.
 *
 * What is below /lib/modules may come from a template's packages: its texts and names are not
 * believed, and no link there is followed. */
#include "cpio.h"
#include "moddep.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
	FILE_BYTES_MAX = 256 << 20,
	PROGRAM_DIRS_MAX = 4,
	ENTRIES_MAX = 65536, /* of one directory of an overlay */
	DEPTH_MAX = 64,
	EXIT_USAGE = 2,
};

struct options {
	const char *modules;
	const char *programs[PROGRAM_DIRS_MAX];
	size_t n_programs;
	const char *overlay;
	const char *out;
};

/* In the order in which they are loaded. */
static const struct {
	const char *name;
	bool optional;
} wanted[] = {
	{ "xen-blkfront", false },
	{ "xen-netfront", false },
	{ "xenfs", false },
	{ "xen-privcmd", false },
	{ "xen-evtchn", false },
	{ "xen-gntdev", false },
	{ "xen-gntalloc", false },
	/* Of ext4, which names it nowhere; newer kernels have it in themselves. */
	{ "crc32c_generic", true },
	{ "ext4", false },
	{ "dm-mod", false },
	{ "dm-snapshot", false },
};

/* Those that a build without Xen's libraries lacks are optional. */
static const struct {
	const char *name;
	bool optional;
} programs[] = {
	{ "qube-agent", false }, { "qube-copy", false }, { "qube-meminfo", true },
	{ "qube-pty", false },	 { "qube-rpc", false },	 { "qube-vchan", true },
};

/* What the kernel and qube-init find in it; an overlay may not say otherwise. */
static const char *const own[] = { "init", "modules", "qube" };

static int find_module(int dir, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/* A whole regular file, owned. fd is the caller's. */
static int read_fd(char **out, size_t *len, int fd, const char *name, size_t max)
{
	qube__autofree char *data = NULL;
	struct stat st;
	size_t at = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return qube__fail_name("open", name);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max) {
		errno = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
		return qube__fail_name("use the file", name);
	}
	data = malloc((size_t)st.st_size + 1);
	if (!data)
		return qube__fail_nomem();
	while (at < (size_t)st.st_size) {
		ssize_t n = read(fd, data + at, (size_t)st.st_size - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return qube__fail_name("read", name);
		at += (size_t)n;
	}
	*len = at;
	*out = qube__steal(data);
	return 0;
}

static int read_module_file(char **out, size_t *len, int dir, const char *path, size_t max)
{
	qube__autofd fd = find_module(dir, path);

	return read_fd(out, len, fd, path, max);
}

/* --- modules --- */

static void reader_fini(struct archive **a)
{
	archive_read_free(*a);
}

/* Only what libarchive does itself: no other program is run for a format. */
static int open_reader(struct archive *a, const void *data, size_t len)
{
	if (archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
	    archive_read_support_filter_xz(a) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
	    archive_read_support_format_raw(a) != ARCHIVE_OK)
		return -1;
	return archive_read_open_memory(a, data, len) == ARCHIVE_OK ? 0 : -1;
}

static int unpack(char **out, size_t *out_len, const char *data, size_t len, const char *path)
{
	__attribute__((cleanup(reader_fini))) struct archive *a = archive_read_new();
	qube__autofree char *whole = NULL;
	struct archive_entry *e;
	size_t room = 0;
	size_t at = 0;

	if (!a)
		return qube__fail_nomem();
	if (open_reader(a, data, len) < 0 || archive_read_next_header(a, &e) != ARCHIVE_OK)
		return qube__fail(QUBE_E_PROTO, "cannot unpack %s: %s", path,
				  archive_error_string(a));
	for (;;) {
		la_ssize_t n;

		if (at == room) {
			char *grown;

			if (room >= FILE_BYTES_MAX)
				return qube__fail(QUBE_E_LIMIT, "%s is too large", path);
			room = room ? room * 2 : 1 << 20;
			grown = realloc(whole, room);
			if (!grown)
				return qube__fail_nomem();
			whole = grown;
		}
		n = archive_read_data(a, whole + at, room - at);
		if (n < 0)
			return qube__fail(QUBE_E_PROTO, "cannot unpack %s: %s", path,
					  archive_error_string(a));
		if (n == 0)
			break;
		at += (size_t)n;
	}
	*out_len = at;
	*out = qube__steal(whole);
	return 0;
}

static bool is_elf(const char *data, size_t len)
{
	return len > 4 && memcmp(data, "\177ELF", 4) == 0;
}

static int add_module(struct cpio *c, int dir, const char *path)
{
	qube__autofree char *data = NULL;
	char name[MODDEP_PATH_MAX + 1];
	char to[MODDEP_PATH_MAX + sizeof("modules/")];
	size_t len;
	int r = read_module_file(&data, &len, dir, path, FILE_BYTES_MAX);

	if (r < 0)
		return r;
	if (!is_elf(data, len)) {
		char *packed = qube__steal(data);

		r = unpack(&data, &len, packed, len, path);
		free(packed);
		if (r < 0)
			return r;
	}
	if (!is_elf(data, len))
		return qube__fail(QUBE_E_PROTO, "%s is no kernel module", path);
	moddep_file(name, path);
	snprintf(to, sizeof(to), "modules/%s", name);
	return cpio_add(c, to, S_IFREG | 0644, data, len);
}

static int choose(struct moddep_list *list, const struct moddep_texts *t, const char *dir)
{
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		int r = moddep_add(list, t, wanted[i].name);

		if (r < 0)
			return qube__fail(r, "%s/modules.dep makes no sense about %s", dir,
					  wanted[i].name);
		if (r == MODDEP_MISSING && !wanted[i].optional)
			return qube__fail(QUBE_E_NOENT,
					  "the kernel of %s has no module %s, nor is it built in",
					  dir, wanted[i].name);
	}
	return 0;
}

/* The files, and their names in the order in which they are loaded. */
static int add_list(struct cpio *c, int dir, const struct moddep_list *list)
{
	static char order[MODDEP_LIST_MAX * (MODDEP_PATH_MAX + 1)];
	size_t len = 0;
	int r = cpio_add(c, "modules", S_IFDIR | 0755, NULL, 0);

	for (size_t i = 0; r == 0 && i < list->n; i++) {
		char name[MODDEP_PATH_MAX + 1];
		size_t n;

		r = add_module(c, dir, list->list[i].path);
		moddep_file(name, list->list[i].path);
		n = strlen(name);
		memcpy(order + len, name, n);
		order[len + n] = '\n';
		len += n + 1;
	}
	return r < 0 ? r : cpio_add(c, "modules/order", S_IFREG | 0644, order, len);
}

static int add_modules(struct cpio *c, const char *path)
{
	static struct moddep_list list;
	qube__autofree char *dep = NULL;
	qube__autofree char *builtin = NULL;
	struct moddep_texts t = { 0 };
	qube__autofd dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (dir < 0)
		return qube__fail_name("open", path);
	r = read_module_file(&dep, &t.dep_len, dir, "modules.dep", MODDEP_TEXT_MAX);
	if (r < 0)
		return r;
	r = read_module_file(&builtin, &t.builtin_len, dir, "modules.builtin", MODDEP_TEXT_MAX);
	if (r < 0)
		return r;
	t.untrusted_dep = dep;
	t.untrusted_builtin = builtin;
	r = choose(&list, &t, path);
	return r < 0 ? r : add_list(c, dir, &list);
}

/* --- programs --- */

/* From the first folder that has it. */
static int add_program(struct cpio *c, const struct options *o, const char *name, bool optional,
		       const char *to)
{
	qube__autofree char *data = NULL;
	size_t len = 0;
	int r = QUBE_E_NOENT;

	for (size_t i = 0; r == QUBE_E_NOENT && i < o->n_programs; i++) {
		qube__autofd dir = open(o->programs[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (dir < 0)
			return qube__fail_name("open", o->programs[i]);
		r = qube__io_read_file(&data, &len, dir, name, FILE_BYTES_MAX);
	}
	if (r == QUBE_E_NOENT && optional) {
		fprintf(stderr, "qube-initramfs: goes without %s, which is not there\n", name);
		return 0;
	}
	if (r == QUBE_E_NOENT)
		return qube__fail(r, "no %s in %s", name, o->programs[0]);
	if (r < 0)
		return r;
	if (!is_elf(data, len))
		return qube__fail(QUBE_E_INVALID, "%s is no program", name);
	return cpio_add(c, to, S_IFREG | 0755, data, len);
}

static int add_programs(struct cpio *c, const struct options *o)
{
	int r = add_program(c, o, "qube-init", false, "init");

	if (r == 0)
		r = cpio_add(c, "qube", S_IFDIR | 0755, NULL, 0);
	for (size_t i = 0; r == 0 && i < sizeof(programs) / sizeof(programs[0]); i++) {
		char to[64];

		snprintf(to, sizeof(to), "qube/%s", programs[i].name);
		r = add_program(c, o, programs[i].name, programs[i].optional, to);
	}
	return r;
}

/* Without a console of its own here the kernel gives the first process no descriptors. */
static int add_places(struct cpio *c)
{
	static const char *const dirs[] = { "dev", "proc", "root", "run", "sys" };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		r = cpio_add(c, dirs[i], S_IFDIR | 0755, NULL, 0);
	return r < 0 ? r : cpio_add_device(c, "dev/console", S_IFCHR | 0600, 5, 1);
}

/* --- the overlay --- */

struct overlay {
	struct cpio *c;
	size_t len; /* of path */
	char path[PATH_MAX];
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	char **list;
	size_t n;
};

static void names_fini(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
}

/* Sorted. Takes fd. */
static int read_names(struct names *names, int fd, const char *path)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		qube__close_fd(&fd);
		return qube__fail_name("read", path);
	}
	while (r == 0 && (errno = 0, e = readdir(dir))) {
		char **grown;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		grown = names->n < ENTRIES_MAX ?
				reallocarray(names->list, names->n + 1, sizeof(*grown)) :
				NULL;
		if (grown)
			names->list = grown;
		if (!grown || !(grown[names->n] = strdup(e->d_name)))
			r = qube__fail_nomem();
		else
			names->n++;
	}
	if (r == 0 && errno)
		r = qube__fail_name("read", path);
	closedir(dir);
	if (r == 0 && names->n)
		qsort(names->list, names->n, sizeof(*names->list), by_name);
	return r;
}

static int add_tree(struct overlay *o, int dir, int depth);

static int add_file(struct overlay *o, int dir, const char *name, mode_t mode)
{
	qube__autofd fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	qube__autofree char *data = NULL;
	size_t len;
	int r = read_fd(&data, &len, fd, o->path, FILE_BYTES_MAX);

	return r < 0 ? r : cpio_add(o->c, o->path, mode, data, len);
}

static int add_link(struct overlay *o, int dir, const char *name)
{
	char to[PATH_MAX];
	ssize_t n = readlinkat(dir, name, to, sizeof(to) - 1);

	if (n < 0)
		return qube__fail_name("read", o->path);
	to[n] = '\0';
	return cpio_add(o->c, o->path, S_IFLNK | 0777, to, (size_t)n);
}

static int add_entry(struct overlay *o, int dir, const char *name, int depth)
{
	struct stat st;
	int r;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return qube__fail_name("look at", o->path);
	if (S_ISREG(st.st_mode))
		return add_file(o, dir, name, st.st_mode);
	if (S_ISLNK(st.st_mode))
		return add_link(o, dir, name);
	if (!S_ISDIR(st.st_mode)) {
		errno = EINVAL;
		return qube__fail_name("lay over, as it is no file, directory or link,", o->path);
	}
	r = cpio_add(o->c, o->path, st.st_mode, NULL, 0);
	if (r == 0) {
		int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		r = fd < 0 ? qube__fail_name("open", o->path) : add_tree(o, fd, depth + 1);
	}
	return r;
}

static bool is_own(const char *name)
{
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strcmp(name, own[i]) == 0)
			return true;
	return false;
}

/* Takes fd. */
static int add_tree(struct overlay *o, int fd, int depth)
{
	__attribute__((cleanup(names_fini))) struct names names = { 0 };
	qube__autofd dir = fd;
	int again = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	size_t before = o->len;
	int r;

	if (again < 0 || depth > DEPTH_MAX)
		return qube__fail(QUBE_E_LIMIT, "%s is too deep a tree", o->path);
	r = read_names(&names, again, o->path);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		size_t n = strlen(names.list[i]);

		if (depth == 0 && is_own(names.list[i]))
			return qube__fail(QUBE_E_INVALID, "/%s may not be laid over",
					  names.list[i]);
		if (before + n + 2 > sizeof(o->path))
			return qube__fail(QUBE_E_LIMIT, "%s is too deep a tree", o->path);
		if (before)
			o->path[o->len++] = '/';
		memcpy(o->path + o->len, names.list[i], n + 1);
		o->len += n;
		r = add_entry(o, dir, names.list[i], depth);
		o->len = before;
		o->path[before] = '\0';
	}
	return r;
}

static int add_overlay(struct cpio *c, const char *path)
{
	static struct overlay o;
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return qube__fail_name("open", path);
	o.c = c;
	return add_tree(&o, dir, 0);
}

/* --- the program --- */

static int make(const struct options *o)
{
	struct cpio *c = cpio_open(o->out);
	int r = c ? add_places(c) : -1;

	if (r == 0)
		r = add_programs(c, o);
	if (r == 0 && o->modules)
		r = add_modules(c, o->modules);
	if (r == 0 && o->overlay)
		r = add_overlay(c, o->overlay);
	if (r == 0)
		r = cpio_close(c);
	cpio_free(c);
	return r;
}

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "modules", required_argument, NULL, 'm' },
		{ "programs", required_argument, NULL, 'p' },
		{ "out", required_argument, NULL, 'o' },
		{ "overlay", required_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'm')
			o->modules = optarg;
		else if (c == 'p' && o->n_programs < PROGRAM_DIRS_MAX)
			o->programs[o->n_programs++] = optarg;
		else if (c == 'o')
			o->out = optarg;
		else if (c == 'l')
			o->overlay = optarg;
		else
			return -1;
	}
	return optind == argc && o->n_programs && o->out ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };

	if (parse(&o, argc, argv) < 0) {
		fprintf(stderr,
			"usage: qube-initramfs [--modules DIR] --programs DIR... --out FILE\n"
			"                      [--overlay DIR]\n"
			"DIR of modules: /lib/modules/VERSION; without it there are none\n");
		return EXIT_USAGE;
	}
	if (make(&o) < 0) {
		fprintf(stderr, "qube-initramfs: %s\n", qube_error_last()->message);
		return 1;
	}
	return 0;
}
