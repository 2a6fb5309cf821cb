/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Codec of VOL.vol. */
#include "storage/volume_file.h"

#include "base/text.h"

#include <qube/error.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct words {
	const char *p;
	const char *end;
};

bool qube__layer_id_ok(const char *id)
{
	size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789");

	return n && n < QUBE__LAYER_ID_MAX && id[n] == '\0';
}

/* Words are separated by exactly one space. False: too long for cap, or none left. */
static bool take_word(char *out, size_t cap, struct words *w)
{
	const char *space;
	size_t n;

	if (w->p >= w->end)
		return false;
	space = memchr(w->p, ' ', (size_t)(w->end - w->p));
	n = (size_t)((space ? space : w->end) - w->p);
	if (n == 0 || n >= cap || (space && space + 1 == w->end))
		return false;
	memcpy(out, w->p, n);
	out[n] = '\0';
	w->p += n + (space ? 1 : 0);
	return true;
}

static bool take_id(char out[QUBE__LAYER_ID_MAX], struct words *w)
{
	return take_word(out, QUBE__LAYER_ID_MAX, w) && qube__layer_id_ok(out);
}

static bool take_number(uint64_t *out, struct words *w, uint64_t max)
{
	char word[24];

	return take_word(word, sizeof(word), w) && qube__text_u64(out, word, max) == 0;
}

static bool parse_state(struct qube__volume_state *s, struct words *w)
{
	uint64_t time;

	memset(s, 0, sizeof(*s));
	if (!take_number(&s->number, w, UINT64_MAX - 1) || !take_number(&time, w, INT64_MAX))
		return false;
	s->time = (int64_t)time;
	while (w->p < w->end) {
		if (s->n_layers == QUBE__LAYERS_MAX || !take_id(s->layers[s->n_layers], w))
			return false;
		s->n_layers++;
	}
	return true;
}

static bool parse_line(struct qube__volume_file *f, struct words w)
{
	char key[16];

	if (!take_word(key, sizeof(key), &w))
		return false;
	if (strcmp(key, "pending") == 0)
		return !f->pending[0] && !f->n_states && take_id(f->pending, &w) && w.p == w.end;
	if (strcmp(key, "merged") == 0) {
		struct qube__volume_merged *m = &f->merged[f->n_merged];

		return f->n_merged++ < QUBE__REVISIONS_MAX && !f->n_states && take_id(m->id, &w) &&
		       take_id(m->top, &w) && w.p == w.end;
	}
	if (strcmp(key, "revision") != 0 || f->n_states == QUBE__REVISIONS_MAX ||
	    !parse_state(&f->states[f->n_states], &w))
		return false;
	/* newest first: what is pushed gets a higher number than all */
	if (f->n_states && f->states[f->n_states - 1].number <= f->states[f->n_states].number)
		return false;
	f->n_states++;
	return true;
}

static int parse_lines(struct qube__volume_file *f, const char *p, const char *end)
{
	bool first = true;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		struct words w = { p, nl };
		uint64_t format;
		char key[16];

		if (!nl)
			return QUBE_E_PROTO;
		p = nl + 1;
		if (!first) {
			if (!parse_line(f, w))
				return QUBE_E_PROTO;
			continue;
		}
		first = false;
		if (!take_word(key, sizeof(key), &w) || strcmp(key, "qube-volume") != 0 ||
		    !take_number(&format, &w, UINT32_MAX) || w.p != w.end || format == 0)
			return QUBE_E_PROTO;
		if (format > QUBE__VOLUME_FORMAT)
			return QUBE_E_NOTSUP;
	}
	return first || !f->n_states ? QUBE_E_PROTO : 0;
}

int qube__volume_file_parse(struct qube__volume_file *out, const char *untrusted, size_t len)
{
	struct qube__volume_file f;
	int r;

	if (len > QUBE__VOLUME_FILE_MAX || (len && memchr(untrusted, 0, len)))
		return QUBE_E_PROTO;
	memset(&f, 0, sizeof(f));
	r = len ? parse_lines(&f, untrusted, untrusted + len) : QUBE_E_PROTO;
	if (r < 0)
		return r;
	*out = f;
	return 0;
}

