#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "milter/privilege.h"

int
privilege_find_user(const char *name, struct privilege_user *ret_user,
    struct error *err)
{
	struct passwd *pw = getpwnam(name);

	if (pw == NULL)
		return error_set(err, -ENOENT, "no such user: \"%s\"", name);
	if (pw->pw_uid == 0 || pw->pw_gid == 0)
		return error_set(err, -EPERM, "user \"%s\" is root", name);
	snprintf(ret_user->name, sizeof(ret_user->name), "%s", name);
	ret_user->uid = pw->pw_uid;
	ret_user->gid = pw->pw_gid;
	return 0;
}

static int
capabilities_drop(struct error *err)
{
	cap_t none = cap_init(), have = cap_get_proc();
	int r = 0;

	/* who has none, as a systemd unit, may not even be allowed to ask */
	if (none == NULL || ((have == NULL || cap_compare(have, none) != 0) &&
	    cap_set_proc(none) == -1))
		r = error_set(err, -errno, "cannot give up capabilities: %s",
		    strerror(errno));
	cap_free(have);
	have = cap_get_proc();
	if (r == 0 && (have == NULL || cap_compare(have, none) != 0))
		r = error_set(err, -EPERM, "capabilities are left");
	cap_free(have);
	cap_free(none);
	return r;
}

/* What could still raise us is tried; success of a try is the failure. */
static int
prove(struct error *err)
{
	uid_t ruid, euid, suid, other_uid = getuid() + 1;
	gid_t rgid, egid, sgid;

	if (getresuid(&ruid, &euid, &suid) == -1 ||
	    getresgid(&rgid, &egid, &sgid) == -1)
		return error_set(err, -errno, "cannot read own ids");
	if (ruid == 0 || ruid != euid || ruid != suid || rgid == 0 ||
	    rgid != egid || rgid != sgid)
		return error_set(err, -EPERM, "privileges are left");
	if (setuid(0) == 0 || seteuid(0) == 0 || setresuid(0, 0, 0) == 0 ||
	    setgid(0) == 0 || setegid(0) == 0 || setresgid(0, 0, 0) == 0 ||
	    setuid(other_uid) == 0)
		return error_set(err, -EPERM, "privileges can come back");
	return 0;
}

int
privilege_drop(const struct privilege_user *user, struct error *err)
{
	int r;

	if (geteuid() == 0) {
		if (initgroups(user->name, user->gid) == -1 ||
		    setresgid(user->gid, user->gid, user->gid) == -1 ||
		    setresuid(user->uid, user->uid, user->uid) == -1)
			return error_set(err, -errno, "cannot become \"%s\": %s",
			    user->name, strerror(errno));
		/* no core dump of other people's mail, no ptrace by peers (and
		 * so no search for leaks, where a sanitizer wants that) */
#ifdef __SANITIZE_ADDRESS__
		prctl(PR_SET_DUMPABLE, 1);
#else
		prctl(PR_SET_DUMPABLE, 0);
#endif
	}
	r = capabilities_drop(err);
	if (r != 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return error_set(err, -errno, "cannot refuse new privileges");
	return prove(err);
}
