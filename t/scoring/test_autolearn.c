/*
 * What the filter may teach itself: points without model and reputation, from
 * header and body both, and never on the model's word. And how much: a stream of
 * spam made to pass the rules must not become good mail.
 */
#include <unistd.h>

#include "scoring/autolearn.h"
#include "scoring/feedback.h"
#include "t/scratch.h"
#include "t/tap.h"

#define T0 INT64_C(1700000000)

/* Letters of the Subject are header rules, words of the body body rules */
static const char rules_text[] =
    "header HA Subject =~ /a/\nscore HA 3\n"
    "header HB Subject =~ /b/\nscore HB 6\n"
    "header HG Subject =~ /g/\nscore HG -2\n"
    "header HN Subject =~ /n/\nscore HN 20\ntflags HN noautolearn\n"
    "header HW Subject =~ /w/\nscore HW -20\ntflags HW userconf nice\n"
    "header HZ Subject =~ /z/\nscore HZ 3 3 30 30\n"
    "body BA /pills/\nscore BA 6\n"
    "body BB /casino/\nscore BB 2\n"
    "full BAYES eval:check_bayes('0.5', '1.01')\ntflags BAYES learn\n"
    "score BAYES 0 0 9 9\n"
    "meta ON_BAYES BAYES\nscore ON_BAYES 9\n"
    "header S eval:check_for_spf_fail()\nscore S 3\n"
    "meta MA (HA && BA)\nscore MA 1\n";

static const struct row {
	const char *label, *subject, *body;
	enum check_state spf;
	double log_odds; /* the model's, 0: there is none */
	double reputation;
	enum label_class want;
} rows[] = {
	{ "nothing hits", "x", "y", CHECK_DONE, 0, 0, LABEL_NONE },
	{ "good", "g", "y", CHECK_DONE, 0, 0, LABEL_HAM },
	{ "good, an open test could say otherwise", "g", "y", CHECK_UNKNOWN, 0, 0, LABEL_NONE },
	{ "good, one of the tests was not to run", "g", "y", CHECK_NOT_RUN, 0, 0, LABEL_HAM },
	{ "spam: header and body", "ab", "pills casino", CHECK_DONE, 0, 0, LABEL_SPAM },
	{ "spam: the header alone", "abz", "x", CHECK_DONE, 0, 0, LABEL_NONE },
	{ "points enough, too few from the body", "abz", "casino", CHECK_DONE, 0, 0, LABEL_NONE },
	{ "a meta counts for both", "ab", "pills", CHECK_DONE, 0, 0, LABEL_SPAM },
	{ "noautolearn does not count", "n", "pills casino", CHECK_DONE, 0, 0, LABEL_NONE },
	{ "nor does what the user configured", "wx", "y", CHECK_DONE, 0, 0, LABEL_NONE },
	{ "reputation does not make spam", "a", "pills", CHECK_DONE, 0, 9, LABEL_NONE },
	{ "nor good mail", "x", "y", CHECK_DONE, 0, -9, LABEL_NONE },
	{ "the model does not make spam", "a", "pills", CHECK_DONE, 5, 0, LABEL_NONE },
	{ "nor by the scores that count with it", "z", "pills", CHECK_DONE, 5, 0, LABEL_NONE },
	{ "nor good mail", "x", "y", CHECK_DONE, -5, 0, LABEL_NONE },
	{ "it may object to spam", "ab", "pills casino", CHECK_DONE, -5, 0, LABEL_NONE },
	{ "and to good mail", "g", "y", CHECK_DONE, 5, 0, LABEL_NONE },
	{ "with its consent", "ab", "pills casino", CHECK_DONE, 5, 0, LABEL_SPAM },
};

static struct arena *arena;
static struct scoring_settings settings;
static struct ruleset *ruleset;
static struct error err;

static struct message *
parse(const char *subject, const char *body, int n)
{
	static const struct message_limits limits = { 1 << 20, 1000, 30, 500, 1000 };
	char *raw = arena_printf(arena, "Message-ID: <%d@x.example>\n"
	    "Subject: %s\n\n%s\n", n, subject, body);
	struct message *m;

	if (message_parse(arena, span_cstr(raw), strlen(raw), &limits, &m,
	    NULL) != 0)
		abort();
	return m;
}

static struct autolearn
decide_row(const struct row *row)
{
	struct evidence e = { .now = T0 };
	struct envelope env = { 0 };
	struct relays relays = { 0 };
	struct hit hit = { .rule = "LEARNED", .type = "learned",
		.score = row->log_odds };
	struct reputation_term term = { .identity = "ip:x",
		.score = row->reputation };
	struct autolearn a;
	struct verdict *v;

	e.spf_mailfrom.check = (struct check){ row->spf, "timeout" };
	e.spf_mailfrom.result = AUTH_NEUTRAL;
	e.dns.state = row->spf == CHECK_NOT_RUN ? CHECK_NOT_RUN : CHECK_DONE;
	struct judge_input in = { .settings = &settings, .ruleset = ruleset,
		.message = parse(row->subject, row->body, 1), .envelope = &env,
		.relays = &relays, .evidence = &e, .arena = arena };
	if (judge(&in, &v, NULL) != 0)
		abort();
	/* what a verdict with a model and a known sender would have more */
	v->hits[v->hit_count++] = hit;
	v->reputation = &term;
	v->reputation_count = 1;
	v->score += row->log_odds + row->reputation;
	if (autolearn_judge(&in, v, &a) != 0)
		abort();
	return a;
}

