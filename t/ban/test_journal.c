/* The journal's file: damage, earlier versions, the thread that copies the
 * log, and what is searched for without an index. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ban/journal_impl.h"
#include "t/tap.h"

static char dir[] = "/tmp/test-journal.XXXXXX", path[64];

static struct network
numbered(uint32_t n)
{
	struct netaddr a = { 4, { 32, (uint8_t)(n >> 16), (uint8_t)(n >> 8),
	    (uint8_t)n } };

	return network_of(&a, 32);
}

static struct ban_journal *
open_journal(void)
{
	struct ban_journal *j = NULL;
	struct error note, err = { "" };

	if (ban_journal_open(path, &j, &note, &err) < 0)
		printf("Bail out! %s\n", err.text);
	return j;
}

static void
remove_journal(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -f %s*", path);
	if (system(command) != 0)
		perror("rm");
}

static int
put(struct ban_journal *j, uint32_t n, int64_t expires)
{
	struct ban_record r = { .net = numbered(n), .scope = BAN_MAIL,
		.expires = expires, .count = n };
	struct error err;

	return ban_journal_put(j, &r, &err);
}

static int
put_event(struct ban_journal *j, uint32_t n, int64_t time)
{
	struct ban_history h = { .time = time, .entry.net = numbered(n) };
	struct error err;

	return ban_journal_put_event(j, &h, &err);
}

/* The newest event before *id, however often it has to be asked for. */
static int
next_event(struct ban_journal *j, const struct network *net, int64_t *id,
    struct ban_history *h, int *asked)
{
	struct error err;
	int code;

	do {
		code = ban_journal_next_event(j, net, id, h, &err);
		++*asked;
	} while (code == 2);
	return code;
}

static void
test_damage(void)
{
	struct error note, err;
	struct ban_journal *j;
	struct ban_record r = { .net = numbered(9), .scope = BAN_MAIL,
		.expires = 100, .count = 3 };
	struct ban_history h;
	int64_t id = INT64_MAX;
	int left = 0, asked = 0;
	char command[96];
	FILE *f;

	/* corrupt: moved aside, never deleted */
	f = fopen(path, "w");
	for (int i = 0; i < 10000; i++)
		fputs("this is no database ", f);
	fclose(f);
	tap_is_int(ban_journal_open(path, &j, &note, &err), 0, "a corrupt journal");
	tap_ok(strstr(note.text, "moved") != NULL, "is moved: %s", note.text);
	tap_is_int(ban_journal_put(j, &r, &err), 0, "the new one works");
	tap_is_int(ban_journal_commit(j, &err), 0, "commit");
	r.count = 0;
	tap_is_int(ban_journal_get(j, &r.net, BAN_MAIL, &r, &err), 1, "get");
	tap_is_int(r.count, 3, "what was put");
	tap_is_int(ban_journal_get(j, &r.net, BAN_HOST, &r, &err), 0, "not there");
	for (int i = 0; i < 100; i++)
		put_event(j, 9, i);
	ban_journal_prune(j, 101, 10, 50, 0, 1000, &err);
	ban_journal_commit(j, &err);
	while (next_event(j, NULL, &id, &h, &asked) == 1)
		left++;
	tap_is_int(left, 50, "the history is pruned");
	tap_is_int(ban_journal_get(j, &r.net, BAN_MAIL, &r, &err), 0,
	    "the forgotten are forgotten");
	ban_journal_close(j);
	snprintf(command, sizeof(command), "ls %s.corrupt-* >/dev/null", path);
	tap_is_int(system(command), 0, "the corrupt file is still there");
	remove_journal();
}

static void
test_lock(void)
{
	struct ban_journal *j = open_journal(), *second = NULL;
	struct error note, err;

	tap_is_int(ban_journal_open(path, &second, &note, &err), -EAGAIN,
	    "a second helper does not get the journal");
	tap_ok(strstr(err.text, "another helper") != NULL, "%s", err.text);
	ban_journal_close(j);
	tap_is_int(ban_journal_open(path, &second, &note, &err), 0,
	    "after the first it does");
	ban_journal_close(second);
	remove_journal();
}

