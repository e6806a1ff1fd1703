#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "milter/sandbox.h"

/* later than Debian 12's header */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                          \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |  \
	    LANDLOCK_ACCESS_FS_TRUNCATE)
#define FS_DIRECTORY_ONLY (~(LANDLOCK_ACCESS_FS_READ_FILE | \
	LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE))

/* What libraries read: resolv.conf, nsswitch and hosts, time zones, the
 * suffix list, gconv modules, the state of threads and memory. */
static const char *const system_paths[] = { "/etc", "/usr", "/lib", "/lib64",
	"/proc", "/sys/devices/system/cpu", "/run/systemd/resolve",
	"/run/resolvconf", "/run/NetworkManager/resolv.conf", "/dev/urandom",
	"/dev/random", "/dev/zero" };

static int
allow(int ruleset, const char *path, uint64_t access, struct error *err)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	struct stat st;
	int r = 0;

	if (path == NULL)
		return 0;
	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd == -1)
		return errno == ENOENT || errno == EACCES ? 0 :
		    error_set(err, -errno, "landlock: cannot open \"%s\": %s",
			path, strerror(errno));
	if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= ~FS_DIRECTORY_ONLY;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		&rule, 0) == -1)
		r = error_set(err, -errno, "landlock: \"%s\": %s", path,
		    strerror(errno));
	close(rule.parent_fd);
	return r;
}

static int
enter_landlock(const struct sandbox_paths *p, int *ret_abi, struct error *err)
{
	/* the first ABI's thirteen rights; exec is among them and given nowhere */
	struct landlock_ruleset_attr attr = { .handled_access_fs = (1ULL << 13) - 1 };
	int ruleset, r = 0, abi = (int)syscall(SYS_landlock_create_ruleset, NULL,
	    0, LANDLOCK_CREATE_RULESET_VERSION);

	*ret_abi = abi > 0 ? abi : 0;
	if (abi <= 0)
		return 0;
	if (abi >= 2)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset == -1)
		return error_set(err, -errno, "landlock: %s", strerror(errno));
	for (size_t i = 0; r == 0 &&
	     i < sizeof(system_paths) / sizeof(system_paths[0]); i++)
		r = allow(ruleset, system_paths[i], FS_READ, err);
	if (r == 0)
		r = allow(ruleset, "/dev/null", (FS_READ | FS_WRITE) &
			attr.handled_access_fs, err);
	for (size_t i = 0; r == 0 && i < p->read_count; i++)
		r = allow(ruleset, p->read[i], FS_READ, err);
	for (size_t i = 0; r == 0 && i < p->write_count; i++)
		r = allow(ruleset, p->write[i], (FS_READ | FS_WRITE) &
			attr.handled_access_fs, err);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) == -1)
		r = error_set(err, -errno, "landlock: %s", strerror(errno));
	close(ruleset);
	return r;
}

static const char *const calls[] = {
	/* files */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv",
	"pwritev", "open", "openat", "close", "close_range", "stat", "fstat", "lstat",
	"newfstatat", "statx", "statfs", "fstatfs", "lseek", "_llseek", "access",
	"faccessat", "faccessat2", "readlink", "readlinkat", "getcwd",
	"getdents64", "rename", "renameat", "renameat2", "unlink", "unlinkat",
	"ftruncate", "fallocate", "fsync", "fdatasync", "sync_file_range", "flock",
	"fchmod", "fchmodat", "chmod", "fchown", "fchownat", "lchown", "chown",
	"umask", "utimensat", "dup", "dup2", "dup3", "pipe", "pipe2", "fadvise64",
	/* waiting */
	"poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1",
	"epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2",
	"signalfd4", "timerfd_create", "timerfd_settime", "timerfd_gettime",
	"nanosleep", "clock_nanosleep", "pause", "restart_syscall",
	/* sockets; which families is said below */
	"connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg",
	"sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "shutdown", "getsockname",
	"getpeername", "setsockopt", "getsockopt", "socketpair",
	/* memory and threads */
	"brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "futex",
	"futex_waitv", "set_robust_list", "get_robust_list", "rseq", "membarrier",
	"sched_yield", "sched_getaffinity", "gettid", "set_tid_address", "exit",
	"exit_group", "tgkill", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
	"rt_sigpending", "rt_sigtimedwait", "rt_sigsuspend", "sigaltstack",
	/* who, when, how much */
	"getpid", "getppid", "getuid", "geteuid", "getgid", "getegid",
	"getresuid", "getresgid", "getgroups", "getrandom", "clock_gettime",
	"clock_getres", "gettimeofday", "time", "times", "uname", "sysinfo",
	"getrlimit", "getrusage", "arch_prctl", "prctl",
};

static int
enter_seccomp(struct error *err)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6 };
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = 0;

	if (ctx == NULL)
		return error_set(err, -ENOMEM, "seccomp: out of memory");
	for (size_t i = 0; r == 0 && i < sizeof(calls) / sizeof(calls[0]); i++) {
		int nr = seccomp_syscall_resolve_name(calls[i]);

		/* not every machine has each; a negative one is not its own */
		if (nr >= 0)
			r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
	}
	for (size_t i = 0; r == 0 && i < sizeof(families) / sizeof(families[0]); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	/* threads, but no processes: clone3's flags cannot be seen, and libc
	 * falls back to clone when there is none */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
		    SCMP_SYS(clone3), 0);
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	/* terminals have ioctls that type for their user; asking is harmless */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xFFFFFFFF, 0x541B /* FIONREAD */));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xFFFFFFFF, 0x5421 /* FIONBIO */));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
		    SCMP_A1(SCMP_CMP_MASKED_EQ, 0xFFFFFFFF, 0x5401 /* TCGETS */));
	/* reading own limits only */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
		    SCMP_A2(SCMP_CMP_EQ, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 0);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r == 0 ? 0 : error_set(err, r, "seccomp: %s", strerror(-r));
}

int
sandbox_enter(const struct sandbox_paths *paths, int *ret_landlock,
    struct error *err)
{
	int r;

	*ret_landlock = 0;
#ifdef __SANITIZE_ADDRESS__
	/* its runtime reads and traces more than the program does */
	(void)paths;
	return 0;
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return error_set(err, -errno, "cannot refuse new privileges");
	r = enter_landlock(paths, ret_landlock, err);
	return r != 0 ? r : enter_seccomp(err);
}
