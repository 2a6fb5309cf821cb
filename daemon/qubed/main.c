/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qubed: the reference daemon. It holds an embedded host, a listening socket and a libevent loop;
 * all else is the library's. `qubed --broker` is its other half, started by the library, which
 * reads guests' bytes without rights. */
#include "listen.h"
#include "log.h"
#include "common/fleet.h"
#include "common/opts.h"
#include "common/where.h"

#include <qube/broker.h>
#include <qube/qube.h>

#include <errno.h>
#include <event2/event.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STOP_MS = 10000 }; /* for all qubes to stop in order before they are killed */

enum {
	O_HELP,
	O_VERSION,
	O_STATE_DIR,
	O_RUN_DIR,
	O_SOCKET,
	O_POLICY_ROOT,
	O_LIBEXEC_DIR,
	O_DRIVER,
	O_LOG_LEVEL,
	O_FOREGROUND,
	O_BROKER,
	O_BROKER_USER,
	O_KEEP_QUBES,
	O_CGROUP,
	O_N_OPTIONS
};

static const struct cli_optdef defs[O_N_OPTIONS] = {
	[O_HELP] = { "help", 'h', CLI_ARG_NONE, NULL, "tell the options and end" },
	[O_VERSION] = { "version", 0, CLI_ARG_NONE, NULL, "tell the version and end" },
	[O_STATE_DIR] = { "state-dir", 0, CLI_ARG_NEEDED, "DIR", "the store (/var/lib/qube)" },
	[O_RUN_DIR] = { "run-dir", 0, CLI_ARG_NEEDED, "DIR", "runtime files (/run/qube)" },
	[O_SOCKET] = { "socket", 0, CLI_ARG_NEEDED, "PATH", "listen here (RUN-DIR/qubed.sock)" },
	[O_POLICY_ROOT] = { "policy-root", 0, CLI_ARG_NEEDED, "DIR",
			    "folder of policy.d, run.d and legacy" },
	[O_LIBEXEC_DIR] = { "libexec-dir", 0, CLI_ARG_NEEDED, "DIR", "the helper programs" },
	[O_DRIVER] = { "driver", 0, CLI_ARG_NEEDED, "NAME",
		       "what qubes are made of: local (default) or xen" },
	[O_LOG_LEVEL] = { "log-level", 0, CLI_ARG_NEEDED, "LEVEL",
			  "err, warning, notice, info (default) or debug" },
	[O_FOREGROUND] = { "foreground", 0, CLI_ARG_NONE, NULL,
			   "stay in the foreground (always so)" },
	[O_BROKER] = { "broker", 0, CLI_ARG_NONE, NULL, "be the broker (started by qubed itself)" },
	[O_BROKER_USER] = { "broker-user", 0, CLI_ARG_NEEDED, "NAME",
			    "with --broker: become NAME (default: qube-broker, else nobody)" },
	[O_CGROUP] = { "cgroup", 0, CLI_ARG_NEEDED, "PATH", "group for the qubes, of cgroup v2" },
	[O_KEEP_QUBES] = { "keep-qubes", 0, CLI_ARG_NONE, NULL,
			   "at its end leave the qubes running, for the next qubed" },
};

/* How long accepting pauses when descriptors have run out. */
static const struct timeval accept_pause = { 0, 100000 };

struct daemon {
	qube_ctx *ctx;
	struct event_base *base;
	struct event *ready;	/* the context has work */
	struct event *incoming; /* somebody connects */
	struct event *resume;	/* accept again */
	struct event *stop[3];
	struct cli_fleet *down; /* the qubes, on their way down */
	int keep;		/* qubes run on */
	int stopping;
	int failed;
};

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	if (qube_ctx_dispatch(d->ctx, 0) < 0) {
		qubed_log(3, "%s", qube_error_last()->message);
		d->failed = 1;
		event_base_loopbreak(d->base);
	}
}

static void on_incoming(evutil_socket_t listener, short what, void *arg)
{
	struct daemon *d = arg;

	(void)what;
	/* A few at a time: the context's own work must not wait for a flood of connections. */
	for (int i = 0; i < 16; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			    errno == ENOBUFS) {
				qubed_log(4, "cannot accept a connection: %m");
				event_del(d->incoming);
				event_add(d->resume, &accept_pause);
			}
			return;
		}
		if (qube_admin_serve(d->ctx, fd) < 0)
			qubed_log(4, "a connection was refused: %s", qube_error_last()->message);
	}
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	event_add(d->incoming, NULL);
}

