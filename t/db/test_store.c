#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db/counts.h"
#include "db/schema.h"
#include "db/store.h"
#include "t/scratch.h"
#include "t/tap.h"

#define T0 INT64_C(1700000000)

static char path[128];
static char said[4000];
static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned said_count;

static void
say(void *context, const char *text)
{
	(void)context;
	pthread_mutex_lock(&said_lock);
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
	said_count++;
	pthread_mutex_unlock(&said_lock);
}

static void
hush(void)
{
	pthread_mutex_lock(&said_lock);
	said[0] = '\0';
	said_count = 0;
	pthread_mutex_unlock(&said_lock);
}

static struct store *
open_store(enum store_mode mode)
{
	struct store_options o = { .path = path, .mode = mode, .fault = say };
	struct store *s = NULL;
	struct error err = { "" };
	int rc = store_open(&o, &s, &err);

	if (rc != 0)
		printf("# store_open: %d %s\n", rc, err.text);
	return s;
}

static struct reputation_row
one(struct store *s, enum identity_kind kind, const char *key, int64_t now)
{
	struct identity id = { kind, key };
	struct arena *a = arena_new(1 << 16);
	struct reputation_row *rows = NULL, row = { .last_seen = -1 };
	struct error err = { "" };
	int rc = store_reputation_get(s, &id, 1, now, a, &rows, &err);

	if (rc == 0)
		row = rows[0];
	else
		printf("# get: %d %s\n", rc, err.text);
	row.key = NULL;
	arena_free(a);
	return row;
}

static void
add(struct store *s, enum identity_kind kind, const char *key, double ham,
    double spam, const char *author, int64_t now)
{
	struct identity id = { kind, key };

	store_reputation_add(s, &id, 1, ham, spam, author, now);
}

static void
test_counts(void)
{
	struct counts c = { 0 }, d;
	struct counts_now n;
	unsigned char out[COUNTS_MAX_BYTES];
	size_t len;

	tally_add(&c.seen, 4, 1, T0);
	tally_add(&c.seen, 0, 1, T0 + COUNTS_HALF_LIFE_SEC);
	counts_at(&c, T0 + COUNTS_HALF_LIFE_SEC, &n);
	tap_ok(fabs(n.ham - 2) < 1e-4 && fabs(n.spam - 1.5) < 1e-4,
	    "thirty days halve the counts");
	tap_ok(n.recent_ham < 1e-6 && fabs(n.recent_spam - 1) < 1e-6,
	    "of the last hour only the last hour is left");
	memset(&d, 0, sizeof(d));
	tally_add(&d.seen, 0, 1, T0 + COUNTS_HALF_LIFE_SEC);
	tally_add(&d.seen, 4, 1, T0);
	tap_ok(fabsf(d.seen.ham - c.seen.ham) < 1e-5f &&
	    fabsf(d.seen.spam - c.seen.spam) < 1e-5f &&
	    d.seen.seconds == c.seen.seconds, "the order of adding does not show");
	len = counts_encode(&c, out);
	tap_is_int((long long)len, 20, "a plain record takes 20 bytes");
	tap_ok(counts_decode(out, len, &d) && memcmp(&d, &c, sizeof(c)) == 0,
	    "and comes back as it was");
	c.spread = spread_bit("a@example.org");
	tap_is_int((long long)counts_encode(&c, out), 28, "with a spread 28");
	tally_add(&c.labels, 0, 1, T0);
	len = counts_encode(&c, out);
	tap_is_int((long long)len, 48, "with labels 48");
	tap_ok(counts_decode(out, len, &d) && memcmp(&d, &c, sizeof(c)) == 0,
	    "and comes back as it was");
	for (size_t i = 0; i < len; i++)
		if (i != 20 && i != 28 && counts_decode(out, i, &d))
			tap_ok(false, "a record of %zu bytes is none", i);
	memset(out, 0xFF, sizeof(out));
	counts_decode(out, sizeof(out), &d);
	counts_at(&d, T0, &n);
	tap_ok(isfinite(n.ham) && isfinite(n.spam) && n.ham >= 0,
	    "a record of ones has no infinity in it");
	memset(&c, 0, sizeof(c));
	for (int i = 0; i < 300; i++)
		tally_add(&c.seen, 1e8, 0, T0);
	tap_ok(isfinite(c.seen.ham), "sums stay finite");
	memset(&c, 0, sizeof(c));
	tally_add(&c.seen, 1, 0, -5);
	counts_at(&c, 10, &n);
	tap_ok(n.ham > 0.99, "a time before 1970 is taken for its beginning");
	tap_ok(counts_decay(-100, 10) == 1, "counts from the future do not grow");
}

