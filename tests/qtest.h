/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Test bodies in C, run by GoogleTest (qtest.cc). */
#ifndef QTEST_H
#define QTEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

void qtest_register(const char *suite, const char *name, const char *file, int line,
		    void (*fn)(void));
void qtest_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Marks the running test as skipped; the reason is printed. */
void qtest_skip(const char *file, int line, const char *reason);
/* 1 after a failure in the running test. */
int qtest_failed(void);
/* Allocation failure, only in executables linked with tests/oom/wrap.c. */
void qtest_oom_arm(long nth);
long qtest_oom_disarm(void);

#ifdef __cplusplus
}
#endif

#define QTEST(suite_, name_)                                                                       \
	static void suite_##__##name_(void);                                                       \
	__attribute__((constructor)) static void register__##suite_##__##name_(void)               \
	{                                                                                          \
		qtest_register(#suite_, #name_, __FILE__, __LINE__, suite_##__##name_);            \
	}                                                                                          \
	static void suite_##__##name_(void)

/* Each returns from the test body when it fails. */
#define QT_TRUE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			qtest_fail(__FILE__, __LINE__, "not true: %s", #cond);                     \
			return;                                                                    \
		}                                                                                  \
	} while (0)
#define QT_INT(got, want)                                                                          \
	do {                                                                                       \
		long long got_ = (long long)(got);                                                 \
		long long want_ = (long long)(want);                                               \
		if (got_ != want_) {                                                               \
			qtest_fail(__FILE__, __LINE__, "%s is %lld, expected %lld (%s)", #got,     \
				   got_, want_, #want);                                            \
			return;                                                                    \
		}                                                                                  \
	} while (0)
#define QT_STR(got, want)                                                                          \
	do {                                                                                       \
		const char *got_ = (got);                                                          \
		const char *want_ = (want);                                                        \
		if (!got_ || !want_ ? got_ != want_ : strcmp(got_, want_) != 0) {                  \
			qtest_fail(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #got,      \
				   got_ ? got_ : "(null)", want_ ? want_ : "(null)");              \
			return;                                                                    \
		}                                                                                  \
	} while (0)
#define QT_MEM(got, want, len)                                                                     \
	do {                                                                                       \
		if (memcmp((got), (want), (len)) != 0) {                                           \
			qtest_fail(__FILE__, __LINE__, "%s differs from %s", #got, #want);         \
			return;                                                                    \
		}                                                                                  \
	} while (0)
#define QT_FAIL(...)                                                                               \
	do {                                                                                       \
		qtest_fail(__FILE__, __LINE__, __VA_ARGS__);                                       \
		return;                                                                            \
	} while (0)
#define QT_SKIP(reason)                                                                            \
	do {                                                                                       \
		qtest_skip(__FILE__, __LINE__, (reason));                                          \
		return;                                                                            \
	} while (0)
/* Runs call with the 1st, 2nd, ... allocation failing until none is left to fail; a call that
 * succeeds is followed by undo. It must return QUBE_E_NOMEM or succeed, nothing else. */
#define QT_EACH_OOM(call, undo)                                                                    \
	do {                                                                                       \
		for (long nth_ = 1;; nth_++) {                                                     \
			int r_;                                                                    \
			long fired_;                                                               \
			qtest_oom_arm(nth_);                                                       \
			r_ = (call);                                                               \
			fired_ = qtest_oom_disarm();                                               \
			if (r_ >= 0) {                                                             \
				undo;                                                              \
			} else if (r_ != -2) {                                                     \
				qtest_fail(__FILE__, __LINE__, "allocation %ld: %s returned %d",   \
					   nth_, #call, r_);                                       \
				return;                                                            \
			}                                                                          \
			if (!fired_)                                                               \
				break;                                                             \
		}                                                                                  \
	} while (0)

#endif
