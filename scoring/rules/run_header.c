/*
 * Header rules. Those that look at the same header run together: where it is
 * absent only few have anything to say, and where many rules look at it a
 * database names the candidates.
 */
#include "scoring/rules/internal.h"

void
run_header_rule(struct eval_context *c, const struct rule_def *d)
{
	const struct header_value *h = run_header(c, d->slot);
	struct pattern *own = NULL;
	struct rule_def filled;
	struct span subject;

	if (h == NULL)
		return;
	if (d->exists) {
		if (h->present)
			run_hit(c, d, 1, (struct span){ NULL, 0 });
		return;
	}
	if (d->has_templates) {
		filled = *d;
		filled.pattern = run_fill_templates(c, d);
		if (filled.pattern == NULL)
			return;
		d = &filled;
		own = filled.pattern;
	}
	subject = h->present ? h->joined :
	    d->if_unset.ptr != NULL ? d->if_unset : SPAN_LIT("");
	if (d->negated) {
		/* a hit is where the pattern finds nothing */
		enum pattern_result m = pattern_find(d->pattern,
		    c->scratch->matcher, &c->budget, subject, 0, false, NULL, 0);

		if (m == PATTERN_MISS)
			run_hit(c, d, 1, (struct span){ NULL, 0 });
		else if (m == PATTERN_NOMEM)
			c->oom = true;
		else if (m != PATTERN_HIT)
			run_unknown(c, d, m == PATTERN_LIMIT ? run_why_limit :
							       run_why_budget, 1);
	} else
		run_pattern(c, d, subject);
	pattern_free_alone(own);
}

static void
run_list(struct eval_context *c, const uint32_t *rules, size_t count)
{
	for (size_t i = 0; i < count && !c->oom; i++)
		run_rule(c, c->rs->rules[rules[i]]);
}

static void
on_candidate(void *context, uint32_t rule, uint64_t blocks)
{
	struct eval_context *c = context;

	(void)blocks;
	if (!c->oom)
		run_rule(c, c->rs->rules[rule]);
}

static void
run_group(struct eval_context *c, const struct header_group *g)
{
	const struct hs_target *t = c->rs->targets[HS_HEADER];
	const struct header_value *h = run_header(c, g->slot);
	struct hs_texts texts;

	if (h == NULL)
		return;
	if (!h->present)
		run_list(c, g->absent, g->absent_count);
	else if (t == NULL || g->piece == NO_INDEX)
		run_list(c, g->rules, g->count);
	else {
		texts = (struct hs_texts){ h->joined, &h->joined.len, 1 };
		c->budget.steps += 1 + h->joined.len / RUN_STEP_BYTES;
		if (hs_target_scan(t, g->piece, &c->scratch->hs, &texts,
			on_candidate, c) != 0)
			c->oom = true;
		run_list(c, g->alone, g->alone_count);
	}
}

void
run_header_rules(struct eval_context *c)
{
	for (size_t i = 0; i < c->rs->header_group_count && !c->oom; i++)
		run_group(c, &c->rs->header_groups[i]);
}
