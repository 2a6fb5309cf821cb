/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Images of layers: each is made once for what a template has committed, by whoever wants it first,
 * and has one more name for everyone who runs on it. */
#include "storage/tree.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX = QUBE__LAYER_ID_MAX + 8 };

/* Of the op that makes an image. */
struct making {
	struct qube__pool *p;
	char key[QUBE__LAYER_ID_MAX];
};

static void image_file(char out[FILE_MAX], const char *key)
{
	snprintf(out, FILE_MAX, "%.15s.img", key);
}

int qube__tree_check_block(const struct qube__volume_spec *v)
{
	if (v->kind == QUBE__VOLUME_LAYERED && v->snap_on_start)
		return 0;
	if (v->kind == QUBE__VOLUME_LAYERED)
		return qube__fail(QUBE_E_NOTSUP,
				  "volume %s of %s is kept as a tree: it can be changed with the "
				  "driver local only",
				  v->name, v->owner);
	return qube__fail(QUBE_E_NOTSUP,
			  "volume %s of %s is %s: a virtual machine needs it in a pool of disks",
			  v->name, v->owner,
			  v->kind == QUBE__VOLUME_TREE ? "kept as a tree" : "kept in memory");
}

/* --- whose an image is --- */

void qube__tree_image_of(char key[QUBE__LAYER_ID_MAX], struct qube__pool *p, const char *owner,
			 const char *name)
{
	qube__autofd run = qube__pool_owner_dir(p->run, owner, false);
	int fd = run < 0 ? -1 : qube__pool_owner_dir(run, name, false);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	key[0] = '\0';
	if (!d) {
		qube__close_fd(&fd);
		return;
	}
	while (!key[0] && (e = readdir(d))) {
		size_t n = strlen(e->d_name);

		if (n <= 4 || n - 4 >= QUBE__LAYER_ID_MAX || strcmp(e->d_name + n - 4, ".img") != 0)
			continue;
		snprintf(key, QUBE__LAYER_ID_MAX, "%.*s", (int)(n - 4), e->d_name);
		if (!qube__layer_id_ok(key))
			key[0] = '\0';
	}
	closedir(d);
}

/* run/OWNER/VOL/KEY.img: the image stays as long as this name. QUBE_E_NOENT: it is not made. */
static int claim(struct qube__pool *p, const char *owner, const char *name, const char *key)
{
	qube__autofd run = qube__pool_owner_dir(p->run, owner, true);
	qube__autofd dir = run < 0 ? -1 : qube__pool_owner_dir(run, name, true);
	char file[FILE_MAX];
	int r;

	if (dir < 0)
		return qube__pool_fail(p, "make room for a disk of", owner);
	image_file(file, key);
	if (linkat(p->images, file, dir, file, 0) == 0)
		return 0;
	r = errno == ENOENT ? qube__fail(QUBE_E_NOENT, "no image of %s is there", key) :
			      qube__pool_fail(p, "share an image with", owner);
	unlinkat(run, name, AT_REMOVEDIR);
	unlinkat(p->run, owner, AT_REMOVEDIR); /* fails while it has others */
	return r;
}

/* --- those who wait --- */

static struct qube__pool_op *find_maker(struct qube__pool *p, const char *key)
{
	struct qube__list *pos;

	qube__list_foreach (pos, &p->ops) {
		struct qube__pool_op *op = qube__container_of(pos, struct qube__pool_op, link);

		if (op->makes && strcmp(op->name, key) == 0)
			return op;
	}
	return NULL;
}

/* The first one from *pos on; *pos is behind it then. */
static struct qube__pool_op *next_waiter(struct qube__list **pos, const struct making *m)
{
	while (*pos != &m->p->ops) {
		struct qube__pool_op *op = qube__container_of(*pos, struct qube__pool_op, link);

		*pos = (*pos)->next;
		if (op->waits == m)
			return op;
	}
	return NULL;
}

static struct qube__pool_op *first_waiter(const struct making *m)
{
	struct qube__list *pos = m->p->ops.next;

	return next_waiter(&pos, m);
}

static void tell(struct qube__pool_op *op, int code)
{
	struct qube__pool_cb cb = op->cb;
	struct qube__err why;

	qube__err_save(&why);
	qube__pool_op_free(op);
	if (code < 0)
		qube__err_restore(&why);
	cb.done(cb.user, code);
}

