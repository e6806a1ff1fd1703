/* The points of reputation, and known attacks on it, with the store in
 * between. Prints the trajectory of each attack. */
#include <stdlib.h>
#include <unistd.h>

#include "db/store.h"
#include "scoring/judge.h"
#include "t/scratch.h"
#include "t/tap.h"

#define T0 INT64_C(1700000000)
#define DAY INT64_C(86400)

static char path[80];
static struct arena *arena;
static const struct scoring_settings settings = { .reputation_max = 4,
	.tag_score = 5 };

static double
judge_rows(struct reputation_row *rows, size_t n)
{
	struct evidence e = { .now = T0, .reputation = rows,
		.reputation_count = n };
	struct reputation_term *terms;
	double sum = 0;
	size_t count;

	if (reputation_judge(&settings, &e, arena, &terms, &count) != 0)
		abort();
	for (size_t i = 0; i < count; i++)
		sum += terms[i].score;
	return sum;
}

static void
test_term(void)
{
	static const struct {
		const char *label;
		struct reputation_row row;
		double want_low, want_high;
	} rows[] = {
		{ "never seen", { IDENTITY_SPF, "x", 0, 0, 0, 0, 0, 0 }, 0, 0 },
		{ "one good", { IDENTITY_SPF, "x", 1, 0, 0, 0, 1, T0 }, -0.1, 0 },
		{ "much good", { IDENTITY_DKIM_ALIGNED, "x", 300, 0, 1, 0, 1, T0 },
		    -4, -3.5 },
		{ "much bad", { IDENTITY_DKIM_ALIGNED, "x", 0, 300, 0, 1, 1, T0 },
		    3.5, 4 },
		{ "half and half", { IDENTITY_DKIM_ALIGNED, "x", 50, 50, 0, 0, 1,
		    T0 }, 0, 0 },
		{ "good but shared", { IDENTITY_DKIM_ALIGNED, "x", 900, 10, 0, 0,
		    200, T0 }, -0.3, 0 },
		{ "bad with many authors is bad", { IDENTITY_DKIM_ALIGNED, "x", 0,
		    300, 0, 0, 200, T0 }, 3.5, 4 },
		{ "a good network is little", { IDENTITY_NET, "x", 300, 0, 0, 0, 1,
		    T0 }, -1.1, -0.5 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reputation_row r = rows[i].row;
		double got = judge_rows(&r, 1);

		if (!tap_ok(got >= rows[i].want_low && got <= rows[i].want_high,
		    "%s: %.3f", rows[i].label, got))
			printf("# want: %.3f to %.3f\n", rows[i].want_low,
			    rows[i].want_high);
	}
}

static void
test_terms_add_up(void)
{
	struct reputation_row rows[] = {
		{ IDENTITY_NET, "192.0.2.0/24", 7, 3, 0, 0, 3, T0 },
		{ IDENTITY_DKIM_ALIGNED, "example.org", 41, 2, 0, 0.3, 3, T0 },
		{ IDENTITY_ADDRESS, "a@example.org", 3, 0, 0, 0, 0, T0 },
		{ IDENTITY_IP, "192.0.2.1", 0, 0, 0, 0, 0, 0 },
	};
	struct evidence e = { .now = T0, .reputation = rows,
		.reputation_count = 4, .correspondent = true };
	struct scoring_settings small = settings;
	struct reputation_term *terms;
	double sum = 0;
	size_t count;

	reputation_judge(&settings, &e, arena, &terms, &count);
	tap_is_int((long long)count, 4, "who was never seen is not listed");
	tap_is_str(terms[0].identity, "address:a@example.org",
	    "the most specific first");
	tap_is_str(terms[3].identity, "correspondent", "a correspondent is named");
	for (double max = 0; max < 5; max += 0.0625) {
		small.reputation_max = max;
		reputation_judge(&small, &e, arena, &terms, &count);
		sum = 0;
		for (size_t i = 0; i < count; i++) {
			sum += terms[i].score;
			if (fabs(terms[i].score * 1000 -
			    round(terms[i].score * 1000)) > 1e-6)
				tap_ok(false, "term %zu is not in thousandths", i);
		}
		if (fabs(sum) > max + 0.0005001)
			tap_ok(false, "sum %.6f within %.4f", sum, max);
	}
	tap_ok(fabs(sum) > 3, "the clamp is not always there: %.3f", sum);
	e.reputation_count = 0;
	e.correspondent = false;
	reputation_judge(&settings, &e, arena, &terms, &count);
	tap_is_int((long long)count, 0, "no rows, no terms");
}

static void
test_weigh(void)
{
	static const struct {
		const char *label;
		double score, low, high, reputation;
		double want_ham, want_spam;
	} rows[] = {
		{ "clearly good", 0.2, 0.2, 0.2, 0, 0.2, 0 },
		{ "near the threshold", 4, 4, 4, 0, 0, 0 },
		{ "just above", 5.5, 5.5, 5.5, 0, 0, 0 },
		{ "clearly bad", 12, 12, 12, 0, 0, 0.2 },
		{ "good only by reputation", 0, 0, 0, -3, 0, 0 },
		{ "bad only by reputation", 9, 9, 9, 3, 0, 0 },
		{ "bad in spite of reputation", 9, 9, 9, -3, 0, 0.2 },
		{ "perhaps bad", 9, 2, 14, 0, 0, 0 },
		{ "perhaps good", 0, 0, 6, 0, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reputation_term term = { "spf:x", 1, 1,
			rows[i].reputation, T0 };
		struct verdict v = { .score = rows[i].score,
			.score_low = rows[i].low, .score_high = rows[i].high,
			.thresholds = { 5, 8, 12 }, .reputation = &term,
			.reputation_count = 1 };
		double ham = -1, spam = -1;

		reputation_weigh(&v, &ham, &spam);
		tap_is_double(ham, rows[i].want_ham, rows[i].label);
		tap_is_double(spam, rows[i].want_spam, "  spam");
	}
}

/* One message's identities: who sends, from where, and what the filter (or
 * a person) thought of it. */
struct sender {
	const char *address, *domain, *ip, *net;
};

static size_t
ids_of(const struct sender *s, struct identity ids[5])
{
	size_t n = 0;

	if (s->address != NULL)
		ids[n++] = (struct identity){ IDENTITY_ADDRESS, s->address };
	if (s->domain != NULL) {
		ids[n++] = (struct identity){ IDENTITY_DKIM_ALIGNED, s->domain };
		ids[n++] = (struct identity){ IDENTITY_SPF, s->domain };
	}
	ids[n++] = (struct identity){ IDENTITY_IP, s->ip };
	ids[n++] = (struct identity){ IDENTITY_NET, s->net };
	return n;
}

static void
send_mail(struct store *st, const struct sender *s, double ham, double spam,
    int64_t now)
{
	struct identity ids[5];
	size_t n = ids_of(s, ids);

	store_reputation_add(st, ids, n, ham, spam, s->address, now);
}

static double
ask(struct store *st, const struct sender *s, int64_t now)
{
	struct identity ids[5];
	size_t n = ids_of(s, ids);
	struct reputation_row *rows;
	struct error err;

	if (store_flush(st, &err) != 0 ||
	    store_reputation_get(st, ids, n, now, arena, &rows, &err) != 0)
		abort();
	return judge_rows(rows, n);
}

static void
test_hijack(struct store *st)
{
	struct sender s = { "info@good.example", "good.example", "192.0.2.9",
		"192.0.2.0/24" };
	int64_t now = T0;
	double term;
	int turned = 0;

	for (int day = 0; day < 365; day++)
		for (int k = 0; k < 3; k++)
			send_mail(st, &s, 0.2, 0, now = T0 + day * DAY + k * 3600);
	now += DAY;
	term = ask(st, &s, now);
	tap_ok(term < -1.5, "a year of good mail: %.3f", term);
	for (int i = 1; i <= 10000; i++) {
		send_mail(st, &s, 0, 0.2, now + i * 3600 / 10000);
		if (i > 100 && i % 2000 != 0)
			continue;
		if (i % 10 != 0)
			continue;
		term = ask(st, &s, now + i * 3600 / 10000);
		printf("# hijacked, after %5d spam in the hour: %+.3f\n", i, term);
		if (term > 0 && turned == 0)
			turned = i;
	}
	tap_ok(turned > 0 && turned <= 50, "it turns after %d messages", turned);
	tap_ok(term > 2, "and is bad at the end: %.3f", term);
}

static void
test_warm_up(struct store *st)
{
	struct sender s = { "x@warm.example", "warm.example", "198.51.100.7",
		"198.51.100.0/24" };
	double least = 0;

	for (int i = 1; i <= 20; i++) {
		double term;

		send_mail(st, &s, 0.2, 0, T0 + i * 600);
		term = ask(st, &s, T0 + i * 600);
		if (i % 5 == 0)
			printf("# warming up, after %2d good: %+.3f\n", i, term);
		least = fmin(least, term);
	}
	tap_ok(least > -1, "twenty good messages gain %.3f", least);
}

static void
test_shared(struct store *st)
{
	struct sender s = { NULL, "freemail.example", "203.0.113.5",
		"203.0.113.0/24" };
	struct sender fresh = s, known = s, bad = s;
	char name[60];
	double term;

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "user%d@freemail.example", i % 150);
		s.address = name;
		send_mail(st, &s, 0.2, 0, T0 + i * 300);
	}
	bad.address = "scam@freemail.example";
	for (int i = 0; i < 30; i++)
		send_mail(st, &bad, 0, 1, T0 + 3000 * 300 - i * 7200);
	fresh.address = "nobody-yet@freemail.example";
	term = ask(st, &fresh, T0 + 3000 * 300);
	tap_ok(fabs(term) < 0.5, "a new member of a shared provider: %.3f", term);
	known.address = "user3@freemail.example";
	term = ask(st, &known, T0 + 3000 * 300);
	tap_ok(term < -0.2, "a known good member: %.3f", term);
	term = ask(st, &bad, T0 + 3000 * 300);
	tap_ok(term > 1.5, "a known bad member: %.3f", term);
}