static int
count_day(void *context, const struct netaddr *addr, int64_t day)
{
	(void)addr;
	(void)day;
	++*(int *)context;
	return 0;
}

/* Forgetting goes around by itself, a few rows a time, and misses nobody. */
static void
test_prune(void)
{
	struct ban_journal *j = open_journal();
	struct ban_record r;
	struct error err;
	int gone = 0, kept = 0, days = 0;

	for (uint32_t i = 0; i < 1000; i++)
		put(j, i, i % 3 == 0 ? 100 : 300);
	/* one more round each: the last does not end on a row */
	for (int i = 0; i < 1000 / 64 + 1; i++)
		ban_journal_prune(j, 200, 0, 100, 0, 64, &err);
	for (uint32_t i = 0; i < 1000; i++) {
		struct network net = numbered(i);
		bool there = ban_journal_get(j, &net, BAN_MAIL, &r, &err) == 1;

		gone += i % 3 == 0 && !there;
		kept += i % 3 != 0 && there;
	}
	tap_is_int(gone, 334, "all that can be forgotten are");
	tap_is_int(kept, 666, "and nobody else");
	put(j, 0, 100);
	for (int i = 0; i < 1000 / 64 + 1; i++)
		ban_journal_prune(j, 200, 0, 100, 0, 64, &err);
	tap_is_int(ban_journal_get(j, &(struct network){ numbered(0).addr, 32,
	    false }, BAN_MAIL, &r, &err), 0, "the next time around, too");
	for (int i = 0; i < 100; i++)
		put_event(j, 1, 1000);
	tap_is_int(ban_journal_prune(j, 0, 0, 10, 0, 64, &err), 1,
	    "more events than one turn deletes: again soon");
	tap_is_int(ban_journal_prune(j, 0, 0, 10, 0, 64, &err), 0, "then not");
	for (uint32_t i = 0; i < 100; i++)
		ban_journal_put_day(j, &(struct netaddr){ 4, { 32, 0, 0,
		    (uint8_t)i } }, i, &err);
	for (int i = 0; i < 2; i++)
		tap_is_int(ban_journal_prune(j, 0, 0, 10, 90, 64, &err), i == 0,
		    "days of good mail, some at a time");
	ban_journal_each_day(j, 0, count_day, &days, &err);
	tap_is_int(days, 10, "those that count are left");
	ban_journal_prune(j, 0, 0, 10, 91, 64, &err);
	days = 0;
	ban_journal_each_day(j, 0, count_day, &days, &err);
	tap_is_int(days, 9, "and one less on the next day");
	ban_journal_close(j);
	remove_journal();
}

static void
test_history(void)
{
	struct ban_journal *j = open_journal();
	struct network net = numbered(7), nobody = numbered(8);
	struct ban_history h;
	struct error err;
	int64_t id = INT64_MAX;
	int found = 0, asked = 0, in_order = 0;

	tap_is_int(next_event(j, &net, &id, &h, &asked), 0, "no history at all");
	/* with gaps, at both ends, and next to each other */
	for (int i = 0; i < 5000; i++)
		put_event(j, i == 0 || i == 1 || i == 2500 || i == 4999 ? 7 : 1,
		    i);
	for (id = INT64_MAX, asked = 0; next_event(j, &net, &id, &h, &asked) == 1;
	     found++)
		in_order += h.time == (int[]){ 4999, 2500, 1, 0 }[found & 3];
	tap_is_int(found, 4, "the events of one address");
	tap_is_int(in_order, 4, "newest first");
	tap_ok(asked > 10, "none of %d questions looks at all", asked);
	id = INT64_MAX;
	tap_is_int(next_event(j, &nobody, &id, &h, &asked), 0, "nobody's");
	ban_journal_commit(j, &err);
	ban_journal_close(j);
	remove_journal();
}

static int
count_ban(void *context, const struct ban_record *r)
{
	*(uint64_t *)context += r->count;
	return 0;
}

static int
no_claim(void *context, const struct ban_record *r)
{
	(void)context;
	(void)r;
	return 0;
}