/* The last one who waited takes the making along: who comes now begins another. */
static void on_waiter_canceled(struct qube__posted *posted)
{
	struct qube__pool_op *op = qube__container_of(posted, struct qube__pool_op, end);
	struct making *m = op->waits;
	struct qube__pool_op *maker = find_maker(m->p, m->key);

	op->waits = NULL;
	if (maker && maker->cb.user == m && !first_waiter(m)) {
		maker->makes = false;
		qube__pool_op_cancel(maker);
	}
	tell(op, qube__fail(QUBE_E_CANCELED, "canceled"));
}

/* Who comes while they are told waits for another making. */
static void on_made(void *user, int code)
{
	struct making *m = user;
	struct qube__pool *p = m->p;
	struct qube__list told;
	struct qube__pool_op *op;
	struct qube__err why;

	qube__err_save(&why);
	qube__list_init(&told);
	while ((op = first_waiter(m))) {
		qube__list_remove(&op->link);
		qube__list_append(&told, &op->link);
	}
	while (!qube__list_empty(&told)) {
		op = qube__container_of(told.next, struct qube__pool_op, link);
		tell(op,
		     code < 0 ? qube__err_restore(&why) : claim(p, op->owner, op->name, m->key));
	}
	free(m);
	/* The template may have gone on meanwhile, and layers were kept for this. */
	if (!p->closing && qube__tree_collect(p) < 0)
		qube__pool_log(p, 4, "%s", qube_error_last()->message);
}

static void on_progress(void *user, uint64_t done, uint64_t total)
{
	struct making *m = user;
	struct qube__list *pos = m->p->ops.next;
	struct qube__pool_op *op;

	while ((op = next_waiter(&pos, m)))
		if (op->cb.progress)
			op->cb.progress(op->cb.user, done, total);
}

static void on_stage(void *user, const char *name)
{
	struct making *m = user;
	struct qube__list *pos = m->p->ops.next;
	struct qube__pool_op *op;

	while ((op = next_waiter(&pos, m)))
		if (op->cb.stage)
			op->cb.stage(op->cb.user, name);
}

static int begin_wait(struct qube__pool_op **out, struct qube__pool *p,
		      const struct qube__volume_spec *v, const struct qube__pool_cb *cb)
{
	struct qube__pool_op *op;
	int r = qube__pool_op_new(&op, p, v->owner, v->name, cb);

	if (r < 0)
		return r;
	qube__posted_init(&op->end, on_waiter_canceled);
	*out = op;
	return 0;
}

/* --- making --- */

static int finish_image(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	struct qube__pool *p = op->p;
	char file[FILE_MAX];

	(void)result;
	image_file(file, op->name);
	if (renameat(p->tmp, op->temp, p->images, file) < 0 || fsync(p->images) < 0)
		return qube__pool_fail(p, "place an image of", op->name);
	return 0;
}

