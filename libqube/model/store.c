/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The state directory: its lock, its files, and what a crash leaves of them. A qube is one file, so
 * creating one is one durable write. */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"
#include "model/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char system_file[] = "system.json";

enum { FILE_NAME_MAX = QUBE__NAME_MAX + 8, LOCK_TRIES = 15, LOCK_PAUSE_MS = 20 };

static void file_name(char out[FILE_NAME_MAX], const struct qube__vm *vm)
{
	snprintf(out, FILE_NAME_MAX, "%s.json", vm->name);
}

/* --- writing --- */
static bool belongs_on_run(const struct qube__vm *vm)
{
	return vm->model->run_fd >= 0 && vm->vm_class == QUBE__CLASS_DISP &&
	       qube__vm_bool(vm, QUBE__PROP_AUTO_CLEANUP);
}

static int dir_of(const struct qube__model *m, bool on_run)
{
	return on_run ? m->run_fd : m->qubes_fd;
}

static int remove_file(int dirfd, const char *name, bool durable)
{
	if (unlinkat(dirfd, name, 0) < 0)
		return errno == ENOENT ? 0 : qube__fail_os("cannot remove %s", name);
	if (durable && fsync(dirfd) < 0)
		return qube__fail_os("cannot flush the directory of %s", name);
	return 0;
}

int qube__store_vm_save(struct qube__vm *vm)
{
	struct qube__model *m = vm->model;
	qube__autofree char *text = NULL;
	const char *damaged = qube__model_damaged(m, vm->name);
	char name[FILE_NAME_MAX];
	bool on_run = belongs_on_run(vm);
	size_t len;
	int r;

	if (!m->state_dir) {
		vm->dirty = false;
		return 0;
	}
	/* Only dom0 can get here: it exists also without its file. */
	if (damaged)
		return qube__fail(QUBE_E_STATE, "the file of '%s' is damaged and is left alone: %s",
				  vm->name, damaged);
	r = qube__store_vm_encode(&text, &len, vm);
	if (r < 0)
		return r;
	file_name(name, vm);
	r = qube__io_replace_file(dir_of(m, on_run), name, text, len, 0600, !on_run);
	if (r < 0)
		return r;
	/* It moved. If the old file survives a crash, the one in the state directory counts. */
	if (vm->on_run != on_run && m->run_fd >= 0)
		r = remove_file(dir_of(m, !on_run), name, on_run);
	vm->on_run = on_run;
	vm->dirty = r < 0;
	return r;
}

int qube__vm_changed(struct qube__vm *vm)
{
	vm->model->generation++;
	vm->dirty = true;
	return vm->batch ? 0 : qube__store_vm_save(vm);
}

void qube__vm_batch_begin(struct qube__vm *vm)
{
	vm->batch++;
}

int qube__vm_batch_end(struct qube__vm *vm)
{
	if (--vm->batch || !vm->dirty)
		return 0;
	return qube__store_vm_save(vm);
}

int qube__store_vm_unlink(struct qube__vm *vm)
{
	char name[FILE_NAME_MAX];

	if (!vm->model->state_dir)
		return 0;
	file_name(name, vm);
	return remove_file(dir_of(vm->model, vm->on_run), name, !vm->on_run);
}

int qube__store_system_save(struct qube__model *m)
{
	qube__autofree char *text = NULL;
	size_t len;
	int r;

	m->generation++;
	if (!m->state_dir)
		return 0;
	r = qube__store_system_encode(&text, &len, m);
	if (r < 0)
		return r;
	return qube__io_replace_file(m->state_fd, system_file, text, len, 0600, 1);
}

/* --- opening --- */
/* Ours alone: whoever else may write here owns every qube, whoever may read sees every secret. */
static int check_private(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return qube__fail_os("cannot look at %s", path);
	if (st.st_uid != geteuid())
		return qube__fail(QUBE_E_INVALID, "%s belongs to user %u, not to us", path,
				  st.st_uid);
	if (st.st_mode & 077)
		return qube__fail(QUBE_E_INVALID, "others can enter %s (mode %04o, needs 0700)",
				  path, st.st_mode & 07777);
	return 0;
}

static int open_dir(int *out, int dirfd, const char *path)
{
	qube__autofd fd = -1;
	int r;

	if (mkdirat(dirfd, path, 0700) < 0 && errno != EEXIST)
		return qube__fail_os("cannot make directory %s", path);
	fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return qube__fail_os("cannot open directory %s", path);
	r = check_private(fd, path);
	if (r == 0)
		*out = qube__steal_fd(&fd);
	return r;
}

/* A host that was killed while it spawned leaves a child that has the lock until its exec, some
 * milliseconds on a busy machine: the next host must not take that for a living one. */
