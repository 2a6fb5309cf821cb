/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a qube's programs expect in /run. */
#include "root/root.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int make_services(int run, const char *names)
{
	char path[sizeof("qubes-service/") + ROOT_SERVICE_MAX];

	if (mkdirat(run, "qubes-service", 0755) < 0)
		return root_fail("cannot make the directories of /run");
	for (const char *p = names; *p; p += *p == ' ') {
		int n = (int)strcspn(p, " ");
		qube__autofd fd = -1;

		snprintf(path, sizeof(path), "qubes-service/%.*s", n, p);
		fd = openat(run, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
		if (fd < 0 && errno != EEXIST)
			return root_fail("cannot make the flag of a service");
		p += n;
	}
	return 0;
}

int root_fill_run(int run, const char *services)
{
	if (mkdirat(run, "qubes", 0755) < 0 || mkdirat(run, "lock", 01777) < 0 ||
	    fchmodat(run, "lock", 01777, 0) < 0 || mkdirat(run, "user", 0755) < 0 ||
	    mkdirat(run, "qube", 0755) < 0)
		return root_fail("cannot make the directories of /run");
	return make_services(run, services);
}
