/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Configuration of services: `key = value` lines (spec section 6). */
#include "rpc/service.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CONFIG_MAX = 64 * 1024 };

struct cursor {
	const char *p;
	const char *end;
};

static bool letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static void blanks(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
		c->p++;
}

static size_t key(struct cursor *c)
{
	const char *from = c->p;

	if (c->p == c->end || !letter(*c->p))
		return 0;
	while (c->p < c->end &&
	       (letter(*c->p) || digit(*c->p) || *c->p == '.' || *c->p == '-' || *c->p == '_'))
		c->p++;
	return (size_t)(c->p - from);
}

struct value {
	bool is_string;
	const char *p;
	size_t n;
};

static bool bare_ok(const char *p, size_t n)
{
	if ((n == 4 && memcmp(p, "true", 4) == 0) || (n == 5 && memcmp(p, "false", 5) == 0))
		return true;
	for (size_t i = 0; i < n; i++)
		if (!digit(p[i]))
			return false;
	return n == 1 || (n > 1 && p[0] != '0');
}

static bool value(struct cursor *c, struct value *v)
{
	if (c->p < c->end && *c->p == '\'') {
		const char *close;

		c->p++;
		close = memchr(c->p, '\'', (size_t)(c->end - c->p));
		if (!close)
			return false;
		*v = (struct value){ true, c->p, (size_t)(close - c->p) };
		c->p = close + 1;
		/* Two in a row would be a triple quote, or an escape of other dialects. */
		return c->p == c->end || *c->p != '\'';
	}
	v->is_string = false;
	v->p = c->p;
	while (c->p < c->end && (letter(*c->p) || digit(*c->p)))
		c->p++;
	v->n = (size_t)(c->p - v->p);
	return bare_ok(v->p, v->n);
}

static int as_bool(bool *out, const struct value *v)
{
	if (v->is_string)
		return QUBE_E_PROTO;
	if ((v->n == 1 && *v->p == '1') || (v->n == 4 && *v->p == 't'))
		*out = true;
	else if ((v->n == 1 && *v->p == '0') || (v->n == 5 && *v->p == 'f'))
		*out = false;
	else
		return QUBE_E_PROTO;
	return 0;
}

static int store(struct qube__service_config *c, uint32_t *seen, const char *k, size_t n,
		 const struct value *v)
{
	const struct {
		const char *name;
		bool *flag;
	} keys[] = {
		{ "wait-for-session", &c->wait_for_session },
		{ "skip-service-descriptor", &c->skip_service_descriptor },
		{ "exit-on-client-eof", &c->exit_on_client_eof },
		{ "exit-on-service-eof", &c->exit_on_service_eof },
		{ "hand-over-channel", &c->hand_over_channel },
		{ "force-user", NULL },
	};

	for (uint32_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strlen(keys[i].name) != n || memcmp(keys[i].name, k, n) != 0)
			continue;
		if (*seen & 1u << i)
			return QUBE_E_PROTO;
		*seen |= 1u << i;
		if (keys[i].flag)
			return as_bool(keys[i].flag, v);
		if (!v->is_string || !v->n || v->n >= sizeof(c->force_user) ||
		    !qube__qrexec_target_ok(v->p, v->n))
			return QUBE_E_PROTO;
		memcpy(c->force_user, v->p, v->n);
		c->force_user[v->n] = '\0';
		return 0;
	}
	c->unknown++;
	return 0;
}

static int parse_line(struct qube__service_config *out, uint32_t *seen, struct cursor c)
{
	const char *k = c.p;
	struct value v;
	size_t n;

	if (c.p < c.end && c.end[-1] == '\r')
		c.end--;
	if (c.p == c.end || *c.p == '#')
		return 0;
	n = key(&c);
	blanks(&c);
	if (!n || c.p == c.end || *c.p != '=')
		return QUBE_E_PROTO;
	c.p++;
	blanks(&c);
	if (!value(&c, &v))
		return QUBE_E_PROTO;
	blanks(&c);
	if (c.p != c.end && *c.p != '#')
		return QUBE_E_PROTO;
	return store(out, seen, k, n, &v);
}

int qube__service_config_parse(struct qube__service_config *out, uint32_t *line,
			       const void *untrusted, size_t len)
{
	struct qube__service_config config = { 0 };
	const char *p = untrusted;
	const char *end = p + len;
	uint32_t seen = 0;

	*line = 0;
	if (len && memchr(untrusted, '\0', len))
		return QUBE_E_PROTO;
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl ? nl : end;

		++*line;
		if (parse_line(&config, &seen, (struct cursor){ p, stop }) < 0)
			return QUBE_E_PROTO;
		p = nl ? nl + 1 : end;
	}
	if (config.force_user[0] && (config.skip_service_descriptor || config.exit_on_client_eof ||
				     config.exit_on_service_eof))
		return QUBE_E_PROTO;
	/* Who has the channel sees each end itself, and gets it beside the descriptor. */
	if (config.hand_over_channel &&
	    (config.skip_service_descriptor || config.exit_on_client_eof ||
	     config.exit_on_service_eof || config.force_user[0]))
		return QUBE_E_PROTO;
	*out = config;
	return 0;
}

static int load_one(struct qube__service_config *out, const char *dir, int dir_len,
		    const char *file, size_t file_len)
{
	char path[QUBE__PATH_MAX];
	qube__autofree char *text = NULL;
	uint32_t line;
	size_t len;
	int r;

	if (file_len > QUBE__QREXEC_NAME_MAX)
		return QUBE_E_NOENT;
	if ((size_t)snprintf(path, sizeof(path), "%.*s/%.*s", dir_len, dir, (int)file_len, file) >=
	    sizeof(path))
		return qube__fail(QUBE_E_LIMIT, "the path of a configuration is too long");
	r = qube__io_read_file(&text, &len, AT_FDCWD, path, CONFIG_MAX);
	if (r < 0)
		return r;
	if (qube__service_config_parse(out, &line, text, len) < 0)
		return qube__fail_rule(QUBE_E_PROTO, path, line, "%s is wrong at line %u", path,
				       line);
	return 0;
}

static bool is_there(const char *dir, size_t n)
{
	char path[QUBE__PATH_MAX];

	return (size_t)snprintf(path, sizeof(path), "%.*s", (int)n, dir) < sizeof(path) &&
	       access(path, F_OK) == 0;
}

int qube__service_config_load(struct qube__service_config *out, const char *path_list,
			      const struct qube__command *c)
{
	uint32_t absent = 0;

	memset(out, 0, sizeof(*out));
	for (int bare = !c->has_argument; bare < 2; bare++) {
		const char *p = path_list;

		for (uint32_t dir = 1;; dir <<= 1) {
			size_t n = strcspn(p, ":");
			int r = QUBE_E_NOENT;

			/* Mostly there are none: asked once, not for each name. */
			if (n && !(absent & dir) && !is_there(p, n))
				absent |= dir;
			if (n && !(absent & dir))
				r = load_one(out, p, (int)n, c->descriptor,
					     bare ? strlen(c->name) : c->descriptor_len);
			if (r != QUBE_E_NOENT)
				return r;
			if (!p[n])
				break;
			p += n + 1;
		}
	}
	return 0;
}
