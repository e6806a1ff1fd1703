#include <errno.h>
#include <math.h>
#include <string.h>

#include "scoring/autolearn.h"

/* SpamAssassin's: points that header and body must each give to spam, and how
 * firmly the model must disagree to be heard */
static const double PART_POINTS = 3, OBJECTION = 1;
/* The rules without the model have other scores. So far from a threshold
 * they are not asked again. */
static const double SLACK = 6;

static bool
is_one_of(const char *type, const char *const *types)
{
	for (; *types != NULL; types++)
		if (strcmp(type, *types) == 0)
			return true;
	return false;
}

/* low and high: what open tests could take or add */
static void
points_add(const struct judge_input *in, const struct rule_run *run,
    int score_set, struct autolearn *a, double *low, double *high)
{
	static const char *const body[] = { "body", "rawbody", "uri", "full",
		"mimeheader", NULL };
	static const char *const header[] = { "header", NULL };

	for (size_t i = 0; i < ruleset_count(in->ruleset); i++) {
		const struct rule *rule = ruleset_rule(in->ruleset, i);
		const struct rule_result *r = &run->results[i];
		double score = rule->scores[score_set];

		if (rule->sub_rule || score == 0 || (rule->tflags &
		    (RULE_NOAUTOLEARN | RULE_LEARN | RULE_USERCONF)) != 0)
			continue;
		if (r->low == 0) {
			if (r->high > 0) {
				*low += fmin(score, 0);
				*high += fmax(score, 0);
			}
			continue;
		}
		a->score += score;
		/* metas and evals may have looked at both */
		if (!is_one_of(rule->type, body))
			a->header += score;
		if (!is_one_of(rule->type, header))
			a->body += score;
	}
}

int
autolearn_judge(const struct judge_input *in, const struct verdict *v,
    struct autolearn *ret_autolearn)
{
	const struct scoring_settings *s = in->settings;
	struct autolearn a = { .class = LABEL_NONE };
	struct rule_input rules = judge_rule_input(in, -1);
	double learned, low = 0, high = 0;
	double own = v->score - verdict_opinions(v, &learned);
	struct rule_run run;

	*ret_autolearn = a;
	if (!s->auto_learn)
		ret_autolearn->why = "auto_learn is off";
	else if (v->truncated)
		ret_autolearn->why = "only a part of it was read";
	else if (own > s->auto_learn_ham + SLACK &&
	    own < s->auto_learn_spam - SLACK)
		ret_autolearn->why = "neither ham nor spam enough";
	if (ret_autolearn->why != NULL)
		return 0;
	if (ruleset_run(in->ruleset, &rules, &run) != 0)
		return -ENOMEM;
	points_add(in, &run, rules.score_set, &a, &low, &high);
	if (run.budget_spent)
		a.why = "the rules did not finish";
	else if (a.score + high < s->auto_learn_ham)
		a.class = LABEL_HAM;
	else if (a.score + low < s->auto_learn_spam)
		a.why = "neither ham nor spam enough";
	else if (a.header < PART_POINTS || a.body < PART_POINTS)
		a.why = "not enough points from header or from body";
	else
		a.class = LABEL_SPAM;
	if ((a.class == LABEL_HAM && learned > OBJECTION) ||
	    (a.class == LABEL_SPAM && learned < -OBJECTION)) {
		a.class = LABEL_NONE;
		a.why = "the model says otherwise";
	}
	*ret_autolearn = a;
	return 0;
}
