/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The timed rows of the bench, through the public API against a running qubed. Each row is measured
 * beside its yardstick, A B A B, and printed as "NAME ours_ns yardstick_ns" (medians).
 * tests/bench/run prepares the qubes and makes the table. */
#include <qube/qube.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static qube_ctx *ctx;
static const char *scratch;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, qube_error_last()->message);
	exit(1);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Medians of fn(0) and fn(1), taken by turns after a warm-up. */
static void row(const char *name, int rounds, uint64_t (*ours)(int i), uint64_t (*yardstick)(int i))
{
	uint64_t *a = calloc((size_t)rounds, sizeof(*a));
	uint64_t *b = calloc((size_t)rounds, sizeof(*b));

	if (!a || !b)
		die("memory");
	ours(-1);
	yardstick(-1);
	for (int i = 0; i < rounds; i++) {
		a[i] = ours(i);
		b[i] = yardstick(i);
	}
	qsort(a, (size_t)rounds, sizeof(*a), compare);
	qsort(b, (size_t)rounds, sizeof(*b), compare);
	printf("%s %llu %llu\n", name, (unsigned long long)a[rounds / 2],
	       (unsigned long long)b[rounds / 2]);
	fflush(stdout);
	free(a);
	free(b);
}

/* --- P2: one call to qubed, against an empty server --- */

static char empty_path[108];
static pid_t server;

static int connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

static void empty_server(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char buf[4096];

	snprintf(empty_path, sizeof(empty_path), "%s/empty.sock", scratch);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", empty_path);
	unlink(empty_path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 64) < 0) {
		perror("empty server");
		exit(1);
	}
	server = fork();
	if (server != 0) {
		close(fd);
		return;
	}
	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			_exit(0);
		while (read(c, buf, sizeof(buf)) > 0)
			;
		if (write(c, "0\0", 2) != 2)
			_exit(1);
		close(c);
	}
}

static uint64_t p2_ours(int i)
{
	struct qube_admin_request req = {
		.size = sizeof(req), .dest = "work", .method = "admin.vm.tag.Get", .argument = "x"
	};
	uint64_t start = now_ns();
	char *text;

	(void)i;
	if (qube_admin_call(&text, NULL, ctx, &req) < 0)
		die("admin call");
	qube_free(text);
	return now_ns() - start;
}

static uint64_t p2_yardstick(int i)
{
	static const char bytes[] = "admin.vm.tag.Get+x dom0 name work";
	char buf[4096];
	uint64_t start = now_ns();
	int fd = connect_to(empty_path);

	(void)i;
	if (write(fd, bytes, sizeof(bytes)) < 0)
		exit(1);
	shutdown(fd, SHUT_WR);
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
	return now_ns() - start;
}

/* --- P4, P5: calls --- */

static uint64_t call_time(qube_domain *d, const char *service)
{
	struct qube_call_opts o = {
		.size = sizeof(o), .service = service, .stdin_fd = -1, .stderr_fd = -1
	};
	int out[2];
	qube_op *op;
	uint64_t start = now_ns();
	uint64_t first;
	char byte;

	if (pipe2(out, O_CLOEXEC) < 0)
		exit(1);
	o.stdout_fd = out[1];
	if (qube_domain_call(d, &o, &op) < 0)
		die(service);
	close(out[1]);
	/* The pipe is ours: the read blocks until the first byte, the daemon does the rest. */
	fcntl(out[0], F_SETFL, 0);
	if (read(out[0], &byte, 1) != 1) {
		qube_op_wait(op, 5000);
		die(service);
	}
	first = now_ns() - start;
	close(out[0]);
	if (qube_op_wait(op, 10000) < 0)
		die(service);
	qube_op_unref(op);
	return first;
}

static qube_domain *work;

static uint64_t p4_ours(int i)
{
	(void)i;
	return call_time(work, "bench.Socket");
}

static char raw_path[108];

static uint64_t p4_yardstick(int i)
{
	uint64_t start = now_ns();
	int fd = connect_to(raw_path);
	char byte;

	(void)i;
	if (read(fd, &byte, 1) != 1)
		exit(1);
	close(fd);
	return now_ns() - start;
}

static uint64_t whole_call(qube_domain *d, const char *service)
{
	struct qube_call_opts o = { .size = sizeof(o),
				    .service = service,
				    .stdin_fd = -1,
				    .stdout_fd = -1,
				    .stderr_fd = -1 };
	uint64_t start = now_ns();
	qube_op *op;

	if (qube_domain_call(d, &o, &op) < 0 || qube_op_wait(op, 10000) < 0)
		die(service);
	qube_op_unref(op);
	return now_ns() - start;
}

static uint64_t p5_ours(int i)
{
	(void)i;
	return whole_call(work, "bench.Exec");
}

/* --- P7: a disposable, cold, against bubblewrap --- */

/* Each begins when what the one before left has been cleaned up behind the caller's back. */
static void settle(void)
{
	struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };

	nanosleep(&pause, NULL);
}

static uint64_t p7_ours(int i)
{
	struct qube_domain_create_opts co = { .size = sizeof(co),
					      .flags = QUBE_DOMAIN_CREATE_DISPOSABLE,
					      .template_name = "dvm" };
	qube_domain *d;
	uint64_t start;
	uint64_t t;

	(void)i;
	settle();
	start = now_ns();
	if (qube_domain_create(&d, ctx, &co) < 0)
		die("disposable");
	whole_call(d, "bench.True");
	t = now_ns() - start;
	if (qube_domain_kill(d, NULL) < 0)
		die("kill");
	qube_domain_unref(d);
	return t;
}

