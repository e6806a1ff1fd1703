/*
 * Shadows: a set of scores says what judge() would say had the scores been
 * in force, for every combination of hits and open tests; the candidate
 * counts as if it stood in the tuned file's place; a rule file of its own
 * adds, replaces, keeps to its budget; nothing of it shows in the verdict.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "scoring/explain.h"
#include "scoring/shadow.h"
#include "t/scratch.h"
#include "t/tap.h"

static const char rules_text[] =
    "header A Subject =~ /a/\nscore A 3\n"
    "header B Subject =~ /b/\nscore B 2.5\n"
    "header C Subject =~ /c/\nscore C 1\n"
    "header D Subject =~ /d/\nscore D 7\n"
    "header E Subject =~ /e/\nscore E 0 0 6 6\n"
    "header F Subject =~ /f/\nscore F -4\n"
    "header G Subject =~ /g/\nscore G 1000\ntflags G spamscore_reject\n"
    "header S eval:check_for_spf_fail()\nscore S 3\n"
    "header N eval:check_for_spf_pass()\nscore N -3\n"
    "meta M (A && B)\nscore M 0.5\n";

static const char *const sets[] = {
	"score A 0.5\nscore D 12\n",
	"score B -2.5\nscore S 0\nscore N -9\n",
	"tag_score 2\nreject_score 6\nscore C 1 2 3 4\n",
	"score G 3\nscore M 0\nreject_score 9.5\n",
	"tag_score 9\n",
};
enum { SETS = sizeof(sets) / sizeof(sets[0]), LETTERS = 7 };

struct fixture {
	struct arena *arena;
	struct scoring_settings settings;
	struct ruleset *ruleset;
};

static const char *
write_file(struct fixture *f, const char *name, const char *text)
{
	char *path = arena_printf(f->arena, "%s/%s", scratch_dir, name);
	FILE *out = path != NULL ? fopen(path, "w") : NULL;

	if (out == NULL || fputs(text, out) == EOF || fclose(out) != 0)
		abort();
	return path;
}

static struct ruleset *
load_rules(struct fixture *f, const char *text, const char *tuned,
    struct tuned_thresholds *ret_thresholds)
{
	const char *path = write_file(f, "rules.cf", text);
	struct settings_room room = { tuned_thresholds_table, ret_thresholds };
	struct ruleset_options o = { .paths = &path, .path_count = 1,
		.tuned = tuned, .tuned_rooms = &room, .tuned_room_count = 1 };
	struct ruleset *rs;
	struct error err;
	struct diags diags;

	tuned_thresholds_init(ret_thresholds);
	diags_init(&diags, f->arena);
	if (ruleset_load(&o, &diags, &rs, &err) != 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	return rs;
}

struct mail {
	struct envelope envelope;
	struct evidence evidence;
	struct relays relays;
	struct message *message;
};

static void
mail_make(struct fixture *f, const char *subject, enum check_state spf,
    struct mail *m)
{
	static const struct message_limits limits = { 1 << 20, 1000, 30, 500,
		1000 };
	char *raw = arena_printf(f->arena, "Subject: %s\n\nhello body\n",
	    subject);

	*m = (struct mail){ .evidence = { .now = 1700000000 } };
	m->evidence.spf_mailfrom.check = (struct check){ spf,
		spf == CHECK_UNKNOWN ? "timeout" : "offline" };
	m->evidence.spf_mailfrom.result = AUTH_NEUTRAL;
	m->evidence.spf_mailfrom.scope = "mfrom";
	m->evidence.dns.state = spf == CHECK_NOT_RUN ? CHECK_NOT_RUN :
	    CHECK_DONE;
	m->evidence.store.state = CHECK_DONE;
	if (message_parse(f->arena, span_cstr(raw), strlen(raw), &limits,
		&m->message, NULL) != 0)
		abort();
}

static struct judge_input
input_of(struct fixture *f, const struct scoring_settings *s,
    const struct ruleset *rs, struct mail *m)
{
	return (struct judge_input){ .settings = s, .ruleset = rs,
		.message = m->message, .envelope = &m->envelope,
		.relays = &m->relays, .evidence = &m->evidence,
		.arena = f->arena };
}

static struct shadow *
load_shadow(struct fixture *f, const char *text, const struct ruleset *rs,
    const struct thresholds *untuned, size_t *ret_errors,
    size_t *ret_warnings)
{
	struct shadow_options o = { .name = "try",
		.path = write_file(f, "shadow.cf", text),
		.settings = &f->settings, .ruleset = rs, .untuned = untuned };
	struct shadow *s = NULL;
	struct error err;
	struct diags diags;

	diags_init(&diags, f->arena);
	if (shadow_load(&o, &diags, &s, &err) != 0)
		s = NULL;
	if (ret_errors != NULL)
		*ret_errors = diags.errors;
	if (ret_warnings != NULL)
		*ret_warnings = diags.warnings;
	return s;
}

static bool
same(const struct shadow_verdict *s, const struct verdict *v)
{
	return s->score == v->score && s->score_low == v->score_low &&
	    s->score_high == v->score_high && s->action == v->action;
}

static void
letters_of(unsigned bits, char out[LETTERS + 1])
{
	size_t n = 0;

	for (unsigned i = 0; i < LETTERS; i++)
		if (bits & (1u << i))
			out[n++] = (char)('a' + i);
	out[n] = '\0';
}

/* Beside the running rules, and with the same scores in force */
static void
test_equals_real(struct fixture *f, size_t k, bool candidate)
{
	struct tuned_thresholds none, over, in_force;
	const char *tuned = write_file(f, "tuned.cf",
	    "score A 0\nscore F 1\nreject_score 20\n");
	struct ruleset *rs = load_rules(f, rules_text,
	    candidate ? tuned : NULL, &in_force);
	struct scoring_settings base = f->settings, settings = f->settings;
	struct thresholds untuned = { base.tag_score, base.tempfail_score,
		base.reject_score };
	struct ruleset *real = load_rules(f, rules_text,
	    write_file(f, "set.cf", sets[k]), &over);
	unsigned wrong = 0, seen = 0;
	struct shadow *s;

	tuned_thresholds_init(&none);
	tuned_thresholds_apply(&in_force, &f->settings);
	tuned_thresholds_apply(&over, &settings);
	s = load_shadow(f, sets[k], rs, candidate ? &untuned : NULL, NULL, NULL);
	for (unsigned bits = 0; s != NULL && bits < 1u << LETTERS; bits++)
		for (int spf = CHECK_NOT_RUN; spf <= CHECK_UNKNOWN; spf++) {
			struct verdict *v, *want;
			struct shadow_verdict got;
			char subject[LETTERS + 1];
			struct judge_input in;
			struct mail m;

			letters_of(bits, subject);
			mail_make(f, subject, (enum check_state)spf, &m);
			in = input_of(f, &f->settings, rs, &m);
			if (judge(&in, &v, NULL) != 0 ||
			    shadow_judge(s, &in, v, &got) != 0)
				abort();
			in = input_of(f, &settings, real, &m);
			if (judge(&in, &want, NULL) != 0)
				abort();
			seen++;
			if (same(&got, want) || wrong++ > 3)
				continue;
			printf("# \"%s\" spf %d: got %s %g..%g, want %s %g..%g\n",
			    subject, spf, action_name(got.action), got.score_low,
			    got.score_high, action_name(want->action),
			    want->score_low, want->score_high);
		}
	tap_ok(seen > 0 && wrong == 0, "set %zu as %s: as if in force, %u verdicts",
	    k, candidate ? "candidate" : "shadow", seen);
	shadow_free(s);
	ruleset_free(rs);
	ruleset_free(real);
	f->settings = base;
}

