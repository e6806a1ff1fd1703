/*
 * Adoption and rollback: byte for byte there and back; killed at every system
 * call, what is in force is always the old or the new and never anything
 * else; a full disk and a refused check change nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "t/tap.h"
#include "tune/history.h"

static char top[64], dir[80];
static struct arena *arena;

static void
put(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (f == NULL || fputs(text, f) == EOF || fclose(f) != 0)
		abort();
}

/* "-" when there is no such file */
static const char *
get(const char *name)
{
	struct error err;
	char path[200];
	struct buf b;
	const char *text = "-";

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	buf_init(&b, 1 << 20);
	if (file_read(path, &b, &err) == 0)
		text = arena_memdup(arena, b.ptr, b.len);
	buf_done(&b);
	return text;
}

static size_t
earlier(void)
{
	struct history_entry *list;
	struct error err;
	size_t n;

	if (history_list(dir, arena, &list, &n, &err) != 0)
		abort();
	return n;
}

static void
fresh(const char *name)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf %s/%s", top, name);
	if (system(command) != 0)
		abort();
	snprintf(dir, sizeof(dir), "%s/%s", top, name);
	if (mkdir(dir, 0755) != 0)
		abort();
}

static int
adopt(const char *text)
{
	struct error err;

	if (text != NULL)
		put("candidate.cf", text);
	return history_adopt(dir, NULL, NULL, &err);
}

static int
rollback(void)
{
	struct error err;

	return history_rollback(dir, NULL, NULL, &err);
}

static void
test_there_and_back(void)
{
	struct stat before, after;
	char path[200];

	fresh("a");
	snprintf(path, sizeof(path), "%s/tuned.cf", dir);
	tap_is_int(adopt(NULL), -ENOENT, "nothing to adopt");
	tap_is_int(rollback(), -ENOENT, "nothing to go back to");
	tap_is_int(adopt("one\n"), 0, "the first");
	tap_is_str(get("tuned.cf"), "one\n", "is in force");
	tap_is_str(get("candidate.cf"), "-", "and no candidate any more");
	stat(path, &before);
	tap_is_int(adopt("two\r\n\0"), 0, "the second");
	tap_is_int(adopt("three"), 0, "the third");
	tap_is_int((long)earlier(), 3, "three before it");
	tap_is_int(rollback(), 0, "back");
	tap_is_str(get("tuned.cf"), "two\r\n", "to the second");
	tap_is_str(get("history/undone.cf"), "three", "what was undone is kept");
	tap_is_int(rollback(), 0, "back");
	tap_is_str(get("tuned.cf"), "one\n", "to the first");
	stat(path, &after);
	tap_ok(before.st_ino == after.st_ino && before.st_mtim.tv_nsec ==
	    after.st_mtim.tv_nsec, "the very file that it was");
	tap_is_int(adopt("four"), 0, "forward again");
	tap_is_int(rollback(), 0, "and back");
	tap_is_int(rollback(), 0, "to the scores as shipped");
	tap_is_str(get("tuned.cf"), "-", "without a file");
	tap_is_int(rollback(), -ENOENT, "and no further");
}

static int
refuse(void *context, const char *path, struct error *err)
{
	(void)path;
	return error_set(err, *(int *)context, "refused");
}

static void
test_refused(void)
{
	int code = -EINVAL;
	struct error err;
	char path[200];
	int lock;

	fresh("b");
	adopt("one");
	adopt("two");
	put("candidate.cf", "bad");
	tap_is_int(history_adopt(dir, refuse, &code, &err), -EINVAL,
	    "a candidate that does not load");
	tap_ok(strcmp(get("tuned.cf"), "two") == 0 && earlier() == 2 &&
	    strcmp(get("candidate.cf"), "bad") == 0, "changes nothing");
	tap_is_int(history_rollback(dir, refuse, &code, &err), -EINVAL,
	    "earlier scores that do not load any more");
	tap_ok(strcmp(get("tuned.cf"), "two") == 0 && earlier() == 2,
	    "change nothing");
	lock = history_lock(dir, &err);
	tap_is_int(adopt(NULL), -EBUSY, "two at once");
	close(lock);
	snprintf(path, sizeof(path), "%s/candidate.cf", dir);
	unlink(path);
	if (symlink("/etc/passwd", path) != 0)
		abort();
	tap_is_int(adopt(NULL), -EINVAL, "a link is no candidate");
	tap_is_str(get("tuned.cf"), "two", "the scores stay");
}

static void
test_many(void)
{
	char text[32];

	fresh("c");
	for (unsigned i = 0; i < HISTORY_MAX + 20; i++) {
		snprintf(text, sizeof(text), "set %u", i);
		adopt(text);
	}
	tap_is_int((long)earlier(), HISTORY_MAX, "the oldest go");
	rollback();
	snprintf(text, sizeof(text), "set %u", HISTORY_MAX + 18);
	tap_is_str(get("tuned.cf"), text, "the youngest stay");
}

/* Runs `work` in a child and kills it at its nth system call; false: it was
 * done before. */
