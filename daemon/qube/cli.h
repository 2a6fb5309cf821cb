/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The command line program qube: one table of verbs (verbs.c), from which come help, completion and
 * the manual's list. Written against the public headers alone. */
#ifndef QUBE_CLI_H
#define QUBE_CLI_H

#include "json.h"
#include "common/opts.h"

#include <qube/qube.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes; a call's is that of the service. */
enum {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_TIMEOUT = 124,
	CLI_NO_CALL = 125, /* run, call: failed before or beside the service */
	CLI_DENIED = 126,
	CLI_CANCELED = 130,
	CLI_NO_READER = 141 /* what a shell shows for SIGPIPE */
};

/* Options: indexes into cli_optdefs. */
enum {
	O_HELP,
	O_JSON,
	O_QUIET,
	O_COLOR,
	O_SOCKET,
	O_EMBEDDED,
	O_STATE_DIR,
	O_DRIVER,
	O_RUN_DIR,
	O_POLICY_ROOT,
	O_LIBEXEC_DIR,
	O_LOG_LEVEL,
	O_TRACE,
	O_NAMES,
	O_RUNNING,
	O_CLASS,
	O_TEMPLATE,
	O_LABEL,
	O_POOL,
	O_PROPERTY,
	O_FORCE,
	O_OR_KILL,
	O_TIMEOUT,
	O_STATE,
	O_COUNT,
	O_USER,
	O_PTY,
	O_NO_START,
	O_DISPOSABLE,
	O_DETACH,
	O_RESET,
	O_UNSET,
	O_HOST,
	O_INCLUDE,
	O_DRY_RUN,
	O_YES,
	O_PAYLOAD,
	O_STDIN,
	O_MAN,
	O_ALL,
	O_AUTOSTART,
	O_SORT,
	O_INTERVAL,
	O_WATCH,
	O_ONCE,
	O_FOLLOW,
	O_LINES,
	O_PROGRESS,
	O_FROM,
	O_KEY,
	O_SIGNATURE,
	O_UNSIGNED,
	O_DISCARD,
	O_KEEP,
	O_JOBS,
	O_DEBIAN,
	O_MIRROR,
	O_KEYRING,
	O_MAX_SIZE,
	O_N_OPTIONS
};
_Static_assert((int)O_N_OPTIONS <= (int)CLI_OPTS_MAX, "a set has a bit for each option");
#define CLI_BIT(option) (CLI_BITS_ONE << (option))
/* Accepted before and behind every verb. */
#define CLI_GLOBAL                                                                                 \
	(CLI_BIT(O_HELP) | CLI_BIT(O_JSON) | CLI_BIT(O_QUIET) | CLI_BIT(O_COLOR) |                 \
	 CLI_BIT(O_SOCKET) | CLI_BIT(O_EMBEDDED) | CLI_BIT(O_STATE_DIR) | CLI_BIT(O_DRIVER) |      \
	 CLI_BIT(O_RUN_DIR) | CLI_BIT(O_POLICY_ROOT) | CLI_BIT(O_LIBEXEC_DIR) |                    \
	 CLI_BIT(O_LOG_LEVEL) | CLI_BIT(O_PROGRESS))

/* Flags of verbs. */
enum {
	CLI_V_RAW = 1,	  /* parses its own arguments */
	CLI_V_GUESTS = 4, /* can start qubes, also when the host is embedded */
	CLI_V_CALL = 8,	  /* exit codes are the service's; our own failures are CLI_NO_CALL */
	CLI_V_QUBES = 16, /* its arguments are names of qubes (completion) */
	CLI_V_HIDDEN = 32 /* not listed in the overview */
};

struct cli_json;
struct cli_table;

struct cli {
	const struct cli_verb *verb;
	struct cli_parsed o;
	qube_ctx *ctx;
	bool json;
	bool quiet;
	bool plain; /* progress as lines, not as a bar */
	bool color;
	bool out_tty; /* standard output is a terminal */
	bool err_tty;
	int log_priority;
};

struct cli_verb {
	const char *name;    /* one word, or two: "template import" */
	const char *args;    /* what is written behind the options */
	const char *summary; /* one line without a full stop */
	const char *help;    /* sentences for the manual */
	cli_bits options;    /* bits of its own options */
	uint32_t flags;	     /* CLI_V_* */
	int min_pos;
	int max_pos;			   /* -1: any number */
	int (*fn)(struct cli *c);	   /* returns an exit code */
	int (*raw)(int argc, char **argv); /* with CLI_V_RAW; argv[0] is the verb */
};

extern const struct cli_optdef cli_optdefs[];
extern const struct cli_verb cli_verbs[];
extern const size_t cli_n_verbs;
/* The verb called first, or "first second" (second may be NULL); NULL: none. */
const struct cli_verb *cli_verb_find(const char *first, const char *second);
/* first is the first word of verbs of two words. */
bool cli_verb_is_group(const char *first);