static uint64_t p7_yardstick(int i)
{
	uint64_t start;
	pid_t pid;

	(void)i;
	settle();
	start = now_ns();
	pid = vfork();
	if (pid == 0) {
		execlp("bwrap", "bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc",
		       "--dev", "/dev", "true", (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
	return now_ns() - start;
}

/* --- P9: create, against one durable file write --- */

static uint64_t p9_ours(int i)
{
	struct qube_domain_create_opts co = { .size = sizeof(co), .template_name = "base" };
	char name[32];
	qube_domain *d;
	uint64_t start;

	snprintf(name, sizeof(name), "bench-%d", i + 1);
	co.name = name;
	start = now_ns();
	if (qube_domain_create(&d, ctx, &co) < 0)
		die("create");
	start = now_ns() - start;
	if (qube_domain_destroy(d) < 0)
		die("destroy");
	qube_domain_unref(d);
	return start;
}

static uint64_t p9_yardstick(int i)
{
	static char data[4096];
	uint64_t start = now_ns();
	int dir = open(scratch, O_RDONLY | O_DIRECTORY);
	int fd = openat(dir, "new", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	(void)i;
	if (write(fd, data, sizeof(data)) != (ssize_t)sizeof(data) || fsync(fd) < 0 ||
	    renameat(dir, "new", dir, "old") < 0 || fsync(dir) < 0) {
		perror("durable write");
		exit(1);
	}
	close(fd);
	close(dir);
	return now_ns() - start;
}

enum { P5_CALLS = 101, P5_TURNS = 5 };

/* The same program, by hand and in the same qube: vfork, exec, wait. Measured in there. */
static uint64_t p5_yardstick(void)
{
	struct qube_call_opts o = { .size = sizeof(o),
				    .command = "/usr/local/bin/bench-guest spawn 101 /bin/true",
				    .stdin_fd = -1,
				    .stderr_fd = -1 };
	char text[32] = "";
	int out[2];

	if (pipe2(out, O_CLOEXEC) < 0)
		exit(1);
	o.stdout_fd = out[1];
	if (qube_domain_call(work, &o, NULL) < 0)
		die(o.command);
	close(out[1]);
	if (read(out[0], text, sizeof(text) - 1) <= 0)
		die("no answer of bench-guest");
	close(out[0]);
	return strtoull(text, NULL, 10);
}

static void p5(const char *name)
{
	uint64_t ours[P5_TURNS];
	uint64_t yardstick[P5_TURNS];

	for (int turn = -1; turn < P5_TURNS; turn++) {
		uint64_t t[P5_CALLS];

		for (int i = 0; i < P5_CALLS; i++)
			t[i] = p5_ours(i);
		qsort(t, P5_CALLS, sizeof(t[0]), compare);
		if (turn < 0)
			continue; /* to warm up */
		ours[turn] = t[P5_CALLS / 2];
		yardstick[turn] = p5_yardstick();
	}
	qsort(ours, P5_TURNS, sizeof(ours[0]), compare);
	qsort(yardstick, P5_TURNS, sizeof(yardstick[0]), compare);
	printf("%s %llu %llu\n", name, (unsigned long long)ours[P5_TURNS / 2],
	       (unsigned long long)yardstick[P5_TURNS / 2]);
}

static void open_work(const struct qube_ctx_opts *o)
{
	if (qube_ctx_open(&ctx, o) < 0)
		die("open");
	if (qube_domain_open(&work, ctx, "work") < 0)
		die("work");
}

/* This process is the host. */
static int embedded(char **dirs)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;

	o.mode = QUBE_MODE_EMBEDDED;
	o.log_priority = 3;
	o.state_dir = dirs[0];
	o.run_dir = dirs[1];
	o.policy_root = dirs[2];
	o.libexec_dir = dirs[3];
	open_work(&o);
	p5("P5");
	qube_domain_unref(work);
	qube_ctx_unref(ctx);
	return 0;
}

int main(int argc, char **argv)
{
	struct qube_ctx_opts o = QUBE_CTX_OPTS_INIT;
	const char *which = argc > 3 ? argv[3] : "all";
	int all = !strcmp(which, "all");

	if (argc == 6 && !strcmp(argv[1], "--embedded"))
		return embedded(argv + 2);
	if (argc < 3) {
		fprintf(stderr, "usage: bench-host SOCKET SCRATCH [ROW [RAW_SOCKET]]\n"
				"       bench-host --embedded STATE RUN POLICY LIBEXEC\n");
		return 2;
	}
	o.mode = QUBE_MODE_CONNECTED;
	o.socket_path = argv[1];
	scratch = argv[2];
	if (argc > 4)
		snprintf(raw_path, sizeof(raw_path), "%s", argv[4]);
	open_work(&o);
	empty_server();
	if (all || !strcmp(which, "P2"))
		row("P2", 400, p2_ours, p2_yardstick);
	if (all || !strcmp(which, "P4"))
		row("P4", 200, p4_ours, p4_yardstick);
	if (all || !strcmp(which, "P5q"))
		p5("P5q");
	if (all || !strcmp(which, "P7"))
		row("P7", 25, p7_ours, p7_yardstick);
	if (all || !strcmp(which, "P9"))
		row("P9", 40, p9_ours, p9_yardstick);
	qube_domain_unref(work);
	qube_ctx_unref(ctx);
	kill(server, SIGKILL);
	return 0;
}
