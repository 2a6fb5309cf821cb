/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Persistent layered volumes: their files, commits, and layers that nobody needs any more. */
#include "storage/tree.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_NAME_MAX = QUBE__OWNER_MAX + 8 };

static void file_name(char out[FILE_NAME_MAX], const char *name)
{
	snprintf(out, FILE_NAME_MAX, "%.31s.vol", name);
}

int qube__tree_read_file(struct qube__pool *p, struct qube__volume_file *f, const char *owner,
			 const char *name)
{
	qube__autofd dir = qube__pool_owner_dir(p->volumes, owner, false);
	qube__autofree char *text = NULL;
	char file[FILE_NAME_MAX];
	size_t len;
	int r;

	if (dir < 0 && errno != ENOENT)
		return qube__pool_fail(p, "open the volumes of", owner);
	file_name(file, name);
	r = dir < 0 ? QUBE_E_NOENT :
		      qube__io_read_file(&text, &len, dir, file, QUBE__VOLUME_FILE_MAX);
	if (r == QUBE_E_NOENT)
		return qube__fail(r, "%s has no volume %s in pool %s", owner, name, p->name);
	if (r < 0)
		return r;
	r = qube__volume_file_parse(f, text, len);
	if (r == QUBE_E_NOTSUP)
		return qube__fail(r, "%s/volumes/%s/%s was written by a newer libqube", p->path,
				  owner, file);
	return r < 0 ? qube__fail(r, "%s/volumes/%s/%s is damaged", p->path, owner, file) : 0;
}

int qube__tree_write_file(struct qube__pool *p, const struct qube__volume_file *f,
			  const char *owner, const char *name)
{
	qube__autofree char *text = malloc(QUBE__VOLUME_FILE_MAX);
	qube__autofd dir = qube__pool_owner_dir(p->volumes, owner, true);
	char file[FILE_NAME_MAX];
	int len;

	if (!text)
		return qube__fail_nomem();
	if (dir < 0)
		return qube__pool_fail(p, "make the volumes of", owner);
	len = qube__volume_file_encode(text, QUBE__VOLUME_FILE_MAX, f);
	if (len < 0)
		return qube__fail(len, "volume %s of %s has too many layers", name, owner);
	file_name(file, name);
	if (qube__io_replace_file(dir, file, text, (size_t)len, 0600, 1) < 0) {
		errno = qube_error_last()->os_errno;
		return qube__pool_fail(p, "write the volumes of", owner);
	}
	return fsync(p->volumes) < 0 ? qube__pool_fail(p, "flush", "volumes") : 0;
}

bool qube__tree_has_file(struct qube__pool *p, const char *owner, const char *name)
{
	char file[FILE_NAME_MAX];

	file_name(file, name);
	return qube__pool_exists(p->volumes, owner, file);
}

/* Ids that are in use, as one sorted array. */
struct ids {
	char (*list)[QUBE__LAYER_ID_MAX];
	size_t n;
};

static int compare_ids(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int add_state(struct ids *s, const struct qube__volume_state *state)
{
	char(*grown)[QUBE__LAYER_ID_MAX];

	if (!state->n_layers)
		return 0;
	grown = realloc(s->list, (s->n + state->n_layers) * sizeof(*grown));
	if (!grown)
		return qube__fail_nomem();
	s->list = grown;
	memcpy(s->list + s->n, state->layers, state->n_layers * sizeof(*grown));
	s->n += state->n_layers;
	return 0;
}

struct file_visit {
	struct qube__pool *p;
	void *user;
	int (*fn)(struct qube__pool *p, void *user, const char *owner, const char *name);
};

static int visit_owner(void *user, const char *owner)
{
	struct file_visit *v = user;
	int fd = qube__pool_owner_dir(v->p->volumes, owner, false);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return errno == ENOENT ? 0 : qube__pool_fail(v->p, "read the volumes of", owner);
	}
	while (r == 0 && (e = readdir(d))) {
		char name[QUBE__OWNER_MAX];
		size_t n = strlen(e->d_name);

		if (n <= 4 || n - 4 >= sizeof(name) || strcmp(e->d_name + n - 4, ".vol") != 0)
			continue;
		memcpy(name, e->d_name, n - 4);
		name[n - 4] = '\0';
		if (qube__pool_name_ok(name))
			r = v->fn(v->p, v->user, owner, name);
	}
	closedir(d);
	return r;
}

int qube__tree_each_file(struct qube__pool *p,
			 int (*fn)(struct qube__pool *p, void *user, const char *owner,
				   const char *name),
			 void *user)
{
	struct file_visit v = { p, user, fn };

	return qube__pool_each_owner(p, visit_owner, &v);
}

