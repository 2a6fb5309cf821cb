/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The two tables: options and verbs. A new verb is a row here and a function; help, completion and
 * the manual (qube help --man) follow. */
#include "cli.h"
#include "policy_cmd.h"

#include <string.h>

const struct cli_optdef cli_optdefs[O_N_OPTIONS] = {
	[O_HELP] = { "help", 'h', CLI_ARG_NONE, NULL, "tell what the verb does and end" },
	[O_JSON] = { "json", 0, CLI_ARG_NONE, NULL, "write JSON, errors too" },
	[O_QUIET] = { "quiet", 'q', CLI_ARG_NONE, NULL, "no progress and no notes" },
	[O_COLOR] = { "color", 0, CLI_ARG_NEEDED, "auto|never", "colours on a terminal" },
	[O_SOCKET] = { "socket", 0, CLI_ARG_NEEDED, "PATH", "socket of the qubed to talk to" },
	[O_EMBEDDED] = { "embedded", 0, CLI_ARG_NONE, NULL,
			 "be the host in this process, without a qubed" },
	[O_DRIVER] = { "driver", 0, CLI_ARG_NEEDED, "NAME",
		       "with --embedded: what qubes are made of: local (default) or xen" },
	[O_STATE_DIR] = { "state-dir", 0, CLI_ARG_NEEDED, "DIR", "with --embedded: the store" },
	[O_RUN_DIR] = { "run-dir", 0, CLI_ARG_NEEDED, "DIR", "with --embedded: runtime files" },
	[O_POLICY_ROOT] = { "policy-root", 0, CLI_ARG_NEEDED, "DIR",
			    "with --embedded: folder of policy.d, run.d and legacy" },
	[O_LIBEXEC_DIR] = { "libexec-dir", 0, CLI_ARG_NEEDED, "DIR",
			    "with --embedded: the helper programs" },
	[O_LOG_LEVEL] = { "log-level", 0, CLI_ARG_NEEDED, "LEVEL",
			  "err, warning (default), notice, info or debug" },
	[O_TRACE] = { "trace", 0, CLI_ARG_NONE, NULL, "tell how long each stage took" },
	[O_NAMES] = { "names", 0, CLI_ARG_NONE, NULL, "names only, one a line" },
	[O_RUNNING] = { "running", 0, CLI_ARG_NONE, NULL, "only those that are not halted" },
	[O_CLASS] = { "class", 0, CLI_ARG_NEEDED, "CLASS",
		      "AppVM, TemplateVM, StandaloneVM or DispVM" },
	[O_TEMPLATE] = { "template", 0, CLI_ARG_NEEDED, "NAME", "template to share the root of" },
	[O_LABEL] = { "label", 0, CLI_ARG_NEEDED, "COLOUR", "label" },
	[O_POOL] = { "pool", 0, CLI_ARG_NEEDED, "NAME", "pool of its volumes" },
	[O_PROPERTY] = { "property", 'p', CLI_ARG_NEEDED, "NAME=VALUE",
			 "set a property; may be repeated" },
	[O_FORCE] = { "force", 'f', CLI_ARG_NONE, NULL,
		      "even if paused or serving others; of cp: replace what is there" },
	[O_OR_KILL] = { "or-kill", 0, CLI_ARG_NONE, NULL, "kill it when the time is up" },
	[O_TIMEOUT] = { "timeout", 0, CLI_ARG_NEEDED, "SECONDS", "give up after that time" },
	[O_STATE] = { "state", 0, CLI_ARG_NEEDED, "STATE", "running, halted, paused, ..." },
	[O_COUNT] = { "count", 0, CLI_ARG_NEEDED, "N", "end after N" },
	[O_USER] = { "user", 'u', CLI_ARG_NEEDED, "NAME",
		     "user inside; default: its default_user" },
	[O_PTY] = { "pty", 't', CLI_ARG_NONE, NULL, "give the command a terminal" },
	[O_NO_START] = { "no-start", 0, CLI_ARG_NONE, NULL, "fail if it does not run" },
	[O_DISPOSABLE] = { "disposable", 0, CLI_ARG_MAYBE, "TEMPLATE",
			   "in a new disposable, removed afterwards" },
	[O_DETACH] = { "detach", 'd', CLI_ARG_NONE, NULL, "do not wait; no input and no output" },
	[O_RESET] = { "reset", 0, CLI_ARG_NEEDED, "NAME", "give the property its default again" },
	[O_UNSET] = { "unset", 0, CLI_ARG_NEEDED, "NAME", "remove the feature" },
	[O_HOST] = { "host", 0, CLI_ARG_NONE, NULL,
		     "from the Debian packages of this machine (the default)" },
	[O_INCLUDE] = { "include", 0, CLI_ARG_NEEDED, "PACKAGES",
			"more packages, separated by commas" },
	[O_DRY_RUN] = { "dry-run", 'n', CLI_ARG_NONE, NULL,
			"tell what would be copied, copy nothing" },
	[O_YES] = { "yes", 'y', CLI_ARG_NONE, NULL, "do not ask" },
	[O_PAYLOAD] = { "payload", 0, CLI_ARG_NEEDED, "TEXT", "payload of the request" },
	[O_STDIN] = { "stdin", 0, CLI_ARG_NONE, NULL, "payload from standard input" },
	[O_ALL] = { "all", 0, CLI_ARG_NONE, NULL, "every qube that runs" },
	[O_AUTOSTART] = { "autostart", 0, CLI_ARG_NONE, NULL,
			  "those whose property autostart says so" },
	[O_FROM] = { "from", 0, CLI_ARG_NEEDED, "PATH",
		     "a tar file, the directory of an OCI image; of update: a folder of packages" },
	[O_KEY] = { "key", 0, CLI_ARG_NEEDED, "FILE", "public key of minisign it is signed by" },
	[O_SIGNATURE] = { "signature", 0, CLI_ARG_NEEDED, "FILE", "its signature (PATH.minisig)" },
	[O_UNSIGNED] = { "unsigned", 0, CLI_ARG_NONE, NULL, "trust it though nobody signed it" },
	[O_DISCARD] = { "discard", 0, CLI_ARG_NONE, NULL,
			"throw away what is written to its root" },
	[O_KEEP] = { "keep", 0, CLI_ARG_NONE, NULL, "keep it after all" },
	[O_JOBS] = { "jobs", 'j', CLI_ARG_NEEDED, "N", "so many at a time; default: 2" },
	[O_DEBIAN] = { "debian", 0, CLI_ARG_MAYBE, "SUITE",
		       "from Debian's archive, by mmdebstrap; default: stable" },
	[O_MIRROR] = { "mirror", 0, CLI_ARG_NEEDED, "URL", "of that archive, or of another" },
	[O_KEYRING] = { "keyring", 0, CLI_ARG_NEEDED, "FILE",
			"of those who sign the archive; default: apt's" },
	[O_MAX_SIZE] = { "max-size", 0, CLI_ARG_NEEDED, "SIZE",
			 "refuse to take more than that out of a qube" },
	[O_MAN] = { "man", 0, CLI_ARG_NONE, NULL, "the verbs as a section of the manual page" },
	[O_SORT] = { "sort", 0, CLI_ARG_NEEDED, "COLUMN", "cpu, memory, name, pids or uptime" },
	[O_INTERVAL] = { "interval", 0, CLI_ARG_NEEDED, "SECONDS",
			 "time between two readings; default: 2" },
	[O_WATCH] = { "watch", 0, CLI_ARG_NONE, NULL, "again and again, until interrupted" },
	[O_ONCE] = { "once", 0, CLI_ARG_NONE, NULL, "one screen, also where there is no terminal" },
	[O_FOLLOW] = { "follow", 0, CLI_ARG_NONE, NULL, "go on until interrupted" },
	[O_PROGRESS] = { "progress", 0, CLI_ARG_NEEDED, "auto|plain",
			 "how far long work is: a bar on a terminal, or lines anywhere" },
	[O_LINES] = { "lines", 0, CLI_ARG_NEEDED, "N", "the last N lines only" },
};

