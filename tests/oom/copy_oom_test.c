/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The ends of a copy without memory: the error is told, and nothing is at the target. */
#include "qtest.h"

#include "base/cleanup.h"
#include "copy/copy.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

static struct qube__copy c;

static int send_again(int from, int to)
{
	if (ftruncate(to, 0) < 0 || lseek(to, 0, SEEK_SET) < 0)
		return -1;
	memset(&c, 0, sizeof(c));
	c.fd = to;
	return qube__copy_send(&c, from, "x");
}

static int receive_again(int from, int dir, const char *name)
{
	if (lseek(from, 0, SEEK_SET) < 0)
		return -1;
	memset(&c, 0, sizeof(c));
	c.fd = from;
	c.replace = true;
	return qube__copy_receive(&c, dir, name, NULL);
}

QTEST(copy_oom, sending_and_receiving_survive_every_failed_allocation)
{
	qube__autofd stream = memfd_create("stream", MFD_CLOEXEC);
	char top[] = "/tmp/qube-copy-oom-XXXXXX";
	qube__autofd up = -1;
	qube__autofd dir = -1;
	qube__autofd from = -1;

	QT_TRUE(mkdtemp(top) != NULL);
	up = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	QT_INT(mkdirat(dir, "a", 0755), 0);
	QT_INT(mkdirat(dir, "a/b", 0755), 0);
	from = openat(dir, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	QT_EACH_OOM(send_again(from, stream), (void)0);
	QT_EACH_OOM(receive_again(stream, dir, "new"), (void)0);
	QT_INT(faccessat(dir, "new/b", F_OK, 0), 0);
	qube__copy_remove(up, top + strlen("/tmp/"));
	QT_TRUE(faccessat(up, top + strlen("/tmp/"), F_OK, 0) < 0);
}
