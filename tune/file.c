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
directory_sync(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX] = ".";
	int fd, r;

	if (slash != NULL)
		snprintf(dir, sizeof(dir), "%.*s",
		    slash == path ? 1 : (int)(slash - path), path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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

/* ".NAME.XXXXXX" beside path: a name that no directory of rules is read by,
 * should a kill leave it there. */
static bool
temporary_name(const char *path, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	int dir = slash != NULL ? (int)(slash - path) + 1 : 0;

	return snprintf(out, PATH_MAX, "%.*s.%s.XXXXXX", dir, path,
	    path + dir) < PATH_MAX;
}

int
file_replace_checked(const char *path, struct span bytes, mode_t mode,
    file_check *check, void *context, struct error *err)
{
	char tmp[PATH_MAX];
	bool checked = true;
	struct stat st;
	int fd, r;

	/* a device or a directory is not to be renamed over */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return error_set(err, -ENOTSUP, "\"%s\" is not a regular file",
		    path);
	if (!temporary_name(path, tmp))
		return error_set(err, -ENAMETOOLONG, "\"%s\" is too long", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd == -1)
		return error_set(err, -errno, "cannot write \"%s\": %s", path,
		    strerror(errno));
	r = bytes_write(fd, bytes);
	if (r == 0 && fchmod(fd, mode) != 0)
		r = -errno;
	if (close(fd) != 0 && r == 0)
		r = -errno;
	if (r == 0 && check != NULL) {
		r = check(context, tmp, err);
		checked = r == 0;
	}
	if (r == 0 && rename(tmp, path) != 0)
		r = -errno;
	if (r != 0) {
		unlink(tmp);
		return !checked ? r : error_set(err, r, "cannot write \"%s\": %s",
		    path, strerror(-r));
	}
	r = directory_sync(path);
	return r == 0 ? 0 : error_set(err, r, "cannot write \"%s\": %s", path,
	    strerror(-r));
}

int
file_replace(const char *path, struct span bytes, mode_t mode,
    struct error *err)
{
	return file_replace_checked(path, bytes, mode, NULL, NULL, err);
}
