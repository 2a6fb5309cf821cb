/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A command's parts and the file of its service (spec section 5). */
#include "rpc/service.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Copies n bytes as a string if they are within the target alphabet, not empty, and fit. */
static bool take_name(char *out, size_t cap, const char *s, size_t n)
{
	if (!n || n >= cap || !qube__qrexec_target_ok(s, n))
		return false;
	memcpy(out, s, n);
	out[n] = '\0';
	return true;
}

/* The next token up to one space or the end; NULL when there is none. */
static const char *token(const char **p, size_t *n)
{
	const char *at = *p;

	if (!at)
		return NULL;
	*n = strcspn(at, " ");
	*p = at[*n] ? at + *n + 1 : NULL;
	return at;
}

static int parse_service(struct qube__command *c, const char *p)
{
	const char *at;
	const char *plus;
	size_t n;

	c->rest = p;
	c->descriptor = token(&p, &c->descriptor_len);
	if (!c->descriptor || !qube__qrexec_service_ok(c->descriptor, c->descriptor_len))
		return QUBE_E_PROTO;
	plus = memchr(c->descriptor, '+', c->descriptor_len);
	n = plus ? (size_t)(plus - c->descriptor) : c->descriptor_len;
	memcpy(c->name, c->descriptor, n);
	c->name[n] = '\0';
	c->has_argument = plus != NULL;
	c->argument = plus ? plus + 1 : "";
	c->argument_len = plus ? c->descriptor_len - n - 1 : 0;
	at = token(&p, &n);
	if (!at || !take_name(c->source, sizeof(c->source), at, n))
		return QUBE_E_PROTO;
	at = token(&p, &n);
	if (!at)
		return 0;
	if (!take_name(c->type, sizeof(c->type), at, n) ||
	    (strcmp(c->type, "name") != 0 && strcmp(c->type, "keyword") != 0))
		return QUBE_E_PROTO;
	at = token(&p, &n);
	if (!at || p || !take_name(c->target, sizeof(c->target), at, n))
		return QUBE_E_PROTO;
	return 0;
}

int qube__command_parse(struct qube__command *out, const char *untrusted_command)
{
	static const char nogui[] = "nogui:";
	static const char rpc[] = "QUBESRPC ";
	struct qube__command c = { .argument = "" };
	const char *p = strchr(untrusted_command, ':');
	int r = 0;

	if (!p ||
	    !take_name(c.user, sizeof(c.user), untrusted_command, (size_t)(p - untrusted_command)))
		return QUBE_E_PROTO;
	p++;
	if (strncmp(p, nogui, sizeof(nogui) - 1) == 0) {
		c.nogui = true;
		p += sizeof(nogui) - 1;
	}
	if (strncmp(p, rpc, sizeof(rpc) - 1) == 0) {
		c.is_service = true;
		r = parse_service(&c, p + sizeof(rpc) - 1);
	} else {
		c.shell = p;
	}
	if (r == 0)
		*out = c;
	return r;
}

/* 1: found, 0: not here, or an error. Only "no such file" lets the search go on. */
static int look_at(struct qube__service_file *out, const char *dir, size_t dir_len,
		   const char *file, size_t file_len)
{
	char text[16];
	struct stat st;
	ssize_t n;

	if (file_len > QUBE__QREXEC_NAME_MAX)
		return 0;
	if ((size_t)snprintf(out->path, sizeof(out->path), "%.*s/%.*s", (int)dir_len, dir,
			     (int)file_len, file) >= sizeof(out->path))
		return qube__fail(QUBE_E_LIMIT, "the path of a service is too long");
	/* A link to /dev/tcp is a name, not a file: seen before it is followed. */
	n = readlink(out->path, text, sizeof(text));
	if (n >= 8 && memcmp(text, "/dev/tcp", 8) == 0 && (n == 8 || text[8] == '/'))
		return qube__fail(QUBE_E_NOTSUP, "%s is a TCP service", out->path);
	if (n < 0 && errno == ENOENT)
		return 0;
	if (stat(out->path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return qube__fail_os("cannot look at %s", out->path);
	}
	if (S_ISSOCK(st.st_mode)) {
		out->kind = QUBE__SERVICE_SOCKET;
		return 1;
	}
	if (S_ISREG(st.st_mode) && (st.st_mode & 0111)) {
		out->kind = QUBE__SERVICE_EXEC;
		return 1;
	}
	return qube__fail(QUBE_E_INVALID, "%s is no program and no socket", out->path);
}

static int search(struct qube__service_file *out, const char *path_list, const char *file,
		  size_t file_len)
{
	const char *p = path_list;

	for (;;) {
		size_t n = strcspn(p, ":");
		int r = n ? look_at(out, p, n, file, file_len) : 0;

		if (r)
			return r;
		if (!p[n])
			return 0;
		p += n + 1;
	}
}

int qube__service_find(struct qube__service_file *out, const char *path_list,
		       const struct qube__command *c)
{
	char bare[QUBE__QREXEC_NAME_MAX + 2];
	struct qube__service_file found;
	int r;

	if (c->has_argument) {
		r = search(&found, path_list, c->descriptor, c->descriptor_len);
	} else {
		/* Without a '+' the lookup behaves as with an empty argument. */
		snprintf(bare, sizeof(bare), "%s+", c->name);
		r = search(&found, path_list, bare, strlen(bare));
	}
	if (r == 0)
		r = search(&found, path_list, c->name, strlen(c->name));
	if (r < 0)
		return r;
	if (r == 0)
		return qube__fail(QUBE_E_NOENT, "there is no service %s", c->name);
	*out = found;
	return 0;
}
