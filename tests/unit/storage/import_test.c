/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Imports from a made-up host that is full of secrets. */
#include "qtest.h"
#include "util.h"
#include "md5.h"
#include "worker.h"

#include "base/error.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CANARY "canary-7f3a"

static const char *const planted[] = {
	"host/root/.ssh/id_ed25519",
	"host/root/.bashrc",
	"host/home/user/letter",
	"host/usr/local/bin/tool",
	"host/usr/local/etc/key",
	"host/etc/shadow",
	"host/etc/passwd",
	"host/etc/group",
	"host/etc/hosts",
	"host/etc/hostname",
	"host/etc/ssh/ssh_host_key",
	"host/etc/machine-id",
	"host/etc/resolv.conf",
	"host/etc/nsswitch.conf",
	"host/etc/profile",
	"host/etc/app/changed.conf",
	"host/etc/app/listed-but-no-conffile",
	"host/var/lib/app/state",
	"host/var/lib/dpkg/info/gone.postinst",
	"host/usr/share/unowned/file",
	"host/srv/data",
	"host/opt/unowned",
	"host/boot/key",
	"host/tmp/file",
	"host/run/secret",
	"host/data/real",
	"host/etc/environment",
	"host/etc/timezone",
	"host/etc/fstab",
	"host/etc/default/locale",
};

static void plant_database(void)
{
	char status[2000];
	char md5[33];

	worker_md5(md5, "default\n", 8);
	snprintf(status, sizeof(status),
		 "Package: app\nStatus: install ok installed\nArchitecture: amd64\nDepends: libx\n"
		 "Conffiles:\n /etc/app/same.conf %s\n /etc/app/changed.conf %s\n\n"
		 "Package: libx\nStatus: install ok installed\nArchitecture: amd64\n"
		 "Multi-Arch: same\n\n"
		 "Package: other\nStatus: install ok installed\nArchitecture: amd64\n"
		 "Essential: yes\n\n",
		 md5, md5);
	put_file(at("host/var/lib/dpkg/status"), status, 0644);
	put_file(at("host/var/lib/dpkg/info/app.list"),
		 "/.\n/bin\n/bin/app\n/etc\n/etc/app\n/etc/app/same.conf\n/etc/app/changed.conf\n"
		 "/etc/app/listed-but-no-conffile\n/usr\n/usr/share\n/usr/share/app\n"
		 "/usr/share/app/diverted\n/usr/share/app/setuid\n/usr/share/app/link\n"
		 "/usr/share/moved\n/usr/share/moved/real\n/usr/share/app/device\n/var\n/var/lib\n"
		 "/var/lib/app\n/var/lib/app/state\n/root\n/root/.bashrc\n/usr/local\n"
		 "/usr/local/bin\n/usr/local/bin/tool\n/boot\n/boot/key\n/home\n/home/user\n"
		 "/usr/share/app/missing\n",
		 0644);
	put_file(at("host/var/lib/dpkg/info/libx:amd64.list"), "/.\n/lib\n/lib/libx.so.1\n", 0644);
	put_file(at("host/var/lib/dpkg/info/other.list"), "/.\n/usr\n/usr/bin\n/usr/bin/other\n",
		 0644);
	put_file(at("host/var/lib/dpkg/diversions"),
		 "/usr/share/app/diverted\n/usr/share/app/diverted.orig\nother\n", 0644);
	put_file(at("host/var/lib/dpkg/alternatives/tool"),
		 "manual\n/usr/bin/tool\ntool.1\n/usr/share/tool.1\n\n/usr/local/bin/tool\n99\n\n"
		 "/bin/app\n10\n/usr/share/app/link\n\n",
		 0644);
}