static int lock_soon(int fd)
{
	int tries = LOCK_TRIES;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || --tries == 0)
			return -1;
		poll(NULL, 0, LOCK_PAUSE_MS);
	}
	return 0;
}

static int take_lock(struct qube__model *m)
{
	qube__autofd fd =
		openat(m->state_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return qube__fail_os("cannot open %s/lock", m->state_dir);
	if (lock_soon(fd) < 0)
		return errno == EWOULDBLOCK ?
			       qube__fail(QUBE_E_BUSY, "another host has %s open (%s/lock is held)",
					  m->state_dir, m->state_dir) :
			       qube__fail_os("cannot lock %s/lock", m->state_dir);
	m->lock_fd = qube__steal_fd(&fd);
	return 0;
}

static int load_system(struct qube__model *m)
{
	qube__autofree char *text = NULL;
	size_t len;
	int r = qube__io_read_file(&text, &len, m->state_fd, system_file, QUBE__STORE_SYSTEM_MAX);

	if (r == QUBE_E_NOENT)
		return 0;
	return r < 0 ? r : qube__store_system_decode(m, text, len);
}

/* NAME of "NAME.json"; false for anything else, also for what a crash left half-written. */
static bool qube_of_file(char out[QUBE__NAME_MAX + 1], const char *file)
{
	size_t n = strlen(file);

	if (n < 6 || strcmp(file + n - 5, ".json") != 0 || !qube__name_is_qube(file, n - 5))
		return false;
	memcpy(out, file, n - 5);
	out[n - 5] = '\0';
	return true;
}

static int load_qube(struct qube__model *m, int dirfd, const char *file, bool on_run)
{
	qube__autofree char *text = NULL;
	char name[QUBE__NAME_MAX + 1];
	struct qube__vm *vm;
	size_t len;
	int r;

	if (!qube_of_file(name, file))
		return 0;
	if (on_run && (qube__model_vm(m, name) || qube__model_damaged(m, name)))
		return 0;
	r = qube__io_read_file(&text, &len, dirfd, file, QUBE__STORE_QUBE_MAX);
	if (r == 0)
		r = qube__store_vm_decode(&vm, m, name, text, len);
	if (r == QUBE_E_NOMEM)
		return r;
	if (r < 0)
		return qube__model_damaged_add(m, name, qube_error_last()->message);
	vm->on_run = on_run;
	return 0;
}

static bool is_half_written(const char *name)
{
	size_t n = strlen(name);

	return n > 10 && name[0] == '.' && strcmp(name + n - 9, ".json.new") == 0;
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int load_qubes(struct qube__model *m, int dirfd, bool on_run)
{
	__attribute__((cleanup(close_dir))) DIR *dir = NULL;
	qube__autofd fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	int r = 0;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return qube__fail_os("cannot list the qubes of %s", m->state_dir);
	qube__steal_fd(&fd);
	while (r == 0) {
		errno = 0;
		e = readdir(dir);
		if (!e)
			return errno ? qube__fail_os("cannot list the qubes of %s", m->state_dir) :
				       0;
		/* What a host that died was writing: the file itself is the old one, and whole. */
		if (is_half_written(e->d_name))
			unlinkat(dirfd, e->d_name, 0);
		else
			r = load_qube(m, dirfd, e->d_name, on_run);
	}
	return r;
}

static int open_run(struct qube__model *m, const char *run_dir)
{
	qube__autofd fd = -1;
	int r;

	if (!run_dir)
		return 0;
	r = open_dir(&fd, AT_FDCWD, run_dir);
	return r < 0 ? r : open_dir(&m->run_fd, fd, "qubes");
}

int qube__store_open(struct qube__model *m, const struct qube__model_opts *opts)
{
	int r = open_dir(&m->state_fd, AT_FDCWD, opts->state_dir);

	if (r < 0)
		return r;
	m->state_dir = strdup(opts->state_dir);
	if (!m->state_dir)
		return qube__fail_nomem();
	r = take_lock(m);
	if (r == 0)
		r = open_dir(&m->qubes_fd, m->state_fd, "qubes");
	if (r == 0)
		r = open_run(m, opts->run_dir);
	if (r == 0)
		r = load_system(m);
	if (r == 0)
		r = load_qubes(m, m->qubes_fd, false);
	if (r == 0 && m->run_fd >= 0)
		r = load_qubes(m, m->run_fd, true);
	return r;
}

void qube__store_close(struct qube__model *m)
{
	qube__close_fd(&m->run_fd);
	qube__close_fd(&m->qubes_fd);
	qube__close_fd(&m->state_fd);
	qube__close_fd(&m->lock_fd);
	free(m->state_dir);
	m->state_dir = NULL;
}
