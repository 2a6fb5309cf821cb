/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The messages of qrexec (specs: framing, handshakes, triggers, data channel): constants, one pure
 * parser and one encoder for each payload, and the table of who may send what when. All input is
 * untrusted. Parsers take the payload without its header; strings in results are views into it. */
#ifndef QUBE_WIRE_QREXEC_H
#define QUBE_WIRE_QREXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	QUBE__QREXEC_DATA_STDIN = 0x190,
	QUBE__QREXEC_DATA_STDOUT = 0x191,
	QUBE__QREXEC_DATA_STDERR = 0x192,
	QUBE__QREXEC_DATA_EXIT_CODE = 0x193,
	QUBE__QREXEC_EXEC_CMDLINE = 0x200,
	QUBE__QREXEC_JUST_EXEC = 0x201,
	QUBE__QREXEC_SERVICE_CONNECT = 0x202,
	QUBE__QREXEC_SERVICE_REFUSED = 0x203,
	QUBE__QREXEC_TRIGGER_SERVICE = 0x210,
	QUBE__QREXEC_CONNECTION_TERMINATED = 0x211,
	QUBE__QREXEC_TRIGGER_SERVICE3 = 0x212,
	QUBE__QREXEC_TRIGGER_SERVICE4 = 0x213,
	QUBE__QREXEC_HELLO = 0x300,
	/* Ours: a host that comes later asks which calls are under way. Sent to our own agents
	   only. */
	QUBE__QREXEC_CALLS_ASK = 0x7101,
	QUBE__QREXEC_CALLS = 0x7102, /* domain, port each; port with CALLER: this qube called */
	/* Ours too: as EXEC_CMDLINE and SERVICE_CONNECT, of a call whose input is plain (below). */
	QUBE__QREXEC_EXEC_PLAIN = 0x7103,
	QUBE__QREXEC_CONNECT_PLAIN = 0x7104,
	/* Of an executor of such a call, instead of its first frame: what follows is plain, too. */
	QUBE__QREXEC_DATA_PLAIN = 0x7105,
	/* Ours: that domain is no more, which no channel to it tells. The port is 0. */
	QUBE__QREXEC_PEER_GONE = 0x7106,
};

enum {
	QUBE__QREXEC_VERSION = 4,
	QUBE__QREXEC_VERSION_MIN = 2,
	QUBE__QREXEC_HEADER = 8,
	QUBE__QREXEC_CHUNK_V2 = 4096,
	QUBE__QREXEC_CHUNK = 65536,	 /* version 3 and newer */
	QUBE__QREXEC_PARAMS = 8,	 /* exec_params without its command */
	QUBE__QREXEC_PARAMS_MAX = 65535, /* with command and NUL */
	QUBE__QREXEC_COMMAND_MAX = QUBE__QREXEC_PARAMS_MAX - QUBE__QREXEC_PARAMS - 1,
	QUBE__QREXEC_SERVICE_MAX = 65000, /* name+argument with NUL in a trigger */
	QUBE__QREXEC_NAME_MAX = 255,	  /* of the service's name alone */
	QUBE__QREXEC_IDENT = 32,
	QUBE__QREXEC_TARGET = 64,
	QUBE__QREXEC_TRIGGER2 = 128,
	QUBE__QREXEC_TRIGGER3 = 96,
	QUBE__QREXEC_TRIGGER4 = 160,
	QUBE__QREXEC_CONTROL_MAX = QUBE__QREXEC_PARAMS_MAX, /* longest control payload */
	QUBE__QREXEC_CALL = 8,				    /* of CALLS, each */
	QUBE__QREXEC_CALLS_LEN_MAX = 4096,
	QUBE__QREXEC_CALL_CALLER = 1 << 16,
	QUBE__QREXEC_PORT_FIRST = 513,
	QUBE__QREXEC_PORT_LAST = 768,
	/* Exit codes of the machinery itself. */
	QUBE__QREXEC_EXIT_PROBLEM = 125,
	QUBE__QREXEC_EXIT_REFUSED = 126,
	QUBE__QREXEC_EXIT_NOT_FOUND = 127,
	QUBE__QREXEC_EXIT_LOST = 255,
	/* Of our agents, in the number of their HELLO, which anybody takes for a high version:
	 * this one takes plain calls. From caller to executor such a call has the bytes of the
	 * input and nothing else, from executor to caller frames; there is no HELLO either way. */
	QUBE__QREXEC_HELLO_PLAIN = 1 << 16,
	/* And this one is told, beside the port of an EXEC_PLAIN, what the host has no use for. */
	QUBE__QREXEC_HELLO_UNWANTED = 1 << 17,
	/* And this one tells which calls it has when it is asked; others do not know the message.
	 */
	QUBE__QREXEC_HELLO_CALLS = 1 << 18,
	QUBE__QREXEC_NO_OUTPUT = 1 << 17,
	QUBE__QREXEC_NO_ERRORS = 1 << 18,
};

/* In the ident of a trigger: this caller can do with a plain call. */
#define QUBE__QREXEC_IDENT_PLAIN "PLAIN"

