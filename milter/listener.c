#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libmilter/mfapi.h>

#include "milter/listener.h"

enum { BACKLOG = 256 };

int
listener_make_dir(const char *dir, uid_t uid, gid_t gid, mode_t mode,
    struct error *err)
{
	int fd, r = 0;

	if (mkdir(dir, 0700) == -1) {
		if (errno == EEXIST)
			return 0;
		return error_set(err, -errno, "cannot make directory \"%s\": %s",
		    dir, strerror(errno));
	}
	/* by descriptor: what was just made, not what a link points to */
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || (geteuid() == 0 && fchown(fd, uid, gid) == -1) ||
	    fchmod(fd, mode) == -1)
		r = error_set(err, -errno, "cannot give away \"%s\": %s", dir,
		    strerror(errno));
	if (fd != -1)
		close(fd);
	return r;
}

int
listener_lock(const char *state_dir, const struct privilege_user *user,
    struct error *err)
{
	char path[4096], pid[32];
	int fd, n;

	n = snprintf(path, sizeof(path), "%s/spamscored.lock", state_dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return error_set(err, -ENAMETOOLONG, "state_dir is too long");
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd == -1)
		return error_set(err, -errno, "cannot open \"%s\": %s", path,
		    strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		n = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
		return error_set(err, n, n == -EBUSY ?
			"another spamscored has \"%s\"" : "cannot lock \"%s\"",
		    path);
	}
	if (user != NULL && fchown(fd, user->uid, user->gid) == -1) {
		n = -errno;
		close(fd);
		return error_set(err, n, "cannot give away \"%s\"", path);
	}
	n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) == -1 || write(fd, pid, (size_t)n) != n) {
		/* the pid is for people; the lock is what counts */
		n = 0;
	}
	/* fd stays open: the kernel lets go of it with the process */
	return 0;
}

static int
own_socket(const char *path, const struct milter_settings *s,
    const struct privilege_user *user, struct error *err)
{
	struct group *gr = getgrnam(s->socket_group);
	gid_t gid;

	if (gr == NULL)
		return error_set(err, -ENOENT, "socket_group: no such group: \"%s\"",
		    s->socket_group);
	gid = gr->gr_gid;
	if (user != NULL && lchown(path, user->uid, gid) == -1)
		return error_set(err, -errno, "cannot give away \"%s\": %s", path,
		    strerror(errno));
	/* Without root the group can be given only if it is one of ours (under
	 * systemd: SupplementaryGroups=postfix, or a setgid directory). */
	if (user == NULL && lchown(path, (uid_t)-1, gid) == -1 && errno != EPERM &&
	    errno != EINVAL)
		return error_set(err, -errno, "cannot change group of \"%s\": %s",
		    path, strerror(errno));
	if (chmod(path, 0660) == -1)
		return error_set(err, -errno, "cannot change mode of \"%s\": %s",
		    path, strerror(errno));
	return 0;
}

static int
make_parent(const char *path, const struct milter_settings *s,
    const struct privilege_user *user, struct error *err)
{
	struct group *gr = getgrnam(s->socket_group);
	char dir[128];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash == dir)
		return 0;
	*slash = '\0';
	/* setgid: a socket made later, without root, belongs to the group */
	return listener_make_dir(dir, user != NULL ? user->uid : getuid(),
	    gr != NULL ? gr->gr_gid : getgid(), 02750, err);
}

int
listener_open(const struct milter_settings *s,
    const struct privilege_user *user, const char **ret_path,
    struct error *err)
{
	static char conn[256];
	static char kept[128];
	const char *path;
	mode_t old;
	int r;

	if (!milter_listen_parse(s->listen, conn, &path))
		return error_set(err, -EINVAL, "listen: not an address: \"%s\"",
		    s->listen);
	if (path != NULL) {
		r = make_parent(path, s, user, err);
		if (r != 0)
			return r;
		snprintf(kept, sizeof(kept), "%s", path);
	}
	smfi_setbacklog(BACKLOG);
	if (smfi_setconn(conn) != MI_SUCCESS)
		return error_set(err, -EINVAL, "listen: libmilter refused \"%s\"",
		    conn);
	/* nobody may connect before the rights are as they should be */
	old = umask(0177);
	r = smfi_opensocket(true);
	umask(old);
	if (r != MI_SUCCESS)
		return error_set(err, -EADDRINUSE, "cannot listen on \"%s\"", conn);
	if (path != NULL) {
		r = own_socket(kept, s, user, err);
		if (r != 0)
			return r;
	}
	*ret_path = path != NULL ? kept : NULL;
	return 0;
}
