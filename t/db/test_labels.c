/* The verdict log, labels as the truth about counts, correspondents. */
#include <errno.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "db/labels.h"
#include "t/scratch.h"
#include "t/tap.h"

#define T0 INT64_C(1700000000)

static char path[128];
static struct store *store;
static struct arena *arena;
static struct error err;

static void
reopen(void)
{
	struct store_options o = { .path = path, .mode = STORE_WRITE };

	store_close(store);
	if (store_open(&o, &store, &err) != 0)
		abort();
}

/* All that counts for verdicts, byte for byte. `learning` is only a diary. */
static void
dump(struct buf *out)
{
	static const char *const tables[] = {
		"SELECT hex(identity),hex(counts) FROM reputation ORDER BY 1",
		"SELECT hex(message),user FROM label ORDER BY 1,2",
		"SELECT hex(identity),hex(message) FROM label_identity ORDER BY 1,2",
	};
	sqlite3 *db;

	store_flush(store, &err);
	buf_reset(out);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		abort();
	for (size_t i = 0; i < 3; i++) {
		sqlite3_stmt *st;

		if (sqlite3_prepare_v2(db, tables[i], -1, &st, NULL) != SQLITE_OK)
			abort();
		while (sqlite3_step(st) == SQLITE_ROW)
			buf_printf(out, "%s %s\n", sqlite3_column_text(st, 0),
			    sqlite3_column_text(st, 1));
		sqlite3_finalize(st);
	}
	sqlite3_close(db);
}

static struct reputation_row
row_of(enum identity_kind kind, const char *key, int64_t now)
{
	struct identity id = { kind, key };
	struct reputation_row *rows;

	if (store_reputation_get(store, &id, 1, now, arena, &rows, &err) != 0)
		abort();
	return rows[0];
}

/* A verdict as the daemon logs it: counted and written down. */
static void
verdict(const char *id, unsigned char message, const char *domain, double ham,
    double spam, int64_t now)
{
	struct identity ids[2] = { { IDENTITY_DKIM_ALIGNED, domain },
		{ IDENTITY_NET, "192.0.2.0/24" } };
	const char *addresses[2] = { "Info@example.org", "me@here.example" };
	struct log_entry e = { .id = id, .time = now, .action = 1, .score = 6.5,
		.mail_from = "info@example.org", .queue_id = "4XYZ", .ids = ids,
		.id_count = 2, .ham = ham, .spam = spam, .addresses = addresses,
		.address_count = 2, .record = SPAN_LIT("{\"score\":6.5}") };

	memset(e.message, message, sizeof(e.message));
	store_reputation_add(store, ids, 2, ham, spam, NULL, now);
	store_log_put(store, &e);
	store_flush(store, &err);
}

static int
say(unsigned char message, enum label_class class, const char *user,
    int64_t now, struct label_result *result)
{
	struct label_request r = { .class = class, .user = user,
		.source = "test", .weight = 1, .now = now };
	struct label_result ignored;

	memset(r.message, message, sizeof(r.message));
	return store_label(store, &r, NULL, NULL,
	    result != NULL ? result : &ignored, &err);
}

/* Whom the ban helper should know about: the client of authenticated mail. */
static void
test_client(void)
{
	struct identity ids[3] = { { IDENTITY_IP, "203.0.113.7" },
		{ IDENTITY_NET, "203.0.113.0/24" }, { IDENTITY_SPF, "a.example" } };
	struct identity six[2] = { { IDENTITY_DKIM_ALIGNED, "b.example" },
		{ IDENTITY_IP, "2001:db8:7::/64" } };
	struct log_entry e = { .time = T0, .ids = ids, .record = SPAN_LIT("{}") };
	struct label_result r;
	char text[NETADDR_TEXT];

	for (unsigned char m = 201; m <= 203; m++) {
		e.id = m == 201 ? "c1" : m == 202 ? "c2" : "c3";
		e.ids = m == 203 ? six : ids;
		e.id_count = m == 201 ? 3 : 2;
		memset(e.message, m, sizeof(e.message));
		store_log_put(store, &e);
	}
	store_flush(store, &err);
	say(201, LABEL_HAM, "ann", T0 + 5, &r);
	tap_ok(r.authenticated && r.seen == T0, "authenticated mail, and when");
	tap_is_str(network_format(&r.client, text), "203.0.113.7", "its client");
	say(202, LABEL_HAM, "ann", T0 + 5, &r);
	tap_ok(!r.authenticated, "without SPF and DKIM it is not");
	say(203, LABEL_HAM, "ann", T0 + 5, &r);
	tap_ok(r.authenticated && r.client.prefix_len == 64, "IPv6: its /64");
	say(204, LABEL_HAM, "ann", T0 + 5, &r);
	tap_ok(!r.known && r.client.addr.family == 0, "an unknown message: nobody's");
	say(201, LABEL_HAM, "ann", T0 + 6, &r);
	tap_ok(!r.changed && !r.authenticated, "said again it tells nothing new");
	for (unsigned char m = 201; m <= 204; m++)
		say(m, LABEL_NONE, "ann", T0 + 7, NULL);
}

