/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The Admin API's requests, replies and events (admin-api.md 1-3). Requests come from any local
 * program or from a qube, replies from a server that may be hostile to this client. */
#include "wire/admin.h"

#include "base/text.h"

#include <qube/error.h>

#include <string.h>

struct exception_row {
	const char *type;
	int16_t detail;
	int16_t code;
};

/* The first row of a detail is the name that we send; the rest only comes in. */
static const struct exception_row exceptions[] = {
	{ "QubesVMNotFoundError", QUBE_D_VM_NOT_FOUND, QUBE_E_NOENT },
	{ "QubesVMInUseError", QUBE_D_VM_IN_USE, QUBE_E_BUSY },
	{ "QubesVMNotStartedError", QUBE_D_VM_NOT_STARTED, QUBE_E_STATE },
	{ "QubesVMNotRunningError", QUBE_D_VM_NOT_RUNNING, QUBE_E_STATE },
	{ "QubesVMNotPausedError", QUBE_D_VM_NOT_PAUSED, QUBE_E_STATE },
	{ "QubesVMNotHaltedError", QUBE_D_VM_NOT_HALTED, QUBE_E_STATE },
	{ "QubesVMShutdownTimeoutError", QUBE_D_VM_SHUTDOWN_TIMEOUT, QUBE_E_TIMEOUT },
	{ "QubesVMAlreadyExistsError", QUBE_D_VM_ALREADY_EXISTS, QUBE_E_EXISTS },
	{ "QubesVMError", QUBE_D_VM_ERROR, QUBE_E_STATE },
	{ "QubesVMNotSuspendedError", QUBE_D_VM_ERROR, QUBE_E_STATE },
	{ "QubesVMAlreadyStartedError", QUBE_D_VM_ERROR, QUBE_E_STATE },
	{ "QubesVMCancelledPauseError", QUBE_D_VM_ERROR, QUBE_E_CANCELED },
	{ "QubesNoTemplateError", QUBE_D_NO_TEMPLATE, QUBE_E_NOENT },
	{ "QubesPoolInUseError", QUBE_D_POOL_IN_USE, QUBE_E_BUSY },
	{ "QubesValueError", QUBE_D_VALUE, QUBE_E_INVALID },
	{ "QubesPropertyValueError", QUBE_D_PROPERTY_VALUE, QUBE_E_INVALID },
	{ "QubesNoSuchPropertyError", QUBE_D_NO_SUCH_PROPERTY, QUBE_E_NOENT },
	{ "QubesFeatureNotFoundError", QUBE_D_FEATURE_NOT_FOUND, QUBE_E_NOENT },
	{ "QubesTagNotFoundError", QUBE_D_TAG_NOT_FOUND, QUBE_E_NOENT },
	{ "QubesLabelNotFoundError", QUBE_D_LABEL_NOT_FOUND, QUBE_E_NOENT },
	{ "QubesLabelInUseError", QUBE_D_LABEL_IN_USE, QUBE_E_BUSY },
	{ "QubesInvalidTagError", QUBE_D_INVALID_TAG, QUBE_E_INVALID },
	{ "StoragePoolException", QUBE_D_STORAGE, QUBE_E_SYSTEM },
	{ "ProtocolError", QUBE_D_PROTOCOL, QUBE_E_PROTO },
	{ "PermissionDenied", QUBE_D_PERMISSION, QUBE_E_DENIED },
	{ "QubesNotImplementedError", QUBE_D_NOT_IMPLEMENTED, QUBE_E_NOTSUP },
	{ "QubesMemoryError", QUBE_D_MEMORY, QUBE_E_LIMIT },
	{ "QubesVMInvalidUUIDError", QUBE_D_INVALID_UUID, QUBE_E_INVALID },
	{ "QubesInvalidLabelError", QUBE_D_INVALID_LABEL, QUBE_E_INVALID },
	{ "QubesInvalidLabelValueError", QUBE_D_INVALID_LABEL_VALUE, QUBE_E_INVALID },
	{ "QubesException", QUBE_D_GENERIC, QUBE_E_STATE },
	{ "BackupAlreadyRunningError", QUBE_D_GENERIC, QUBE_E_BUSY },
	{ "BackupCancelledError", QUBE_D_GENERIC, QUBE_E_CANCELED },
	{ "DeviceNotAssigned", QUBE_D_GENERIC, QUBE_E_NOENT },
	{ "DeviceNotFound", QUBE_D_GENERIC, QUBE_E_NOENT },
	{ "DeviceAlreadyAttached", QUBE_D_GENERIC, QUBE_E_EXISTS },
	{ "DeviceAlreadyAssigned", QUBE_D_GENERIC, QUBE_E_EXISTS },
	{ "QubesBackupProfileNotFoundError", QUBE_D_GENERIC, QUBE_E_NOENT },
	{ "QubesVolumeCopyTokenNotFoundError", QUBE_D_GENERIC, QUBE_E_NOENT },
	{ "QubesVolumeCopyInUseError", QUBE_D_GENERIC, QUBE_E_BUSY },
};

