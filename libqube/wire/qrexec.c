/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The messages of qrexec. Pure: no I/O, no allocation, no error record. */
#include "wire/qrexec.h"

#include "base/rw.h"

#include <qube/error.h>

#include <string.h>

static const struct accepted {
	uint8_t role;
	uint8_t state;
	uint8_t version_min;
	uint8_t version_max;
	uint32_t type;
} accepted[] = {
	{ QUBE__QREXEC_HOST, QUBE__QREXEC_AT_HELLO, 0, 255, QUBE__QREXEC_HELLO },
	{ QUBE__QREXEC_HOST, QUBE__QREXEC_AT_WORK, 2, 2, QUBE__QREXEC_TRIGGER_SERVICE },
	{ QUBE__QREXEC_HOST, QUBE__QREXEC_AT_WORK, 3, 255, QUBE__QREXEC_TRIGGER_SERVICE3 },
	{ QUBE__QREXEC_HOST, QUBE__QREXEC_AT_WORK, 4, 255, QUBE__QREXEC_TRIGGER_SERVICE4 },
	{ QUBE__QREXEC_HOST, QUBE__QREXEC_AT_WORK, 2, 255, QUBE__QREXEC_CONNECTION_TERMINATED },
	{ QUBE__QREXEC_HOST, QUBE__QREXEC_AT_WORK, 2, 255, QUBE__QREXEC_CALLS },
	{ QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_HELLO, 0, 255, QUBE__QREXEC_HELLO },
	{ QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_WORK, 2, 255, QUBE__QREXEC_EXEC_CMDLINE },
	{ QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_WORK, 2, 255, QUBE__QREXEC_JUST_EXEC },
	{ QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_WORK, 2, 255, QUBE__QREXEC_SERVICE_CONNECT },
	{ QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_WORK, 2, 255, QUBE__QREXEC_SERVICE_REFUSED },
	{ QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_WORK, 2, 255, QUBE__QREXEC_CALLS_ASK },
	{ QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_WORK, 2, 255, QUBE__QREXEC_PEER_GONE },
	{ QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_WORK, 4, 255, QUBE__QREXEC_EXEC_PLAIN },
	{ QUBE__QREXEC_AGENT, QUBE__QREXEC_AT_WORK, 4, 255, QUBE__QREXEC_CONNECT_PLAIN },
	/* There is no hello between a caller and the agent of its own qube. */
	{ QUBE__QREXEC_TRIGGER, QUBE__QREXEC_AT_WORK, 0, 255, QUBE__QREXEC_TRIGGER_SERVICE4 },
	{ QUBE__QREXEC_CALLER, QUBE__QREXEC_AT_HELLO, 0, 255, QUBE__QREXEC_HELLO },
	{ QUBE__QREXEC_CALLER, QUBE__QREXEC_AT_WORK, 2, 255, QUBE__QREXEC_DATA_STDOUT },
	{ QUBE__QREXEC_CALLER, QUBE__QREXEC_AT_WORK, 2, 255, QUBE__QREXEC_DATA_STDERR },
	{ QUBE__QREXEC_CALLER, QUBE__QREXEC_AT_WORK, 2, 255, QUBE__QREXEC_DATA_EXIT_CODE },
	{ QUBE__QREXEC_CALLER, QUBE__QREXEC_AT_WORK, 4, 255, QUBE__QREXEC_DATA_PLAIN },
	{ QUBE__QREXEC_EXECUTOR, QUBE__QREXEC_AT_HELLO, 0, 255, QUBE__QREXEC_HELLO },
	{ QUBE__QREXEC_EXECUTOR, QUBE__QREXEC_AT_WORK, 2, 255, QUBE__QREXEC_DATA_STDIN },
};

bool qube__qrexec_accepts(enum qube__qrexec_role role, enum qube__qrexec_state state,
			  uint32_t version, uint32_t type)
{
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		const struct accepted *a = &accepted[i];

		if (a->role == role && a->state == state && a->type == type)
			return version >= a->version_min && version <= a->version_max;
	}
	return false;
}

