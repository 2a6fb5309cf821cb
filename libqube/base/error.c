/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The per-thread error record. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct qube__err record;
static _Thread_local const char *entered;

static int set(int code, int detail, int os_errno, const char *fmt, va_list ap)
{
	/* Formatted aside first: an argument may point into the record itself. */
	char text[sizeof(record.message)];

	vsnprintf(text, sizeof(text), fmt, ap);
	memcpy(record.message, text, sizeof(text));
	record.pub = (struct qube_error){
		.code = code,
		.os_errno = os_errno,
		.where = entered,
		.message = record.message,
		.detail = detail,
	};
	return code;
}

int qube__fail(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(code, QUBE_D_NONE, 0, fmt, ap);
	va_end(ap);
	return code;
}

int qube__fail_detail(int code, int detail, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(code, detail, 0, fmt, ap);
	va_end(ap);
	return code;
}

int qube__fail_os(const char *fmt, ...)
{
	int err = errno;
	int code = err == ENOMEM ? QUBE_E_NOMEM : QUBE_E_SYSTEM;
	size_t at;
	va_list ap;

	va_start(ap, fmt);
	set(code, QUBE_D_NONE, err, fmt, ap);
	va_end(ap);
	at = strlen(record.message);
	snprintf(record.message + at, sizeof(record.message) - at, ": %s", strerror(err));
	errno = err;
	return code;
}

int qube__fail_nomem(void)
{
	return qube__fail(QUBE_E_NOMEM, "out of memory");
}

int qube__fail_rule(int code, const char *file, uint32_t line, const char *fmt, ...)
{
	char path[sizeof(record.rule_file)];
	va_list ap;

	snprintf(path, sizeof(path), "%s", file ? file : "");
	va_start(ap, fmt);
	set(code, QUBE_D_NONE, 0, fmt, ap);
	va_end(ap);
	if (file) {
		memcpy(record.rule_file, path, sizeof(path));
		record.pub.rule_file = record.rule_file;
		record.pub.rule_line = line;
	}
	return code;
}

void qube__err_enter(const char *where)
{
	entered = where;
}

void qube__err_save(struct qube__err *dst)
{
	*dst = record;
	dst->pub.message = dst->message;
	if (dst->pub.rule_file)
		dst->pub.rule_file = dst->rule_file;
}

int qube__err_restore(const struct qube__err *src)
{
	if (src != &record)
		record = *src;
	record.pub.message = record.message;
	if (record.pub.rule_file)
		record.pub.rule_file = record.rule_file;
	return record.pub.code;
}

void qube__err_clear(struct qube__err *e)
{
	memset(e, 0, sizeof(*e));
	e->pub.message = e->message;
}

QUBE_API const struct qube_error *qube_error_last(void)
{
	record.pub.message = record.message;
	return &record.pub;
}

QUBE_API const char *qube_error_name(int32_t code)
{
	static const char *const names[] = {
		"QUBE_OK",	 "QUBE_E_SYSTEM", "QUBE_E_NOMEM",   "QUBE_E_INVALID",
		"QUBE_E_NOTSUP", "QUBE_E_PROTO",  "QUBE_E_LIMIT",   "QUBE_E_DENIED",
		"QUBE_E_NOENT",	 "QUBE_E_STATE",  "QUBE_E_AGAIN",   "QUBE_E_CLOSED",
		"QUBE_E_EXISTS", "QUBE_E_BUSY",	  "QUBE_E_TIMEOUT", "QUBE_E_CANCELED",
	};

	if (code > 0 || code < -15)
		return "QUBE_E_?";
	return names[-code];
}