/* What a failure without detail is called. Codes that are not here: QubesException. */
static const struct exception_row by_code[] = {
	{ "QubesValueError", 0, QUBE_E_INVALID }, { "QubesNotImplementedError", 0, QUBE_E_NOTSUP },
	{ "ProtocolError", 0, QUBE_E_PROTO },	  { "PermissionDenied", 0, QUBE_E_DENIED },
	{ "QubesVMError", 0, QUBE_E_STATE },
};

const char *qube__wire_admin_type(int code, int detail)
{
	if (detail)
		for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
			if (exceptions[i].detail == detail)
				return exceptions[i].type;
	for (size_t i = 0; i < sizeof(by_code) / sizeof(by_code[0]); i++)
		if (by_code[i].code == code)
			return by_code[i].type;
	return "QubesException";
}

void qube__wire_admin_codes(const char *type, int *code, int *detail)
{
	for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
		if (strcmp(exceptions[i].type, type) == 0) {
			*code = exceptions[i].code;
			*detail = exceptions[i].detail;
			return;
		}
	}
	*code = QUBE_E_STATE;
	*detail = QUBE_D_GENERIC;
}

static bool is_graph(const uint8_t *p, size_t len, size_t max)
{
	if (!len || len > max)
		return false;
	for (size_t i = 0; i < len; i++)
		if (p[i] <= 0x20 || p[i] > 0x7e)
			return false;
	return true;
}

static void put(char *out, const uint8_t *p, size_t len)
{
	if (len)
		memcpy(out, p, len);
	out[len] = '\0';
}

static bool is_text(const uint8_t *p, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(p, text, len) == 0;
}

static bool take_service(struct qube__wire_admin_request *req, const uint8_t *p, size_t len)
{
	const uint8_t *plus = memchr(p, '+', len);
	size_t name_len = plus ? (size_t)(plus - p) : len;
	size_t arg_len = plus ? len - name_len - 1 : 0;

	if (!qube__name_is_service(p, name_len) || arg_len > QUBE__ADMIN_ARG_MAX ||
	    (plus && !qube__name_is_argument(plus + 1, arg_len)))
		return false;
	put(req->method, p, name_len);
	put(req->arg, plus ? plus + 1 : p, arg_len);
	return true;
}

int qube__wire_admin_request_parse(struct qube__wire_admin_request *out, const void *untrusted,
				   size_t len)
{
	struct qube__wire_admin_request req = { .payload = NULL };
	const uint8_t *p = untrusted;
	const uint8_t *nul;
	const uint8_t *field[4];
	size_t n[4];

	if (len > QUBE__ADMIN_REQUEST_MAX)
		return QUBE_E_LIMIT;
	nul = len ? memchr(p, 0, len) : NULL;
	if (!nul)
		return QUBE_E_PROTO;
	for (size_t i = 0; i < 4; i++) {
		const uint8_t *space = i < 3 ? memchr(p, ' ', (size_t)(nul - p)) : nul;

		if (!space)
			return QUBE_E_PROTO;
		field[i] = p;
		n[i] = (size_t)(space - p);
		p = space + 1;
	}
	if (!n[0] || !take_service(&req, field[0], n[0]) ||
	    !is_graph(field[1], n[1], QUBE__ADMIN_PEER_MAX) ||
	    !is_graph(field[3], n[3], QUBE__ADMIN_PEER_MAX))
		return QUBE_E_PROTO;
	put(req.source, field[1], n[1]);
	if (is_text(field[2], n[2], "name"))
		put(req.dest, field[3], n[3]);
	else if (is_text(field[2], n[2], "keyword") && is_text(field[3], n[3], "adminvm"))
		put(req.dest, (const uint8_t *)"dom0", 4);
	else
		return QUBE_E_PROTO;
	req.payload = nul + 1;
	req.payload_len = len - (size_t)(nul + 1 - (const uint8_t *)untrusted);
	*out = req;
	return 0;
}

int qube__wire_admin_peer(const char **uuid, const char *text)
{
	size_t n = strlen(text);

	if (n >= 5 && memcmp(text, "uuid:", 5) == 0) {
		if (!qube__name_is_uuid(text + 5, n - 5))
			return QUBE_D_INVALID_UUID;
		*uuid = text + 5;
		return 0;
	}
	if (!qube__name_is_qube(text, n))
		return QUBE_D_VALUE;
	*uuid = NULL;
	return 0;
}

