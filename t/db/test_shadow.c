/* What shadows said: kept beside verdicts, counted by label, erased and
 * expired with them. */
#include <errno.h>
#include <sqlite3.h>
#include <unistd.h>

#include "db/shadow.h"
#include "t/scratch.h"
#include "t/tap.h"

#define T0 INT64_C(1700000000)
#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static char path[128];
static struct store *store;
static struct error err;

static void
reopen(void)
{
	struct store_options o = { .path = path, .mode = STORE_WRITE };

	store_close(store);
	if (store_open(&o, &store, &err) != 0)
		abort();
}

static void
verdict(const char *id, unsigned char message, int action, int64_t now)
{
	const char *addresses[1] = { id[0] == 'x' ? "gone@example.org" :
						    "stays@example.org" };
	struct log_entry e = { .id = id, .time = now, .action = action,
		.score = 4.5, .mail_from = addresses[0],
		.addresses = addresses, .address_count = 1,
		.record = SPAN_LIT("{}") };

	memset(e.message, message, sizeof(e.message));
	store_log_put(store, &e);
}

static void
said(const char *id, const char *set, const char *hash, int judged, int action,
    double score)
{
	struct shadow_said s = { set, hash, judged, action, score };

	store_shadow_put(store, id, &s, 1, T0);
}

static void
label(unsigned char message, enum label_class class, const char *user,
    int64_t now)
{
	struct label_request r = { .class = class, .user = user,
		.source = "test", .weight = 1, .now = now };
	struct label_result result;

	memset(r.message, message, sizeof(r.message));
	if (store_label(store, &r, NULL, NULL, &result, &err) != 0)
		abort();
}

struct seen {
	char ids[400];
	size_t count;
	struct shadow_row last;
};

static int
see(void *context, const struct shadow_row *row)
{
	struct seen *s = context;
	size_t n = strlen(s->ids);

	snprintf(s->ids + n, sizeof(s->ids) - n, "%s%s:%s:%d>%d:%d",
	    n != 0 ? " " : "", row->id, row->said.set, row->said.judged,
	    row->said.action, (int)row->label);
	s->last = *row;
	s->count++;
	return 0;
}

static void
search(const char *label_text, struct shadow_query q, const char *want)
{
	struct seen s = { "" };

	store_flush(store, &err);
	if (store_shadow_search(store, &q, see, &s, &err) != 0)
		tap_ok(false, "%s: %s", label_text, err.text);
	else
		tap_is_str(s.ids, want, label_text);
}

struct counted {
	char text[600];
	int64_t all;
};

static int
count(void *context, const struct shadow_count *c)
{
	struct counted *s = context;
	size_t n = strlen(s->text);

	snprintf(s->text + n, sizeof(s->text) - n, "%s%s/%c %d>%d label %d: %lld",
	    n != 0 ? ", " : "", c->set, c->hash[0], c->judged, c->action,
	    (int)c->label, (long long)c->count);
	s->all += c->count;
	return 0;
}

static void
test_rows(void)
{
	struct counted c = { "" };

	for (unsigned i = 0; i < 4; i++) {
		char id[8];

		snprintf(id, sizeof(id), "v%u", i);
		verdict(id, (unsigned char)(i + 1), i == 0 ? 3 : 0, T0 + i);
		said(id, "candidate", HASH_A, i == 0 ? 3 : 0, i < 2 ? 1 : 0, 5 + i);
	}
	said("v3", "rules", HASH_B, 0, 3, 20);
	said("nowhere", "rules", HASH_B, 0, 3, 20);
	label(2, LABEL_SPAM, "anna", T0 + 10);
	label(3, LABEL_HAM, "anna", T0 + 10);
	label(4, LABEL_SPAM, "anna", T0 + 10);
	label(4, LABEL_HAM, "bert", T0 + 11);
	search("newest first, with labels; a tie goes to the last word",
	    (struct shadow_query){ .set = NULL },
	    "v3:candidate:0>0:1 v3:rules:0>3:1 v2:candidate:0>0:1 "
	    "v1:candidate:0>1:2 v0:candidate:3>1:0");
	search("both ways", (struct shadow_query){ .differing = true,
		.set = "candidate" },
	    "v1:candidate:0>1:2 v0:candidate:3>1:0");
	search("of one file", (struct shadow_query){ .hash = HASH_B },
	    "v3:rules:0>3:1");
	search("labelled only", (struct shadow_query){ .labelled = true,
		.set = "candidate", .since = T0 + 2 },
	    "v3:candidate:0>0:1 v2:candidate:0>0:1");
	search("a limit", (struct shadow_query){ .limit = 1 },
	    "v3:candidate:0>0:1");
	if (store_shadow_counts(store, &(struct shadow_query){ .set = NULL },
		count, &c, &err) != 0)
		abort();
	tap_is_str(c.text, "candidate/a 0>0 label 1: 2, candidate/a 0>1 label 2: 1, "
	    "candidate/a 3>1 label 0: 1, rules/b 0>3 label 1: 1", "counted");
}

static void
test_again(void)
{
	struct seen s = { "" };

	said("v0", "candidate", HASH_A, 3, 0, 1);
	store_flush(store, &err);
	store_shadow_search(store, &(struct shadow_query){ .since = T0,
		.until = T0 }, see, &s, &err);
	tap_is_str(s.ids, "v0:candidate:3>0:0", "said again: the last word counts");
	tap_ok(s.count == 1 && s.last.said.score == 1 && s.last.score == 4.5,
	    "with both scores");
	tap_is_int(store_shadow_search(store, &(struct shadow_query){ .set = "'" },
		see, &s, &err), 0, "a hostile name finds nothing");
	tap_is_int((long)s.count, 1, "and breaks nothing");
}

static long
rows_in(const char *table)
{
	sqlite3_stmt *st;
	char sql[80];
	sqlite3 *db;
	long n = -1;

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW) {
		n = sqlite3_column_int(st, 0);
		sqlite3_finalize(st);
	}
	sqlite3_close(db);
	return n;
}

static void
test_erase(void)
{
	size_t erased = 0;
	long before = rows_in("shadow");

	verdict("x1", 9, 0, T0 + 20);
	said("x1", "candidate", HASH_A, 0, 1, 6);
	store_flush(store, &err);
	tap_is_int(rows_in("shadow"), before + 1, "one more");
	if (store_log_erase(store, "gone@example.org", &erased, &err) != 0)
		abort();
	tap_is_int((long)erased, 1, "one verdict is erased");
	tap_is_int(rows_in("shadow"), before, "and what was said of it");
}

static void
test_expiry(void)
{
	long left = 1;

	store_log_limit(store, 60, 0);
	verdict("late", 30, 0, T0 + 1000);
	store_flush(store, &err);
	/* upkeep comes by itself; nothing tells when it was */
	for (int i = 0; i < 200 && left != 0; i++) {
		usleep(50000);
		left = rows_in("shadow");
	}
	tap_is_int(left, 0, "what is said goes with the verdict's age");
	tap_is_int(rows_in("verdict"), 1, "the young verdict stays");
}

int
main(void)
{
	scratch_make();
	snprintf(path, sizeof(path), "%s/db", scratch_dir);
	reopen();
	test_rows();
	test_again();
	test_erase();
	test_expiry();
	store_close(store);
	scratch_remove();
	return tap_done();
}