#define CALL_OPTIONS                                                                               \
	(CLI_BIT(O_USER) | CLI_BIT(O_NO_START) | CLI_BIT(O_DISPOSABLE) | CLI_BIT(O_TRACE))

const struct cli_verb cli_verbs[] = {
	{ "ls", "[QUBE...]", "list qubes",
	  "Shows name, state, class, label, template and how isolated each one is: hypervisor or "
	  "kernel-shared, and what weakens it: userns, new-privs and any-core. "
	  "A qube that runs on what its "
	  "template was before has \"restart needed\" behind its state. What a running qube's "
	  "definition asks for and this machine does not enforce is listed too.",
	  CLI_BIT(O_NAMES) | CLI_BIT(O_RUNNING) | CLI_BIT(O_CLASS), CLI_V_QUBES, 0, -1, cmd_ls,
	  NULL },
	{ "create", "[NAME]", "create a qube",
	  "Without --class an AppVM. A StandaloneVM begins with the root of --template, or else "
	  "with an empty one, to be filled by volume import. "
	  "With --disposable NAME is left out: the new disposable is "
	  "removed when it stops, and its name is printed. A property that is refused undoes the "
	  "creation.",
	  CLI_BIT(O_CLASS) | CLI_BIT(O_TEMPLATE) | CLI_BIT(O_LABEL) | CLI_BIT(O_POOL) |
		  CLI_BIT(O_PROPERTY) | CLI_BIT(O_DISPOSABLE),
	  0, 0, 1, cmd_create, NULL },
	{ "clone", "QUBE NEW", "make a copy of a halted qube", "Settings and volumes are copied.",
	  CLI_BIT(O_TRACE), CLI_V_QUBES, 2, 2, cmd_clone, NULL },
	{ "rm", "QUBE...", "remove halted qubes and their volumes for good",
	  "Refused while another qube or a default refers to it.", 0, CLI_V_QUBES, 1, -1, cmd_rm,
	  NULL },
	{ "start", "QUBE...", "start qubes",
	  "Done when their agents answer. Starting a running qube succeeds at once. --autostart, "
	  "instead of names, is for the start of the machine: eight at a time, who serves others "
	  "first; one that fails does not keep the rest from starting. With --discard what is "
	  "written to the root of a template or standalone is thrown away when it ends, however "
	  "it ends, unless shutdown --keep ends it; its /rw, with /home and /usr/local, is kept.",
	  CLI_BIT(O_TRACE) | CLI_BIT(O_AUTOSTART) | CLI_BIT(O_DISCARD), CLI_V_GUESTS | CLI_V_QUBES,
	  0, -1, cmd_start, NULL },
	{ "shutdown", "QUBE...", "ask qubes to stop",
	  "Done when they are gone and their volumes are settled. Without --timeout the qube's "
	  "property shutdown_timeout counts; --timeout 0 waits for ever. --all, instead of names, "
	  "stops whatever runs, who serves others last; what has not stopped after --timeout "
	  "(60 seconds for all of them) is killed. --keep keeps what was written after "
	  "start --discard.",
	  CLI_BIT(O_TRACE) | CLI_BIT(O_FORCE) | CLI_BIT(O_OR_KILL) | CLI_BIT(O_TIMEOUT) |
		  CLI_BIT(O_ALL) | CLI_BIT(O_KEEP),
	  CLI_V_GUESTS | CLI_V_QUBES, 0, -1, cmd_shutdown, NULL },
	{ "kill", "QUBE...", "stop qubes without asking them", "", CLI_BIT(O_TRACE),
	  CLI_V_GUESTS | CLI_V_QUBES, 1, -1, cmd_kill, NULL },
	{ "pause", "QUBE...", "freeze running qubes", "", 0, CLI_V_GUESTS | CLI_V_QUBES, 1, -1,
	  cmd_pause, NULL },
	{ "unpause", "QUBE...", "let frozen qubes go on", "", 0, CLI_V_GUESTS | CLI_V_QUBES, 1, -1,
	  cmd_unpause, NULL },
	{ "run", "QUBE -- COMMAND [ARGUMENT...]", "run a command in a qube",
	  "A single COMMAND is handed to the shell as it is; several words reach it quoted, one "
	  "argument each. With --disposable QUBE is left out. The qube is started if it is halted. "
	  "Input, output and errors are this program's; what goes to a terminal is filtered, see "
	  "TERMINALS. The exit status is the command's.",
	  CALL_OPTIONS | CLI_BIT(O_PTY) | CLI_BIT(O_DETACH),
	  CLI_V_GUESTS | CLI_V_CALL | CLI_V_QUBES, 1, -1, cmd_run, NULL },
	{ "console", "QUBE", "open a shell with a terminal in a qube",
	  "The login shell of the qube's default user, or of --user, on a terminal of its own "
	  "inside; the qube is started if it is halted. It is what run --pty gives to a command: "
	  "it follows the size of ours, and what the qube writes is filtered, so that it draws and "
	  "does no more. Ctrl-] three "
	  "times in a row leaves, and hangs up what runs on that terminal. A local qube has no "
	  "serial console: while its agent does not answer there is none, and what it says "
	  "then is in qube logs. The exit status is that of the shell, 0 after leaving, or 125 if "
	  "there was none.",
	  CLI_BIT(O_USER) | CLI_BIT(O_NO_START), CLI_V_GUESTS | CLI_V_CALL | CLI_V_QUBES, 1, 1,
	  cmd_console, NULL },
	{ "cp", "SOURCE... TARGET", "copy files and directories into a qube or out of it",
	  "One side is QUBE:PATH, where PATH without a slash in front begins at the user's home; "
	  "the other is a path of the host (./a:b, if its name has a colon). Directories are "
	  "copied with what is in them. If TARGET is a directory the copy is made in it, else it "
	  "gets that name. What is there already is not touched: it is an error, unless --force "
	  "replaces files by files and joins directories. A copy is there whole, or not at all. "
	  "It belongs to who runs this, or to the user inside; others may not write to it, and it "
	  "is never setuid. Symbolic links come along if they lead to what is copied with them; "
	  "other links, sockets, pipes and devices are left out, which is told, and the exit "
	  "status is 1. What a qube sends is hostile: it is taken apart in a jail, and what is no "
	  "stream of files, or has a name that leads elsewhere, is refused. Nothing is copied from "
	  "qube to qube: that is for the policy to allow.",
	  CLI_BIT(O_USER) | CLI_BIT(O_NO_START) | CLI_BIT(O_FORCE) | CLI_BIT(O_MAX_SIZE) |
		  CLI_BIT(O_TRACE),
	  CLI_V_GUESTS, 2, -1, cmd_copy, NULL },
	{ "call", "QUBE SERVICE[+ARGUMENT]", "call a service of a qube",
	  "As run, but a service by its name: this is the host calling, so no policy is asked. "
	  "With --disposable QUBE is left out.",
	  CALL_OPTIONS, CLI_V_GUESTS | CLI_V_CALL | CLI_V_QUBES, 1, 2, cmd_call, NULL },
	{ "prefs", "QUBE [NAME [VALUE]]", "show or set properties",
	  "A value that nobody set is marked as a default. An empty VALUE is none for a property "
	  "that names a qube.",
	  CLI_BIT(O_RESET), CLI_V_QUBES, 1, 3, cmd_prefs, NULL },
	{ "defaults", "[NAME [VALUE]]", "show or set what qubes have that say nothing else",
	  "Properties of the host as a whole: default_template, default_dispvm, default_netvm and "
	  "others. An empty VALUE is none for one that names a qube. What changes for whom is told "
	  "by events.",
	  CLI_BIT(O_RESET), 0, 0, 2, cmd_defaults, NULL },
	{ "tags", "QUBE [add|rm TAG...]", "show, add or remove tags", "", 0, CLI_V_QUBES, 1, -1,
	  cmd_tags, NULL },
	{ "features", "QUBE [NAME [VALUE]]", "show or set features",
	  "An empty VALUE is false, any other is true. A local qube has its limits from the "
	  "properties memory, maxmem and vcpus, from the size of its volume volatile, and from "
	  "the features local.pids-max (processes), local.io-read-max and local.io-write-max "
	  "(bytes a second on the disk of its volumes; K, M or G may follow the number). Where a "
	  "core has several threads no other qube runs on it at the same time, unless the "
	  "feature local.core-sched is off. One whose feature qrexec is off has no agent: it is "
	  "not waited for when it starts, and cannot be called. With a "
	  "maxmem above its memory it may use, each second anew, what it needs and others do not, "
	  "at least the one and at most the other; a maxmem of 0 leaves it at its memory.",
	  CLI_BIT(O_UNSET), CLI_V_QUBES, 1, 3, cmd_features, NULL },
	{ "notes", "QUBE [TEXT]", "show or set what is noted about a qube",
	  "TEXT is UTF-8, at most 256000 bytes, or about 65000 over a socket; - reads it from "
	  "standard input, an empty one is none. Characters that could act on a terminal, or hide "
	  "or reorder text, are replaced by _.",
	  0, CLI_V_QUBES, 1, 2, cmd_notes, NULL },
	{ "template ls", "", "list templates", "", CLI_BIT(O_NAMES), 0, 0, 0, cmd_template_ls,
	  NULL },
	{ "template import", "NAME", "make a template: from packages or an archive",
	  "Copies files of the installed Debian packages that a template needs and of those named "
	  "by --include, with what they depend on. No configuration, home, key or state of the "
	  "host comes along. What will be copied is told first; on a terminal more than 2 GiB is "
	  "asked about. --from unpacks a root file system instead: a tar file, packed by gzip, "
	  "bzip2, xz or zstd or not at all, or a directory in the layout of the OCI, whose "
	  "layers for this machine are laid over each other. It must be signed by the key of "
	  "--key, the index.json of an image for all of it; the signature is verified before "
	  "anything is read. --unsigned says that there is none. --debian has mmdebstrap make a "
	  "minimal system of a suite of Debian, with the packages of --include, and imports that; "
	  "with --mirror and --keyring one of another distribution that is made like it. "
	  "mmdebstrap verifies the archive's signatures, so its result is imported as it is; "
	  "scripts of the distribution's packages run meanwhile with the rights of this program.",
	  CLI_BIT(O_DEBIAN) | CLI_BIT(O_MIRROR) | CLI_BIT(O_KEYRING) | CLI_BIT(O_FROM) |
		  CLI_BIT(O_KEY) | CLI_BIT(O_SIGNATURE) | CLI_BIT(O_UNSIGNED) | CLI_BIT(O_HOST) |
		  CLI_BIT(O_INCLUDE) | CLI_BIT(O_LABEL) | CLI_BIT(O_POOL) | CLI_BIT(O_DRY_RUN) |
		  CLI_BIT(O_YES) | CLI_BIT(O_TRACE),
	  0, 1, 1, cmd_template_import, NULL },
	{ "update", "[TEMPLATE...]", "install newer packages in templates",
	  "Without names in all templates and standalones. --from is a folder of packages (.deb, "
	  ".rpm) that serves as mirror, as qubes have no network. It must have a file SHA256SUMS, "
	  "as sha256sum writes it, with SHA256SUMS.minisig by the key of --key; the signature, and "
	  "every package by its line, is verified before anything starts. --unsigned says that "
	  "there is none. Each template is started and gets the packages; its own apt-get, dpkg or "
	  "rpm installs those that are newer than what it has. Only if its database of packages "
	  "has them then, they are kept; else whatever was written to its root is thrown away, "
	  "and what is in /home and /usr/local stays. A template that runs is left alone. The "
	  "status of each is told: 0 updated, 100 nothing newer, 124 not done after --timeout, "
	  "else that of its package manager. "
	  "In the end those qubes are told that run on an older state of their template. The exit "
	  "status is 1 if any failed, 126 if the signature does not fit.",
	  CLI_BIT(O_TRACE) | CLI_BIT(O_FROM) | CLI_BIT(O_KEY) | CLI_BIT(O_UNSIGNED) |
		  CLI_BIT(O_JOBS) | CLI_BIT(O_TIMEOUT),
	  CLI_V_GUESTS | CLI_V_QUBES, 0, -1, cmd_update, NULL },
	{ "policy check", "[OPTION...]", "ask a policy what it would decide, or check its syntax",
	  "Works on a folder of policy files, without a host. Its options are told by "
	  "qube policy check --help. The exit status is 0 for allow, 1 for deny, 2 for a usage "
	  "error, 3 for ask and 4 for a policy that cannot be used.",
	  0, CLI_V_RAW, 0, -1, NULL, cli_policy },
	{ "policy explain", "[OPTION...]", "tell why a policy decides as it does",
	  "Names the deciding rule with its file and line, and why each nearer rule did not match. "
	  "Options and exit status as of policy check.",
	  0, CLI_V_RAW, 0, -1, NULL, cli_policy },
	{ "policy graph", "[OPTION...]", "tell which qube can reach which, and by which rule",
	  "Every qube, every service that a rule names and every target is decided by the policy "
	  "itself; what is allowed, or asked for, is written as text, JSON, for graphviz, or as "
	  "a picture (SVG, which needs its program dot). Its options are told by "
	  "qube policy graph --help.",
	  0, CLI_V_RAW, 0, -1, NULL, cli_policy },
	{ "events", "[QUBE...]", "follow what happens on the host",
	  "One line an event, or one JSON object a line, until interrupted. With names only what "
	  "concerns those qubes. When the host goes away the exit status is 1; with --follow it is "
	  "waited for, and what happened meanwhile is missing.",
	  CLI_BIT(O_FOLLOW) | CLI_BIT(O_COUNT), CLI_V_QUBES, 0, -1, cmd_events, NULL },
	{ "logs", "QUBE", "show the end of a qube's log",
	  "With --follow what is added is shown as it comes; with --json it is one object a line "
	  "then.",
	  CLI_BIT(O_FOLLOW) | CLI_BIT(O_LINES), CLI_V_QUBES, 1, 1, cmd_logs, NULL },
	{ "stats", "[QUBE...]", "tell what running qubes use",
	  "Processor time in percent of one processor, measured over half a second; memory; "
	  "processes. A memory with ~ before it is what its processes have of their own, where "
	  "the machine does not account memory. TARGET is the memory that it may use now: between "
	  "its properties memory and maxmem, as it and others need it. "
	  "What is not known is - here and null in JSON.",
	  CLI_BIT(O_SORT) | CLI_BIT(O_WATCH) | CLI_BIT(O_INTERVAL), CLI_V_QUBES, 0, -1, cmd_stats,
	  NULL },
	{ "top", "[QUBE...]", "watch what running qubes use",
	  "The columns of stats on a screen that is kept up to date. The keys c, m, p, n and t "
	  "sort by processor, memory, processes, name and uptime; q ends it.",
	  CLI_BIT(O_SORT) | CLI_BIT(O_INTERVAL) | CLI_BIT(O_ONCE), CLI_V_QUBES, 0, -1, cmd_top,
	  NULL },
	{ "wait", "QUBE", "wait until a qube is in a state",
	  "Without --state until it is running. The exit status is 124 when the time was up.",
	  CLI_BIT(O_STATE) | CLI_BIT(O_TIMEOUT), CLI_V_QUBES, 1, 1, cmd_wait, NULL },
	{ "doctor", "", "tell what this machine can do",
	  "One line a check. The exit status is 1 if qubes cannot run here. With --socket the "
	  "host behind it looks, with its own rights, and at its pools too.",
	  0, 0, 0, 0, cmd_doctor, NULL },
	{ "volume ls", "QUBE", "list the volumes of a qube", "", 0, CLI_V_QUBES, 1, 1,
	  cmd_volume_ls, NULL },
	{ "volume info", "QUBE VOLUME", "what a volume says of itself",
	  "With what it takes on disk; what it shares with others counts in full.", 0, CLI_V_QUBES,
	  2, 2, cmd_volume_info, NULL },
	{ "volume revisions", "QUBE VOLUME", "list the old states of a volume, oldest first",
	  "The pool tree keeps those of the roots of templates and standalone qubes.", 0,
	  CLI_V_QUBES, 2, 2, cmd_volume_revisions, NULL },
	{ "volume revert", "QUBE VOLUME [REVISION]", "make an old state the current one",
	  "REVISION is as listed, or its number alone; left out, it is the newest old one. The "
	  "state that is left becomes an old one, so a second revert undoes the first. Qubes that "
	  "run on a template keep what they have until they are started again.",
	  0, CLI_V_QUBES, 2, 3, cmd_volume_revert, NULL },
	{ "volume set", "QUBE VOLUME KEY VALUE", "change a setting of a volume",
	  "KEY is size (bytes, or with K, M, G or T behind the number), revisions_to_keep, rw or "
	  "ephemeral (True or False; the qube must be halted). A size is enforced for volatile "
	  "volumes; of others it is listed as not enforced while the qube runs.",
	  0, CLI_V_QUBES, 4, 4, cmd_volume_set, NULL },
	{ "volume clear", "QUBE VOLUME", "make a volume empty",
	  "The old state of a root becomes a revision; what was in another volume is gone for "
	  "good.",
	  CLI_BIT(O_YES), CLI_V_QUBES, 2, 2, cmd_volume_clear, NULL },
	{ "volume export", "QUBE VOLUME [FILE]", "write a volume as a tar file or an image",
	  "To standard output if FILE is left out or -. What goes out is the state that was last "
	  "committed; a private volume is read while its qube is halted. Of a volume that is "
	  "a tree a tar file, without sockets, pipes and devices; of one that is a disk the "
	  "raw image.",
	  CLI_BIT(O_TRACE), CLI_V_QUBES, 2, 3, cmd_volume_export, NULL },
	{ "volume import", "QUBE VOLUME [FILE]",
	  "replace what is in a volume by a tar file or an image",
	  "From standard input if FILE is left out or -. At once or not at all: a file that is "
	  "damaged, cut off, or has an entry that could leave the volume changes nothing. A "
	  "volume that is a disk takes a raw image, of whole sectors of 512 bytes; no other "
	  "format is looked for.",
	  CLI_BIT(O_TRACE), CLI_V_QUBES, 2, 3, cmd_volume_import, NULL },
	{ "label ls", "", "list labels", "", 0, 0, 0, 0, cmd_label_ls, NULL },
	{ "label create", "NAME 0xRRGGBB", "make a label",
	  "NAME has letters, digits, _, - and ., and is no number.", 0, 0, 2, 2, cmd_label_create,
	  NULL },
	{ "label rm", "NAME", "remove a label",
	  "Refused while a qube has it, and of the eight that are built in.", 0, 0, 1, 1,
	  cmd_label_rm, NULL },
	{ "pool ls", "", "list pools", "", 0, 0, 0, 0, cmd_pool_ls, NULL },
	{ "pool info", "POOL", "what a pool says of itself", "", 0, 0, 1, 1, cmd_pool_info, NULL },
	{ "admin", "METHOD [DESTINATION [ARGUMENT]]", "make one request of the Admin API",
	  "Prints the content of the answer as it is; DESTINATION is dom0 if left out.",
	  CLI_BIT(O_PAYLOAD) | CLI_BIT(O_STDIN), 0, 1, 3, cmd_admin, NULL },
	{ "daemon", "[OPTION...]", "become qubed, see qubed(8)", "", 0, CLI_V_RAW, 0, -1, NULL,
	  cmd_daemon },
	{ "completion", "bash|zsh", "print a completion script for a shell", "", 0, 0, 1, 1,
	  cmd_completion, NULL },
	{ "help", "[VERB]", "tell what a verb does", "", CLI_BIT(O_MAN), 0, 0, 2, cmd_help, NULL },
	{ "version", "", "print the versions of program and library", "", 0, 0, 0, 0, cmd_version,
	  NULL },
};
const size_t cli_n_verbs = sizeof(cli_verbs) / sizeof(cli_verbs[0]);

const struct cli_verb *cli_verb_find(const char *first, const char *second)
{
	for (size_t i = 0; i < cli_n_verbs; i++) {
		const char *name = cli_verbs[i].name;
		size_t len = strlen(first);

		if (!second && strcmp(name, first) == 0)
			return &cli_verbs[i];
		if (second && strncmp(name, first, len) == 0 && name[len] == ' ' &&
		    strcmp(name + len + 1, second) == 0)
			return &cli_verbs[i];
	}
	return NULL;
}

bool cli_verb_is_group(const char *first)
{
	size_t len = strlen(first);

	for (size_t i = 0; i < cli_n_verbs; i++)
		if (strncmp(cli_verbs[i].name, first, len) == 0 && cli_verbs[i].name[len] == ' ')
			return true;
	return false;
}