static void on_all_down(void *user)
{
	struct daemon *d = user;

	event_base_loopbreak(d->base);
}

static void on_one_down(void *user, const char *name, const struct qube_error *e)
{
	(void)user;
	if (e)
		qubed_log(4, "'%s' did not stop in order: %s", name, e->message);
}

/* The first signal asks every qube to stop; a second one does not wait for them. */
static void on_stop(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;
	struct cli_fleet_opts o = {
		.what = CLI_FLEET_STOP,
		.timeout_ms = STOP_MS,
		.told = on_one_down,
		.done = on_all_down,
		.user = d,
	};

	(void)what;
	if (d->stopping) {
		qubed_log(5, "stopping at once (%s)", strsignal(sig));
		event_base_loopbreak(d->base);
		return;
	}
	qubed_log(5, "stopping (%s)", strsignal(sig));
	d->stopping = 1;
	event_del(d->incoming);
	event_del(d->resume);
	if (d->keep) {
		on_all_down(d);
		return;
	}
	if (cli_fleet_begin(&d->down, d->ctx, &o) <= 0)
		on_all_down(d);
}

static int setup_loop(struct daemon *d, int listener)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

	d->base = event_base_new();
	if (!d->base)
		return -1;
	d->ready = event_new(d->base, qube_ctx_get_fd(d->ctx), EV_READ | EV_PERSIST, on_ready, d);
	d->incoming = event_new(d->base, listener, EV_READ | EV_PERSIST, on_incoming, d);
	d->resume = evtimer_new(d->base, on_resume, d);
	if (!d->ready || !d->incoming || !d->resume || event_add(d->ready, NULL) < 0 ||
	    event_add(d->incoming, NULL) < 0)
		return -1;
	for (size_t i = 0; i < 3; i++) {
		d->stop[i] = evsignal_new(d->base, signals[i], on_stop, d);
		if (!d->stop[i] || event_add(d->stop[i], NULL) < 0)
			return -1;
	}
	return 0;
}

static void free_event(struct event *e)
{
	if (e)
		event_free(e);
}

static void free_loop(struct daemon *d)
{
	free_event(d->ready);
	free_event(d->incoming);
	free_event(d->resume);
	for (size_t i = 0; i < 3; i++)
		free_event(d->stop[i]);
	if (d->base)
		event_base_free(d->base);
}

static int serve(struct daemon *d, int listener, const char *path)
{
	int r = -1;

	if (setup_loop(d, listener) < 0) {
		qubed_log(3, "cannot set up the event loop");
	} else {
		qubed_log(5, "ready at %s", path);
		qubed_notify("READY=1");
		r = event_base_dispatch(d->base) < 0 || d->failed ? -1 : 0;
		qubed_notify("STOPPING=1");
	}
	cli_fleet_free(d->down);
	free_loop(d);
	return r;
}

static const char *value_or(const struct cli_parsed *o, int option, const char *fallback)
{
	return cli_given(o, option) ? o->value[option] : fallback;
}

static int parse_log_level(const char *text)
{
	static const char *const names[] = { "err", "warning", "notice", "info", "debug" };

	for (int i = 0; i < 5; i++)
		if (strcmp(text, names[i]) == 0)
			return 3 + i;
	return -1;
}

static int open_host(struct daemon *d, const struct cli_parsed *o)
{
	struct qube_ctx_opts opts = QUBE_CTX_OPTS_INIT;
	char helpers[4096];
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0) {
		qubed_log(3, "cannot tell which program this is: %m");
		return -1;
	}
	self[n] = '\0';
	cli_where_helpers(helpers, sizeof(helpers));
	opts.mode = QUBE_MODE_EMBEDDED;
	opts.flags = QUBE_CTX_OWN_CGROUP;
	opts.cgroup = value_or(o, O_CGROUP, NULL);
	opts.state_dir = value_or(o, O_STATE_DIR, NULL);
	opts.run_dir = value_or(o, O_RUN_DIR, NULL);
	opts.policy_root = value_or(o, O_POLICY_ROOT, NULL);
	opts.libexec_dir = value_or(o, O_LIBEXEC_DIR, helpers);
	opts.broker_program = self;
	opts.driver = value_or(o, O_DRIVER, NULL);
	d->keep = cli_given(o, O_KEEP_QUBES);
	if (d->keep)
		opts.flags |= QUBE_CTX_KEEP_QUBES;
	opts.log = qubed_log_line;
	opts.log_priority = parse_log_level(value_or(o, O_LOG_LEVEL, "info"));
	if (qube_ctx_open(&d->ctx, &opts) < 0) {
		qubed_log(3, "%s", qube_error_last()->message);
		return -1;
	}
	return 0;
}

