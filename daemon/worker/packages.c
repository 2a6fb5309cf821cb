/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * qube-packages DIR [KEY]: the packages of a folder as one tar file, written to descriptor 3. With
 * a key the folder's SHA256SUMS is verified by SHA256SUMS.minisig before a line of it is read, and
 * each file by its line: what is handed on are the very bytes that were digested. Packages
 * themselves are never parsed. On success a line "FILES BYTES"; else the reason, and status 126 for
 * what is not signed as it should be, 1 for anything else. */
#include "minisign.h"
#include "sums.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPOOL = 3, BLOCK = 512, PIECE = 1 << 17, TAR_NAME_MAX = 99 };
/* What twelve octal digits less one hold. */
#define FILE_BYTES_MAX ((uint64_t)8 << 30)

static const char index_name[] = "SHA256SUMS";
static const char signature_name[] = "SHA256SUMS.minisig";

struct folder {
	const char *path;
	int dir;
	bool is_signed;
	struct worker_sums sums;
	uint64_t bytes;
};

static void folder_fini(struct folder *f)
{
	worker_sums_fini(&f->sums);
	qube__close_fd(&f->dir);
}

/* --- the index --- */

static int verify(const struct minisign_key *key, const struct minisign_sig *sig, const char *text,
		  size_t len)
{
	uint8_t digest[WORKER_MINISIGN_DIGEST];

	if (!sig->hashed)
		return worker_minisign_verify(sig, key, text, len);
	crypto_generichash(digest, sizeof(digest), (const uint8_t *)text, len, NULL, 0);
	return worker_minisign_verify(sig, key, digest, sizeof(digest));
}

static int read_key(struct minisign_key *key, const char *path)
{
	qube__autofree char *text = NULL;
	size_t len;
	int r = qube__io_read_file(&text, &len, AT_FDCWD, path, WORKER_MINISIGN_TEXT_MAX);

	if (r < 0)
		return r;
	r = worker_minisign_key_parse(key, text, len);
	return r < 0 ? qube__fail(r, "%s is no public key of minisign", path) : 0;
}

/* The signed text; owned. What is missing is as bad as what does not fit. */
static int read_signed(char **out, size_t *len, struct folder *f, const struct minisign_key *key)
{
	qube__autofree char *text = NULL;
	qube__autofree char *sig_text = NULL;
	struct minisign_sig sig;
	size_t n;
	int r;

	r = qube__io_read_file(&sig_text, &n, f->dir, signature_name, WORKER_MINISIGN_TEXT_MAX);
	if (r == QUBE_E_NOENT)
		return qube__fail(QUBE_E_DENIED, "%s/%s is missing: the folder is not signed",
				  f->path, signature_name);
	if (r < 0)
		return r;
	r = qube__io_read_file(&text, len, f->dir, index_name, WORKER_SUMS_TEXT_MAX);
	if (r == QUBE_E_NOENT)
		return qube__fail(QUBE_E_DENIED, "%s/%s is missing: the folder is not signed",
				  f->path, index_name);
	if (r < 0)
		return r;
	if (worker_minisign_sig_parse(&sig, sig_text, n) < 0)
		return qube__fail(QUBE_E_DENIED, "%s/%s is no signature of minisign", f->path,
				  signature_name);
	r = verify(key, &sig, text, *len);
	if (r < 0)
		return r;
	*out = qube__steal(text);
	return 0;
}

static int read_index(struct folder *f, const char *key_path)
{
	qube__autofree char *text = NULL;
	struct minisign_key key;
	size_t line;
	size_t len;
	int r = read_key(&key, key_path);

	if (r == 0)
		r = read_signed(&text, &len, f, &key);
	if (r < 0)
		return r;
	r = worker_sums_parse(&f->sums, &line, text, len);
	if (r == QUBE_E_PROTO)
		return qube__fail(r, "%s/%s:%zu is no line of sha256sum", f->path, index_name,
				  line);
	if (r == QUBE_E_EXISTS)
		return qube__fail(r, "%s/%s has a file twice", f->path, index_name);
	return r < 0 ? qube__fail(r, "%s/%s is too long", f->path, index_name) : 0;
}

/* --- the folder --- */

static int found(struct folder *f, const char *name)
{
	int r;

	if (!worker_sums_is_package(name))
		return 0;
	if (!f->is_signed) {
		r = worker_sums_add(&f->sums, name, strlen(name));
		if (r == QUBE_E_PROTO)
			return qube__fail(r, "%s has a package with an unusable name", f->path);
		return r < 0 ? qube__fail(r, "%s has too many packages", f->path) : 0;
	}
	if (!worker_sums_find(&f->sums, name))
		return qube__fail(QUBE_E_DENIED, "%s has a package that %s does not list", f->path,
				  index_name);
	return 0;
}

static int look(struct folder *f)
{
	int fd = openat(f->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		qube__close_fd(&fd);
		return qube__fail_os("cannot read %s", f->path);
	}
	while (r == 0 && (e = readdir(d)))
		r = found(f, e->d_name);
	closedir(d);
	if (r == 0 && !f->is_signed)
		r = worker_sums_sort(&f->sums);
	if (r == 0 && !f->sums.n)
		return qube__fail(QUBE_E_NOENT, "%s has no package: looked for *.deb and *.rpm",
				  f->path);
	return r;
}

