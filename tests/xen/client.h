/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-xl as the driver uses it, for programs in dom0 that try it. One line for each thing that
 * holds; the first that does not ends the program. */
#ifndef TESTS_XEN_CLIENT_H
#define TESTS_XEN_CLIENT_H

#include "driver/xen/proto.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { LONG_MS = 120000, SOON_MS = 60000 };

struct client {
	const char *program;
	const char *kernel;
	const char *ramdisk;
	const char *preload; /* NULL: none */
	pid_t helper;
	int sock;
	uint32_t last_id;
	/* What came beside the answers. */
	struct qube__xl_msg shut;
	struct qube__xl_msg gone;
	/* Of the last LIST. */
	struct qube__xl_msg domain;
	char domain_name[64];
	int n_domains;
};

extern struct client client;

void must(bool holds, const char *what);
/* Says nothing of what holds. */
void need(bool holds, const char *what);
uint64_t now_ms(void);

/* Of one message within so long; its type, or 0. */
uint32_t next(struct qube__xl_msg *m, int ms);

void start_helper(void);
void end_helper(int signal);

/* Sends an order and waits for its answer; code -1000: there was none. */
struct qube__xl_msg ask(struct qube__xl_msg m);
struct qube__xl_msg of(uint32_t type, uint8_t number);
struct qube__xl_msg creation(uint8_t number, const char *name, uint32_t kind);
bool list_has(int n);
bool listed_within(int ms, int n);

/* The witness. */
bool xl_knows(const char *name);
bool says(const char *name, const char *what, int ms);
bool comes(struct qube__xl_msg *what, int ms);

#endif