static int put(char *buf, size_t cap, size_t *at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static int put(char *buf, size_t cap, size_t *at, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf + *at, cap - *at, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= cap - *at)
		return QUBE_E_LIMIT;
	*at += (size_t)n;
	return 0;
}

int qube__volume_file_encode(char *buf, size_t cap, const struct qube__volume_file *f)
{
	size_t at = 0;
	int r = put(buf, cap, &at, "qube-volume %d\n", f->n_merged ? 2 : 1);

	if (r == 0 && f->pending[0])
		r = put(buf, cap, &at, "pending %s\n", f->pending);
	for (uint32_t i = 0; r == 0 && i < f->n_merged; i++)
		r = put(buf, cap, &at, "merged %s %s\n", f->merged[i].id, f->merged[i].top);
	for (uint32_t i = 0; r == 0 && i < f->n_states; i++) {
		const struct qube__volume_state *s = &f->states[i];

		r = put(buf, cap, &at, "revision %" PRIu64 " %" PRId64, s->number, s->time);
		for (uint32_t k = 0; r == 0 && k < s->n_layers; k++)
			r = put(buf, cap, &at, " %s", s->layers[k]);
		if (r == 0)
			r = put(buf, cap, &at, "\n");
	}
	return r < 0 ? r : (int)at;
}

int qube__volume_file_push(struct qube__volume_file *f, const struct qube__volume_state *state,
			   int32_t keep)
{
	uint32_t old = keep < 0 ? 0 : (uint32_t)keep;
	uint64_t number = f->n_states ? f->states[0].number + 1 : 1;

	if (state->n_layers > QUBE__LAYERS_MAX)
		return QUBE_E_LIMIT;
	if (old > QUBE__REVISIONS_MAX - 1)
		old = QUBE__REVISIONS_MAX - 1;
	if (f->n_states > old)
		f->n_states = old;
	memmove(&f->states[1], &f->states[0], f->n_states * sizeof(f->states[0]));
	f->states[0] = *state;
	f->states[0].number = number;
	f->n_states++;
	return 0;
}

const char *qube__volume_file_top(const struct qube__volume_file *f,
				  const struct qube__volume_state *s)
{
	if (!s->n_layers)
		return "";
	for (uint32_t i = 0; i < f->n_merged; i++)
		if (strcmp(f->merged[i].id, s->layers[0]) == 0)
			return f->merged[i].top;
	return s->layers[0];
}

bool qube__volume_file_same(const struct qube__volume_file *f, const struct qube__volume_state *a,
			    const struct qube__volume_state *b)
{
	return strcmp(qube__volume_file_top(f, a), qube__volume_file_top(f, b)) == 0;
}

/* A merged layer that no state lists is of no meaning any more. */
static void drop_merged(struct qube__volume_file *f)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < f->n_merged; i++) {
		bool listed = false;

		for (uint32_t k = 0; k < f->n_states && !listed; k++)
			for (uint32_t l = 0; l < f->states[k].n_layers && !listed; l++)
				listed = strcmp(f->states[k].layers[l], f->merged[i].id) == 0;
		if (listed)
			f->merged[kept++] = f->merged[i];
	}
	f->n_merged = kept;
}

static bool ends_with(const struct qube__volume_state *s, const struct qube__volume_state *list)
{
	return list->n_layers && s->n_layers >= list->n_layers &&
	       memcmp(s->layers[s->n_layers - list->n_layers], list->layers[0],
		      list->n_layers * sizeof(list->layers[0])) == 0;
}

int qube__volume_file_merge(struct qube__volume_file *f, const struct qube__volume_state *list,
			    const char *id)
{
	struct qube__volume_merged m;
	int n = 0;

	drop_merged(f);
	if (f->n_merged == QUBE__REVISIONS_MAX)
		return QUBE_E_LIMIT;
	qube__text_copy(m.id, sizeof(m.id), id);
	qube__text_copy(m.top, sizeof(m.top), qube__volume_file_top(f, list));
	for (uint32_t i = 0; i < f->n_states; i++) {
		struct qube__volume_state *s = &f->states[i];

		if (!ends_with(s, list))
			continue;
		s->n_layers -= list->n_layers;
		memcpy(s->layers[s->n_layers++], m.id, sizeof(m.id));
		n++;
	}
	if (n)
		f->merged[f->n_merged++] = m;
	drop_merged(f);
	return n;
}
