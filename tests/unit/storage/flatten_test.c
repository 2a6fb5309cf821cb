/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Layers merged by us and by the kernel show the same. The layers are made as a template's are: by
 * an overlay that is written to, over and over, at random. */
#include "qtest.h"
#include "util.h"
#include "worker.h"

#include "base/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { LAYERS = 12, NAMES = 5 };

static uint32_t seed;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* A path of one to three names out of few, so that things meet. */
static const char *somewhere(void)
{
	static char ring[2][128];
	static unsigned int next;
	char *out = ring[next++ % 2];
	uint32_t depth = 1 + roll(3);
	int n = snprintf(out, sizeof(ring[0]), "merged");

	for (uint32_t i = 0; i < depth; i++)
		n += snprintf(out + n, sizeof(ring[0]) - (size_t)n, "/%c", 'a' + (int)roll(NAMES));
	return out;
}

static void remove_at(const char *path)
{
	struct worker_job job = { .sock = -1 };
	const char *slash = strrchr(path, '/');
	char dir[128] = ".";
	int fd;

	if (slash)
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	fd = open(at("%s", dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	worker_remove_tree(&job, fd, slash ? slash + 1 : path);
	close(fd);
}

static void write_at(const char *path)
{
	char text[32];
	int fd = open(at("%s", path), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		return;
	snprintf(text, sizeof(text), "%u\n", roll(1000000));
	if (roll(40) == 0)
		(void)!ftruncate(fd, 70000 + (off_t)roll(1000)); /* big enough to be shared */
	(void)!write(fd, text, strlen(text));
	fchmod(fd, 0600 | roll(0200));
	close(fd);
}

/* What any program may do; much of it fails, which is fine. */
static void change_something(void)
{
	const char *path = somewhere();

	switch (roll(12)) {
	case 0:
	case 1:
	case 2:
		mkdir(at("%s", path), 0700 + roll(0100));
		break;
	case 3:
	case 4:
		write_at(path);
		break;
	case 5:
		remove_at(path);
		break;
	case 6:
	case 7:
	case 8:
		rename(at("%s", path), at("%s", somewhere()));
		break;
	case 9:
		(void)!link(at("%s", path), at("%s", somewhere()));
		break;
	case 10:
		(void)!symlink("a/b", at("%s", path));
		break;
	default:
		lsetxattr(at("%s", path), "user.n", path, roll(8), 0);
		(void)!lchown(at("%s", path), roll(9), roll(9));
	}
}

static char lower[1024];

static void list_layers(int newest)
{
	size_t n = 0;

	lower[0] = '\0';
	for (int i = newest; i >= 0; i--)
		n += (size_t)snprintf(lower + n, sizeof(lower) - n, "%s%s", n ? ":" : "",
				      at("layers/%d", i));
}

/* Layer i is what is written on the ones before it. */
static int make_layer(int i, int changes)
{
	char options[2048];

	put_dir(at("layers/%d", i), 0755);
	put_dir(at("work/%d", i), 0755);
	list_layers(i - 1);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=on",
		 lower, at("layers/%d", i), at("work/%d", i));
	if (mount("o", at("merged"), "overlay", 0, options) < 0)
		return -1;
	for (int k = 0; k < changes; k++)
		change_something();
	return umount(at("merged"));
}

static int show_layers(int n)
{
	char options[1200];

	list_layers(n - 1);
	snprintf(options, sizeof(options), "lowerdir=%s,redirect_dir=follow", lower);
	return mount("o", at("merged"), "overlay", MS_RDONLY, options);
}

static int flatten(struct worker_job *job, int n)
{
	static char names[64][16];
	const char *list[64];
	int layers = open(at("layers"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int parent = open(at("."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	for (int i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "%d", n - 1 - i);
		list[i] = names[i];
	}
	*job = (struct worker_job){ .sock = -1 };
	umask(0);
	r = worker_flatten(job, layers, parent, "flat", list, (size_t)n);
	umask(022);
	if (chdir("/") < 0)
		r = -1;
	close(layers);
	close(parent);
	return r;
}

/* Everything below a directory as lines, made by programs that know nothing of us. */
static const char *describe(const char *root)
{
	static char out[2][512 * 1024];
	static unsigned int next;
	char *buf = out[next++ % 2];
	char command[2048];
	size_t n;
	FILE *p;

	snprintf(
		command, sizeof(command),
		"export LC_ALL=C;cd %s && find . -printf '%%p %%y %%m %%U %%G %%T@ %%l\\n' | sort; "
		"find . -type f -print0 | sort -z | xargs -0r md5sum; "
		"find . -print0 | sort -z | xargs -0 getfattr -h -d -m user -e hex",
		root);
	p = popen(command, "r");
	n = p ? fread(buf, 1, sizeof(out[0]) - 1, p) : 0;
	if (!p || pclose(p) < 0 || n == 0)
		snprintf(buf, sizeof(out[0]), "not described: %s", root);
	else
		buf[n] = '\0';
	return buf;
}

static bool can_overlay(void)
{
	bool yes;

	put_dir(at("layers/0"), 0755);
	put_dir(at("merged"), 0755);
	yes = make_layer(1, 0) == 0;
	rmdir(at("layers/1"));
	return yes;
}

QTEST(flatten, shows_what_an_overlay_of_random_layers_shows)
{
	QT_INT(chdir("/"), 0);
	scratch_make();
	if (!can_overlay()) {
		scratch_remove();
		QT_SKIP("overlayfs cannot write here");
	}
	for (uint32_t run = 1; run <= 60; run++) {
		int n = 3 + (int)(run % (LAYERS - 2));
		struct worker_job job;
		char *want;

		seed = run * 7919;
		remove_at("layers");
		remove_at("work");
		remove_at("flat");
		put_dir(at("layers/0"), 0755);
		for (int i = 1; i < n; i++)
			QT_INT(make_layer(i, 40), 0);
		QT_INT(show_layers(n), 0);
		want = strdup(describe(at("merged")));
		QT_INT(umount(at("merged")), 0);
		QT_INT(flatten(&job, n), 0);
		QT_STR(describe(at("flat")), want);
		QT_INT(find_text(at("flat"), "not described"), 0);
		free(want);
		QT_TRUE(!exists(at(".links-%lx-0", (unsigned long)getpid())));
	}
	scratch_remove();
}

QTEST(flatten, shares_big_files_and_copies_small_ones)
{
	struct worker_job job;
	struct stat a;
	struct stat b;

	scratch_make();
	put_file(at("layers/0/small"), "x", 0644);
	put_file(at("layers/0/first"), "", 0644);
	put_file(at("layers/0/usr/lib/small"), "x", 0644);
	put_file(at("layers/0/big"), "y", 0644);
	QT_INT(truncate(at("layers/0/first"), 100000), 0);
	QT_INT(truncate(at("layers/0/big"), 100000), 0);
	put_dir(at("layers/1"), 0755);
	put_file(at("layers/1/one"), "z", 0644);
	QT_INT(link(at("layers/1/one"), at("layers/1/two")), 0);
	QT_INT(flatten(&job, 2), 0);
	QT_INT(stat(at("flat/one"), &a), 0);
	QT_INT(stat(at("flat/two"), &b), 0);
	QT_TRUE(a.st_ino == b.st_ino && a.st_nlink == 2);
	QT_INT(stat(at("layers/0/small"), &a), 0);
	QT_INT(stat(at("flat/small"), &b), 0);
	QT_TRUE(a.st_ino != b.st_ino && b.st_nlink == 1);
	QT_INT(stat(at("layers/0/usr/lib/small"), &a), 0);
	QT_INT(stat(at("flat/usr/lib/small"), &b), 0);
	QT_TRUE(!job.no_clone || a.st_ino == b.st_ino);
	QT_INT(stat(at("layers/0/big"), &a), 0);
	QT_INT(stat(at("flat/big"), &b), 0);
	/* The first of the two may have been the one that showed that nothing can be cloned. */
	if (job.no_clone && a.st_ino != b.st_ino) {
		QT_INT(stat(at("layers/0/first"), &a), 0);
		QT_INT(stat(at("flat/first"), &b), 0);
	}
	QT_TRUE(!job.no_clone || a.st_ino == b.st_ino);
	scratch_remove();
}

QTEST(flatten, keeps_sockets_and_drops_devices)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct worker_job job;
	struct stat st;

	scratch_make();
	put_dir(at("layers/0"), 0755);
	put_dir(at("layers/1"), 0755);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%.100s", at("layers/0/s"));
	QT_INT(bind(s, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(s);
	QT_INT(mknod(at("layers/0/null"), S_IFCHR | 0666, makedev(1, 3)), 0);
	QT_INT(flatten(&job, 2), 0);
	QT_INT(lstat(at("flat/s"), &st), 0);
	QT_TRUE(S_ISSOCK(st.st_mode));
	QT_TRUE(!exists(at("flat/null")));
	QT_INT(job.skipped, 1);
	scratch_remove();
}

QTEST(flatten, refuses_what_it_would_lose)
{
	struct worker_job job;

	scratch_make();
	put_dir(at("layers/0"), 0755);
	put_file(at("layers/1/f"), "", 0644);
	QT_INT(setxattr(at("layers/1/f"), "trusted.overlay.metacopy", "", 0, 0), 0);
	QT_INT(flatten(&job, 2), QUBE_E_NOTSUP);
	QT_TRUE(strstr(qube_error_last()->message, "without its data") != NULL);
	remove_at("flat");
	QT_INT(unlink(at("layers/1/f")), 0);
	QT_INT(flatten(&job, 3), QUBE_E_SYSTEM); /* a layer that is not there */
	scratch_remove();
}

QTEST(flatten, threat_17_a_redirect_does_not_lead_out_of_the_layers)
{
	static const char *const targets[] = { "/../outside", "/..", "..", "/a/../../outside",
					       "/link",	      "a/b", "/",  "//" };
	struct worker_job job;

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		scratch_make();
		put_file(at("outside/canary"), "canary-outside", 0600);
		put_dir(at("layers/0/a"), 0755);
		QT_INT(symlink(at("outside"), at("layers/0/link")), 0);
		put_dir(at("layers/1/d"), 0755);
		QT_INT(setxattr(at("layers/1/d"), "trusted.overlay.redirect", targets[i],
				strlen(targets[i]), 0),
		       0);
		flatten(&job, 2);
		QT_INT(find_text(at("flat"), "canary-outside"), 0);
		scratch_remove();
	}
}
