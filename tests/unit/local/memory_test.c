/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The local driver's numbers about memory, on a folder that stands for a group. */
#include "qtest.h"

#include "base/error.h"
#include "driver/local/local.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1ull << 20)

static char dir[64];
static struct qube__local_machine m;

static void put(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		QT_FAIL("cannot write %s", path);
}

static const char *get(const char *name)
{
	static char text[64];
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	memset(text, 0, sizeof(text));
	f = fopen(path, "r");
	if (f) {
		if (!fgets(text, sizeof(text), f))
			text[0] = '\0';
		fclose(f);
	}
	return text;
}

static void begin(const char *max, const char *high)
{
	snprintf(dir, sizeof(dir), "/tmp/libqube-memory-XXXXXX");
	if (!mkdtemp(dir))
		QT_FAIL("no folder");
	m = (struct qube__local_machine){ .name = "work" };
	m.group_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	put("memory.max", max);
	put("memory.high", high);
}

static void end(void)
{
	static const char *const names[] = { "memory.max", "memory.high", "memory.current",
					     "memory.stat" };

	for (size_t i = 0; i < 4; i++)
		unlinkat(m.group_fd, names[i], 0);
	close(m.group_fd);
	rmdir(dir);
}

QTEST(local_memory, a_target_is_where_the_kernel_slows_it_down)
{
	begin("4194304000\n", "3932160000\n");
	QT_INT(qube__local_memory_set(&m, 400 * 1024), 0);
	QT_STR(get("memory.high"), "419430400");
	QT_STR(get("memory.max"), "4194304000\n");
	/* Never at the very end. */
	QT_INT(qube__local_memory_set(&m, 4000 * 1024), 0);
	QT_STR(get("memory.high"), "3932160000");
	QT_STR(get("memory.max"), "4194304000\n");
	/* It may have more than when it was started. */
	QT_INT(qube__local_memory_set(&m, 8000 * 1024), 0);
	QT_STR(get("memory.max"), "8388608000");
	QT_STR(get("memory.high"), "7864320000");
	end();
}

QTEST(local_memory, without_a_limit_nothing_follows)
{
	begin("max\n", "max\n");
	QT_INT(qube__local_memory_set(&m, 400 * 1024), QUBE_E_NOTSUP);
	QT_STR(get("memory.high"), "max\n");
	end();
	m.group_fd = -1;
	QT_INT(qube__local_memory_set(&m, 400 * 1024), QUBE_E_NOTSUP);
}

QTEST(local_memory, what_could_be_given_up_is_told_apart)
{
	struct qube__machine_stats s = { 0 };

	begin("4194304000\n", "3932160000\n");
	QT_TRUE(!qube__local_memory_stats(&s, m.group_fd));
	put("memory.current", "500000000\n");
	put("memory.stat", "anon 300000000\nfile 190000000\nactive_file 40000000\n"
			   "inactive_file 150000000\nworkingset_inactive_file 7\n");
	QT_TRUE(qube__local_memory_stats(&s, m.group_fd));
	QT_INT(s.memory_bytes, 500000000);
	QT_INT(s.assigned_bytes, 350000000);
	QT_INT(s.cache_bytes, 150000000);
	QT_INT(s.target_bytes, 3932160000);
	put("memory.high", "max\n");
	put("memory.current", "100000000\n");
	s = (struct qube__machine_stats){ 0 };
	QT_TRUE(qube__local_memory_stats(&s, m.group_fd));
	QT_INT(s.target_bytes, 0);
	QT_INT(s.cache_bytes, 100000000);
	QT_INT(s.assigned_bytes, 0);
	end();
}

QTEST(local_memory, the_hosts_is_read_from_meminfo)
{
	uint64_t total = 1;
	uint64_t unused = 2;

	QT_INT(qube__local_meminfo_parse(&total, &unused,
					 "MemTotal:  16000000 kB\nMemFree:    1 kB\n"
					 "MemAvailable:   9000000 kB\nBuffers: 3 kB\n"),
	       0);
	QT_INT(total, 16000000);
	QT_INT(unused, 9000000);
	QT_INT(qube__local_meminfo_parse(&total, &unused, ""), QUBE_E_PROTO);
	QT_INT(qube__local_meminfo_parse(&total, &unused, "MemTotal: 5 kB\n"), QUBE_E_PROTO);
	QT_INT(qube__local_meminfo_parse(&total, &unused, "MemTotal: 5 kB\nMemAvailable: x\n"),
	       QUBE_E_PROTO);
	QT_INT(total, 16000000);
	QT_INT(qube__local_host_memory(NULL, &total, &unused), 0);
	QT_TRUE(total > 64 * 1024 && unused > 0 && unused <= total);
}
