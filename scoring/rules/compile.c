/*
 * From collected lines to a ruleset: scores and flags are completed, metas
 * linked and put in an order in which every part stands before the whole.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "scoring/rules/internal.h"

void
compile_error(struct loader *l, struct rule_def *d, const char *text)
{
	d->failed = true;
	diag_add(l->diags, DIAG_ERROR, d->pub.file, d->pub.line, "%s: %s",
	    d->pub.name, text);
}

static void
foreign_add(struct ruleset *rs, const struct rule_def *d)
{
	struct ruleset_score *f = &rs->foreign[rs->foreign_count++];

	*f = (struct ruleset_score){ .name = d->pub.name,
		.file = d->pub.file, .line = d->pub.line };
	memcpy(f->scores, d->pub.scores, sizeof(f->scores));
}

/* Leaves only rules that were defined and are right; numbers them anew. */
static int
keep_defined(struct loader *l)
{
	struct ruleset *rs = l->rs;
	size_t n = 0;

	strmap_init(&rs->names, l->arena);
	rs->foreign = ARENA_ARRAY(l->arena, rs->rule_count,
	    struct ruleset_score);
	if (rs->foreign == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < rs->rule_count; i++) {
		struct rule_def *d = rs->rules[i];

		if (d->kind == RULE_NONE) {
			if (d->has_score)
				foreign_add(rs, d);
			continue;
		}
		if (d->kind == RULE_KNOWN) {
			if (d->has_score)
				foreign_add(rs, d);
			d->pub.sub_rule = true; /* its points are not this set's */
		}
		if (d->failed) {
			/* a meta over it need not be called wrong as well */
			if (strmap_set(&l->skipped, span_cstr(d->pub.name), 1) !=
			    0)
				return -ENOMEM;
			continue;
		}
		d->index = n;
		rs->rules[n] = d;
		if (strmap_set(&rs->names, span_cstr(d->pub.name), n) != 0)
			return -ENOMEM;
		n++;
	}
	rs->rule_count = n;
	return 0;
}

static void
complete_scores(struct rule_def *d)
{
	double by_default = d->pub.name[0] == 'T' && d->pub.name[1] == '_' ?
	    0.01 : 1;

	if (d->pub.tflags & RULE_NICE)
		by_default = -by_default;
	for (size_t i = 0; i < 4; i++) {
		if (!d->has_score)
			d->pub.scores[i] = by_default;
		if (!d->tuned)
			d->pub.base_scores[i] = d->pub.scores[i];
		else if (!d->base_has_score)
			d->pub.base_scores[i] = by_default;
		/* a score of 0 switches a rule off, a sub-rule's too; one that
		 * was tuned to 0 must still be seen, or it could never be tuned
		 * again */
		d->enabled[i] = d->pub.scores[i] != 0 ||
		    d->pub.base_scores[i] != 0;
		if (d->pub.sub_rule)
			d->pub.scores[i] = d->pub.base_scores[i] = 0;
	}
	if (!(d->pub.tflags & RULE_MULTIPLE))
		d->pub.max_hits = 1;
	else if (d->pub.max_hits == 0)
		d->pub.max_hits = MAX_HITS;
}

/* ---- metas */

struct meta_parse {
	struct loader *l;
	struct rule_def *d;
	struct strmap parts;
	size_t alloc;
};

static int
add_part(struct meta_parse *m, uint32_t rule, uint32_t *ret_index)
{
	struct rule_def *d = m->d;

	if (d->part_count == m->alloc) {
		size_t alloc = m->alloc == 0 ? 8 : m->alloc * 2;
		uint32_t *parts = ARENA_ARRAY(m->l->arena, alloc, uint32_t);

		if (parts == NULL)
			return -ENOMEM;
		if (d->part_count != 0)
			memcpy(parts, d->parts, d->part_count * sizeof(*parts));
		d->parts = parts;
		m->alloc = alloc;
	}
	*ret_index = (uint32_t)d->part_count;
	d->parts[d->part_count++] = rule;
	return 0;
}

