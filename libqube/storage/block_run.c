/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Images of running qubes: prepare, start, stop, and what a crash left. */
#include "storage/block.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_kept(const struct qube__volume_spec *v)
{
	return v->save_on_stop && !v->in_place;
}

static int check_use(const struct qube__volume_spec *v)
{
	return v->block ?
		       0 :
		       qube__fail(QUBE_E_NOTSUP,
				  "volume %s of %s is a disk: only a virtual machine can have it",
				  v->name, v->owner);
}

/* run/OWNER/VOL, made if there is none. */
static int session_dir(struct qube__pool *p, const char *owner, const char *name)
{
	qube__autofd run = qube__pool_owner_dir(p->run, owner, true);
	int dir = run < 0 ? -1 : qube__pool_owner_dir(run, name, true);

	return dir < 0 ? qube__pool_fail(p, "make room for the writes of", owner) : dir;
}

static bool is_there(int dir, const char *file)
{
	struct stat st;

	return fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* --- prepare --- */

/* tmp/TEMP goes to where a session writes, or to where the next one begins. */
static int place_in_session(struct qube__pool_op *op, const char *file)
{
	qube__autofd dir = session_dir(op->p, op->owner, op->name);

	if (dir < 0)
		return dir;
	if (renameat2(op->p->tmp, op->temp, dir, file, RENAME_NOREPLACE) < 0)
		return qube__pool_fail(op->p, "place a volume of", op->owner);
	return 0;
}

static int finish_fresh(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	(void)result;
	return place_in_session(op, QUBE__BLOCK_FRESH);
}

static int finish_work(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	(void)result;
	return place_in_session(op, QUBE__BLOCK_WORK);
}

static int finish_private(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	(void)result;
	return qube__block_place(op->p, op->p->tmp, op->temp, op->owner, op->name, 0);
}

/* The copy of src is at once, or a job. */
static int copy_to_session(struct qube__pool_op **out_op, struct qube__pool *p,
			   const struct qube__volume_spec *v, int src, const struct stat *st,
			   const char *file, const struct qube__pool_cb *cb)
{
	struct qube__pool_op *op;
	int r;

	if (qube__block_shares(p)) {
		qube__autofd dir = session_dir(p, v->owner, v->name);

		return dir < 0 ? dir : qube__block_share(p, src, st, dir, file);
	}
	r = qube__pool_op_new(&op, p, v->owner, v->name, cb);
	if (r < 0)
		return r;
	op->finish = v->save_on_stop ? finish_fresh : finish_work;
	r = qube__block_op_copy(op, src, 0);
	if (r < 0)
		qube__pool_op_free(op);
	else if (out_op)
		*out_op = op;
	return r;
}

static int make_private(struct qube__pool_op **out_op, struct qube__pool *p,
			const struct qube__volume_spec *v, const struct qube__pool_cb *cb)
{
	uint32_t flags = QUBE__JOB_EMPTY | (v->save_on_stop ? 0 : QUBE__JOB_NO_JOURNAL);
	struct qube__pool_op *op;
	int r = qube__pool_op_new(&op, p, v->owner, v->name, cb);

	if (r < 0)
		return r;
	op->finish = v->save_on_stop ? finish_private : finish_work;
	r = qube__pool_op_make_fs(op, -1, flags, v->size_bytes / 4096 * 4096);
	if (r < 0)
		qube__pool_op_free(op);
	else if (out_op)
		*out_op = op;
	return r;
}

static int no_image(const struct qube__volume_spec *v, const char *from, int code)
{
	return code != QUBE_E_NOENT ? code :
				      qube__fail_detail(QUBE_E_STATE, QUBE_D_STORAGE,
							"volume %s of %s is empty: import a system "
							"first",
							v->name, from);
}

/* The root of one that needs none, as a unikernel: it gets a disk with nothing on it. */
static int make_blank(struct qube__pool *p, const struct qube__volume_spec *v)
{
	char temp[QUBE__LAYER_ID_MAX];
	int r = qube__pool_random_id(temp);
	qube__autofd fd =
		r < 0 ? -1 : openat(p->tmp, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (r < 0)
		return r;
	if (fd < 0 || ftruncate(fd, (off_t)(v->size_bytes / 512 * 512)) < 0 || fsync(fd) < 0)
		r = qube__pool_fail(p, "make a disk for", v->owner);
	else
		r = qube__block_place(p, p->tmp, temp, v->owner, v->name, 0);
	if (r < 0)
		unlinkat(p->tmp, temp, 0);
	return r;
}

static int prepare_kept(struct qube__pool_op **out_op, struct qube__pool *p,
			const struct qube__volume_spec *v, const struct qube__pool_cb *cb)
{
	qube__autofd run = qube__pool_owner_dir(p->run, v->owner, false);
	qube__autofd dir = run < 0 ? -1 : qube__pool_owner_dir(run, v->name, false);
	qube__autofd src = -1;
	struct stat st;
	int r = 0;

	if (dir >= 0 && is_there(dir, QUBE__BLOCK_WORK) && !is_there(dir, QUBE__POOL_DISCARD))
		return 0; /* a crashed session goes on */
	if (dir >= 0)
		r = qube__pool_trash(p, run, v->name);
	if (r < 0)
		return r;
	src = qube__block_open(p, v->owner, v->name, &st);
	if (src == QUBE_E_NOENT && v->blank) {
		r = make_blank(p, v);
		if (r < 0)
			return r;
		src = qube__block_open(p, v->owner, v->name, &st);
	}
	return src < 0 ? no_image(v, v->owner, src) :
			 copy_to_session(out_op, p, v, src, &st, QUBE__BLOCK_FRESH, cb);
}

/* A disposable's private volume. */
static int prepare_copy(struct qube__pool_op **out_op, struct qube__pool *p,
			const struct qube__volume_spec *v, const struct qube__pool_cb *cb)
{
	int r = qube__pool_throw_away(p, v->owner, v->name);
	qube__autofd src = -1;
	struct stat st;

	if (r < 0)
		return r;
	src = v->source ? qube__block_open(p, v->source, v->name, &st) : QUBE_E_NOENT;
	if (src == QUBE_E_NOENT) /* nothing was ever written there */
		return make_private(out_op, p, v, cb);
	if (src < 0)
		return src;
	if (qube__pool_find_started(p, v->source, v->name))
		return qube__fail(QUBE_E_BUSY, "%s runs: its volume %s cannot be copied now",
				  v->source, v->name);
	return copy_to_session(out_op, p, v, src, &st, QUBE__BLOCK_WORK, cb);
}

int qube__block_prepare(struct qube__pool_op **out_op, struct qube__pool *p,
			const struct qube__volume_spec *v, const struct qube__pool_cb *cb)
{
	char file[QUBE__BLOCK_FILE_MAX];
	int r = check_use(v);

	if (r == 0 && qube__pool_find_started(p, v->owner, v->name))
		r = qube__fail(QUBE_E_BUSY, "volume %s of %s is started", v->name, v->owner);
	if (r < 0)
		return r;
	if (is_kept(v))
		return prepare_kept(out_op, p, v, cb);
	if (!v->in_place)
		return 0;
	if (v->snap_on_start)
		return prepare_copy(out_op, p, v, cb);
	qube__block_file(file, v->name);
	return qube__pool_exists(p->volumes, v->owner, file) ? 0 : make_private(out_op, p, v, cb);
}

int qube__block_expect(struct qube__volume_run *out, struct qube__pool *p,
		       const struct qube__volume_spec *v)
{
	struct qube__volume_run run = {
		.kind = v->kind,
		.read_only = v->read_only,
		.discard = !v->save_on_stop,
		.size_bytes = v->size_bytes,
		.upper = qube__text_format("%s/run/%s/%s/" QUBE__BLOCK_WORK, p->path, v->owner,
					   v->name),
	};

	if (!run.upper)
		return qube__fail_nomem();
	*out = run;
	return 0;
}

/* --- start --- */

/* The volume may have been given a larger size. That it has grown is no write of its guest. */
static int fit(struct qube__pool *p, const struct qube__volume_spec *v, int dir, const char *file,
	       uint64_t *size)
{
	qube__autofd fd = openat(dir, file, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return qube__pool_fail(p, "open a volume of", v->owner);
	if (!S_ISREG(st.st_mode))
		return qube__fail(QUBE_E_STATE, "volume %s of %s is no image", v->name, v->owner);
	*size = (uint64_t)st.st_size;
	if (v->size_bytes / 512 * 512 > *size) {
		struct timespec times[2] = { st.st_mtim, st.st_mtim };

		*size = v->size_bytes / 512 * 512;
		if (ftruncate(fd, (off_t)*size) < 0 || futimens(fd, times) < 0)
			return qube__pool_fail(p, "enlarge a volume of", v->owner);
	}
	return 0;
}

static int same_time(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* fresh.img, if it is of what is committed now, becomes work.img. */
static int begin_work(struct qube__pool *p, const struct qube__volume_spec *v, int dir)
{
	struct stat now;
	struct stat st;
	qube__autofd src = qube__block_open(p, v->owner, v->name, &now);
	int r;

	if (src < 0)
		return no_image(v, v->owner, src);
	if (fstatat(dir, QUBE__BLOCK_FRESH, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !same_time(&st, &now)) {
		if (!qube__block_shares(p))
			return qube__fail(QUBE_E_STATE, "volume %s of %s was not prepared", v->name,
					  v->owner);
		r = qube__pool_trash(p, dir, QUBE__BLOCK_FRESH);
		if (r == 0)
			r = qube__block_share(p, src, &now, dir, QUBE__BLOCK_FRESH);
		if (r < 0)
			return r;
	}
	if (renameat2(dir, QUBE__BLOCK_FRESH, dir, QUBE__BLOCK_WORK, RENAME_NOREPLACE) < 0)
		return qube__pool_fail(p, "begin the writes of", v->owner);
	return 0;
}

/* The session is on the disk before its guest writes: a crash must find it again. */
static int start_kept(struct qube__volume_run *run, struct qube__pool *p,
		      const struct qube__volume_spec *v, bool *fresh)
{
	qube__autofd owner = qube__pool_owner_dir(p->run, v->owner, true);
	qube__autofd dir = -1;
	int r;

	if (owner < 0)
		return qube__pool_fail(p, "make room for the writes of", v->owner);
	if (qube__pool_exists(owner, v->name, QUBE__BLOCK_WORK)) {
		r = qube__pool_check_leftovers(p, owner, v, QUBE__BLOCK_WORK);
		if (r < 0)
			return r;
	}
	dir = session_dir(p, v->owner, v->name);
	if (dir < 0)
		return dir;
	*fresh = !is_there(dir, QUBE__BLOCK_WORK);
	if (*fresh)
		unlinkat(dir, QUBE__POOL_DISCARD, 0); /* of a start that came to nothing */
	r = v->discard ? qube__pool_mark_discard(p, owner, dir, v->owner) : 0;
	if (r == 0 && *fresh)
		r = begin_work(p, v, dir);
	if (r == 0)
		r = fit(p, v, dir, QUBE__BLOCK_WORK, &run->size_bytes);
	if (r == 0 && (fsync(dir) < 0 || fsync(owner) < 0 || fsync(p->run) < 0))
		r = qube__pool_fail(p, "begin the writes of", v->owner);
	return r;
}

/* One more name of the source's committed image: what becomes of that one does not matter here. */
static int start_shared(struct qube__volume_run *run, struct qube__pool *p,
			const struct qube__volume_spec *v)
{
	qube__autofd from = -1;
	qube__autofd dir = -1;
	qube__autofd image = -1;
	char file[QUBE__BLOCK_FILE_MAX];
	struct stat st;
	int r = v->source ? qube__pool_throw_away(p, v->owner, v->name) :
			    qube__fail_detail(QUBE_E_STATE, QUBE_D_STORAGE,
					      "volume %s of %s has no source", v->name, v->owner);

	if (r < 0)
		return r;
	image = qube__block_open(p, v->source, v->name, &st);
	if (image < 0)
		return no_image(v, v->source, image);
	from = qube__pool_owner_dir(p->volumes, v->source, false);
	dir = session_dir(p, v->owner, v->name);
	if (dir < 0)
		return dir;
	qube__block_file(file, v->name);
	if (from < 0 || linkat(from, file, dir, file, 0) < 0)
		return qube__pool_fail(p, "share a volume of", v->source);
	run->read_only = true;
	run->size_bytes = (uint64_t)st.st_size;
	run->upper = qube__text_format("%s/run/%s/%s/%s", p->path, v->owner, v->name, file);
	return run->upper ? 0 : qube__fail_nomem();
}

static int start_volatile(struct qube__volume_run *run, struct qube__pool *p,
			  const struct qube__volume_spec *v)
{
	int r = qube__pool_throw_away(p, v->owner, v->name);
	qube__autofd dir = r < 0 ? r : session_dir(p, v->owner, v->name);
	qube__autofd fd = -1;

	if (dir < 0)
		return dir;
	run->size_bytes = v->size_bytes / 512 * 512;
	fd = openat(dir, QUBE__BLOCK_WORK, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)run->size_bytes) < 0)
		return qube__pool_fail(p, "make a volume of", v->owner);
	return 0;
}

/* One that was made before: a private volume, or the copy of one. */
static int start_private(struct qube__volume_run *run, struct qube__pool *p,
			 const struct qube__volume_spec *v)
{
	qube__autofd owner =
		qube__pool_owner_dir(v->save_on_stop ? p->volumes : p->run, v->owner, false);
	qube__autofd dir = -1;
	char file[QUBE__BLOCK_FILE_MAX] = QUBE__BLOCK_WORK;

	if (v->save_on_stop)
		qube__block_file(file, v->name);
	if (owner >= 0)
		dir = qube__pool_owner_dir(owner, v->save_on_stop ? "." : v->name, false);
	if (dir < 0 || !is_there(dir, file))
		return qube__fail(QUBE_E_STATE, "volume %s of %s was not prepared", v->name,
				  v->owner);
	if (v->save_on_stop) {
		run->upper = qube__text_format("%s/volumes/%s/%s", p->path, v->owner, file);
		if (!run->upper)
			return qube__fail_nomem();
	}
	return fit(p, v, dir, file, &run->size_bytes);
}

int qube__block_start(struct qube__volume_run *out, struct qube__pool *p,
		      const struct qube__volume_spec *v)
{
	struct qube__volume_run run = {
		.kind = v->kind,
		.read_only = v->read_only,
		.discard = !v->save_on_stop,
	};
	bool fresh = false;
	int r = check_use(v);

	if (r == 0 && v->discard && !is_kept(v))
		r = qube__fail(QUBE_E_INVALID, "volume %s of %s has no writes to discard", v->name,
			       v->owner);
	if (r < 0)
		return r;
	r = is_kept(v)	     ? start_kept(&run, p, v, &fresh) :
	    v->in_place	     ? start_private(&run, p, v) :
	    v->snap_on_start ? start_shared(&run, p, v) :
			       start_volatile(&run, p, v);
	if (r == 0 && !run.upper) {
		run.upper = qube__text_format("%s/run/%s/%s/" QUBE__BLOCK_WORK, p->path, v->owner,
					      v->name);
		r = run.upper ? 0 : qube__fail_nomem();
	}
	if (r == 0)
		r = qube__pool_remember(p, v, NULL);
	if (r < 0) {
		qube__volume_run_fini(&run);
		return r;
	}
	qube__pool_find_started(p, v->owner, v->name)->fresh = fresh;
	*out = run;
	return 0;
}

int qube__block_attach(struct qube__pool *p, const struct qube__volume_spec *v,
		       const char *const *layers, uint32_t n_layers)
{
	int r = check_use(v);

	(void)layers;
	(void)n_layers;
	if (r == 0)
		r = qube__pool_remember(p, v, NULL);
	if (r == 0 && is_kept(v))
		qube__pool_find_started(p, v->owner, v->name)->discard =
			qube__pool_marked_discard(p, v->owner, v->name);
	return r;
}

/* --- stop --- */

/* What was made for this session has the time of what it was made of, until it is written to.
 * Nobody can tell of a session that crashed, so that is always kept. */
static bool has_writes(struct qube__pool *p, const struct qube__started *s, int work)
{
	struct stat now;
	struct stat st;
	qube__autofd committed = qube__block_open(p, s->owner, s->name, &now);

	return !s->fresh || committed < 0 || fstat(work, &st) < 0 || !same_time(&st, &now);
}

static int finish_stop(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	struct qube__started *s = qube__pool_find_started(op->p, op->owner, op->name);
	qube__autofd dir = session_dir(op->p, op->owner, op->name);
	int r = dir < 0 ? dir :
			  qube__block_place(op->p, dir, QUBE__BLOCK_WORK, op->owner, op->name,
					    op->keep);

	(void)result;
	if (r < 0)
		return r;
	if (s)
		qube__pool_forget(s);
	/* The state is committed: what fails now is untidy, not wrong. */
	if (qube__pool_throw_away(op->p, op->owner, op->name) < 0)
		qube__pool_log(op->p, 4, "%s", qube_error_last()->message);
	return 0;
}

static int begin_commit(struct qube__pool_op **out_op, struct qube__pool *p,
			const struct qube__volume_spec *v, struct qube__started *s, int work,
			const struct qube__pool_cb *cb)
{
	struct qube__job_request req = { .type = QUBE__JOB_SYNC, .flags = QUBE__JOB_ONE_FILE };
	struct qube__pool_op *op;
	int r = qube__pool_op_new(&op, p, v->owner, v->name, cb);

	if (r < 0)
		return r;
	op->keep = v->revisions_to_keep;
	op->finish = finish_stop;
	op->failed = qube__pool_stop_failed;
	r = qube__pool_op_job(op, &req, &work);
	if (r < 0) {
		qube__pool_op_free(op);
		return r;
	}
	s->stopping = true;
	if (out_op)
		*out_op = op;
	return r;
}

static int stop_kept(struct qube__pool_op **out_op, struct qube__pool *p,
		     const struct qube__volume_spec *v, struct qube__started *s,
		     const struct qube__pool_cb *cb)
{
	qube__autofd dir = session_dir(p, s->owner, s->name);
	qube__autofd work = -1;

	if (dir < 0)
		return dir;
	work = openat(dir, QUBE__BLOCK_WORK, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (work < 0)
		return qube__pool_fail(p, "open the writes of", s->owner);
	return has_writes(p, s, work) ? begin_commit(out_op, p, v, s, work, cb) : 0;
}

int qube__block_stop(struct qube__pool_op **out_op, struct qube__pool *p,
		     const struct qube__volume_spec *v, uint32_t how,
		     const struct qube__pool_cb *cb)
{
	struct qube__started *s = qube__pool_find_started(p, v->owner, v->name);
	bool discard;
	int r = 0;

	if (!s || s->stopping)
		return qube__fail(QUBE_E_STATE, "volume %s of %s is not started", v->name,
				  v->owner);
	discard = how == QUBE__STOP_DISCARD || (s->discard && how != QUBE__STOP_KEEP);
	if (s->persistent && !s->in_place && !discard)
		r = stop_kept(out_op, p, v, s, cb);
	if (r > 0)
		return r;
	if (r == 0 && !(s->persistent && s->in_place))
		r = qube__pool_throw_away(p, s->owner, s->name);
	qube__pool_forget(s);
	return r;
}

/* --- what a dead host left --- */

/* Writes that the next start goes on with: there is what they were made of, and nobody said that
 * they are to be discarded. */
static bool is_worth_keeping(struct qube__pool *p, int run, const char *owner, const char *name)
{
	char file[QUBE__BLOCK_FILE_MAX];

	if (!qube__pool_name_ok(name) || strchr(name, '.'))
		return false;
	qube__block_file(file, name);
	return qube__pool_exists(p->volumes, owner, file) &&
	       qube__pool_exists(run, name, QUBE__BLOCK_WORK) &&
	       !qube__pool_exists(run, name, QUBE__POOL_DISCARD);
}

static int clean_owner(struct qube__pool *p, const char *owner)
{
	int fd = qube__pool_owner_dir(p->run, owner, false);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		qube__close_fd(&fd);
		return qube__pool_fail(p, "read the writes of", owner);
	}
	while (r == 0 && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		/* In use by a machine that outlived its host. */
		if (qube__pool_find_started(p, owner, e->d_name) ||
		    is_worth_keeping(p, fd, owner, e->d_name))
			continue;
		r = qube__pool_trash(p, fd, e->d_name);
	}
	closedir(d);
	if (r == 0 && unlinkat(p->run, owner, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY &&
	    errno != EEXIST)
		r = qube__pool_fail(p, "remove", owner);
	return r;
}

int qube__block_clean_up(struct qube__pool *p)
{
	int fd = openat(p->run, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = qube__fault_fails(QUBE__FAULT_OPEN_RECOVERED) ? QUBE_E_SYSTEM : 0;

	if (!d) {
		qube__close_fd(&fd);
		return qube__pool_fail(p, "read", "run");
	}
	while (r == 0 && (e = readdir(d)))
		if (qube__pool_name_ok(e->d_name))
			r = clean_owner(p, e->d_name);
	closedir(d);
	return r;
}