static void
test_spread(void)
{
	static const int authors[] = { 1, 3, 10, 30, 100 };

	for (size_t i = 0; i < sizeof(authors) / sizeof(authors[0]); i++) {
		uint64_t bits = 0;
		char name[40];
		double got;

		for (int k = 0; k < authors[i]; k++) {
			snprintf(name, sizeof(name), "user%d@example.org", k * 7);
			bits |= spread_bit(name);
		}
		got = spread_estimate(bits);
		tap_ok(got > authors[i] * 0.65 && got < authors[i] * 1.4 + 0.1,
		    "%d authors are taken for %.1f", authors[i], got);
	}
	tap_ok(spread_bit("A@Example.ORG") == spread_bit("a@example.org"),
	    "case makes no second author");
	tap_ok(isfinite(spread_estimate(UINT64_MAX)), "a full sketch is finite");
}

static void
test_roundtrip(void)
{
	struct store *s = open_store(STORE_WRITE);
	struct reputation_row r;
	struct error err;
	struct stat st;
	char longest[IDENTITY_KEY_BYTES + 10];

	tap_ok(s != NULL, "a new database opens");
	add(s, IDENTITY_DKIM_ALIGNED, "example.org", 1, 0, "a@example.org", T0);
	add(s, IDENTITY_DKIM_ALIGNED, "example.org", 0.25, 0, "b@example.org", T0);
	add(s, IDENTITY_SPF, "example.org", 0, 1, NULL, T0);
	memset(longest, 'x', sizeof(longest));
	longest[IDENTITY_KEY_BYTES - 1] = '\0';
	add(s, IDENTITY_ADDRESS, longest, 0, 1, NULL, T0);
	longest[IDENTITY_KEY_BYTES - 1] = 'x';
	longest[IDENTITY_KEY_BYTES] = '\0';
	add(s, IDENTITY_ADDRESS, longest, 0, 1, NULL, T0);
	add(s, IDENTITY_ADDRESS, "", 0, 1, NULL, T0);
	add(s, IDENTITY_NET, "192.0.2.0/24", NAN, 1, NULL, T0);
	add(s, IDENTITY_NET, "192.0.2.0/24", -1, 1, NULL, T0);
	tap_is_int(store_flush(s, &err), 0, "flush");
	r = one(s, IDENTITY_DKIM_ALIGNED, "example.org", T0);
	tap_is_double(r.ham, 1.25, "weights of one identity add up");
	tap_ok(r.spread > 1.5 && r.spread < 2.5, "two authors: %.2f", r.spread);
	tap_is_int(r.last_seen, T0, "last seen");
	r = one(s, IDENTITY_SPF, "example.org", T0);
	tap_is_double(r.spam, 1, "the same key of another kind is another identity");
	tap_is_double(r.ham, 0, "which has no good mail");
	tap_is_int(one(s, IDENTITY_SPF, "example.com", T0).last_seen, 0,
	    "an unknown one was never seen");
	tap_is_int(one(s, IDENTITY_NET, "192.0.2.0/24", T0).last_seen, 0,
	    "impossible weights are not counted");
	tap_is_int(one(s, IDENTITY_ADDRESS, longest, T0).last_seen, 0,
	    "a key that is too long is nobody");
	longest[IDENTITY_KEY_BYTES - 1] = '\0';
	tap_is_int(one(s, IDENTITY_ADDRESS, longest, T0).last_seen, T0,
	    "the longest key works");
	r = one(s, IDENTITY_DKIM_ALIGNED, "example.org",
	    T0 + 20 * COUNTS_HALF_LIFE_SEC);
	tap_is_int(r.last_seen, 0, "what has run out was never seen");
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600,
	    "the file is its owner's alone");
	store_close(s);
	s = open_store(STORE_READ);
	tap_is_double(one(s, IDENTITY_DKIM_ALIGNED, "example.org", T0).ham, 1.25,
	    "it is on disk");
	add(s, IDENTITY_DKIM_ALIGNED, "example.org", 1, 0, NULL, T0);
	store_close(s);
	store_close(NULL);
}