static int
meta_name(void *context, struct span word, struct span *rest,
    uint32_t *ret_index, bool *ret_is_constant, double *ret_constant,
    struct error *err)
{
	struct meta_parse *m = context;
	size_t *rule, *known;
	int r;

	(void)rest;
	if (!rule_name_valid(word))
		return error_set(err, -EINVAL, "not a rule name: \"%.*s\"",
		    SPAN_ARG(word));
	known = strmap_find(&m->parts, word);
	if (known != NULL) {
		/* a missing one is named once */
		*ret_is_constant = *known == NO_INDEX;
		*ret_constant = 0;
		*ret_index = (uint32_t)*known;
		return 0;
	}
	if (span_is(word, "local_tests_only")) {
		r = add_part(m, PART_LOCAL_TESTS_ONLY, ret_index);
		return r != 0 ? r : strmap_set(&m->parts, word, *ret_index);
	}
	rule = strmap_find(&m->l->rs->names, word);
	if (rule == NULL) {
		*ret_is_constant = true;
		*ret_constant = 0;
		diag_add(m->l->diags,
		    strmap_find(&m->l->skipped, word) != NULL ? DIAG_NOTE :
								DIAG_WARNING,
		    m->d->pub.file, m->d->pub.line,
		    "%s: there is no rule \"%.*s\", it counts 0", m->d->pub.name,
		    SPAN_ARG(word));
		return strmap_set(&m->parts, word, NO_INDEX);
	}
	r = add_part(m, (uint32_t)*rule, ret_index);
	return r != 0 ? r : strmap_set(&m->parts, word, *ret_index);
}

static bool
glob_match(struct span glob, struct span name)
{
	size_t g = 0, n = 0, star = NO_INDEX, back = 0;

	while (n < name.len) {
		if (g < glob.len &&
		    (glob.ptr[g] == '?' || glob.ptr[g] == name.ptr[n])) {
			g++;
			n++;
		} else if (g < glob.len && glob.ptr[g] == '*') {
			star = g++;
			back = n;
		} else if (star != NO_INDEX) {
			g = star + 1;
			n = ++back;
		} else
			return false;
	}
	while (g < glob.len && glob.ptr[g] == '*')
		g++;
	return g == glob.len;
}

/* Puts the sum of the matching rules in place of rules_matching(GLOB). */
static int
expand_matching(struct loader *l, struct rule_def *d)
{
	static const char word[] = "rules_matching(";
	struct span s = d->meta_text, glob;
	const char *p;
	struct buf b;
	int r = 0;

	if (memmem(s.ptr, s.len, word, sizeof(word) - 1) == NULL)
		return 0;
	buf_init(&b, 4 * 1024 * 1024);
	while ((p = memmem(s.ptr, s.len, word, sizeof(word) - 1)) != NULL) {
		size_t at = (size_t)(p - s.ptr), end;
		bool any = false;

		buf_add(&b, s.ptr, at);
		s = span_from(s, at + sizeof(word) - 1);
		end = span_find(s, ')');
		glob = span_trim(span_of(s.ptr, end));
		s = span_from(s, end + 1);
		buf_add_char(&b, '(');
		for (size_t i = 0; i < l->rs->rule_count; i++) {
			const char *name = l->rs->rules[i]->pub.name;

			if (l->rs->rules[i] == d ||
			    !glob_match(glob, span_cstr(name)))
				continue;
			buf_printf(&b, "%s%s", any ? "+" : "", name);
			any = true;
		}
		buf_add_str(&b, any ? ")" : "0)");
	}
	buf_add_span(&b, s);
	d->meta_text = arena_span(l->arena, buf_span(&b));
	if (b.failed || d->meta_text.ptr == NULL)
		r = -ENOMEM;
	buf_done(&b);
	return r;
}

