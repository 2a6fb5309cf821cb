/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A JSON writer. */
#include "json.h"

#include "utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

void cli_json_init(struct cli_json *j, FILE *f)
{
	memset(j, 0, sizeof(*j));
	j->f = f;
}

void cli_json_end(struct cli_json *j)
{
	assert(j->depth == 0);
	fputc('\n', j->f);
}

static void put_escape(FILE *f, uint32_t c)
{
	if (c >= 0x10000) {
		c -= 0x10000;
		fprintf(f, "\\u%04x\\u%04x", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
	} else {
		fprintf(f, "\\u%04x", c);
	}
}

static void put_char(FILE *f, uint32_t c, const char *bytes, size_t len)
{
	switch (c) {
	case '"':
		fputs("\\\"", f);
		break;
	case '\\':
		fputs("\\\\", f);
		break;
	case '\n':
		fputs("\\n", f);
		break;
	case '\t':
		fputs("\\t", f);
		break;
	case '\r':
		fputs("\\r", f);
		break;
	default:
		if (cli_utf8_printable(c))
			fwrite(bytes, 1, len, f);
		else
			put_escape(f, c);
	}
}

static void put_string(FILE *f, const char *text)
{
	size_t left = strlen(text);

	fputc('"', f);
	while (left > 0) {
		size_t len = cli_utf8_length((unsigned char)*text);
		uint32_t c;

		if (len == 0 || len > left ||
		    !cli_utf8_decode(&c, (const unsigned char *)text, len)) {
			put_escape(f, 0xfffd);
			len = 1;
		} else {
			put_char(f, c, text, len);
		}
		text += len;
		left -= len;
	}
	fputc('"', f);
}

static void begin_value(struct cli_json *j, const char *key)
{
	if (j->more[j->depth])
		fputs(j->depth ? ", " : "\n", j->f);
	j->more[j->depth] = true;
	if (key) {
		put_string(j->f, key);
		fputs(": ", j->f);
	}
}

static void open_value(struct cli_json *j, const char *key, char bracket)
{
	begin_value(j, key);
	fputc(bracket, j->f);
	assert(j->depth + 1 < CLI_JSON_DEPTH);
	j->more[++j->depth] = false;
}

static void close_value(struct cli_json *j, char bracket)
{
	assert(j->depth > 0);
	j->depth--;
	fputc(bracket, j->f);
}

void cli_json_open_object(struct cli_json *j, const char *key)
{
	open_value(j, key, '{');
}

void cli_json_open_array(struct cli_json *j, const char *key)
{
	open_value(j, key, '[');
}

void cli_json_close_object(struct cli_json *j)
{
	close_value(j, '}');
}

void cli_json_close_array(struct cli_json *j)
{
	close_value(j, ']');
}

void cli_json_string(struct cli_json *j, const char *key, const char *value)
{
	begin_value(j, key);
	if (value)
		put_string(j->f, value);
	else
		fputs("null", j->f);
}

void cli_json_int(struct cli_json *j, const char *key, int64_t value)
{
	begin_value(j, key);
	fprintf(j->f, "%" PRId64, value);
}

void cli_json_uint(struct cli_json *j, const char *key, uint64_t value)
{
	begin_value(j, key);
	fprintf(j->f, "%" PRIu64, value);
}

void cli_json_bool(struct cli_json *j, const char *key, bool value)
{
	begin_value(j, key);
	fputs(value ? "true" : "false", j->f);
}
