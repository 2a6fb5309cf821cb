/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Makes the nth allocation fail (qtest_oom_arm of qtest.h). Executables that are linked with this
 * file pass --wrap for each function below (qube_oom_test() of cmake/rooms.cmake), so every call
 * from our objects comes here first; calls inside shared libraries do not. The real function is
 * the sanitizer's own in a sanitized build, so leaks on the failed path are seen there. */
#include "qtest.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **out, size_t align, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_vasprintf(char **out, const char *fmt, va_list ap);
DIR *__real_opendir(const char *path);
DIR *__real_fdopendir(int fd);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __wrap_posix_memalign(void **out, size_t align, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_asprintf(char **out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int __wrap_vasprintf(char **out, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
DIR *__wrap_opendir(const char *path);
DIR *__wrap_fdopendir(int fd);

/* Of the thread that armed it: 0 is off, 1 means the next one fails. */
static __thread long countdown;
static __thread long fired;

void qtest_oom_arm(long nth)
{
	countdown = nth;
	fired = 0;
}

long qtest_oom_disarm(void)
{
	countdown = 0;
	return fired;
}

static int fails_now(void)
{
	if (!countdown || --countdown)
		return 0;
	fired++;
	errno = ENOMEM;
	return 1;
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails_now() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
	return fails_now() ? NULL : __real_reallocarray(old, n, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return fails_now() ? NULL : __real_aligned_alloc(align, size);
}

int __wrap_posix_memalign(void **out, size_t align, size_t size)
{
	return fails_now() ? ENOMEM : __real_posix_memalign(out, align, size);
}

char *__wrap_strdup(const char *s)
{
	return fails_now() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails_now() ? NULL : __real_strndup(s, n);
}

int __wrap_vasprintf(char **out, const char *fmt, va_list ap)
{
	return fails_now() ? -1 : __real_vasprintf(out, fmt, ap);
}

int __wrap_asprintf(char **out, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = __wrap_vasprintf(out, fmt, ap);
	va_end(ap);
	return r;
}

DIR *__wrap_opendir(const char *path)
{
	return fails_now() ? NULL : __real_opendir(path);
}

/* As the real one: on failure the descriptor stays the caller's. */
DIR *__wrap_fdopendir(int fd)
{
	return fails_now() ? NULL : __real_fdopendir(fd);
}
