/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Learns by inotify that a policy file came, went or changed. */
#include "policy/rules.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <string.h>
#include <sys/inotify.h>

#define WATCH_MASK                                                                                 \
	(IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO |        \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB)

/* A path that is not there is waited for at the nearest folder above it. */
static int watch_path(int fd, const char *path)
{
	qube__autofree char *at = strdup(path);
	char *slash;

	if (!at)
		return qube__fail_nomem();
	for (;;) {
		if (inotify_add_watch(fd, at, WATCH_MASK) >= 0)
			return 0;
		if (errno != ENOENT && errno != ENOTDIR)
			return qube__fail_os("cannot watch %s", at);
		slash = strrchr(at, '/');
		if (!slash || !strcmp(at, "/"))
			return qube__fail_os("cannot watch %s", path);
		slash[slash == at ? 1 : 0] = '\0';
	}
}

/* Conventionally beside the files, and watched even before anything is included from it. */
static int watch_include(int fd, const char *dir)
{
	qube__autofree char *path = qube__text_format("%s/include", dir);

	return path ? watch_path(fd, path) : qube__fail_nomem();
}

int qube__policy_watch_init(struct qube__policy_watch *w, const struct qube__policy_dirs *dirs,
			    const struct qube__policy_rules *rules)
{
	qube__autofd fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	const char *const paths[] = { dirs->etc_dir, dirs->run_dir, dirs->legacy_dir };
	int r = 0;

	if (fd < 0)
		return qube__fail_os("cannot watch the policy");
	for (int i = 0; i < 3 && r == 0; i++)
		if (paths[i])
			r = watch_path(fd, paths[i]);
	for (int i = 0; i < 3 && r == 0; i++)
		if (paths[i])
			r = watch_include(fd, paths[i]);
	for (uint32_t i = 0; rules && i < rules->n_watched && r == 0; i++)
		r = watch_path(fd, rules->watched[i]);
	if (r < 0)
		return r;
	*w = (struct qube__policy_watch){ .fd = qube__steal_fd(&fd) };
	return 0;
}

static bool same_watched(const struct qube__policy_rules *a, const struct qube__policy_rules *b)
{
	if (a->n_watched != b->n_watched)
		return false;
	for (uint32_t i = 0; i < a->n_watched; i++)
		if (strcmp(a->watched[i], b->watched[i]) != 0)
			return false;
	return true;
}

int qube__policy_load_watched(struct qube__policy_rules **out, struct qube__policy_watch *w,
			      const struct qube__policy_dirs *dirs)
{
	struct qube__policy_watch fresh = { .fd = -1 };
	struct qube__policy_rules *before = NULL;
	struct qube__policy_rules *after = NULL;
	int r = qube__policy_load(&before, dirs);

	/* The second load may include from new folders; somebody who edits all the time gets the
	 * last try, marked as changed. */
	for (int tries = 0; r == 0 && tries < 4; tries++) {
		qube__policy_watch_fini(&fresh);
		r = qube__policy_watch_init(&fresh, dirs, before);
		if (r == 0)
			r = qube__policy_load(&after, dirs);
		if (r < 0)
			break;
		fresh.changed = !same_watched(before, after);
		qube__policy_rules_unref(before);
		before = after;
		after = NULL;
		if (!fresh.changed)
			break;
	}
	if (r < 0) {
		qube__policy_watch_fini(&fresh);
		qube__policy_rules_unref(before);
		return r;
	}
	qube__policy_watch_fini(w);
	*w = fresh;
	*out = before;
	return 0;
}

void qube__policy_watch_fini(struct qube__policy_watch *w)
{
	qube__close_fd(&w->fd);
	w->changed = false;
}

bool qube__policy_watch_check(struct qube__policy_watch *w)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	if (w->fd < 0)
		return w->changed;
	for (;;) {
		ssize_t n = read(w->fd, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		/* Any event, a lost one included, and a watch that fails, mean: look again. */
		w->changed = true;
		if (n <= 0)
			break;
	}
	return w->changed;
}
