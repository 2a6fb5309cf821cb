/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Text for people. */
#include "base/text.h"

#include "base/error.h"

#include <qube/error.h>

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *qube__text_escape(char *out, size_t cap, const void *untrusted, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *p = untrusted;
	size_t at = 0;

	assert(cap >= 8);
	for (size_t i = 0; i < len; i++) {
		if (at + 8 > cap) {
			memcpy(out + at, "...", 3);
			at += 3;
			break;
		}
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\') {
			out[at++] = (char)p[i];
		} else {
			out[at++] = '\\';
			out[at++] = 'x';
			out[at++] = hex[p[i] >> 4];
			out[at++] = hex[p[i] & 15];
		}
	}
	out[at] = '\0';
	return out;
}

int qube__text_u64(uint64_t *out, const char *s, uint64_t max)
{
	uint64_t v = 0;

	if (!*s)
		return QUBE_E_INVALID;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return QUBE_E_INVALID;
	}
	if (v > max)
		return QUBE_E_INVALID;
	*out = v;
	return 0;
}

char *qube__text_bytes(char *out, size_t cap, uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1024.0 && u < 4) {
		v /= 1024.0;
		u++;
	}
	snprintf(out, cap, u ? "%.1f %s" : "%.0f %s", v, units[u]);
	return out;
}

char *qube__text_format(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	s = malloc((size_t)n + 1);
	if (!s)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(s, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return s;
}

int qube__text_copy(char *out, size_t cap, const char *s)
{
	size_t n = strlen(s);

	if (n >= cap)
		return QUBE_E_LIMIT;
	memcpy(out, s, n + 1);
	return 0;
}

uint32_t qube__text_hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

int qube__fail_name(const char *what, const char *name)
{
	char safe[128];
	int err = errno;

	qube__text_escape(safe, sizeof(safe), name, strlen(name));
	errno = err;
	if (err == ENOSPC || err == EDQUOT)
		return qube__fail(QUBE_E_LIMIT, "cannot %s %s: no space left on the disk", what,
				  safe);
	return qube__fail_os("cannot %s %s", what, safe);
}
