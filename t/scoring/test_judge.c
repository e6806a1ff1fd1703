/*
 * judge(): thresholds, the single-hit guard, intervals, exemptions,
 * greylisting, flips, and that the printed parts add up to the score.
 */
#include <jansson.h>

#include "scoring/explain.h"
#include "scoring/judge.h"
#include "t/tap.h"

/* One rule a letter of the Subject; S and N hang on SPF */
static const char rules_text[] =
    "header A Subject =~ /a/\nscore A 3\ndescribe A has an a\n"
    "header B Subject =~ /b/\nscore B 2.5\n"
    "header C Subject =~ /c/\nscore C 1\n"
    "header D Subject =~ /d/\nscore D 7\n"
    "header E Subject =~ /e/\nscore E 12\n"
    "header F Subject =~ /f/\nscore F -4\n"
    "header G Subject =~ /g/\nscore G 1000\ntflags G spamscore_reject\n"
    "header H Subject =~ /h/\nscore H 100\ntflags H userconf\n"
    "header I Subject =~ /i/\nscore I 0.001\n"
    "header S eval:check_for_spf_fail()\nscore S 3\n"
    "header N eval:check_for_spf_pass()\nscore N -3\n"
    "header __Z Subject =~ /a/\n"
    "meta M (__Z && B)\nscore M 0.5\n";

enum store_is { NEW, SEEN_EARLY, SEEN_LATE, PASSED, BROKEN };

struct row {
	const char *label, *subject;
	enum check_state spf;
	enum store_is store;
	const char *rcpt;
	double want_score, want_low, want_high;
	enum action want_action, want_would;
	const char *want_flip; /* rules of the first flip, comma separated */
};

static const struct row rows[] = {
	{ "nothing hits", "x", CHECK_DONE, NEW, NULL, 0, 0, 0, ACTION_ACCEPT, ACTION_ACCEPT, "" },
	{ "below tag", "ac", CHECK_DONE, NEW, NULL, 4, 4, 4, ACTION_ACCEPT, ACTION_ACCEPT, "" },
	{ "tag", "ab", CHECK_DONE, NEW, NULL, 6, 6, 6, ACTION_TAG, ACTION_TAG, "A" },
	{ "just tag", "abf", CHECK_DONE, NEW, NULL, 2, 2, 2, ACTION_ACCEPT, ACTION_ACCEPT, "F" },
	{ "tempfail at first sight", "dc", CHECK_DONE, NEW, NULL, 8, 8, 8, ACTION_TEMPFAIL, ACTION_TEMPFAIL, "D" },
	{ "still tempfail before the delay", "dc", CHECK_DONE, SEEN_EARLY, NULL, 8, 8, 8, ACTION_TEMPFAIL, ACTION_TEMPFAIL, "D" },
	{ "tag after the delay", "dc", CHECK_DONE, SEEN_LATE, NULL, 8, 8, 8, ACTION_TAG, ACTION_TAG, "D" },
	{ "tag once it had passed", "dc", CHECK_DONE, PASSED, NULL, 8, 8, 8, ACTION_TAG, ACTION_TAG, "D" },
	{ "tag when the store is broken", "dc", CHECK_DONE, BROKEN, NULL, 8, 8, 8, ACTION_TAG, ACTION_TAG, "D" },
	{ "reject", "dab", CHECK_DONE, NEW, NULL, 13, 13, 13, ACTION_REJECT, ACTION_REJECT, "D" },
	{ "no single hit rejects", "ec", CHECK_DONE, NEW, NULL, 13, 13, 13, ACTION_TEMPFAIL, ACTION_TEMPFAIL, "E" },
	{ "the rest must reach tag", "eabf", CHECK_DONE, NEW, NULL, 14, 14, 14, ACTION_TEMPFAIL, ACTION_TEMPFAIL, "E" },
	{ "GTUBE rejects alone", "g", CHECK_DONE, NEW, NULL, 1000, 1000, 1000, ACTION_REJECT, ACTION_REJECT, "G" },
	{ "own blocklist rejects alone", "h", CHECK_DONE, NEW, NULL, 100, 100, 100, ACTION_REJECT, ACTION_REJECT, "H" },
	{ "postmaster is at most tagged", "g", CHECK_DONE, NEW, "PostMaster@any.example", 1000, 1000, 1000, ACTION_TAG, ACTION_REJECT, "G" },
	{ "a bare postmaster too", "g", CHECK_DONE, NEW, "postmaster", 1000, 1000, 1000, ACTION_TAG, ACTION_REJECT, "G" },
	{ "postmaster2 is not exempt", "g", CHECK_DONE, NEW, "postmaster2@any.example", 1000, 1000, 1000, ACTION_REJECT, ACTION_REJECT, "G" },
	{ "unknown widens the score", "c", CHECK_UNKNOWN, NEW, NULL, 1, -2, 4, ACTION_ACCEPT, ACTION_ACCEPT, "" },
	{ "the lower end decides", "ab", CHECK_UNKNOWN, NEW, NULL, 6, 3, 9, ACTION_ACCEPT, ACTION_ACCEPT, "" },
	{ "no reject on an open test", "dab", CHECK_UNKNOWN, NEW, NULL, 13, 10, 16, ACTION_TEMPFAIL, ACTION_TEMPFAIL, "D" },
	{ "not run counts 0", "ab", CHECK_NOT_RUN, NEW, NULL, 6, 6, 6, ACTION_TAG, ACTION_TAG, "A" },
};

