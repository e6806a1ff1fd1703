/*
 * One run of a ruleset over one message.
 *
 * Order: rules whose named captures later rules use, then every other test
 * by type, then metas, each after its parts.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "scoring/rules/candidates.h"
#include "scoring/rules/internal.h"

const char run_why_limit[] = "match limit";
const char run_why_budget[] = "step budget";

void
scratch_free(struct run_scratch *s)
{
	hs_scratch_free(s->hs);
	matcher_free(s->matcher);
	free(s);
}

static struct run_scratch *
scratch_take(struct ruleset *rs)
{
	struct run_scratch *s;

	pthread_mutex_lock(&rs->scratch_lock);
	s = rs->scratch;
	if (s != NULL)
		rs->scratch = s->next;
	pthread_mutex_unlock(&rs->scratch_lock);
	if (s != NULL)
		return s;
	s = calloc(1, sizeof(*s));
	if (s != NULL && (s->matcher = matcher_new()) == NULL) {
		free(s);
		s = NULL;
	}
	return s;
}

static void
scratch_give(struct ruleset *rs, struct run_scratch *s)
{
	pthread_mutex_lock(&rs->scratch_lock);
	s->next = rs->scratch;
	rs->scratch = s;
	pthread_mutex_unlock(&rs->scratch_lock);
}

/* A setting of 0 or below would make every rule unknown */
static uint64_t
positive(int64_t v, uint64_t otherwise)
{
	return v > 0 ? (uint64_t)v : otherwise;
}

int
context_init(struct eval_context *c, const struct ruleset *rs,
    const struct rule_input *in)
{
	size_t n = rs->rule_count;

	*c = (struct eval_context){ .rs = rs, .in = in };
	c->headers = ARENA_ARRAY(in->arena, rs->slot_count, struct header_value);
	c->results = ARENA_ARRAY(in->arena, n, struct rule_result);
	c->values = arena_bytes(in->arena, n * sizeof(*c->values));
	c->has_value = ARENA_ARRAY(in->arena, n / 64 + 1, uint64_t);
	c->dead = arena_alloc(in->arena, n);
	c->due = ARENA_ARRAY(in->arena, rs->order_count[RULE_META] / 64 + 1,
	    uint64_t);
	c->stack = ARENA_ARRAY(in->arena, rs->max_expr_depth,
	    struct expr_value);
	c->family_cache = ARENA_ARRAY(in->arena, rs->family_count, void *);
	if (c->headers == NULL || c->results == NULL || c->values == NULL ||
	    c->has_value == NULL || c->dead == NULL || c->due == NULL ||
	    c->stack == NULL || c->family_cache == NULL)
		return -ENOMEM;
	c->budget.message_steps = positive(in->settings->message_steps,
	    UINT64_MAX);
	c->budget.match_limit = positive(in->settings->match_limit, 1000000);
	if (c->budget.match_limit > UINT32_MAX)
		c->budget.match_limit = UINT32_MAX;
	c->budget.heap_limit_kb = (uint32_t)positive(
	    in->settings->heap_limit_kb < UINT32_MAX ?
		in->settings->heap_limit_kb :
		UINT32_MAX, 20000);
	memcpy(c->due, rs->always_due,
	    (rs->order_count[RULE_META] / 64 + 1) * sizeof(*c->due));
	return context_resume(c);
}

int
context_resume(struct eval_context *c)
{
	/* the scratch is the one thing of a ruleset that runs write to */
	if (c->scratch == NULL)
		c->scratch = scratch_take((struct ruleset *)(uintptr_t)c->rs);
	return c->scratch != NULL ? 0 : -ENOMEM;
}

void
context_done(struct eval_context *c)
{
	if (c->scratch != NULL)
		scratch_give((struct ruleset *)(uintptr_t)c->rs, c->scratch);
	c->scratch = NULL;
}

static unsigned
to_count(double v)
{
	/* a meta may be a fraction or negative and is a hit all the same */
	return v <= 0 ? v < 0 : v < 1 ? 1 : v > 1e9 ? 1000000000 : (unsigned)v;
}

static void
set_value(struct eval_context *c, const struct rule_def *d, struct expr_value v)
{
	c->values[d->index] = v;
	c->has_value[d->index / 64] |= UINT64_C(1) << d->index % 64;
}

/* Only where a rule's count is or may be above 0 its value was set. */
static bool
has_value(const struct eval_context *c, uint32_t rule)
{
	return c->has_value[rule / 64] >> rule % 64 & 1;
}

static void
wake_users(struct eval_context *c, const struct rule_def *d)
{
	for (size_t i = 0; i < d->user_count; i++)
		/* in a loop of metas one stands before its part */
		if (d->users[i] >= c->due_from)
			c->due[d->users[i] / 64] |= UINT64_C(1)
			    << d->users[i] % 64;
}