static void
test_pure(struct fixture *f)
{
	struct shadow *s = load_shadow(f, "score A 100\nscore B 100\n"
	    "reject_score 6\n", f->ruleset, NULL, NULL, NULL);
	struct shadow_verdict one, two;
	struct verdict *v, *again;
	struct judge_input in;
	struct mail m;

	mail_make(f, "abc", CHECK_DONE, &m);
	in = input_of(f, &f->settings, f->ruleset, &m);
	if (s == NULL || judge(&in, &v, NULL) != 0 ||
	    shadow_judge(s, &in, v, &one) != 0 ||
	    shadow_judge(s, &in, v, &two) != 0 ||
	    judge(&in, &again, NULL) != 0)
		abort();
	tap_ok(one.action == ACTION_REJECT && one.score == 201.5,
	    "a shadow that rejects");
	tap_ok(v->action == ACTION_TAG && v->score == again->score,
	    "does not touch the verdict");
	tap_ok(memcmp(&one, &two, sizeof(one)) == 0, "and is the same again");
	tap_ok(shadow_kind(s) == SHADOW_SCORES && shadow_score_count(s) == 2,
	    "a set of scores is known as one");
	shadow_free(s);
}

struct rules_row {
	const char *label, *text, *subject;
	double want_score, want_low, want_high;
	enum action want_action;
	const char *want_fault;
};