/* What is needed: layers, and images of what is current. Who runs on another has it by a name of
 * his own. */
struct used {
	struct ids layers;
	struct ids images;
};

static void used_fini(struct used *u)
{
	free(u->layers.list);
	free(u->images.list);
}
#define autoused __attribute__((cleanup(used_fini))) struct used

static int collect_file(struct qube__pool *p, void *user, const char *owner, const char *name)
{
	qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));
	struct used *used = user;
	int r = f ? qube__tree_read_file(p, f, owner, name) : qube__fail_nomem();

	if (r == 0 && f->pending[0]) {
		struct qube__volume_state pending = { .n_layers = 1 };

		memcpy(pending.layers[0], f->pending, sizeof(f->pending));
		r = add_state(&used->layers, &pending);
	}
	for (uint32_t i = 0; r == 0 && i < f->n_states; i++)
		r = add_state(&used->layers, &f->states[i]);
	if (r == 0) {
		struct qube__volume_state shown = { .n_layers = f->states[0].n_layers ? 1 : 0 };

		qube__text_copy(shown.layers[0], sizeof(shown.layers[0]),
				qube__volume_file_top(f, &f->states[0]));
		r = add_state(&used->images, &shown);
	}
	return r;
}

static bool is_used(const struct ids *used, const char *id)
{
	return used->n && bsearch(id, used->list, used->n, sizeof(*used->list), compare_ids);
}

/* Entries of a directory that are an id, and ending, and nobody's. */
static int trash_unused(struct qube__pool *p, int dir, const char *ending, struct ids *used)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return qube__pool_fail(p, "read", "layers");
	}
	if (used->n)
		qsort(used->list, used->n, sizeof(*used->list), compare_ids);
	while (r == 0 && (e = readdir(d))) {
		size_t n = strlen(e->d_name) - strlen(ending);
		char id[QUBE__LAYER_ID_MAX];

		if (strlen(e->d_name) < strlen(ending) || n >= sizeof(id) ||
		    strcmp(e->d_name + n, ending) != 0)
			continue;
		memcpy(id, e->d_name, n);
		id[n] = '\0';
		if (qube__layer_id_ok(id) && !is_used(used, id))
			r = qube__pool_trash(p, dir, e->d_name);
	}
	closedir(d);
	return r;
}

/* A file that cannot be read keeps every layer where it is: what it lists is not known. */
int qube__tree_collect(struct qube__pool *p)
{
	autoused used = { 0 };
	struct qube__list *pos;
	int r = qube__tree_each_file(p, collect_file, &used);

	if (r < 0) {
		qube__pool_log(p, 4, "pool %s: unused layers are kept: %s", p->name,
			       qube_error_last()->message);
		return r == QUBE_E_NOMEM ? r : 0;
	}
	qube__list_foreach (pos, &p->started) {
		struct qube__started *s = qube__container_of(pos, struct qube__started, link);

		if (s->state && add_state(&used.layers, s->state) < 0)
			return QUBE_E_NOMEM;
	}
	qube__list_foreach (pos, &p->ops) {
		struct qube__pool_op *op = qube__container_of(pos, struct qube__pool_op, link);

		if (op->merged && add_state(&used.layers, op->merged) < 0)
			return QUBE_E_NOMEM;
	}
	r = trash_unused(p, p->layers, "", &used.layers);
	return r < 0 ? r : trash_unused(p, p->images, ".img", &used.images);
}

/* The end of a commit: layers/PENDING is there and was flushed before it came there. */
static int complete(struct qube__pool *p, struct qube__volume_file *f, const char *owner,
		    const char *name, int32_t keep)
{
	qube__autofree struct qube__volume_state *state = calloc(1, sizeof(*state));
	const struct qube__volume_state *now = &f->states[0];
	int r;

	if (!state)
		return qube__fail_nomem();
	if (now->n_layers >= QUBE__LAYERS_MAX)
		return qube__fail(QUBE_E_LIMIT, "volume %s of %s has too many layers", name, owner);
	memcpy(state->layers[0], f->pending, sizeof(f->pending));
	memcpy(state->layers[1], now->layers[0], now->n_layers * sizeof(now->layers[0]));
	state->n_layers = now->n_layers + 1;
	state->time = qube__wall_s();
	r = qube__volume_file_push(f, state, keep);
	if (r < 0)
		return qube__fail(r, "volume %s of %s has too many layers", name, owner);
	f->pending[0] = '\0';
	return qube__tree_write_file(p, f, owner, name);
}

