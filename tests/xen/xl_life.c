/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * In dom0: what becomes of a domain, its disks and its helper, with xl as the witness that is not
 * ours.
 *
 *     xl-life QUBE_XL KERNEL RAMDISK */
#include "client.h"

#include <qube/error.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void life(void)
{
	struct qube__xl_msg m;

	m = ask(creation(1, "one", QUBE__XL_PV));
	must(m.code == 0 && m.domid > 0 && xl_knows("one"), "a domain is created");
	must(list_has(1) && !strcmp(client.domain_name, "one") && client.domain.domid == m.domid &&
		     client.domain.uuid[0] == 1 &&
		     client.domain.state == (QUBE__XL_IS_PAUSED | QUBE__XL_IS_WHOLE),
	     "it is listed, paused and whole");
	must(ask(creation(1, "other", QUBE__XL_PV)).code == QUBE_E_INVALID,
	     "its uuid is not given twice");
	must(ask(of(QUBE__XL_RUN, 1)).code == 0 && says("one", "ready", SOON_MS), "it runs");
	must(ask(of(QUBE__XL_PAUSE, 1)).code == 0 && ask(of(QUBE__XL_PAUSE, 1)).code == 0 &&
		     list_has(1) && (client.domain.state & QUBE__XL_IS_PAUSED),
	     "it is paused, also when it is already");
	must(ask(of(QUBE__XL_RUN, 1)).code == 0 && ask(of(QUBE__XL_RUN, 1)).code == 0 &&
		     list_has(1) && !(client.domain.state & QUBE__XL_IS_PAUSED),
	     "it goes on, also when it does");
	m = of(QUBE__XL_MEMORY, 1);
	m.memory_kb = 160 * 1024;
	must(ask(m).code == 0, "it is given another memory target");
	for (int i = 0; i < 150 && client.domain.memory_kb > 164 * 1024; i++) {
		usleep(200000);
		list_has(1);
	}
	must(client.domain.memory_kb <= 164 * 1024, "it gives back what it has beyond");
}

/* --- disks --- */

static struct qube__xl_msg with_disks(uint8_t number, const char *name, bool first_writes,
				      const char *second)
{
	struct qube__xl_msg m = creation(number, name, QUBE__XL_PV);

	m.n_disks = second ? 2 : 1;
	m.disks[0] =
		(struct qube__xl_disk){ .slot = 0, .writable = first_writes, .path = "/tmp/a" };
	m.disks[1] = (struct qube__xl_disk){ .slot = 1, .writable = true, .path = second };
	return m;
}

static int loops(void)
{
	FILE *f = popen("losetup -a | wc -l", "re");
	int n = -1;

	if (!f || fscanf(f, "%d", &n) != 1)
		n = -1;
	if (f)
		pclose(f);
	return n;
}

static void disks(void)
{
	struct qube__xl_msg m;
	int before = loops();

	if (system("cd /tmp && head -c 1048576 /dev/urandom >a && cp a b && md5sum /tmp/a >a.sum &&"
		   " md5sum /tmp/b >b.sum && mkfifo fifo && ln -s a link") != 0)
		exit(1);
	must(ask(with_disks(6, "six", false, "/tmp/b")).code == 0, "a domain with two disks");
	m = ask(with_disks(7, "seven", false, "/tmp/b"));
	must(m.code < 0 && strstr(m.text, "in use"),
	     "threat_06 a disk that one writes to no other has");
	must(ask(with_disks(7, "seven", true, NULL)).code < 0,
	     "threat_06 nor is a shared one written to");
	m = with_disks(7, "seven", false, "/tmp/fifo");
	must(ask(m).code < 0, "what is no disk is none");
	m = with_disks(7, "seven", false, "/tmp/link");
	must(ask(m).code < 0, "and no link is followed");
	must(ask(with_disks(7, "seven", false, NULL)).code == 0,
	     "one that none writes to is shared");
	must(ask(of(QUBE__XL_RUN, 6)).code == 0 && says("six", "disks: ", LONG_MS) &&
		     says("six", "disks: read-only refused, other written", 1),
	     "threat_19 the read-only one is not written to from inside");
	must(ask(of(QUBE__XL_KILL, 6)).code == 0 && ask(of(QUBE__XL_KILL, 7)).code == 0,
	     "both are destroyed");
	must(system("md5sum -c /tmp/a.sum >/dev/null && ! md5sum -c /tmp/b.sum >/dev/null") == 0,
	     "as the images show");
	for (int i = 0; i < 50 && loops() != before; i++)
		usleep(100000);
	must(loops() == before && list_has(0), "threat_20 no loop device is left");
}

/* --- what a guest writes to the xenstore --- */

static long helper_kb(void)
{
	char command[96];
	FILE *f;
	long kb = -1;

	snprintf(command, sizeof(command),
		 "awk '/^Private/ { n += $2 } END { print n }' "
		 "/proc/%d/smaps_rollup",
		 (int)client.helper);
	f = popen(command, "r");
	if (f && fscanf(f, "%ld", &kb) != 1)
		kb = -1;
	if (f)
		pclose(f);
	return kb;
}

