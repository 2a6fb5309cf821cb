/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The two documents of an image layout (OCI image specification 1.0): the index names manifests,
 * a manifest names layers, each by digest and size. Pure; JSON by wire/json. */
#ifndef QUBE_WORKER_OCI_H
#define QUBE_WORKER_OCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OCI_JSON_MAX = 4 << 20, OCI_LAYERS_MAX = 512 };

struct oci_blob {
	char hex[65]; /* of its SHA-256 */
	uint64_t size;
	bool index; /* it is an index itself */
};

struct oci_layers {
	size_t n;
	struct oci_blob blob[OCI_LAYERS_MAX];
};

/* The one manifest for arch ("amd64"): 0, QUBE_E_NOENT (none for it), QUBE_E_EXISTS (more than
 * one), QUBE_E_PROTO. */
int worker_oci_index_parse(struct oci_blob *out, const void *untrusted, size_t len,
			   const char *arch);
/* QUBE_E_NOTSUP: a layer of a kind that is not known. */
int worker_oci_manifest_parse(struct oci_layers *out, const void *untrusted, size_t len);

#endif