/* A message logged with its author's address, labelled after addresses came
 * to be keyed: the label finds whom it is about, and so does taking it back. */
static void
test_keyed(void)
{
	struct identity id = { IDENTITY_ADDRESS, "ann@keyed.example" };
	struct log_entry e = { .id = "k1", .time = T0, .ids = &id, .id_count = 1,
		.record = SPAN_LIT("{}") };
	struct label_result r;

	memset(e.message, 210, sizeof(e.message));
	store_log_put(store, &e);
	memset(e.message, 211, sizeof(e.message));
	e.id = "k2";
	store_log_put(store, &e);
	store_flush(store, &err);
	say(210, LABEL_HAM, "ann", T0 + 5, &r);
	tap_is_int(store_key_addresses(store, true, &err), 0, "key addresses");
	say(211, LABEL_HAM, "bob", T0 + 5, &r);
	tap_ok(r.known, "an older verdict's author is known");
	tap_is_double(row_of(IDENTITY_ADDRESS, "ann@keyed.example", T0).ham, 2,
	    "labels of before and after count for one");
	say(210, LABEL_NONE, "ann", T0 + 6, &r);
	say(211, LABEL_NONE, "bob", T0 + 6, &r);
	tap_is_double(row_of(IDENTITY_ADDRESS, "ann@keyed.example", T0 + 6).ham, 0,
	    "and both can be taken back");
	e.id = "k3";
	e.keyed = true;
	memset(e.message, 212, sizeof(e.message));
	store_log_put(store, &e);
	store_flush(store, &err);
	say(212, LABEL_SPAM, "ann", T0 + 7, &r);
	tap_is_double(row_of(IDENTITY_ADDRESS, "ann@keyed.example", T0).spam,
	    1, "a label reaches the author of a keyed verdict");
	say(212, LABEL_NONE, "ann", T0 + 7, &r);
	store_key_addresses(store, false, &err);
}

