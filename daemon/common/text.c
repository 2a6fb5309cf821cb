/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Text: quoting for a shell, escaping for a terminal, numbers for people. */
#include "common/text.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Writes the escaped form of one byte, at most 4 characters. */
static size_t escape_byte(char out[4], unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	if (c >= 0x20 && c <= 0x7e && c != '\\') {
		out[0] = (char)c;
		return 1;
	}
	out[0] = '\\';
	if (c == '\\') {
		out[1] = '\\';
		return 2;
	}
	out[1] = 'x';
	out[2] = hex[c >> 4];
	out[3] = hex[c & 15];
	return 4;
}

void cli_escape(char *out, size_t cap, const char *text)
{
	size_t used = 0;
	size_t cut = 0; /* the last place where "..." still fits */
	char one[4];

	if (!cap)
		return;
	for (; *text; text++) {
		size_t n = escape_byte(one, (unsigned char)*text);

		if (used + 4 <= cap)
			cut = used;
		if (used + n + 1 > cap) {
			used = cut;
			if (cap >= 4) {
				memcpy(out + used, "...", 3);
				used += 3;
			}
			break;
		}
		memcpy(out + used, one, n);
		used += n;
	}
	out[used] = '\0';
}

char *cli_escape_dup(const char *text)
{
	size_t len = strlen(text);
	char *out;
	char *at;

	if (len > SIZE_MAX / 4 - 1)
		return NULL;
	out = malloc(4 * len + 1);
	if (!out)
		return NULL;
	at = out;
	for (; *text; text++)
		at += escape_byte(at, (unsigned char)*text);
	*at = '\0';
	return out;
}

static bool is_plain(const char *arg)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_@%+:,./-";

	return *arg && strspn(arg, plain) == strlen(arg);
}

/* Everything but ' stands for itself between two '; a ' itself leaves them: '\''. */
static char *put_quoted(char *at, const char *arg)
{
	size_t len = strlen(arg);

	if (is_plain(arg)) {
		memcpy(at, arg, len);
		return at + len;
	}
	*at++ = '\'';
	for (; *arg; arg++) {
		if (*arg == '\'') {
			memcpy(at, "'\\''", 4);
			at += 4;
		} else {
			*at++ = *arg;
		}
	}
	*at++ = '\'';
	return at;
}

char *cli_quote_args(char *const *args, int n)
{
	size_t room = 1;
	char *out;
	char *at;

	for (int i = 0; i < n; i++) {
		size_t more;

		if (__builtin_mul_overflow(strlen(args[i]), (size_t)4, &more) ||
		    __builtin_add_overflow(room, more + 3, &room))
			return NULL;
	}
	out = malloc(room);
	if (!out)
		return NULL;
	at = out;
	for (int i = 0; i < n; i++) {
		if (i)
			*at++ = ' ';
		at = put_quoted(at, args[i]);
	}
	*at = '\0';
	return out;
}

char *cli_quote_command(char *const *args, int n)
{
	return n == 1 ? strdup(args[0]) : cli_quote_args(args, n);
}

void cli_format_size(char *out, size_t cap, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double n = (double)bytes / 1024;
	size_t u = 0;

	if (bytes < 1024) {
		snprintf(out, cap, "%llu bytes", (unsigned long long)bytes);
		return;
	}
	while (n >= 1024 && u + 1 < sizeof(units) / sizeof(units[0])) {
		n /= 1024;
		u++;
	}
	snprintf(out, cap, "%.1f %s", n, units[u]);
}

bool cli_parse_size(uint64_t *out, const char *text)
{
	static const char units[] = "KMGT";
	char *end;
	unsigned long long n = strtoull(text, &end, 10);
	const char *unit = *end && !end[1] ? strchr(units, *end) : NULL;
	int shift = unit ? 10 * (int)(unit - units + 1) : 0;

	if (!isdigit((unsigned char)*text) || (*text == '0' && isdigit((unsigned char)text[1])) ||
	    (*end && !unit) || n == ULLONG_MAX || n > (ULLONG_MAX >> shift))
		return false;
	*out = n << shift;
	return true;
}

void cli_format_count(char *out, size_t cap, uint64_t n)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	size_t used = 0;

	for (size_t i = 0; i < len && used + 2 < cap; i++) {
		if (i && (len - i) % 3 == 0)
			out[used++] = ',';
		out[used++] = digits[i];
	}
	out[used] = '\0';
}

int64_t cli_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
