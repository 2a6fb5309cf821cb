/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Codec of the messages between the library and qube-worker. Neither side trusts the other's: the
 * worker reads hostile trees. */
#include "event/proto.h"

#include "base/rw.h"

#include <qube/error.h>

enum {
	REQUEST_MAGIC = 0x31524a51, /* "QJR1": the digit is the version */
	REPLY_MAGIC = 0x31414a51,   /* "QJA1" */
};

int qube__job_type_fds(uint32_t type)
{
	switch (type) {
	case QUBE__JOB_COPY_TREE:
	case QUBE__JOB_EXPORT:
	case QUBE__JOB_FLATTEN:
	case QUBE__JOB_IMPORT_HOST:
	case QUBE__JOB_IMPORT_ARCHIVE:
	case QUBE__JOB_SEND:
	case QUBE__JOB_RECEIVE:
	case QUBE__JOB_COPY_IMAGE:
	case QUBE__JOB_EXPORT_IMAGE:
	case QUBE__JOB_IMPORT_IMAGE:
	case QUBE__JOB_MAKE_FS:
		return 2;
	case QUBE__JOB_REMOVE_TREE:
	case QUBE__JOB_USAGE:
	case QUBE__JOB_SYNC:
		return 1;
	case QUBE__JOB_CANCEL:
		return 0;
	default:
		return -1;
	}
}

static bool flags_known(uint32_t type, uint32_t flags)
{
	switch (type) {
	case QUBE__JOB_IMPORT_HOST:
		return (flags & ~(uint32_t)(QUBE__JOB_KEEP_SETID | QUBE__JOB_PLAN_ONLY |
					    QUBE__JOB_NO_DEFAULTS)) == 0;
	case QUBE__JOB_IMPORT_ARCHIVE:
		return (flags & ~(uint32_t)QUBE__JOB_KEEP_SETID) == 0;
	case QUBE__JOB_RECEIVE:
		return (flags & ~(uint32_t)QUBE__JOB_REPLACE) == 0;
	case QUBE__JOB_COPY_IMAGE:
		return (flags & ~(uint32_t)QUBE__JOB_FLUSH) == 0;
	case QUBE__JOB_MAKE_FS:
		return (flags & ~(uint32_t)(QUBE__JOB_EMPTY | QUBE__JOB_NO_JOURNAL)) == 0;
	case QUBE__JOB_SYNC:
		return (flags & ~(uint32_t)QUBE__JOB_ONE_FILE) == 0;
	default:
		return flags == 0;
	}
}

static bool args_plausible(uint32_t type, uint32_t n)
{
	switch (type) {
	case QUBE__JOB_COPY_TREE:
	case QUBE__JOB_SEND:
	case QUBE__JOB_COPY_IMAGE:
	case QUBE__JOB_IMPORT_IMAGE:
		return n == 1;
	case QUBE__JOB_RECEIVE:
		return n == 2;
	case QUBE__JOB_IMPORT_HOST:
		return n >= 1;
	case QUBE__JOB_FLATTEN:
		return n >= 2;
	case QUBE__JOB_IMPORT_ARCHIVE:
		return n == 4;
	case QUBE__JOB_REMOVE_TREE:
		return n <= 1;
	default:
		return n == 0;
	}
}

