/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A pool as a whole: its directory, its mount, what a dead host left in it, its trash. */
#include "storage/inside.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

static const unsigned long pool_flags = ST_NOSUID | ST_NODEV | ST_NOEXEC;

static const char name_alphabet[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

bool qube__pool_name_ok(const char *name)
{
	size_t n = name ? strspn(name, name_alphabet) : 0;

	return n && n < QUBE__OWNER_MAX && name[n] == '\0' && name[0] != '.' && name[0] != '-';
}

int qube__pool_check_spec(const struct qube__pool *p, const struct qube__volume_spec *v)
{
	if (!qube__pool_name_ok(v->owner) || !qube__pool_name_ok(v->name) || strchr(v->name, '.') ||
	    (v->source && !qube__pool_name_ok(v->source)))
		return qube__fail(QUBE_E_INVALID, "a volume with an unusable name");
	if (v->kind > QUBE__VOLUME_BLOCK || !(p->driver->kinds & 1u << v->kind))
		return qube__fail(QUBE_E_INVALID, "volume %s of %s has kind %u in pool %s", v->name,
				  v->owner, v->kind, p->name);
	if ((v->snap_on_start && v->save_on_stop) || (v->source && !v->snap_on_start))
		return qube__fail(QUBE_E_NOTSUP,
				  "volume %s of %s cannot both follow a source and be "
				  "saved",
				  v->name, v->owner);
	if (v->kind == QUBE__VOLUME_TMPFS && (v->snap_on_start || v->save_on_stop))
		return qube__fail(QUBE_E_NOTSUP, "volume %s of %s is kept in memory", v->name,
				  v->owner);
	return 0;
}

int qube__pool_fail(struct qube__pool *p, const char *what, const char *name)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return qube__fail(QUBE_E_LIMIT, "cannot %s %s: no space left in pool %s", what,
				  name, p->name);
	return qube__fail_os("cannot %s %s in pool %s", what, name, p->name);
}

void qube__pool_log(struct qube__pool *p, int priority, const char *fmt, ...)
{
	char line[900];
	va_list ap;

	if (!p->env.log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	p->env.log(p->env.user, priority, line);
}

/* 50 bits: with fewer than 2^16 layers a clash is no case, and a rename would refuse it. Short,
 * because overlayfs takes all the layers' paths in one page. */
int qube__pool_random_id(char out[QUBE__LAYER_ID_MAX])
{
	static const char digits[] = "abcdefghijkmnpqrstuvwxyz23456789";
	uint8_t raw[10];

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return qube__fail_os("cannot get random bytes");
	for (size_t i = 0; i < sizeof(raw); i++)
		out[i] = digits[raw[i] & 31];
	out[sizeof(raw)] = '\0';
	return 0;
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int count_or_trash(struct qube__pool *p, int dir, bool trash)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int n = 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return qube__pool_fail(p, "read", "a directory");
	}
	while (n >= 0 && (e = readdir(d))) {
		if (is_dot(e->d_name))
			continue;
		n++;
		if (trash && qube__pool_trash(p, dir, e->d_name) < 0)
			n = QUBE_E_SYSTEM;
	}
	closedir(d);
	return n;
}

int qube__pool_trash(struct qube__pool *p, int dir, const char *name)
{
	char to[QUBE__LAYER_ID_MAX];

	for (int i = 0; i < 8; i++) {
		int r = qube__pool_random_id(to);

		if (r < 0)
			return r;
		if (renameat2(dir, name, p->trash, to, RENAME_NOREPLACE) == 0) {
			qube__pool_empty_trash(p);
			return 0;
		}
		if (errno == ENOENT)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return qube__pool_fail(p, "remove", name);
}

static void on_emptied(void *user, int code, const struct qube__job_reply *result)
{
	struct qube__pool *p = user;

	(void)result;
	p->emptying = false;
	if (code < 0 && code != QUBE_E_CANCELED)
		qube__pool_log(p, 4, "pool %s: some removed data stays on disk: %s", p->name,
			       qube_error_last()->message);
	if (p->empty_again && !p->closing) {
		p->empty_again = false;
		qube__pool_empty_trash(p);
	}
}

void qube__pool_empty_trash(struct qube__pool *p)
{
	struct qube__job_request req = { .type = QUBE__JOB_REMOVE_TREE };
	struct qube__job_cb cb = { .user = p, .done = on_emptied };

	if (p->closing)
		return;
	if (p->emptying) {
		p->empty_again = true;
		return;
	}
	if (qube__job_start(NULL, p->back, &req, &p->trash, &cb) == 0)
		p->emptying = true;
}

/* The flags are set before the mount is at its place. A mount of ours that a dead host left is
 * used on; it is told from a disk that the administrator mounted there by the device. */
static int mount_pool(struct qube__pool *p, int pools)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
		.propagation = MS_PRIVATE,
	};
	qube__autofd fd = openat(pools, p->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	qube__autofd tree = -1;
	struct statvfs fs;
	struct statx here;
	struct statx above;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &here) < 0 ||
	    statx(pools, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &above) < 0 || fstatvfs(fd, &fs) < 0)
		return qube__fail_os("cannot look at %s", p->path);
	if ((here.stx_attributes & STATX_ATTR_MOUNT_ROOT) &&
	    (fs.f_flag & pool_flags) == pool_flags) {
		p->mounted = here.stx_dev_major == above.stx_dev_major &&
			     here.stx_dev_minor == above.stx_dev_minor;
		return 0;
	}
	tree = open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ||
	    move_mount(tree, "", fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return qube__fail_os("cannot mount %s nosuid, nodev, noexec", p->path);
	p->mounted = true;
	return 0;
}