/* Two libraries: one of a package, and one whose name tells of the host. */
static void plant_cache(void)
{
	static const char bytes[] = "glibc-ld.so.cache1.1\2\0\0\0\0\0\0\0\2\0\0\0"
				    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				    "\3\3\0\0\x60\0\0\0\x6a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				    "\3\3\0\0\x79\0\0\0\x79\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				    "libx.so.1\0/lib/libx.so.1\0/opt/" CANARY;
	int fd = open(at("host/etc/ld.so.cache"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	QT_INT(write(fd, bytes, sizeof(bytes)), (long)sizeof(bytes));
	close(fd);
}

static void plant_host(void)
{
	for (size_t i = 0; i < sizeof(planted) / sizeof(planted[0]); i++)
		put_file(at("%s", planted[i]), CANARY "\n", 0644);
	put_file(at("host/usr/bin/app"), "program\n", 0755);
	put_file(at("host/usr/bin/other"), "other program\n", 0755);
	put_file(at("host/usr/lib/libx.so.1"), "library\n", 0644);
	(void)!symlink("usr/bin", at("host/bin"));
	(void)!symlink("usr/lib", at("host/lib"));
	(void)!symlink("/data", at("host/usr/share/moved"));
	put_file(at("host/etc/app/same.conf"), "default\n", 0644);
	put_file(at("host/usr/share/app/diverted.orig"), "the package's own\n", 0644);
	put_file(at("host/usr/share/app/diverted"), "of the other\n", 0644);
	put_file(at("host/usr/share/app/setuid"), "setuid\n", 06755);
	(void)!chown(at("host/usr/share/app/setuid"), 2000, 8);
	(void)!chmod(at("host/usr/share/app/setuid"), 06755);
	(void)!symlink("../../../etc/shadow", at("host/usr/share/app/link"));
	(void)!mknod(at("host/usr/share/app/device"), S_IFCHR | 0666, 0x103);
	plant_database();
	plant_cache();
}

static char notes[4096];

static void on_note(const char *line)
{
	size_t n = strlen(notes);

	snprintf(notes + n, sizeof(notes) - n, "%s\n", line);
}

static int import(struct worker_job *job, uint32_t flags, const char *package)
{
	int host = open(at("host"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int parent = open(at("."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *packages[1] = { package };
	int r;

	notes[0] = '\0';
	*job = (struct worker_job){ .sock = -1, .flags = flags, .on_note = on_note };
	umask(0);
	r = worker_import(job, host, parent, "new", packages, package ? 1 : 0, 0);
	umask(022);
	close(host);
	close(parent);
	return r;
}

QTEST(import, threat_17_host_import_leaks_no_canary)
{
	struct worker_job job;

	scratch_make();
	plant_host();
	QT_TRUE(find_text(at("host"), CANARY) >= (int)(sizeof(planted) / sizeof(planted[0])));
	QT_INT(import(&job, 0, "app"), 0);
	QT_STR(get_file(at("new/usr/bin/app")), "program\n");
	QT_INT(find_text(at("new"), CANARY), 0);
	QT_TRUE(!exists(at("new/home/user/letter")));
	QT_TRUE(!exists(at("new/root/.bashrc")));
	QT_TRUE(!exists(at("new/usr/share/moved/real")));
	QT_TRUE(!exists(at("new/usr/share/app/device")));
	QT_TRUE(strstr(notes, "/etc/app/changed.conf") != NULL);
	scratch_remove();
}

QTEST(import, brings_packages_and_what_they_need)
{
	struct worker_job job;
	struct stat st;

	scratch_make();
	plant_host();
	QT_INT(import(&job, QUBE__JOB_NO_DEFAULTS, "app"), 0);
	QT_INT(job.packages, 2);
	QT_STR(get_file(at("new/usr/lib/libx.so.1")), "library\n");
	QT_STR(get_file(at("new/bin/app")), "program\n");
	QT_INT(find_text(at("new/etc"), "/lib/libx.so.1"), 1);
	QT_STR(get_file(at("new/etc/app/same.conf")), "default\n");
	QT_TRUE(!exists(at("new/usr/bin/other")));
	QT_INT(lstat(at("new/bin"), &st), 0);
	QT_TRUE(S_ISLNK(st.st_mode));
	QT_STR(get_file(at("new/usr/share/app/diverted")), "the package's own\n");
	QT_TRUE(strstr(get_file(at("new/var/lib/dpkg/status")), "Package: libx") != NULL);
	QT_TRUE(strstr(get_file(at("new/var/lib/dpkg/status")), "Package: other") == NULL);
	QT_TRUE(exists(at("new/var/lib/dpkg/info/libx:amd64.list")));
	QT_TRUE(strstr(get_file(at("new/etc/passwd")), "user:x:1000:1000") != NULL);
	QT_TRUE(strstr(get_file(at("new/etc/shadow")), "root:*:") != NULL);
	QT_INT(stat(at("new/etc/shadow"), &st), 0);
	QT_INT(st.st_mode & 07777, 0640);
	QT_INT(stat(at("new/home/user"), &st), 0);
	QT_INT(st.st_uid, 1000);
	scratch_remove();
}

QTEST(import, diverted_files_stay_diverted_with_the_package_that_did_it)
{
	struct worker_job job;

	scratch_make();
	plant_host();
	QT_INT(import(&job, 0, "app"), 0); /* "other" is essential */
	QT_STR(get_file(at("new/usr/share/app/diverted.orig")), "the package's own\n");
	QT_TRUE(strstr(get_file(at("new/var/lib/dpkg/diversions")), "diverted.orig") != NULL);
	scratch_remove();
}

QTEST(import, setuid_bits_come_only_when_asked_for)
{
	struct worker_job job;
	struct stat st;

	scratch_make();
	plant_host();
	QT_INT(import(&job, 0, "app"), 0);
	QT_INT(stat(at("new/usr/share/app/setuid"), &st), 0);
	QT_INT(st.st_mode & 07777, 0755);
	QT_INT(st.st_uid, 0); /* 2000 is nobody in the template */
	QT_INT(st.st_gid, 8);
	QT_INT(rename(at("new"), at("first")), 0);
	QT_INT(import(&job, QUBE__JOB_KEEP_SETID, "app"), 0);
	QT_INT(stat(at("new/usr/share/app/setuid"), &st), 0);
	QT_INT(st.st_mode & 07777, 06755);
	scratch_remove();
}

QTEST(import, alternatives_point_to_what_is_in_the_template)
{
	struct worker_job job;
	char target[64] = "";

	scratch_make();
	plant_host();
	QT_INT(import(&job, 0, "app"), 0);
	QT_INT(readlink(at("new/etc/alternatives/tool"), target, sizeof(target)), 8);
	QT_STR(target, "/bin/app");
	QT_STR(get_file(at("new/usr/bin/tool")), ""); /* absolute: nothing on this machine */
	QT_INT(readlink(at("new/usr/bin/tool"), target, sizeof(target)), 22);
	QT_TRUE(strstr(get_file(at("new/var/lib/dpkg/alternatives/tool")), "/usr/local") == NULL);
	scratch_remove();
}

QTEST(import, a_plan_writes_nothing)
{
	struct worker_job job;

	scratch_make();
	plant_host();
	QT_INT(import(&job, QUBE__JOB_PLAN_ONLY, "app"), 0);
	QT_INT(job.packages, 3);
	QT_TRUE(job.files > 10 && job.total > 0);
	QT_TRUE(!exists(at("new")));
	scratch_remove();
}

QTEST(import, too_little_room_is_refused_before_anything_is_written)
{
	struct worker_job job = { .sock = -1 };
	int host;
	int parent;

	scratch_make();
	plant_host();
	host = open(at("host"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	parent = open(at("."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	QT_INT(worker_import(&job, host, parent, "new", NULL, 0, 1ull << 60), QUBE_E_LIMIT);
	QT_TRUE(!exists(at("new")));
	close(host);
	close(parent);
	scratch_remove();
}

QTEST(import, names_a_package_that_is_not_installed)
{
	struct worker_job job;

	scratch_make();
	plant_host();
	QT_INT(import(&job, 0, "no-such\x1b"), QUBE_E_NOENT);
	QT_TRUE(strstr(qube_error_last()->message, "no-such\\x1b") != NULL);
	QT_TRUE(!exists(at("new")));
	scratch_remove();
}

QTEST(import, threat_13_a_package_link_redirects_no_other_file)
{
	struct worker_job job;

	scratch_make();
	plant_host();
	put_dir(at("victim"), 0755);
	/* libx ships /usr/share/app as a symlink to a directory outside; app ships files below. */
	put_file(at("host/var/lib/dpkg/info/libx:amd64.list"), "/usr\n/usr/evil\n", 0644);
	QT_INT(symlink(at("victim"), at("host/usr/evil")), 0);
	put_file(at("host/var/lib/dpkg/info/app.list"), "/usr\n/usr/evil/file\n/usr/bin/app\n",
		 0644);
	put_file(at("victim/file"), "of the host\n", 0644);
	QT_INT(import(&job, QUBE__JOB_NO_DEFAULTS, "app"), 0);
	QT_STR(get_file(at("victim/file")), "of the host\n");
	QT_INT(count_entries(at("victim")), 1);
	QT_STR(get_file(at("new/usr/bin/app")), "program\n");
	scratch_remove();
}