static int run_daemon(const struct cli_parsed *o)
{
	struct daemon d = { 0 };
	char path[4096];
	int listener;
	ino_t made = 0;
	bool inherited;
	int n;
	int r;

	n = snprintf(path, sizeof(path), "%s/qubed.sock", value_or(o, O_RUN_DIR, "/run/qube"));
	if (cli_given(o, O_SOCKET))
		n = snprintf(path, sizeof(path), "%s", o->value[O_SOCKET]);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		qubed_log(3, "the path of the socket is too long");
		return 1;
	}
	listener = qubed_listen_inherited(path, sizeof(path));
	inherited = listener >= 0;
	if (listener == -1)
		listener = qubed_listen(path, &made);
	if (listener < 0)
		return 1;
	r = open_host(&d, o);
	if (r == 0)
		r = serve(&d, listener, path);
	/* Nobody can connect any more while qubes are taken down. */
	if (!inherited)
		qubed_unlink(path, made);
	close(listener);
	qube_ctx_unref(d.ctx);
	return r < 0 ? 1 : 0;
}

/* Without a user to become the broker would keep root: refused. */
static int run_broker(const struct cli_parsed *o)
{
	struct qube_broker_opts opts = QUBE_BROKER_OPTS_INIT;
	struct passwd *pw = cli_given(o, O_BROKER_USER) ? getpwnam(o->value[O_BROKER_USER]) :
							  getpwnam("qube-broker");

	if (!pw && !cli_given(o, O_BROKER_USER))
		pw = getpwnam("nobody");
	if (!pw || pw->pw_uid == 0 || pw->pw_gid == 0) {
		qubed_log(3, "no user without rights for the broker");
		return 1;
	}
	opts.uid = pw->pw_uid;
	opts.gid = pw->pw_gid;
	/* Started by descriptor, it has that one's name. */
	prctl(PR_SET_NAME, "qubed");
	if (qube_broker_serve(3, &opts) < 0) {
		qubed_log(3, "broker: %s", qube_error_last()->message);
		return 1;
	}
	return 0;
}

static void print_help(void)
{
	printf("usage: qubed [OPTION...]\n\nThe host of this machine's qubes.\n\n");
	for (int i = 0; i < O_N_OPTIONS; i++)
		printf("  %s--%s%s%-*s  %s\n", defs[i].letter == 'h' ? "-h, " : "    ",
		       defs[i].name, defs[i].metavar ? " " : "",
		       (int)(18 - strlen(defs[i].name)) - (defs[i].metavar ? 1 : 0),
		       defs[i].metavar ? defs[i].metavar : "", defs[i].help);
}

int main(int argc, char **argv)
{
	static struct cli_parsed o;
	struct cli_syntax syntax = { .defs = defs,
				     .n_defs = O_N_OPTIONS,
				     .accepted = (CLI_BITS_ONE << O_N_OPTIONS) - 1 };
	bool bad = cli_parse(&o, &syntax, argc - 1, argv + 1) < 0;

	if (!bad && cli_given(&o, O_HELP)) {
		print_help();
		return 0;
	}
	if (!bad && cli_given(&o, O_VERSION)) {
		printf("qubed %d.%d.%d\n", QUBE_VERSION_MAJOR, QUBE_VERSION_MINOR,
		       QUBE_VERSION_PATCH);
		return 0;
	}
	if (bad || o.n_pos > 0 || parse_log_level(value_or(&o, O_LOG_LEVEL, "info")) < 0) {
		fprintf(stderr, "qubed: %s\n",
			bad	    ? o.error :
			o.n_pos > 0 ? "no arguments are taken, only options" :
				      "no such log level");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	return cli_given(&o, O_BROKER) ? run_broker(&o) : run_daemon(&o);
}
