/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One entry of an archive becomes one of the tree. Its directory is entered without following any
 * link, so that an earlier entry cannot move a later one; of two with one name the later counts. */
#include "unpack.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char mark[] = ".wh.";
static const char opaque[] = ".wh..wh..opq";

static int refuse(const char *path, const char *why)
{
	char safe[256];

	qube__text_escape(safe, sizeof(safe), path, strlen(path));
	return qube__fail(QUBE_E_PROTO, "the entry %s is refused: %s", safe, why);
}

int worker_unpack_path(char out[UNPACK_PATH_MAX + 1], const char *untrusted)
{
	size_t used = 0;
	int depth = 0;

	if (untrusted[0] == '/')
		return QUBE_E_PROTO;
	for (const char *p = untrusted; *p;) {
		size_t n = strcspn(p, "/");
		bool here = n == 1 && p[0] == '.';

		if ((n == 2 && p[0] == '.' && p[1] == '.') || n > 255 || (n == 0 && p[1]))
			return QUBE_E_PROTO;
		/* "." is for the root and in front alone. */
		if (here && used)
			return QUBE_E_PROTO;
		if (n && !here) {
			if (used + n + 1 > UNPACK_PATH_MAX || ++depth > UNPACK_DEPTH_MAX)
				return QUBE_E_PROTO;
			if (used)
				out[used++] = '/';
			memcpy(out + used, p, n);
			used += n;
		}
		p += n + (p[n] == '/');
	}
	out[used] = '\0';
	return 0;
}

static int enter(struct unpack *u, const char *path, const char **name)
{
	int r = worker_import_parent(&u->im, path, name);

	if (r < 0 && (errno == ELOOP || errno == ENOTDIR))
		return refuse(path, "what it would lie in is no directory");
	return r;
}

/* A cached directory may be among what goes. */
static int remove_tree(struct unpack *u, const char *name)
{
	qube__autofd at = fcntl(u->im.parent, F_DUPFD_CLOEXEC, 3);
	int r;

	if (at < 0)
		return qube__fail_os("cannot duplicate a descriptor");
	r = worker_remove_tree(u->im.job, at, name);
	qube__close_fd(&u->im.parent);
	return r;
}