struct collected {
	char text[600];
	size_t stop_after, count;
};

static int
collect(void *context, const struct reputation_row *row)
{
	struct collected *c = context;

	snprintf(c->text + strlen(c->text), sizeof(c->text) - strlen(c->text),
	    "%s:%s ", identity_kind_name(row->kind), row->key);
	return ++c->count == c->stop_after ? 42 : 0;
}

static void
test_list(void)
{
	struct store *s = open_store(STORE_WRITE);
	struct collected c = { "" };
	struct error err;
	char key[40];

	for (int i = 0; i < 10000; i++) {
		snprintf(key, sizeof(key), "host%05d.example", i);
		add(s, IDENTITY_HELO, key, 1, 0, NULL, T0 + i % 5000);
	}
	store_flush(s, &err);
	tap_is_int(store_reputation_list(s, "helo:host", 3, T0 + 6000, collect, &c,
	    &err), 0, "list");
	tap_is_str(c.text, "helo:host04999.example helo:host09999.example "
	    "helo:host04998.example ", "newest first, over many stretches");
	c = (struct collected){ "", .stop_after = 2 };
	tap_is_int(store_reputation_list(s, "host0000", 100, T0 + 6000, collect,
	    &c, &err), 42, "the callback's result ends it");
	tap_is_str(c.text, "helo:host00009.example helo:host00008.example ",
	    "after two");
	c = (struct collected){ "" };
	store_reputation_list(s, "spf:example", 0, T0, collect, &c, &err);
	tap_is_str(c.text, "spf:example.org ", "a pattern over kind and key");
	store_close(s);
}

static void
test_greylist(void)
{
	static const struct {
		const char *label;
		int64_t at;
		int put; /* 0 look, 1 seen, 2 passed */
		int64_t want_first;
		bool want_passed;
	} rows[] = {
		{ "never seen", 0, 0, 0, false },
		{ "first sight", 0, 1, T0, false },
		{ "second sight keeps the first", 400, 1, T0, false },
		{ "passed", 500, 2, T0, true },
		{ "seen again, still passed", 86400, 1, T0, true },
		{ "a month later, still", 86400 * 32, 0, T0, true },
		{ "used then, two months later", 86400 * 33, 1, T0, true },
		{ "forgotten after 36 days of silence", 86400 * 70, 0, 0, false },
		{ "then first sight again", 86400 * 70, 1, T0 + 86400 * 70, false },
		{ "one that never came back", 86400 * 73, 0, 0, false },
		{ "passed at once", 86400 * 73, 2, T0 + 86400 * 73, true },
	};
	struct store *s = open_store(STORE_WRITE);
	struct error err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t first = -1;
		bool passed = false;

		if (rows[i].put != 0) {
			store_greylist_put(s, "a|b", rows[i].put == 2,
			    T0 + rows[i].at);
			store_flush(s, &err);
		}
		tap_is_int(store_greylist_get(s, "a|b", T0 + rows[i].at, &first,
		    &passed, &err), 0, rows[i].label);
		tap_is_int(first, rows[i].want_first, "  first seen");
		tap_ok(passed == rows[i].want_passed, "  passed");
	}
	store_close(s);
}

static void
test_modes(void)
{
	struct store_options o = { .path = path, .mode = STORE_WRITE, .fault = say };
	struct store *s = open_store(STORE_WRITE), *second = NULL;
	struct error err = { "" };
	char other[160];
	pid_t pid;
	int status;

	tap_is_int(store_open(&o, &second, &err), -EBUSY,
	    "a second writer in this process");
	pid = fork();
	if (pid == 0)
		_exit(store_open(&o, &second, &err) == -EBUSY ? 7 : 1);
	waitpid(pid, &status, 0);
	tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 7,
	    "a second writer in another process");
	o.mode = STORE_READ;
	tap_is_int(store_open(&o, &second, &err), 0, "a reader beside the writer");
	store_close(second);
	store_close(s);
	snprintf(other, sizeof(other), "%s/none.db", scratch_dir);
	o.path = other;
	tap_is_int(store_open(&o, &second, &err), -ENOENT, "reading no file");
	o.path = scratch_dir;
	tap_is_int(store_open(&o, &second, &err), -EINVAL, "a folder to read");
	o.mode = STORE_WRITE;
	tap_is_int(store_open(&o, &second, &err), -EINVAL, "a folder to write");
	snprintf(other, sizeof(other), "%s/none/x.db", scratch_dir);
	o.path = other;
	tap_is_int(store_open(&o, &second, &err), -ENOENT, "no folder");
}

