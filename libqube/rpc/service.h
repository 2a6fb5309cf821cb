/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an agent is told to run: the command's parts, the service's file, its configuration, and the
 * user from /etc/passwd (a static program has no name service switch). The parsers are pure. */
#ifndef QUBE_RPC_SERVICE_H
#define QUBE_RPC_SERVICE_H

#include "wire/qrexec.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { QUBE__PATH_MAX = 1024, QUBE__USER_MAX = 64, QUBE__GROUPS_MAX = 64 };

/* USER:[nogui:]QUBESRPC NAME[+ARG] SOURCE [TYPE TARGET], or USER:[nogui:]shell command. The views
 * point into the command. */
struct qube__command {
	char user[QUBE__USER_MAX];
	bool is_service;
	bool nogui;
	const char *shell;	/* the command of a legacy call */
	const char *rest;	/* text behind "QUBESRPC " */
	const char *descriptor; /* NAME[+ARG], not terminated */
	size_t descriptor_len;
	char name[QUBE__QREXEC_NAME_MAX + 1];
	const char *argument; /* not terminated */
	size_t argument_len;
	bool has_argument;
	char source[QUBE__QREXEC_TARGET];
	char type[16]; /* "name", "keyword" or "" */
	char target[QUBE__QREXEC_TARGET];
};

/* 0 or QUBE_E_PROTO. */
int qube__command_parse(struct qube__command *out, const char *untrusted_command);

enum qube__service_kind {
	QUBE__SERVICE_EXEC,
	QUBE__SERVICE_SOCKET,
};

struct qube__service_file {
	enum qube__service_kind kind;
	char path[QUBE__PATH_MAX];
};

/* Looks NAME+ARG up in every directory, then NAME. QUBE_E_NOENT (exit 127), QUBE_E_NOTSUP (a TCP
 * service) or another code (exit 125). Sets the record. */
int qube__service_find(struct qube__service_file *out, const char *path_list,
		       const struct qube__command *c);

struct qube__service_config {
	bool wait_for_session;
	bool skip_service_descriptor;
	bool exit_on_client_eof;
	bool exit_on_service_eof;
	bool hand_over_channel; /* a socket service reads and writes the call's pipes itself */
	char force_user[QUBE__USER_MAX]; /* "": as policy says */
	uint32_t unknown;		 /* keys that were not known, and ignored */
};

/* *line: where a refused file is wrong, from 1. 0 or QUBE_E_PROTO. */
int qube__service_config_parse(struct qube__service_config *out, uint32_t *line,
			       const void *untrusted, size_t len);
/* Finds and reads it; all false when there is none. Sets the record. */
int qube__service_config_load(struct qube__service_config *out, const char *path_list,
			      const struct qube__command *c);

struct qube__user {
	uid_t uid;
	gid_t gid;
	gid_t groups[QUBE__GROUPS_MAX];
	size_t n_groups;
	char name[QUBE__USER_MAX];
	char home[256];
	char shell[256];
};

/* Text of passwd: QUBE_E_NOENT if there is no such line, QUBE_E_PROTO if it is malformed. */
int qube__passwd_parse(struct qube__user *out, const char *name, const void *untrusted, size_t len);
/* Text of group: adds the groups that list u->name. More than fit is QUBE_E_LIMIT. */
int qube__group_parse(struct qube__user *u, const void *untrusted, size_t len);
int qube__user_load(struct qube__user *out, const char *name, const char *passwd_file,
		    const char *group_file);

/* The user that was last asked for. All zero: nobody. */
struct qube__user_cache {
	struct qube__user user;
	struct stat files[2]; /* passwd, group, as they were */
	uint64_t seen_ms;     /* when they were first seen so */
	bool sure;	      /* read so long after, that nothing was written since within one tick
			       * of their clock */
};
/* The same without reading files that are what they were. */
int qube__user_find(struct qube__user *out, struct qube__user_cache *cache, const char *name,
		    const char *passwd_file, const char *group_file);

#endif
