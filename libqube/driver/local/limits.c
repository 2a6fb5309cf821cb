/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What bounds a machine's use of the host. Each limit that was asked for is in force or is listed
 * by name; a controller that is there and refuses is an error, never a silent loss. */
#include "driver/local/facts.h"
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { WEIGHT = 100 };

int qube__local_group_put(struct qube__local_machine *m, const char *file, const char *value)
{
	qube__autofd fd = openat(m->group_fd, file, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		return qube__fail_os("cannot set %s of %s", file, m->name);
	return 0;
}

/* Some memory before the end the kernel takes pages back and slows the machine down. What it may
 * not have as memory it does not get as swap either. */
static int limit_memory(struct qube__local_machine *m, uint64_t bytes)
{
	char text[32];
	int r;

	snprintf(text, sizeof(text), "%" PRIu64, bytes);
	r = qube__local_group_put(m, "memory.max", text);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%" PRIu64, qube__local_memory_high(bytes, bytes));
	r = qube__local_group_put(m, "memory.high", text);
	/* A kernel without swap has no such file. */
	if (r == 0 && faccessat(m->group_fd, "memory.swap.max", F_OK, 0) == 0)
		r = qube__local_group_put(m, "memory.swap.max", "0");
	return r;
}

/* At most so many processors, and where they are short a share by that number. */
static int limit_cpu(struct qube__local_machine *m, uint32_t vcpus)
{
	uint64_t weight = (uint64_t)vcpus * WEIGHT;
	char text[64];
	int r;

	snprintf(text, sizeof(text), "%" PRIu64 " 100000", (uint64_t)vcpus * 100000u);
	r = qube__local_group_put(m, "cpu.max", text);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%" PRIu64, weight > 10000 ? 10000 : weight);
	return qube__local_group_put(m, "cpu.weight", text);
}

/* The disk that a file system is on, as MAJOR:MINOR: the kernel limits disks, no partitions. Not
 * every file system says on which one it is. */
static bool find_disk(char *out, size_t cap, const char *path)
{
	char at[96];
	char text[32] = "";
	qube__autofd fd = -1;
	struct stat st;
	ssize_t n;

	if (!path || stat(path, &st) < 0)
		return false;
	snprintf(out, cap, "%u:%u", major(st.st_dev), minor(st.st_dev));
	snprintf(at, sizeof(at), "/sys/dev/block/%s", out);
	if (access(at, F_OK) < 0)
		return false;
	snprintf(at, sizeof(at), "/sys/dev/block/%s/partition", out);
	if (access(at, F_OK) < 0)
		return true;
	snprintf(at, sizeof(at), "/sys/dev/block/%s/../dev", out);
	fd = open(at, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return qube__text_copy(out, cap, text) == 0;
}

static int limit_io(struct qube__local_machine *m, const struct qube__machine_spec *spec,
		    const char *disk)
{
	char text[128];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s", disk);

	if (spec->io_read_max)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " rbps=%" PRIu64,
				      spec->io_read_max);
	if (spec->io_write_max)
		snprintf(text + n, sizeof(text) - n, " wbps=%" PRIu64, spec->io_write_max);
	return qube__local_group_put(m, "io.max", text);
}

/* The volatile volume is memory; where there is swap, memory comes onto a disk. */
static bool has_swap(void)
{
	char text[512] = "";
	qube__autofd fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	const char *second = n > 0 ? strchr(text, '\n') : NULL;

	return second && second[1];
}

static int set_io(struct qube__local_machine *m, const struct qube__machine_spec *spec)
{
	const char *at = spec->private_volume.upper ? spec->private_volume.upper : spec->root.upper;
	char disk[32];

	if (!spec->io_read_max && !spec->io_write_max)
		return 0;
	if (m->group_fd < 0 || !m->d->has_io || !find_disk(disk, sizeof(disk), at)) {
		m->unenforced |= QUBE__LOCAL_NO_IO;
		return 0;
	}
	return limit_io(m, spec, disk);
}

const char *qube__local_limits_list(struct qube__local_machine *m)
{
	static const char *const names[] = { "memory", "vcpus",	    "disk",
					     "io",     "ephemeral", "core-sched" };
	size_t n = 0;

	m->unenforced_text[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (m->unenforced & 1u << i)
			n += (size_t)snprintf(m->unenforced_text + n,
					      sizeof(m->unenforced_text) - n, "%s%s", n ? " " : "",
					      names[i]);
	return m->unenforced_text;
}

int qube__local_limits_set(struct qube__local_machine *m, const struct qube__machine_spec *spec)
{
	bool grouped = m->group_fd >= 0;
	char text[32];
	int r = 0;

	m->unenforced = 0;
	/* Directories have no quota: what a qube writes to its volumes only the disk bounds. */
	if (spec->root.upper || spec->private_volume.upper)
		m->unenforced |= QUBE__LOCAL_NO_DISK;
	if (spec->flags & QUBE__MACHINE_EPHEMERAL && has_swap())
		m->unenforced |= QUBE__LOCAL_NO_EPHEMERAL;
	if (qube__local_cores_of(spec) == QUBE__CORES_SHARED)
		m->unenforced |= QUBE__LOCAL_NO_CORES;
	if (spec->memory_bytes && grouped && m->d->has_memory)
		r = limit_memory(m, spec->memory_bytes);
	else if (spec->memory_bytes)
		m->unenforced |= QUBE__LOCAL_NO_MEMORY;
	if (r == 0 && spec->vcpus && grouped && m->d->has_cpu)
		r = limit_cpu(m, spec->vcpus);
	else if (spec->vcpus)
		m->unenforced |= QUBE__LOCAL_NO_VCPUS;
	if (r == 0)
		r = set_io(m, spec);
	/* Besides RLIMIT_NPROC, which qube-box sets and which is always in force. */
	if (r == 0 && spec->pids_max && grouped && m->d->has_pids) {
		snprintf(text, sizeof(text), "%u", spec->pids_max);
		r = qube__local_group_put(m, "pids.max", text);
	}
	return r;
}