struct qube__qrexec_header qube__qrexec_header_get(const void *untrusted_header)
{
	struct qube__rd r = qube__rd_init(untrusted_header, QUBE__QREXEC_HEADER);
	struct qube__qrexec_header h;

	h.type = qube__rd_le32(&r);
	h.len = qube__rd_le32(&r);
	return h;
}

void qube__qrexec_header_put(void *out, uint32_t type, uint32_t len)
{
	struct qube__wr w = qube__wr_init(out, QUBE__QREXEC_HEADER);

	qube__wr_le32(&w, type);
	qube__wr_le32(&w, len);
}

int qube__qrexec_len_check(uint32_t version, uint32_t type, uint32_t len)
{
	uint32_t min = 0;
	uint32_t max = 0;

	switch (type) {
	case QUBE__QREXEC_DATA_STDIN:
	case QUBE__QREXEC_DATA_STDOUT:
	case QUBE__QREXEC_DATA_STDERR:
		max = version < 3 ? QUBE__QREXEC_CHUNK_V2 : QUBE__QREXEC_CHUNK;
		break;
	case QUBE__QREXEC_DATA_EXIT_CODE:
	case QUBE__QREXEC_HELLO:
		min = max = 4;
		break;
	case QUBE__QREXEC_EXEC_CMDLINE:
	case QUBE__QREXEC_JUST_EXEC:
	case QUBE__QREXEC_SERVICE_CONNECT:
	case QUBE__QREXEC_EXEC_PLAIN:
	case QUBE__QREXEC_CONNECT_PLAIN:
		min = QUBE__QREXEC_PARAMS + 1;
		max = QUBE__QREXEC_PARAMS_MAX;
		break;
	case QUBE__QREXEC_SERVICE_REFUSED:
		min = max = QUBE__QREXEC_IDENT;
		break;
	case QUBE__QREXEC_CONNECTION_TERMINATED:
	case QUBE__QREXEC_PEER_GONE:
		min = max = QUBE__QREXEC_PARAMS;
		break;
	case QUBE__QREXEC_CALLS_ASK:
	case QUBE__QREXEC_DATA_PLAIN:
		break;
	case QUBE__QREXEC_CALLS:
		if (len % QUBE__QREXEC_CALL)
			return QUBE_E_PROTO;
		max = QUBE__QREXEC_CALLS_LEN_MAX;
		break;
	case QUBE__QREXEC_TRIGGER_SERVICE:
		min = max = QUBE__QREXEC_TRIGGER2;
		break;
	case QUBE__QREXEC_TRIGGER_SERVICE3:
		min = QUBE__QREXEC_TRIGGER3 + 1;
		max = QUBE__QREXEC_TRIGGER3 + QUBE__QREXEC_SERVICE_MAX;
		break;
	case QUBE__QREXEC_TRIGGER_SERVICE4:
		min = QUBE__QREXEC_TRIGGER4 + 1;
		max = QUBE__QREXEC_TRIGGER4 + QUBE__QREXEC_SERVICE_MAX;
		break;
	default:
		return QUBE_E_PROTO;
	}
	return len >= min && len <= max ? 0 : QUBE_E_PROTO;
}

int qube__qrexec_frame(struct qube__qrexec_header *out, enum qube__qrexec_role role,
		       enum qube__qrexec_state state, uint32_t version, const void *untrusted,
		       size_t len)
{
	struct qube__qrexec_header h;

	if (len < QUBE__QREXEC_HEADER)
		return 0;
	h = qube__qrexec_header_get(untrusted);
	if (!qube__qrexec_accepts(role, state, version, h.type) ||
	    qube__qrexec_len_check(version, h.type, h.len) < 0)
		return QUBE_E_PROTO;
	if (len - QUBE__QREXEC_HEADER < h.len)
		return 0;
	*out = h;
	return 1;
}