/* Who is reading. */
enum qube__qrexec_role {
	QUBE__QREXEC_HOST,     /* the broker, from an agent's control channel */
	QUBE__QREXEC_AGENT,    /* an agent, from its control channel */
	QUBE__QREXEC_TRIGGER,  /* an agent, from a caller in its own qube */
	QUBE__QREXEC_CALLER,   /* data channel */
	QUBE__QREXEC_EXECUTOR, /* data channel */
	QUBE__QREXEC_ROLES,
};

enum qube__qrexec_state {
	QUBE__QREXEC_AT_HELLO, /* nothing was received yet */
	QUBE__QREXEC_AT_WORK,
	QUBE__QREXEC_AT_END, /* data: the exit code passed. trigger: one request passed */
	QUBE__QREXEC_STATES,
};

struct qube__qrexec_header {
	uint32_t type;
	uint32_t len;
};

struct qube__qrexec_params {
	uint32_t domain;
	uint32_t port;
	const char *command; /* NUL-terminated view; "" where the message has none */
	size_t command_len;  /* without the NUL */
};

/* Why a well-framed trigger is answered with SERVICE_REFUSED. */
enum qube__qrexec_refusal {
	QUBE__QREXEC_OK = 0,
	QUBE__QREXEC_BAD_IDENT,
	QUBE__QREXEC_BAD_SERVICE,
	QUBE__QREXEC_BAD_TARGET,
	QUBE__QREXEC_BAD_SOURCE,
};

struct qube__qrexec_trigger {
	uint8_t ident[QUBE__QREXEC_IDENT]; /* as received, to be sent back unchanged */
	enum qube__qrexec_refusal refusal; /* if set, nothing below is filled in */
	char source[QUBE__QREXEC_TARGET];  /* "" unless the caller is a relay */
	char target[QUBE__QREXEC_TARGET];  /* may be "" */
	const char *service;		   /* name[+argument], NUL-terminated view */
	size_t service_len;
};

/* False: this reader, in this state, at this negotiated version, must end the link. */
bool qube__qrexec_accepts(enum qube__qrexec_role role, enum qube__qrexec_state state,
			  uint32_t version, uint32_t type);

/* Framing: header bytes to numbers (always succeeds for QUBE__QREXEC_HEADER bytes). */
struct qube__qrexec_header qube__qrexec_header_get(const void *untrusted_header);
void qube__qrexec_header_put(void *out, uint32_t type, uint32_t len);
/* Is there a whole message at the start of what arrived, one that this reader takes in this state?
 * 1: yes, out is its header; 0: not yet; QUBE_E_PROTO: end the link, seen from the header alone. */
int qube__qrexec_frame(struct qube__qrexec_header *out, enum qube__qrexec_role role,
		       enum qube__qrexec_state state, uint32_t version, const void *untrusted,
		       size_t len);
/* Whether len is possible for type; checked before the payload is read. 0 or QUBE_E_PROTO. */
int qube__qrexec_len_check(uint32_t version, uint32_t type, uint32_t len);

/* Each returns 0, or QUBE_E_PROTO with *out untouched. */
int qube__qrexec_hello_parse(uint32_t *version, const void *untrusted, size_t len);
/* Of a hello that was parsed: QUBE__QREXEC_HELLO_*, what its sender takes, should it be ours. */
uint32_t qube__qrexec_hello_flags(const void *untrusted, size_t len);
/* with_command: EXEC_*, JUST_EXEC, *_CONNECT; else CONNECTION_TERMINATED. */
int qube__qrexec_params_parse(struct qube__qrexec_params *out, bool with_command,
			      const void *untrusted, size_t len);
int qube__qrexec_refused_parse(uint8_t ident[QUBE__QREXEC_IDENT], const void *untrusted,
			       size_t len);
/* type is one of the three triggers. QUBE_E_PROTO for a length that cannot be. */
int qube__qrexec_trigger_parse(struct qube__qrexec_trigger *out, uint32_t type,
			       const void *untrusted, size_t len);
/* One entry of CALLS, by number; QUBE_E_PROTO also behind the last. */
int qube__qrexec_call_parse(uint32_t *domain, uint32_t *port, bool *caller, size_t i,
			    const void *untrusted, size_t len);
int qube__qrexec_exit_parse(int32_t *code, const void *untrusted, size_t len);

/* Each writes header and payload, pads with zeros and returns the whole size, or QUBE_E_LIMIT. */
int qube__qrexec_hello_put(void *out, size_t cap, uint32_t version);
int qube__qrexec_params_put(void *out, size_t cap, uint32_t type, uint32_t domain, uint32_t port,
			    const char *command); /* NULL: none */
int qube__qrexec_refused_put(void *out, size_t cap, const uint8_t ident[QUBE__QREXEC_IDENT]);
/* Picks the layout by version. QUBE_E_LIMIT also when an old layout has no room for a field. */
int qube__qrexec_trigger_put(void *out, size_t cap, uint32_t version, const char *source,
			     const char *target, const char *service, const char *ident);
int qube__qrexec_exit_put(void *out, size_t cap, int32_t code);

/* Alphabets; each whole string, s may hold any byte. */
bool qube__qrexec_service_ok(const char *s, size_t len); /* name[+argument], not empty */
bool qube__qrexec_target_ok(const char *s, size_t len);	 /* also a source; may be empty */
bool qube__qrexec_ident_ok(const uint8_t ident[QUBE__QREXEC_IDENT]);
bool qube__qrexec_ident_plain(const uint8_t ident[QUBE__QREXEC_IDENT]);

#endif
