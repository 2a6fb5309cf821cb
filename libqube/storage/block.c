/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Images at rest: the committed state, old ones, what is done to them. */
#include "storage/block.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* Old states, newest first. */
struct states {
	uint32_t n;
	struct {
		uint64_t number;
		int64_t time;
	} list[QUBE__REVISIONS_MAX];
};

static void insert_state(struct states *s, uint64_t number, int64_t time)
{
	uint32_t at = 0;

	while (at < s->n && s->list[at].number > number)
		at++;
	if (at == QUBE__REVISIONS_MAX)
		return;
	if (s->n == QUBE__REVISIONS_MAX)
		s->n--;
	memmove(&s->list[at + 1], &s->list[at], (s->n - at) * sizeof(s->list[0]));
	s->list[at].number = number;
	s->list[at].time = time;
	s->n++;
}

static int read_states(struct states *out, struct qube__pool *p, int dir, const char *name)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	uint64_t number;
	int64_t time;

	out->n = 0;
	if (!d) {
		qube__close_fd(&fd);
		return qube__pool_fail(p, "read the states of", name);
	}
	while ((e = readdir(d)))
		if (qube__block_parse_state(&number, &time, e->d_name, name))
			insert_state(out, number, time);
	closedir(d);
	return 0;
}

static bool same_file(int dir, const char *file, const struct stat *as)
{
	struct stat st;

	return fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == as->st_dev &&
	       st.st_ino == as->st_ino;
}

/* A commit or a clearing that was interrupted has kept what is still the current state. */
static void drop_current(struct states *s, int dir, const char *name, const struct stat *now)
{
	char file[QUBE__BLOCK_FILE_MAX];

	if (!s->n)
		return;
	qube__block_state_file(file, name, s->list[0].number, s->list[0].time);
	if (!same_file(dir, file, now))
		return;
	s->n--;
	memmove(&s->list[0], &s->list[1], s->n * sizeof(s->list[0]));
}

static uint64_t next_number(const struct states *s)
{
	return s->n ? s->list[0].number + 1 : 1;
}

int qube__block_open(struct qube__pool *p, const char *owner, const char *name, struct stat *st)
{
	qube__autofd dir = qube__pool_owner_dir(p->volumes, owner, false);
	char file[QUBE__BLOCK_FILE_MAX];
	qube__autofd fd = -1;

	qube__block_file(file, name);
	if (dir >= 0)
		fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return qube__fail(QUBE_E_NOENT, "volume %s of %s is empty", name, owner);
	if (fd < 0 || fstat(fd, st) < 0)
		return qube__pool_fail(p, "open a volume of", owner);
	if (!S_ISREG(st->st_mode))
		return qube__fail(QUBE_E_STATE, "%s/volumes/%s/%s is no image", p->path, owner,
				  file);
	return qube__steal_fd(&fd);
}

static bool on_disk(struct qube__pool *p, const struct qube__volume_spec *v)
{
	char file[QUBE__BLOCK_FILE_MAX];

	qube__block_file(file, v->name);
	return v->save_on_stop && qube__pool_exists(p->volumes, v->owner, file);
}

bool qube__block_dirty(struct qube__pool *p, const char *owner, const char *name)
{
	qube__autofd run = qube__pool_owner_dir(p->run, owner, false);

	return run >= 0 && !qube__pool_find_started(p, owner, name) &&
	       qube__pool_exists(run, name, QUBE__BLOCK_WORK) &&
	       !qube__pool_exists(run, name, QUBE__POOL_DISCARD);
}

static int refuse_dirty(struct qube__pool *p, const char *owner, const char *name)
{
	return qube__block_dirty(p, owner, name) ?
		       qube__fail_detail(QUBE_E_STATE, QUBE_D_STORAGE,
					 "volume %s of %s has writes of a session that crashed: "
					 "start and stop it first",
					 name, owner) :
		       0;
}

