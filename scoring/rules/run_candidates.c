/*
 * With compiled databases all rules of a kind look at a message at once: the
 * databases name candidates, and only those are confirmed with PCRE2.
 */
#include "scoring/rules/internal.h"
#include "scoring/rules/outline.h"

/* About plain body texts and the others different databases are asked
 * (outline.h), and one about all texts of a kind. */
enum view { VIEW_ALL, VIEW_PLAIN, VIEW_OTHER, VIEWS };

/* A rule and the blocks of texts that it may match, by view */
struct candidate {
	uint32_t rule;
	uint64_t blocks[VIEWS];
};

struct search {
	struct eval_context *c;
	const struct texts *texts;
	bool *plain; /* of each text; NULL: all are, or it does not matter */
	struct hs_texts views[VIEWS];
	enum view view; /* that is scanned */
	struct candidate *list;
	uint32_t *known; /* a rule's place in the list + 1; 0: not there */
	size_t count;
};

static bool
is_in_view(const struct search *s, enum view v, size_t i)
{
	bool plain = s->plain == NULL || s->plain[i];

	return v == VIEW_ALL || plain == (v == VIEW_PLAIN);
}

/* Puts the texts of a view one behind the other. 0 or -1 */
static int
join(struct search *s, enum view v)
{
	struct arena *a = s->c->in->arena;
	size_t *ends = ARENA_ARRAY(a, s->texts->count, size_t);
	struct hs_texts *x = &s->views[v];
	size_t total = 0;
	char *p;

	if (ends == NULL)
		return -1;
	x->ends = ends;
	for (size_t i = 0; i < s->texts->count; i++)
		if (is_in_view(s, v, i)) {
			x->joined = s->texts->items[i];
			ends[x->count++] = total + x->joined.len;
			total += x->joined.len + 1;
		}
	if (x->count <= 1)
		return 0;
	p = arena_bytes(a, total);
	if (p == NULL)
		return -1;
	x->joined = span_of(p, total - 1);
	for (size_t i = 0; i < s->texts->count; i++)
		if (is_in_view(s, v, i)) {
			struct span t = s->texts->items[i];

			if (t.len != 0)
				memcpy(p, t.ptr, t.len);
			p += t.len;
			*p++ = '\n';
		}
	return 0;
}

static int
find_plain(struct search *s)
{
	const struct texts *t = s->texts;
	size_t plain = 0;

	s->plain = arena_alloc(s->c->in->arena, t->count);
	if (s->plain == NULL)
		return -1;
	for (size_t i = 0; i < t->count; i++)
		plain += s->plain[i] = outline_text_plain(t->items[i]);
	if (plain != t->count)
		return join(s, VIEW_PLAIN) != 0 ? -1 : join(s, VIEW_OTHER);
	s->plain = NULL;
	return 0;
}

static void
on_candidate(void *context, uint32_t rule, uint64_t blocks)
{
	struct search *s = context;

	if (s->known[rule] == 0) {
		s->list[s->count] = (struct candidate){ .rule = rule };
		s->known[rule] = (uint32_t)++s->count;
	}
	s->list[s->known[rule] - 1].blocks[s->view] |= blocks;
}

static void
scan(struct search *s, enum hs_set set, enum view v)
{
	const struct hs_target *t = s->c->rs->targets[set];

	s->view = v;
	if (s->views[v].count != 0 && !s->c->oom &&
	    hs_target_scan(t, 0, &s->c->scratch->hs, &s->views[v], on_candidate,
		s) != 0)
		s->c->oom = true;
}

static bool
has_block(const struct search *s, const struct candidate *x, enum view v,
    size_t i)
{
	return x->blocks[v] >> hs_block(&s->views[v], i) & 1;
}

/* In the texts' own order, so that what is found first does not depend on
 * how it was looked for */
static void
confirm(struct search *s, const struct candidate *x)
{
	struct eval_context *c = s->c;
	const struct rule_def *d = c->rs->rules[x->rule];
	size_t seen[VIEWS] = { 0 };
	uint64_t since;

	if (!d->enabled[c->in->score_set & 3])
		return;
	since = c->in->nanoseconds != NULL ? run_clock(c) : 0;
	for (size_t i = 0; i < s->texts->count && !c->oom; i++) {
		enum view v = is_in_view(s, VIEW_PLAIN, i) ? VIEW_PLAIN :
							     VIEW_OTHER;
		size_t at = seen[v]++;

		if (i >= run_first_text(d) &&
		    (has_block(s, x, VIEW_ALL, i) || has_block(s, x, v, at)) &&
		    !run_pattern(c, d, s->texts->items[i]))
			break;
	}
	run_clock_add(c, d, since);
}

bool
run_text_candidates(struct eval_context *c, enum rule_kind kind,
    const struct texts *t)
{
	enum hs_set set = kind == RULE_BODY ? HS_BODY :
	    kind == RULE_RAWBODY	    ? HS_RAWBODY :
	    kind == RULE_URI		    ? HS_URI : HS_FULL;
	struct search s = { .c = c, .texts = t };

	if (c->rs->targets[set] == NULL)
		return false;
	s.known = ARENA_ARRAY(c->in->arena, c->rs->rule_count, uint32_t);
	s.list = ARENA_ARRAY(c->in->arena, c->rs->order_count[kind],
	    struct candidate);
	if (s.known == NULL || s.list == NULL || join(&s, VIEW_ALL) != 0 ||
	    (kind == RULE_BODY && find_plain(&s) != 0)) {
		c->oom = true;
		return true;
	}
	if (s.plain == NULL)
		s.views[VIEW_PLAIN] = s.views[VIEW_ALL];
	for (size_t i = 0; i < t->count; i++)
		c->budget.steps += 1 + t->items[i].len / RUN_STEP_BYTES;
	scan(&s, set, VIEW_ALL);
	if (kind == RULE_BODY) {
		scan(&s, HS_PLAIN_BODY, VIEW_PLAIN);
		scan(&s, HS_OTHER_BODY, VIEW_OTHER);
	}
	for (size_t i = 0; i < s.count && !c->oom; i++)
		confirm(&s, &s.list[i]);
	return true;
}