/* Appends to out or, on failure, leaves it as it was. */
static int append_all(struct qube__buf *out, const struct qube__buf *frame)
{
	return qube__buf_append(out, frame->mem + frame->start, frame->len);
}

int qube__wire_admin_request_encode(struct qube__buf *out, const char *method, const char *arg,
				    const char *source, const char *dest, const void *payload,
				    size_t payload_len)
{
	qube__autobuf frame;
	struct qube__wire_admin_request check;
	int r;

	qube__buf_init(&frame, QUBE__ADMIN_REQUEST_MAX);
	r = qube__buf_printf(&frame, "%s+%s %s name %s", method, arg ? arg : "", source, dest);
	if (r == 0)
		r = qube__buf_append(&frame, "", 1);
	if (r == 0)
		r = qube__buf_append(&frame, payload, payload_len);
	if (r < 0)
		return r;
	/* The same rules both ways: a '+' in the method or a space in a name would shift fields. */
	if (strchr(method, '+') || strchr(source, ' ') || strchr(dest, ' ') ||
	    qube__wire_admin_request_parse(&check, frame.mem + frame.start, frame.len) < 0)
		return QUBE_E_INVALID;
	return append_all(out, &frame);
}

int qube__wire_admin_ok(struct qube__buf *out, const void *data, size_t len)
{
	uint8_t *at;
	int r = len <= SIZE_MAX - 2 ? qube__buf_reserve(out, len + 2, &at) : QUBE_E_LIMIT;

	if (r < 0)
		return r;
	memcpy(at, "0", 2);
	if (len)
		memcpy(at + 2, data, len);
	qube__buf_commit(out, len + 2);
	return 0;
}

/* Text and its NUL; ASCII only, as the stream's readers expect. */
static int append_field(struct qube__buf *b, const char *text)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p > 0x7f)
			return QUBE_E_INVALID;
	return qube__buf_append(b, text, strlen(text) + 1);
}

int qube__wire_admin_event(struct qube__buf *out, const char *subject, const char *event,
			   const char *const *pairs, size_t n_pairs)
{
	qube__autobuf frame;
	int r;

	qube__buf_init(&frame, QUBE__ADMIN_EVENT_MAX);
	if (!*event || n_pairs > QUBE__ADMIN_PAIRS_MAX)
		return QUBE_E_INVALID;
	r = qube__buf_append(&frame, "1", 2);
	if (r == 0)
		r = append_field(&frame, subject);
	if (r == 0)
		r = append_field(&frame, event);
	for (size_t i = 0; r == 0 && i < n_pairs; i++) {
		const char *value = pairs[2 * i + 1];

		/* An empty key would end the frame early. */
		if (!*pairs[2 * i])
			return QUBE_E_INVALID;
		r = append_field(&frame, pairs[2 * i]);
		if (r == 0)
			r = append_field(&frame, value ? value : "None");
	}
	if (r == 0)
		r = qube__buf_append(&frame, "", 1);
	return r < 0 ? r : append_all(out, &frame);
}

int qube__wire_admin_exception(struct qube__buf *out, const char *type, const char *message)
{
	char text[QUBE__ADMIN_MESSAGE_MAX + 1];
	qube__autobuf frame;
	int r;

	qube__buf_init(&frame, 4096);
	qube__text_escape(text, sizeof(text), message, strlen(message));
	r = qube__buf_append(&frame, "2", 2);
	if (r == 0)
		r = append_field(&frame, type);
	if (r == 0)
		r = qube__buf_append(&frame, "", 1); /* no traceback, ever */
	/* The client runs the text through its % operator (admin-api.md 16.5). */
	for (const char *p = text; r == 0 && *p; p++)
		r = qube__buf_append(&frame, *p == '%' ? "%%" : p, *p == '%' ? 2 : 1);
	if (r == 0)
		r = qube__buf_append(&frame, "", 1);
	return r < 0 ? r : append_all(out, &frame);
}

int qube__wire_admin_fail(struct qube__buf *out, int code, int detail, const char *message)
{
	return qube__wire_admin_exception(out, qube__wire_admin_type(code, detail), message);
}

/* The NUL-ended field at *p; false if no NUL is left. */
static bool take_field(const uint8_t **p, const uint8_t *end, const uint8_t **field, size_t *n)
{
	const uint8_t *nul = *p < end ? memchr(*p, 0, (size_t)(end - *p)) : NULL;

	if (!nul)
		return false;
	*field = *p;
	*n = (size_t)(nul - *p);
	*p = nul + 1;
	return true;
}