/* args[0] names one entry of a directory: it must not be able to leave it. */
static bool is_entry_name(const char *s)
{
	size_t len = strlen(s);

	return len && len <= 255 && !strchr(s, '/') && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

int qube__job_request_encode(void *buf, size_t cap, const struct qube__job_request *req)
{
	struct qube__wr w = qube__wr_init(buf, cap);

	if (req->n_args > QUBE__JOB_ARGS_MAX)
		return QUBE_E_LIMIT;
	if (qube__job_type_fds(req->type) < 0 || !flags_known(req->type, req->flags) ||
	    !args_plausible(req->type, req->n_args) ||
	    (req->n_args && !is_entry_name(req->args[0])))
		return QUBE_E_INVALID;
	qube__wr_le32(&w, REQUEST_MAGIC);
	qube__wr_le32(&w, req->type);
	qube__wr_le32(&w, req->flags);
	qube__wr_le32(&w, req->id);
	qube__wr_le64(&w, req->number);
	qube__wr_le32(&w, req->n_args);
	for (uint32_t i = 0; i < req->n_args; i++) {
		size_t len = strlen(req->args[i]);

		if (len > QUBE__JOB_MSG_MAX)
			return QUBE_E_LIMIT;
		qube__wr_le32(&w, (uint32_t)len);
		qube__wr_bytes(&w, req->args[i], len + 1);
	}
	return w.bad ? QUBE_E_LIMIT : (int)w.len;
}

static const char *take_arg(struct qube__rd *r)
{
	uint32_t len = qube__rd_le32(r);
	const uint8_t *p;

	if (r->bad || len > QUBE__JOB_MSG_MAX)
		return NULL;
	p = qube__rd_take(r, (size_t)len + 1);
	if (!p || p[len] != 0 || memchr(p, 0, len))
		return NULL;
	return (const char *)p;
}

int qube__job_request_parse(struct qube__job_request *out, const void *untrusted, size_t len)
{
	struct qube__rd r = qube__rd_init(untrusted, len);
	struct qube__job_request req = { 0 };

	if (len > QUBE__JOB_MSG_MAX || qube__rd_le32(&r) != REQUEST_MAGIC)
		return QUBE_E_PROTO;
	req.type = qube__rd_le32(&r);
	req.flags = qube__rd_le32(&r);
	req.id = qube__rd_le32(&r);
	req.number = qube__rd_le64(&r);
	req.n_args = qube__rd_le32(&r);
	if (r.bad || req.n_args > QUBE__JOB_ARGS_MAX || qube__job_type_fds(req.type) < 0 ||
	    !flags_known(req.type, req.flags) || !args_plausible(req.type, req.n_args))
		return QUBE_E_PROTO;
	for (uint32_t i = 0; i < req.n_args; i++) {
		req.args[i] = take_arg(&r);
		if (!req.args[i])
			return QUBE_E_PROTO;
	}
	if (!qube__rd_done(&r) || (req.n_args && !is_entry_name(req.args[0])))
		return QUBE_E_PROTO;
	*out = req;
	return 0;
}

int qube__job_reply_encode(void *buf, size_t cap, const struct qube__job_reply *reply)
{
	struct qube__wr w = qube__wr_init(buf, cap);
	size_t len = strnlen(reply->text, sizeof(reply->text));

	if (len == sizeof(reply->text))
		return QUBE_E_INVALID;
	qube__wr_le32(&w, REPLY_MAGIC);
	qube__wr_le32(&w, reply->kind);
	qube__wr_le32(&w, reply->id);
	qube__wr_le32(&w, (uint32_t)reply->code);
	qube__wr_le32(&w, (uint32_t)reply->os_errno);
	qube__wr_le64(&w, reply->done);
	qube__wr_le64(&w, reply->total);
	qube__wr_le64(&w, reply->files);
	qube__wr_le64(&w, reply->packages);
	qube__wr_le64(&w, reply->skipped);
	qube__wr_le32(&w, (uint32_t)len);
	qube__wr_bytes(&w, reply->text, len);
	return w.bad ? QUBE_E_LIMIT : (int)w.len;
}

int qube__job_reply_parse(struct qube__job_reply *out, const void *untrusted, size_t len)
{
	struct qube__rd r = qube__rd_init(untrusted, len);
	struct qube__job_reply reply = { 0 };
	const uint8_t *text;
	uint32_t text_len;

	if (len > QUBE__JOB_MSG_MAX || qube__rd_le32(&r) != REPLY_MAGIC)
		return QUBE_E_PROTO;
	reply.kind = qube__rd_le32(&r);
	reply.id = qube__rd_le32(&r);
	reply.code = (int32_t)qube__rd_le32(&r);
	reply.os_errno = (int32_t)qube__rd_le32(&r);
	reply.done = qube__rd_le64(&r);
	reply.total = qube__rd_le64(&r);
	reply.files = qube__rd_le64(&r);
	reply.packages = qube__rd_le64(&r);
	reply.skipped = qube__rd_le64(&r);
	text_len = qube__rd_le32(&r);
	if (r.bad || text_len >= sizeof(reply.text) || reply.kind < QUBE__JOB_PROGRESS ||
	    reply.kind > QUBE__JOB_STAGE ||
	    (reply.kind == QUBE__JOB_STAGE && reply.done >= QUBE__JOB_STAGES) || reply.code > 0 ||
	    reply.code < QUBE_E_CANCELED || reply.os_errno < 0 || reply.os_errno > 4095)
		return QUBE_E_PROTO;
	text = qube__rd_take(&r, text_len);
	if (!text || !qube__rd_done(&r))
		return QUBE_E_PROTO;
	for (uint32_t i = 0; i < text_len; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return QUBE_E_PROTO;
	memcpy(reply.text, text, text_len);
	*out = reply;
	return 0;
}
