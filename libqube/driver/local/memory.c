/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How much memory a machine has and may use, and what the host has left. The memory is shared: a
 * target is where the kernel begins to take pages back and to slow the machine down. */
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_MAX = 4096, STAT_MAX = 16384, MEMINFO_MAX = 65536 };

/* "NAME  NUMBER..." at the begin of a line. */
static bool find(uint64_t *out, const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *l = text; l; l = strchr(l, '\n')) {
		l += *l == '\n';
		if (strncmp(l, name, n) == 0 && l[n] == ' ')
			return sscanf(l + n, "%" SCNu64, out) == 1;
	}
	return false;
}

int qube__local_meminfo_parse(uint64_t *total_kb, uint64_t *free_kb, const char *text)
{
	uint64_t total;
	uint64_t available;

	if (!find(&total, text, "MemTotal:") || !find(&available, text, "MemAvailable:") ||
	    available > total)
		return QUBE_E_PROTO;
	*total_kb = total;
	*free_kb = available;
	return 0;
}

int qube__local_host_memory(struct qube__driver *d, uint64_t *total_kb, uint64_t *free_kb)
{
	qube__autofree char *text = NULL;
	int r = qube__io_read_file(&text, NULL, AT_FDCWD, "/proc/meminfo", MEMINFO_MAX);

	(void)d;
	if (r < 0)
		return r;
	r = qube__local_meminfo_parse(total_kb, free_kb, text);
	return r < 0 ? qube__fail(r, "/proc/meminfo does not say what is available") : 0;
}

/* "max" is UINT64_MAX. */
static bool read_bytes(uint64_t *out, int dir, const char *name)
{
	qube__autofree char *text = NULL;

	if (qube__io_read_file(&text, NULL, dir, name, VALUE_MAX) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	if (strcmp(text, "max") == 0) {
		*out = UINT64_MAX;
		return true;
	}
	return qube__text_u64(out, text, UINT64_MAX) == 0;
}

bool qube__local_memory_stats(struct qube__machine_stats *out, int group)
{
	qube__autofree char *stat = NULL;
	uint64_t high;

	if (!read_bytes(&out->memory_bytes, group, "memory.current"))
		return false;
	/* Files' pages that nobody looked at lately. */
	if (qube__io_read_file(&stat, NULL, group, "memory.stat", STAT_MAX) == 0)
		find(&out->cache_bytes, stat, "inactive_file");
	if (out->cache_bytes > out->memory_bytes)
		out->cache_bytes = out->memory_bytes; /* read at another moment */
	/* The host counts these pages as available already. */
	out->assigned_bytes = out->memory_bytes - out->cache_bytes;
	if (read_bytes(&high, group, "memory.high") && high != UINT64_MAX)
		out->target_bytes = high;
	return true;
}

static int put(struct qube__local_machine *m, const char *file, uint64_t bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, bytes);
	return qube__local_group_put(m, file, text);
}

/* Always somewhat before the end, where programs are killed. */
uint64_t qube__local_memory_high(uint64_t target, uint64_t max)
{
	uint64_t most = max - max / 16;

	return target < most ? target : most;
}

int qube__local_memory_set(struct qube__local_machine *m, uint64_t target_kb)
{
	uint64_t target = target_kb > UINT64_MAX >> 10 ? UINT64_MAX : target_kb << 10;
	uint64_t max;
	int r = 0;

	/* Without the controller its absence is listed, and nothing follows. */
	if (m->group_fd < 0 || !read_bytes(&max, m->group_fd, "memory.max") || max == UINT64_MAX)
		return qube__fail(QUBE_E_NOTSUP, "the memory of %s has no limit here", m->name);
	if (target > max) {
		/* It was given more since it was started. */
		max = target;
		r = put(m, "memory.max", max);
	}
	return r < 0 ? r : put(m, "memory.high", qube__local_memory_high(target, max));
}