static void
test_learn_forget(void)
{
	struct label_result r;
	struct buf before, after;
	double ham, spam;

	buf_init(&before, 1 << 20);
	buf_init(&after, 1 << 20);
	verdict("v1", 1, "shop.example", 0.2, 0, T0);
	verdict("v2", 2, "shop.example", 0.2, 0, T0 + 60);
	verdict("v3", 3, "other.example", 0, 0.2, T0 + 90);
	dump(&before);

	tap_is_int(say(1, LABEL_SPAM, "ann", T0 + 500, &r), 0, "a label");
	tap_ok(r.changed && r.known && r.was == LABEL_NONE && r.is == LABEL_SPAM &&
	    r.all_is == LABEL_SPAM, "is told as a change");
	spam = row_of(IDENTITY_DKIM_ALIGNED, "shop.example", T0 + 60).spam;
	ham = row_of(IDENTITY_DKIM_ALIGNED, "shop.example", T0 + 60).ham;
	tap_ok(fabs(spam - 1) < 0.001, "a person's label weighs 1: %.4f", spam);
	tap_ok(fabs(ham - 0.2) < 0.001,
	    "and replaces what the filter had counted: %.4f", ham);
	dump(&after);
	tap_is_int(say(1, LABEL_SPAM, "ann", T0 + 600, &r), 0, "said again");
	tap_ok(!r.changed, "nothing changed");
	dump(&before);
	tap_is_str(before.ptr, after.ptr, "saying it twice is saying it once");

	tap_is_int(say(1, LABEL_HAM, "ann", T0 + 700, &r), 0, "the other side");
	tap_ok(r.changed && r.was == LABEL_SPAM && r.is == LABEL_HAM, "switches");
	spam = row_of(IDENTITY_DKIM_ALIGNED, "shop.example", T0 + 60).spam;
	tap_ok(spam == 0, "nothing of the first is left: %.4f", spam);
	tap_is_int(say(1, LABEL_NONE, "ann", T0 + 800, &r), 0, "forgotten");
	tap_ok(r.changed && r.is == LABEL_NONE, "is a change");
	tap_is_int(say(1, LABEL_NONE, "ann", T0 + 900, &r), 0, "forgotten twice");
	tap_ok(!r.changed, "is none");

	/* the same with others in between, in another order */
	dump(&before);
	say(2, LABEL_SPAM, "ann", T0 + 1000, NULL);
	say(3, LABEL_HAM, "bob", T0 + 1001, NULL);
	say(1, LABEL_SPAM, "bob", T0 + 1002, NULL);
	say(2, LABEL_HAM, "bob", T0 + 1003, NULL);
	dump(&after);
	tap_ok(strcmp(before.ptr, after.ptr) != 0, "labels change something");
	say(3, LABEL_NONE, "bob", T0 + 1004, NULL);
	say(2, LABEL_NONE, "bob", T0 + 1005, NULL);
	say(1, LABEL_NONE, "bob", T0 + 1006, NULL);
	say(2, LABEL_NONE, "ann", T0 + 1007, NULL);
	dump(&after);
	tap_is_str(after.ptr, before.ptr,
	    "after learn and forget the state is that without, bit for bit");

	tap_is_int(say(99, LABEL_SPAM, "ann", T0, &r), 0, "an unknown message");
	tap_ok(r.changed && !r.known, "is labelled, but nobody's");
	say(99, LABEL_NONE, "ann", T0, &r);
	dump(&after);
	tap_is_str(after.ptr, before.ptr, "and forgotten without a trace");

	reopen();
	dump(&after);
	tap_is_str(after.ptr, before.ptr, "all of it is on disk");
	buf_done(&before);
	buf_done(&after);
}

static int
refuse(void *context, const struct label_result *result, struct error *e)
{
	*(int *)context = result->all_is == LABEL_SPAM ? 1 : 2;
	return error_set(e, -EIO, "the model said no");
}

static void
test_both_or_neither(void)
{
	struct label_request r = { .class = LABEL_SPAM, .user = "ann",
		.source = "test", .weight = 1, .now = T0 };
	struct label_result result;
	struct buf before, after;
	int called = 0;

	buf_init(&before, 1 << 20);
	buf_init(&after, 1 << 20);
	memset(r.message, 2, sizeof(r.message));
	dump(&before);
	tap_is_int(store_label(store, &r, refuse, &called, &result, &err), -EIO,
	    "what must happen with the label failed");
	tap_is_str(err.text, "the model said no", "and says why");
	tap_is_int(called, 1, "it was asked");
	tap_ok(!result.changed, "nothing is told as changed");
	dump(&after);
	tap_is_str(after.ptr, before.ptr, "and nothing has");
	buf_done(&before);
	buf_done(&after);
	memset(r.message, 0, sizeof(r.message));
	tap_is_int(store_label(store, &r, NULL, NULL, &result, &err), -EINVAL,
	    "no message identity");
}

static void
test_rate(void)
{
	struct label_request r = { .class = LABEL_SPAM, .user = "hasty",
		.source = "test", .weight = 1, .now = T0, .max_per_hour = 3 };
	struct label_result result;
	int rc = 0;

	for (int i = 0; i < 4; i++) {
		memset(r.message, 100 + i, sizeof(r.message));
		rc = store_label(store, &r, NULL, NULL, &result, &err);
	}
	tap_is_int(rc, -EDQUOT, "a user's fourth label in the hour");
	r.class = LABEL_NONE;
	memset(r.message, 100, sizeof(r.message));
	tap_is_int(store_label(store, &r, NULL, NULL, &result, &err), 0,
	    "taking back is always allowed");
	r.class = LABEL_SPAM;
	r.now += 4000;
	tap_is_int(store_label(store, &r, NULL, NULL, &result, &err), 0,
	    "and an hour later there is room");
}

