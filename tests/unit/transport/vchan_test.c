/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The transport over libxenvchan, with a libxenvchan that does at one moment what another domain
 * does at any. */
#include "qtest.h"

#include "transport/transport.h"

#include <qube/error.h>

#include <libxenvchan.h>
#include <stdlib.h>
#include <string.h>

static struct ring_shared rings[2];
static const char *said;
static int reads;

/* The peer writes and goes after it was looked for data, and before it was looked for itself. */
int libxenvchan_read(struct libxenvchan *c, void *data, size_t size)
{
	size_t n = strlen(said);

	(void)c;
	if (!reads++)
		return -1;
	if (!n)
		return -1;
	n = n < size ? n : size;
	memcpy(data, said, n);
	said += n;
	return (int)n;
}

int libxenvchan_write(struct libxenvchan *c, const void *data, size_t size)
{
	(void)c;
	(void)data;
	(void)size;
	return -1;
}

int libxenvchan_data_ready(struct libxenvchan *c)
{
	(void)c;
	return (int)strlen(said);
}

int libxenvchan_fd_for_select(struct libxenvchan *c)
{
	(void)c;
	return -1;
}

int libxenvchan_wait(struct libxenvchan *c)
{
	(void)c;
	return 0;
}

void libxenvchan_close(struct libxenvchan *c)
{
	free(c);
}

QTEST(vchan, what_a_peer_said_before_it_went_is_received)
{
	struct libxenvchan *c = calloc(1, sizeof(*c));
	struct qube__transport *t;
	char buf[16];

	said = "last words";
	reads = 0;
	QT_TRUE(c != NULL);
	c->read.shr = &rings[0];
	c->write.shr = &rings[1];
	QT_INT(qube__transport_vchan(&t, c), 0);
	QT_INT(t->ops->recv(t, buf, 5), 5);
	QT_INT(t->ops->recv(t, buf + 5, sizeof(buf) - 5), 5);
	QT_INT(memcmp(buf, "last words", 10), 0);
	QT_INT(t->ops->recv(t, buf, sizeof(buf)), QUBE_E_CLOSED);
	qube__transport_close(t);
}