/* --- the tar file --- */

static int put(const void *data, size_t len)
{
	return qube__io_write_full(SPOOL, data, len) < 0 ? qube__fail_os("cannot write the copy") :
							   0;
}

/* A name that is too long for the format is of no importance: the packages say what they are. */
static void tar_name(char out[TAR_NAME_MAX + 1], const char *name, size_t i)
{
	if (strlen(name) > TAR_NAME_MAX)
		snprintf(out, TAR_NAME_MAX + 1, "%zu%s", i, name + strlen(name) - 4);
	else
		memcpy(out, name, strlen(name) + 1);
}

static int put_head(const char *name, uint64_t size, size_t i)
{
	union {
		char block[BLOCK];
		struct {
			char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8];
			char type, link[100], magic[8];
		} f;
	} head = { .block = { 0 } };
	unsigned int sum = 0;

	tar_name(head.f.name, name, i);
	memcpy(head.f.mode, "0000644", 8);
	memcpy(head.f.uid, "0000000", 8);
	memcpy(head.f.gid, "0000000", 8);
	snprintf(head.f.size, sizeof(head.f.size), "%011" PRIo64, size);
	memcpy(head.f.mtime, "00000000000", 12);
	memset(head.f.sum, ' ', sizeof(head.f.sum));
	head.f.type = '0';
	memcpy(head.f.magic, "ustar\00000", 8);
	for (size_t k = 0; k < BLOCK; k++)
		sum += (unsigned char)head.block[k];
	snprintf(head.f.sum, sizeof(head.f.sum), "%06o", sum);
	return put(head.block, BLOCK);
}

/* Exactly as many bytes as the head says, whatever becomes of the file meanwhile. */
static int put_bytes(struct folder *f, int fd, const struct worker_sum *s, uint64_t size)
{
	static const char zeroes[BLOCK];
	qube__autofree uint8_t *data = malloc(PIECE);
	uint8_t digest[WORKER_SUMS_DIGEST];
	crypto_hash_sha256_state state;
	uint64_t left = size;

	if (!data)
		return qube__fail_nomem();
	crypto_hash_sha256_init(&state);
	while (left) {
		ssize_t n = read(fd, data, left < PIECE ? (size_t)left : PIECE);

		if (n < 0)
			return qube__fail_os("cannot read %s/%s", f->path, s->name);
		if (n == 0)
			return qube__fail(QUBE_E_STATE, "%s/%s changed while it was read", f->path,
					  s->name);
		crypto_hash_sha256_update(&state, data, (size_t)n);
		if (put(data, (size_t)n) < 0)
			return QUBE_E_SYSTEM;
		left -= (uint64_t)n;
	}
	crypto_hash_sha256_final(&state, digest);
	if (f->is_signed && sodium_memcmp(digest, s->digest, sizeof(digest)) != 0)
		return qube__fail(QUBE_E_DENIED, "%s/%s is not the file that %s lists", f->path,
				  s->name, index_name);
	return size % BLOCK ? put(zeroes, BLOCK - size % BLOCK) : 0;
}

static int put_package(struct folder *f, size_t i)
{
	const struct worker_sum *s = &f->sums.list[i];
	/* Not blocking: it could be a pipe. */
	qube__autofd fd =
		openat(f->dir, s->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return qube__fail_os("cannot open %s/%s", f->path, s->name);
	if (!S_ISREG(st.st_mode))
		return qube__fail(QUBE_E_INVALID, "%s/%s is no file", f->path, s->name);
	if ((uint64_t)st.st_size >= FILE_BYTES_MAX)
		return qube__fail(QUBE_E_LIMIT, "%s/%s is too large", f->path, s->name);
	r = put_head(s->name, (uint64_t)st.st_size, i);
	if (r == 0)
		r = put_bytes(f, fd, s, (uint64_t)st.st_size);
	f->bytes += (uint64_t)st.st_size;
	return r;
}

static int run(struct folder *f, const char *key)
{
	static const char end[2 * BLOCK];
	int r = 0;

	f->is_signed = key != NULL;
	f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dir < 0)
		return qube__fail_os("cannot open %s", f->path);
	if (key)
		r = read_index(f, key);
	if (r == 0)
		r = look(f);
	for (size_t i = 0; r == 0 && i < f->sums.n; i++)
		r = put_package(f, i);
	return r < 0 ? r : put(end, sizeof(end));
}

int main(int argc, char **argv)
{
	struct folder f = { .dir = -1 };
	int r;

	signal(SIGPIPE, SIG_IGN);
	if (argc < 2 || argc > 3 || sodium_init() < 0) {
		fputs("usage: qube-packages DIR [KEY]\n", stderr);
		return 2;
	}
	f.path = argv[1];
	r = run(&f, argc > 2 ? argv[2] : NULL);
	if (r < 0)
		fprintf(stderr, "%s\n", qube_error_last()->message);
	else
		printf("%zu %" PRIu64 "\n", f.sums.n, f.bytes);
	folder_fini(&f);
	if (r == 0)
		return fflush(stdout) == 0 ? 0 : 1;
	return r == QUBE_E_DENIED ? 126 : 1;
}
