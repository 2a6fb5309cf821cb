/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Index and manifest of an image, see oci.h. */
#include "oci.h"

#include "wire/json.h"

#include <qube/error.h>

#include <string.h>

static bool is_hex(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(s[i] >= '0' && s[i] <= '9') && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	return true;
}

/* {"mediaType", "digest", "size"} */
static int take_blob(struct oci_blob *out, const char **type, const struct qube__json *j)
{
	const char *digest = NULL;
	int64_t size = -1;

	*type = NULL;
	if (qube__json_get_string(j, "mediaType", type) < 0 ||
	    qube__json_get_string(j, "digest", &digest) < 0 ||
	    qube__json_get_int(j, "size", &size, 0, INT64_MAX) < 0 || !*type || !digest || size < 0)
		return QUBE_E_PROTO;
	if (strlen(digest) != 71 || memcmp(digest, "sha256:", 7) != 0 || !is_hex(digest + 7, 64))
		return QUBE_E_PROTO;
	memcpy(out->hex, digest + 7, 65);
	out->size = (uint64_t)size;
	return 0;
}

/* No platform is every platform. */
static bool is_for(const struct qube__json *manifest, const char *arch)
{
	const struct qube__json *platform = NULL;
	const char *os = NULL;
	const char *cpu = NULL;

	if (qube__json_get_object(manifest, "platform", &platform) < 0 || !platform)
		return true;
	qube__json_get_string(platform, "os", &os);
	qube__json_get_string(platform, "architecture", &cpu);
	return os && cpu && strcmp(os, "linux") == 0 && strcmp(cpu, arch) == 0;
}

static int pick(struct oci_blob *out, const struct qube__json *list, const char *arch)
{
	struct oci_blob found = { .size = 0 };
	size_t n = 0;

	for (size_t i = 0; i < qube__json_size(list); i++) {
		const struct qube__json *j = qube__json_at(list, i);
		struct oci_blob blob = { .size = 0 };
		const char *type;

		if (qube__json_type(j) != QUBE__JSON_OBJECT || take_blob(&blob, &type, j) < 0)
			return QUBE_E_PROTO;
		blob.index =
			strcmp(type, "application/vnd.oci.image.index.v1+json") == 0 ||
			strcmp(type, "application/vnd.docker.distribution.manifest.list.v2+json") ==
				0;
		if (!blob.index && strcmp(type, "application/vnd.oci.image.manifest.v1+json") &&
		    strcmp(type, "application/vnd.docker.distribution.manifest.v2+json"))
			continue;
		if (is_for(j, arch)) {
			found = blob;
			n++;
		}
	}
	if (n != 1)
		return n ? QUBE_E_EXISTS : QUBE_E_NOENT;
	*out = found;
	return 0;
}

static int open_document(struct qube__json **out, const struct qube__json **list,
			 const void *untrusted, size_t len, const char *key)
{
	int64_t version = 0;
	int r = qube__json_parse(out, untrusted, len, OCI_JSON_MAX, NULL);

	if (r < 0)
		return r == QUBE_E_NOMEM ? r : QUBE_E_PROTO;
	*list = NULL;
	if (qube__json_type(*out) != QUBE__JSON_OBJECT ||
	    qube__json_get_int(*out, "schemaVersion", &version, 2, 2) < 0 || version != 2 ||
	    qube__json_get_array(*out, key, list) < 0 || !*list)
		return QUBE_E_PROTO;
	return 0;
}

int worker_oci_index_parse(struct oci_blob *out, const void *untrusted, size_t len,
			   const char *arch)
{
	qube__autojson *j = NULL;
	const struct qube__json *list;
	int r = open_document(&j, &list, untrusted, len, "manifests");

	return r < 0 ? r : pick(out, list, arch);
}

static bool is_layer(const char *type)
{
	static const char *const known[] = {
		"application/vnd.oci.image.layer.v1.tar",
		"application/vnd.oci.image.layer.v1.tar+gzip",
		"application/vnd.oci.image.layer.v1.tar+zstd",
		"application/vnd.docker.image.rootfs.diff.tar",
		"application/vnd.docker.image.rootfs.diff.tar.gzip",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(type, known[i]) == 0)
			return true;
	return false;
}

int worker_oci_manifest_parse(struct oci_layers *out, const void *untrusted, size_t len)
{
	qube__autojson *j = NULL;
	const struct qube__json *list;
	int r = open_document(&j, &list, untrusted, len, "layers");

	if (r < 0)
		return r;
	if (!qube__json_size(list) || qube__json_size(list) > OCI_LAYERS_MAX)
		return QUBE_E_PROTO;
	out->n = 0;
	for (size_t i = 0; i < qube__json_size(list); i++) {
		const struct qube__json *layer = qube__json_at(list, i);
		const char *type;

		if (qube__json_type(layer) != QUBE__JSON_OBJECT ||
		    take_blob(&out->blob[out->n], &type, layer) < 0)
			return QUBE_E_PROTO;
		if (!is_layer(type))
			return QUBE_E_NOTSUP;
		out->n++;
	}
	return 0;
}