/* --- old states --- */

/* The current state gets one more name: among the old ones, or where it is deleted without haste.
 */
static int keep_current(struct qube__pool *p, int dir, const char *name, int32_t keep)
{
	char current[QUBE__BLOCK_FILE_MAX];
	char to[QUBE__BLOCK_FILE_MAX];
	char id[QUBE__LAYER_ID_MAX];
	struct states s;
	struct stat now;
	int r;

	qube__block_file(current, name);
	if (fstatat(dir, current, &now, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : qube__pool_fail(p, "look at", current);
	r = keep > 0 ? read_states(&s, p, dir, name) : qube__pool_random_id(id);
	if (r < 0)
		return r;
	if (keep > 0) {
		uint32_t n = s.n;

		drop_current(&s, dir, name, &now);
		if (s.n != n) /* it has it already */
			return 0;
		qube__block_state_file(to, name, next_number(&s), now.st_mtim.tv_sec);
		r = linkat(dir, current, dir, to, 0);
	} else {
		r = linkat(dir, current, p->trash, id, 0);
	}
	return r < 0 ? qube__pool_fail(p, "keep a state of", name) : 0;
}

/* What fails here is untidy, not wrong. */
static void prune(struct qube__pool *p, int dir, const char *name, int32_t keep)
{
	struct states s;
	int r = read_states(&s, p, dir, name);

	for (uint32_t i = keep < 0 ? 0 : (uint32_t)keep; r == 0 && i < s.n; i++) {
		char file[QUBE__BLOCK_FILE_MAX];

		qube__block_state_file(file, name, s.list[i].number, s.list[i].time);
		r = qube__pool_trash(p, dir, file);
	}
	if (r < 0)
		qube__pool_log(p, 4, "%s", qube_error_last()->message);
	qube__pool_empty_trash(p);
}

int qube__block_place(struct qube__pool *p, int from_dir, const char *from, const char *owner,
		      const char *name, int32_t keep)
{
	qube__autofd dir = qube__pool_owner_dir(p->volumes, owner, true);
	char current[QUBE__BLOCK_FILE_MAX];
	int r = dir < 0 ? qube__pool_fail(p, "make the volumes of", owner) :
			  keep_current(p, dir, name, keep);

	if (r < 0)
		return r;
	qube__block_file(current, name);
	if (renameat(from_dir, from, dir, current) < 0)
		return qube__pool_fail(p, "place a volume of", owner);
	if (fsync(dir) < 0 || fsync(p->volumes) < 0)
		return qube__pool_fail(p, "flush the volumes of", owner);
	prune(p, dir, name, keep);
	return 0;
}

/* --- copies --- */

bool qube__block_shares(const struct qube__pool *p)
{
	return p->driver == &qube__reflink_driver;
}

int qube__block_share(struct qube__pool *p, int src, const struct stat *st, int dir,
		      const char *name)
{
	struct timespec times[2] = { st->st_mtim, st->st_mtim };
	char temp[QUBE__LAYER_ID_MAX];
	qube__autofd fd = -1;
	int r = qube__pool_random_id(temp);

	if (r < 0)
		return r;
	fd = openat(p->tmp, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ioctl(fd, FICLONE, src) < 0 || futimens(fd, times) < 0 ||
	    renameat2(p->tmp, temp, dir, name, RENAME_NOREPLACE) < 0) {
		r = qube__pool_fail(p, "copy", name);
		unlinkat(p->tmp, temp, 0);
	}
	return r;
}

int qube__block_op_copy(struct qube__pool_op *op, int src, uint32_t flags)
{
	struct qube__job_request req = { .type = QUBE__JOB_COPY_IMAGE,
					 .flags = flags,
					 .n_args = 1 };
	int fds[2] = { src, op->p->tmp };
	int r = qube__pool_random_id(op->temp);

	if (r < 0)
		return r;
	req.args[0] = op->temp;
	return qube__pool_op_job(op, &req, fds);
}

/* --- what core asks for --- */

/* An image is there when something was put into it. */
static int create(struct qube__pool *p, const struct qube__volume_spec *v)
{
	return on_disk(p, v) ? qube__fail(QUBE_E_EXISTS, "%s has a volume %s in pool %s", v->owner,
					  v->name, p->name) :
			       0;
}

static int flush_new(struct qube__pool *p, int dir, const char *owner)
{
	return fsync(dir) < 0 || fsync(p->volumes) < 0 ?
		       qube__pool_fail(p, "flush the volumes of", owner) :
		       0;
}

static int finish_clone(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	struct qube__pool *p = op->p;
	qube__autofd dir = qube__pool_owner_dir(p->volumes, op->owner, true);
	char file[QUBE__BLOCK_FILE_MAX];

	(void)result;
	qube__block_file(file, op->name);
	if (dir < 0 || renameat2(p->tmp, op->temp, dir, file, RENAME_NOREPLACE) < 0)
		return qube__pool_fail(p, "place a volume of", op->owner);
	return flush_new(p, dir, op->owner);
}

static int clone_in_place(struct qube__pool_op **out_op, struct qube__pool *p,
			  const struct qube__volume_spec *dst, int src, const struct stat *st,
			  const struct qube__pool_cb *cb)
{
	struct qube__pool_op *op;
	int r;

	if (qube__block_shares(p)) {
		qube__autofd dir = qube__pool_owner_dir(p->volumes, dst->owner, true);
		char file[QUBE__BLOCK_FILE_MAX];

		qube__block_file(file, dst->name);
		r = dir < 0 ? qube__pool_fail(p, "make the volumes of", dst->owner) :
			      qube__block_share(p, src, st, dir, file);
		return r < 0 ? r : flush_new(p, dir, dst->owner);
	}
	r = qube__pool_op_new(&op, p, dst->owner, dst->name, cb);
	if (r < 0)
		return r;
	op->finish = finish_clone;
	r = qube__block_op_copy(op, src, QUBE__JOB_FLUSH);
	if (r < 0)
		qube__pool_op_free(op);
	else if (out_op)
		*out_op = op;
	return r;
}

/* What is never written to may be two qubes'. */
static int clone_committed(struct qube__pool *p, const struct qube__volume_spec *dst,
			   const char *src_owner)
{
	qube__autofd from = qube__pool_owner_dir(p->volumes, src_owner, false);
	qube__autofd dir = qube__pool_owner_dir(p->volumes, dst->owner, true);
	char file[QUBE__BLOCK_FILE_MAX];

	qube__block_file(file, dst->name);
	if (from < 0 || dir < 0 || linkat(from, file, dir, file, 0) < 0)
		return qube__pool_fail(p, "copy a volume of", src_owner);
	return flush_new(p, dir, dst->owner);
}

static int clone(struct qube__pool_op **out_op, struct qube__pool *p,
		 const struct qube__volume_spec *dst, const char *src_owner,
		 const struct qube__pool_cb *cb)
{
	qube__autofd src = -1;
	struct stat st;
	int r = create(p, dst);

	if (r < 0 || !dst->save_on_stop)
		return r;
	if (dst->in_place && qube__pool_find_started(p, src_owner, dst->name))
		return qube__fail(QUBE_E_BUSY, "%s runs: its volume %s cannot be copied now",
				  src_owner, dst->name);
	r = refuse_dirty(p, src_owner, dst->name);
	if (r < 0)
		return r;
	src = qube__block_open(p, src_owner, dst->name, &st);
	if (src < 0)
		return src == QUBE_E_NOENT ? 0 : src;
	return dst->in_place ? clone_in_place(out_op, p, dst, src, &st, cb) :
			       clone_committed(p, dst, src_owner);
}

static void add_revision(struct qube__volume_info *info, uint64_t number, int64_t time)
{
	if (info->n_revisions == QUBE__REVISIONS_MAX)
		return;
	info->revisions[info->n_revisions] = (struct qube__revision){
		.number = number,
		.time = time,
		.current = info->n_revisions == 0,
	};
	info->n_revisions++;
}

/* A snapshot that runs has a name of its own for what it runs on. */
static bool is_outdated(struct qube__pool *p, const struct qube__volume_spec *v,
			const struct stat *now)
{
	qube__autofd run = qube__pool_owner_dir(p->run, v->owner, false);
	qube__autofd dir = run < 0 ? -1 : qube__pool_owner_dir(run, v->name, false);
	char file[QUBE__BLOCK_FILE_MAX];

	qube__block_file(file, v->name);
	return dir >= 0 && !same_file(dir, file, now);
}

static int info(struct qube__volume_info *out, struct qube__pool *p,
		const struct qube__volume_spec *v)
{
	struct qube__volume_info info = { .started =
						  qube__pool_find_started(p, v->owner, v->name) };
	const char *from = v->source ? v->source : v->owner;
	qube__autofd dir = qube__pool_owner_dir(p->volumes, from, false);
	struct stat now = { 0 };
	struct states s = { 0 };
	qube__autofd image = qube__block_open(p, from, v->name, &now);
	int r = image < 0 && image != QUBE_E_NOENT ? image : 0;

	info.exists = on_disk(p, v) || info.started;
	if (v->in_place || (!v->save_on_stop && !v->snap_on_start)) {
		*out = info;
		return 0;
	}
	if (info.started && v->snap_on_start)
		info.outdated = is_outdated(p, v, &now);
	if (r == 0 && v->save_on_stop && dir >= 0)
		r = read_states(&s, p, dir, v->name);
	if (r < 0)
		return r;
	if (v->save_on_stop) {
		info.dirty = qube__block_dirty(p, v->owner, v->name);
		drop_current(&s, dir, v->name, &now);
		add_revision(&info, next_number(&s), now.st_mtim.tv_sec);
	}
	for (uint32_t i = 0; i < s.n; i++)
		add_revision(&info, s.list[i].number, s.list[i].time);
	*out = info;
	return 0;
}

static uint64_t bytes_of(int dir, const char *owner, const char *file)
{
	qube__autofd fd = qube__pool_owner_dir(dir, owner, false);
	struct stat st;

	return fd >= 0 && fstatat(fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 ?
		       (uint64_t)st.st_blocks * 512 :
		       0;
}

/* Known without looking into anything. What a snapshot shares is its source's. */
static int usage(struct qube__pool *p, const struct qube__volume_spec *v,
		 void (*tell)(void *user, uint64_t bytes), const struct qube__pool_cb *cb)
{
	qube__autofd run = qube__pool_owner_dir(p->run, v->owner, false);
	char file[QUBE__BLOCK_FILE_MAX];
	uint64_t bytes = run < 0 ? 0 : bytes_of(run, v->name, QUBE__BLOCK_WORK);

	qube__block_file(file, v->name);
	if (v->save_on_stop)
		bytes += bytes_of(p->volumes, v->owner, file);
	tell(cb->user, bytes);
	return 0;
}

/* Refused for what has no states, is in use or not whole. */
static int check_replace(struct qube__pool *p, const struct qube__volume_spec *v)
{
	if (qube__pool_owner_busy(p, v->owner))
		return qube__fail(QUBE_E_BUSY, "volume %s of %s is in use", v->name, v->owner);
	return refuse_dirty(p, v->owner, v->name);
}

static int find_state(char file[QUBE__BLOCK_FILE_MAX], struct qube__pool *p, int dir,
		      const struct qube__volume_spec *v, uint64_t number)
{
	struct states s;
	int r = read_states(&s, p, dir, v->name);

	for (uint32_t i = 0; r == 0 && i < s.n; i++) {
		if (s.list[i].number != number)
			continue;
		qube__block_state_file(file, v->name, number, s.list[i].time);
		return 0;
	}
	return r < 0 ? r :
		       qube__fail_detail(QUBE_E_NOENT, QUBE_D_STORAGE,
					 "volume %s of %s has no revision %" PRIu64, v->name,
					 v->owner, number);
}

/* The old state keeps its name. The one that is left stays in any case, so that this can be taken
 * back. */
static int revert(struct qube__pool *p, const struct qube__volume_spec *v, uint64_t revision)
{
	qube__autofd dir = -1;
	char file[QUBE__BLOCK_FILE_MAX];
	char temp[QUBE__LAYER_ID_MAX];
	int r;

	if (v->in_place || !v->save_on_stop)
		return qube__fail_detail(QUBE_E_NOTSUP, QUBE_D_STORAGE,
					 "volume %s of %s has no revisions", v->name, v->owner);
	r = check_replace(p, v);
	if (r < 0)
		return r;
	dir = qube__pool_owner_dir(p->volumes, v->owner, false);
	if (dir < 0)
		return errno == ENOENT ? qube__fail(QUBE_E_NOENT, "%s has no volume %s in pool %s",
						    v->owner, v->name, p->name) :
					 qube__pool_fail(p, "open the volumes of", v->owner);
	r = find_state(file, p, dir, v, revision);
	if (r == 0)
		r = qube__pool_random_id(temp);
	if (r < 0)
		return r;
	if (linkat(dir, file, p->tmp, temp, 0) < 0)
		return qube__pool_fail(p, "go back to a state of", v->owner);
	r = qube__block_place(p, p->tmp, temp, v->owner, v->name,
			      v->revisions_to_keep > 0 ? v->revisions_to_keep : 1);
	unlinkat(p->tmp, temp, 0); /* also of no effect: both names were the same file */
	return r;
}

static int clear(struct qube__pool *p, const struct qube__volume_spec *v)
{
	int32_t keep = v->in_place ? 0 : v->revisions_to_keep;
	char current[QUBE__BLOCK_FILE_MAX];
	qube__autofd dir = -1;
	int r;

	if (qube__pool_owner_busy(p, v->owner))
		return qube__fail(QUBE_E_BUSY, "volume %s of %s is in use", v->name, v->owner);
	if (!v->save_on_stop)
		return 0; /* it is, at each start */
	r = qube__pool_throw_away(p, v->owner, v->name);
	if (r < 0)
		return r;
	dir = qube__pool_owner_dir(p->volumes, v->owner, false);
	if (dir < 0)
		return errno == ENOENT ? 0 : qube__pool_fail(p, "open the volumes of", v->owner);
	qube__block_file(current, v->name);
	r = keep_current(p, dir, v->name, keep);
	if (r == 0)
		r = qube__pool_trash(p, dir, current);
	if (r == 0 && fsync(dir) < 0)
		r = qube__pool_fail(p, "clear", v->name);
	if (r == 0)
		prune(p, dir, v->name, keep);
	return r;
}

/* --- streams --- */

static int done(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	(void)op;
	(void)result;
	return 0;
}

static int begun(struct qube__pool_op **out_op, struct qube__pool_op *op, int r)
{
	if (r < 0)
		qube__pool_op_free(op);
	else if (out_op)
		*out_op = op;
	return r;
}

static int export(struct qube__pool_op **out_op, struct qube__pool *p,
		  const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb)
{
	struct qube__job_request req = { .type = QUBE__JOB_EXPORT_IMAGE };
	const char *from = v->source ? v->source : v->owner;
	struct qube__pool_op *op;
	struct stat st;
	qube__autofd image = -1;
	int fds[2];
	int r;

	if (!v->save_on_stop && !v->source)
		return qube__fail_detail(QUBE_E_NOTSUP, QUBE_D_STORAGE,
					 "volume %s of %s is empty at each start", v->name,
					 v->owner);
	if (v->in_place && qube__pool_find_started(p, from, v->name))
		return qube__fail(QUBE_E_BUSY, "%s runs: its volume %s cannot be read now", from,
				  v->name);
	image = qube__block_open(p, from, v->name, &st);
	if (image < 0)
		return image == QUBE_E_NOENT ?
			       qube__fail_detail(QUBE_E_STATE, QUBE_D_STORAGE,
						 "volume %s of %s is empty", v->name, from) :
			       image;
	r = qube__pool_new_stream(&op, p, v, fd, cb, NULL);
	if (r < 0)
		return r;
	op->finish = done;
	fds[0] = image;
	fds[1] = op->fd;
	return begun(out_op, op, qube__pool_op_job_on(op, op->own, &req, fds));
}

static int finish_import(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	(void)result;
	return qube__block_place(op->p, op->p->tmp, op->temp, op->owner, op->name, op->keep);
}

static int import(struct qube__pool_op **out_op, struct qube__pool *p,
		  const struct qube__volume_spec *v, int fd, const struct qube__pool_cb *cb)
{
	struct qube__job_request req = { .type = QUBE__JOB_IMPORT_IMAGE,
					 .number = QUBE__POOL_KEEP_FREE,
					 .n_args = 1 };
	struct qube__pool_op *op;
	int fds[2];
	int r;

	if (!v->save_on_stop)
		return qube__fail_detail(QUBE_E_NOTSUP, QUBE_D_STORAGE,
					 "volume %s of %s is not kept: nothing can be put into it",
					 v->name, v->owner);
	r = check_replace(p, v);
	if (r == 0)
		r = qube__pool_new_stream(&op, p, v, fd, cb, NULL);
	if (r < 0)
		return r;
	if (v->in_place)
		op->keep = 0;
	op->finish = finish_import;
	fds[0] = op->fd;
	fds[1] = p->tmp;
	r = qube__pool_random_id(op->temp);
	req.args[0] = op->temp;
	return begun(out_op, op, r < 0 ? r : qube__pool_op_job_on(op, op->own, &req, fds));
}

static int import_host(struct qube__pool_op **out_op, struct qube__pool *p,
		       const struct qube__import *req, const struct qube__pool_cb *cb)
{
	(void)out_op;
	(void)cb;
	return qube__fail(QUBE_E_NOTSUP,
			  "pool %s keeps disks: '%s' is made in a pool of driver tree, or its disk "
			  "is imported as an image",
			  p->name, qube__pool_name_ok(req->owner) ? req->owner : "a template");
}

static int open_reflink(struct qube__pool *p)
{
	struct qube__pool_look look;
	int r = qube__pool_look(&look, p);

	if (r < 0 || look.shares)
		return r;
	return qube__fail(QUBE_E_NOTSUP,
			  "pool %s cannot have driver reflink: files on %s share no data; use "
			  "driver file",
			  p->name, look.type);
}

static int open_file(struct qube__pool *p)
{
	(void)p;
	return 0;
}

#define BLOCK_DRIVER                                                                               \
	.kinds = 1u << QUBE__VOLUME_BLOCK, .clean_up = qube__block_clean_up,                       \
	.remove = qube__pool_remove_owner, .create = create, .clone = clone, .info = info,         \
	.usage = usage, .revert = revert, .clear = clear, .export = export, .import = import,      \
	.prepare = qube__block_prepare, .expect = qube__block_expect, .start = qube__block_start,  \
	.attach = qube__block_attach, .stop = qube__block_stop, .import_host = import_host

const struct qube__pool_driver qube__reflink_driver = {
	.name = "reflink",
	.open = open_reflink,
	BLOCK_DRIVER,
};

const struct qube__pool_driver qube__file_driver = {
	.name = "file",
	.open = open_file,
	BLOCK_DRIVER,
};