static void
test_excuses(void)
{
	static const struct {
		const char *label;
		struct reputation_row row;
		bool want;
	} rows[] = {
		{ "a stranger", { IDENTITY_SPF, "x", 1, 0, 0, 0, 1, T0 }, false },
		{ "a confirmed sender", { IDENTITY_SPF, "x", 15, 0.2, 0, 0, 1, T0 },
		    true },
		{ "one that was just hijacked", { IDENTITY_SPF, "x", 150, 2, 0, 2,
		    1, T0 }, false },
		{ "a good network", { IDENTITY_NET, "x", 150, 0, 0, 0, 1, T0 },
		    false },
		{ "a shared provider", { IDENTITY_DKIM_ALIGNED, "x", 150, 0, 0, 0,
		    90, T0 }, false },
	};
	struct dnsxl_evidence d = { .check = { CHECK_DONE, NULL },
		.list = "list.dnswl.org", .query = "x", .result = "127.0.5.1" };
	struct evidence e = { .now = T0, .dnsxl = &d, .dnsxl_count = 1 };
	const char *why = "";
	bool excused = reputation_excuses_greylist(&e, &why);

	tap_ok(excused, "DNSWL: %s", why);
	d.result = "127.0.5.0";
	tap_ok(!reputation_excuses_greylist(&e, &why), "DNSWL without trust");
	d.result = "127.0.0.255";
	tap_ok(!reputation_excuses_greylist(&e, &why), "DNSWL refused the query");
	e.dnsxl_count = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reputation_row r = rows[i].row;

		e.reputation = &r;
		e.reputation_count = 1;
		tap_ok(reputation_excuses_greylist(&e, &why) == rows[i].want,
		    "%s", rows[i].label);
	}
	e.reputation_count = 0;
	e.correspondent = true;
	excused = reputation_excuses_greylist(&e, &why);
	tap_ok(excused, "a correspondent: %s", why);
}