static void
spoil(const char *p, off_t at, size_t n)
{
	int fd = open(p, O_WRONLY);
	char junk[4096];

	memset(junk, 0xA5, sizeof(junk));
	if (fd < 0 || pwrite(fd, junk, n, at) != (ssize_t)n)
		abort();
	close(fd);
}

static unsigned
count_files(const char *part)
{
	char command[256];
	unsigned n = 0;
	FILE *f;

	snprintf(command, sizeof(command), "ls %s | grep -c '%s'", scratch_dir, part);
	f = popen(command, "r");
	if (f == NULL || fscanf(f, "%u", &n) != 1)
		n = 0;
	if (f != NULL)
		pclose(f);
	return n;
}

static void
test_corrupt(void)
{
	struct store *s;
	struct error err;

	hush();
	spoil(path, 0, 4096);
	s = open_store(STORE_WRITE);
	tap_ok(s != NULL, "a corrupt file does not keep the store from opening");
	tap_is_int(said_count, 1, "it is said once");
	tap_ok(strstr(said, "is corrupt: moved aside as") != NULL, "what is said");
	tap_is_int(count_files("corrupt-[0-9]*$"), 1, "the file is still there");
	add(s, IDENTITY_SPF, "new.example", 1, 0, NULL, T0);
	tap_is_int(store_flush(s, &err), 0, "the new one works");
	tap_is_double(one(s, IDENTITY_SPF, "new.example", T0).ham, 1, "and reads");
	store_close(s);
}

static void
test_removed(void)
{
	struct store *s = open_store(STORE_WRITE);
	struct error err;
	char wal[160];

	hush();
	add(s, IDENTITY_SPF, "new.example", 1, 0, NULL, T0);
	store_flush(s, &err);
	unlink(path);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	unlink(wal);
	snprintf(wal, sizeof(wal), "%s-shm", path);
	unlink(wal);
	add(s, IDENTITY_SPF, "second.example", 1, 0, NULL, T0);
	tap_is_int(store_flush(s, &err), 0, "the file was removed: begun anew");
	tap_ok(strstr(said, "was removed while in use") != NULL, "which is said");
	tap_is_double(one(s, IDENTITY_SPF, "second.example", T0).ham, 1,
	    "and it works");
	tap_is_int(one(s, IDENTITY_SPF, "new.example", T0).last_seen, 0,
	    "what was in the other is gone");
	hush();
	unlink(path);
	for (int i = 0; i < 300 && strstr(said, "works again") == NULL; i++) {
		one(s, IDENTITY_SPF, "second.example", T0);
		usleep(10000);
	}
	tap_ok(strstr(said, "works again") != NULL,
	    "a reader's finding is enough to begin anew");
	add(s, IDENTITY_SPF, "second.example", 1, 0, NULL, T0);
	store_close(s);
	s = open_store(STORE_READ);
	tap_is_double(one(s, IDENTITY_SPF, "second.example", T0).ham, 1,
	    "the new file is complete");
	store_close(s);
}

static void
test_locked(void)
{
	struct store_options o = { .path = path, .mode = STORE_WRITE, .fault = say,
		.max_queue = 10 };
	struct store *s = NULL;
	struct error err;
	sqlite3 *other;

	hush();
	if (store_open(&o, &s, &err) != 0 ||
	    sqlite3_open(path, &other) != SQLITE_OK)
		abort();
	sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (int i = 0; i < 30; i++)
		add(s, IDENTITY_SPF, "locked.example", 1, 0, NULL, T0);
	tap_is_int(store_flush(s, &err), -EAGAIN, "locked by another process");
	tap_is_int(store_flush(s, &err), -EAGAIN, "it stays so");
	tap_ok(strstr(said, "is locked by another process") != NULL &&
	    strstr(strstr(said, "is locked by") + 1, "is locked by") == NULL,
	    "which is said once");
	tap_is_int(one(s, IDENTITY_SPF, "second.example", T0).last_seen, T0,
	    "reading goes on");
	sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(other);
	tap_is_int(store_flush(s, &err), 0, "and it heals");
	tap_is_double(one(s, IDENTITY_SPF, "locked.example", T0).ham, 10,
	    "the queue was kept, up to its bound");
	tap_ok(strstr(said, "works again, 20 updates were lost") != NULL,
	    "what was lost is said");
	store_close(s);
}