static const struct rules_row rules_rows[] = {
	{ "a new rule adds", "body X /hello/\nscore X 4\n", "a", 7, 7, 7, ACTION_TAG, NULL },
	{ "it may also hit nothing", "body X /good bye/\nscore X 4\n", "a", 3, 3, 3, ACTION_ACCEPT, NULL },
	{ "scores of running rules besides", "body X /hello/\nscore X 4\nscore A 1\n", "a", 5, 5, 5, ACTION_TAG, NULL },
	{ "a rule of the same name stands in", "header A Subject =~ /zzz/\nscore A 3\n", "ac", 1, 1, 1, ACTION_ACCEPT, NULL },
	{ "a sub-rule adds nothing", "body __X /hello/\nmeta Y __X\nscore Y 1.5\n", "c", 2.5, 2.5, 2.5, ACTION_ACCEPT, NULL },
	{ "a meta over running rules", "body __X /hello/\nmeta Y __X && A && !B\nscore Y 4\n", "a", 7, 7, 7, ACTION_TAG, NULL },
	{ "and what it does not see there", "body __X /hello/\nmeta Y __X && A && !B\nscore Y 4\n", "ab", 6, 6, 6, ACTION_TAG, NULL },
	{ "a score and a meta over the same rule", "score A 1\nmeta Y A\nscore Y 2\n", "a", 3, 3, 3, ACTION_ACCEPT, NULL },
	{ "over an open test: unknown too", "meta Y S\nscore Y 2\n", "?", 0, -3, 5, ACTION_ACCEPT, NULL },
	{ "thresholds of its own", "body X /hello/\nscore X 1\ntag_score 1\n", "", 1, 1, 1, ACTION_TAG, NULL },
	{ "steps are counted", "header X Subject =~ /^(?:q+)+$/\nscore X 1\n",
	    "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq!", 0, 0, 1, ACTION_ACCEPT, "shadow_steps were spent" },
};

static void
test_rules(struct fixture *f, const struct rules_row *row)
{
	int64_t steps = f->settings.shadow_steps;
	struct shadow_verdict got = { 0 };
	struct shadow *s;
	struct verdict *v;
	struct judge_input in;
	struct mail m;

	if (row->want_fault != NULL)
		f->settings.shadow_steps = 3000;
	s = load_shadow(f, row->text, f->ruleset, NULL, NULL, NULL);
	mail_make(f, row->subject, row->subject[0] == '?' ? CHECK_UNKNOWN :
		CHECK_DONE, &m);
	in = input_of(f, &f->settings, f->ruleset, &m);
	if (judge(&in, &v, NULL) != 0 ||
	    (s != NULL && shadow_judge(s, &in, v, &got) != 0))
		abort();
	f->settings.shadow_steps = steps;
	if (!tap_ok(s != NULL && shadow_kind(s) == SHADOW_RULES &&
		got.score == row->want_score && got.score_low == row->want_low &&
		got.score_high == row->want_high &&
		got.action == row->want_action &&
		(got.fault == NULL) == (row->want_fault == NULL) &&
		(got.fault == NULL || strcmp(got.fault, row->want_fault) == 0),
		"rules: %s", row->label))
		printf("# got %g (%g..%g) %s fault %s\n", got.score,
		    got.score_low, got.score_high, action_name(got.action),
		    got.fault != NULL ? got.fault : "none");
	shadow_free(s);
}

struct bad_row {
	const char *label, *text;
	bool candidate;
	size_t want_errors, want_warnings;
};

static const struct bad_row bad_rows[] = {
	{ "a rule in the candidate", "score A 1\nbody X /x/\n", true, 1, 0 },
	{ "a setting in the candidate", "trusted_networks 192.0.2.0/24\n", true, 1, 0 },
	{ "a file drawn into the candidate", "include /etc/passwd\n", true, 1, 0 },
	{ "a score that is no number", "score A none\n", true, 1, 0 },
	{ "thresholds in the wrong order", "tag_score 20\n", true, 1, 0 },
	{ "rules that are gone", "score GONE 1\nscore A 1\n", true, 0, 1 },
	{ "rules that are gone, beside", "score GONE 1\nscore A 1\n", false, 0, 1 },
	{ "a bad pattern", "body X /(/\n", false, 1, 0 },
	{ "an empty file", "", true, 0, 0 },
};

