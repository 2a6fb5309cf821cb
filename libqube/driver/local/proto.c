/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Codec of the messages between the local driver and qube-box. */
#include "driver/local/proto.h"

#include "base/rw.h"

#include <qube/error.h>

enum { PATH_LIMIT = 4096, NAME_LIMIT = 64 };

static void put_head(struct qube__wr *w, uint32_t version, uint32_t type)
{
	qube__wr_le32(w, version ? version : QUBE__BOX_VERSION);
	qube__wr_le32(w, type);
}

static bool take_head(struct qube__rd *r, uint32_t *version, uint32_t *type)
{
	*version = qube__rd_le32(r);
	*type = qube__rd_le32(r);
	return !r->bad && qube__box_version_ok(*version);
}

bool qube__box_version_ok(uint32_t version)
{
	return version >= QUBE__BOX_VERSION_MIN && version <= QUBE__BOX_VERSION;
}

/* Length without the NUL, the bytes, a NUL: so that the decoded string can stay where it is. */
static void put_string(struct qube__wr *w, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (n >= PATH_LIMIT) {
		w->bad = true;
		return;
	}
	qube__wr_le32(w, (uint32_t)n);
	qube__wr_bytes(w, n ? s : "", n);
	qube__wr_bytes(w, "", 1);
}

static bool take_string(struct qube__rd *r, const char **out)
{
	uint32_t n = qube__rd_le32(r);
	const uint8_t *at;

	if (n >= PATH_LIMIT)
		return false;
	at = qube__rd_take(r, (size_t)n + 1);
	if (!at || at[n] != 0 || memchr(at, 0, n))
		return false;
	*out = (const char *)at;
	return true;
}

static bool take_path(struct qube__rd *r, const char **out)
{
	return take_string(r, out) && ((*out)[0] == '\0' || (*out)[0] == '/');
}

/* One component of a path, and safe in /etc/passwd's first column and as a host name. */
static bool take_name(struct qube__rd *r, const char **out)
{
	size_t n;

	if (!take_string(r, out))
		return false;
	n = strlen(*out);
	if (n >= NAME_LIMIT || (*out)[0] == '.' || (*out)[0] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = (*out)[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_' || c == '.'))
			return false;
	}
	return true;
}

/* Each is a file's name, and one that a guest of Qubes OS would take (vchan-qubesdb.md). */
static bool take_services(struct qube__rd *r, const char **out)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_";
	const char *p;

	if (!take_string(r, out))
		return false;
	for (p = *out; *p; p += *p == ' ' && p[1]) {
		size_t n = strcspn(p, " ");

		if (!n || n > QUBE__BOX_SERVICE_MAX || !strchr(first, *p) ||
		    strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "0123456789_.-") != n)
			return false;
		p += n;
	}
	return true;
}

static void put_volume(struct qube__wr *w, const struct qube__box_volume *v)
{
	if (v->n_layers > QUBE__BOX_LAYERS_MAX) {
		w->bad = true;
		return;
	}
	qube__wr_le32(w, v->kind);
	qube__wr_le32(w, (v->read_only ? 1u : 0u) | (v->discard ? 2u : 0u));
	qube__wr_le64(w, v->size_bytes);
	qube__wr_le32(w, v->n_layers);
	for (uint32_t i = 0; i < v->n_layers; i++)
		put_string(w, v->layers[i]);
	put_string(w, v->upper);
	put_string(w, v->work);
}

/* What each kind must and must not have. */
static bool volume_is_sane(const struct qube__box_volume *v)
{
	bool upper = v->upper[0] != '\0';
	bool work = v->work[0] != '\0';

	switch (v->kind) {
	case QUBE__BOX_VOLUME_NONE:
		return !upper && !work && v->n_layers == 0;
	case QUBE__BOX_VOLUME_LAYERED:
		return upper == work && (upper || (v->read_only && v->n_layers > 0));
	case QUBE__BOX_VOLUME_TREE:
		return upper && !work && v->n_layers == 0;
	case QUBE__BOX_VOLUME_TMPFS:
		return !upper && !work && v->n_layers == 0 && v->size_bytes > 0;
	default:
		return false;
	}
}

static bool take_volume(struct qube__rd *r, struct qube__box_volume *v)
{
	uint32_t bits;

	v->kind = qube__rd_le32(r);
	bits = qube__rd_le32(r);
	v->read_only = (bits & 1) != 0;
	v->discard = (bits & 2) != 0;
	v->size_bytes = qube__rd_le64(r);
	v->n_layers = qube__rd_le32(r);
	if (r->bad || bits > 3 || v->n_layers > QUBE__BOX_LAYERS_MAX)
		return false;
	for (uint32_t i = 0; i < v->n_layers; i++)
		if (!take_path(r, &v->layers[i]) || v->layers[i][0] != '/')
			return false;
	return take_path(r, &v->upper) && take_path(r, &v->work) && volume_is_sane(v);
}

