/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A temporary host for tests of the local driver: run, program and volume directories, a loop, a
 * driver, and a tiny template made of a static busybox. */
#ifndef LOCAL_WORLD_H
#define LOCAL_WORLD_H

#include "driver/driver.h"

#include <stdbool.h>
#include <stdint.h>

enum { WORLD_IDS = 1000 << 16 };

struct world {
	char dir[64];
	char layer[128];
	char upper[128];
	char work[128];
	char kept[128];
	char uuid[40]; /* of its own, as the names of groups are seen by all */
	struct qube__loop loop;
	struct qube__driver *driver;
	struct qube__machine *m;
	struct qube__machine_spec spec;
	uint32_t ids; /* what it got: WORLD_IDS unless another has them */
	int events[8];
	int n_events;
	int status;
	char failure[768]; /* message of the record at FAILED */
	int os_errno;
	int code;
	char log[8192];
	int log_lines;
	bool keep;    /* the next driver that is opened leaves machines when it closes */
	bool mounted; /* dir is a file system of its own */
	bool found_paused;
	bool found_bound;
};

/* As QT_*, but the test goes on to world_close(). */
#define W_TRUE(cond)                                                                               \
	do {                                                                                       \
		if (!(cond))                                                                       \
			qtest_fail(__FILE__, __LINE__, "not true: %s", #cond);                     \
	} while (0)
#define W_INT(got, want)                                                                           \
	do {                                                                                       \
		long long got_ = (long long)(got);                                                 \
		if (got_ != (long long)(want))                                                     \
			qtest_fail(__FILE__, __LINE__, "%s is %lld, expected %s", #got, got_,      \
				   #want);                                                         \
	} while (0)
#define W_STR(got, want)                                                                           \
	do {                                                                                       \
		const char *got_ = (got);                                                          \
		if (!got_ || strcmp(got_, (want)) != 0)                                            \
			qtest_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #got,      \
				   got_ ? got_ : "(null)", (want));                                \
	} while (0)

/* NULL, or why these tests cannot run here. */
const char *world_missing(void);
bool world_open(struct world *w);
/* The same on a file system of that kind. NULL, or why not. */
const char *world_open_on(struct world *w, const char *kind);
/* Closes the driver and opens another; adopt: takes box-test over as w->m. */
bool world_reopen(struct world *w, bool adopt);
/* Removes everything; false if a process, mount, cgroup or file was left. */
bool world_close(struct world *w);
/* Runs the loop until the event came; false after seconds or when the machine ended instead. */
bool world_wait(struct world *w, int event, int seconds);
/* create, HELD, run, RUNNING. */
bool world_start(struct world *w);
bool world_stop(struct world *w);
/* Sends one line to the test agent, returns all it says; free() it. */
char *world_ask(struct world *w, const char *line);
/* world_ask("sh ...") and compare; reports what it said instead. */
bool world_sh_says(struct world *w, const char *command, const char *want);
/* sh -c on the host, below the world's directory. */
bool world_host(struct world *w, const char *command);

#endif
