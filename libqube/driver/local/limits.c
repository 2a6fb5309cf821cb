/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What bounds a machine's use of the host. Each limit that was asked for is in force or is listed
 * by name; a controller that is there and refuses is an error, never a silent loss. */
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WEIGHT = 100 };

static int put(struct qube__local_machine *m, const char *file, const char *value)
{
	qube__autofd fd = openat(m->group_fd, file, O_WRONLY | O_CLOEXEC);

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
	r = put(m, "memory.max", text);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%" PRIu64, bytes - bytes / 16);
	r = put(m, "memory.high", text);
	/* A kernel without swap has no such file. */
	if (r == 0 && faccessat(m->group_fd, "memory.swap.max", F_OK, 0) == 0)
		r = put(m, "memory.swap.max", "0");
	return r;
}

/* At most so many processors, and where they are short a share by that number. */
static int limit_cpu(struct qube__local_machine *m, uint32_t vcpus)
{
	uint64_t weight = (uint64_t)vcpus * WEIGHT;
	char text[64];
	int r;

	snprintf(text, sizeof(text), "%" PRIu64 " 100000", (uint64_t)vcpus * 100000u);
	r = put(m, "cpu.max", text);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%" PRIu64, weight > 10000 ? 10000 : weight);
	return put(m, "cpu.weight", text);
}

int qube__local_limits_set(struct qube__local_machine *m, const struct qube__machine_spec *spec)
{
	bool grouped = m->group_fd >= 0;
	char text[32];
	int r = 0;

	m->limits_memory = spec->memory_bytes != 0;
	m->limits_vcpus = spec->vcpus != 0;
	/* Directories have no quota: what a qube writes to its volumes only the disk bounds. */
	m->limits_disk = spec->root.upper || spec->private_volume.upper;
	if (m->limits_memory && grouped && m->d->has_memory) {
		r = limit_memory(m, spec->memory_bytes);
		m->limits_memory = false;
	}
	if (r == 0 && m->limits_vcpus && grouped && m->d->has_cpu) {
		r = limit_cpu(m, spec->vcpus);
		m->limits_vcpus = false;
	}
	/* Besides RLIMIT_NPROC, which qube-box sets and which is always in force. */
	if (r == 0 && spec->pids_max && grouped && m->d->has_pids) {
		snprintf(text, sizeof(text), "%u", spec->pids_max);
		r = put(m, "pids.max", text);
	}
	return r;
}
