/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What qube-init reads before there is a guest. */
#include "qtest.h"

#include "init/init.h"

#include <qube/error.h>

#include <unistd.h>

static int parse(struct init_cmdline *c, const char *text)
{
	return init_cmdline_parse(c, text, strlen(text));
}

QTEST(init_cmdline, takes_its_own_words_and_no_others)
{
	struct init_cmdline c;

	QT_INT(parse(&c, "ro quiet qube.name=work console=hvc0 qube.user=user xqube.user=other "
			 "qube.services=cups,network-manager qube.later=x qube.init=system\n"),
	       0);
	QT_STR(c.name, "work");
	QT_STR(c.user, "user");
	QT_STR(c.services, "cups network-manager");
	QT_TRUE(c.system);
}

QTEST(init_cmdline, may_say_nothing)
{
	struct init_cmdline c;

	QT_INT(parse(&c, ""), 0);
	QT_STR(c.name, "");
	QT_STR(c.user, "");
	QT_STR(c.services, "");
	QT_TRUE(!c.system);
	QT_INT(parse(&c, "qube.services= qube.init=agent"), 0);
	QT_STR(c.services, "");
	QT_TRUE(!c.system);
}

QTEST(init_cmdline, refuses_what_is_no_name)
{
	static const char *const bad[] = {
		"qube.name=",
		"qube.name=1a",
		"qube.name=a/b",
		"qube.name=a:b",
		"qube.user=../x",
		"qube.user=-x",
		"qube.user=a\tb",
		"qube.services=a,,b",
		"qube.services=a,",
		"qube.services=.",
		"qube.services=a,../",
		"qube.init=/bin/sh",
		"qube.services=a234567890123456789012345678901234567890123456789",
		"qube.user=a23456789012345678901234567890123",
	};
	struct init_cmdline c;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		QT_INT(parse(&c, bad[i]), QUBE_E_PROTO);
}

QTEST(init_disks, are_told_by_their_number_on_the_bus)
{
	QT_INT(init_disk_of("vbd-51712"), INIT_XVDA);
	QT_INT(init_disk_of("vbd-51728"), INIT_XVDB);
	QT_INT(init_disk_of("vbd-51744"), INIT_XVDC);
	QT_INT(init_disk_of("vbd-51760"), INIT_XVDD);
	QT_INT(init_disk_of("vbd-51776"), -1);
	QT_INT(init_disk_of("vbd-51713"), -1);
	QT_INT(init_disk_of("vbd-0"), -1);
	QT_INT(init_disk_of("vbd-"), -1);
	QT_INT(init_disk_of("vbd-99999999999999999999"), -1);
	QT_INT(init_disk_of("vif-0"), -1);
}

/* What it says on the way goes to descriptor 2; there is no device mapper in this. */
QTEST(init_disks, a_snapshot_needs_a_disk_that_is_there_and_holds_something)
{
	struct init_disk origin = { .path = "/dev/xvda", .is_there = true, .read_only = true };
	struct init_disk cow = { .path = "/dev/xvdc" };
	char path[32] = "";
	char said[256];
	int both[2];
	int before = dup(2);
	ssize_t n;

	QT_INT(pipe(both), 0);
	dup2(both[1], 2);
	QT_INT(init_snapshot(path, &origin, &cow), -1);
	cow.is_there = true;
	cow.bytes = 31 << 20;
	QT_INT(init_snapshot(path, &origin, &cow), -1);
	dup2(before, 2);
	n = read(both[0], said, sizeof(said) - 1);
	said[n < 0 ? 0 : n] = '\0';
	QT_STR(said, "qube-init: xvda may not be written to, and there is no xvdc for its writes\n"
		     "qube-init: xvdc has 31 MiB; for the writes to xvda it needs at least 32\n");
	QT_STR(path, "");
	close(before);
	close(both[0]);
	close(both[1]);
}
