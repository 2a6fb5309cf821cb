/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A JSON writer: well-formed by construction, strings escaped, one value a document. */
#ifndef QUBE_CLI_JSON_H
#define QUBE_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { CLI_JSON_DEPTH = 16 };

struct cli_json {
	FILE *f;
	int depth;
	bool more[CLI_JSON_DEPTH]; /* something was written at this depth */
};

void cli_json_init(struct cli_json *j, FILE *f);
/* Ends the document with a newline. */
void cli_json_end(struct cli_json *j);

/* key: NULL in an array and at the top. */
void cli_json_open_object(struct cli_json *j, const char *key);
void cli_json_open_array(struct cli_json *j, const char *key);
void cli_json_close_object(struct cli_json *j);
void cli_json_close_array(struct cli_json *j);
/* value NULL: null. A byte that is not part of valid UTF-8 becomes U+FFFD; what a terminal could
 * act on (C0, DEL, C1, bidirectional controls) is written as \uXXXX. */
void cli_json_string(struct cli_json *j, const char *key, const char *value);
void cli_json_int(struct cli_json *j, const char *key, int64_t value);
void cli_json_uint(struct cli_json *j, const char *key, uint64_t value);
void cli_json_bool(struct cli_json *j, const char *key, bool value);

#endif
