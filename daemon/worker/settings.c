/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a fresh system has and no package ships. Nothing of it is read from the host's own files:
 * it is written here, or is the default that a package carries below /usr/share. But for the
 * linker's cache: of the host's, what names files that are in the template. */
#include "import.h"
#include "ldcache.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_MAX = 256 * 1024, SHADOW_GID = 42, USER_ID = 1000 };

static const struct {
	const char *path;
	mode_t mode;
	uid_t id;
} dirs[] = {
	{ "dev", 0755, 0 },
	{ "etc", 0755, 0 },
	{ "etc/pam.d", 0755, 0 },
	{ "home", 0755, 0 },
	{ "home/user", 0700, USER_ID },
	{ "mnt", 0755, 0 },
	{ "opt", 0755, 0 },
	{ "proc", 0755, 0 },
	{ "root", 0700, 0 },
	{ "run", 0755, 0 },
	{ "rw", 0755, 0 },
	{ "srv", 0755, 0 },
	{ "sys", 0755, 0 },
	{ "tmp", 01777, 0 },
	{ "usr/local", 0755, 0 },
	{ "var", 0755, 0 },
	{ "var/cache", 0755, 0 },
	{ "var/lib", 0755, 0 },
	{ "var/log", 0755, 0 },
	{ "var/tmp", 01777, 0 },
};

#define PAM_UNIX(type) type " required pam_unix.so\n"

static const struct {
	const char *path;
	const char *text;
	mode_t mode;
	gid_t gid;
} texts[] = {
	{ "etc/hostname", "qube\n", 0644, 0 },
	{ "etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n", 0644, 0 },
	{ "etc/fstab", "# The qube's mounts are made before it starts.\n", 0644, 0 },
	{ "etc/timezone", "Etc/UTC\n", 0644, 0 },
	{ "etc/machine-id", "", 0444, 0 },
	{ "etc/environment", "", 0644, 0 },
	{ "etc/default/locale", "LANG=C.UTF-8\n", 0644, 0 },
	{ "etc/subuid", "", 0644, 0 },
	{ "etc/subgid", "", 0644, 0 },
	{ "etc/pam.d/common-auth", PAM_UNIX("auth"), 0644, 0 },
	{ "etc/pam.d/common-account", PAM_UNIX("account"), 0644, 0 },
	{ "etc/pam.d/common-password", PAM_UNIX("password"), 0644, 0 },
	{ "etc/pam.d/common-session", PAM_UNIX("session"), 0644, 0 },
	{ "etc/pam.d/common-session-noninteractive", PAM_UNIX("session"), 0644, 0 },
};

/* A package's default below /usr/share, or ours when the package is not in. */
static const struct {
	const char *path;
	const char *source;
	const char *text;
} shared[] = {
	{ "etc/nsswitch.conf", "usr/share/libc-bin/nsswitch.conf",
	  "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n" },
	{ "etc/profile", "usr/share/base-files/profile",
	  "PATH=/usr/local/bin:/usr/bin:/bin\nexport PATH\n" },
	{ "etc/shells", "usr/share/debianutils/shells", "/bin/sh\n/bin/bash\n" },
};

/* Reads from the template: only what was imported into it counts. */
static int read_default(struct import *im, char **out, size_t *len, const char *path)
{
	struct import view = *im;

	view.host = im->dest;
	return worker_host_read(&view, out, len, path, DEFAULT_MAX);
}

