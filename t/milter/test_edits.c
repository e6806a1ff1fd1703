#include "milter/edits.h"
#include "t/tap.h"

struct log {
	char text[2000];
};

static int
on_remove(void *context, const char *name, int index)
{
	struct log *l = context;
	size_t n = strlen(l->text);

	snprintf(l->text + n, sizeof(l->text) - n, "-%s[%d] ", name, index);
	return 0;
}

static int
on_insert(void *context, const char *name, const char *value)
{
	struct log *l = context;
	size_t n = strlen(l->text);

	snprintf(l->text + n, sizeof(l->text) - n, "+%s:%s ", name, value);
	return 0;
}

static int
refuse_second(void *context, const char *name, int index)
{
	int *count = context;

	(void)name;
	(void)index;
	return ++*count == 2 ? -7 : 0;
}

static int
count_insert(void *context, const char *name, const char *value)
{
	int *count = context;

	(void)name;
	(void)value;
	*count += 100;
	return 0;
}

static void
test_removals(void)
{
	static const struct {
		const char *label, *fields[9][2], *want;
	} rows[] = {
		{ "none", { { "From", " a" }, { "Subject", " b" } }, "" },
		{ "one", { { "X-Spam-Flag", " NO" } }, "-X-Spam-Flag[1] " },
		{ "case and order", { { "x-spam-flag", "" }, { "From", "" },
		    { "X-SPAM-FLAG", "" }, { "X-Spam-Level", "" } },
		  "-X-Spam-Level[1] -x-spam-flag[2] -x-spam-flag[1] " },
		{ "a name that only begins alike",
		  { { "X-Spammer", "" }, { "X-Spam", "" }, { "X-Spam-", "" } },
		  "-X-Spam-[1] " },
		{ "space before the colon", { { "X-Spam-Flag ", "" },
		    { "X-Spam-Flag\t", "" } },
		  "-X-Spam-Flag[2] -X-Spam-Flag[1] " },
		{ "results of others count but stay",
		  { { "Authentication-Results", " other.example; spf=pass" },
		    { "authentication-results", " mx.example.org; spf=pass" },
		    { "Authentication-Results", " a.mx.example.org; spf=pass" },
		    { "Authentication-Results", "\n\tMX.example.ORG/1; none" } },
		  "-Authentication-Results[4] -Authentication-Results[2] " },
		{ "results that are no results",
		  { { "Authentication-Results", "" },
		    { "Authentication-Results", " (mx.example.org) x; none" } }, "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(1 << 20);
		struct edits e;
		struct log l = { "" };

		edits_init(&e, a);
		for (size_t k = 0; k < 9 && rows[i].fields[k][0] != NULL; k++)
			if (edits_see_field(&e, span_cstr(rows[i].fields[k][0]),
				span_cstr(rows[i].fields[k][1]),
				"mx.example.org") != 0)
				tap_ok(false, "%s: no memory", rows[i].label);
		edits_apply(&e, on_remove, on_insert, &l);
		tap_is_str(l.text, rows[i].want, rows[i].label);
		arena_free(a);
	}
}

static void
test_order(void)
{
	struct arena *a = arena_new(1 << 20);
	struct edits e;
	struct log l = { "" };
	int count = 0;

	edits_init(&e, a);
	edits_insert(&e, "A", SPAN_LIT("first"));
	edits_insert(&e, "B", SPAN_LIT("second\n\tline"));
	edits_see_field(&e, SPAN_LIT("X-Spam-A"), SPAN_LIT(""), "x");
	edits_see_field(&e, SPAN_LIT("X-Spam-B"), SPAN_LIT(""), "x");
	edits_apply(&e, on_remove, on_insert, &l);
	tap_is_str(l.text, "-X-Spam-B[1] -X-Spam-A[1] +B: second\n\tline +A: first ",
	    "all deletions, then insertions from the last to the first");
	tap_is_int(edits_apply(&e, refuse_second, count_insert, &count), -7,
	    "a refusal is handed on");
	tap_is_int(count, 2, "and nothing is tried after it");
	arena_free(a);
}

static void
test_many(void)
{
	struct arena *a = arena_new(64 << 20);
	struct edits e;
	char name[32];
	int wrong = 0;

	edits_init(&e, a);
	for (int i = 0; i < 100000; i++) {
		int n = snprintf(name, sizeof(name), "X-Spam-%d", i / 2);

		if (edits_see_field(&e, span_of(name, (size_t)n), SPAN_LIT(""),
			"x") != 0)
			wrong++;
	}
	tap_is_int(wrong, 0, "a hundred thousand fields of 50,000 names fit");
	tap_is_int((long long)e.removal_count, 100000, "each is noted");
	for (size_t i = 0; i < e.removal_count; i++)
		wrong += e.removals[i].index != 1 + (int)(i % 2);
	tap_is_int(wrong, 0, "with its index");
	arena_free(a);

	a = arena_new(64 * 1024);
	edits_init(&e, a);
	for (int i = 0; i < 100000 && wrong == 0; i++) {
		int n = snprintf(name, sizeof(name), "X-Spam-%d", i);

		wrong = edits_see_field(&e, span_of(name, (size_t)n),
		    SPAN_LIT(""), "x");
	}
	tap_ok(wrong != 0, "the arena's cap ends it");
	arena_free(a);
}

int
main(void)
{
	test_removals();
	test_order();
	test_many();
	return tap_done();
}
