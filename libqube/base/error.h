/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The per-thread error record, in fixed memory: an error path never allocates. */
#ifndef QUBE_BASE_ERROR_H
#define QUBE_BASE_ERROR_H

#include <qube/error.h>

/* A copy of a record that outlives the thread's next failure (an op carries one). */
struct qube__err {
	struct qube_error pub; /* its pointers point into this struct */
	char message[768];
	char rule_file[512];
};

/* Each sets this thread's record and returns the code: `return qube__fail(...)`. */
int qube__fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int qube__fail_detail(int code, int detail, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* QUBE_E_SYSTEM with the current errno (QUBE_E_NOMEM for ENOMEM); its text is appended. */
int qube__fail_os(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int qube__fail_nomem(void);
/* As qube__fail, and names the file and line that decided. */
int qube__fail_rule(int code, const char *file, uint32_t line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The public function that the thread is in; api/ sets it at entry. */
void qube__err_enter(const char *where);
/* Copies the thread's record out, or a saved one back in. */
void qube__err_save(struct qube__err *dst);
int qube__err_restore(const struct qube__err *src);
void qube__err_clear(struct qube__err *e);

#endif
