/* Inside the sandbox, as an attacker who runs code in the daemon would. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "milter/sandbox.h"
#include "t/tap.h"

static char top[] = "/tmp/spamscore-sandbox-XXXXXX";
static char state[64], rules[64], other[64];

static int
try_open(const char *dir, const char *name, int flags)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags, 0600);
	if (fd == -1)
		return errno;
	close(fd);
	return 0;
}

static void *
thread_main(void *arg)
{
	*(int *)arg = 1;
	return NULL;
}

static void
inside(int landlock)
{
	char path[200];
	int ran = 0, pair[2];
	pthread_t thread;
	void *exec;

	tap_is_int(try_open(state, "new", O_CREAT | O_RDWR), 0,
	    "the state directory is written to");
	tap_is_int(try_open(rules, "a.cf", O_RDONLY), 0, "rules are read");
	if (landlock > 0) {
		tap_is_int(try_open(rules, "a.cf", O_WRONLY), EACCES,
		    "rules are not written");
		tap_is_int(try_open(rules, "new.cf", O_CREAT | O_WRONLY), EACCES,
		    "nor are new ones made");
		tap_is_int(try_open(other, "mail", O_RDONLY), EACCES,
		    "what is not in the list is not read");
		snprintf(path, sizeof(path), "%s/link", state);
		tap_ok(symlink("/etc/passwd", path) == -1, "no links in the state");
	} else
		tap_skip("files", "the kernel has no Landlock");
	tap_ok(execl("/bin/true", "true", NULL) == -1, "no program is run");
	tap_ok(fork() == -1, "no process is made");
	tap_ok(socket(AF_NETLINK, SOCK_RAW, 0) == -1, "no netlink");
	tap_ok(socket(AF_PACKET, SOCK_RAW, 0) == -1, "no packets");
	tap_ok(ptrace(PTRACE_TRACEME, 0, 0, 0) == -1, "no ptrace");
	tap_ok(kill(getppid(), 0) == -1, "no signals to others");
	tap_ok(chroot("/") == -1, "no chroot");
	tap_ok(setuid(0) == -1, "no change of user");
	tap_ok(socket(AF_INET, SOCK_DGRAM, 0) != -1, "DNS can be asked");
	tap_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "Unix sockets");
	tap_ok(pthread_create(&thread, NULL, thread_main, &ran) == 0 &&
	    pthread_join(thread, NULL) == 0 && ran, "threads run");
	exec = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	tap_ok(exec != MAP_FAILED, "PCRE2 gets its memory");
}

static void
cleanup(void)
{
	char command[200];

	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	if (system(command) != 0)
		printf("# cannot remove %s\n", top);
}

int
main(void)
{
	const char *read[] = { rules, NULL, "/nonexistent" }, *write[] = { state };
	struct sandbox_paths paths = { read, 3, write, 1 };
	struct error err;
	int landlock, status;
	pid_t pid;

#ifdef __SANITIZE_ADDRESS__
	return tap_skip_all("there is no sandbox under a sanitizer");
#endif
	if (mkdtemp(top) == NULL)
		return tap_skip_all("no temporary directory");
	snprintf(state, sizeof(state), "%s/state", top);
	snprintf(rules, sizeof(rules), "%s/rules", top);
	snprintf(other, sizeof(other), "%s/other", top);
	mkdir(state, 0700);
	mkdir(rules, 0700);
	mkdir(other, 0700);
	try_open(rules, "a.cf", O_CREAT | O_WRONLY);
	try_open(other, "mail", O_CREAT | O_WRONLY);
	fflush(stdout);
	pid = fork(); /* the parent stays outside, to clean up */
	if (pid == 0) {
		if (sandbox_enter(&paths, &landlock, &err) != 0) {
			tap_ok(false, "sandbox: %s", err.text);
			_exit(1);
		}
		inside(landlock);
		_exit(tap_done());
	}
	if (pid == -1 || waitpid(pid, &status, 0) == -1)
		status = -1;
	cleanup();
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
