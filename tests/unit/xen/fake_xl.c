/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Stands for qube-xl: the domains are kept in ./domains, so that they outlive it, and ./behave says
 * what it does otherwise than well: "VERB NUMBER", once, when it is ordered what has that number.
 * "fail": says no, and has done nothing. "die": ends before it has done anything. "half": ends when
 * it has done it, but for the mark that a domain is whole, and the answer. "after": ends when it
 * has done it, without an answer. "slow": of a list, tells a moment later what there was. */
#include "driver/xen/proto.h"

#include <qube/error.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DOMAINS = 16, SLOW_US = 300000 };

struct domain {
	bool there, paused, shut, whole;
	uint32_t domid;
	uint8_t uuid[QUBE__XL_UUID];
	char record[QUBE__XL_RECORD_MAX];
};

static struct domain all[DOMAINS];
static int file;

static void load(void)
{
	file = open("domains", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	flock(file, LOCK_EX);
	memset(all, 0, sizeof(all));
	if (pread(file, all, sizeof(all), 0) < 0)
		_exit(8);
}

static void save(void)
{
	if (pwrite(file, all, sizeof(all), 0) != sizeof(all))
		_exit(8);
	close(file);
}

static void say(const struct qube__xl_msg *m)
{
	static uint8_t packet[QUBE__XL_PACKET_MAX];
	int n = qube__xl_encode(packet, sizeof(packet), m);

	if (n < 0 || send(QUBE__XL_FD, packet, (size_t)n, MSG_NOSIGNAL) != n)
		_exit(9);
}

static void behave(char verb[16], uint32_t type)
{
	FILE *f = fopen("behave", "re");
	uint32_t number = 0;

	verb[0] = '\0';
	if (!f)
		return;
	if (fscanf(f, "%15s %u", verb, &number) != 2 || number != type)
		verb[0] = '\0';
	fclose(f);
	if (verb[0])
		unlink("behave");
}

static struct domain *find(const uint8_t uuid[QUBE__XL_UUID])
{
	for (int i = 0; i < DOMAINS; i++)
		if (all[i].there && !memcmp(all[i].uuid, uuid, QUBE__XL_UUID))
			return &all[i];
	return NULL;
}

static int create(const struct qube__xl_msg *m, bool whole)
{
	for (int i = 0; i < DOMAINS; i++) {
		if (all[i].there)
			continue;
		all[i] = (struct domain){
			.there = true, .paused = true, .whole = whole, .domid = 10u + (uint32_t)i
		};
		memcpy(all[i].uuid, m->uuid, QUBE__XL_UUID);
		snprintf(all[i].record, sizeof(all[i].record), "%s", m->record);
		return 0;
	}
	return QUBE_E_LIMIT;
}

static int list(uint32_t id)
{
	for (int i = 0; i < DOMAINS; i++) {
		struct qube__xl_msg m = { .type = QUBE__XL_DOMAIN,
					  .id = id,
					  .domid = all[i].domid,
					  .state = (all[i].paused ? QUBE__XL_IS_PAUSED : 0u) |
						   (all[i].shut ? QUBE__XL_IS_SHUT : 0u) |
						   (all[i].whole ? QUBE__XL_IS_WHOLE : 0u),
					  .memory_kb = 1000,
					  .max_kb = 2000,
					  .record = all[i].record };

		memcpy(m.uuid, all[i].uuid, QUBE__XL_UUID);
		if (all[i].there)
			say(&m);
	}
	return 0;
}

static void tell(uint32_t type, const struct domain *d)
{
	struct qube__xl_msg m = { .type = type, .domid = d->domid };

	memcpy(m.uuid, d->uuid, QUBE__XL_UUID);
	say(&m);
}

/* For the test to read. */
static void note_disks(const struct qube__xl_msg *m)
{
	FILE *f = fopen("disks", "we");

	for (uint32_t i = 0; f && i < m->n_disks; i++)
		fprintf(f, "%u %s %s\n", m->disks[i].slot, m->disks[i].writable ? "rw" : "ro",
			m->disks[i].path);
	if (f)
		fclose(f);
}

static int act(const struct qube__xl_msg *m, bool whole)
{
	struct domain *d = find(m->uuid);

	if (m->type == QUBE__XL_LIST)
		return list(m->id);
	if (m->type == QUBE__XL_CREATE) {
		note_disks(m);
		return d ? QUBE_E_INVALID : create(m, whole);
	}
	if (!d)
		return QUBE_E_NOENT;
	switch (m->type) {
	case QUBE__XL_RUN:
		d->paused = false;
		break;
	case QUBE__XL_PAUSE:
		d->paused = true;
		break;
	case QUBE__XL_STOP:
		d->shut = true;
		tell(QUBE__XL_SHUT, d);
		break;
	case QUBE__XL_KILL:
		d->there = false;
		tell(QUBE__XL_GONE, d);
		break;
	default:
		break;
	}
	return 0;
}

static void order(const struct qube__xl_msg *m)
{
	struct qube__xl_msg done = { .type = QUBE__XL_DONE, .id = m->id };
	char verb[16];

	load();
	behave(verb, m->type);
	if (!strcmp(verb, "die"))
		_exit(7);
	if (!strcmp(verb, "slow")) {
		save();
		usleep(SLOW_US);
		list(m->id);
		say(&done);
		return;
	}
	if (!strcmp(verb, "fail")) {
		done.code = QUBE_E_LIMIT;
		done.text = "it has \x1b[1mno memory";
	} else {
		done.code = act(m, strcmp(verb, "half") != 0);
	}
	if (find(m->uuid))
		done.domid = find(m->uuid)->domid;
	save();
	if (!strcmp(verb, "half") || !strcmp(verb, "after"))
		_exit(7);
	say(&done);
}

int main(void)
{
	static uint8_t packet[QUBE__XL_PACKET_MAX];
	const struct qube__xl_msg hello = { .type = QUBE__XL_HOST,
					    .version = QUBE__XL_VERSION,
					    .memory_kb = 1000,
					    .max_kb = 4000,
					    .text = "4.17-fake" };
	struct qube__xl_msg m;
	ssize_t n;

	say(&hello);
	while ((n = recv(QUBE__XL_FD, packet, sizeof(packet), 0)) > 0)
		if (qube__xl_decode(&m, packet, (size_t)n) == 0)
			order(&m);
	return 0;
}
