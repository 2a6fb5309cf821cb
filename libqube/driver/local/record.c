/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The record of a running machine: lines of text in its run directory, written before it runs and
 * read by the host that finds it. Nothing is flushed: it means nothing after a boot. The file is in
 * a directory of root's alone; it is parsed as if it were not. */
#include "driver/local/local.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { FORMAT = 1, STAT_MAX = 4096, START_FIELD = 22 };

struct out {
	char *buf;
	size_t cap;
	size_t len;
	bool bad;
};

static void put(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->buf + o->len, o->cap - o->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= o->cap - o->len)
		o->bad = true;
	else
		o->len += (size_t)n;
}

int qube__local_record_encode(char *buf, size_t cap, const struct qube__local_record *r)
{
	struct out o = { .buf = buf, .cap = cap };

	put(&o, "qube-run %d\nname %s\nuuid %s\nqid %u\nid-base %u\n", FORMAT, r->name, r->uuid,
	    r->qid, r->id_base);
	put(&o, "pid %" PRIu64 "\npid-start %" PRIu64 "\nstarted %" PRIu64 "\n", r->pid,
	    r->pid_start, r->started_ms);
	put(&o, "unenforced %u\nbound %d\n", r->unenforced, r->bound);
	if (r->group[0])
		put(&o, "group %s\n", r->group);
	for (uint32_t i = 0; i < r->n_layers; i++)
		put(&o, "layer %s\n", r->layers[i]);
	put(&o, "end\n");
	return o.bad ? QUBE_E_LIMIT : (int)o.len;
}

/* One word without what could lead elsewhere. */
static bool take_name(char *out, size_t cap, const char *s)
{
	if (!*s || *s == '.' || *s == '-')
		return false;
	for (const char *p = s; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || *p == '-' || *p == '_' || *p == '.'))
			return false;
	return qube__text_copy(out, cap, s) == 0;
}

static bool take_number(uint64_t *out, const char *s, uint64_t min, uint64_t max)
{
	return qube__text_u64(out, s, max) == 0 && *out >= min;
}

