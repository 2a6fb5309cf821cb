/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The smallest host: no daemon, one command in one disposable. Run as root.
 *
 *   tinyqube STATE-DIR LIBEXEC-DIR COMMAND
 *
 * The first run makes a template from this machine's packages; later ones take milliseconds. Output
 * is printed as printable ASCII: a guest's bytes are not for a terminal. */
#include <qube/qube.h>

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int complain(const char *what)
{
	fprintf(stderr, "tinyqube: %s: %s\n", what, qube_error_last()->message);
	return 1;
}

/* 0 at the end of the stream. */
static int print_some(int fd)
{
	unsigned char untrusted[4096];
	ssize_t n = read(fd, untrusted, sizeof(untrusted));

	for (ssize_t i = 0; i < n; i++)
		putchar(untrusted[i] == '\n' || isprint(untrusted[i]) ? untrusted[i] : '_');
	return n != 0;
}

static int run(qube_ctx *ctx, qube_domain *d, const char *command)
{
	struct qube_call_opts call = { .size = sizeof(call), .command = command, .stdin_fd = -1 };
	qube_op *op = NULL;
	int out[2];
	int code;

	if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0)
		return 1;
	call.stdout_fd = call.stderr_fd = out[1];
	if (qube_domain_call(d, &call, &op) < 0)
		return complain("call");
	close(out[1]);
	for (int more = 1; more || qube_op_get_state(op) == QUBE_OP_RUNNING;) {
		struct pollfd fds[] = { { .fd = qube_ctx_get_fd(ctx), .events = POLLIN },
					{ .fd = more ? out[0] : -1, .events = POLLIN } };

		if (poll(fds, 2, -1) < 0)
			break;
		if (fds[1].revents)
			more = print_some(out[0]);
		if (qube_ctx_dispatch(ctx, 0) < 0)
			break;
	}
	close(out[0]);
	code = qube_op_wait(op, 0) < 0 ? complain("call") : qube_op_get_exit_code(op);
	qube_op_unref(op);
	return code;
}

/* The template "tiny", imported if it is not there, and an AppVM of it that disposables copy. */
static int prepare(qube_ctx *ctx)
{
	struct qube_template_import_opts import = { .size = sizeof(import),
						    .flags = QUBE_TEMPLATE_IMPORT_HOST,
						    .name = "tiny" };
	struct qube_domain_create_opts create = { .size = sizeof(create),
						  .name = "tiny-dvm",
						  .template_name = "tiny" };
	qube_domain *d = NULL;
	int r;

	if (qube_domain_open(&d, ctx, "tiny") < 0 && qube_template_import(ctx, &import, NULL) < 0)
		return -1;
	qube_domain_unref(d);
	d = NULL;
	if (qube_domain_open(&d, ctx, create.name) < 0 && qube_domain_create(&d, ctx, &create) < 0)
		return -1;
	r = qube_domain_property_set(d, "template_for_dispvms", "True");
	qube_domain_unref(d);
	return r;
}

int main(int argc, char **argv)
{
	struct qube_ctx_opts opts = QUBE_CTX_OPTS_INIT;
	struct qube_domain_create_opts create = { .size = sizeof(create),
						  .flags = QUBE_DOMAIN_CREATE_DISPOSABLE,
						  .template_name = "tiny-dvm" };
	char run_dir[4096];
	qube_ctx *ctx = NULL;
	qube_domain *d = NULL;
	int code;

	if (argc != 4) {
		fprintf(stderr, "usage: tinyqube STATE-DIR LIBEXEC-DIR COMMAND\n");
		return 2;
	}
	mkdir(argv[1], 0700); /* it may be there; if it cannot be made, opening says so */
	snprintf(run_dir, sizeof(run_dir), "%s/run", argv[1]);
	opts.state_dir = argv[1];
	opts.run_dir = run_dir;
	opts.libexec_dir = argv[2];
	if (qube_ctx_open(&ctx, &opts) < 0)
		return complain("open");
	if (prepare(ctx) < 0 || qube_domain_create(&d, ctx, &create) < 0)
		code = complain("create");
	else
		code = run(ctx, d, argv[3]);
	/* A disposable is removed when it stops. */
	if (d && qube_domain_get_state(d) == QUBE_STATE_RUNNING && qube_domain_kill(d, NULL) < 0)
		code = complain("kill");
	qube_domain_unref(d);
	qube_ctx_unref(ctx);
	return code;
}
