/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The Admin API's bytes, both sides: requests, replies, events, property values (admin-api.md 1-3).
 * Pure: codes, no error record. Parsed pointers point into the caller's buffer. */
#ifndef QUBE_WIRE_ADMIN_H
#define QUBE_WIRE_ADMIN_H

#include "base/buf.h"
#include "wire/names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	QUBE__ADMIN_REQUEST_MAX = 65536, /* header and payload */
	QUBE__ADMIN_DOOR_MAX = 16384,	 /* of a request that comes through a door (admin/door.c) */
	QUBE__ADMIN_ARG_MAX = 1023,
	QUBE__ADMIN_PEER_MAX = 63,
	QUBE__ADMIN_EVENT_MAX = 65536,
	QUBE__ADMIN_PAIRS_MAX = 32,
	QUBE__ADMIN_TYPE_MAX = 63, /* an exception's name */
	QUBE__ADMIN_MESSAGE_MAX = 767,
};

/* --- requests --- */
struct qube__wire_admin_request {
	char method[QUBE__SERVICE_MAX + 1];
	char arg[QUBE__ADMIN_ARG_MAX + 1]; /* "" also without '+' */
	char source[QUBE__ADMIN_PEER_MAX +
		    1];			     /* printable, no space; qube__wire_admin_peer() next */
	char dest[QUBE__ADMIN_PEER_MAX + 1]; /* "dom0" for the keyword adminvm */
	const uint8_t *payload;
	size_t payload_len;
};
/* The whole request, after the peer closed its side. 0, or QUBE_E_PROTO: drop the connection
 * without a byte. QUBE_E_LIMIT: longer than QUBE__ADMIN_REQUEST_MAX, likewise. */
int qube__wire_admin_request_parse(struct qube__wire_admin_request *out, const void *untrusted,
				   size_t len);
/* Is text a qube's name or "uuid:" and a uuid? 0 (then *uuid is the uuid in it, or NULL for a
 * name) or the QUBE_D_* to answer with: QUBE_D_VALUE, QUBE_D_INVALID_UUID. */
int qube__wire_admin_peer(const char **uuid, const char *text);
/* arg may be NULL. QUBE_E_INVALID for what the parser would refuse. */
int qube__wire_admin_request_encode(struct qube__buf *out, const char *method, const char *arg,
				    const char *source, const char *dest, const void *payload,
				    size_t payload_len);

/* --- replies --- */
int qube__wire_admin_ok(struct qube__buf *out, const void *data, size_t len);
/* pairs: key, value, key, value ...; a NULL value is written "None". QUBE_E_INVALID: not ASCII. */
int qube__wire_admin_event(struct qube__buf *out, const char *subject, const char *event,
			   const char *const *pairs, size_t n_pairs);
/* message is plain text: '%' is doubled, what is not printable ASCII becomes \xNN. */
int qube__wire_admin_exception(struct qube__buf *out, const char *type, const char *message);
/* As above, the type found by detail, then code. */
int qube__wire_admin_fail(struct qube__buf *out, int code, int detail, const char *message);

/* The one table of exceptions: name on the wire, QUBE_D_*, QUBE_E_*. */
const char *qube__wire_admin_type(int code, int detail);
void qube__wire_admin_codes(const char *type, int *code, int *detail);

enum qube__wire_admin_kind {
	QUBE__ADMIN_OK = 0,
	QUBE__ADMIN_EVENT = 1,
	QUBE__ADMIN_EXCEPTION = 2,
};
struct qube__wire_admin_response {
	uint32_t kind;				   /* enum qube__wire_admin_kind */
	int32_t code;				   /* EXCEPTION: QUBE_E_* */
	int32_t detail;				   /* EXCEPTION: QUBE_D_* */
	char type[QUBE__ADMIN_TYPE_MAX + 1];	   /* EXCEPTION: as the peer named it, printable */
	char message[QUBE__ADMIN_MESSAGE_MAX + 1]; /* EXCEPTION: formatted, printable, cut */
	const uint8_t *content;			   /* OK; EVENT: the whole frame */
	size_t content_len;
};
/* A whole reply, at end of file (a stream's first bytes tell EVENT). QUBE_E_CLOSED: no byte at all,
 * which is how a server refuses; QUBE_E_PROTO: not a reply. */
int qube__wire_admin_response_parse(struct qube__wire_admin_response *out, const void *untrusted,
				    size_t len);

struct qube__wire_admin_event {
	const char *subject; /* "" for the system */
	const char *event;
	size_t n_pairs;
	const char *key[QUBE__ADMIN_PAIRS_MAX];
	const char *value[QUBE__ADMIN_PAIRS_MAX];
	size_t used; /* bytes of the frame */
};
/* One frame at the start of what has arrived. QUBE_E_AGAIN: not whole yet; QUBE_E_PROTO. */
int qube__wire_admin_event_parse(struct qube__wire_admin_event *out, const void *untrusted,
				 size_t len);

/* --- properties --- */
enum qube__prop_type {
	QUBE__TYPE_STR = 0,
	QUBE__TYPE_INT = 1,
	QUBE__TYPE_BOOL = 2,
	QUBE__TYPE_VM = 3,
	QUBE__TYPE_LABEL = 4,
};
const char *qube__wire_type_name(uint32_t type); /* "str" ... */

/* "default=True type=int 400"; value NULL: none. */
int qube__wire_property_encode(struct qube__buf *out, bool is_default, uint32_t type,
			       const char *value);
/* One line of GetAll: "memory default=True type=int 400\n", '\' and newline escaped. */
int qube__wire_property_line(struct qube__buf *out, const char *name, bool is_default,
			     uint32_t type, const char *value);
struct qube__wire_property {
	bool is_default;
	uint32_t type;
	const char *value; /* not NUL-terminated; no NUL inside */
	size_t len;
};
int qube__wire_property_parse(struct qube__wire_property *out, const void *untrusted, size_t len);
/* "type=int 400", the reply of GetDefault; out->is_default is true. QUBE_E_NOENT: empty, none. */
int qube__wire_property_default_parse(struct qube__wire_property *out, const void *untrusted,
				      size_t len);
/* One line of GetAll without unescaping: used counts the newline. QUBE_E_AGAIN without newline. */
int qube__wire_property_line_parse(char name[QUBE__PROPERTY_MAX + 1],
				   struct qube__wire_property *out, size_t *used,
				   const void *untrusted, size_t len);
/* Undoes the escapes into out (room for len + 1 bytes), NUL-terminated. QUBE_E_PROTO. */
int qube__wire_property_unescape(char *out, const char *untrusted, size_t len);

#endif
