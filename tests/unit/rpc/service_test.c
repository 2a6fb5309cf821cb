/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qtest.h"

#include "rpc/service.h"

#include <qube/error.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

QTEST(command, a_service_call_has_all_its_parts)
{
	struct qube__command c;

	QT_INT(qube__command_parse(&c, "user:QUBESRPC a.B+c+d work"), 0);
	QT_STR(c.user, "user");
	QT_STR(c.name, "a.B");
	QT_STR(c.source, "work");
	QT_STR(c.type, "");
	QT_STR(c.rest, "a.B+c+d work");
	QT_INT(c.argument_len, 3);
	QT_MEM(c.argument, "c+d", 3);
	QT_INT(qube__command_parse(&c, "root:nogui:QUBESRPC a.B work keyword adminvm"), 0);
	QT_TRUE(c.nogui && !c.has_argument);
	QT_STR(c.type, "keyword");
	QT_STR(c.target, "adminvm");
	QT_INT(qube__command_parse(&c, "user:echo QUBESRPC a b"), 0);
	QT_TRUE(!c.is_service);
	QT_STR(c.shell, "echo QUBESRPC a b");
}

QTEST(command, rejects_what_is_malformed)
{
	static const char *const bad[] = {
		"",
		"user",
		":x",
		"user:QUBESRPC ",
		"user:QUBESRPC a.B",
		"user:QUBESRPC  a.B work",
		"user:QUBESRPC a.B ",
		"user:QUBESRPC +a work",
		"user:QUBESRPC a/b work",
		"user:QUBESRPC .. work",
		"user:QUBESRPC a.B work name",
		"us/er:x",
		"user:QUBESRPC a.B work name x y",
		"user:QUBESRPC a.B work other x",
		"user:QUBESRPC a.B wo$rk",
		"user:QUBESRPC a;b work",
	};
	struct qube__command c;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		QT_INT(qube__command_parse(&c, bad[i]) == QUBE_E_PROTO ? -1 : (int)i, -1);
}

static int parse(struct qube__service_config *c, const char *text, uint32_t *line)
{
	return qube__service_config_parse(c, line, text, strlen(text));
}

QTEST(service_config, reads_its_keys_and_counts_the_unknown)
{
	struct qube__service_config c;
	uint32_t line;

	QT_INT(parse(&c,
		     "# comment\r\nskip-service-descriptor = true # why\n\n"
		     "exit-on-client-eof=1\nexit-on-service-eof\t= 0\nother-key = 'x'",
		     &line),
	       0);
	QT_TRUE(c.skip_service_descriptor && c.exit_on_client_eof && !c.exit_on_service_eof);
	QT_INT(c.unknown, 1);
	QT_INT(parse(&c, "force-user = 'root'\nwait-for-session = false\n", &line), 0);
	QT_STR(c.force_user, "root");
}

QTEST(service_config, rejects_and_names_the_line)
{
	static const char *const bad[] = {
		"a = 1\n b = 2",
		"a = 1\n[section]",
		"a = 1\nb = \"x\"",
		"a = 1\nb = 01",
		"a = 1\nwait-for-session = 'true'",
		"a = 1\nb = true false",
		"a = 1\nb",
		"wait-for-session = 1\nwait-for-session = 1",
		"a = 1\nb = '''x'''",
		"a = 1\nwait-for-session = 2",
		"a = 1\nforce-user = ''",
		"a = 1\n1a = 1",
		"a = 1\nb = 'x",
		"a = 1\nb = -1",
		"a = 1\nb = ",
	};
	struct qube__service_config c;
	uint32_t line = 0;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		QT_INT(parse(&c, bad[i], &line) == QUBE_E_PROTO ? -1 : (int)i, -1);
		QT_INT(line, 2);
	}
	QT_INT(parse(&c, "force-user = 'root'\nskip-service-descriptor = true\n", &line),
	       QUBE_E_PROTO);
	QT_INT(qube__service_config_parse(&c, &line, "a = 1\0", 6), QUBE_E_PROTO);
}