static int write_shared(struct import *im)
{
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
		qube__autofree char *text = NULL;
		size_t len;
		int r = read_default(im, &text, &len, shared[i].source);

		if (r < 0 && r != QUBE_E_NOENT)
			return r;
		r = worker_import_text(im, shared[i].path, text ? text : shared[i].text,
				       text ? len : strlen(shared[i].text), 0644, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Lines "name:*:..." of a master file: a second field of our own, and locked shadow lines. */
static int add_accounts(struct qube__buf *open, struct qube__buf *locked, struct slice master,
			bool passwd)
{
	struct slice line;
	int r = 0;

	while (r == 0 && worker_slice_next(&line, &master, '\n')) {
		struct slice rest = line;
		struct slice name;
		struct slice star;

		if (!worker_slice_next(&name, &rest, ':') || slice_empty(name) ||
		    !worker_slice_next(&star, &rest, ':'))
			continue;
		r = qube__buf_printf(open, "%.*s:x:%.*s\n", (int)name.len, name.p, (int)rest.len,
				     rest.p);
		if (r == 0)
			r = qube__buf_printf(locked,
					     passwd ? "%.*s:*:19000:0:99999:7:::\n" : "%.*s:*::\n",
					     (int)name.len, name.p);
	}
	return r;
}

static int write_accounts(struct import *im, const char *master, const char *fallback,
			  const char *user_line, const char *user_locked, bool passwd)
{
	qube__autofree char *text = NULL;
	qube__autobuf open;
	qube__autobuf locked;
	size_t len = strlen(fallback);
	int r = read_default(im, &text, &len, master);

	qube__buf_init(&open, DEFAULT_MAX);
	qube__buf_init(&locked, DEFAULT_MAX);
	if (r < 0 && r != QUBE_E_NOENT)
		return r;
	if (!text)
		len = strlen(fallback);
	r = add_accounts(&open, &locked, (struct slice){ text ? text : fallback, len }, passwd);
	if (r == 0)
		r = qube__buf_append(&open, user_line, strlen(user_line));
	if (r == 0)
		r = qube__buf_append(&locked, user_locked, strlen(user_locked));
	if (r < 0)
		return qube__fail(r, "cannot write the accounts");
	r = worker_import_text(im, passwd ? "etc/passwd" : "etc/group",
			       (const char *)qube__buf_data(&open), open.len, 0644, 0);
	if (r == 0)
		r = worker_import_text(im, passwd ? "etc/shadow" : "etc/gshadow",
				       (const char *)qube__buf_data(&locked), locked.len, 0640,
				       SHADOW_GID);
	return r;
}

int worker_import_settings(struct import *im)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		r = worker_import_dir(im, dirs[i].path, dirs[i].mode, dirs[i].id, dirs[i].id);
	for (size_t i = 0; r == 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
		r = worker_import_text(im, texts[i].path, texts[i].text, strlen(texts[i].text),
				       texts[i].mode, texts[i].gid);
	if (r == 0)
		r = write_shared(im);
	if (r == 0)
		r = write_accounts(im, "usr/share/base-passwd/passwd.master",
				   "root:*:0:0:root:/root:/bin/sh\n"
				   "nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
				   "user:x:1000:1000:user:/home/user:/bin/bash\n",
				   "user:*:19000:0:99999:7:::\n", true);
	if (r == 0)
		r = write_accounts(im, "usr/share/base-passwd/group.master",
				   "root:*:0:\nshadow:*:42:\nnogroup:*:65534:\n", "user:x:1000:\n",
				   "user:*::\n", false);
	if (r == 0)
		r = worker_import_link(im, "etc/mtab", "../proc/self/mounts");
	if (r == 0 && worker_import_has(im, "usr/share/zoneinfo/Etc/UTC"))
		r = worker_import_link(im, "etc/localtime", "/usr/share/zoneinfo/Etc/UTC");
	return r;
}

/* A cache names files through /lib, which may be a link into /usr. */
static bool is_imported(void *user, const char *path)
{
	const struct import *im = user;
	char under_usr[4096];
	qube__autofd fd = -1;

	if (path[0] != '/')
		return false;
	fd = worker_open(im->dest, path + 1, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0 &&
	    (size_t)snprintf(under_usr, sizeof(under_usr), "usr%s", path) < sizeof(under_usr))
		fd = worker_open(im->dest, under_usr, O_PATH | O_NOFOLLOW, 0);
	return fd >= 0;
}

int worker_import_ldcache(struct import *im)
{
	qube__autofree char *text = NULL;
	qube__autobuf cache;
	size_t kept;
	size_t len;
	int r = worker_host_read(im, &text, &len, "etc/ld.so.cache", WORKER_LDCACHE_MAX);

	qube__buf_init(&cache, WORKER_LDCACHE_MAX);
	if (r == 0)
		r = worker_ldcache_keep(&cache, &kept, text, len, is_imported, im);
	else if (r == QUBE_E_NOENT)
		return 0;
	if (r == QUBE_E_PROTO) {
		worker_note(im->job, "left out: the linker's cache is of a form that is not known");
		return 0;
	}
	if (r < 0)
		return r == QUBE_E_NOMEM ? qube__fail_nomem() : r;
	return worker_import_text(im, "etc/ld.so.cache", (const char *)qube__buf_data(&cache),
				  cache.len, 0644, 0);
}
