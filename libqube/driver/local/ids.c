/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which ranges of 65,536 user ids are in use on this machine, by whichever host: what the kernel
 * counts for an id, such as processes, it counts for all that have it. A directory that all hosts
 * share has a file for each range, named by its number, with the process that has it: a box's first
 * one, or while it is made the host. A file whose process is gone means nothing. */
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { CLAIM_MAX = 64, SUBIDS_MAX = 1 << 20, LOCK_TRIES = 100, LOCK_PAUSE_MS = 2 };

int qube__local_ids_open(struct qube__local_ids *ids, const char *path)
{
	qube__autofd fd = -1;
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return qube__fail_os("cannot make %s, where hosts agree on ranges of user ids",
				     path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return qube__fail_os("cannot open %s", path);
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return qube__fail(QUBE_E_DENIED, "others may write to %s", path);
	ids->dir = qube__steal_fd(&fd);
	return 0;
}

/* Held for some microseconds, unless its holder was stopped. */
static int lock(const struct qube__local_ids *ids)
{
	int tries = LOCK_TRIES;

	while (flock(ids->dir, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return qube__fail_os("cannot lock the ranges of user ids");
		if (--tries == 0)
			return qube__fail(QUBE_E_BUSY,
					  "another host holds the lock on the ranges of user ids");
		poll(NULL, 0, LOCK_PAUSE_MS);
	}
	return 0;
}

static void unlock(const struct qube__local_ids *ids)
{
	flock(ids->dir, LOCK_UN);
}

static void file_name(char out[16], uint32_t base)
{
	snprintf(out, 16, "%u", base / QUBE__BOX_IDS);
}

/* Who has it, by what the file says; false: it says nothing, or there is none. */
static bool read_claim(const struct qube__local_ids *ids, uint32_t base, uint64_t *pid,
		       uint64_t *start)
{
	qube__autofree char *text = NULL;
	char name[16];
	char *second;

	file_name(name, base);
	if (qube__io_read_file(&text, NULL, ids->dir, name, CLAIM_MAX) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	second = strchr(text, ' ');
	if (!second)
		return false;
	*second++ = '\0';
	return qube__text_u64(pid, text, INT32_MAX) == 0 &&
	       qube__text_u64(start, second, UINT64_MAX) == 0;
}

static bool in_use(const struct qube__local_ids *ids, uint32_t base)
{
	uint64_t pid;
	uint64_t start;
	uint64_t now;

	return read_claim(ids, base, &pid, &start) &&
	       qube__local_pid_start(&now, (pid_t)pid) == 0 && now == start;
}

static int write_claim(const struct qube__local_ids *ids, uint32_t base, pid_t pid)
{
	char text[CLAIM_MAX];
	char name[16];
	uint64_t start;
	int r = qube__local_pid_start(&start, pid);

	if (r < 0)
		return r;
	file_name(name, base);
	snprintf(text, sizeof(text), "%d %" PRIu64 "\n", (int)pid, start);
	return qube__io_replace_file(ids->dir, name, text, strlen(text), 0600, 0);
}

/* The decimal number behind a colon of the line; how a line goes on does not matter. */
static const char *number_behind(uint64_t *out, const char *at, const char *end)
{
	const char *colon = memchr(at, ':', (size_t)(end - at));
	size_t n = colon ? strspn(colon + 1, "0123456789") : 0;
	char digits[21];

	if (!n || n >= sizeof(digits))
		return NULL;
	memcpy(digits, colon + 1, n);
	digits[n] = '\0';
	return qube__text_u64(out, digits, UINT32_MAX) == 0 ? colon + 1 : NULL;
}

/* Lines NAME:FIRST:COUNT of /etc/subuid: ranges that users may give to containers of theirs. */
static bool given_to_users(const char *text, uint32_t base)
{
	while (text && *text) {
		const char *end = text + strcspn(text, "\n");
		uint64_t from = 0;
		uint64_t n = 0;
		const char *at = number_behind(&from, text, end);

		if (at && number_behind(&n, at, end) && n &&
		    from < (uint64_t)base + QUBE__BOX_IDS && (base < from || base - from < n))
			return true;
		text = end + (*end == '\n');
	}
	return false;
}

/* Machines without such users have no such files. */
static int read_given(char **out, const char *path)
{
	int r = qube__io_read_file(out, NULL, AT_FDCWD, path, SUBIDS_MAX);

	return r == QUBE_E_NOENT ? 0 : r;
}

static int take_locked(uint32_t *out, const struct qube__local_ids *ids, uint32_t wanted)
{
	qube__autofree char *uids = NULL;
	qube__autofree char *gids = NULL;
	uint32_t base = wanted;
	int r = read_given(&uids, ids->subuid);

	if (r == 0)
		r = read_given(&gids, ids->subgid);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i <= ids->count; i++) {
		/* In this order: a large part may be given away, and that costs no call. */
		if (!given_to_users(uids, base) && !given_to_users(gids, base) &&
		    !in_use(ids, base)) {
			r = write_claim(ids, base, getpid());
			if (r == 0)
				*out = base;
			return r;
		}
		base += QUBE__BOX_IDS;
		if (base < ids->first || (base - ids->first) / QUBE__BOX_IDS >= ids->count)
			base = ids->first;
	}
	return qube__fail(QUBE_E_LIMIT, "all %u ranges of user ids of this machine are in use",
			  ids->count);
}

int qube__local_ids_take(uint32_t *out, const struct qube__local_ids *ids, uint32_t wanted)
{
	int r;

	if (wanted < QUBE__BOX_IDS)
		return qube__fail(QUBE_E_INVALID, "the user ids from %u are the host's own",
				  wanted);
	r = lock(ids);
	if (r < 0)
		return r;
	r = take_locked(out, ids, wanted);
	unlock(ids);
	return r;
}

int qube__local_ids_pass(const struct qube__local_ids *ids, uint32_t base, pid_t pid)
{
	uint64_t owner;
	uint64_t start;
	bool others;
	int r = lock(ids);

	if (r < 0)
		return r;
	others = in_use(ids, base) && read_claim(ids, base, &owner, &start) &&
		 owner != (uint64_t)pid && owner != (uint64_t)getpid();
	r = others ? qube__fail(QUBE_E_BUSY, "the user ids from %u are another host's qube's",
				base) :
		     write_claim(ids, base, pid);
	unlock(ids);
	return r;
}

void qube__local_ids_give(const struct qube__local_ids *ids, uint32_t base, pid_t pid)
{
	uint64_t owner;
	uint64_t start;
	char name[16];

	if (lock(ids) < 0) /* it means nothing when its process is gone */
		return;
	file_name(name, base);
	if (read_claim(ids, base, &owner, &start) && owner == (uint64_t)pid)
		unlinkat(ids->dir, name, 0);
	unlock(ids);
}