/* Python's "format % args" for %s, %d, %r and %%; anything else stays as it is. */
static int format_message(struct qube__buf *out, const uint8_t *fmt, size_t n, const uint8_t *p,
			  const uint8_t *end)
{
	const uint8_t *arg;
	size_t arg_len;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (fmt[i] != '%' || i + 1 == n) {
			r = qube__buf_append(out, fmt + i, 1);
		} else if (fmt[i + 1] == '%') {
			r = qube__buf_append(out, fmt + i++, 1);
		} else if (memchr("sdr", fmt[i + 1], 3) && take_field(&p, end, &arg, &arg_len)) {
			r = qube__buf_append(out, arg, arg_len);
			i++;
		} else {
			r = qube__buf_append(out, fmt + i, 1);
		}
	}
	/* A peer's long text is cut, not refused. */
	return r == QUBE_E_LIMIT ? 0 : r;
}

static int parse_exception(struct qube__wire_admin_response *out, const uint8_t *p,
			   const uint8_t *end)
{
	qube__autobuf message;
	const uint8_t *field;
	size_t n;
	int code;
	int detail;
	int r;

	qube__buf_init(&message, QUBE__ADMIN_MESSAGE_MAX + 1);
	if (!take_field(&p, end, &field, &n) || !is_graph(field, n, QUBE__ADMIN_TYPE_MAX))
		return QUBE_E_PROTO;
	put(out->type, field, n);
	if (!take_field(&p, end, &field, &n) || !take_field(&p, end, &field, &n))
		return QUBE_E_PROTO;
	r = format_message(&message, field, n, p, end);
	if (r < 0)
		return r;
	qube__text_escape(out->message, sizeof(out->message), qube__buf_data(&message),
			  message.len);
	qube__wire_admin_codes(out->type, &code, &detail);
	out->kind = QUBE__ADMIN_EXCEPTION;
	out->code = code;
	out->detail = detail;
	return 0;
}

int qube__wire_admin_response_parse(struct qube__wire_admin_response *out, const void *untrusted,
				    size_t len)
{
	struct qube__wire_admin_response got = { .kind = QUBE__ADMIN_OK };
	const uint8_t *p = untrusted;
	int r;

	if (!len)
		return QUBE_E_CLOSED;
	if (len < 2 || p[1])
		return QUBE_E_PROTO;
	switch (p[0]) {
	case '0':
		got.content = p + 2;
		got.content_len = len - 2;
		break;
	case '1':
		got.kind = QUBE__ADMIN_EVENT;
		got.content = p;
		got.content_len = len;
		break;
	case '2':
		r = parse_exception(&got, p + 2, p + len);
		if (r < 0)
			return r;
		break;
	default:
		return QUBE_E_PROTO;
	}
	*out = got;
	return 0;
}

/* What a frame that has no end yet means: more bytes, or a peer that goes on for ever. */
static int unfinished(size_t len)
{
	return len >= QUBE__ADMIN_EVENT_MAX ? QUBE_E_PROTO : QUBE_E_AGAIN;
}

int qube__wire_admin_event_parse(struct qube__wire_admin_event *out, const void *untrusted,
				 size_t len)
{
	struct qube__wire_admin_event ev = { .n_pairs = 0 };
	const uint8_t *p = untrusted;
	const uint8_t *end;
	const uint8_t *field[3];
	size_t n;

	if (!len)
		return QUBE_E_AGAIN;
	if (p[0] != '1' || (len > 1 && p[1]))
		return QUBE_E_PROTO;
	if (len < 2)
		return QUBE_E_AGAIN;
	end = p + (len < QUBE__ADMIN_EVENT_MAX ? len : QUBE__ADMIN_EVENT_MAX);
	p += 2;
	if (!take_field(&p, end, &field[0], &n) || !take_field(&p, end, &field[1], &n))
		return unfinished(len);
	if (!n)
		return QUBE_E_PROTO;
	ev.subject = (const char *)field[0];
	ev.event = (const char *)field[1];
	for (;;) {
		if (!take_field(&p, end, &field[0], &n))
			return unfinished(len);
		if (!n)
			break;
		if (ev.n_pairs == QUBE__ADMIN_PAIRS_MAX)
			return QUBE_E_PROTO;
		if (!take_field(&p, end, &field[1], &n))
			return unfinished(len);
		ev.key[ev.n_pairs] = (const char *)field[0];
		ev.value[ev.n_pairs++] = (const char *)field[1];
	}
	ev.used = (size_t)(p - (const uint8_t *)untrusted);
	*out = ev;
	return 0;
}
