/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The layers of an image. Every document and layer is copied to where nobody else can change it,
 * and compared with the digest that named it, before it is parsed. */
#include "oci.h"
#include "unpack.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INDEX_DEPTH = 4 };

#if defined(__x86_64__)
static const char machine[] = "amd64";
#elif defined(__aarch64__)
static const char machine[] = "arm64";
#else
static const char machine[] = "";
#endif

/* The blob's own copy, or < 0. */
static int open_blob(struct unpack *u, int layout, const struct oci_blob *b)
{
	char path[96];
	char hex[65];
	uint8_t digest[64];
	uint64_t size;
	qube__autofd src = -1;
	qube__autofd own = -1;

	snprintf(path, sizeof(path), "blobs/sha256/%s", b->hex);
	src = worker_open(layout, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (src < 0)
		return qube__fail_name("open the image's", path);
	own = worker_private_copy(u->im.job, src, u->im.dest, WORKER_DIGEST_SHA256, digest, &size);
	if (own < 0)
		return own;
	sodium_bin2hex(hex, sizeof(hex), digest, 32);
	if (size != b->size || strcmp(hex, b->hex) != 0)
		return qube__fail(QUBE_E_PROTO,
				  "the image is damaged: %s has other bytes than its "
				  "name says",
				  path);
	return qube__steal_fd(&own);
}

static int read_text(char **out, size_t *len, int fd, const char *what)
{
	struct stat st;
	char *text;
	ssize_t n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > OCI_JSON_MAX)
		return qube__fail(QUBE_E_PROTO, "the image's %s is no file, or too large", what);
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return qube__fail_nomem();
	n = pread(fd, text, (size_t)st.st_size + 1, 0);
	if (n != st.st_size) {
		free(text);
		return qube__fail(QUBE_E_PROTO, "the image's %s changed meanwhile", what);
	}
	*out = text;
	*len = (size_t)n;
	return 0;
}

static int tell(int r, const char *what)
{
	switch (r) {
	case QUBE_E_NOENT:
		return qube__fail(r, "the image is not for this machine (linux/%s)", machine);
	case QUBE_E_EXISTS:
		return qube__fail(QUBE_E_PROTO, "there is more than one image for this machine");
	case QUBE_E_NOTSUP:
		return qube__fail(r, "the image has a layer of an unknown kind");
	case QUBE_E_NOMEM:
		return qube__fail_nomem();
	default:
		return qube__fail(QUBE_E_PROTO, "the image's %s is not what it should be", what);
	}
}

static int find_layers(struct unpack *u, int layout, int index, struct oci_layers *layers)
{
	qube__autofd fd = fcntl(index, F_DUPFD_CLOEXEC, 3);
	struct oci_blob blob = { .index = true };

	if (fd < 0)
		return qube__fail_os("cannot duplicate a descriptor");
	for (int depth = 0; depth < INDEX_DEPTH; depth++) {
		qube__autofree char *text = NULL;
		bool is_index = blob.index;
		size_t len = 0;
		int r = read_text(&text, &len, fd, is_index ? "index" : "manifest");

		if (r < 0)
			return r;
		if (!is_index) {
			r = worker_oci_manifest_parse(layers, text, len);
			return r < 0 ? tell(r, "manifest") : 0;
		}
		r = worker_oci_index_parse(&blob, text, len, machine);
		if (r < 0)
			return tell(r, "index");
		qube__close_fd(&fd);
		fd = open_blob(u, layout, &blob);
		if (fd < 0)
			return fd;
	}
	return qube__fail(QUBE_E_PROTO, "the image's indexes name each other");
}

int worker_unpack_oci(struct unpack *u, int layout, int index)
{
	qube__autofree struct oci_layers *layers = calloc(1, sizeof(*layers));
	int r;

	if (!layers)
		return qube__fail_nomem();
	r = find_layers(u, layout, index, layers);
	if (r < 0)
		return r;
	u->image = true;
	/* Each layer is read three times: copied, for its marks, for its entries. */
	for (size_t i = 0; i < layers->n; i++)
		u->im.job->total += 3 * layers->blob[i].size;
	worker_plan(u->im.job);
	for (size_t i = 0; r == 0 && i < layers->n; i++) {
		qube__autofd fd = open_blob(u, layout, &layers->blob[i]);

		r = fd < 0 ? fd : worker_unpack_tar(u, fd, layers->blob[i].size);
	}
	return r;
}