static void flood(void)
{
	struct qube__xl_msg m = creation(8, "eight", QUBE__XL_PV);
	uint64_t slowest = 0;
	uint64_t end;
	long before;
	int told = 0;
	int wild = 0;

	m.cmdline = "console=hvc0 loglevel=4 flood";
	must(ask(m).code == 0 && ask(of(QUBE__XL_RUN, 8)).code == 0 && list_has(1) &&
		     says("eight", "flood: begins", LONG_MS),
	     "a guest floods the xenstore");
	before = helper_kb();
	end = now_ms() + 15000;
	while (now_ms() < end) {
		if (next(&m, 200) != QUBE__XL_USED)
			continue;
		told++;
		wild += m.memory_kb == 0 || m.memory_kb > 1000;
	}
	printf("told %d times\n", told);
	must(told > 0 && told <= 80, "threat_18 of which the driver is told a few times a second");
	must(wild == 0, "threat_18 and numbers only");
	for (int i = 0; i < 5; i++) {
		uint64_t begin = now_ms();

		must(list_has(1), "threat_21 while the helper serves on");
		slowest = now_ms() - begin > slowest ? now_ms() - begin : slowest;
	}
	printf("the slowest list took %d ms\n", (int)slowest);
	must(says("eight", "flood: quota", LONG_MS) && list_has(1),
	     "threat_18 one that fills its quota is its own trouble");
	must(ask(of(QUBE__XL_PAUSE, 8)).code == 0 && ask(of(QUBE__XL_RUN, 8)).code == 0,
	     "threat_18 it can be paused and go on");
	must(helper_kb() - before < 512, "threat_18 the helper has not grown");
	must(ask(of(QUBE__XL_KILL, 8)).code == 0 && list_has(0), "and is destroyed");
	must(system("! xenstore-ls /local/domain | grep -q eight") == 0,
	     "threat_18 with all that it wrote");
}

static void survival(void)
{
	end_helper(SIGKILL);
	start_helper();
	must(list_has(1) && client.domain.uuid[0] == 1 &&
		     (client.domain.state & QUBE__XL_IS_WHOLE) && xl_knows("one"),
	     "a helper that is killed leaves its domain to the next");
	must(ask(of(QUBE__XL_STOP, 1)).code == 0 && comes(&client.shut, SOON_MS) &&
		     client.shut.uuid[0] == 1 && client.shut.reason == QUBE__XL_POWEROFF,
	     "which hears of its end");
	must(list_has(1) && (client.domain.state & QUBE__XL_IS_SHUT), "what has shut down stays");
	must(ask(of(QUBE__XL_KILL, 1)).code == 0 && comes(&client.gone, SOON_MS) &&
		     client.gone.uuid[0] == 1 && list_has(0) && !xl_knows("one"),
	     "until it is destroyed");
}

/* Without waiting for it. */
static void begin_creation(void)
{
	struct qube__xl_msg m = creation(5, "five", QUBE__XL_PV);
	uint8_t out[QUBE__XL_PACKET_MAX];
	int n;

	m.id = ++client.last_id;
	m.deadline_ms = LONG_MS;
	n = qube__xl_encode(out, sizeof(out), &m);
	must(n > 0 && send(client.sock, out, (size_t)n, 0) == n, "a creation begins");
	for (int i = 0; i < 100 && !xl_knows("five"); i++)
		usleep(50000);
}

/* The next helper ends what the one before began. */
static void half_a_domain(void)
{
	start_helper();
	list_has(0);
	if (client.n_domains) {
		must(!(client.domain.state & QUBE__XL_IS_WHOLE),
		     "half a domain does not look like a good one");
		must(ask(of(QUBE__XL_KILL, 5)).code == 0, "and can be destroyed");
	}
	must(listed_within(SOON_MS, 0), "nothing is left of it");
}

static void refusals(void)
{
	struct qube__xl_msg m = creation(2, "two", QUBE__XL_PVH);

	must(ask(of(QUBE__XL_RUN, 9)).code == QUBE_E_NOENT, "there is no other domain");
	m.kernel = "/nowhere";
	m = ask(m);
	must(m.code < 0 && *m.text && list_has(0), "a kernel that is not there is told");
	m = creation(3, "three", QUBE__XL_PV);
	m.deadline_ms = 1;
	must(ask(m).code == QUBE_E_TIMEOUT, "a deadline is kept");
	must(listed_within(SOON_MS, 0) && !xl_knows("three"), "what came too late is taken away");
	begin_creation();
	end_helper(SIGKILL);
	half_a_domain();
	begin_creation();
	close(client.sock);
	client.sock = -1;
	must(waitpid(client.helper, NULL, 0) == client.helper,
	     "a helper whose driver goes away ends at once");
	half_a_domain();
	must(send(client.sock, "nonsense", 8, 0) == 8 && !next(&m, SOON_MS) &&
		     waitpid(client.helper, NULL, 0) == client.helper,
	     "an order that makes no sense ends the helper");
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: xl-life QUBE_XL KERNEL RAMDISK\n");
		return 2;
	}
	client.program = argv[1];
	client.kernel = argv[2];
	client.ramdisk = argv[3];
	signal(SIGPIPE, SIG_IGN);
	start_helper();
	must(list_has(0), "there is no domain");
	life();
	survival();
	disks();
	flood();
	refusals();
	start_helper();
	must(ask(creation(4, "four", QUBE__XL_PVH)).code == 0 &&
		     ask(of(QUBE__XL_RUN, 4)).code == 0 && says("four", "ready", LONG_MS),
	     "a domain of the other kind runs");
	must(ask(of(QUBE__XL_KILL, 4)).code == 0 && list_has(0), "and is destroyed as it runs");
	close(client.sock);
	must(waitpid(client.helper, NULL, 0) == client.helper, "a helper ends with its driver");
	return 0;
}