static void
test_one_users_labels(void)
{
	struct reputation_row r;
	char id[16];
	int64_t now = T0 + 40 * 86400;

	for (int i = 0; i < 200; i++) {
		struct identity known = { IDENTITY_DKIM_ALIGNED, "news.example" };

		store_reputation_add(store, &known, 1, 0.2, 0, NULL,
		    now - 86400 * 30 + i * 12000);
	}
	for (int i = 0; i < 50; i++) {
		snprintf(id, sizeof(id), "w%d", i);
		verdict(id, (unsigned char)(150 + i), "news.example", 0.2, 0,
		    now + i * 60);
		say((unsigned char)(150 + i), LABEL_SPAM, "grumpy", now + i * 60,
		    NULL);
		if (i % 10 == 9) {
			r = row_of(IDENTITY_DKIM_ALIGNED, "news.example",
			    now + i * 60);
			printf("# after %2d wrong labels of one user in the hour:"
			    " ham %.1f spam %.1f, last hour %.2f\n", i + 1, r.ham,
			    r.spam, r.recent_spam);
		}
	}
	r = row_of(IDENTITY_DKIM_ALIGNED, "news.example", now + 3000);
	tap_ok(r.spam < 15, "fifty labels of one user weigh %.1f", r.spam);
	tap_ok(r.recent_spam < 2.1, "and %.2f in the hour", r.recent_spam);
	tap_ok(r.ham > r.spam, "the good record stands");
}

struct found {
	char text[400];
};

static int
collect(void *context, const struct log_entry *e)
{
	struct found *f = context;

	snprintf(f->text + strlen(f->text), sizeof(f->text) - strlen(f->text),
	    "%s ", e->id);
	return 0;
}

static bool
file_has(const char *name, const char *text)
{
	static char bytes[8 << 20];
	FILE *f = fopen(name, "rb");
	size_t n;

	if (f == NULL)
		return false;
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	return memmem(bytes, n, text, strlen(text)) != NULL;
}

static void
test_log(void)
{
	struct log_entry e;
	struct log_query q = { .action = -1 };
	struct found f = { "" };
	struct log_entry keyed = { .id = "k1", .time = T0 + 100,
		.mail_from = "Secret@Example.net", .queue_id = "q",
		.keyed = true, .message = { 9 }, .record = SPAN_LIT("{}") };
	const char *address = "secret@example.net";
	const struct identity keyed_ids[2] = {
		{ IDENTITY_ADDRESS, "secret@example.net" },
		{ IDENTITY_SPF, "example.net" } };
	char wal[140], big[3000];
	size_t count = 0;

	unlink(path);
	reopen();
	keyed.addresses = &address;
	keyed.address_count = 1;
	keyed.ids = keyed_ids;
	keyed.id_count = 2;
	verdict("v1", 1, "shop.example", 0.2, 0, T0);
	verdict("v2", 2, "shop.example", 0, 0.2, T0 + 60);
	verdict("v2", 3, "shop.example", 0, 0.2, T0 + 61);
	store_log_put(store, &keyed);
	store_flush(store, &err);
	tap_is_int(store_log_get(store, "v2", arena, &e, &err), 0, "get");
	tap_is_int(e.time, T0 + 60, "an id is taken once");
	tap_is_span(e.record, SPAN_LIT("{\"score\":6.5}"), "the record is whole");
	tap_is_str(e.queue_id, "4XYZ", "queue id");
	tap_is_int(store_log_get(store, "nope", arena, &e, &err), -ENOENT,
	    "an id that is not there");
	store_log_search(store, &q, collect, &f, &err);
	tap_is_str(f.text, "k1 v2 v1 ", "newest first");
	f.text[0] = '\0';
	q.from = "INFO@example.org";
	q.until = T0 + 10;
	store_log_search(store, &q, collect, &f, &err);
	tap_is_str(f.text, "v1 ", "by time and address");
	f.text[0] = '\0';
	q = (struct log_query){ .action = -1, .from = "secret@example.net" };
	store_log_search(store, &q, collect, &f, &err);
	tap_is_str(f.text, "k1 ", "a keyed address is found by who knows it");
	snprintf(wal, sizeof(wal), "%s-wal", path);
	tap_ok(!file_has(path, "ecret@") && !file_has(wal, "ecret@") &&
	    !file_has(path, "ECRET@"), "and stands nowhere in the files");
	tap_ok(file_has(path, "info@example.org") ||
	    file_has(wal, "info@example.org"), "unlike one that is not keyed");
	tap_is_int(store_log_erase(store, "INFO@EXAMPLE.ORG", &count, &err), 0,
	    "erase");
	tap_is_int((long long)count, 2, "two verdicts");
	f.text[0] = '\0';
	q.from = NULL;
	store_log_search(store, &q, collect, &f, &err);
	tap_is_str(f.text, "k1 ", "are gone");
	store_flush(store, &err);
	tap_ok(!file_has(path, "info@example.org") &&
	    !file_has(wal, "info@example.org"), "from the bytes on disk too");

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)('a' + (i * i + i / 7) % 26);
	for (int i = 0; i < 300; i++) {
		char id[20];
		struct log_entry b = { .time = T0 + 1000 + i, .message = { 7 },
			.mail_from = "", .queue_id = "",
			.record = span_of(big, sizeof(big)) };

		snprintf(id, sizeof(id), "b%d", i);
		b.id = id;
		store_log_put(store, &b);
	}
	store_log_limit(store, 3600, 50000);
	store_flush(store, &err);
	for (int i = 0; i < 100; i++) {
		if (store_log_get(store, "b100", arena, &e, &err) == -ENOENT)
			break;
		usleep(50000);
	}
	tap_is_int(store_log_get(store, "b100", arena, &e, &err), -ENOENT,
	    "beyond its bytes the oldest go");
	tap_is_int(store_log_get(store, "b299", arena, &e, &err), 0,
	    "and the newest stay");
}

