/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What libxenlight says. A code of its own says little: the last complaint goes with it. */
#include "xl.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct say {
	xentoollog_logger vtable; /* first: it is what libxenlight knows */
	char last[256];
};

static void say_message(xentoollog_logger *log, xentoollog_level level, int errnoval,
			const char *context, const char *format, va_list al)
	__attribute__((format(printf, 5, 0)));
static void say_message(xentoollog_logger *log, xentoollog_level level, int errnoval,
			const char *context, const char *format, va_list al)
{
	struct say *s = (struct say *)log;
	char line[256];
	char safe[256];

	if (level < XTL_WARN)
		return;
	vsnprintf(line, sizeof(line), format, al);
	line[strcspn(line, "\n")] = '\0';
	qube__text_escape(safe, sizeof(safe), line, strlen(line));
	fprintf(stderr, "qube-xl: %s%s%s%s%s\n", context ? context : "", context ? ": " : "", safe,
		errnoval >= 0 ? ": " : "", errnoval >= 0 ? strerror(errnoval) : "");
	/* What follows from a complaint says less than the first one. */
	if (level >= XTL_ERROR && !s->last[0])
		memcpy(s->last, safe, sizeof(safe));
}

static void say_progress(xentoollog_logger *log, const char *context, const char *what, int percent,
			 unsigned long done, unsigned long total)
{
	(void)log;
	(void)context;
	(void)what;
	(void)percent;
	(void)done;
	(void)total;
}

static void say_destroy(xentoollog_logger *log)
{
	free(log);
}

xentoollog_logger *xl_say_open(void)
{
	struct say *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->vtable.vmessage = say_message;
	s->vtable.progress = say_progress;
	s->vtable.destroy = say_destroy;
	return &s->vtable;
}

void xl_say_forget(xentoollog_logger *log)
{
	((struct say *)log)->last[0] = '\0';
}

const char *xl_say_last(xentoollog_logger *log)
{
	return ((struct say *)log)->last;
}
