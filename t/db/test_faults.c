/* Every fault of disk and neighbours, by a VFS that fails on command: mail
 * flows (reads answer at once, adding never blocks), each is said once, and
 * it heals without a restart. Then SIGKILL at random moments. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "db/labels.h"
#include "db/admin.h"
#include "t/db/fault_vfs.h"
#include "t/scratch.h"
#include "t/tap.h"

#define T0 INT64_C(1700000000)

static char path[128];
static struct error err;
static struct arena *arena;
static char said[8000];
static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;

static void
say(void *context, const char *text)
{
	(void)context;
	pthread_mutex_lock(&said_lock);
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
	pthread_mutex_unlock(&said_lock);
}

static unsigned
times_said(const char *what)
{
	unsigned n = 0;

	pthread_mutex_lock(&said_lock);
	for (const char *p = said; (p = strstr(p, what)) != NULL; p++)
		n++;
	pthread_mutex_unlock(&said_lock);
	return n;
}

static struct store *
open_store(void)
{
	struct store_options o = { .path = path, .mode = STORE_WRITE, .fault = say,
		.busy_ms = 50, .max_queue = 1000 };
	struct store *s = NULL;

	if (store_open(&o, &s, &err) != 0) {
		printf("# %s\n", err.text);
		abort();
	}
	return s;
}

static double
now_sec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int
look(struct store *s, const char *key, double *ret_ham)
{
	struct identity id = { IDENTITY_SPF, key };
	struct reputation_row *rows;
	int rc;

	arena_reset(arena);
	rc = store_reputation_get(s, &id, 1, T0, arena, &rows, &err);
	*ret_ham = rc == 0 ? rows[0].ham : -1;
	return rc;
}

static void
add(struct store *s, const char *key)
{
	struct identity id = { IDENTITY_SPF, key };

	store_reputation_add(s, &id, 1, 1, 0, NULL, T0);
}

static const struct fault_row {
	const char *label;
	enum fault_kind kind;
	long after;	   /* calls that still work */
	bool reads_work;   /* reading is not touched by it */
	bool kept;	   /* what was there before is there afterwards */
	const char *said;  /* what the administrator reads; NULL: nothing */
} rows[] = {
	{ "disk full", FAULT_WRITE_FULL, 0, true, true, "no space left" },
	{ "disk full in the middle", FAULT_WRITE_FULL, 3, true, true,
	    "no space left" },
	{ "disk that fails to write", FAULT_WRITE_ERROR, 0, true, true,
	    "\" fails" },
	{ "read-only", FAULT_OPEN_READONLY, 0, true, true, "read-only" },
	{ "locked by a neighbour", FAULT_LOCK_BUSY, 0, true, true,
	    "is locked by another process" },
	{ "disk that fails to read", FAULT_READ_ERROR, 0, false, true,
	    "\" fails" },
	{ "corrupt page", FAULT_READ_GARBAGE, 0, false, false,
	    "is corrupt: moved aside" },
};

static void
test_fault(const struct fault_row *row)
{
	struct store *s;
	struct label_request label = { .class = LABEL_SPAM, .user = "u",
		.source = "t", .weight = 1, .now = T0, .message = { 1 } };
	struct label_result result;
	double begin, longest = 0, ham;
	char key[40];
	int failed = 0, healed = -1, rc;

	unlink(path);
	s = open_store();
	/* more than the first page, or there is nothing to damage */
	for (int i = 0; i < 900; i++) {
		snprintf(key, sizeof(key), "before%d.example", i);
		add(s, key);
	}
	store_flush(s, &err);
	store_close(s);
	s = open_store();
	look(s, "before0.example", &ham); /* the readers are open, as in life */
	said[0] = '\0';
	atomic_store(&fault_struck, 0);
	atomic_store(&fault_after, row->after);
	atomic_store(&fault_now, row->kind);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 90; i++) {
			snprintf(key, sizeof(key), "before%d.example", i * 17);
			begin = now_sec();
			/* each of these may wait busy_ms */
			if (row->reads_work || i % 18 == 0)
				failed += look(s, key, &ham) != 0;
			add(s, "during.example");
			longest = fmax(longest, now_sec() - begin);
		}
		store_flush(s, &err);
	}
	label.message[1] = 1;
	rc = store_label(s, &label, NULL, NULL, &result, &err);
	tap_ok(atomic_load(&fault_struck) > 0, "%s: it struck", row->label);
	tap_ok(longest < 1, "  no message waited longer than %.3f s", longest);
	if (row->reads_work)
		tap_is_int(failed, 0, "  reading goes on");
	tap_is_int(times_said(row->said), 1, "  it is said once");
	if (times_said(row->said) != 1)
		printf("# %s", said);
	if (row->kind != FAULT_READ_GARBAGE && row->kind != FAULT_READ_ERROR)
		tap_ok(rc != 0, "  a label is refused aloud: %s", err.text);
	atomic_store(&fault_now, FAULT_NONE);
	for (int i = 0; i < 100 && healed != 0; i++) {
		healed = store_flush(s, &err);
		if (healed != 0)
			usleep(20000);
	}
	tap_is_int(healed, 0, "  and is over without a restart");
	rc = look(s, "during.example", &ham);
	/* a corrupt file takes with it what was written to it */
	tap_ok(rc == 0 && (ham > 80 || row->kind == FAULT_READ_GARBAGE),
	    "  updates waited for it: %.0f", ham);
	rc = look(s, "before17.example", &ham);
	tap_ok(rc == 0 && (ham == 1) == row->kept, "  what was there %s",
	    row->kept ? "still is" : "lies in the file that was moved aside");
	memset(label.message, 2, sizeof(label.message));
	tap_is_int(store_label(s, &label, NULL, NULL, &result, &err), 0,
	    "  labels are taken again");
	tap_ok(times_said("works again") == 1 || row->kind == FAULT_READ_GARBAGE,
	    "  which is said");
	store_close(s);
}

