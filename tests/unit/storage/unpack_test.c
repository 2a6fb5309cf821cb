/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an import believes: paths of entries, signatures, the documents of an image. */
#include "qtest.h"

#include "minisign.h"
#include "oci.h"
#include "unpack.h"

#include <qube/error.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

QTEST(unpack, threat_11_paths_that_could_leave_the_tree_are_refused)
{
	static const char *const bad[] = {
		"/etc/passwd", "..",	"../x", "a/../b", "a/..", "./../x",
		"a//b",	       "a/./b", "//x",	"/",	  "a/.",
	};
	char out[UNPACK_PATH_MAX + 1];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		QT_INT(worker_unpack_path(out, bad[i]), QUBE_E_PROTO);
}

QTEST(unpack, paths_lose_what_is_in_front_and_behind)
{
	static const char *const good[][2] = {
		{ "a", "a" }, { "./a/b", "a/b" }, { "a/b/", "a/b" }, { ".", "" },
		{ "./", "" }, { "././a", "a" },	  { "...", "..." },  { ".a/..b", ".a/..b" },
	};
	char out[UNPACK_PATH_MAX + 1];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		QT_INT(worker_unpack_path(out, good[i][0]), 0);
		QT_STR(out, good[i][1]);
	}
}

QTEST(unpack, paths_have_bounds)
{
	static char deep[4 * UNPACK_DEPTH_MAX];
	char out[UNPACK_PATH_MAX + 1];
	char name[258];

	memset(name, 'x', sizeof(name));
	name[256] = '\0';
	QT_INT(worker_unpack_path(out, name), QUBE_E_PROTO);
	name[255] = '\0';
	QT_INT(worker_unpack_path(out, name), 0);
	for (int i = 0; i < UNPACK_DEPTH_MAX; i++)
		memcpy(deep + 2 * i, "d/", 2);
	QT_INT(worker_unpack_path(out, deep), 0);
	memcpy(deep + 2 * (size_t)UNPACK_DEPTH_MAX, "d/", 3);
	QT_INT(worker_unpack_path(out, deep), QUBE_E_PROTO);
}

/* A key pair and a signature of text, as minisign writes them. */
static void sign(char key[256], char sig[512], const void *text, size_t len, const char *alg)
{
	static const char comment[] = "timestamp:1";
	uint8_t pk[32], sk[64], raw[74], global[64], digest[64], covered[64 + sizeof(comment)];
	char b64[160];

	QT_TRUE(sodium_init() >= 0);
	crypto_sign_keypair(pk, sk);
	memcpy(raw, "Ed12345678", 10);
	memcpy(raw + 10, pk, 32);
	sodium_bin2base64(b64, sizeof(b64), raw, 42, sodium_base64_VARIANT_ORIGINAL);
	snprintf(key, 256, "untrusted comment: k\n%s\n", b64);
	crypto_generichash(digest, sizeof(digest), text, len, NULL, 0);
	memcpy(raw, alg, 2);
	if (alg[1] == 'D')
		crypto_sign_detached(raw + 10, NULL, digest, sizeof(digest), sk);
	else
		crypto_sign_detached(raw + 10, NULL, text, len, sk);
	memcpy(covered, raw + 10, 64);
	memcpy(covered + 64, comment, sizeof(comment) - 1);
	crypto_sign_detached(global, NULL, covered, 64 + sizeof(comment) - 1, sk);
	sodium_bin2base64(b64, sizeof(b64), raw, 74, sodium_base64_VARIANT_ORIGINAL);
	snprintf(sig, 512, "untrusted comment: s\n%s\ntrusted comment: %s\n", b64, comment);
	sodium_bin2base64(b64, sizeof(b64), global, 64, sodium_base64_VARIANT_ORIGINAL);
	snprintf(sig + strlen(sig), 512 - strlen(sig), "%s\n", b64);
}

QTEST(minisign, accepts_what_was_signed_and_nothing_else)
{
	static const char *const algs[] = { "ED", "Ed" };
	static const char text[] = "a root file system";
	char key_text[256], sig_text[512], other_key[256], other_sig[512];
	struct minisign_key key, other;
	struct minisign_sig sig;
	uint8_t digest[64];

	crypto_generichash(digest, sizeof(digest), (const uint8_t *)text, sizeof(text), NULL, 0);
	for (int i = 0; i < 2; i++) {
		const void *data = i ? (const void *)text : digest;
		size_t len = i ? sizeof(text) : sizeof(digest);

		sign(key_text, sig_text, text, sizeof(text), algs[i]);
		sign(other_key, other_sig, text, sizeof(text), algs[i]);
		QT_INT(worker_minisign_key_parse(&key, key_text, strlen(key_text)), 0);
		QT_INT(worker_minisign_key_parse(&other, other_key, strlen(other_key)), 0);
		QT_INT(worker_minisign_sig_parse(&sig, sig_text, strlen(sig_text)), 0);
		QT_INT(sig.hashed, i == 0);
		QT_INT(worker_minisign_verify(&sig, &key, data, len), 0);
		QT_INT(worker_minisign_verify(&sig, &key, data, len - 1), QUBE_E_DENIED);
		QT_INT(worker_minisign_verify(&sig, &other, data, len), QUBE_E_DENIED);
		other.id[0] ^= 1;
		QT_INT(worker_minisign_verify(&sig, &other, data, len), QUBE_E_DENIED);
	}
}