bool qube__qrexec_ident_plain(const uint8_t ident[QUBE__QREXEC_IDENT])
{
	static const char mark[] = QUBE__QREXEC_IDENT_PLAIN;

	return memcmp(ident, mark, sizeof(mark) - 1) == 0;
}

static bool alnum(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool qube__qrexec_service_ok(const char *s, size_t len)
{
	const char *plus = len ? memchr(s, '+', len) : NULL;
	size_t name = plus ? (size_t)(plus - s) : len;

	if (!name || name > QUBE__QREXEC_NAME_MAX || len >= QUBE__QREXEC_SERVICE_MAX)
		return false;
	/* "." and ".." would name a directory at the lookup. */
	if (s[0] == '.' && (name == 1 || (name == 2 && s[1] == '.')))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!alnum(s[i]) && s[i] != '_' && s[i] != '-' && s[i] != '.' && s[i] != '+')
			return false;
	return true;
}

bool qube__qrexec_target_ok(const char *s, size_t len)
{
	if (len >= QUBE__QREXEC_TARGET)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!alnum(s[i]) && s[i] != '_' && s[i] != '-' && s[i] != '.' && s[i] != '@' &&
		    s[i] != ':')
			return false;
	return true;
}

bool qube__qrexec_ident_ok(const uint8_t ident[QUBE__QREXEC_IDENT])
{
	size_t n = 0;

	while (n < QUBE__QREXEC_IDENT && ident[n]) {
		char c = (char)ident[n];

		if (!alnum(c) && c != '_' && c != '-' && c != '.' && c != ' ')
			return false;
		n++;
	}
	if (n == QUBE__QREXEC_IDENT)
		return false;
	for (; n < QUBE__QREXEC_IDENT; n++)
		if (ident[n])
			return false;
	return true;
}

int qube__qrexec_hello_parse(uint32_t *version, const void *untrusted, size_t len)
{
	struct qube__rd r = qube__rd_init(untrusted, len);
	uint32_t v = qube__rd_le32(&r);

	if (!qube__rd_done(&r) || v < QUBE__QREXEC_VERSION_MIN)
		return QUBE_E_PROTO;
	*version = v < QUBE__QREXEC_VERSION ? v : QUBE__QREXEC_VERSION;
	return 0;
}

uint32_t qube__qrexec_hello_flags(const void *untrusted, size_t len)
{
	struct qube__rd r = qube__rd_init(untrusted, len);

	return qube__rd_le32(&r) &
	       (QUBE__QREXEC_HELLO_PLAIN | QUBE__QREXEC_HELLO_UNWANTED | QUBE__QREXEC_HELLO_CALLS);
}

int qube__qrexec_params_parse(struct qube__qrexec_params *out, bool with_command,
			      const void *untrusted, size_t len)
{
	struct qube__rd r = qube__rd_init(untrusted, len);
	struct qube__qrexec_params p = { .command = "" };

	p.domain = qube__rd_le32(&r);
	p.port = qube__rd_le32(&r);
	if (r.bad || len > QUBE__QREXEC_PARAMS_MAX)
		return QUBE_E_PROTO;
	if (with_command) {
		if (!r.left)
			return QUBE_E_PROTO;
		p.command_len = r.left - 1;
		p.command = (const char *)qube__rd_take(&r, r.left);
		/* SERVICE_CONNECT may carry a padded ident field: only zeros behind the first. */
		for (size_t i = strnlen(p.command, p.command_len); i <= p.command_len; i++)
			if (p.command[i])
				return QUBE_E_PROTO;
		p.command_len = strlen(p.command);
	}
	if (!qube__rd_done(&r))
		return QUBE_E_PROTO;
	*out = p;
	return 0;
}

int qube__qrexec_refused_parse(uint8_t ident[QUBE__QREXEC_IDENT], const void *untrusted, size_t len)
{
	if (len != QUBE__QREXEC_IDENT || !qube__qrexec_ident_ok(untrusted))
		return QUBE_E_PROTO;
	memcpy(ident, untrusted, QUBE__QREXEC_IDENT);
	return 0;
}