static int
version_of(const char *file)
{
	sqlite3 *db;
	sqlite3_stmt *st;
	int v = -1;

	if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL) ==
	    SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
		v = sqlite3_column_int(st, 0);
		sqlite3_finalize(st);
	}
	sqlite3_close(db);
	return v;
}

static void
test_migration(void)
{
	struct tally t = { 0 };
	struct counts c = { 0 };
	unsigned char value[COUNTS_MAX_BYTES];
	char bak[160], sql[200];
	struct store *s;
	sqlite3 *db;
	sqlite3_stmt *st;
	size_t n;

	unlink(path);
	tally_add(&t, 2, 0, T0);
	c.seen = t;
	n = counts_encode(&c, value);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, schema_steps[0], NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(db, "INSERT INTO reputation VALUES(?1,?2)", -1, &st,
		NULL) != SQLITE_OK)
		abort();
	sqlite3_bind_blob(st, 1, "sold.example", 12, SQLITE_STATIC);
	sqlite3_bind_blob(st, 2, value, (int)n, SQLITE_STATIC);
	sqlite3_step(st);
	sqlite3_finalize(st);
	sqlite3_exec(db, "PRAGMA user_version=1", NULL, NULL, NULL);
	sqlite3_close(db);
	s = open_store(STORE_WRITE);
	tap_is_double(one(s, IDENTITY_SPF, "old.example", T0).ham, 2,
	    "what the first version wrote is read");
	store_close(s);
	tap_is_int(version_of(path), schema_version, "the file is the newest");
	snprintf(bak, sizeof(bak), "%s.v1.bak", path);
	tap_is_int(version_of(bak), 1, "the copy is as it was");
	/* the way back that the schema describes */
	rename(bak, path);
	s = open_store(STORE_WRITE);
	tap_is_double(one(s, IDENTITY_SPF, "old.example", T0).ham, 2,
	    "the copy can take its place");
	store_close(s);

	hush();
	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", schema_version + 1);
	sqlite3_open(path, &db);
	sqlite3_exec(db, sql, NULL, NULL, NULL);
	sqlite3_close(db);
	s = open_store(STORE_WRITE);
	tap_ok(s != NULL && strstr(said, "is not of this version") != NULL,
	    "a file of a later version is said");
	store_close(s);
	tap_is_int(version_of(path), schema_version + 1, "and left alone");
	unlink(path);
}

static void
test_expiry(void)
{
	struct store *s = open_store(STORE_WRITE);
	struct error err;
	sqlite3 *db;
	sqlite3_stmt *st;
	int left = -1;

	for (int i = 0; i < 50; i++) {
		char key[40];

		snprintf(key, sizeof(key), "old%d.example", i);
		add(s, IDENTITY_SPF, key, 0.2, 0, NULL, T0);
	}
	add(s, IDENTITY_SPF, "kept.example", 1000, 0, NULL, T0);
	add(s, IDENTITY_SPF, "today.example", 1, 0, NULL,
	    T0 + 8 * (int64_t)COUNTS_HALF_LIFE_SEC);
	store_flush(s, &err);
	sqlite3_open(path, &db);
	sqlite3_prepare_v2(db, "SELECT count(*) FROM reputation WHERE identity"
	    " BETWEEN CAST('sold' AS BLOB) AND CAST('solz' AS BLOB)", -1, &st, NULL);
	for (int i = 0; i < 200 && left != 0; i++) {
		sqlite3_step(st);
		left = sqlite3_column_int(st, 0);
		sqlite3_reset(st);
		if (left != 0)
			usleep(50000);
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	tap_is_int(left, 0, "what has run out is removed while the store is open");
	tap_ok(one(s, IDENTITY_SPF, "kept.example",
	    T0 + 8 * (int64_t)COUNTS_HALF_LIFE_SEC).ham > 3.9,
	    "what still counts is not");
	store_close(s);
}

int
main(void)
{

	scratch_make();
	snprintf(path, sizeof(path), "%s/state.db", scratch_dir);
	test_counts();
	test_spread();
	test_roundtrip();
	test_list();
	test_greylist();
	test_modes();
	test_corrupt();
	test_removed();
	test_locked();
	test_expiry();
	test_migration();
	scratch_remove();
	return tap_done();
}