static void
test_decision(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct autolearn a = decide_row(&rows[i]);

		if (!tap_is_int(a.class, rows[i].want, rows[i].label))
			printf("# score %g header %g body %g: %s\n", a.score,
			    a.header, a.body, a.why != NULL ? a.why : "-");
	}
	settings.auto_learn = false;
	tap_is_int(decide_row(&rows[4]).class, LABEL_NONE, "off: nothing");
	settings.auto_learn = true;
}

static struct label_result
say(struct store *s, const char *subject, int n, enum label_class class)
{
	struct message *m = parse(subject, "some words", n);
	struct feedback_request r = { .raw = m->raw, .class = class,
		.user = "ann", .source = "test", .now = T0 };
	struct feedback_result result;

	if (feedback_learn(s, &r, &result, &err) != 0)
		tap_ok(false, "label: %s", err.text);
	return result.label;
}

static void
teach_itself(struct store *s, bool spam, int n, int64_t now)
{
	struct message *m = parse("good", "some words", n);
	struct sample_source source = { .message = m };
	struct lesson_auto l = { .spam = spam,
		.weight = settings.auto_learn_weight,
		.share = settings.auto_learn_share,
		.balance = settings.auto_learn_balance,
		.max_per_hour = settings.auto_learn_rate, .now = now };
	struct sample sample;

	feedback_message_identity(m, l.message);
	if (sample_make(&source, arena, &sample) != 0 ||
	    sample_pack(&sample, arena, &l.sample) != 0)
		abort();
	store_lesson_auto(s, &l);
}

struct seen {
	int ham, spam;
	double weight;
};

static int
count_one(void *context, const struct lesson *l)
{
	struct seen *seen = context;

	seen->ham += !l->spam;
	seen->spam += l->spam;
	seen->weight += l->weight;
	return 0;
}

static struct seen
count(struct store *s)
{
	struct seen seen = { 0 };

	store_flush(s, &err);
	store_lessons(s, 0, count_one, &seen, &err);
	return seen;
}

static void
test_bounds(struct store *s)
{
	struct learning *list;
	struct seen seen;
	size_t n;

	for (int i = 0; i < 100; i++)
		teach_itself(s, false, 1000 + i, T0);
	tap_is_int(count(s).ham, 0, "nothing before people have spoken");
	for (int i = 0; i < 40; i++)
		say(s, i % 2 ? "spam" : "good", i, i % 2 ? LABEL_SPAM : LABEL_HAM);
	/* the attack: a thousand spam messages that the rules find good */
	for (int i = 0; i < 1000; i++)
		teach_itself(s, false, 1000 + i, T0 + i * 600);
	seen = count(s);
	tap_is_int(seen.ham, 30, "half as many as people's, however many come");
	tap_ok(seen.weight < 42.01, "at a fifth of a person's weight each");
	settings.auto_learn_share = 100;
	for (int i = 0; i < 1000; i++)
		teach_itself(s, false, 3000 + i, T0 + 1000000 + i * 600);
	tap_is_int(count(s).ham, 60, "three of one class for one of the other");
	settings.auto_learn_balance = 100;
	for (int i = 0; i < 1000; i++)
		teach_itself(s, false, 5000 + i, T0 + 2000000);
	tap_is_int(count(s).ham, 120, "sixty in an hour");
	teach_itself(s, true, 1000, T0 + 9000000);
	tap_is_int(count(s).spam, 20, "a message that has a lesson: no other");
	seen = count(s);
	tap_ok(say(s, "good", 1000, LABEL_SPAM).changed, "a person says spam");
	tap_is_int(count(s).ham, seen.ham - 1, "what the filter said goes");
	tap_is_double(count(s).weight, seen.weight + 0.8,
	    "and a whole lesson takes its place");
	tap_ok(say(s, "good", 1001, LABEL_NONE).changed,
	    "what the filter taught itself can be forgotten");
	tap_is_int(count(s).ham, seen.ham - 2, "it is");
	tap_ok(!say(s, "good", 1001, LABEL_NONE).changed, "once");
	store_learning_list(s, arena, &list, &n, &err);
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].source, LABEL_AUTO) == 0)
			tap_is_int((long)list[i].learned, 100,
			    "the doctor knows how often");
}

int
main(void)
{
	struct ruleset_options options = { .text = SPAN_LIT(rules_text),
		.text_name = "test.cf" };
	struct store_options o = { .mode = STORE_WRITE };
	char path[100];
	struct diags diags;
	struct store *s;

	arena = arena_new(512 << 20);
	diags_init(&diags, arena);
	scoring_settings_init(&settings, arena);
	tap_ok(!settings.auto_learn, "off unless it is asked for");
	settings.auto_learn = true;
	if (ruleset_load(&options, &diags, &ruleset, &err) != 0) {
		printf("Bail out! %s\n", err.text);
		return 1;
	}
	test_decision();
	scratch_make();
	snprintf(path, sizeof(path), "%s/state.db", scratch_dir);
	o.path = path;
	if (store_open(&o, &s, &err) != 0)
		return 1;
	test_bounds(s);
	store_close(s);
	scratch_remove();
	ruleset_free(ruleset);
	arena_free(arena);
	return tap_done();
}
