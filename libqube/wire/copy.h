/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The stream in which files go into and out of a qube. A record is a head, a name, and of a file
 * its bytes, of a link its target. Names are of one entry: directories are entered and left, so no
 * name can lead anywhere. Pure code: codes only, no error record. */
#ifndef QUBE_WIRE_COPY_H
#define QUBE_WIRE_COPY_H

#include <stddef.h>
#include <stdint.h>

enum {
	QUBE__COPY_HEAD = 20,
	QUBE__COPY_NAME_MAX = 255,
	QUBE__COPY_LINK_MAX = 4095,
	QUBE__COPY_DEPTH_MAX = 128,
};

/* BEGIN, one FILE or one DIR with what is in it, END. */
enum qube__copy_type {
	QUBE__COPY_BEGIN = 0x31504351, /* "QCP1": the digit is the version. size: of all files, as
					  a guess for whoever watches */
	QUBE__COPY_FILE = 1,	       /* size bytes follow its name */
	QUBE__COPY_DIR = 2,	       /* what follows is in it, until its LEAVE */
	QUBE__COPY_LEAVE = 3,
	QUBE__COPY_LINK = 4, /* symbolic: size bytes of target follow its name */
	QUBE__COPY_LEFT = 5, /* an entry that the sender does not send */
	QUBE__COPY_END = 6,
};

struct qube__wire_copy {
	uint32_t type; /* enum qube__copy_type */
	uint32_t mode; /* of a file or directory: at most 0777 */
	uint32_t name_len;
	uint64_t size;
};

void qube__wire_copy_encode(uint8_t out[QUBE__COPY_HEAD], const struct qube__wire_copy *in);
/* A head that is possible by itself, or QUBE_E_PROTO; what follows it is bounded. */
int qube__wire_copy_parse(struct qube__wire_copy *out, const uint8_t untrusted[QUBE__COPY_HEAD]);
/* One entry of a directory. 0 or QUBE_E_PROTO. */
int qube__wire_copy_name(const char *untrusted, size_t len);
/* A target that stays in the tree, for a link that is `depth` directories below its top: ".." in
 * front only, where what it means is known. 0 or QUBE_E_PROTO. */
int qube__wire_copy_link(const char *untrusted, size_t len, uint32_t depth);

#endif
