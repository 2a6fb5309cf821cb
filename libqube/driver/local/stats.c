/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a machine uses, read from its cgroup. Each file may be missing, as its controller may be;
 * what was not measured is not told. The memory is then guessed from the processes: good enough to
 * find the big one, and marked as a guess. */
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* PROCS_GUESSED bounds what one question costs: two system calls and a bit for each process. */
enum { VALUE_MAX = 4096, PROCS_MAX = 256 * 1024, IO_MAX = 64 * 1024, PROCS_GUESSED = 512 };

static bool read_cpu(uint64_t *out_ns, int dir)
{
	qube__autofree char *text = NULL;
	uint64_t usec;

	if (qube__io_read_file(&text, NULL, dir, "cpu.stat", VALUE_MAX) < 0 ||
	    strncmp(text, "usage_usec ", 11) != 0)
		return false;
	text[11 + strcspn(text + 11, "\n")] = '\0';
	if (qube__text_u64(&usec, text + 11, UINT64_MAX / 1000) < 0)
		return false;
	*out_ns = usec * 1000;
	return true;
}

/* Pages of its own: what a process shares with others is counted for none. The pid may be somebody
 * else's by now, which makes a wrong number and nothing worse. */
static uint64_t own_bytes(const char *pid)
{
	qube__autofree char *text = NULL;
	uint64_t resident;
	uint64_t shared;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.20s/statm", pid);
	if (qube__io_read_file(&text, NULL, AT_FDCWD, path, VALUE_MAX) < 0 ||
	    sscanf(text, "%*u %" SCNu64 " %" SCNu64, &resident, &shared) != 2 || shared > resident)
		return 0;
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Counts the processes, and what they use where guess is set. */
static void read_procs(struct qube__machine_stats *out, int dir, bool guess)
{
	qube__autofree char *text = NULL;
	uint64_t bytes = 0;
	uint64_t n = 0;
	char *save = NULL;

	if (qube__io_read_file(&text, NULL, dir, "cgroup.procs", PROCS_MAX) < 0)
		return;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (n++ < PROCS_GUESSED && guess)
			bytes += own_bytes(l);
	out->pids = n;
	out->known |= QUBE_STATS_PIDS;
	if (!guess || n > PROCS_GUESSED)
		return;
	out->memory_bytes = bytes;
	out->known |= QUBE_STATS_MEMORY | QUBE_STATS_MEMORY_GUESSED;
}

/* A line a disk: "8:0 rbytes=1 wbytes=2 rios=..." */
static bool read_io(struct qube__machine_stats *out, int dir)
{
	qube__autofree char *text = NULL;

	if (qube__io_read_file(&text, NULL, dir, "io.stat", IO_MAX) < 0)
		return false;
	for (const char *p = text; (p = strstr(p, " rbytes="));) {
		uint64_t r;
		uint64_t w;

		if (sscanf(p, " rbytes=%" SCNu64 " wbytes=%" SCNu64, &r, &w) == 2) {
			out->read_bytes += r;
			out->write_bytes += w;
		}
		p += strlen(" rbytes=");
	}
	return true;
}

void qube__local_cgroup_stats(struct qube__local_machine *m, struct qube__machine_stats *out)
{
	int dir = m->group_fd;
	bool measured;

	if (dir < 0)
		return;
	measured = qube__local_memory_stats(out, dir);
	if (measured)
		out->known |= QUBE_STATS_MEMORY;
	if (read_cpu(&out->cpu_ns, dir))
		out->known |= QUBE_STATS_CPU;
	if (read_io(out, dir))
		out->known |= QUBE_STATS_IO;
	read_procs(out, dir, !measured);
}
