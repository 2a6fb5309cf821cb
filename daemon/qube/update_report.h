/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a template tells of its update (the lines of update_guest.sh), and what to make of it. Pure:
 * the template is a guest, so each byte may be anything. */
#ifndef QUBE_CLI_UPDATE_REPORT_H
#define QUBE_CLI_UPDATE_REPORT_H

#include <stdbool.h>
#include <stddef.h>

enum {
	CLI_UPDATE_WORD_MAX = 160,
	CLI_UPDATE_LINE_MAX = 1024,
	CLI_UPDATE_PACKAGES_MAX = 4096,
};

struct cli_update_package {
	char name[CLI_UPDATE_WORD_MAX];
	char from[CLI_UPDATE_WORD_MAX]; /* version before */
	char to[CLI_UPDATE_WORD_MAX];	/* of the package that was offered */
	char now[CLI_UPDATE_WORD_MAX];	/* what its database has in the end; "": it did not say */
};

enum cli_update_result { CLI_UPDATE_FAILED, CLI_UPDATE_NONE, CLI_UPDATE_DONE };

struct cli_update_report {
	char manager[CLI_UPDATE_WORD_MAX];
	char stage[CLI_UPDATE_WORD_MAX];
	char error[CLI_UPDATE_LINE_MAX];
	char result[CLI_UPDATE_WORD_MAX];
	struct cli_update_package *packages; /* owned */
	size_t n_packages;
	bool nonsense; /* a line that is none of ours, or too much of them */
	char line[CLI_UPDATE_LINE_MAX];
	size_t len;
};

/* True if a stage began: its name is in stage. */
bool cli_update_report_feed(struct cli_update_report *r, const char *untrusted, size_t len);
/* At the end. CLI_UPDATE_FAILED: why holds the reason, to be escaped. */
enum cli_update_result cli_update_report_judge(const struct cli_update_report *r, int exit_code,
					       char *why, size_t cap);
void cli_update_report_fini(struct cli_update_report *r);

#endif