static bool take_u32(uint32_t *out, const char *s, uint64_t min, uint64_t max)
{
	uint64_t v;

	if (!take_number(&v, s, min, max))
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool take_group(struct qube__local_record *r, const char *s)
{
	const char *last = strrchr(s, '/');

	return s[0] == '/' && !strstr(s, "/../") && !strncmp(last, "/qube-", 6) &&
	       qube__text_copy(r->group, sizeof(r->group), s) == 0;
}

enum key { NAME, UUID, QID, ID_BASE, PID, PID_START, STARTED, UNENFORCED, BOUND, GROUP, LAYER };

static bool take_value(struct qube__local_record *r, enum key key, const char *v)
{
	uint32_t bit;

	switch (key) {
	case NAME:
		return take_name(r->name, sizeof(r->name), v);
	case UUID:
		return strlen(v) == 36 && take_name(r->uuid, sizeof(r->uuid), v);
	case QID:
		return take_u32(&r->qid, v, 1, UINT32_MAX);
	case ID_BASE:
		return take_u32(&r->id_base, v, QUBE__BOX_IDS, UINT32_MAX - QUBE__BOX_IDS);
	case PID:
		return take_number(&r->pid, v, 2, INT32_MAX);
	case PID_START:
		return take_number(&r->pid_start, v, 1, UINT64_MAX);
	case STARTED:
		return take_number(&r->started_ms, v, 1, UINT64_MAX);
	case UNENFORCED:
		return take_u32(&r->unenforced, v, 0, QUBE__LOCAL_NO_ALL);
	case BOUND:
		if (!take_u32(&bit, v, 0, 1))
			return false;
		r->bound = bit;
		return true;
	case GROUP:
		return take_group(r, v);
	default:
		return r->n_layers < QUBE__LAYERS_MAX &&
		       take_name(r->layers[r->n_layers++], QUBE__LOCAL_LAYER_MAX, v);
	}
}

static int take_line(struct qube__local_record *r, uint32_t *seen, const char *line)
{
	static const char *const keys[] = { "name",  "uuid",	  "qid",     "id-base",
					    "pid",   "pid-start", "started", "unenforced",
					    "bound", "group",	  "layer" };

	for (uint32_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t n = strlen(keys[i]);

		if (strncmp(line, keys[i], n) || line[n] != ' ')
			continue;
		if ((*seen & 1u << i && i != LAYER) || !take_value(r, (enum key)i, line + n + 1))
			return QUBE_E_PROTO;
		*seen |= 1u << i;
		return 0;
	}
	return QUBE_E_PROTO;
}

int qube__local_record_parse(struct qube__local_record *out, const char *untrusted, size_t len)
{
	enum { NEEDED = (1 << GROUP) - 1 };
	qube__autofree char *text = NULL;
	char *save = NULL;
	char *line;
	uint32_t seen = 0;
	uint64_t format;

	memset(out, 0, sizeof(*out));
	if (!len || len > QUBE__LOCAL_RECORD_MAX || memchr(untrusted, 0, len) ||
	    untrusted[len - 1] != '\n')
		return QUBE_E_PROTO;
	text = malloc(len + 1);
	if (!text)
		return QUBE_E_NOMEM;
	memcpy(text, untrusted, len);
	text[len] = '\0';
	line = strtok_r(text, "\n", &save);
	if (!line || strncmp(line, "qube-run ", 9) ||
	    qube__text_u64(&format, line + 9, UINT32_MAX) < 0 || !format)
		return QUBE_E_PROTO;
	if (format > FORMAT)
		return QUBE_E_NOTSUP;
	while ((line = strtok_r(NULL, "\n", &save))) {
		if (!strcmp(line, "end"))
			return (seen & NEEDED) == NEEDED && !strtok_r(NULL, "\n", &save) ?
				       0 :
				       QUBE_E_PROTO;
		if (take_line(out, &seen, line) < 0)
			return QUBE_E_PROTO;
	}
	return QUBE_E_PROTO;
}

int qube__local_record_fill(struct qube__local_machine *m, const struct qube__machine_spec *spec)
{
	struct qube__local_record *r = calloc(1, sizeof(*r));
	int bad = 0;

	if (!r)
		return qube__fail_nomem();
	m->record = r;
	bad |= qube__text_copy(r->name, sizeof(r->name), m->name);
	bad |= qube__text_copy(r->uuid, sizeof(r->uuid), spec->uuid ? spec->uuid : "");
	r->qid = spec->qid;
	r->id_base = m->id_base;
	r->bound = spec->bound;
	r->unenforced = m->unenforced;
	if (m->group[0] && (size_t)snprintf(r->group, sizeof(r->group), "%s%s%s", m->d->cgroup_path,
					    strcmp(m->d->cgroup_path, "/") ? "/" : "",
					    m->group) >= sizeof(r->group))
		bad = QUBE_E_LIMIT;
	for (uint32_t i = 0; i < spec->root.n_layers; i++) {
		const char *name = strrchr(spec->root.layers[i], '/');

		bad |= qube__text_copy(r->layers[r->n_layers++], QUBE__LOCAL_LAYER_MAX,
				       name ? name + 1 : spec->root.layers[i]);
	}
	return bad ? qube__fail(QUBE_E_LIMIT, "%s: too long a name in its record", m->name) : 0;
}

int qube__local_record_write(struct qube__local_machine *m)
{
	qube__autofree char *text = malloc(QUBE__LOCAL_RECORD_MAX);
	int r;

	if (!text)
		return qube__fail_nomem();
	m->record->started_ms = qube__wall_ms();
	m->record->pid = (uint64_t)m->box.pid;
	r = qube__local_pid_start(&m->record->pid_start, m->box.pid);
	if (r < 0)
		return r;
	r = qube__local_record_encode(text, QUBE__LOCAL_RECORD_MAX, m->record);
	if (r < 0)
		return qube__fail(r, "the record of %s is too long", m->name);
	return qube__io_replace_file(m->dir_fd, "record", text, (size_t)r, 0600, 0);
}

uint64_t qube__local_age_ms(uint64_t pid_start)
{
	long ticks = sysconf(_SC_CLK_TCK);
	uint64_t began = pid_start * 1000 / (uint64_t)(ticks > 0 ? ticks : 100);
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	now = (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
	return now > began ? now - began : 0;
}

/* The 22nd field of stat, counted behind the name, which may hold anything. */
int qube__local_pid_start(uint64_t *out, pid_t pid)
{
	qube__autofree char *text = NULL;
	char path[64];
	char *at;
	char *save = NULL;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	r = qube__io_read_file(&text, NULL, AT_FDCWD, path, STAT_MAX);
	if (r < 0)
		return r;
	at = strrchr(text, ')');
	at = at ? strtok_r(at + 1, " \n", &save) : NULL;
	for (int field = 3; at && field < START_FIELD; field++)
		at = strtok_r(NULL, " \n", &save);
	if (!at || qube__text_u64(out, at, UINT64_MAX) < 0)
		return qube__fail(QUBE_E_PROTO, "%s cannot be read", path);
	return 0;
}
