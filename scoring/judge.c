#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "scoring/decide.h"
#include "scoring/judge.h"

/* One thing that adds points, for the decision: hits and terms alike */
struct part {
	const char *name;
	double score;
};

static int
part_cmp_high(const void *pa, const void *pb)
{
	const struct part *a = pa, *b = pb;

	if (a->score != b->score)
		return a->score < b->score ? 1 : -1;
	return strcmp(a->name, b->name);
}

static double
largest_of(const struct part *parts, size_t count)
{
	double m = 0;

	for (size_t i = 0; i < count; i++)
		m = fmax(m, parts[i].score);
	return m;
}

/* Takes parts away, the strongest in one direction first, until the action
 * is another. parts are sorted by score, highest first. Taking the largest
 * lowers both the sum and what is left without its largest the most, so no
 * smaller set does it. */
static int
flip_find(const struct deciding *d, const struct part *parts, size_t count,
    double low, enum action action, bool lowering, struct arena *a,
    struct flip *ret_flip)
{
	struct deciding without = *d;
	const char *reason;
	double sum = low;

	*ret_flip = (struct flip){ 0 };
	/* a hit that may reject by itself is the largest, so it goes first */
	if (lowering)
		without.single_rejects = false;
	for (size_t i = 0; i < count; i++) {
		const struct part *p = &parts[lowering ? i : count - 1 - i];
		enum action now;

		if (lowering ? p->score <= 0 : p->score >= 0)
			return 0;
		sum = points_round(sum - p->score);
		now = decide(&without, sum, lowering ?
			largest_of(parts + i + 1, count - i - 1) :
			largest_of(parts, count - i - 1), &reason);
		if (now == action)
			continue;
		ret_flip->rules = ARENA_ARRAY(a, i + 1, const char *);
		if (ret_flip->rules == NULL)
			return -ENOMEM;
		for (size_t k = 0; k <= i; k++)
			ret_flip->rules[k] =
			    parts[lowering ? k : count - 1 - k].name;
		ret_flip->count = i + 1;
		ret_flip->action = now;
		return 0;
	}
	return 0;
}

static int
hit_cmp(const void *pa, const void *pb)
{
	const struct hit *a = pa, *b = pb;

	if (fabs(a->score) != fabs(b->score))
		return fabs(a->score) < fabs(b->score) ? 1 : -1;
	return strcmp(a->rule, b->rule);
}

static void
open_add(struct verdict *v, const char *test, const char *why, bool unknown,
    double score, size_t index)
{
	v->open[v->open_count++] = (struct open_test){ test, why, unknown,
		unknown ? fmin(score, 0) : 0, unknown ? fmax(score, 0) : 0,
		index };
}

static void
open_add_check(struct verdict *v, const char *test, const struct check *c)
{
	/* a check that nobody made for this message has no reason either */
	if (c->state != CHECK_DONE && c->why != NULL)
		open_add(v, test, c->why, c->state == CHECK_UNKNOWN, 0,
		    NO_OFFSET);
}

/* What was not looked up. The points that hang on it are with the rules. */
static void
open_add_evidence(struct verdict *v, const struct evidence *e)
{
	open_add_check(v, "dns", &e->dns);
	open_add_check(v, "spf", &e->spf_mailfrom.check);
	open_add_check(v, "spf-helo", &e->spf_helo.check);
	for (size_t i = 0; i < e->dkim_count; i++)
		open_add_check(v, "dkim", &e->dkim[i].check);
	open_add_check(v, "iprev", &e->iprev.check);
	open_add_check(v, "dmarc", &e->dmarc.check);
	open_add_check(v, "arc", &e->arc.check);
	open_add_check(v, "helo", &e->helo.check);
	open_add_check(v, "sender-domain", &e->sender_domain.check);
	if (e->store.state != CHECK_DONE && e->store.why != NULL)
		open_add(v, "reputation", e->store.why, false, 0,
		    NO_OFFSET);
}

static int
learned_add(const struct judge_input *in, const struct model_prediction *p,
    struct verdict *v)
{
	double max = in->settings->learned_max, points;
	struct buf text;
	char *copy;