static void
test_bad(struct fixture *f, const struct bad_row *row)
{
	struct thresholds t = { 5, 8, 12 };
	size_t errors = 0, warnings = 0;
	struct shadow *s = load_shadow(f, row->text, f->ruleset,
	    row->candidate ? &t : NULL, &errors, &warnings);

	if (!tap_ok(errors == row->want_errors && warnings ==
		row->want_warnings && (s != NULL) == (errors == 0),
		"bad: %s", row->label))
		printf("# %zu errors, %zu warnings\n", errors, warnings);
	shadow_free(s);
}

/* The list: what is broken is left out and told, the others run. */
static void
test_list(struct fixture *f)
{
	const char *good = write_file(f, "good.cf", "score A 9\n"),
		   *bad = write_file(f, "bad.cf", "\n\nbogus\n"),
		   *candidate = write_file(f, "candidate.cf", "score B 9\n");
	const char *words[] = { "one", good, "two", bad, "one", good,
		"candidate", good };
	struct scoring_settings settings = f->settings;
	struct shadow_options o = { .settings = &settings,
		.ruleset = f->ruleset };
	struct thresholds untuned = { 5, 8, 12 };
	struct shadow_list list = { .count = 0 };
	struct verdict *v;
	struct judge_input in;
	struct mail m;
	struct diags diags;

	settings.shadow = (struct strings){ words, 8, 8 };
	diags_init(&diags, f->arena);
	if (shadow_list_load(&list, &o, candidate, &untuned, false, f->arena,
		&diags) != 0)
		abort();
	tap_ok(list.count == 2 && diags.errors == 0 && diags.warnings == 3 &&
	    list.fault_count == 3, "list: %zu run, %zu faults told", list.count,
	    list.fault_count);
	tap_ok(list.fault_count > 0 && strstr(list.faults[0], "bad.cf:3: ") !=
	    NULL, "list: with file and line");
	mail_make(f, "ab", CHECK_DONE, &m);
	in = input_of(f, &settings, f->ruleset, &m);
	if (judge(&in, &v, NULL) != 0 ||
	    shadow_list_judge(&list, SHADOW_SCORES, &in, v) != 0 ||
	    shadow_list_judge(&list, SHADOW_RULES, &in, v) != 0)
		abort();
	tap_ok(v->shadow_count == 2 && v->shadows[0].score == 12 &&
	    strcmp(v->shadows[1].name, "candidate") == 0,
	    "list: each is judged once");
	struct explain_input x = { m.message, &m.envelope, &m.evidence, v };
	json_t *json = explain_json(&x),
	       *first = json_array_get(json_object_get(json, "shadow"), 0);
	const char *action = json_string_value(json_object_get(first, "action"));

	tap_ok(action != NULL && strcmp(action, "tempfail") == 0 &&
	    json_real_value(json_object_get(first, "score")) == 12,
	    "list: and shown in the JSON of the verdict");
	json_decref(json);
	shadow_list_done(&list);
	list = (struct shadow_list){ .count = 0 };
	diags_init(&diags, f->arena);
	if (shadow_list_load(&list, &o, NULL, NULL, true, f->arena, &diags) != 0)
		abort();
	tap_ok(diags.errors == 2, "list: lint calls errors what they are");
	shadow_list_done(&list);
}

int
main(void)
{
	struct fixture f = { .arena = arena_new(1 << 30) };
	struct tuned_thresholds none;

	scratch_make();
	if (f.arena == NULL || scoring_settings_init(&f.settings, f.arena) != 0)
		abort();
	f.ruleset = load_rules(&f, rules_text, NULL, &none);
	for (size_t k = 0; k < SETS; k++) {
		test_equals_real(&f, k, false);
		test_equals_real(&f, k, true);
	}
	test_pure(&f);
	for (size_t i = 0; i < sizeof(rules_rows) / sizeof(rules_rows[0]); i++)
		test_rules(&f, &rules_rows[i]);
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++)
		test_bad(&f, &bad_rows[i]);
	test_list(&f);
	ruleset_free(f.ruleset);
	arena_free(f.arena);
	scratch_remove();
	return tap_done();
}