int qube__pool_open_part(struct qube__pool *p, int *out, const char *name)
{
	int r = qube__io_mkdir(p->dir, name, 0700);

	if (r < 0)
		return r;
	*out = openat(p->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *out < 0 ? qube__fail_os("cannot open %s/%s", p->path, name) : 0;
}

static int open_parts(struct qube__pool *p, int pools)
{
	struct stat st;
	int r;

	p->dir = openat(pools, p->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (p->dir < 0 || fstat(p->dir, &st) < 0)
		return qube__fail_os("cannot open %s", p->path);
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return qube__fail(QUBE_E_DENIED, "%s must be its owner's alone (mode 0700)",
				  p->path);
	r = qube__pool_open_part(p, &p->volumes, "volumes");
	if (r == 0)
		r = qube__pool_open_part(p, &p->run, "run");
	if (r == 0)
		r = qube__pool_open_part(p, &p->tmp, "tmp");
	if (r == 0)
		r = qube__pool_open_part(p, &p->trash, "trash");
	return r;
}

static int open_directory(struct qube__pool *p)
{
	qube__autofd state = open(p->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	qube__autofd pools = -1;
	int r;

	if (state < 0)
		return qube__fail_os("cannot open %s", p->state_dir);
	r = qube__io_mkdir(state, "pools", 0700);
	if (r < 0)
		return r;
	pools = openat(state, "pools", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (pools < 0)
		return qube__fail_os("cannot open %s/pools", p->state_dir);
	r = qube__io_mkdir(pools, p->name, 0700);
	if (r == 0)
		r = mount_pool(p, pools);
	return r < 0 ? r : open_parts(p, pools);
}

/* What a dead host did not end. */
static int clean_up(struct qube__pool *p)
{
	int r = count_or_trash(p, p->tmp, true);

	if (r >= 0)
		r = p->driver->clean_up(p);
	if (r >= 0)
		r = count_or_trash(p, p->trash, false);
	if (r > 0)
		qube__pool_empty_trash(p);
	return r < 0 ? r : 0;
}

static const struct qube__pool_driver *find_driver(const char *name)
{
	static const struct qube__pool_driver *const drivers[] = {
		&qube__tree_driver,
		&qube__reflink_driver,
		&qube__file_driver,
	};

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		if (!name || !strcmp(drivers[i]->name, name))
			return drivers[i];
	qube__fail(QUBE_E_NOTSUP, "no pool has driver '%.32s' here", name);
	return NULL;
}

static int fill_pool(struct qube__pool *p, const struct qube__pool_env *env, const char *name)
{
	int r;

	p->env = *env;
	p->env.driver = NULL;
	p->images = -1;
	p->dir = p->layers = p->volumes = p->run = p->tmp = p->trash = -1;
	qube__list_init(&p->ops);
	qube__list_init(&p->ended);
	qube__list_init(&p->started);
	p->state_dir = strdup(env->state_dir);
	p->worker_path = strdup(env->worker_path);
	p->path = qube__text_format("%s/pools/%s", env->state_dir, name);
	if (!p->state_dir || !p->worker_path || !p->path)
		return qube__fail_nomem();
	r = qube__text_copy(p->name, sizeof(p->name), name);
	if (r == 0)
		r = qube__helper_create(&p->front, env->loop, p->worker_path, NULL);
	if (r == 0)
		r = qube__helper_create(&p->back, env->loop, p->worker_path, NULL);
	if (r == 0)
		r = open_directory(p);
	if (r == 0)
		r = p->driver->open(p);
	if (r == 0 && env->attach)
		r = env->attach(env->user, p);
	return r < 0 || env->look_only ? r : clean_up(p);
}

int qube__pool_open(struct qube__pool **out, const struct qube__pool_env *env, const char *name)
{
	const struct qube__pool_driver *driver = find_driver(env->driver);
	struct qube__pool *p;
	int r;

	if (!driver)
		return QUBE_E_NOTSUP;
	if (!qube__pool_name_ok(name) || strchr(name, '.'))
		return qube__fail(QUBE_E_INVALID, "unusable pool name");
	if (env->state_dir[0] != '/')
		return qube__fail(QUBE_E_INVALID, "the state directory's path is not absolute");
	p = calloc(1, sizeof(*p));
	if (!p)
		return qube__fail_nomem();
	p->driver = driver;
	r = fill_pool(p, env, name);
	if (r < 0) {
		struct qube__err why;

		qube__err_save(&why);
		qube__pool_close(p);
		return qube__err_restore(&why);
	}
	*out = p;
	return 0;
}

static void forget_started(struct qube__pool *p)
{
	while (!qube__list_empty(&p->started)) {
		struct qube__started *s =
			qube__container_of(p->started.next, struct qube__started, link);

		qube__list_remove(&s->link);
		free(s->state);
		free(s);
	}
}

void qube__pool_close(struct qube__pool *p)
{
	if (!p)
		return;
	p->closing = true;
	qube__helper_destroy(p->front);
	qube__helper_destroy(p->back);
	qube__helper_destroy(p->merge);
	qube__pool_drop_streams(p);
	forget_started(p);
	qube__close_fd(&p->layers);
	qube__close_fd(&p->images);
	qube__close_fd(&p->volumes);
	qube__close_fd(&p->run);
	qube__close_fd(&p->tmp);
	qube__close_fd(&p->trash);
	qube__close_fd(&p->dir);
	if (p->mounted)
		umount2(p->path, MNT_DETACH | UMOUNT_NOFOLLOW);
	free(p->state_dir);
	free(p->worker_path);
	free(p->path);
	free(p);
}

int qube__pool_destroy(const struct qube__pool_env *env, const char *name)
{
	static const char *const parts[] = { "volumes", "run",	 "layers", "images",
					     "tmp",	"trash", "" };
	qube__autofree char *path = NULL;
	qube__autofd dir = -1;

	if (!qube__pool_name_ok(name) || strchr(name, '.'))
		return qube__fail(QUBE_E_INVALID, "unusable pool name");
	path = qube__text_format("%s/pools/%s", env->state_dir, name);
	if (!path)
		return qube__fail_nomem();
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? qube__fail(QUBE_E_NOENT, "no pool %s", name) :
					 qube__fail_os("cannot open pool %s", name);
	/* volumes first: while one is there, nothing goes */
	for (size_t i = 0; parts[i][0]; i++)
		if (unlinkat(dir, parts[i], AT_REMOVEDIR) < 0 && errno != ENOENT)
			return errno == ENOTEMPTY || errno == EEXIST ?
				       qube__fail_detail(QUBE_E_BUSY, QUBE_D_POOL_IN_USE,
							 "pool %s is not empty (%s)", name,
							 parts[i]) :
				       qube__fail_os("cannot remove pool %s", name);
	return rmdir(path) < 0 ? qube__fail_os("cannot remove pool %s", name) : 0;
}

const char *qube__pool_name(const struct qube__pool *p)
{
	return p->name;
}

const char *qube__pool_driver(const struct qube__pool *p)
{
	return p->driver->name;
}

bool qube__pool_is_block(const struct qube__pool *p)
{
	return p->driver->kinds & 1u << QUBE__VOLUME_BLOCK;
}

int qube__pool_info(struct qube__pool_info *out, struct qube__pool *p)
{
	struct statvfs fs;

	if (fstatvfs(p->dir, &fs) < 0)
		return qube__fail_os("cannot look at pool %s", p->name);
	out->size_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
	out->used_bytes = (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
	out->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

int qube__pool_each_owner(struct qube__pool *p, int (*fn)(void *user, const char *owner),
			  void *user)
{
	int fd = openat(p->volumes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return qube__pool_fail(p, "read", "volumes");
	}
	while (r == 0 && (e = readdir(d)))
		if (qube__pool_name_ok(e->d_name))
			r = fn(user, e->d_name);
	closedir(d);
	return r;
}
