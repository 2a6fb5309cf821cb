/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "disk.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static bool shell(const char *command)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(126);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool apart(void)
{
	static bool done;

	if (!done)
		done = unshare(CLONE_NEWNS) == 0 &&
		       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return done;
}

const char *disk_mount(const char *dir, const char *kind, unsigned int mebibytes)
{
	static char why[128];
	char command[1024];

	if (geteuid() != 0)
		return "needs root";
	snprintf(command, sizeof(command), "grep -qw %s /proc/filesystems", kind);
	if (!shell(command)) {
		snprintf(why, sizeof(why), "this kernel has no %s", kind);
		return why;
	}
	snprintf(command, sizeof(command),
		 strcmp(kind, "tmpfs") == 0 ?
			 "exec mount -t %s -o size=%uM none %s" :
		 strcmp(kind, "overlay") == 0 ?
			 "mount -t tmpfs -o size=%2$uM none %3$s && cd %3$s && "
			 "mkdir l u w && exec mount -t %1$s -o lowerdir=l,"
			 "upperdir=u,workdir=w none %3$s" :
			 "PATH=$PATH:/usr/sbin:/sbin; i=%3$s.image; "
			 "truncate -s %2$uM $i && mkfs.%1$s -q $i >/dev/null 2>&1 && "
			 "mount -o loop $i %3$s; r=$?; rm -f $i; exit $r",
		 kind, mebibytes, dir);
	if (apart() && shell(command) && chmod(dir, 0700) == 0)
		return NULL;
	snprintf(why, sizeof(why), "cannot make and mount %s here", kind);
	return why;
}