/* Whatever has the name goes, so that the entry can be made. */
static int make_way(struct unpack *u, const char *path, const char *name)
{
	if (unlinkat(u->im.parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return qube__fail_name("replace", path);
	if (!u->image) {
		if (unlinkat(u->im.parent, name, AT_REMOVEDIR) == 0)
			return 0;
		return refuse(path, "it would replace a directory that is not empty");
	}
	if (remove_tree(u, name) < 0)
		return qube__fail_name("replace", path);
	return enter(u, path, &name);
}

static int check_room(struct unpack *u, const char *path, uint64_t size)
{
	struct statfs fs;

	if (size > UNPACK_BYTES_MAX - u->bytes)
		return refuse(path, "the entries claim more than a tebibyte");
	u->bytes += size;
	if (fstatfs(u->im.dest, &fs) < 0)
		return qube__fail_os("cannot look at the pool's disk");
	if ((uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < u->keep_free)
		return qube__fail(QUBE_E_LIMIT, "no space is left for it on the pool's disk");
	if (fs.f_files && fs.f_ffree < 1000)
		return qube__fail(QUBE_E_LIMIT, "the pool's disk has no room for more files");
	return 0;
}

static int write_data(struct unpack *u, struct archive *a, int fd, const char *path, uint64_t size)
{
	const void *buf;
	size_t n;
	la_int64_t at;
	int r;

	while ((r = archive_read_data_block(a, &buf, &n, &at)) == ARCHIVE_OK) {
		if (at < 0 || (uint64_t)at > size || n > size - (uint64_t)at)
			return refuse(path, "it has more bytes than it says");
		for (size_t put = 0; put < n;) {
			ssize_t w =
				pwrite(fd, (const char *)buf + put, n - put, at + (la_int64_t)put);

			if (w < 0)
				return qube__fail_name("write", path);
			put += (size_t)w;
		}
		r = worker_tick(u->im.job);
		if (r < 0)
			return r;
	}
	if (r != ARCHIVE_EOF)
		return refuse(path, "its data are damaged or cut off");
	return ftruncate(fd, (off_t)size) < 0 ? qube__fail_name("write", path) : 0;
}

/* user.*, lists of who has access and, where programs may keep privileges, their capabilities.
 * Others belong to the host. */
static int copy_xattrs(struct unpack *u, struct archive_entry *e, int fd, const char *path)
{
	const char *name;
	const void *value;
	size_t n;

	archive_entry_xattr_reset(e);
	while (archive_entry_xattr_next(e, &name, &value, &n) == ARCHIVE_OK) {
		bool capability = strcmp(name, "security.capability") == 0 &&
				  (u->im.job->flags & QUBE__JOB_KEEP_SETID);

		if (!capability && strncmp(name, "user.", 5) != 0 &&
		    strncmp(name, "system.posix_acl_", 17) != 0)
			continue;
		if (fsetxattr(fd, name, value, n, 0) < 0)
			return qube__fail_name("set an attribute of", path);
	}
	return 0;
}

static int finish(struct unpack *u, struct archive_entry *e, int fd, const char *path)
{
	mode_t mode = archive_entry_mode(e) & 07777;
	struct timespec times[2];
	int r;

	times[0].tv_sec = times[1].tv_sec = archive_entry_mtime(e);
	times[0].tv_nsec = times[1].tv_nsec = archive_entry_mtime_nsec(e);
	if (!(u->im.job->flags & QUBE__JOB_KEEP_SETID) && archive_entry_filetype(e) != AE_IFDIR)
		mode &= (mode_t)~06000;
	/* In this order: a new owner takes capabilities away. */
	if (fchown(fd, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e)) < 0)
		return qube__fail_name("set the owner of", path);
	r = copy_xattrs(u, e, fd, path);
	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0 || (times[0].tv_sec && futimens(fd, times) < 0))
		return qube__fail_name("finish", path);
	return 0;
}

static int make_dir(struct unpack *u, struct archive_entry *e, const char *path, const char *name)
{
	qube__autofd fd = -1;
	struct stat st;

	if (!*path)
		return finish(u, e, u->im.dest, "the root");
	if (fstatat(u->im.parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
	    unlinkat(u->im.parent, name, 0) < 0)
		return qube__fail_name("replace", path);
	if (mkdirat(u->im.parent, name, 0700) < 0 && errno != EEXIST)
		return qube__fail_name("make", path);
	fd = worker_open(u->im.parent, name, O_RDONLY | O_DIRECTORY, 0);
	return fd < 0 ? qube__fail_name("make", path) : finish(u, e, fd, path);
}

static int make_file(struct unpack *u, struct archive *a, struct archive_entry *e, const char *path,
		     const char *name)
{
	int64_t size = archive_entry_size_is_set(e) ? archive_entry_size(e) : -1;
	qube__autofd fd = -1;
	int r;

	if (size < 0)
		return refuse(path, "it has no size");
	r = check_room(u, path, (uint64_t)size);
	if (r == 0)
		r = make_way(u, path, name);
	if (r < 0)
		return r;
	fd = worker_open(u->im.parent, name, O_WRONLY | O_CREAT | O_EXCL, 0);
	if (fd < 0)
		return qube__fail_name("make", path);
	r = write_data(u, a, fd, path, (uint64_t)size);
	return r < 0 ? r : finish(u, e, fd, path);
}

static int make_symlink(struct unpack *u, struct archive_entry *e, const char *path,
			const char *name)
{
	const char *target = archive_entry_symlink(e);
	struct timespec times[2] = { { .tv_sec = archive_entry_mtime(e) },
				     { .tv_sec = archive_entry_mtime(e) } };
	int r;

	/* It may point anywhere: it is for the qube to follow, in a root of its own. */
	if (!target || !*target || strlen(target) > UNPACK_PATH_MAX)
		return refuse(path, "it is a symbolic link to nothing, or too long");
	r = make_way(u, path, name);
	if (r < 0)
		return r;
	if (symlinkat(target, u->im.parent, name) < 0 ||
	    fchownat(u->im.parent, name, (uid_t)archive_entry_uid(e), (gid_t)archive_entry_gid(e),
		     AT_SYMLINK_NOFOLLOW) < 0)
		return qube__fail_name("make", path);
	utimensat(u->im.parent, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int make_hardlink(struct unpack *u, const char *untrusted, const char *path,
			 const char *name)
{
	char target[UNPACK_PATH_MAX + 1];
	qube__autofd dir = -1;
	struct stat st;
	char *slash;
	int r;

	if (worker_unpack_path(target, untrusted) < 0 || !*target)
		return refuse(path, "it is a link to a place outside");
	if (strcmp(target, path) == 0)
		return refuse(path, "it is a link to itself");
	slash = strrchr(target, '/');
	if (slash)
		*slash = '\0';
	dir = slash ? worker_open(u->im.dest, target, O_PATH | O_DIRECTORY, 0) :
		      fcntl(u->im.dest, F_DUPFD_CLOEXEC, 3);
	slash = slash ? slash + 1 : target;
	if (dir < 0 || fstatat(dir, slash, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return refuse(path, "it is a link to what is no file of this tree");
	r = make_way(u, path, name);
	if (r < 0)
		return r;
	if (linkat(dir, slash, u->im.parent, name, 0) < 0)
		return qube__fail_name("link", path);
	return 0;
}

static bool ids_ok(struct archive_entry *e)
{
	return archive_entry_uid(e) >= 0 && archive_entry_uid(e) < UNPACK_IDS &&
	       archive_entry_gid(e) >= 0 && archive_entry_gid(e) < UNPACK_IDS;
}

int worker_unpack_entry(struct unpack *u, struct archive *a, struct archive_entry *e)
{
	const char *untrusted = archive_entry_pathname(e);
	const char *hardlink = archive_entry_hardlink(e);
	char path[UNPACK_PATH_MAX + 1];
	const char *name = "";
	int r = worker_tick(u->im.job);

	if (r < 0)
		return r;
	if (++u->entries > UNPACK_ENTRIES_MAX)
		return qube__fail(QUBE_E_LIMIT, "more than %d entries", UNPACK_ENTRIES_MAX);
	if (!untrusted || worker_unpack_path(path, untrusted) < 0)
		return refuse(untrusted ? untrusted : "without a name",
			      "it is absolute, has \"..\", or is too long");
	if (!ids_ok(e))
		return refuse(path, "a qube has no user or group of that number");
	if (*path) {
		r = enter(u, path, &name);
		if (r < 0)
			return r;
	} else if (archive_entry_filetype(e) != AE_IFDIR || hardlink) {
		return refuse(".", "the root of the tree is a directory");
	}
	u->im.job->files++;
	if (hardlink)
		return make_hardlink(u, hardlink, path, name);
	switch (archive_entry_filetype(e)) {
	case AE_IFDIR:
		return make_dir(u, e, path, name);
	case AE_IFREG:
		return make_file(u, a, e, path, name);
	case AE_IFLNK:
		return make_symlink(u, e, path, name);
	default:
		/* A box makes its own devices; sockets and pipes belong to who listens. */
		worker_note(u->im.job, "left out: /%s (no file, directory or symbolic link)", path);
		u->im.job->skipped++;
		u->im.job->files--;
		return 0;
	}
}

/* The children of the directory, but not the directory. */
static int empty_dir(struct unpack *u, const char *path)
{
	qube__autofd dir = *path ? worker_open(u->im.dest, path, O_RDONLY | O_DIRECTORY, 0) :
				   fcntl(u->im.dest, F_DUPFD_CLOEXEC, 3);

	if (dir < 0)
		return errno == ENOENT ? 0 : qube__fail_name("empty", path);
	qube__close_fd(&u->im.parent);
	return worker_remove_tree(u->im.job, dir, NULL);
}

int worker_unpack_whiteout(struct unpack *u, const char *untrusted)
{
	char path[UNPACK_PATH_MAX + 1];
	const char *name;
	struct stat st;
	char *base;

	if (worker_unpack_path(path, untrusted) < 0)
		return refuse(untrusted, "it is absolute, has \"..\", or is too long");
	base = strrchr(path, '/');
	base = base ? base + 1 : path;
	if (strncmp(base, mark, sizeof(mark) - 1) != 0)
		return 0;
	if (strcmp(base, opaque) == 0) {
		*base = '\0';
		if (base > path)
			base[-1] = '\0';
		return empty_dir(u, path) < 0 ? QUBE_E_SYSTEM : 1;
	}
	memmove(base, base + sizeof(mark) - 1, strlen(base) - (sizeof(mark) - 1) + 1);
	if (!*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
		return refuse(untrusted, "it marks nothing");
	if (enter(u, path, &name) < 0)
		return QUBE_E_PROTO;
	if (fstatat(u->im.parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 1;
	return remove_tree(u, name) < 0 ? QUBE_E_SYSTEM : 1;
}
