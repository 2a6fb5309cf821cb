/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Each qube's own log: a bounded file in the run directory, one generation kept. */
#include "core/domain.h"
#include "core/host.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOG_MAX = 512 * 1024, FETCH_MAX = 64 * 1024 };

static int open_logs(struct qube__host *h)
{
	qube__autofree char *path = NULL;

	if (!h->run_dir)
		return -1;
	path = qube__text_format("%s/log", h->run_dir);
	if (!path)
		return -1;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* No qube has such a name. */
static void old_name(char out[64], const char *name)
{
	snprintf(out, 64, "%s~", name);
}

/* A new qube of that name has nothing of the one before. */
void qube__host_log_drop(struct qube__host *h, const char *name)
{
	qube__autofd dir = open_logs(h);
	char old[64];

	if (dir < 0)
		return;
	old_name(old, name);
	unlinkat(dir, name, 0);
	unlinkat(dir, old, 0);
}

/* A log that cannot be written must not stop the qube; that lines are missing in it is said once.
 */
static void fell_short(struct qube__host *h, const char *name)
{
	qube__fail_os("the log of '%s' cannot be written", name);
	if (!h->log_short++)
		qube__ctx_log(&h->ctx, 4, "%s; lines are missing in it until it can",
			      qube_error_last()->message);
}

static void wrote(struct qube__host *h, const char *name)
{
	if (h->log_short)
		qube__ctx_log(&h->ctx, 5,
			      "the log of '%s' can be written again; %u lines of qubes are missing",
			      name, h->log_short);
	h->log_short = 0;
}

void qube__life_log(struct qube__host *h, const char *name, const char *line)
{
	qube__autofd dir = open_logs(h);
	qube__autofd fd = -1;
	char text[1200];
	char when[32];
	struct tm tm;
	time_t now = qube__wall_s();
	struct stat st;
	int n;

	if (dir < 0) {
		if (h->run_dir)
			fell_short(h, name);
		return;
	}
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > LOG_MAX) {
		char old[64];

		old_name(old, name);
		renameat(dir, name, dir, old);
		qube__close_fd(&fd);
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
			    0600);
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		fell_short(h, name);
		return;
	}
	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	n = snprintf(text, sizeof(text) - 1, "%s %s", when, line);
	if (n < 0)
		return;
	if ((size_t)n > sizeof(text) - 2)
		n = (int)sizeof(text) - 2;
	text[n++] = '\n';
	if (qube__io_write_full(fd, text, (size_t)n) == 0) {
		wrote(h, name);
		return;
	}
	fell_short(h, name);
	(void)!ftruncate(fd, st.st_size); /* no half a line */
}

int qube__host_log_read(char **out, struct qube__host *h, const char *name)
{
	qube__autofd dir = open_logs(h);
	qube__autofree char *text = NULL;
	size_t len;
	char *tail;
	int r = QUBE_E_NOENT;

	if (dir >= 0)
		r = qube__io_read_file(&text, &len, dir, name, LOG_MAX + 8192);
	if (r == QUBE_E_NOENT) {
		tail = strdup("");
	} else if (r < 0) {
		return r;
	} else {
		const char *from = len > FETCH_MAX ? text + len - FETCH_MAX : text;
		const char *line = len > FETCH_MAX ? strchr(from, '\n') : NULL;

		tail = strdup(line ? line + 1 : from);
	}
	if (!tail)
		return qube__fail_nomem();
	*out = tail;
	return 0;
}

int qube__host_log_fetch(char **out, qube_domain *d)
{
	return qube__host_log_read(out, qube__host_of(d->ctx), d->name);
}