/* ctx.c */
/* Opens c->ctx unless it is open; arguments are checked before. 0, or an exit code after the
 * failure was told. */
int cli_ctx_open(struct cli *c);
/* Prints e and returns the exit code that belongs to it. */
int cli_fail(struct cli *c, const struct qube_error *e);
/* The same for this thread's last failure. */
int cli_fail_last(struct cli *c);
/* cmd_look.c: it runs on what its template was before. */
bool cli_restart_needed(qube_domain *d);
/* Its feature local.core-sched is off: other qubes may share its cores at the same time. */
bool cli_any_core(qube_domain *d);
/* A failure of our own, with an exit code. */
int cli_fail_text(struct cli *c, int exit_code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int cli_usage(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "qube: TEXT" on standard error unless --quiet. */
void cli_note(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The qube called name, of a host that is opened if need be; 0, or an exit code after the failure
 * was told. */
int cli_domain(struct cli *c, qube_domain **out, const char *name);
/* The same, but the host itself is refused: it is neither started nor stopped nor called. */
int cli_guest(struct cli *c, qube_domain **out, const char *name);
/* What a list ends with: its table, or the end of its JSON. Returns code, or that memory ran out.
 */
int cli_list_end(struct cli *c, struct cli_json *j, struct cli_table *t, int code);
/* Flushes standard output; a write that failed (a full disk) is a failure. */
int cli_finish_output(struct cli *c, int code);

/* op.c */
struct cli_relay;
struct cli_resize;
struct cli_op_opts {
	const char *title;	   /* of the progress; NULL: no progress is shown */
	bool stages;		   /* tell stages also where there is no terminal */
	bool plan;		   /* tell what will be copied once it is known */
	int64_t timeout_ms;	   /* 0: none */
	bool gone_is_fine;	   /* it is to be taken down, and may have gone by itself */
	struct cli_relay *relay;   /* streams to serve meanwhile; NULL: none */
	struct cli_resize *resize; /* of a terminal inside, to keep at the size of ours */
};
/* Serves the context until the operation is finished. Takes op over. Ctrl-C cancels it, a second
 * one leaves it. 0, or an exit code after the failure was told; out, if not NULL, is set to the
 * operation instead (owned) whenever it finished well. */
int cli_op_run(struct cli *c, qube_op *op, const struct cli_op_opts *opts, qube_op **out);
/* The stages of op, for --trace; name, unless NULL, says whose of several. */
void cli_op_trace(struct cli *c, const char *name, qube_op *op);
/* The signals that ask us to stop, blocked from now on; -1: failed. Restored by close. */
int cli_signals_open(void);
/* The same with one more, unless that is 0. */
int cli_signals_open_with(int extra);
void cli_signals_close(int fd);
/* The signal that came, 0: none. */
int cli_signals_read(int fd);

/* help.c, completion.c */
int cli_help_verb(const struct cli_verb *v);
int cli_help_overview(void);

/* The verbs. */
int cmd_ls(struct cli *c);
int cmd_create(struct cli *c);
int cmd_clone(struct cli *c);
int cmd_rm(struct cli *c);
/* cmd_fleet.c: start --autostart, shutdown --all */
int cli_fleet_autostart(struct cli *c);
int cli_fleet_shutdown(struct cli *c);
int cmd_start(struct cli *c);
int cmd_shutdown(struct cli *c);
int cmd_kill(struct cli *c);
int cmd_pause(struct cli *c);
int cmd_unpause(struct cli *c);
int cmd_console(struct cli *c);
int cmd_copy(struct cli *c);
int cmd_run(struct cli *c);
int cmd_call(struct cli *c);
int cmd_prefs(struct cli *c);
int cmd_defaults(struct cli *c);
int cmd_tags(struct cli *c);
int cmd_features(struct cli *c);
int cmd_notes(struct cli *c);
int cmd_template_import(struct cli *c);
int cmd_template_ls(struct cli *c);
int cmd_events(struct cli *c);
int cmd_logs(struct cli *c);
int cmd_stats(struct cli *c);
int cmd_top(struct cli *c);
int cmd_update(struct cli *c);
int cmd_wait(struct cli *c);
int cmd_doctor(struct cli *c);
int cmd_daemon(int argc, char **argv);
int cmd_volume_ls(struct cli *c);
int cmd_volume_info(struct cli *c);
int cmd_volume_revisions(struct cli *c);
int cmd_volume_revert(struct cli *c);
int cmd_volume_set(struct cli *c);
int cmd_volume_clear(struct cli *c);
int cmd_volume_export(struct cli *c);
int cmd_volume_import(struct cli *c);
int cmd_label_ls(struct cli *c);
int cmd_label_create(struct cli *c);
int cmd_label_rm(struct cli *c);
int cmd_pool_ls(struct cli *c);
int cmd_pool_info(struct cli *c);
int cmd_admin(struct cli *c);
int cmd_completion(struct cli *c);
int cmd_help(struct cli *c);
int cmd_version(struct cli *c);

#endif
