/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where our other programs are. The kernel says which file this process runs, so neither PATH nor
 * argv[0] has a say in which programs root starts. */
#include "common/where.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef QUBE_LIBEXECDIR
#define QUBE_LIBEXECDIR "/usr/libexec/qube"
#endif
#ifndef QUBE_SBINDIR
#define QUBE_SBINDIR "/usr/sbin"
#endif
/* From the directory of this program, in an installation that was moved as a whole. */
#ifndef QUBE_TO_LIBEXECDIR
#define QUBE_TO_LIBEXECDIR "../libexec/qube"
#endif
#ifndef QUBE_TO_SBINDIR
#define QUBE_TO_SBINDIR "../sbin"
#endif

/* The path of a program beside this one; 0 if there is one to run. */
static int find_beside(char *out, size_t cap, const char *name)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return -1;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return -1;
	*slash = '\0';
	n = snprintf(out, cap, "%s/%s", self, name);
	return n > 0 && (size_t)n < cap && access(out, X_OK) == 0 ? 0 : -1;
}

void cli_where_helpers(char *out, size_t cap)
{
	if (find_beside(out, cap, "qube-box") == 0 ||
	    find_beside(out, cap, QUBE_TO_LIBEXECDIR "/qube-box") == 0)
		*strrchr(out, '/') = '\0';
	else
		snprintf(out, cap, "%s", QUBE_LIBEXECDIR);
}

void cli_where_daemon(char *out, size_t cap)
{
	if (find_beside(out, cap, "qubed") != 0 &&
	    find_beside(out, cap, QUBE_TO_SBINDIR "/qubed") != 0)
		snprintf(out, cap, "%s/qubed", QUBE_SBINDIR);
}