/* The layer is there and could not be listed, most often because the disk is full: its writes go
 * back to where the next start goes on with them, unless they are listed after all. */
static int take_back(struct qube__pool *p, struct qube__volume_file *f, const char *owner,
		     const char *name, int run, const char *layer)
{
	struct qube__err why;

	qube__err_save(&why);
	if (qube__tree_read_file(p, f, owner, name) == 0 && strcmp(f->pending, layer) == 0 &&
	    renameat2(p->layers, layer, run, "upper", RENAME_NOREPLACE) == 0)
		fsync(run);
	return qube__err_restore(&why);
}

int qube__tree_commit(struct qube__pool *p, const char *owner, const char *name, int32_t keep)
{
	qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));
	char layer[QUBE__LAYER_ID_MAX];
	qube__autofd owner_run = qube__pool_owner_dir(p->run, owner, false);
	qube__autofd run = -1;
	int r = f ? qube__tree_read_file(p, f, owner, name) : qube__fail_nomem();

	if (r == 0)
		r = qube__pool_random_id(f->pending);
	if (r < 0)
		return r;
	if (owner_run >= 0)
		run = openat(owner_run, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (run < 0)
		return qube__pool_fail(p, "open the writes of", owner);
	/* Said before it is done: so a crash between the two never loses the session. */
	r = qube__tree_write_file(p, f, owner, name);
	if (r < 0)
		return r;
	if (qube__fault_fails(QUBE__FAULT_COMMIT_SAID) ||
	    renameat2(run, "upper", p->layers, f->pending, RENAME_NOREPLACE) < 0)
		return qube__pool_fail(p, "keep the writes of", owner);
	memcpy(layer, f->pending, sizeof(layer));
	if (fsync(p->layers) < 0 || fsync(run) < 0 || qube__fault_fails(QUBE__FAULT_COMMIT_MOVED))
		r = qube__pool_fail(p, "keep the writes of", owner);
	else
		r = complete(p, f, owner, name, keep);
	return r < 0 ? take_back(p, f, owner, name, run, layer) : r;
}

static int recover_file(struct qube__pool *p, void *user, const char *owner, const char *name)
{
	qube__autofree struct qube__volume_file *f = malloc(sizeof(*f));
	struct stat st;
	int r = f ? qube__tree_read_file(p, f, owner, name) : qube__fail_nomem();

	(void)user;
	if (r < 0 && r != QUBE_E_NOMEM) { /* this volume does not start; others do */
		qube__pool_log(p, 3, "%s", qube_error_last()->message);
		return 0;
	}
	if (r < 0 || !f->pending[0])
		return r;
	if (fstatat(p->layers, f->pending, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return complete(p, f, owner, name, QUBE__REVISIONS_MAX);
	f->pending[0] = '\0';
	r = qube__tree_write_file(p, f, owner, name);
	if (r < 0 && r != QUBE_E_NOMEM) { /* a name of nothing, which the next commit replaces */
		qube__pool_log(p, 3, "%s", qube_error_last()->message);
		return 0;
	}
	return r;
}

/* What an unfinished start left: writes of snapshots go; a persistent volume's stay (upper). */
static int recover_run(struct qube__pool *p, const char *owner)
{
	int fd = qube__pool_owner_dir(p->run, owner, false);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return qube__pool_fail(p, "read the writes of", owner);
	}
	while (r == 0 && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		/* In use by a machine that outlived its host. */
		if (qube__pool_find_started(p, owner, e->d_name))
			continue;
		if (!qube__tree_has_file(p, owner, e->d_name) ||
		    !qube__pool_exists(fd, e->d_name, "upper") ||
		    qube__pool_exists(fd, e->d_name, QUBE__POOL_DISCARD))
			r = qube__pool_trash(p, fd, e->d_name);
	}
	closedir(d);
	if (r == 0 && unlinkat(p->run, owner, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY &&
	    errno != EEXIST)
		r = qube__pool_fail(p, "remove", owner);
	return r;
}

int qube__tree_recover(struct qube__pool *p)
{
	int r = qube__tree_each_file(p, recover_file, NULL);
	struct dirent *e;
	DIR *d;
	int fd;

	if (r < 0)
		return r;
	if (qube__fault_fails(QUBE__FAULT_OPEN_RECOVERED))
		return QUBE_E_SYSTEM;
	fd = openat(p->run, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return qube__pool_fail(p, "read", "run");
	}
	while (r == 0 && (e = readdir(d)))
		if (qube__pool_name_ok(e->d_name))
			r = recover_run(p, e->d_name);
	closedir(d);
	return r;
}