int qube__box_spec_encode(void *buf, size_t cap, size_t *len, const struct qube__box_spec *spec)
{
	struct qube__wr w = qube__wr_init(buf, cap);

	put_head(&w, 0, QUBE__BOX_SPEC);
	put_string(&w, spec->name);
	put_string(&w, spec->user);
	put_string(&w, spec->scratch);
	put_string(&w, spec->guest_dir);
	put_string(&w, spec->services);
	qube__wr_le32(&w, spec->id_base);
	qube__wr_le32(&w, spec->role);
	qube__wr_le32(&w, spec->flags);
	qube__wr_le32(&w, spec->pids_max);
	put_volume(&w, &spec->root);
	put_volume(&w, &spec->private_volume);
	put_volume(&w, &spec->volatile_volume);
	if (w.bad)
		return QUBE_E_LIMIT;
	*len = w.len;
	return 0;
}

static bool take_spec(struct qube__rd *r, struct qube__box_spec *s)
{
	uint32_t version;
	uint32_t type;

	/* Driver and box of one start are of one release. */
	if (!take_head(r, &version, &type) || version != QUBE__BOX_VERSION ||
	    type != QUBE__BOX_SPEC || !take_name(r, &s->name) || s->name[0] == '\0' ||
	    !take_name(r, &s->user) || !take_path(r, &s->scratch) || s->scratch[0] == '\0' ||
	    !take_path(r, &s->guest_dir) || !take_services(r, &s->services))
		return false;
	s->id_base = qube__rd_le32(r);
	s->role = qube__rd_le32(r);
	s->flags = qube__rd_le32(r);
	s->pids_max = qube__rd_le32(r);
	/* Never the host's own users, never (uid_t)-1. */
	if (r->bad || s->id_base < QUBE__BOX_IDS || s->id_base > UINT32_MAX - QUBE__BOX_IDS ||
	    s->role > QUBE__BOX_ROLE_NET || (s->flags & ~(uint32_t)QUBE__BOX_FLAGS) ||
	    s->pids_max < 8 || s->pids_max > 1u << 22)
		return false;
	return take_volume(r, &s->root) && take_volume(r, &s->private_volume) &&
	       take_volume(r, &s->volatile_volume) &&
	       (s->root.kind == QUBE__BOX_VOLUME_LAYERED ||
		s->root.kind == QUBE__BOX_VOLUME_TREE) &&
	       s->private_volume.kind != QUBE__BOX_VOLUME_LAYERED &&
	       s->volatile_volume.kind != QUBE__BOX_VOLUME_LAYERED && qube__rd_done(r);
}

int qube__box_spec_decode(struct qube__box_spec *out, const void *untrusted, size_t len)
{
	struct qube__rd r = qube__rd_init(untrusted, len);
	struct qube__box_spec spec = { 0 };

	if (!take_spec(&r, &spec))
		return QUBE_E_PROTO;
	*out = spec;
	return 0;
}

int qube__box_order_encode(void *buf, size_t cap, size_t *len, const struct qube__box_order *o)
{
	struct qube__wr w = qube__wr_init(buf, cap);

	put_head(&w, o->version, o->type);
	qube__wr_le32(&w, o->grace_ms);
	if (w.bad)
		return QUBE_E_LIMIT;
	*len = w.len;
	return 0;
}

int qube__box_order_decode(struct qube__box_order *out, const void *untrusted, size_t len)
{
	struct qube__rd r = qube__rd_init(untrusted, len);
	struct qube__box_order o = { 0 };

	if (!take_head(&r, &o.version, &o.type) || o.type < QUBE__BOX_RUN ||
	    o.type > QUBE__BOX_VOLUMES)
		return QUBE_E_PROTO;
	o.grace_ms = qube__rd_le32(&r);
	if (!qube__rd_done(&r) || o.grace_ms > 3600u * 1000u)
		return QUBE_E_PROTO;
	*out = o;
	return 0;
}

int qube__box_reply_encode(void *buf, size_t cap, size_t *len, const struct qube__box_reply *r)
{
	struct qube__wr w = qube__wr_init(buf, cap);
	size_t n = strnlen(r->text, QUBE__BOX_TEXT_MAX - 1);

	put_head(&w, r->version, r->type);
	qube__wr_le32(&w, (uint32_t)r->status);
	qube__wr_le32(&w, (uint32_t)r->os_errno);
	qube__wr_le32(&w, (uint32_t)n);
	qube__wr_bytes(&w, r->text, n);
	if (w.bad)
		return QUBE_E_LIMIT;
	*len = w.len;
	return 0;
}

int qube__box_reply_decode(struct qube__box_reply *out, const void *untrusted, size_t len)
{
	struct qube__rd r = qube__rd_init(untrusted, len);
	struct qube__box_reply reply = { 0 };
	const uint8_t *text;
	uint32_t n;

	/* A HELLO is how a version is told: its form stays, its number may be any. */
	if ((!take_head(&r, &reply.version, &reply.type) && reply.type != QUBE__BOX_HELLO) ||
	    reply.type < QUBE__BOX_BORN || reply.type > QUBE__BOX_STAGE || !reply.version)
		return QUBE_E_PROTO;
	reply.status = (int32_t)qube__rd_le32(&r);
	reply.os_errno = (int32_t)qube__rd_le32(&r);
	n = qube__rd_le32(&r);
	if (n >= QUBE__BOX_TEXT_MAX)
		return QUBE_E_PROTO;
	text = qube__rd_take(&r, n);
	if (!qube__rd_done(&r) || !text || memchr(text, 0, n) || reply.os_errno < 0)
		return QUBE_E_PROTO;
	memcpy(reply.text, text, n);
	*out = reply;
	return 0;
}