/* Verify-then-parse: no byte of the signature's file may be of no consequence. */
QTEST(minisign, threat_26_every_changed_byte_is_refused)
{
	static const char text[] = "a root file system";
	char key_text[256], sig_text[512];
	struct minisign_key key;
	uint8_t digest[64];
	size_t free_bytes = strlen("untrusted comment: ");
	size_t n;

	crypto_generichash(digest, sizeof(digest), (const uint8_t *)text, sizeof(text), NULL, 0);
	sign(key_text, sig_text, text, sizeof(text), "ED");
	QT_INT(worker_minisign_key_parse(&key, key_text, strlen(key_text)), 0);
	n = strlen(sig_text);
	for (size_t i = 0; i < n; i++) {
		struct minisign_sig sig;
		char changed[512];

		/* The untrusted comment is what its name says. */
		if (i == free_bytes)
			i++;
		memcpy(changed, sig_text, n + 1);
		changed[i] = changed[i] == 'A' ? 'B' : 'A';
		if (i ==
		    n - 1) /* the last end of line may be left out, but not be something else */
			QT_INT(worker_minisign_sig_parse(&sig, changed, n), QUBE_E_PROTO);
		else
			QT_TRUE(worker_minisign_sig_parse(&sig, changed, n) < 0 ||
				worker_minisign_verify(&sig, &key, digest, 64) < 0);
	}
	for (size_t i = 0; i + 1 < n; i++) {
		struct minisign_sig sig;

		QT_TRUE(worker_minisign_sig_parse(&sig, sig_text, i) < 0);
	}
}

QTEST(minisign, refuses_what_follows)
{
	static const char text[] = "x";
	char key_text[256], sig_text[512];
	struct minisign_sig sig;
	struct minisign_key key;

	sign(key_text, sig_text, text, sizeof(text), "ED");
	snprintf(sig_text + strlen(sig_text), sizeof(sig_text) - strlen(sig_text), "more");
	QT_INT(worker_minisign_sig_parse(&sig, sig_text, strlen(sig_text)), QUBE_E_PROTO);
	snprintf(key_text + strlen(key_text), sizeof(key_text) - strlen(key_text), "more");
	QT_INT(worker_minisign_key_parse(&key, key_text, strlen(key_text)), QUBE_E_PROTO);
}

#define HEX		   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TYPE		   "{\"mediaType\": \"application/vnd.oci.image."
#define DIGEST		   ", \"digest\": \"sha256:" HEX "\""
#define MANIFEST(platform) TYPE "manifest.v1+json\"" DIGEST ", \"size\": 7" platform "}"
#define PLATFORM(cpu)	   ", \"platform\": {\"os\": \"linux\", \"architecture\": \"" cpu "\"}"
#define INDEX(list)	   "{\"schemaVersion\": 2, \"manifests\": [" list "]}"

static int parse_index(struct oci_blob *b, const char *text)
{
	return worker_oci_index_parse(b, text, strlen(text), "amd64");
}

QTEST(oci, picks_the_image_of_this_machine)
{
	struct oci_blob b;

	QT_INT(parse_index(&b, INDEX(MANIFEST(""))), 0);
	QT_STR(b.hex, HEX);
	QT_INT(b.size, 7);
	QT_TRUE(!b.index);
	QT_INT(parse_index(&b, INDEX(MANIFEST(PLATFORM("arm64")) "," MANIFEST(PLATFORM("amd64")))),
	       0);
	QT_INT(parse_index(&b, INDEX(MANIFEST(PLATFORM("arm64")))), QUBE_E_NOENT);
	QT_INT(parse_index(&b, INDEX("")), QUBE_E_NOENT);
	QT_INT(parse_index(&b, INDEX(MANIFEST("") "," MANIFEST(""))), QUBE_E_EXISTS);
}

QTEST(oci, refuses_indexes_that_are_none)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"schemaVersion\": 1, \"manifests\": []}",
		"{\"schemaVersion\": 2}",
		"{\"schemaVersion\": 2, \"manifests\": [1]}",
		"{\"schemaVersion\": 2, \"manifests\": [{}]}",
		"{\"schemaVersion\": 2, \"manifests\": [{\"mediaType\": \"x\", \"size\": 1, "
		"\"digest\": \"sha256:../../x\"}]}",
		"{\"schemaVersion\": 2, \"manifests\": [{\"mediaType\": \"x\", \"size\": -1, "
		"\"digest\": \"sha256:" HEX "\"}]}",
		"{\"schemaVersion\": 2, \"manifests\": [{\"mediaType\": \"x\", \"size\": 1, "
		"\"digest\": \"sha512:" HEX "\"}]}",
	};
	struct oci_blob b;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		QT_INT(parse_index(&b, bad[i]), QUBE_E_PROTO);
}

QTEST(oci, takes_layers_of_known_kinds_in_order)
{
	static struct oci_layers layers;
	static const char good[] =
		"{\"schemaVersion\": 2, \"config\": {\"x\": 1}, \"layers\": ["
		"{\"mediaType\": \"application/vnd.oci.image.layer.v1.tar\", \"size\": 1, "
		"\"digest\": \"sha256:" HEX "\"},"
		"{\"mediaType\": \"application/vnd.oci.image.layer.v1.tar+gzip\", \"size\": 2, "
		"\"digest\": \"sha256:" HEX "\"}]}";
	static const char foreign[] =
		"{\"schemaVersion\": 2, \"layers\": ["
		"{\"mediaType\": \"application/vnd.oci.image.layer.v1.tar+encrypted\", "
		"\"size\": 1, \"digest\": \"sha256:" HEX "\"}]}";
	static const char none[] = "{\"schemaVersion\": 2, \"layers\": []}";

	QT_INT(worker_oci_manifest_parse(&layers, good, strlen(good)), 0);
	QT_INT(layers.n, 2);
	QT_INT(layers.blob[1].size, 2);
	QT_INT(worker_oci_manifest_parse(&layers, foreign, strlen(foreign)), QUBE_E_NOTSUP);
	QT_INT(worker_oci_manifest_parse(&layers, none, strlen(none)), QUBE_E_PROTO);
}
