/*
 * Rules over what stands below the header: body, rawbody, uri, full and
 * mimeheader. A rule looks at its texts one after the other until it has hit
 * often enough.
 */
#include <errno.h>

#include "scoring/message/body.h"
#include "scoring/rules/internal.h"

static int
take_texts(struct eval_context *c, enum rule_kind kind,
    const struct texts **ret_texts)
{
	struct message *m = c->in->message;
	const struct uris *uris;
	struct texts *t;
	int r;

	if (c->texts[kind] != NULL) {
		*ret_texts = c->texts[kind];
		return 0;
	}
	switch (kind) {
	case RULE_BODY:
		r = body_rendered(m, ret_texts);
		break;
	case RULE_RAWBODY:
		r = body_raw(m, ret_texts);
		break;
	default:
		t = ARENA_NEW(c->in->arena, struct texts);
		if (t == NULL)
			return -ENOMEM;
		r = 0;
		if (kind == RULE_URI) {
			r = eval_uris(c, &uris);
			if (r == 0)
				*t = (struct texts){ uris->list,
					uris->list_count };
		} else {
			t->items = ARENA_ARRAY(c->in->arena, 1, struct span);
			if (t->items == NULL)
				return -ENOMEM;
			t->items[0] = body_full(m);
			t->count = 1;
		}
		*ret_texts = t;
	}
	if (r == 0)
		c->texts[kind] = *ret_texts;
	return r;
}

size_t
run_first_text(const struct rule_def *d)
{
	return d->kind == RULE_BODY && (d->pub.tflags & RULE_NOSUBJECT);
}

/* One rule over all its texts */
static void
run_rule_texts(struct eval_context *c, const struct rule_def *d,
    const struct texts *t)
{
	for (size_t i = run_first_text(d); i < t->count && !c->oom; i++)
		if (!run_pattern(c, d, t->items[i]))
			break;
}

/* All rules of a kind but those with captures, which ran before */
void
run_text_rules(struct eval_context *c, enum rule_kind kind)
{
	const struct ruleset *rs = c->rs;
	const struct texts *t;

	if (rs->order_count[kind] == 0)
		return;
	if (take_texts(c, kind, &t) != 0) {
		c->oom = true;
		return;
	}
	if (!run_text_candidates(c, kind, t))
		for (size_t i = 0; i < rs->order_count[kind] && !c->oom; i++) {
			const struct rule_def *d = rs->rules[rs->order[kind][i]];
			uint64_t since = c->in->nanoseconds != NULL ?
			    run_clock(c) : 0;

			if (d->enabled[c->in->score_set & 3] && rule_is_listed(d)) {
				run_rule_texts(c, d, t);
				run_clock_add(c, d, since);
			}
		}
	for (size_t i = 0; i < rs->alone_count[kind] && !c->oom; i++)
		run_rule(c, rs->rules[rs->alone[kind][i]]);
}

/* Filling templates means compiling a pattern for this message alone. */
static bool
may_match(struct eval_context *c, const struct rule_def *d,
    const struct texts *t)
{
	enum pattern_result m = PATTERN_MISS;

	if (d->shape == NULL)
		return true;
	for (size_t i = run_first_text(d); m == PATTERN_MISS && i < t->count; i++)
		m = pattern_find(d->shape, c->scratch->matcher, &c->budget,
		    t->items[i], 0, false, NULL, 0);
	return m != PATTERN_MISS;
}

/* One rule by itself: with captures, or with templates to fill */
void
run_text_rule(struct eval_context *c, const struct rule_def *d)
{
	struct rule_def filled = *d;
	const struct texts *t;
	struct pattern *own = NULL;

	if (!d->enabled[c->in->score_set & 3])
		return;
	if (take_texts(c, d->kind, &t) != 0) {
		c->oom = true;
		return;
	}
	if (d->has_templates) {
		own = may_match(c, d, t) ? run_fill_templates(c, d) : NULL;
		if (own == NULL)
			return;
		filled.pattern = own;
	}
	run_rule_texts(c, &filled, t);
	pattern_free_alone(own);
}

/* ---- mimeheader */

static struct span
join_part_headers(struct eval_context *c, struct part *p, bool raw)
{
	struct span out;
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < p->field_count && !b.failed; i++) {
		struct field *f = &p->fields[i];

		if (p->parent == NULL && header_is_hidden(f->name))
			continue;
		buf_add_span(&b, f->name);
		buf_add_str(&b, ": ");
		if (raw)
			buf_add_span(&b, field_raw(p->message, f));
		else {
			buf_add_span(&b, field_decoded(p->message, f));
			buf_add_char(&b, '\n');
		}
	}
	out = arena_span(c->in->arena, buf_span(&b));
	buf_done(&b);
	return out;
}

/* The last field of that name, as get_header() gives it in scalar context;
 * ptr NULL: none */
static struct span
part_value(struct eval_context *c, struct part *p, struct span name, bool raw)
{
	struct field *last = NULL;
	struct span s;
	char *copy;

	if (span_is(name, "ALL"))
		return join_part_headers(c, p, raw);
	if (p->parent == NULL && header_is_hidden(name))
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < p->field_count; i++)
		if (span_ieq(p->fields[i].name, name))
			last = &p->fields[i];
	if (last == NULL)
		return (struct span){ NULL, 0 };
	s = raw ? field_raw(p->message, last) :
		  field_decoded(p->message, last);
	if (s.ptr != NULL && raw)
		return s;
	copy = s.ptr == NULL ? NULL : arena_bytes(c->in->arena, s.len + 1);
	if (copy == NULL) {
		c->oom = true;
		return (struct span){ NULL, 0 };
	}
	if (s.len != 0)
		memcpy(copy, s.ptr, s.len);
	copy[s.len] = '\n';
	return span_of(copy, s.len + 1);
}

void
run_mime_rule(struct eval_context *c, const struct rule_def *d)
{
	struct part *root;
	struct span name = d->request, value;
	struct rule_result *r = &c->results[d->index];
	bool raw = false, found = false;
	unsigned index = 0;
	struct buf all;

	name.len = span_find(name, ':');
	raw = name.len != d->request.len;
	if (body_parts(c->in->message, &root) != 0) {
		c->oom = true;
		return;
	}
	buf_init(&all, 4 << 20);
	for (struct part *p = root; p != NULL && !c->oom; p = p->in_order) {
		if (++index > d->range_max)
			break;
		if (index < d->range_min)
			continue;
		value = part_value(c, p, name, raw);
		if (value.ptr == NULL)
			value = d->if_unset.ptr != NULL ? d->if_unset :
							  SPAN_LIT("");
		if (d->concat) {
			buf_add_span(&all, value);
			if (value.len == 0 || value.ptr[value.len - 1] != '\n')
				buf_add_char(&all, '\n');
		} else if (!d->negated) {
			run_pattern(c, d, value);
			if (r->low > 0 || r->high > 0)
				break;
		} else if (pattern_find(d->pattern, c->scratch->matcher,
			       &c->budget, value, 0, false, NULL, 0) ==
		    PATTERN_HIT) {
			found = true;
			break;
		}
	}
	if (d->concat && !c->oom) {
		value = arena_span(c->in->arena, buf_span(&all));
		if (value.ptr == NULL)
			c->oom = true;
		else if (!d->negated)
			run_pattern(c, d, value);
		else
			found = pattern_find(d->pattern, c->scratch->matcher,
				    &c->budget, value, 0, false, NULL, 0) ==
			    PATTERN_HIT;
	}
	if (d->negated && !found && !c->oom)
		run_hit(c, d, 1, (struct span){ NULL, 0 });
	buf_done(&all);
}