/* What version 1 wrote: the same tables, and two indexes. */
static void
test_earlier(void)
{
	static const char back[] = "CREATE INDEX ban_expires ON ban (expires);"
	    "CREATE INDEX event_net ON event (net, id);PRAGMA user_version=1";
	struct ban_journal *j = open_journal();
	uint64_t sum = 0;
	struct error err;
	struct ban_history h;
	struct network net = numbered(3);
	int64_t id = INT64_MAX;
	sqlite3 *db = NULL;
	int asked = 0, found = 0;

	for (uint32_t i = 0; i < 5; i++)
		put(j, i, 100), put_event(j, i, 5);
	ban_journal_commit(j, &err);
	ban_journal_close(j);
	tap_ok(sqlite3_open(path, &db) == SQLITE_OK &&
	    ban_journal_exec(db, back) == SQLITE_OK, "a file of version 1");
	sqlite3_close(db);
	j = open_journal();
	ban_journal_each(j, 50, count_ban, no_claim, &sum, &err);
	tap_is_int((long long)sum, 10, "its bans");
	while (next_event(j, &net, &id, &h, &asked) == 1)
		found++;
	tap_is_int(found, 1, "its events");
	tap_ok(ban_journal_exec(j->db, "DROP INDEX ban_expires") != SQLITE_OK &&
	    ban_journal_exec(j->db, "DROP INDEX event_net") != SQLITE_OK,
	    "the indexes are gone");
	tap_ok(ban_journal_exec(j->db, "PRAGMA user_version=99") == SQLITE_OK,
	    "a file of the future");
	ban_journal_close(j);
	tap_is_int(ban_journal_open(path, &j, NULL, &err), -EUCLEAN,
	    "is left alone");
	remove_journal();
}

/* Many commits while the thread copies: nothing is lost or seen twice, and the
 * log begins anew as soon as all of it is copied. */
static void
test_copier(void)
{
	enum { BANS = 20000 };
	struct ban_journal *j = open_journal();
	struct error err;
	uint64_t sum = 0, want = 0;
	unsigned generation;
	int code = 0;

	tap_is_int(ban_journal_start_copier(j, &err), 0, "the thread starts");
	tap_ok(j->copier != NULL, "and is there");
	for (uint32_t i = 0; i < BANS; i++) {
		/* in no order, so that each takes a page of its own */
		uint32_t n = i * 40503u % 65536;

		want += n;
		code = put(j, n, 100);
		if (code == 0 && i % 20 == 19)
			code = ban_journal_commit(j, &err);
		if (code < 0)
			break;
	}
	tap_is_int(code, 0, "all is written");
	ban_journal_each(j, 50, count_ban, no_claim, &sum, &err);
	tap_is_int((long long)sum, (long long)want, "and read, log and file");
	/* nothing announces the end of a copy; the next one would begin then */
	for (int i = 0; i < 20000 && j->log_copied < j->log_pages; i++) {
		ban_journal_checkpoint(j, true);
		usleep(1000);
	}
	generation = j->log_generation;
	put(j, BANS, 100);
	ban_journal_commit(j, &err);
	tap_ok(j->log_generation > generation && j->log_pages < 100,
	    "a log that is copied begins anew");
	/* gone from under it, and opened again with the thread at work */
	ban_journal_commit(j, &err);
	ban_journal_checkpoint(j, true);
	unlink(path);
	tap_ok(ban_journal_is_lost(j), "a file that is gone");
	tap_is_int(ban_journal_reopen(j, &(struct error){ "" }, &err), 0,
	    "is made anew");
	put(j, 5, 100);
	tap_is_int(ban_journal_commit(j, &err), 0, "and written");
	ban_journal_checkpoint(j, true);
	ban_journal_close(j);
	j = open_journal();
	sum = 0;
	ban_journal_each(j, 50, count_ban, no_claim, &sum, &err);
	tap_is_int((long long)sum, 5, "and read");
	ban_journal_close(j);
	remove_journal();
}

int
main(void)
{
	if (mkdtemp(dir) == NULL)
		return tap_skip_all("no temporary directory");
	snprintf(path, sizeof(path), "%s/j.db", dir);
	test_damage();
	test_lock();
	test_prune();
	test_history();
	test_earlier();
	test_copier();
	rmdir(dir);
	return tap_done();
}
