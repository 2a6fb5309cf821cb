/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "dpkg.h"
#include "md5.h"

#include <qube/error.h>

static const char status[] =
	"Package: app\nStatus: install ok installed\nArchitecture: amd64\n"
	"Depends: libx (>= 1), mta | mail-tool, awk:any\n"
	"Conffiles:\n /etc/app.conf 0123456789abcdef0123456789abcdef\n"
	" /etc/old d41d8cd98f00b204e9800998ecf8427e obsolete\n\n"
	"Package: libx\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\n\n"
	"Package: libx\nStatus: install ok installed\nArchitecture: i386\nMulti-Arch: same\n\n"
	"Package: mail-tool\nStatus: install ok installed\nArchitecture: all\nPre-Depends: libx\n\n"
	"Package: mta\nStatus: deinstall ok config-files\nArchitecture: amd64\n\n"
	"Package: mawk\nStatus: install ok installed\nArchitecture: amd64\nProvides: awk\n"
	"Essential: yes\n\n"
	"Package: held\nStatus: hold ok installed\nArchitecture: amd64\nDepends: nowhere\n";

static struct slice s(const char *text)
{
	return (struct slice){ text, strlen(text) };
}

static int missing_calls;

static void on_missing(void *user, struct slice package, struct slice wanted)
{
	(void)user;
	(void)package;
	missing_calls += worker_slice_is(wanted, "nowhere");
}

QTEST(dpkg, takes_installed_packages_only)
{
	struct dpkg_db db;

	QT_INT(worker_dpkg_parse(&db, status, strlen(status)), 0);
	QT_INT(db.n_packages, 6);
	QT_TRUE(worker_dpkg_find(&db, s("mta")) == NULL);
	QT_TRUE(worker_dpkg_find(&db, s("held")) != NULL);
	QT_TRUE(worker_dpkg_find(&db, s("mawk"))->essential);
	worker_dpkg_fini(&db);
}

QTEST(dpkg, follows_alternatives_and_provides_to_what_is_installed)
{
	struct dpkg_db db;
	struct dpkg_package *libx;

	QT_INT(worker_dpkg_parse(&db, status, strlen(status)), 0);
	QT_INT(worker_dpkg_include(&db, worker_dpkg_find(&db, s("app")), NULL, NULL), 0);
	QT_TRUE(worker_dpkg_find(&db, s("mail-tool"))->included);
	QT_TRUE(worker_dpkg_find(&db, s("mawk"))->included);
	QT_TRUE(!worker_dpkg_find(&db, s("held"))->included);
	libx = worker_dpkg_find(&db, s("libx"));
	QT_TRUE(libx[0].included);  /* amd64, as the package that wants it */
	QT_TRUE(!libx[1].included); /* i386 */
	missing_calls = 0;
	QT_INT(worker_dpkg_include(&db, worker_dpkg_find(&db, s("held")), on_missing, NULL), 0);
	QT_INT(missing_calls, 1);
	worker_dpkg_fini(&db);
}

QTEST(dpkg, knows_default_content_of_conffiles)
{
	struct dpkg_db db;
	struct slice md5;
	struct dpkg_package *app;

	QT_INT(worker_dpkg_parse(&db, status, strlen(status)), 0);
	app = worker_dpkg_find(&db, s("app"));
	QT_TRUE(worker_dpkg_conffile(&md5, app, s("/etc/app.conf")));
	QT_TRUE(worker_slice_is(md5, "0123456789abcdef0123456789abcdef"));
	QT_TRUE(worker_dpkg_conffile(&md5, app, s("/etc/old")));
	QT_TRUE(!worker_dpkg_conffile(&md5, app, s("/etc/app.con")));
	worker_dpkg_fini(&db);
}

QTEST(dpkg, rejects_what_is_no_status_file)
{
	static const char *const bad[] = {
		"nonsense\n",
		"Package: ../x\nStatus: install ok installed\n",
		"Package: A\nStatus: install ok installed\n",
		"Status: install ok installed\n",
		" continuation first\n",
		"Package: aa\nArchitecture: x/y\n",
	};
	struct dpkg_db db;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (worker_dpkg_parse(&db, bad[i], strlen(bad[i])) != QUBE_E_PROTO)
			QT_FAIL("case %zu was accepted", i);
	QT_INT(worker_dpkg_parse(&db, "Package: aa\0\n", 13), QUBE_E_PROTO);
	QT_INT(worker_dpkg_parse(&db, "", 0), 0);
	worker_dpkg_fini(&db);
}

QTEST(dpkg, threat_11_lists_hold_clean_absolute_paths)
{
	static const char *const bad[] = {
		"/usr/../etc/shadow\n", "usr/bin\n", "/usr//bin\n", "/a/\n", "/./x\n", "/..\n", "\n"
	};
	struct slice rest = s("/.\n/usr\n/usr/bin/x y\n");
	struct slice path;

	QT_INT(worker_dpkg_list_next(&path, &rest), 1);
	QT_TRUE(worker_slice_is(path, "/usr"));
	QT_INT(worker_dpkg_list_next(&path, &rest), 1);
	QT_INT(worker_dpkg_list_next(&path, &rest), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rest = s(bad[i]);
		QT_INT(worker_dpkg_list_next(&path, &rest), QUBE_E_PROTO);
	}
}

QTEST(dpkg, md5_agrees_with_the_rfc)
{
	char out[33];

	worker_md5(out, "", 0);
	QT_STR(out, "d41d8cd98f00b204e9800998ecf8427e");
	worker_md5(out, "message digest", 14);
	QT_STR(out, "f96b697d7cb7938d525a2f31aaf161d0");
	worker_md5(
		out,
		"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
		80);
	QT_STR(out, "57edf4a22be3c955ac49da2e2107b67a");
	worker_md5(out, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcd", 56);
	QT_INT(strlen(out), 32);
}