	if (!p->active) {
		open_add(v, "LEARNED", p->why, false, 0, NO_OFFSET);
		return 0;
	}
	points = points_round(fmax(-max, fmin(max, p->log_odds)));
	buf_init(&text, 4096);
	for (size_t i = 0; i < p->feature_count; i++)
		/* a line each; words of mail hold no line end */
		buf_printf(&text, "%s%+.2f %s", i > 0 ? "\n" : "",
		    p->features[i].share, p->features[i].text);
	copy = arena_memdup(in->arena, text.ptr, text.len);
	if (copy == NULL) {
		buf_done(&text);
		return -ENOMEM;
	}
	v->hits[v->hit_count++] = (struct hit){ .rule = "LEARNED",
		.score = points, .count = 1, .type = "learned", .target = "model",
		.matched = span_of(copy, text.len), .offset = NO_OFFSET,
		.describe = "What was learned says about this message",
		.index = NO_OFFSET };
	buf_done(&text);
	return 0;
}

/* What a reader wants to see of a meta: each part that is true. A part that
 * must not be says nothing. */
static int
parts_add(const struct judge_input *in, const struct rule_run *run,
    struct hit *h)
{
	enum { MAX_PARTS = 32 };
	size_t count;
	const uint32_t *indices = ruleset_parts(in->ruleset, h->index, &count);
	struct hit_part *parts;

	if (count == 0)
		return 0;
	parts = ARENA_ARRAY(in->arena, MAX_PARTS, struct hit_part);
	if (parts == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count && h->part_count < MAX_PARTS; i++) {
		const struct rule *rule;
		const struct rule_result *r;

		if (indices[i] >= ruleset_count(in->ruleset) ||
		    run->results[indices[i]].low == 0)
			continue;
		rule = ruleset_rule(in->ruleset, indices[i]);
		r = &run->results[indices[i]];
		parts[h->part_count++] = (struct hit_part){ rule->name,
			r->target != NULL ? r->target : rule->target, r->low,
			r->matched, r->matched.len > 0 ?
			    ruleset_offset(in->ruleset, in->message, run,
				indices[i]) :
			    NO_OFFSET };
	}
	h->parts = parts;
	return 0;
}

static int
rules_add(const struct judge_input *in, const struct rule_run *run,
    int score_set, struct verdict *v, bool *ret_single)
{
	for (size_t i = 0; i < ruleset_count(in->ruleset); i++) {
		const struct rule *rule = ruleset_rule(in->ruleset, i);
		const struct rule_result *r = &run->results[i];
		double score = points_round(rule->scores[score_set]);

		/* what was tuned to 0 is shown, so that it can be tuned again */
		if (rule->sub_rule ||
		    (score == 0 && rule->base_scores[score_set] == 0))
			continue;
		if (r->low > 0) {
			v->hits[v->hit_count++] = (struct hit){
				.rule = rule->name,
				.score = score,
				.count = r->low,
				.type = rule->type,
				.target = r->target != NULL ? r->target : rule->target,
				.matched = r->matched,
				.offset = ruleset_offset(in->ruleset,
				    in->message, run, i),
				.file = rule->file,
				.line = rule->line,
				.describe = rule->describe,
				.index = i,
			};
			if (parts_add(in, run, &v->hits[v->hit_count - 1]) != 0)
				return -ENOMEM;
			/* GTUBE and the administrator's own blocklists */
			if ((rule->tflags & (RULE_REJECT | RULE_USERCONF)) != 0 &&
			    score >= in->settings->reject_score)
				*ret_single = true;
		} else if (r->high > 0)
			open_add(v, rule->name, r->why != NULL ? r->why :
				"depends on an unknown test", true, score, i);
		else if (r->not_run)
			open_add(v, rule->name, r->why != NULL ? r->why :
				"not run", false, score, i);
	}
	return 0;
}

static void
sum_up(struct verdict *v)
{
	double sum = 0, low = 0, high = 0;

	for (size_t i = 0; i < v->hit_count; i++)
		sum += v->hits[i].score;
	for (size_t i = 0; i < v->reputation_count; i++)
		sum += v->reputation[i].score;
	for (size_t i = 0; i < v->open_count; i++) {
		low += v->open[i].low;
		high += v->open[i].high;
	}
	v->score = points_round(sum);
	v->score_low = points_round(sum + low);
	v->score_high = points_round(sum + high);
}