static int
parse_meta(struct loader *l, struct rule_def *d)
{
	struct meta_parse m = { .l = l, .d = d };
	struct error err = { "" };
	int r;

	strmap_init(&m.parts, l->arena);
	r = expand_matching(l, d);
	if (r == 0)
		r = expr_parse(l->arena, d->meta_text, meta_name, &m, &d->expr,
		    &err);
	if (r == -EINVAL) {
		d->expr = (struct expr){ NULL, 0, 1 };
		d->part_count = 0;
		compile_error(l, d, err.text);
		r = 0;
	}
	if (d->expr.depth > l->rs->max_expr_depth)
		l->rs->max_expr_depth = d->expr.depth;
	return r;
}

static struct expr_value
all_zero(void *context, uint32_t index)
{
	(void)context;
	(void)index;
	return expr_exact(0);
}

/* Parts without which the meta is 0: those that are joined by && and nothing
 * else. One mask a value of the stack */
static uint64_t
needed_parts(const struct expr *e, uint64_t *stack)
{
	size_t n = 0;

	for (size_t i = 0; i < e->count; i++) {
		const struct expr_step *s = &e->steps[i];

		switch (s->op) {
		case EXPR_NUMBER:
			stack[n++] = 0;
			break;
		case EXPR_NAME:
			stack[n++] = s->index < 64 ? UINT64_C(1) << s->index : 0;
			break;
		case EXPR_NOT:
		case EXPR_NEGATE:
			stack[n - 1] = 0;
			break;
		case EXPR_IF:
			n -= 2;
			stack[n - 1] = 0;
			break;
		case EXPR_AND:
			n--;
			stack[n - 1] |= stack[n];
			break;
		default:
			n--;
			stack[n - 1] = 0;
			break;
		}
	}
	return n > 0 ? stack[n - 1] : 0;
}

/* Most metas of a large set are false as long as none of their parts hits:
 * then a run need not look at them. */
static int
link_metas(struct loader *l)
{
	struct ruleset *rs = l->rs;
	const uint32_t *order = rs->order[RULE_META];
	size_t n = rs->order_count[RULE_META];
	struct expr_value *stack = ARENA_ARRAY(l->arena, rs->max_expr_depth,
	    struct expr_value);
	uint64_t *masks = ARENA_ARRAY(l->arena, rs->max_expr_depth, uint64_t);

	if (stack == NULL || masks == NULL)
		return -ENOMEM;
	rs->always_due = ARENA_ARRAY(l->arena, n / 64 + 1, uint64_t);
	if (rs->always_due == NULL)
		return -ENOMEM;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < n; i++) {
			struct rule_def *d = rs->rules[order[i]];
			bool always = false;

			d->needed = needed_parts(&d->expr, masks);
			for (size_t k = 0; k < d->part_count; k++) {
				struct rule_def *part;

				if (d->parts[k] == PART_LOCAL_TESTS_ONLY) {
					always = true;
					continue;
				}
				part = rs->rules[d->parts[k]];
				if (pass == 1)
					part->users[part->user_count] =
					    (uint32_t)i;
				part->user_count++;
			}
			if (pass == 0 &&
			    (always ||
				expr_eval(&d->expr, stack, all_zero, NULL)
				    .may_be_true))
				rs->always_due[i / 64] |= UINT64_C(1) << i % 64;
		}
		for (size_t i = 0; pass == 0 && i < rs->rule_count; i++) {
			struct rule_def *d = rs->rules[i];

			d->users = ARENA_ARRAY(l->arena, d->user_count,
			    uint32_t);
			if (d->users == NULL)
				return -ENOMEM;
			d->user_count = 0;
		}
	}
	return 0;
}

enum color { WHITE, GRAY, BLACK };

struct visit {
	uint32_t rule;
	size_t next_part;
};