/* A padded field: text, one zero at least, zeros to its end. False: it is not so. */
static bool field_ok(char *out, const uint8_t *field, size_t size)
{
	size_t n = strnlen((const char *)field, size);

	if (n == size)
		return false;
	/* What follows the NUL is the sender's garbage; it is never copied. */
	memset(out, 0, size);
	memcpy(out, field, n);
	return qube__qrexec_target_ok(out, n);
}

static void trigger_check(struct qube__qrexec_trigger *t, const uint8_t *source,
			  const uint8_t *target, size_t target_size, const uint8_t *service,
			  size_t size, bool padded)
{
	size_t n = strnlen((const char *)service, size);

	if (!qube__qrexec_ident_ok(t->ident)) {
		t->refusal = QUBE__QREXEC_BAD_IDENT;
	} else if (n == size || (!padded && n != size - 1) ||
		   !qube__qrexec_service_ok((const char *)service, n)) {
		t->refusal = QUBE__QREXEC_BAD_SERVICE;
	} else if (!field_ok(t->target, target, target_size)) {
		t->refusal = QUBE__QREXEC_BAD_TARGET;
	} else if (source && !field_ok(t->source, source, QUBE__QREXEC_TARGET)) {
		t->refusal = QUBE__QREXEC_BAD_SOURCE;
	} else {
		t->service = (const char *)service;
		t->service_len = n;
		return;
	}
	memset(t->source, 0, sizeof(t->source));
	memset(t->target, 0, sizeof(t->target));
}

int qube__qrexec_trigger_parse(struct qube__qrexec_trigger *out, uint32_t type,
			       const void *untrusted, size_t len)
{
	struct qube__rd r = qube__rd_init(untrusted, len);
	struct qube__qrexec_trigger t = { .service = "" };
	const uint8_t *source = NULL;
	const uint8_t *target;
	const uint8_t *ident;
	const uint8_t *service;
	size_t target_size = QUBE__QREXEC_TARGET;
	size_t service_size;

	if (len > UINT32_MAX || qube__qrexec_len_check(4, type, (uint32_t)len) < 0)
		return QUBE_E_PROTO;
	if (type == QUBE__QREXEC_TRIGGER_SERVICE) {
		target_size = 32;
		service_size = 64;
		service = qube__rd_take(&r, service_size);
		target = qube__rd_take(&r, target_size);
		ident = qube__rd_take(&r, QUBE__QREXEC_IDENT);
	} else if (type == QUBE__QREXEC_TRIGGER_SERVICE3 || type == QUBE__QREXEC_TRIGGER_SERVICE4) {
		if (type == QUBE__QREXEC_TRIGGER_SERVICE4)
			source = qube__rd_take(&r, QUBE__QREXEC_TARGET);
		target = qube__rd_take(&r, target_size);
		ident = qube__rd_take(&r, QUBE__QREXEC_IDENT);
		service_size = r.left;
		service = qube__rd_take(&r, service_size);
	} else {
		return QUBE_E_PROTO;
	}
	if (!qube__rd_done(&r) || !service || !target || !ident)
		return QUBE_E_PROTO;
	memcpy(t.ident, ident, QUBE__QREXEC_IDENT);
	trigger_check(&t, source, target, target_size, service, service_size,
		      type == QUBE__QREXEC_TRIGGER_SERVICE);
	*out = t;
	return 0;
}

int qube__qrexec_call_parse(uint32_t *domain, uint32_t *port, bool *caller, size_t i,
			    const void *untrusted, size_t len)
{
	struct qube__rd r;
	uint32_t qid;
	uint32_t number;

	if (len % QUBE__QREXEC_CALL || i >= len / QUBE__QREXEC_CALL)
		return QUBE_E_PROTO;
	r = qube__rd_init((const uint8_t *)untrusted + i * QUBE__QREXEC_CALL, QUBE__QREXEC_CALL);
	qid = qube__rd_le32(&r);
	number = qube__rd_le32(&r) & ~(uint32_t)QUBE__QREXEC_CALL_CALLER;
	if (number < QUBE__QREXEC_PORT_FIRST || number > QUBE__QREXEC_PORT_LAST)
		return QUBE_E_PROTO;
	r = qube__rd_init((const uint8_t *)untrusted + i * QUBE__QREXEC_CALL + 4, 4);
	*caller = qube__rd_le32(&r) & QUBE__QREXEC_CALL_CALLER;
	*domain = qid;
	*port = number;
	return 0;
}