struct fixture {
	struct arena *arena;
	struct scoring_settings settings;
	struct ruleset *ruleset;
};

static char *
run(struct fixture *f, const struct row *row, struct verdict **ret_verdict)
{
	static const struct message_limits limits = { 1 << 20, 1000, 30, 500, 1000 };
	const char *rcpt[1] = { row->rcpt };
	struct envelope env = { .rcpt_to = rcpt, .rcpt_count = row->rcpt != NULL };
	struct evidence e = { .now = 1700000000 };
	struct relays relays = { 0 };
	struct message *m;
	char *raw = arena_printf(f->arena, "Subject: %s\n\nbody\n", row->subject);
	json_t *json;
	char *text;

	e.spf_mailfrom.check = (struct check){ row->spf,
		row->spf == CHECK_UNKNOWN ? "timeout" : "offline" };
	e.spf_mailfrom.result = AUTH_NEUTRAL;
	e.spf_mailfrom.scope = "mfrom";
	e.dns.state = row->spf == CHECK_NOT_RUN ? CHECK_NOT_RUN : CHECK_DONE;
	e.store.state = row->store == BROKEN ? CHECK_UNKNOWN : CHECK_DONE;
	e.greylist_first_seen = row->store == SEEN_EARLY ? e.now - 60 :
	    row->store == SEEN_LATE ? e.now - 300 : 0;
	e.greylist_passed = row->store == PASSED;
	if (message_parse(f->arena, span_cstr(raw), strlen(raw), &limits, &m,
		NULL) != 0)
		abort();
	struct judge_input in = { .settings = &f->settings, .ruleset = f->ruleset,
		.message = m, .envelope = &env, .relays = &relays, .evidence = &e,
		.arena = f->arena };
	if (judge(&in, ret_verdict, NULL) != 0)
		abort();
	struct explain_input x = { m, &env, &e, *ret_verdict };
	json = explain_json(&x);
	text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(12));
	json_decref(json);
	return text;
}

static void
check_row(struct fixture *f, const struct row *row)
{
	struct verdict *v, *again;
	char flip[200] = "";
	double sum = 0;
	char *one = run(f, row, &v), *two = run(f, row, &again);

	tap_is_double(v->score, row->want_score, row->label);
	tap_is_double(v->score_low, row->want_low, "  score_low");
	tap_is_double(v->score_high, row->want_high, "  score_high");
	tap_is_str(action_name(v->action), action_name(row->want_action), "  action");
	tap_is_str(action_name(v->would_action), action_name(row->want_would),
	    "  would_action");
	for (size_t i = 0; i < v->hit_count; i++)
		sum += v->hits[i].score;
	for (size_t i = 0; i < v->reputation_count; i++)
		sum += v->reputation[i].score;
	tap_is_double(sum, v->score, "  the hits add up to the score");
	if (v->flip_count > 0)
		for (size_t i = 0; i < v->flips[0].count; i++)
			snprintf(flip + strlen(flip), sizeof(flip) - strlen(flip),
			    "%s%s", i > 0 ? "," : "", v->flips[0].rules[i]);
	tap_is_str(flip, row->want_flip, "  flip");
	tap_is_str(one, two, "  the same again, byte for byte");
	free(one);
	free(two);
}

int
main(void)
{
	struct fixture f = { .arena = arena_new(64 << 20) };
	struct ruleset_options options = { .text = SPAN_LIT(rules_text),
		.text_name = "test.cf" };
	struct diags diags;
	struct error err;
	struct buf out;

	diags_init(&diags, f.arena);
	scoring_settings_init(&f.settings, f.arena);
	if (!tap_ok(ruleset_load(&options, &diags, &f.ruleset, &err) == 0,
		"the rules load")) {
		buf_init(&out, 10000);
		diags_format(&diags, DIAG_NOTE, &out);
		printf("# %s\n", out.ptr);
		buf_done(&out);
		return tap_done();
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&f, &rows[i]);
	ruleset_free(f.ruleset);
	arena_free(f.arena);
	return tap_done();
}
