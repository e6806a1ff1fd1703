/*
 * The whole fit (suspects, cross-validation, choice of pull and threshold)
 * on 10,000 messages and 1,500 rules: at most 10 s of CPU and 500 MB.
 */
#include <sys/resource.h>

#include "scoring/rules/ruleset.h"
#include "t/tap.h"
#include "tune/clean.h"
#include "tune/scores.h"

enum { MESSAGES = 10000, RULES = 1500 };

static uint64_t state = 9;

static double
uniform(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (double)(state >> 11) / 9007199254740992.0;
}

static struct ruleset *
rules_make(void)
{
	struct arena *a = arena_new(64 << 20);
	struct ruleset_options o = { .text_name = "bench" };
	struct ruleset *rs = NULL;
	struct diags diags;
	struct error err;
	struct buf text;

	buf_init(&text, 16 << 20);
	for (int i = 0; i < RULES; i++)
		buf_printf(&text, "header R%04d Subject =~ /x%d/\nscore R%04d %.1f\n",
		    i, i, i, 0.1 + (i * 7 % 29) / 10.0);
	diags_init(&diags, a);
	o.text = buf_span(&text);
	if (ruleset_load(&o, &diags, &rs, &err) != 0)
		fprintf(stderr, "%s\n", err.text);
	buf_done(&text);
	arena_free(a);
	return rs;
}

/* Rules hit as in real mail: few often, most seldom; half speak for spam,
 * some for ham, the rest for nothing. About 15 hits a message. */
static void
fill(struct tune_set *s)
{
	uint32_t hits[RULES];

	for (int i = 0; i < MESSAGES; i++) {
		struct tune_message m = { .name = "m", .spam = uniform() < 0.4,
			.time = 1700000000 + i * 600 };
		size_t n = 0;

		for (size_t b = 0; b < TUNE_IDENTITY; b++)
			m.identity[b] = (unsigned char)(256 * uniform());
		for (uint32_t j = 0; j < RULES; j++) {
			double often = 0.5 / (1 + j * 0.12), lean = j % 4 == 0 ? 1 :
			    j % 4 == 1 ? (m.spam ? 0.3 : 1.2) :
			    m.spam ? 1.4 : 0.15;

			if (uniform() < often * lean)
				hits[n++] = j;
		}
		if (tune_set_add(s, &m, hits, n) != 0)
			abort();
	}
	tune_set_order(s);
}

int
main(void)
{
	struct ruleset *rs = rules_make();
	struct clean_options co = { 0, 0 };
	struct scores_options o = { .ham_cost = 50, .tag = 5, .margin = 0.5,
		.min_hits = 5, .seed = 1 };
	struct scores_report report;
	struct scores_rule *rules;
	struct clean_report clean;
	struct rusage before, after;
	struct error err = { "" };
	struct tune_set s;
	double *scores, sec;

	if (rs == NULL || tune_set_init(&s, rs, 0) != 0)
		return 1;
	fill(&s);
	rules = calloc(s.rule_count, sizeof(*rules));
	scores = calloc(s.rule_count, sizeof(*scores));
	tap_is_int(clean_run(&s, &co, &clean), 0, "clean_run");
	getrusage(RUSAGE_SELF, &before);
	tap_is_int(scores_fit(&s, &o, scores, rules, &report, &err), 0,
	    "scores_fit");
	getrusage(RUSAGE_SELF, &after);
	sec = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
	    (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e6;
	tap_ok(sec <= 10, "%zu messages, %zu rules, %zu hits: %.2f s of CPU",
	    s.count, report.rules, s.hit_count, sec);
	tap_ok(after.ru_maxrss <= 500 * 1024, "%ld MB",
	    after.ru_maxrss / 1024);
	tap_ok(report.cv_after < report.cv_before, "cost %.4f becomes %.4f",
	    report.cv_before, report.cv_after);
	free(rules);
	free(scores);
	tune_set_done(&s);
	ruleset_free(rs);
	return tap_done();
}