void
run_hit(struct eval_context *c, const struct rule_def *d, double count,
    struct span matched)
{
	struct rule_result *r = &c->results[d->index];

	if (r->low == 0) {
		r->matched = matched;
		wake_users(c, d);
	}
	set_value(c, d, expr_exact(count));
	r->low = r->high = to_count(count);
}

uint64_t
run_clock(const struct eval_context *c)
{
	struct timespec t;

	if (c->in->nanoseconds == NULL && c->in->phases == NULL)
		return 0;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void
run_clock_add(struct eval_context *c, const struct rule_def *d, uint64_t since)
{
	if (c->in->nanoseconds != NULL)
		c->in->nanoseconds[d->index] += run_clock(c) - since;
}

/* The end of a phase; returns the beginning of the next. */
static uint64_t
end_phase(struct eval_context *c, enum rule_phase phase, uint64_t since)
{
	uint64_t now = run_clock(c);

	if (c->in->phases != NULL)
		c->in->phases[phase] += now - since;
	return now;
}

/* Whatever was counted before the end came is certain. */
void
run_unknown(struct eval_context *c, const struct rule_def *d, const char *why,
    unsigned at_most)
{
	struct rule_result *r = &c->results[d->index];

	if (r->low >= at_most)
		return;
	r->high = at_most;
	r->why = why;
	wake_users(c, d);
	set_value(c, d, expr_range(r->low, at_most));
}

static void
run_not_run(struct eval_context *c, const struct rule_def *d, const char *why)
{
	c->results[d->index].not_run = true;
	c->results[d->index].why = why;
}

/* Named groups of a hit become tags for later rules (%{NAME}). */
struct capture {
	struct eval_context *c;
	const struct span *groups;
};

static void
take_capture(void *context, const char *name, unsigned group)
{
	struct capture *x = context;
	struct eval_context *c = x->c;
	struct run_tag *t;
	struct span *values;

	if (group >= PATTERN_GROUPS || x->groups[group].ptr == NULL ||
	    x->groups[group].len == 0 || name[0] < 'A' || name[0] > 'Z')
		return;
	for (t = c->tags; t != NULL && !span_is(t->name, name); t = t->next)
		;
	if (t == NULL) {
		t = ARENA_NEW(c->in->arena, struct run_tag);
		if (t == NULL) {
			c->oom = true;
			return;
		}
		t->name = span_cstr(name);
		t->next = c->tags;
		c->tags = t;
	}
	for (size_t i = 0; i < t->count; i++)
		if (span_eq(t->values[i], x->groups[group]))
			return;
	values = ARENA_ARRAY(c->in->arena, t->count + 1, struct span);
	if (values == NULL) {
		c->oom = true;
		return;
	}
	if (t->count != 0)
		memcpy(values, t->values, t->count * sizeof(*values));
	values[t->count++] = x->groups[group];
	t->values = values;
}

bool
run_pattern(struct eval_context *c, const struct rule_def *d,
    struct span subject)
{
	struct rule_result *r = &c->results[d->index];
	struct span groups[PATTERN_GROUPS];
	size_t from = 0, want = d->has_captures ? PATTERN_GROUPS : 1;
	bool empty = false;

	while (r->low < d->pub.max_hits) {
		enum pattern_result m = pattern_find(d->pattern,
		    c->scratch->matcher, &c->budget, subject, from, empty,
		    groups, want);

		if (m == PATTERN_MISS)
			return true;
		if (m == PATTERN_NOMEM) {
			c->oom = true;
			return false;
		}
		if (m != PATTERN_HIT) {
			run_unknown(c, d, m == PATTERN_LIMIT ? run_why_limit :
							       run_why_budget,
			    d->pub.max_hits);
			return false;
		}
		run_hit(c, d, r->low + 1, groups[0]);
		if (d->has_captures) {
			struct capture x = { c, groups };

			pattern_names(d->pattern, take_capture, &x);
		}
		empty = groups[0].len == 0;
		from = (size_t)(groups[0].ptr - (subject.ptr != NULL ?
				subject.ptr : groups[0].ptr)) + groups[0].len;
	}
	return false;
}

/* The values of a tag as alternatives, each taken literally */
static bool
add_tag(struct eval_context *c, struct span name, struct buf *out)
{
	const struct run_tag *t = c->tags;

	while (t != NULL && !span_eq(t->name, name))
		t = t->next;
	if (t == NULL || t->count == 0)
		return false;
	buf_add_str(out, "(?:");
	for (size_t i = 0; i < t->count; i++) {
		if (i > 0)
			buf_add_char(out, '|');
		for (size_t k = 0; k < t->values[i].len; k++) {
			unsigned char x = (unsigned char)t->values[i].ptr[k];

			if ((x >= '0' && x <= '9') || (x >= 'a' && x <= 'z') ||
			    (x >= 'A' && x <= 'Z') || x == '_')
				buf_add_char(out, (char)x);
			else
				buf_printf(out, "\\x%02x", x);
		}
	}
	buf_add_char(out, ')');
	return true;
}

struct pattern *
run_fill_templates(struct eval_context *c, const struct rule_def *d)
{
	struct pattern *p = NULL;
	struct span s = d->perl;
	bool all = true;
	struct buf b;
	int r;

	buf_init(&b, 256 * 1024);
	for (size_t i = 0; i < s.len && all; i++) {
		size_t n = i == 0 || s.ptr[i - 1] != '\\' ?
		    template_length(span_from(s, i)) : 0;

		if (n == 0)
			buf_add_char(&b, s.ptr[i]);
		else {
			all = add_tag(c, span_of(s.ptr + i + 2, n - 3), &b);
			i += n - 1;
		}
	}
	if (all && !b.failed) {
		r = pattern_new_alone(c->rs->patterns, buf_span(&b), &p);
		if (r == -ENOMEM)
			c->oom = true;
	}
	buf_done(&b);
	return p;
}

static void
run_eval_rule(struct eval_context *c, const struct rule_def *d)
{
	struct eval_result e = { .offset = NO_OFFSET };
	struct rule_result *r = &c->results[d->index];
	int set = c->in->score_set;

	/* what SpamAssassin leaves out in these score sets */
	if ((d->pub.tflags & RULE_NET) && !(set & 1)) {
		run_not_run(c, d, "offline");
		return;
	}
	if ((d->pub.tflags & RULE_LEARN) && !(set & 2)) {
		run_not_run(c, d, "no learned model");
		return;
	}
	if (c->budget.steps >= c->budget.message_steps) {
		run_unknown(c, d, run_why_budget, d->pub.max_hits);
		return;
	}
	c->budget.steps++;
	c->current_family = d->family_index;
	if (d->call->function->run(c, d->call, &e) != 0) {
		c->oom = true;
		return;
	}
	r->target = e.target;
	if (e.state == EVAL_NOT_RUN)
		run_not_run(c, d, e.why);
	else if (e.state == EVAL_UNKNOWN)
		run_unknown(c, d, e.why, d->pub.max_hits);
	else if (e.count > 0) {
		run_hit(c, d, e.count, e.matched);
		r->offset = e.offset;
	}
}

struct run_meta {
	struct eval_context *c;
	const struct rule_def *d;
};

static struct expr_value
part_value(void *context, uint32_t index)
{
	const struct run_meta *x = context;
	uint32_t part = x->d->parts[index];

	if (part == PART_LOCAL_TESTS_ONLY)
		return expr_exact((x->c->in->score_set & 1) == 0);
	return has_value(x->c, part) ? x->c->values[part] : expr_exact(0);
}

/* The first reason among the parts */
static const char *
unknown_why(const struct eval_context *c, const struct rule_def *d)
{
	for (size_t i = 0; i < d->part_count; i++) {
		const struct rule_result *r;

		if (d->parts[i] == PART_LOCAL_TESTS_ONLY)
			continue;
		r = &c->results[d->parts[i]];
		if (r->why != NULL && !r->not_run && r->low != r->high)
			return r->why;
	}
	return "unknown parts";
}

/* A reader wants to see what in the mail made a meta true: the text that its
 * first part with one matched. Parts that are metas have theirs already. */
const struct rule_def *
meta_shown_part(const struct ruleset *rs, const struct rule_result *results,
    const struct rule_def *d)
{
	for (size_t i = 0; i < d->part_count; i++)
		if (d->parts[i] != PART_LOCAL_TESTS_ONLY &&
		    results[d->parts[i]].low > 0 &&
		    results[d->parts[i]].matched.len > 0)
			return rs->rules[d->parts[i]];
	return NULL;
}

static void
meta_evidence(const struct eval_context *c, const struct rule_def *d,
    struct rule_result *r)
{
	const struct rule_def *part = meta_shown_part(c->rs, c->results, d);

	if (part == NULL)
		return;
	r->matched = c->results[part->index].matched;
	r->target = c->results[part->index].target != NULL ?
	    c->results[part->index].target :
	    part->pub.target;
}

static void
run_meta_rule(struct eval_context *c, const struct rule_def *d)
{
	struct run_meta x = { c, d };
	bool enabled = d->enabled[c->in->score_set & 3];
	struct rule_result *r = &c->results[d->index];
	struct expr_value v;
	uint64_t zero = 0; /* parts that are, as in d->needed */

	/* SpamAssassin evaluates a meta when all its parts are ready. One
	 * whose score is 0 becomes ready only by being false. */
	for (size_t i = 0; i < d->part_count; i++) {
		if (d->parts[i] == PART_LOCAL_TESTS_ONLY)
			continue;
		if (c->dead[d->parts[i]]) {
			c->dead[d->index] = true;
			wake_users(c, d);
			return;
		}
		if (i < 64 && !has_value(c, d->parts[i]))
			zero |= UINT64_C(1) << i;
	}
	c->budget.steps++;
	if ((zero & d->needed) != 0)
		return;
	v = expr_eval(&d->expr, c->stack, part_value, &x);
	if (!enabled) {
		c->dead[d->index] = v.may_be_true && !v.may_be_false;
		if (c->dead[d->index])
			wake_users(c, d);
		return;
	}
	if (!v.may_be_true)
		return;
	wake_users(c, d);
	set_value(c, d, v);
	r->low = v.may_be_false ? 0 : to_count(v.low);
	if (!v.may_be_false && r->low == 0)
		r->low = 1;
	r->high = to_count(v.high);
	if (r->high < r->low || (r->high == 0 && v.may_be_true))
		r->high = r->low > 0 ? r->low : 1;
	if (r->low != r->high)
		r->why = unknown_why(c, d);
	if (r->low > 0)
		meta_evidence(c, d, r);
}

static void
run_metas(struct eval_context *c)
{
	const struct ruleset *rs = c->rs;

	for (size_t i = 0; i <= rs->order_count[RULE_META] / 64; i++)
		while (c->due[i] != 0 && !c->oom) {
			size_t at = i * 64 + (size_t)__builtin_ctzll(c->due[i]);

			c->due[i] &= c->due[i] - 1;
			c->due_from = at + 1;
			run_meta_rule(c, rs->rules[rs->order[RULE_META][at]]);
		}
}

void
run_rule(struct eval_context *c, const struct rule_def *d)
{
	uint64_t since;

	if (!d->enabled[c->in->score_set & 3] || d->failed)
		return;
	since = c->in->nanoseconds != NULL ? run_clock(c) : 0;
	switch (d->kind) {
	case RULE_HEADER:
		run_header_rule(c, d);
		break;
	case RULE_EVAL:
		run_eval_rule(c, d);
		break;
	case RULE_MIMEHEADER:
		run_mime_rule(c, d);
		break;
	default:
		run_text_rule(c, d);
		break;
	}
	run_clock_add(c, d, since);
}

void
run_captures(struct eval_context *c)
{
	for (size_t i = 0; i < c->rs->capture_count && !c->oom; i++)
		run_rule(c, c->rs->rules[c->rs->capture_rules[i]]);
}

static void
run_kind(struct eval_context *c, enum rule_kind kind)
{
	for (size_t i = 0; i < c->rs->order_count[kind] && !c->oom; i++)
		run_rule(c, c->rs->rules[c->rs->order[kind][i]]);
}

/* What the other set found, for the metas of this one */
static void
run_known(struct eval_context *c)
{
	const struct ruleset *rs = c->rs;

	for (size_t i = 0; c->in->known != NULL &&
	     i < rs->order_count[RULE_KNOWN]; i++) {
		const struct rule_def *d = rs->rules[rs->order[RULE_KNOWN][i]];
		const struct rule_result *k = &c->in->known[d->known];

		if (k->low > 0)
			run_hit(c, d, k->low, k->matched);
		else if (k->high > 0)
			run_unknown(c, d, k->why, k->high);
	}
}

int
ruleset_run(const struct ruleset *rs, const struct rule_input *in,
    struct rule_run *ret_run)
{
	struct eval_context c;
	int r = context_init(&c, rs, in);

	uint64_t t;

	if (r != 0) {
		context_done(&c);
		return r;
	}
	t = run_clock(&c);
	run_known(&c);
	run_captures(&c);
	run_header_rules(&c);
	t = end_phase(&c, PHASE_HEADER, t);
	run_text_rules(&c, RULE_BODY);
	t = end_phase(&c, PHASE_BODY, t);
	run_text_rules(&c, RULE_URI);
	t = end_phase(&c, PHASE_URI, t);
	run_text_rules(&c, RULE_RAWBODY);
	t = end_phase(&c, PHASE_RAWBODY, t);
	run_text_rules(&c, RULE_FULL);
	t = end_phase(&c, PHASE_FULL, t);
	run_kind(&c, RULE_MIMEHEADER);
	t = end_phase(&c, PHASE_MIMEHEADER, t);
	run_kind(&c, RULE_EVAL);
	t = end_phase(&c, PHASE_EVAL, t);
	run_metas(&c);
	end_phase(&c, PHASE_META, t);
	context_done(&c);
	if (c.oom)
		return -ENOMEM;
	*ret_run = (struct rule_run){ c.results, c.budget.steps,
		c.budget.steps >= c.budget.message_steps };
	return 0;
}
