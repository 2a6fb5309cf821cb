/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * IMPORT_ARCHIVE: whose the bytes are is known before they are parsed. They are copied to where
 * nobody else can change them; the signature is of that copy, and that copy is what is unpacked. */
#include "minisign.h"
#include "unpack.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct digest {
	enum worker_digest kind;
	crypto_generichash_state blake2b;
	crypto_hash_sha256_state sha256;
};

static void digest_init(struct digest *d)
{
	if (d->kind == WORKER_DIGEST_BLAKE2B)
		crypto_generichash_init(&d->blake2b, NULL, 0, WORKER_MINISIGN_DIGEST);
	else if (d->kind == WORKER_DIGEST_SHA256)
		crypto_hash_sha256_init(&d->sha256);
}

static void digest_update(struct digest *d, const void *p, size_t n)
{
	if (d->kind == WORKER_DIGEST_BLAKE2B)
		crypto_generichash_update(&d->blake2b, p, n);
	else if (d->kind == WORKER_DIGEST_SHA256)
		crypto_hash_sha256_update(&d->sha256, p, n);
}

static void digest_final(struct digest *d, uint8_t out[64])
{
	if (d->kind == WORKER_DIGEST_BLAKE2B)
		crypto_generichash_final(&d->blake2b, out, WORKER_MINISIGN_DIGEST);
	else if (d->kind == WORKER_DIGEST_SHA256)
		crypto_hash_sha256_final(&d->sha256, out);
}

static int copy_all(struct worker_job *job, int src, int dst, struct digest *d, uint64_t *size)
{
	static uint8_t buf[256 * 1024];
	bool stream = lseek(src, 0, SEEK_CUR) < 0;
	uint64_t at = 0;

	for (;;) {
		ssize_t n = stream ? read(src, buf, sizeof(buf)) :
				     pread(src, buf, sizeof(buf), (off_t)at);
		int r;

		if (n < 0)
			return qube__fail_os("cannot read what is to be imported");
		if (n == 0)
			break;
		digest_update(d, buf, (size_t)n);
		for (ssize_t put = 0; put < n;) {
			ssize_t w =
				pwrite(dst, buf + put, (size_t)(n - put), (off_t)at + (off_t)put);

			if (w < 0)
				return qube__fail_name("copy", "what is to be imported");
			put += w;
		}
		at += (uint64_t)n;
		job->done += (uint64_t)n;
		r = worker_tick(job);
		if (r < 0)
			return r;
	}
	*size = at;
	return 0;
}

int worker_private_copy(struct worker_job *job, int src, int dir, enum worker_digest kind,
			uint8_t digest[64], uint64_t *size)
{
	struct digest d = { .kind = kind };
	qube__autofd own = worker_open(dir, ".", O_TMPFILE | O_RDWR, 0);
	int r;

	if (own < 0)
		return qube__fail_name("make", "a copy in the pool");
	digest_init(&d);
	r = copy_all(job, src, own, &d, size);
	if (r < 0)
		return r;
	digest_final(&d, digest);
	return qube__steal_fd(&own);
}

static int verify(int fd, uint64_t size, const uint8_t *digest, const struct minisign_sig *sig,
		  const struct minisign_key *key)
{
	void *all;
	int r;

	if (sig->hashed)
		return worker_minisign_verify(sig, key, digest, WORKER_MINISIGN_DIGEST);
	all = size ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	if (all == MAP_FAILED)
		return qube__fail(QUBE_E_LIMIT,
				  "a file of %llu bytes needs a signature of its "
				  "digest (minisign without -l)",
				  (unsigned long long)size);
	r = worker_minisign_verify(sig, key, all, (size_t)size);
	munmap(all, (size_t)size);
	return r;
}

/* The source, or its copy whose signature is good. key "": it was said that none is wanted. */
static int trusted_source(struct worker_job *job, int source, int dir, const char *key_text,
			  const char *sig_text, uint64_t *size)
{
	struct minisign_key key;
	struct minisign_sig sig;
	uint8_t digest[64];
	struct stat st;
	int fd;
	int r;

	if (fstat(source, &st) < 0)
		return qube__fail_os("cannot look at what is to be imported");
	if (!*key_text && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
		return worker_private_copy(job, source, dir, WORKER_DIGEST_NONE, digest, size);
	if (!S_ISREG(st.st_mode))
		return qube__fail(QUBE_E_INVALID, "what is to be imported is no file");
	*size = (uint64_t)st.st_size;
	job->total = *key_text ? 2 * *size : *size;
	worker_plan(job);
	if (!*key_text)
		return fcntl(source, F_DUPFD_CLOEXEC, 3);
	if (worker_minisign_key_parse(&key, key_text, strlen(key_text)) < 0)
		return qube__fail(QUBE_E_INVALID, "the key is no public key of minisign");
	if (!*sig_text)
		return qube__fail(QUBE_E_DENIED, "there is no signature");
	if (worker_minisign_sig_parse(&sig, sig_text, strlen(sig_text)) < 0)
		return qube__fail(QUBE_E_DENIED, "the signature is no signature of minisign");
	fd = worker_private_copy(job, source, dir, WORKER_DIGEST_BLAKE2B, digest, size);
	if (fd < 0)
		return fd;
	r = verify(fd, *size, digest, &sig, &key);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* The index names all else by digest: its signature is the image's. */
static int trusted_index(struct worker_job *job, int layout, int dir, const char *key,
			 const char *sig)
{
	qube__autofd index = worker_open(layout, "index.json", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	uint64_t size;

	if (index < 0)
		return qube__fail_name("open the image's", "index.json");
	return trusted_source(job, index, dir, key, sig, &size);
}

int worker_import_archive(struct worker_job *job, int source, int parent, const char *const *args,
			  uint64_t keep_free)
{
	struct unpack u = { .im = { .job = job, .dest = -1, .parent = -1 },
			    .keep_free = keep_free };
	bool image = strcmp(args[1], "oci") == 0;
	qube__autofd dest = -1;
	qube__autofd own = -1;
	uint64_t size = 0;
	int r;

	if (!image && strcmp(args[1], "tar") != 0)
		return qube__fail(QUBE_E_PROTO, "an unknown format");
	worker_stage(job, QUBE__JOB_AT_VERIFY);
	own = image ? trusted_index(job, source, parent, args[2], args[3]) :
		      trusted_source(job, source, parent, args[2], args[3], &size);
	if (own < 0)
		return own;
	if (mkdirat(parent, args[0], 0700) == 0)
		dest = worker_open(parent, args[0], O_RDONLY | O_DIRECTORY, 0);
	if (dest < 0 || fchmod(dest, 0755) < 0)
		return qube__fail_name("make", args[0]);
	u.im.dest = dest;
	worker_stage(job, QUBE__JOB_AT_UNPACK);
	r = image ? worker_unpack_oci(&u, source, own) : worker_unpack_tar(&u, own, size);
	qube__close_fd(&u.im.parent);
	worker_stage(job, QUBE__JOB_AT_FLUSH);
	if (r == 0 && syncfs(dest) < 0)
		r = qube__fail_name("flush", "the template");
	return r;
}