static int
act(const struct judge_input *in, bool single, struct verdict *v)
{
	size_t count = v->hit_count + v->reputation_count;
	struct part *parts = ARENA_ARRAY(in->arena, count, struct part);
	struct deciding d;
	struct deciding would;
	const char *reason;
	struct flip flip;

	v->flips = ARENA_ARRAY(in->arena, 2, struct flip);
	if (parts == NULL || v->flips == NULL)
		return -ENOMEM;
	deciding_init(&d, in->settings, in->evidence, in->envelope);
	d.single_rejects = single;
	would = d;
	for (size_t i = 0; i < v->hit_count; i++)
		parts[i] = (struct part){ v->hits[i].rule, v->hits[i].score };
	for (size_t i = 0; i < v->reputation_count; i++)
		parts[v->hit_count + i] = (struct part){
			v->reputation[i].identity, v->reputation[i].score };
	qsort(parts, count, sizeof(*parts), part_cmp_high);
	v->action = decide(&d, v->score_low, largest_of(parts, count),
	    &v->action_reason);
	would.exempt = false;
	v->would_action = decide(&would, v->score_low, largest_of(parts, count),
	    &reason);
	for (int lowering = 1; lowering >= 0; lowering--) {
		if (flip_find(&d, parts, count, v->score_low, v->action,
			lowering, in->arena, &flip) != 0)
			return -ENOMEM;
		if (flip.count != 0)
			v->flips[v->flip_count++] = flip;
	}
	return 0;
}

struct rule_input
judge_rule_input(const struct judge_input *in, double learned)
{
	return (struct rule_input){
		.settings = in->settings,
		.message = in->message,
		.envelope = in->envelope,
		.relays = in->relays,
		.evidence = in->evidence,
		.arena = in->arena,
		.score_set = (in->evidence->dns.state != CHECK_NOT_RUN ? 1 : 0) +
		    (learned >= 0 ? 2 : 0),
		.learned = learned,
	};
}

int
judge(const struct judge_input *in, struct verdict **ret_verdict,
    struct error *err)
{
	enum { OTHER_OPEN = 16 }; /* the checks of open_add_evidence, LEARNED */
	size_t rules = ruleset_count(in->ruleset);
	struct verdict *v = ARENA_NEW(in->arena, struct verdict);
	struct model_prediction prediction = { .active = false };
	struct rule_input rule_input;
	struct rule_run run;
	bool single = false;

	if (v == NULL)
		goto no_memory;
	v->hits = ARENA_ARRAY(in->arena, rules + 1, struct hit);
	v->open = ARENA_ARRAY(in->arena, rules + in->evidence->dkim_count +
		OTHER_OPEN, struct open_test);
	if (v->hits == NULL || v->open == NULL)
		goto no_memory;
	if (in->model != NULL && model_predict(in->model,
		&(struct sample_source){ .message = in->message,
		    .delivered = in->envelope->source != ENVELOPE_SMTP },
		5, in->arena, &prediction) != 0)
		goto no_memory;
	rule_input = judge_rule_input(in, prediction.active ?
	    1 / (1 + exp(-prediction.log_odds)) : -1);
	if (ruleset_run(in->ruleset, &rule_input, &run) != 0 ||
	    rules_add(in, &run, rule_input.score_set, v, &single) != 0 ||
	    (in->model != NULL && learned_add(in, &prediction, v) != 0) ||
	    reputation_judge(in->settings, in->evidence, in->arena,
		&v->reputation, &v->reputation_count) != 0)
		goto no_memory;
	open_add_evidence(v, in->evidence);
	qsort(v->hits, v->hit_count, sizeof(*v->hits), hit_cmp);
	v->thresholds = (struct thresholds){ in->settings->tag_score,
		in->settings->tempfail_score, in->settings->reject_score };
	v->truncated = (in->message->faults & MESSAGE_TRUNCATED) != 0;
	v->steps = run.steps;
	v->score_set = rule_input.score_set;
	v->results = run.results;
	v->learned = rule_input.learned;
	sum_up(v);
	if (act(in, single, v) != 0)
		goto no_memory;
	*ret_verdict = v;
	return 0;

no_memory:
	return error_set(err, -ENOMEM, "out of memory while judging");
}
