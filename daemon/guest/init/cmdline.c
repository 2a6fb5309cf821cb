/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the host says to a guest on its kernel's command line. */
#include "init.h"

#include "base/cleanup.h"

#include <qube/error.h>

#include <fcntl.h>
#include <string.h>

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char rest[] = "0123456789._-";

/* A name that is one entry of a directory, and a word in passwd. */
static bool is_name(const char *p, size_t len)
{
	if (!len || !strchr(letters, p[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!p[i] || (!strchr(letters, p[i]) && !strchr(rest, p[i])))
			return false;
	return true;
}

static int take_name(char *out, size_t cap, const char *p, size_t len)
{
	if (len >= cap || !is_name(p, len))
		return QUBE_E_PROTO;
	memcpy(out, p, len);
	out[len] = '\0';
	return 0;
}

static int take_services(struct init_cmdline *out, const char *p, size_t len)
{
	size_t begin = 0;

	if (len >= sizeof(out->services))
		return QUBE_E_PROTO;
	for (size_t i = 0; i <= len; i++) {
		if (i < len && p[i] != ',')
			continue;
		if (i - begin > ROOT_SERVICE_MAX || (len && !is_name(p + begin, i - begin)))
			return QUBE_E_PROTO;
		begin = i + 1;
	}
	for (size_t i = 0; i < len; i++)
		out->services[i] = p[i];
	out->services[len] = '\0';
	for (char *at = out->services; (at = strchr(at, ','));)
		*at = ' ';
	return 0;
}

static int take_init(struct init_cmdline *out, const char *p, size_t len)
{
	out->system = len == strlen("system") && memcmp(p, "system", len) == 0;
	return out->system || (len == strlen("agent") && memcmp(p, "agent", len) == 0) ?
		       0 :
		       QUBE_E_PROTO;
}

static bool has_key(const char **p, size_t *len, const char *key)
{
	size_t n = strlen(key);

	if (*len < n || memcmp(*p, key, n) != 0)
		return false;
	*p += n;
	*len -= n;
	return true;
}

static int take_word(struct init_cmdline *out, const char *p, size_t len)
{
	if (has_key(&p, &len, "qube.name="))
		return take_name(out->name, sizeof(out->name), p, len);
	if (has_key(&p, &len, "qube.user="))
		return take_name(out->user, sizeof(out->user), p, len);
	if (has_key(&p, &len, "qube.services="))
		return take_services(out, p, len);
	if (has_key(&p, &len, "qube.init="))
		return take_init(out, p, len);
	return 0;
}

int init_cmdline_parse(struct init_cmdline *out, const char *text, size_t len)
{
	struct init_cmdline c = { .name = "" };
	size_t begin = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && text[i] != ' ' && text[i] != '\n')
			continue;
		if (take_word(&c, text + begin, i - begin) < 0)
			return QUBE_E_PROTO;
		begin = i + 1;
	}
	*out = c;
	return 0;
}

int init_cmdline_read(struct init_cmdline *out)
{
	char text[INIT_CMDLINE_MAX];
	qube__autofd fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (n < 0)
		return root_fail("cannot read the kernel's command line");
	errno = 0;
	if (init_cmdline_parse(out, text, (size_t)n) < 0)
		return root_fail("a value of qube.* on the kernel's command line makes no sense");
	return 0;
}
