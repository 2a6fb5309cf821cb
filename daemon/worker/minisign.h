/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Detached signatures of minisign: Ed25519 over the file (legacy) or its BLAKE2b digest, and a
 * second one that covers the comment. The two texts are parsed here; pure but for libsodium. */
#ifndef QUBE_WORKER_MINISIGN_H
#define QUBE_WORKER_MINISIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WORKER_MINISIGN_TEXT_MAX = 8192, /* of a key or a signature, with all its lines */
	WORKER_MINISIGN_DIGEST = 64,	 /* BLAKE2b */
};

struct minisign_key {
	uint8_t id[8];
	uint8_t pk[32];
};

struct minisign_sig {
	bool hashed; /* "ED": of the digest; else of the file itself */
	uint8_t id[8];
	uint8_t sig[64];
	uint8_t global[64];
	const char *comment; /* the trusted one, in the text that was parsed */
	size_t comment_len;
};

/* QUBE_E_PROTO for whatever is not exactly the file that minisign writes. */
int worker_minisign_key_parse(struct minisign_key *out, const char *untrusted, size_t len);
int worker_minisign_sig_parse(struct minisign_sig *out, const char *untrusted, size_t len);
/* 0, or QUBE_E_DENIED with the thread's record set. data: the digest if sig->hashed, or the file.
 */
int worker_minisign_verify(const struct minisign_sig *sig, const struct minisign_key *key,
			   const void *data, size_t len);

#endif