static int make_image(struct qube__pool_op *op, int dir, const char *tree)
{
	qube__autofd fd = openat(dir, tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	op->finish = finish_image;
	return fd < 0 ? qube__pool_fail(op->p, "open", tree) :
			qube__pool_op_make_fs(op, fd, QUBE__JOB_NO_JOURNAL, QUBE__POOL_KEEP_FREE);
}

static int finish_flatten(struct qube__pool_op *op, const struct qube__job_reply *result)
{
	(void)result;
	return make_image(op, op->p->tmp, op->from);
}

static int flatten(struct qube__pool_op *op)
{
	struct qube__job_request req = { .type = QUBE__JOB_FLATTEN };
	struct qube__pool *p = op->p;
	int fds[2] = { p->layers, p->tmp };
	int r = qube__pool_random_id(op->from);

	if (r == 0)
		r = qube__helper_create(&op->own, p->env.loop, p->worker_path, "--layers");
	if (r < 0)
		return r;
	req.args[req.n_args++] = op->from;
	for (uint32_t i = 0; i < op->merged->n_layers; i++)
		req.args[req.n_args++] = op->merged->layers[i];
	op->finish = finish_flatten;
	return qube__pool_op_job_on(op, op->own, &req, fds);
}

static int begin_making(struct making **out, struct qube__pool *p,
			const struct qube__volume_state *state, const char *key)
{
	struct making *m = calloc(1, sizeof(*m));
	struct qube__pool_cb cb = {
		.user = m, .progress = on_progress, .stage = on_stage, .done = on_made
	};
	struct qube__pool_op *op;
	int r = m ? qube__pool_op_new(&op, p, "", key, &cb) : qube__fail_nomem();

	if (r < 0) {
		free(m);
		return r;
	}
	m->p = p;
	qube__text_copy(m->key, sizeof(m->key), key);
	op->makes = true;
	op->quiet = true;
	op->merged = malloc(sizeof(*op->merged));
	if (op->merged)
		*op->merged = *state;
	r = !op->merged		 ? qube__fail_nomem() :
	    state->n_layers == 1 ? make_image(op, p->layers, state->layers[0]) :
				   flatten(op);
	if (r < 0) {
		qube__pool_op_free(op);
		free(m);
		return r;
	}
	*out = m;
	return r;
}

/* What the source shows now: its list, and the key of that. */
static int read_source(struct qube__volume_file *f, struct qube__pool *p,
		       const struct qube__volume_spec *v)
{
	int r;

	if (!v->source)
		return qube__fail_detail(QUBE_E_STATE, QUBE_D_STORAGE,
					 "volume %s of %s has no source", v->name, v->owner);
	r = qube__tree_read_file(p, f, v->source, v->name);
	if (r == 0 && !f->states[0].n_layers)
		r = qube__fail_detail(QUBE_E_STATE, QUBE_D_STORAGE,
				      "volume %s of %s is empty: import a system first", v->name,
				      v->source);
	return r;
}

int qube__tree_prepare_image(struct qube__pool_op **out_op, struct qube__pool *p,
			     const struct qube__volume_spec *v, const struct qube__pool_cb *cb)
{
	qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));
	struct qube__pool_op *maker;
	struct qube__pool_op *op;
	struct making *m;
	const char *key;
	int r = f ? qube__tree_check_block(v) : qube__fail_nomem();

	if (r == 0 && qube__pool_find_started(p, v->owner, v->name))
		r = qube__fail(QUBE_E_BUSY, "volume %s of %s is started", v->name, v->owner);
	if (r == 0)
		r = qube__pool_throw_away(p, v->owner, v->name);
	if (r == 0)
		r = read_source(f, p, v);
	if (r < 0)
		return r;
	key = qube__volume_file_top(f, &f->states[0]);
	r = claim(p, v->owner, v->name, key);
	if (r != QUBE_E_NOENT)
		return r;
	r = begin_wait(&op, p, v, cb);
	if (r < 0)
		return r;
	maker = find_maker(p, key);
	if (maker)
		m = maker->cb.user;
	else
		r = begin_making(&m, p, &f->states[0], key);
	if (r < 0) {
		qube__pool_op_free(op);
		return r;
	}
	op->waits = m;
	if (out_op)
		*out_op = op;
	return 1;
}

/* --- start --- */

int qube__tree_start_image(struct qube__volume_run *run, struct qube__pool *p,
			   const struct qube__volume_spec *v)
{
	qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));
	char key[QUBE__LAYER_ID_MAX];
	struct stat st;
	int r = f ? 0 : qube__fail_nomem();

	if (r < 0)
		return r;
	qube__tree_image_of(key, p, v->owner, v->name);
	if (!key[0]) {
		r = read_source(f, p, v);
		if (r < 0)
			return r;
		qube__text_copy(key, sizeof(key), qube__volume_file_top(f, &f->states[0]));
		r = claim(p, v->owner, v->name, key);
	}
	if (r == QUBE_E_NOENT)
		r = qube__fail(QUBE_E_STATE, "volume %s of %s was not prepared", v->name, v->owner);
	if (r < 0)
		return r;
	run->kind = QUBE__VOLUME_BLOCK;
	run->read_only = true;
	run->upper = qube__text_format("%s/run/%s/%s/%s.img", p->path, v->owner, v->name, key);
	if (!run->upper)
		return qube__fail_nomem();
	if (lstat(run->upper, &st) < 0 || !S_ISREG(st.st_mode))
		return qube__pool_fail(p, "look at a disk of", v->owner);
	run->size_bytes = (uint64_t)st.st_size;
	return 0;
}
