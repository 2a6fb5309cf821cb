/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What doctor makes of a machine's /sys, on folders that stand for it. */
#include "qtest.h"

#include "driver/local/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];
static struct qube__check checks[QUBE__CHECKS_MAX];
static size_t n_checks;

static void begin(void)
{
	snprintf(dir, sizeof(dir), "/tmp/libqube-facts-XXXXXX");
	if (!mkdtemp(dir))
		QT_FAIL("no folder");
}

static void put(const char *path, const char *text)
{
	char command[512];

	snprintf(command, sizeof(command), "cd %s && mkdir -p $(dirname %s) && echo '%s' >%s", dir,
		 path, text, path);
	if (system(command) != 0)
		QT_FAIL("cannot write %s", path);
}

static void look(int core_sched)
{
	struct qube__checks l = { .at = checks };
	int sys = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	qube__local_facts(&l, sys, core_sched);
	close(sys);
	n_checks = l.n;
}

static void end(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	if (system(command) != 0)
		QT_FAIL("cannot remove %s", dir);
}

static const struct qube__check *named(const char *name)
{
	static const struct qube__check none = { .name = "", .detail = "not listed" };

	for (size_t i = 0; i < n_checks; i++)
		if (strcmp(checks[i].name, name) == 0)
			return &checks[i];
	return &none;
}

QTEST(facts, what_is_missing_is_told_with_what_it_forbids)
{
	begin();
	put("devices/system/cpu/smt/active", "1");
	put("devices/system/cpu/vulnerabilities/mds", "Vulnerable: no microcode");
	put("devices/system/cpu/vulnerabilities/l1tf", "Vulnerable");
	put("devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI; SMT vulnerable");
	look(EINVAL);
	QT_TRUE(!named("smt")->ok && named("smt")->optional);
	QT_STR(named("smt")->detail, "on, without core scheduling: qubes that run at the same time "
				     "on one core can spy on each other");
	QT_TRUE(!named("core scheduling")->ok);
	QT_TRUE(!named("cpu flaws")->ok && named("cpu flaws")->optional);
	QT_TRUE(strncmp(named("cpu flaws")->detail, "2 open", 6) == 0);
	QT_TRUE(strstr(named("cpu flaws")->detail, "mds") != NULL);
	QT_TRUE(strstr(named("cpu flaws")->detail, "l1tf") != NULL);
	QT_TRUE(strstr(named("cpu flaws")->detail, "meltdown") == NULL);
	QT_TRUE(!named("iommu")->ok);
	QT_STR(named("iommu")->detail, "none: devices cannot be given to qubes safely");
	QT_STR(named("irq remapping")->detail, "not listed");
	end();
}

QTEST(facts, a_machine_that_has_all_says_so)
{
	begin();
	put("devices/system/cpu/smt/active", "1");
	put("devices/system/cpu/vulnerabilities/mds", "Not affected");
	put("class/iommu/dmar0/x", "");
	put("class/iommu/dmar1/x", "");
	put("kernel/irq/0/chip_name", "IO-APIC");
	put("kernel/irq/24/chip_name", "IR-PCI-MSI");
	look(0);
	QT_INT(n_checks, 5);
	for (size_t i = 0; i < n_checks; i++)
		QT_TRUE(checks[i].ok);
	QT_STR(named("iommu")->detail, "there, 2");
	QT_STR(named("cpu flaws")->detail, "all 1 known ones are closed");
	put("kernel/irq/24/chip_name", "PCI-MSI");
	look(0);
	QT_TRUE(!named("irq remapping")->ok);
	end();
}

QTEST(facts, another_kind_of_iommu_is_not_asked_for_its_interrupts)
{
	begin();
	put("class/iommu/smmu3.0x1/x", "");
	look(ENODEV);
	QT_TRUE(named("iommu")->ok);
	QT_STR(named("irq remapping")->detail, "not listed");
	end();
}

QTEST(facts, a_kernel_without_it_and_cores_without_it_are_told_apart)
{
	QT_INT(qube__local_cores(true, EINVAL), QUBE__CORES_SHARED);
	QT_INT(qube__local_cores(true, ENODEV), QUBE__CORES_SINGLE);
	QT_INT(qube__local_cores(true, 0), QUBE__CORES_APART);
	QT_INT(qube__local_cores(false, EINVAL), QUBE__CORES_SINGLE);
	begin();
	put("devices/system/cpu/smt/active", "0");
	look(ENODEV);
	QT_TRUE(named("smt")->ok && named("core scheduling")->ok);
	QT_STR(named("core scheduling")->detail, "not needed without SMT");
	look(EINVAL);
	QT_TRUE(named("smt")->ok && named("core scheduling")->ok);
	QT_STR(named("core scheduling")->detail, "this kernel has none; not needed without SMT");
	/* No word about flaws is no good word. */
	QT_TRUE(!named("cpu flaws")->ok);
	end();
}

QTEST(facts, many_flaws_fit_into_the_line)
{
	char path[80];

	begin();
	for (int i = 0; i < 60; i++) {
		snprintf(path, sizeof(path), "devices/system/cpu/vulnerabilities/a_long_name_%d",
			 i);
		put(path, "Vulnerable");
	}
	look(0);
	QT_TRUE(strncmp(named("cpu flaws")->detail, "60 open", 7) == 0);
	QT_TRUE(strlen(named("cpu flaws")->detail) < sizeof(checks[0].detail) - 1);
	end();
}

QTEST(facts, the_real_kernel_answers)
{
	int r = qube__local_core_sched();

	QT_TRUE(r == 0 || r == ENODEV || r == EINVAL);
}