QTEST(passwd, finds_the_user_and_the_groups)
{
	static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
				     "user:x:1000:1000:,,,:/home/user:\nbad:x:-1:0::/:/bin/sh\n"
				     "no:x:4294967295:0::/:/bin/sh\nrel:x:1:1::home:/bin/sh";
	static const char group[] = "root:x:0:\naudio:x:29:user,other\nuser:x:1000:user\n"
				    "x:x:7:users\ny:x:8:other,user";
	struct qube__user u;

	QT_INT(qube__passwd_parse(&u, "user", passwd, sizeof(passwd) - 1), 0);
	QT_INT(u.uid, 1000);
	QT_STR(u.home, "/home/user");
	QT_STR(u.shell, "/bin/sh");
	QT_INT(qube__group_parse(&u, group, sizeof(group) - 1), 0);
	QT_INT(u.n_groups, 3);
	QT_INT(u.groups[0], 1000);
	QT_INT(u.groups[1], 29);
	QT_INT(u.groups[2], 8);
	QT_INT(qube__passwd_parse(&u, "use", passwd, sizeof(passwd) - 1), QUBE_E_NOENT);
	QT_INT(qube__passwd_parse(&u, "bad", passwd, sizeof(passwd) - 1), QUBE_E_PROTO);
	QT_INT(qube__passwd_parse(&u, "no", passwd, sizeof(passwd) - 1), QUBE_E_PROTO);
	QT_INT(qube__passwd_parse(&u, "rel", passwd, sizeof(passwd) - 1), QUBE_E_PROTO);
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	fputs(text, f);
	fclose(f);
}

/* Files that are what they were are not read again; a change is seen at once. */
QTEST(passwd, a_user_that_was_found_is_found_again)
{
	static const char old[] = "user:x:1000:1000::/home/user:/bin/sh\n";
	static const char new[] = "user:x:2000:1000::/home/user:/bin/sh\n";
	struct qube__user_cache cache;
	char dir[] = "/tmp/passwd.XXXXXX";
	struct timespec times[2];
	struct qube__user u;
	char passwd[64];
	char other[64];
	struct stat st;

	memset(&cache, 0, sizeof(cache));
	QT_TRUE(mkdtemp(dir) != NULL);
	snprintf(passwd, sizeof(passwd), "%s/passwd", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	put(passwd, old);
	QT_INT(qube__user_find(&u, &cache, "user", passwd, "/nowhere"), 0);
	QT_INT(u.uid, 1000);
	QT_TRUE(!cache.sure);
	/* Long seen as it is: the next reading counts. */
	cache.seen_ms -= 5000;
	QT_INT(qube__user_find(&u, &cache, "user", passwd, "/nowhere"), 0);
	QT_TRUE(cache.sure);
	cache.user.uid = 77;
	QT_INT(qube__user_find(&u, &cache, "user", passwd, "/nowhere"), 0);
	QT_INT(u.uid, 77);
	/* Another file of the same size and time. */
	QT_INT(stat(passwd, &st), 0);
	put(other, new);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	QT_INT(utimensat(AT_FDCWD, other, times, 0), 0);
	QT_INT(rename(other, passwd), 0);
	QT_INT(qube__user_find(&u, &cache, "user", passwd, "/nowhere"), 0);
	QT_INT(u.uid, 2000);
	QT_TRUE(!cache.sure);
	QT_INT(qube__user_find(&u, &cache, "other", passwd, "/nowhere"), QUBE_E_NOENT);
	QT_INT(qube__user_find(&u, &cache, "user", passwd, "/nowhere"), 0);
	QT_INT(u.uid, 2000);
	unlink(passwd);
	QT_INT(qube__user_find(&u, &cache, "user", passwd, "/nowhere"), QUBE_E_NOENT);
	rmdir(dir);
}
