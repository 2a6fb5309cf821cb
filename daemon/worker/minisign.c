/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * minisign's files, see minisign.h. */
#include "minisign.h"

#include "base/error.h"

#include <sodium.h>
#include <string.h>

static const char untrusted_line[] = "untrusted comment: ";
static const char trusted_line[] = "trusted comment: ";

struct line {
	const char *p;
	size_t len;
};

/* The next line without its end; false: there is none, or it has a byte that no text has. */
static bool take_line(struct line *out, const char **rest, const char *end)
{
	const char *nl = memchr(*rest, '\n', (size_t)(end - *rest));

	if (*rest == end)
		return false;
	out->p = *rest;
	out->len = (size_t)((nl ? nl : end) - *rest);
	*rest = nl ? nl + 1 : end;
	for (size_t i = 0; i < out->len; i++)
		if ((unsigned char)out->p[i] < 0x20 && out->p[i] != '\t')
			return false;
	return true;
}

static bool begins(const struct line *l, const char *prefix)
{
	size_t n = strlen(prefix);

	return l->len >= n && memcmp(l->p, prefix, n) == 0;
}

/* Exactly n bytes, all of the line. */
static bool decode(uint8_t *out, size_t n, const struct line *l)
{
	const char *stop = NULL;
	size_t got = 0;

	return sodium_base642bin(out, n, l->p, l->len, NULL, &got, &stop,
				 sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       got == n && stop == l->p + l->len;
}

int worker_minisign_key_parse(struct minisign_key *out, const char *untrusted, size_t len)
{
	const char *rest = untrusted;
	const char *end = untrusted + len;
	uint8_t raw[42];
	struct line l;

	if (len > WORKER_MINISIGN_TEXT_MAX || !take_line(&l, &rest, end))
		return QUBE_E_PROTO;
	if (begins(&l, untrusted_line) && !take_line(&l, &rest, end))
		return QUBE_E_PROTO;
	if (rest != end || !decode(raw, sizeof(raw), &l) || memcmp(raw, "Ed", 2) != 0)
		return QUBE_E_PROTO;
	memcpy(out->id, raw + 2, sizeof(out->id));
	memcpy(out->pk, raw + 10, sizeof(out->pk));
	return 0;
}

int worker_minisign_sig_parse(struct minisign_sig *out, const char *untrusted, size_t len)
{
	const char *rest = untrusted;
	const char *end = untrusted + len;
	struct minisign_sig sig = { .hashed = false };
	uint8_t raw[74];
	struct line l[4];

	if (len > WORKER_MINISIGN_TEXT_MAX)
		return QUBE_E_PROTO;
	for (int i = 0; i < 4; i++)
		if (!take_line(&l[i], &rest, end))
			return QUBE_E_PROTO;
	/* Nothing may follow that no signature covers. */
	if (rest != end || !begins(&l[0], untrusted_line) || !begins(&l[2], trusted_line) ||
	    !decode(raw, sizeof(raw), &l[1]) || !decode(sig.global, sizeof(sig.global), &l[3]))
		return QUBE_E_PROTO;
	sig.hashed = memcmp(raw, "ED", 2) == 0;
	if (!sig.hashed && memcmp(raw, "Ed", 2) != 0)
		return QUBE_E_PROTO;
	memcpy(sig.id, raw + 2, sizeof(sig.id));
	memcpy(sig.sig, raw + 10, sizeof(sig.sig));
	sig.comment = l[2].p + sizeof(trusted_line) - 1;
	sig.comment_len = l[2].len - (sizeof(trusted_line) - 1);
	*out = sig;
	return 0;
}

int worker_minisign_verify(const struct minisign_sig *sig, const struct minisign_key *key,
			   const void *data, size_t len)
{
	uint8_t covered[64 + WORKER_MINISIGN_TEXT_MAX];

	if (sodium_memcmp(sig->id, key->id, sizeof(sig->id)) != 0)
		return qube__fail(QUBE_E_DENIED, "the signature was made by another key");
	if (crypto_sign_verify_detached(sig->sig, data, len, key->pk) != 0)
		return qube__fail(QUBE_E_DENIED, "the signature is not one of this file");
	memcpy(covered, sig->sig, sizeof(sig->sig));
	memcpy(covered + sizeof(sig->sig), sig->comment, sig->comment_len);
	if (crypto_sign_verify_detached(sig->global, covered, sizeof(sig->sig) + sig->comment_len,
					key->pk) != 0)
		return qube__fail(QUBE_E_DENIED, "the comment of the signature was changed");
	return 0;
}
