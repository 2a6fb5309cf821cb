/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A host of two qubes in one process: a core that decides by the service's name, the broker, two
 * agents and the callers in them, all on one loop. */
#ifndef RIG_H
#define RIG_H

#include "base/spawn.h"
#include "event/loop.h"
#include "rpc/agent.h"
#include "rpc/broker.h"
#include "rpc/caller.h"
#include "rpc/proto.h"

#include <stdbool.h>

enum { RIG_LOG = 64, RIG_WAIT_MS = 10000 };

struct rig {
	struct qube__loop loop;
	struct qube__source core;
	struct qube__broker *broker;
	struct qube__agent *agent[2]; /* guests 1 "work" and 2 "vault" */
	int broker_pid;		      /* of rig_jailed, or 0 */
	int broker_status;	      /* after rig_close() */
	char dir[64];
	int sock;
	uint8_t *packet;
	/* What core heard. */
	uint32_t up; /* bit by guest id */
	uint32_t down;
	uint32_t ended;
	uint32_t decides;
	int32_t end_code;
	uint32_t end_flags;
	uint32_t end_origin;
	uint32_t up_calls;
	char end_reason[256];
	char down_reason[256];
	char decide_line[512];
	char host_line[512];
	char host_data[128];
	size_t host_len;
	struct qube__child host_channels[8];
	size_t n_host_channels;
	bool hold; /* answer no DECIDE */
	uint64_t last_request;
	size_t reply_bytes; /* of a host service's answer */
	/* Of the last caller. */
	bool caller_done;
	int32_t caller_code;
};

/* The next rig's broker is a process in its jail. */
extern bool rig_jailed;
/* The next rig's guests are asked which calls they have. */
extern bool rig_tells_calls;

/* The next rig's guests have vchans (over sockets), no descriptors. */
extern bool rig_vchan;

/* NULL in agents: no agent for that guest; its control socket is returned in raw. */
int rig_open(struct rig *r, bool agents, int raw[2], const struct qube__broker_limits *limits);
void rig_close(struct rig *r);
/* Turns the loop until fd can be read, or fails after RIG_WAIT_MS. */
int rig_until_input(struct rig *r, int fd);
/* Turns the loop until *flag, or fails after RIG_WAIT_MS: 0 or -1. */
int rig_until(struct rig *r, const bool *flag);
int rig_until_count(struct rig *r, const uint32_t *count, uint32_t want);
/* A few turns without waiting. */
void rig_turn(struct rig *r, int turns);
/* Writes an executable service for both agents. */
int rig_service(struct rig *r, const char *name, const char *script);
/* Calls from guest `from` (0 or 1); input is written at once, output up to cap - 1 bytes is read.
 */
int rig_call(struct rig *r, int from, const char *service, const char *input, size_t input_len,
	     char *out, size_t cap);
/* The same with an input that is open already; taken. */
int rig_call_from(struct rig *r, int from, const char *service, int in, char *out, size_t cap);
int rig_host_call(struct rig *r, uint32_t guest, const char *command, const char *input, char *out,
		  size_t cap);
/* Runs the loop until fd has nothing more to give (end of file). */
ssize_t rig_slurp(struct rig *r, int fd, char *out, size_t cap);
int rig_send(struct rig *r, const struct qube__rpc_msg *m, const int *fds);

#endif