/* Depth first without recursion: a chain of metas may be long. */
static int
order_metas(struct loader *l)
{
	struct ruleset *rs = l->rs;
	unsigned char *color = calloc(rs->rule_count + 1, 1);
	struct visit *stack = calloc(rs->rule_count + 1, sizeof(*stack));
	uint32_t *out = rs->order[RULE_META];
	size_t depth, n = 0;

	if (color == NULL || stack == NULL) {
		free(color);
		free(stack);
		return -ENOMEM;
	}
	for (size_t i = 0; i < rs->rule_count; i++) {
		if (rs->rules[i]->kind != RULE_META || color[i] != WHITE)
			continue;
		stack[0] = (struct visit){ (uint32_t)i, 0 };
		color[i] = GRAY;
		for (depth = 1; depth > 0;) {
			struct visit *v = &stack[depth - 1];
			struct rule_def *d = rs->rules[v->rule];
			uint32_t part;

			if (v->next_part == d->part_count) {
				color[v->rule] = BLACK;
				out[n++] = v->rule;
				depth--;
				continue;
			}
			part = d->parts[v->next_part++];
			if (part == PART_LOCAL_TESTS_ONLY ||
			    rs->rules[part]->kind != RULE_META ||
			    color[part] == BLACK)
				continue;
			if (color[part] == GRAY) {
				char text[400];

				snprintf(text, sizeof(text),
				    "depends on itself through \"%s\"",
				    rs->rules[part]->pub.name);
				compile_error(l, d, text);
				/* it never hits; the others go on */
				d->expr = (struct expr){ NULL, 0, 1 };
				continue;
			}
			color[part] = GRAY;
			stack[depth++] = (struct visit){ part, 0 };
		}
	}
	rs->order_count[RULE_META] = n;
	free(color);
	free(stack);
	return 0;
}

/* ---- order */

static int
take_slot(struct loader *l, struct rule_def *d)
{
	struct ruleset *rs = l->rs;
	size_t *known = strmap_find(&rs->slot_names, d->request);

	if (known != NULL) {
		d->slot = *known;
		return 0;
	}
	d->slot = rs->slot_count;
	rs->slots[rs->slot_count++] = d->request.ptr;
	return strmap_set(&rs->slot_names, d->request, d->slot);
}

static int
by_priority(const void *pa, const void *pb, void *context)
{
	const struct ruleset *rs = context;
	uint32_t ia = *(const uint32_t *)pa, ib = *(const uint32_t *)pb;
	const struct rule_def *a = rs->rules[ia], *b = rs->rules[ib];

	if (a->slot != b->slot)
		return a->slot < b->slot ? -1 : 1;
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	return ia < ib ? -1 : ia > ib;
}

bool
rule_is_listed(const struct rule_def *d)
{
	return d->pattern != NULL && !d->has_templates && !d->negated &&
	    d->if_unset.ptr == NULL;
}

/* Says whether the rule has to run where there is no such header. */
static bool
runs_absent(const struct rule_def *d)
{
	return !d->exists && (d->negated || d->if_unset.ptr != NULL ||
				 d->pattern == NULL ||
				 pattern_least(d->pattern) == 0);
}

/* A scan costs as much as a few patterns do. */
enum { MIN_PIECE_RULES = 8 };

/* The header rules [first, first + count) of the order have one slot. */
static int
add_header_group(struct loader *l, size_t first, size_t count)
{
	struct ruleset *rs = l->rs;
	const uint32_t *rules = rs->order[RULE_HEADER] + first;
	struct header_group *g = &rs->header_groups[rs->header_group_count++];
	uint32_t *absent = ARENA_ARRAY(l->arena, count, uint32_t);
	uint32_t *alone = ARENA_ARRAY(l->arena, count, uint32_t);

	if (absent == NULL || alone == NULL)
		return -ENOMEM;
	*g = (struct header_group){ .slot = rs->rules[rules[0]]->slot,
		.rules = rules, .count = count, .absent = absent,
		.alone = alone, .piece = NO_INDEX };
	for (size_t i = 0; i < count; i++) {
		const struct rule_def *d = rs->rules[rules[i]];

		if (runs_absent(d))
			absent[g->absent_count++] = rules[i];
		if (!rule_is_listed(d))
			alone[g->alone_count++] = rules[i];
	}
	if (count - g->alone_count >= MIN_PIECE_RULES)
		g->piece = rs->header_piece_count++;
	return 0;
}

