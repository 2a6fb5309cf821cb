/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a bench runs inside a qube, and the same by hand as a yardstick. Static, so it runs in any
 * tree. Times are nanoseconds on standard output. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024 };
static char chunk[CHUNK];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Median of vfork + exec + wait of a program. */
static int do_spawn(int n, char **argv)
{
	uint64_t *t = calloc((size_t)n, sizeof(*t));

	for (int i = 0; t && i < n; i++) {
		uint64_t start = now_ns();
		pid_t pid = vfork();

		if (pid == 0) {
			execv(argv[0], argv);
			_exit(127);
		}
		waitpid(pid, NULL, 0);
		t[i] = now_ns() - start;
	}
	if (!t)
		return 1;
	qsort(t, (size_t)n, sizeof(*t), compare);
	printf("%llu\n", (unsigned long long)t[n / 2]);
	return 0;
}

static int listen_at(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 64) < 0)
		return -1;
	return fd;
}

/* Up to the NUL, which nothing follows before an answer. */
static void skip_descriptor(int c)
{
	char bytes[256];
	ssize_t n;

	do
		n = read(c, bytes, sizeof(bytes));
	while (n > 0 && bytes[n - 1]);
}

/* A socket service: one byte for each connection, after the descriptor's NUL if asked to. */
static int do_serve(const char *path, int descriptor)
{
	int fd = listen_at(path);

	if (fd < 0)
		return 1;
	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			return 1;
		if (descriptor)
			skip_descriptor(c);
		if (write(c, "x", 1) < 0)
			return 1;
		close(c);
	}
}

/* A socket service that takes all that comes and then says so with one byte. */
static int do_serve_sink(const char *path, int descriptor)
{
	int fd = listen_at(path);

	if (fd < 0)
		return 1;
	for (;;) {
		int c = accept(fd, NULL, NULL);
		char byte = 1;

		if (c < 0)
			return 1;
		while (descriptor && read(c, &byte, 1) == 1 && byte)
			;
		while (read(c, chunk, CHUNK) > 0)
			;
		if (write(c, "x", 1) < 0)
			return 1;
		close(c);
	}
}

/* A socket service that is handed the call's pipes, behind the NUL of the descriptor. */
static int take_channel(int c, int fds[2])
{
	char bytes[256];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control;

	for (;;) {
		struct iovec iov = { bytes, sizeof(bytes) };
		struct msghdr m = { .msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = &control,
				    .msg_controllen = sizeof(control) };
		struct cmsghdr *h;

		if (recvmsg(c, &m, 0) <= 0)
			return -1;
		h = CMSG_FIRSTHDR(&m);
		if (h && h->cmsg_type == SCM_RIGHTS) {
			memcpy(fds, CMSG_DATA(h), 2 * sizeof(int));
			return 0;
		}
	}
}

static int do_serve_channel(const char *path)
{
	int fd = listen_at(path);

	while (fd >= 0) {
		int c = accept(fd, NULL, NULL);
		int channel[2];

		if (c < 0 || take_channel(c, channel) < 0)
			return 1;
		while (read(channel[0], chunk, CHUNK) > 0)
			;
		if (write(channel[1], "x", 1) < 0)
			return 1;
		close(channel[0]);
		close(channel[1]);
		close(c);
	}
	return 1;
}

/* Pumps into a socket by hand, in 64 KiB writes, and waits for the byte. */
static int do_raw(const char *path, unsigned long long bytes)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return 1;
	while (bytes) {
		ssize_t n = write(fd, chunk, bytes > CHUNK ? CHUNK : (size_t)bytes);

		if (n < 0)
			return 1;
		bytes -= (unsigned long long)n;
	}
	shutdown(fd, SHUT_WR);
	return read(fd, chunk, 1) == 1 ? 0 : 1;
}

/* The same through a pipe as large as a channel becomes, to a process of ours. */
static int do_raw_pipe(unsigned long long bytes)
{
	char byte = 1;
	int back[2];
	int to[2];

	if (pipe(to) < 0 || pipe(back) < 0 || fcntl(to[1], F_SETPIPE_SZ, 1 << 20) < 0)
		return 1;
	if (fork() == 0) {
		close(to[1]);
		while (read(to[0], chunk, CHUNK) > 0)
			;
		_exit(write(back[1], &byte, 1) != 1);
	}
	close(to[0]);
	close(back[1]);
	while (bytes) {
		ssize_t n = write(to[1], chunk, bytes > CHUNK ? CHUNK : (size_t)bytes);

		if (n < 0)
			return 1;
		bytes -= (unsigned long long)n;
	}
	close(to[1]);
	return read(back[0], &byte, 1) == 1 ? 0 : 1;
}

static int write_all(const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(1, p, n);

		if (w < 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int do_pump(unsigned long long bytes)
{
	while (bytes) {
		size_t n = bytes > CHUNK ? CHUNK : (size_t)bytes;

		if (write_all(chunk, n) < 0)
			return 1;
		bytes -= n;
	}
	return 0;
}

static int do_copy(void)
{
	for (;;) {
		ssize_t n = read(0, chunk, CHUNK);

		if (n <= 0)
			return n < 0;
		if (write_all(chunk, (size_t)n) < 0)
			return 1;
	}
}

/* Bytes and nanoseconds from the first to the last. */
static int do_sink(void)
{
	unsigned long long bytes = 0;
	uint64_t start = 0;
	ssize_t n;

	while ((n = read(0, chunk, CHUNK)) > 0) {
		if (!start)
			start = now_ns();
		bytes += (unsigned long long)n;
	}
	printf("%llu %llu\n", bytes, (unsigned long long)(now_ns() - start));
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (!strcmp(mode, "spawn") && argc > 3)
		return do_spawn((int)strtol(argv[2], NULL, 10), argv + 3);
	if (!strcmp(mode, "serve") && argc == 3)
		return do_serve(argv[2], 1);
	if (!strcmp(mode, "serve-raw") && argc == 3)
		return do_serve(argv[2], 0);
	if (!strcmp(mode, "serve-sink") && argc == 3)
		return do_serve_sink(argv[2], 1);
	if (!strcmp(mode, "serve-sink-raw") && argc == 3)
		return do_serve_sink(argv[2], 0);
	if (!strcmp(mode, "serve-channel") && argc == 3)
		return do_serve_channel(argv[2]);
	if (!strcmp(mode, "raw") && argc == 4)
		return do_raw(argv[2], strtoull(argv[3], NULL, 10));
	if (!strcmp(mode, "raw-pipe") && argc == 3)
		return do_raw_pipe(strtoull(argv[2], NULL, 10));
	if (!strcmp(mode, "pump") && argc == 3)
		return do_pump(strtoull(argv[2], NULL, 10));
	if (!strcmp(mode, "copy"))
		return do_copy();
	if (!strcmp(mode, "sink"))
		return do_sink();
	fprintf(stderr, "usage: bench-guest MODE ..., see the source\n");
	return 2;
}
