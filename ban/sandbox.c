#include "ban/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The sanitizers need system calls and memory beyond any sensible list, and
 * trace the process when it ends. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* Exactly CAP_NET_ADMIN (or nothing), in no set that a new program inherits. */
static int
set_caps(bool need_cap, struct error *err)
{
	cap_t caps = cap_init();
	cap_value_t one[] = { CAP_NET_ADMIN };
	int code = 0;

	if (caps == NULL || (need_cap &&
	    (cap_set_flag(caps, CAP_PERMITTED, 1, one, CAP_SET) < 0 ||
	    cap_set_flag(caps, CAP_EFFECTIVE, 1, one, CAP_SET) < 0)) ||
	    cap_set_proc(caps) < 0)
		code = error_set(err, -errno, "capabilities: %m%s", need_cap ?
		    " (CAP_NET_ADMIN is needed)" : "");
	cap_free(caps);
	return code;
}

static int
prove_drop(bool need_cap, bool was_root, struct error *err)
{
	cap_t now = cap_get_proc(), want = cap_init();
	cap_value_t one[] = { CAP_NET_ADMIN };
	bool same;

	if (now == NULL || want == NULL)
		return error_set(err, -ENOMEM, "capabilities: %m");
	if (need_cap) {
		cap_set_flag(want, CAP_PERMITTED, 1, one, CAP_SET);
		cap_set_flag(want, CAP_EFFECTIVE, 1, one, CAP_SET);
	}
	same = cap_compare(now, want) == 0;
	cap_free(now);
	cap_free(want);
	if (!same)
		return error_set(err, -EPERM, "other capabilities remained");
	if (was_root && (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0))
		return error_set(err, -EPERM, "root came back");
	return 0;
}

int
ban_sandbox_drop(uid_t uid, gid_t gid, bool need_cap, struct error *err)
{
	bool was_root = geteuid() == 0;
	int code;

	if (was_root) {
		if (uid == 0)
			return error_set(err, -EINVAL, "the user must not be root");
		/* what is not in the bounding set cannot be gained by exec */
		for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
			if (cap != CAP_NET_ADMIN || !need_cap)
				prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
		if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
		    setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
		    setresuid(uid, uid, uid) < 0)
			return error_set(err, -errno, "drop privileges: %m");
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, SANITIZED, 0, 0, 0) < 0)
		return error_set(err, -errno, "no_new_privs: %m");
	code = set_caps(need_cap, err);
	return code < 0 ? code : prove_drop(need_cap, was_root, err);
}

static int
landlock_allow(int ruleset, const char *path, uint64_t access,
    struct error *err)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	struct stat st;
	int code = 0;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return error_set(err, -errno, "landlock: \"%s\": %m", path);
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE |
		    LANDLOCK_ACCESS_FS_WRITE_FILE | (1ull << 14) /* truncate */;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
	    &rule, 0) < 0)
		code = error_set(err, -errno, "landlock: \"%s\": %m", path);
	close(rule.parent_fd);
	return code;
}

static int
confine_files(const char *state_dir, const char *config, int *ret_landlock,
    struct error *err)
{
	/* Debian's headers may be older than the kernel: bits as numbers */
	const uint64_t abi1 = (1ull << 13) - 1, refer = 1ull << 13,
	    truncate = 1ull << 14, ioctl_dev = 1ull << 15;
	struct landlock_ruleset_attr attr = { .handled_access_fs = abi1 };
	int abi, ruleset, code;

	abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	*ret_landlock = abi > 0 ? abi : 0;
	if (abi <= 0)
		return 0;
	if (abi >= 2)
		attr.handled_access_fs |= refer;
	if (abi >= 3)
		attr.handled_access_fs |= truncate;
	if (abi >= 5)
		attr.handled_access_fs |= ioctl_dev;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return error_set(err, -errno, "landlock: %m");
	code = landlock_allow(ruleset, state_dir, attr.handled_access_fs &
	    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
	    LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
	    LANDLOCK_ACCESS_FS_MAKE_REG | truncate), err);
	/* its directory: editors put a new file in the place of the old one */
	if (code == 0 && config != NULL) {
		char *copy = strdup(config);

		code = copy == NULL ? error_set(err, -ENOMEM, "out of memory") :
		    landlock_allow(ruleset, dirname(copy),
		    LANDLOCK_ACCESS_FS_READ_FILE, err);
		free(copy);
	}
	if (code == 0 && SANITIZED) /* the search for leaks reads its threads */
		code = landlock_allow(ruleset, "/proc",
		    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR, err);
	if (code == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		code = error_set(err, -errno, "landlock: %m");
	close(ruleset);
	return code;
}

static int
limit(int what, const char *name, rlim_t value, struct error *err)
{
	struct rlimit now, r = { .rlim_cur = value, .rlim_max = value };

	/* an already lower limit stays */
	if (getrlimit(what, &now) == 0 && now.rlim_max < value)
		r.rlim_cur = r.rlim_max = now.rlim_max;
	if (setrlimit(what, &r) < 0)
		return error_set(err, -errno, "limit %s: %m", name);
	return 0;
}

/* Whatever the loop, SQLite in WAL mode and the thread that copies its log,
 * libipset and libmnl really use. */
static const int plain_calls[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(pread64), SCMP_SYS(pwrite64),
	SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(lseek),
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(stat), SCMP_SYS(lstat),
	SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
	SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
	SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
	SCMP_SYS(fcntl), SCMP_SYS(ftruncate), SCMP_SYS(fsync),
	SCMP_SYS(fdatasync), SCMP_SYS(fallocate), SCMP_SYS(geteuid),
	SCMP_SYS(getuid), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),
	SCMP_SYS(accept4), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
	SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(bind),
	SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction), SCMP_SYS(futex), SCMP_SYS(restart_syscall),
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(tgkill), /* abort() of a failed assertion */
	SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(prlimit64),
};

static int
confine_calls(struct error *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc = ctx == NULL ? -ENOMEM : 0;

	for (size_t i = 0; rc == 0 &&
	     i < sizeof(plain_calls) / sizeof(plain_calls[0]); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, plain_calls[i], 0);
	/* the thread that copies the journal's log is bound by it, too */
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	/* netlink is the only family; nothing ever becomes executable */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
		    SCMP_A0(SCMP_CMP_EQ, AF_NETLINK));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* C libraries and SQLite ask for these and live with a no */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
		    SCMP_SYS(fchown), 0);
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM),
		    SCMP_SYS(fchmod), 0);
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOTTY),
		    SCMP_SYS(ioctl), 0);
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
		    SCMP_SYS(rseq), 0);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc < 0 ? error_set(err, rc, "seccomp: %s", strerror(-rc)) : 0;
}

int
ban_sandbox_confine_files(const char *state_dir, const char *config,
    size_t max_fds, int *ret_landlock, struct error *err)
{
	int code = limit(RLIMIT_CORE, "core", 0, err);

	if (code == 0)
		code = limit(RLIMIT_NOFILE, "nofile", max_fds, err);
	return code == 0 ? confine_files(state_dir, config, ret_landlock, err) :
	    code;
}

int
ban_sandbox_confine_calls(size_t max_bytes, struct error *err)
{
	int code;

	if (SANITIZED)
		return 0;
	code = limit(RLIMIT_NPROC, "nproc", 0, err);
	if (code == 0)
		code = limit(RLIMIT_AS, "as", max_bytes, err);
	return code == 0 ? confine_calls(err) : code;
}
