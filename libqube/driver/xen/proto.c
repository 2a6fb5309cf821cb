/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Codec of the messages between the xen driver and qube-xl. */
#include "driver/xen/proto.h"

#include "base/coder.h"

#include <qube/error.h>

static void id(struct qube__coder *c, struct qube__xl_msg *m)
{
	qube__coder_choice(c, &m->id, 1, UINT32_MAX);
}

static void uuid(struct qube__coder *c, struct qube__xl_msg *m)
{
	const uint8_t *at = m->uuid;
	size_t n = QUBE__XL_UUID;

	qube__coder_bytes(c, &at, &n, QUBE__XL_UUID);
	if (n != QUBE__XL_UUID)
		c->bad = true;
	else if (!c->writing && at)
		memcpy(m->uuid, at, QUBE__XL_UUID);
}

/* Of a domain: what the host calls its qubes, and nothing that a path or a log would mind. */
static void name(struct qube__coder *c, struct qube__xl_msg *m)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-";
	const char *s;

	qube__coder_text(c, &m->name, QUBE__XL_NAME_MAX);
	s = m->name ? m->name : "";
	if (!*s || *s == '-' || strspn(s, allowed) != strlen(s))
		c->bad = true;
}

static void file(struct qube__coder *c, const char **s, bool needed)
{
	const char *path;

	qube__coder_text(c, s, QUBE__XL_PATH_MAX);
	path = *s ? *s : "";
	if (*path ? *path != '/' : needed)
		c->bad = true;
}

static void memory(struct qube__coder *c, uint64_t *kb)
{
	qube__coder_u64(c, kb);
	if (*kb < QUBE__XL_KB_MIN || *kb > INT64_MAX / 1024)
		c->bad = true;
}

static void disk(struct qube__coder *c, struct qube__xl_disk *d)
{
	qube__coder_choice(c, &d->slot, 0, 25);
	qube__coder_flag(c, &d->writable);
	file(c, &d->path, true);
}

static void create(struct qube__coder *c, struct qube__xl_msg *m)
{
	qube__coder_choice(c, &m->kind, QUBE__XL_PV, QUBE__XL_PVH);
	qube__coder_choice(c, &m->vcpus, 1, QUBE__XL_VCPUS_MAX);
	memory(c, &m->memory_kb);
	memory(c, &m->max_kb);
	name(c, m);
	file(c, &m->kernel, true);
	file(c, &m->ramdisk, false);
	qube__coder_text(c, &m->cmdline, QUBE__XL_CMDLINE_MAX);
	qube__coder_text(c, &m->record, QUBE__XL_RECORD_MAX);
	qube__coder_choice(c, &m->n_disks, 0, QUBE__XL_DISKS_MAX);
	for (uint32_t i = 0; !c->bad && i < m->n_disks; i++)
		disk(c, &m->disks[i]);
	if (!m->record || !*m->record)
		c->bad = true;
	if (m->memory_kb > m->max_kb)
		c->bad = true;
}

static void order(struct qube__coder *c, struct qube__xl_msg *m)
{
	id(c, m);
	if (m->type == QUBE__XL_LIST)
		return;
	uuid(c, m);
	if (m->type == QUBE__XL_MEMORY)
		memory(c, &m->memory_kb);
	if (m->type == QUBE__XL_MEMORY || m->type == QUBE__XL_WATCH)
		return;
	qube__coder_choice(c, &m->deadline_ms, 1, INT32_MAX);
	if (m->type == QUBE__XL_CREATE)
		create(c, m);
}

static void answer(struct qube__coder *c, struct qube__xl_msg *m)
{
	switch (m->type) {
	case QUBE__XL_HOST:
		qube__coder_u32(c, &m->version);
		qube__coder_choice(c, &m->state, 0, QUBE__XL_HAS_ANY);
		qube__coder_u64(c, &m->memory_kb);
		qube__coder_u64(c, &m->max_kb);
		qube__coder_text(c, &m->text, QUBE__XL_TEXT_MAX);
		break;
	case QUBE__XL_DOMAIN:
		id(c, m);
		uuid(c, m);
		qube__coder_u32(c, &m->domid);
		qube__coder_choice(c, &m->state, 0, QUBE__XL_IS_ANY);
		qube__coder_choice(c, &m->reason, QUBE__XL_POWEROFF, QUBE__XL_OTHER);
		qube__coder_u64(c, &m->memory_kb);
		qube__coder_u64(c, &m->max_kb);
		qube__coder_u64(c, &m->cpu_ns);
		qube__coder_text(c, &m->name, QUBE__XL_TEXT_MAX);
		qube__coder_text(c, &m->record, QUBE__XL_RECORD_MAX);
		break;
	case QUBE__XL_DONE:
		id(c, m);
		qube__coder_i32(c, &m->code);
		qube__coder_u32(c, &m->domid);
		qube__coder_u64(c, &m->memory_kb);
		qube__coder_text(c, &m->text, QUBE__XL_TEXT_MAX);
		if (m->code > 0)
			c->bad = true;
		break;
	case QUBE__XL_SHUT:
	case QUBE__XL_GONE:
		uuid(c, m);
		qube__coder_u32(c, &m->domid);
		qube__coder_choice(c, &m->reason, QUBE__XL_POWEROFF, QUBE__XL_OTHER);
		break;
	case QUBE__XL_USED:
		uuid(c, m);
		qube__coder_u32(c, &m->domid);
		qube__coder_u64(c, &m->memory_kb);
		break;
	default:
		c->bad = true;
	}
}

static void fields(struct qube__coder *c, struct qube__xl_msg *m)
{
	if (m->type >= QUBE__XL_LIST && m->type <= QUBE__XL_WATCH)
		order(c, m);
	else
		answer(c, m);
}

int qube__xl_encode(void *out, size_t cap, const struct qube__xl_msg *m)
{
	struct qube__coder c = { .writing = true, .w = qube__wr_init(out, cap) };
	struct qube__xl_msg copy = *m;

	qube__coder_u32(&c, &copy.type);
	fields(&c, &copy);
	if (c.bad)
		return QUBE_E_INVALID;
	return c.w.bad ? QUBE_E_LIMIT : (int)c.w.len;
}

int qube__xl_decode(struct qube__xl_msg *out, const void *untrusted, size_t len)
{
	struct qube__coder c = { .r = qube__rd_init(untrusted, len) };
	struct qube__xl_msg m = { 0 };

	qube__coder_u32(&c, &m.type);
	fields(&c, &m);
	if (c.bad || !qube__rd_done(&c.r))
		return QUBE_E_PROTO;
	*out = m;
	return 0;
}