static bool
killed_at(unsigned n, int (*work)(void))
{
	unsigned stops = 0;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(99);
		raise(SIGSTOP);
		_exit(work() == 0 ? 0 : 1);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return false;
	for (;;) {
		if (stops++ == n)
			kill(pid, SIGKILL);
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) != 0 ||
		    waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			break;
	}
	if (!WIFSIGNALED(status) && !WIFEXITED(status))
		waitpid(pid, &status, 0);
	return WIFSIGNALED(status);
}

static int
adopt_again(void)
{
	return adopt(NULL);
}

struct killing {
	const char *label;
	unsigned adopted; /* before */
	int (*work)(void);
	const char *old, *new; /* of tuned.cf */
};

static const struct killing killings[] = {
	{ "the first adoption", 0, adopt_again, "-", "candidate" },
	{ "a later adoption", 2, adopt_again, "set 1", "candidate" },
	{ "a rollback", 3, rollback, "set 2", "set 1" },
	{ "a rollback to the shipped scores", 1, rollback, "set 0", "-" },
};

static void
test_killed(const struct killing *k)
{
	unsigned n = 0, wrong = 0, olds = 0;
	bool killed = true;
	char undone[200];

	fresh("k");
	snprintf(undone, sizeof(undone), "%s/history/undone.cf", dir);
	for (; killed && n < 400; n++) {
		const char *now;
		char text[32];

		unlink(undone);
		for (unsigned i = 0; i < k->adopted; i++) {
			snprintf(text, sizeof(text), "set %u", i);
			adopt(text);
		}
		put("candidate.cf", "candidate");
		killed = killed_at(n, k->work);
		now = get("tuned.cf");
		if (strcmp(now, k->old) == 0) {
			olds++;
			/* what was begun does no harm: all steps back are there */
			wrong += earlier() != k->adopted;
			wrong += k->work() != 0 ||
			    strcmp(get("tuned.cf"), k->new) != 0;
		} else
			wrong += strcmp(now, k->new) != 0;
		while (rollback() == 0)
			;
		wrong += strcmp(get("tuned.cf"), "-") != 0;
	}
	if (n <= 1) {
		tap_ok(true, "%s # SKIP cannot trace", k->label);
		return;
	}
	tap_ok(wrong == 0 && n > 10 && n < 400 && olds > 5 && olds < n,
	    "%s, killed at each of %u system calls: %u times old, else new",
	    k->label, n - 1, olds);
}

static void
test_full(void)
{
	char path[200];
	int r = 0;

	fresh("full");
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", dir, "tmpfs", 0, "size=64k,nr_inodes=16") != 0) {
		tap_ok(true, "a full disk # SKIP cannot mount");
		return;
	}
	adopt("one");
	put("candidate.cf", "two");
	for (int i = 0; r == 0 && i < 100; i++) {
		snprintf(path, sizeof(path), "%s/filler%d", dir, i);
		r = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (r >= 0) {
			char block[4096] = { 0 };

			if (write(r, block, sizeof(block)) < 0)
				errno = ENOSPC;
			close(r);
			r = 0;
		}
	}
	r = adopt(NULL);
	tap_ok((r == 0 && strcmp(get("tuned.cf"), "two") == 0) ||
	    (r == -ENOSPC && strcmp(get("tuned.cf"), "one") == 0),
	    "a full disk: %d, and the scores are whole", r);
	tap_ok(r == 0 || earlier() == 1, "the way back is there");
	umount2(dir, MNT_DETACH);
}

static void
test_log(void)
{
	struct history_event *list;
	struct error err;
	size_t n;

	fresh("log");
	history_events(dir, NULL, 5, arena, &list, &n, &err);
	tap_is_int((long)n, 0, "no log, no events");
	for (int i = 0; i < 8; i++)
		history_note(dir, 1700000000 + i, i % 2 ? "waits" : "adopted",
		    "why\nnot", &err);
	history_events(dir, NULL, 3, arena, &list, &n, &err);
	tap_ok(n == 3 && list[2].time == 1700000007 &&
	    strcmp(list[2].text, "why not") == 0, "the last three, in order");
	put("history/log", "\n \nx\n12\n99999999999999999999 a b\n\001\377 y\n"
	    "5 adopted\n1700000006 adopted z\n7 torn");
	history_events(dir, NULL, 9, arena, &list, &n, &err);
	tap_ok(n == 3 && strcmp(list[1].text, "z") == 0 &&
	    strcmp(list[0].text, "") == 0, "what is no event is passed over");
	for (int i = 0; i < 3; i++)
		history_note(dir, 1700000004 + i, "adopted", "why", &err);
	history_events(dir, "adopted", 5, arena, &list, &n, &err);
	tap_ok(n == 5 && list[4].time == 1700000006 && list[0].time == 5 &&
	    list[2].time == 1700000004, "of one kind; a line that was cut takes none with it");
}

int
main(void)
{
	char command[96];

	snprintf(top, sizeof(top), "/tmp/spamscore-history-XXXXXX");
	arena = arena_new(256 << 20);
	if (mkdtemp(top) == NULL || arena == NULL)
		return tap_skip_all("no temporary directory");
	test_there_and_back();
	test_refused();
	test_many();
	test_log();
	for (size_t i = 0; i < sizeof(killings) / sizeof(killings[0]); i++)
		test_killed(&killings[i]);
	test_full();
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command) == 0 ? tap_done() : 1;
}