static void
test_forged(struct store *st)
{
	/* From says good.example, nothing authenticated: only the client */
	struct sender s = { NULL, NULL, "100.64.7.7", "100.64.7.0/24" };
	double term = ask(st, &s, T0 + 366 * DAY);

	tap_is_double(term, 0, "a forged From of a good domain gains nothing");
}

static double
ham_of(struct store *s, const char *key)
{
	struct identity id = { IDENTITY_ADDRESS, key };
	struct reputation_row *rows;
	struct error err;

	if (store_reputation_get(s, &id, 1, T0, arena, &rows, &err) != 0)
		return -1;
	return rows[0].ham;
}

static int
count_plain(void *context, const struct reputation_row *row)
{
	unsigned *n = context;

	n[row->kind != IDENTITY_ADDRESS ? 2 :
	    strncmp(row->key, "key:", 4) == 0 ? 1 : 0]++;
	return 0;
}

/* Does the file or its log hold this text? */
static bool
file_has(const char *text)
{
	char command[300];

	snprintf(command, sizeof(command), "cat %s %s-wal 2>/dev/null | "
	    "grep -qa '%s'", path, path, text);
	return system(command) == 0;
}

static void
test_keyed(void)
{
	struct store_options o = { .path = path, .mode = STORE_WRITE };
	struct identity ids[] = { { IDENTITY_ADDRESS, "ann@plain.example" },
		{ IDENTITY_DKIM_ALIGNED, "plain.example" } };
	struct identity late = { IDENTITY_ADDRESS, "bob@late.example" };
	unsigned n[3] = { 0 };
	struct store *s;
	struct error err;
	char key[96];

	unlink(path);
	if (store_open(&o, &s, &err) != 0) {
		tap_ok(false, "open: %s", err.text);
		return;
	}
	store_reputation_add(s, ids, 2, 1, 0, "ann@plain.example", T0);
	store_flush(s, &err);
	tap_ok(file_has("ann@plain"), "an address stands in the file as it is");
	tap_is_int(store_key_addresses(s, true, &err), 0, "key addresses");
	tap_is_double(ham_of(s, "ann@plain.example"), 1, "what was known is known");
	tap_is_double(ham_of(s, "Ann@Plain.Example"), 1, "whatever its case");
	store_reputation_add(s, ids, 2, 1, 0, "ann@plain.example", T0);
	store_reputation_add(s, &late, 1, 3, 0, "bob@late.example", T0);
	store_flush(s, &err);
	tap_is_double(ham_of(s, "ann@plain.example"), 2, "and added to");
	store_reputation_list(s, NULL, 0, T0, count_plain, n, &err);
	tap_ok(n[0] == 0 && n[1] == 2 && n[2] == 1,
	    "no address is listed, the domain is: %u %u %u", n[0], n[1], n[2]);
	store_close(s);
	tap_ok(!file_has("ann@plain") && !file_has("bob@late"),
	    "nothing of them is left in the file");
	snprintf(key, sizeof(key), "%s.key", path);
	tap_is_int(access(key, F_OK), 0, "the key is beside it");

	/* the command reads what the daemon wrote, without being told */
	o.mode = STORE_READ;
	tap_is_int(store_open(&o, &s, &err), 0, "open to read");
	tap_is_double(ham_of(s, "bob@late.example"), 3, "found");
	store_close(s);
	o.mode = STORE_WRITE;
	store_open(&o, &s, &err);
	tap_is_double(ham_of(s, "bob@late.example"), 3, "the file remembers");
	tap_is_int(store_key_addresses(s, false, &err), 0, "and back");
	tap_is_double(ham_of(s, "bob@late.example"), 0,
	    "what was keyed is not found: those begin anew");
	store_reputation_add(s, &late, 1, 1, 0, NULL, T0);
	store_flush(s, &err);
	tap_is_double(ham_of(s, "bob@late.example"), 1, "as they are");
	store_key_addresses(s, true, &err);
	tap_is_double(ham_of(s, "bob@late.example"), 4, "keyed again: joined");
	store_close(s);
	unlink(path);
	unlink(key);
}

int
main(void)
{
	struct store_options o = { .path = path, .mode = STORE_WRITE };
	struct store *st;
	struct error err;

	arena = arena_new(64 << 20);
	test_term();
	test_terms_add_up();
	test_weigh();
	test_excuses();
	scratch_make();
	snprintf(path, sizeof(path), "%s/state.db", scratch_dir);
	if (store_open(&o, &st, &err) != 0)
		return 1;
	test_hijack(st);
	test_warm_up(st);
	test_shared(st);
	test_forged(st);
	store_close(st);
	test_keyed();
	scratch_remove();
	arena_free(arena);
	return tap_done();
}