int qube__qrexec_exit_parse(int32_t *code, const void *untrusted, size_t len)
{
	struct qube__rd r = qube__rd_init(untrusted, len);
	uint32_t v = qube__rd_le32(&r);

	if (!qube__rd_done(&r))
		return QUBE_E_PROTO;
	*code = (int32_t)v;
	return 0;
}

/* The header's length is known only at the end: written last, in front. */
static int finish(struct qube__wr *w, void *out, uint32_t type)
{
	if (w->bad)
		return QUBE_E_LIMIT;
	qube__qrexec_header_put(out, type, (uint32_t)(w->len - QUBE__QREXEC_HEADER));
	return (int)w->len;
}

static struct qube__wr begin(void *out, size_t cap)
{
	static const uint8_t zeros[QUBE__QREXEC_HEADER];
	struct qube__wr w = qube__wr_init(out, cap);

	qube__wr_bytes(&w, zeros, sizeof(zeros));
	return w;
}

int qube__qrexec_hello_put(void *out, size_t cap, uint32_t version)
{
	struct qube__wr w = begin(out, cap);

	qube__wr_le32(&w, version);
	return finish(&w, out, QUBE__QREXEC_HELLO);
}

int qube__qrexec_params_put(void *out, size_t cap, uint32_t type, uint32_t domain, uint32_t port,
			    const char *command)
{
	struct qube__wr w = begin(out, cap);

	qube__wr_le32(&w, domain);
	qube__wr_le32(&w, port);
	if (command) {
		size_t n = strlen(command);

		if (n > QUBE__QREXEC_COMMAND_MAX)
			return QUBE_E_LIMIT;
		qube__wr_bytes(&w, command, n + 1);
	}
	return finish(&w, out, type);
}

int qube__qrexec_refused_put(void *out, size_t cap, const uint8_t ident[QUBE__QREXEC_IDENT])
{
	struct qube__wr w = begin(out, cap);

	qube__wr_bytes(&w, ident, QUBE__QREXEC_IDENT);
	return finish(&w, out, QUBE__QREXEC_SERVICE_REFUSED);
}

int qube__qrexec_trigger_put(void *out, size_t cap, uint32_t version, const char *source,
			     const char *target, const char *service, const char *ident)
{
	struct qube__wr w = begin(out, cap);
	size_t n = strlen(service);

	if (n >= QUBE__QREXEC_SERVICE_MAX || (version < 4 && source[0]))
		return QUBE_E_LIMIT;
	if (version < 3) {
		qube__wr_padded(&w, service, 64);
		qube__wr_padded(&w, target, 32);
		qube__wr_padded(&w, ident, QUBE__QREXEC_IDENT);
		return finish(&w, out, QUBE__QREXEC_TRIGGER_SERVICE);
	}
	if (version >= 4)
		qube__wr_padded(&w, source, QUBE__QREXEC_TARGET);
	qube__wr_padded(&w, target, QUBE__QREXEC_TARGET);
	qube__wr_padded(&w, ident, QUBE__QREXEC_IDENT);
	qube__wr_bytes(&w, service, n + 1);
	return finish(&w, out,
		      version >= 4 ? QUBE__QREXEC_TRIGGER_SERVICE4 : QUBE__QREXEC_TRIGGER_SERVICE3);
}

int qube__qrexec_exit_put(void *out, size_t cap, int32_t code)
{
	struct qube__wr w = begin(out, cap);

	qube__wr_le32(&w, (uint32_t)code);
	return finish(&w, out, QUBE__QREXEC_DATA_EXIT_CODE);
}