static unsigned
count_aside(void)
{
	DIR *d = opendir(scratch_dir);
	struct dirent *e;
	unsigned n = 0;

	while (d != NULL && (e = readdir(d)) != NULL)
		n += strstr(e->d_name, ".corrupt-") != NULL &&
		    strstr(e->d_name, "-wal") == NULL &&
		    strstr(e->d_name, "-shm") == NULL;
	if (d != NULL)
		closedir(d);
	return n;
}

/* A start that meets the fault, and a fault that ends. */
static void
test_start(enum fault_kind kind, const char *label)
{
	struct store *s;
	double ham;
	int rc = -1;

	said[0] = '\0';
	atomic_store(&fault_after, 0);
	atomic_store(&fault_now, kind);
	s = open_store();
	tap_ok(s != NULL && look(s, "x", &ham) == -EAGAIN && said[0] != '\0',
	    "starting with %s: open, not available, said", label);
	add(s, "later.example");
	atomic_store(&fault_now, FAULT_NONE);
	for (int i = 0; i < 200 && rc != 0; i++) {
		rc = store_flush(s, &err);
		if (rc != 0)
			usleep(20000);
	}
	rc = look(s, "later.example", &ham);
	tap_ok(rc == 0 && ham >= 1, "  and at work when it is over");
	store_close(s);
}

static void
ignore(void *context, const char *text)
{
	(void)context;
	printf("# %s\n", text);
}

/* What the child wrote to the pipe: labels acknowledged so far. */
static int
run_child(int out)
{
	struct store *s = open_store();
	struct label_request r = { .class = LABEL_SPAM, .source = "t",
		.weight = 1, .now = T0 };
	struct label_result result;
	static char user[24];

	snprintf(user, sizeof(user), "u%d", (int)getpid());
	r.user = user;
	for (int i = 0; i < 100000; i++) {
		char key[40];

		snprintf(key, sizeof(key), "k%d.example", i % 5000);
		add(s, key);
		if (i % 50 != 0)
			continue;
		memset(r.message, 1, sizeof(r.message));
		memcpy(r.message, &i, sizeof(i));
		if (store_label(s, &r, NULL, NULL, &result, &err) == 0 &&
		    write(out, &i, sizeof(i)) != sizeof(i))
			_exit(1);
	}
	_exit(0);
}

static bool
label_stands(struct store *s, int i, pid_t pid)
{
	struct label_request r = { .class = LABEL_SPAM, .source = "t",
		.weight = 1, .now = T0 };
	struct label_result result;
	char user[24];

	snprintf(user, sizeof(user), "u%d", (int)pid);
	r.user = user;
	memset(r.message, 1, sizeof(r.message));
	memcpy(r.message, &i, sizeof(i));
	/* saying it again changes nothing if it is known */
	return store_label(s, &r, NULL, NULL, &result, &err) == 0 &&
	    !result.changed;
}

static void
test_kill(int rounds)
{
	int clean = 0, lost = 0, acknowledged = 0;
	unsigned seed = 12345;

	unlink(path);
	store_close(open_store());
	for (int k = 0; k < rounds; k++) {
		int fds[2], last = -1, first = -1, i;
		struct store *s;
		pid_t pid;

		if (pipe(fds) != 0)
			abort();
		pid = fork();
		if (pid == 0) {
			close(fds[0]);
			run_child(fds[1]);
		}
		close(fds[1]);
		seed = seed * 1103515245 + 12345;
		usleep(2000 + (seed >> 16) % 60000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(fds[0], &i, sizeof(i)) == sizeof(i)) {
			first = first < 0 ? i : first;
			last = i;
			acknowledged++;
		}
		close(fds[0]);
		clean += access(path, F_OK) != 0 ||
		    store_check(path, ignore, NULL, &err) == 0;
		s = open_store();
		for (i = first; last >= 0 && i <= last; i += 50)
			lost += !label_stands(s, i, pid);
		store_close(s);
	}
	tap_is_int(clean, rounds, "killed at random: opens clean each time");
	tap_ok(lost == 0 && acknowledged > rounds,
	    "of %d acknowledged labels %d are lost", acknowledged, lost);
	tap_is_int(count_aside(), 0, "nothing was taken for corrupt");
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 50;
	scratch_make();
	snprintf(path, sizeof(path), "%s/state.db", scratch_dir);
	arena = arena_new(1 << 20);
	/* before any thread, and before SQLite is ours: children fork */
	test_kill(rounds);
	if (fault_vfs_register() != SQLITE_OK)
		return 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		test_fault(&rows[i]);
	tap_is_int(count_aside(), 1, "one file lies aside, and is not deleted");
	test_start(FAULT_OPEN_ERROR, "a file that does not open");
	test_start(FAULT_LOCK_BUSY, "a locked file");
	test_start(FAULT_READ_ERROR, "a disk that does not read");
	arena_free(arena);
	scratch_remove();
	return tap_done();
}
