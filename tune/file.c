#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tune/file.h"

int
file_read(const char *path, struct buf *ret_bytes, struct error *err)
{
	/* a FIFO that somebody put there must not hold us up */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	char chunk[65536];
	ssize_t n = 0;
	int r = 0;

	if (fd == -1)
		return error_set(err, -errno, "cannot open \"%s\": %s", path,
		    strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		r = error_set(err, -EINVAL, "\"%s\" is not a regular file", path);
	while (r == 0 && !ret_bytes->failed &&
	    (n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n > 0)
			buf_add(ret_bytes, chunk, (size_t)n);
		else if (errno != EINTR)
			r = error_set(err, -errno, "cannot read \"%s\": %s", path,
			    strerror(errno));
	}
	if (r == 0 && ret_bytes->failed)
		r = error_set(err, -EFBIG, "\"%s\" is too large", path);
	close(fd);
	return r;
}

/* The directory's entry, too, must outlive a power cut. */
static int
directory_sync(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd == -1)
		return -errno;
	r = fsync(fd) == 0 || errno == EINVAL ? 0 : -errno;
	close(fd);
	return r;
}

static int
bytes_write(int fd, struct span s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n > 0)
			s = span_from(s, (size_t)n);
		else if (n == 0 || errno != EINTR)
			return n == 0 ? -ENOSPC : -errno;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

static bool
lock(int fd, int command)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int r;

	do
		r = fcntl(fd, command, &fl);
	while (r == -1 && errno == EINTR);
	return r == 0;
}

/* ".NAME.spamscore-XXXXXX" beside path: a name that no directory of rules is
 * read by, should a kill leave it there, and nobody gives a file of his own. */
struct temporary {
	char dir[PATH_MAX], path[PATH_MAX];
	const char *name; /* within path */
	int fd;
};

static bool
temporary_name(struct temporary *t, const char *path)
{
	const char *slash = strrchr(path, '/');
	int dir = slash != NULL ? (int)(slash - path) + 1 : 0;

	if (snprintf(t->path, sizeof(t->path), "%.*s.%s.spamscore-XXXXXX",
		dir, path, path + dir) >= (int)sizeof(t->path))
		return false;
	t->name = t->path + dir;
	snprintf(t->dir, sizeof(t->dir), "%.*s", dir > 0 ? dir : 1,
	    dir > 0 ? path : ".");
	return true;
}

/* What earlier calls for this path left when they were killed: nobody holds
 * the lock of it. */
static void
leftovers_remove(const struct temporary *t)
{
	size_t len = strlen(t->name);
	struct dirent *e;
	struct stat st;
	DIR *d = opendir(t->dir);
	int fd;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strlen(e->d_name) != len ||
		    memcmp(e->d_name, t->name, len - 6) != 0)
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC |
		    O_NOCTTY | O_NONBLOCK);
		if (fd == -1)
			continue;
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    lock(fd, F_OFD_SETLK))
			unlinkat(dirfd(d), e->d_name, 0);
		close(fd);
	}
	if (d != NULL)
		closedir(d);
}

static int
temporary_open(struct temporary *t)
{
	struct stat st;

	leftovers_remove(t);
	for (;;) {
		t->fd = mkostemp(t->path, O_CLOEXEC);
		if (t->fd == -1)
			return -errno;
		if (!lock(t->fd, F_OFD_SETLKW) || fstat(t->fd, &st) != 0) {
			int r = -errno;

			unlink(t->path);
			close(t->fd);
			return r;
		}
		if (st.st_nlink > 0)
			return 0;
		/* somebody took it for a leftover before it had its lock */
		close(t->fd);
		memcpy(t->path + strlen(t->path) - 6, "XXXXXX", 6);
	}
}

int
file_replace_checked(const char *path, struct span bytes, mode_t mode,
    file_check *check, void *context, struct error *err)
{
	struct temporary t;
	bool checked = true;
	struct stat st;
	int r;

	/* a device or a directory is not to be renamed over */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return error_set(err, -ENOTSUP, "\"%s\" is not a regular file",
		    path);
	if (!temporary_name(&t, path))
		return error_set(err, -ENAMETOOLONG, "\"%s\" is too long", path);
	r = temporary_open(&t);
	if (r != 0)
		return error_set(err, r, "cannot write \"%s\": %s", path,
		    strerror(-r));
	r = bytes_write(t.fd, bytes);
	if (r == 0 && fchmod(t.fd, mode) != 0)
		r = -errno;
	if (r == 0 && check != NULL) {
		r = check(context, t.path, err);
		checked = r == 0;
	}
	if (r == 0 && rename(t.path, path) != 0)
		r = -errno;
	if (r != 0)
		unlink(t.path);
	close(t.fd);
	if (r == 0)
		r = directory_sync(t.dir);
	return r == 0 || !checked ? r : error_set(err, r,
	    "cannot write \"%s\": %s", path, strerror(-r));
}

int
file_replace(const char *path, struct span bytes, mode_t mode,
    struct error *err)
{
	return file_replace_checked(path, bytes, mode, NULL, NULL, err);
}