static void
test_correspondents(void)
{
	bool known = true;
	char address[40];

	store_correspondent_get(store, "pal@example.org", T0, &known, &err);
	tap_ok(!known, "nobody wrote there");
	store_correspondent_add(store, "ann", "Pal@Example.org", T0);
	store_flush(store, &err);
	store_correspondent_get(store, "pal@example.org", T0 + 5, &known, &err);
	tap_ok(known, "one of ours did");
	store_correspondent_get(store, "pal@example.org", T0 + 3 * 365 * 86400,
	    &known, &err);
	tap_ok(!known, "three years ago");
	for (int i = 0; i < 200; i++) {
		snprintf(address, sizeof(address), "bulk%d@example.org", i);
		store_correspondent_add(store, "robot", address, T0 + i);
	}
	store_flush(store, &err);
	store_correspondent_get(store, "bulk50@example.org", T0 + 300, &known,
	    &err);
	tap_ok(known, "the first of the day count");
	store_correspondent_get(store, "bulk150@example.org", T0 + 300, &known,
	    &err);
	tap_ok(!known, "the hundred and first is bulk");
	for (int day = 1; day < 40; day++) {
		for (int i = 0; i < 90; i++) {
			snprintf(address, sizeof(address), "d%d.%d@example.org",
			    day, i);
			store_correspondent_add(store, "busy", address,
			    T0 + day * 86400 + i);
		}
		store_flush(store, &err);
	}
	store_correspondent_get(store, "d1.1@example.org", T0 + 41 * 86400,
	    &known, &err);
	tap_ok(!known, "an account's oldest give way");
	store_correspondent_get(store, "d39.1@example.org", T0 + 41 * 86400,
	    &known, &err);
	tap_ok(known, "to its newest");
	store_correspondent_get(store, "pal@example.org", T0 + 41 * 86400,
	    &known, &err);
	tap_ok(known, "another account's are its own");
}

static void
test_learning(void)
{
	struct learning *list;
	size_t count = 0;

	say(1, LABEL_SPAM, "ann", T0 + 50, NULL);
	store_learning_failed(store, "imap", "no daemon", T0 + 70);
	tap_is_int(store_learning_list(store, arena, &list, &count, &err), 0,
	    "sources");
	tap_is_int((long long)count, 2, "two");
	tap_ok(strcmp(list[0].source, "imap") == 0 && list[0].failed == 1 &&
	    list[0].last_failed == T0 + 70 &&
	    strcmp(list[0].why, "no daemon") == 0, "one that failed, and why");
	tap_ok(strcmp(list[1].source, "test") == 0 && list[1].learned >= 1 &&
	    list[1].last_learned == T0 + 50, "one that taught, and when");
}

int
main(void)
{
	scratch_make();
	snprintf(path, sizeof(path), "%s/state.db", scratch_dir);
	arena = arena_new(16 << 20);
	reopen();
	test_learn_forget();
	test_keyed();
	test_client();
	test_both_or_neither();
	test_rate();
	test_one_users_labels();
	test_log();
	test_correspondents();
	test_learning();
	store_close(store);
	arena_free(arena);
	scratch_remove();
	return tap_done();
}