static int
group_header_rules(struct loader *l)
{
	struct ruleset *rs = l->rs;
	const uint32_t *order = rs->order[RULE_HEADER];
	size_t n = rs->order_count[RULE_HEADER], first = 0;

	rs->header_groups = ARENA_ARRAY(l->arena, rs->slot_count,
	    struct header_group);
	if (rs->header_groups == NULL)
		return -ENOMEM;
	for (size_t i = 1; i <= n; i++) {
		if (i < n && rs->rules[order[i]]->slot ==
			rs->rules[order[first]]->slot)
			continue;
		if (add_header_group(l, first, i - first) != 0)
			return -ENOMEM;
		first = i;
	}
	return 0;
}

static int
order_rules(struct loader *l)
{
	struct ruleset *rs = l->rs;
	size_t counts[RULE_KINDS] = { 0 };

	for (size_t i = 0; i < rs->rule_count; i++)
		counts[rs->rules[i]->kind]++;
	rs->slots = ARENA_ARRAY(l->arena, counts[RULE_HEADER], const char *);
	rs->capture_rules = ARENA_ARRAY(l->arena, rs->rule_count, uint32_t);
	if (rs->slots == NULL || rs->capture_rules == NULL)
		return -ENOMEM;
	for (size_t k = 0; k < RULE_KINDS; k++) {
		rs->order[k] = ARENA_ARRAY(l->arena, counts[k], uint32_t);
		rs->alone[k] = ARENA_ARRAY(l->arena, counts[k], uint32_t);
		if (rs->order[k] == NULL || rs->alone[k] == NULL)
			return -ENOMEM;
	}
	for (size_t i = 0; i < rs->rule_count; i++) {
		struct rule_def *d = rs->rules[i];

		if (d->kind == RULE_HEADER && take_slot(l, d) != 0)
			return -ENOMEM;
		if (d->kind == RULE_META)
			continue;
		if (d->has_captures)
			rs->capture_rules[rs->capture_count++] = (uint32_t)i;
		else
			rs->order[d->kind][rs->order_count[d->kind]++] =
			    (uint32_t)i;
	}
	for (size_t k = 0; k < RULE_KINDS; k++) {
		if (rs->order_count[k] > 1)
			qsort_r(rs->order[k], rs->order_count[k],
			    sizeof(*rs->order[k]), by_priority, rs);
		for (size_t i = 0; i < rs->order_count[k]; i++)
			if (!rule_is_listed(rs->rules[rs->order[k][i]]))
				rs->alone[k][rs->alone_count[k]++] =
				    rs->order[k][i];
	}
	return group_header_rules(l);
}

static int
compile_patterns(struct loader *l)
{
	struct ruleset *rs = l->rs;
	int r = 0;

	for (size_t i = 0; r == 0 && i < rs->rule_count; i++) {
		struct rule_def *d = rs->rules[i];

		if (d->perl.ptr != NULL && !d->failed && d->kind != RULE_NONE)
			r = add_pattern(l, d);
	}
	if (r == 0)
		pattern_pool_compile(rs->patterns);
	for (size_t i = 0; r == 0 && i < rs->rule_count; i++)
		if (rs->rules[i]->pattern != NULL)
			r = check_pattern(l, rs->rules[i]);
	return r;
}

int
compile_ruleset(struct loader *l)
{
	struct ruleset *rs = l->rs;
	int r;

	strmap_init(&rs->slot_names, l->arena);
	r = replace_apply(l);
	if (r == 0)
		r = compile_patterns(l);
	if (r == 0)
		r = loader_prepare(l);
	if (r == 0)
		r = keep_defined(l);
	rs->max_expr_depth = 1;
	for (size_t i = 0; r == 0 && i < rs->rule_count; i++) {
		complete_scores(rs->rules[i]);
		if (rs->rules[i]->kind == RULE_META)
			r = parse_meta(l, rs->rules[i]);
	}
	if (r == 0)
		r = order_rules(l);
	if (r == 0)
		r = order_metas(l);
	if (r == 0)
		r = link_metas(l);
	return l->oom ? -ENOMEM : r;
}
