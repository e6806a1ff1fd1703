/*
 * probe - a family's fixed patterns, matched without an error path a match:
 * the first failure is kept and probe_end() turns it into the result.
 */
#ifndef SCORING_RULES_EVAL_PROBE_H
#define SCORING_RULES_EVAL_PROBE_H

#include <errno.h>

#include "scoring/rules/eval.h"

struct probe {
	struct eval_context *ctx;
	struct pattern *const *patterns;
	int error;
};

/* Compiles texts[0..count) for eval_family.load; 0 or -ENOMEM */
static inline int
probe_load(struct eval_loader *l, const char *const *texts, size_t count,
    void **ret_state)
{
	struct pattern **p = ARENA_ARRAY(eval_arena(l), count, struct pattern *);

	if (p == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		p[i] = eval_pattern(l, span_cstr(texts[i]), true, "built in", 0);
	*ret_state = p;
	return 0;
}

/* The last line of a directive that takes one number */
static inline double
probe_number_setting(struct eval_loader *l, const char *directive, double value)
{
	const struct eval_line *lines;
	size_t count;

	eval_lines(l, directive, &lines, &count);
	for (size_t i = 0; i < count; i++)
		if (!conf_parse_points(lines[i].value, &value))
			eval_error(l, lines[i].file, lines[i].line,
			    "%s: not a number", directive);
	return value;
}

static inline struct probe
probe_begin(struct eval_context *ctx)
{
	return (struct probe){ ctx, eval_state(ctx), 0 };
}

/* What the family keeps of this message between its functions, zeroed at
 * first; NULL and p->error set: no memory */
static inline void *
probe_cache(struct probe *p, size_t bytes)
{
	void **slot = eval_cache(p->ctx);

	if (*slot == NULL)
		*slot = arena_alloc(eval_input(p->ctx)->arena, bytes);
	if (*slot == NULL)
		p->error = -ENOMEM;
	return *slot;
}

static inline bool
probe_groups(struct probe *p, unsigned id, struct span s, struct span *groups,
    size_t count)
{
	int r;

	if (p->error != 0)
		return false;
	r = eval_match(p->ctx, p->patterns[id], s, 0, groups, count);
	if (r < 0)
		p->error = r;
	return r == 1;
}

static inline bool
probe_hit(struct probe *p, unsigned id, struct span s)
{
	return probe_groups(p, id, s, NULL, 0);
}

static inline struct span
probe_get(struct probe *p, const char *request)
{
	struct span s = span_of("", 0);

	if (p->error == 0 && !eval_get(p->ctx, request, &s) && s.ptr == NULL) {
		p->error = -ENOMEM;
		s = span_of("", 0);
	}
	return s;
}

/* White space runs made one space */
static inline struct span
probe_squeeze(struct probe *p, struct span s)
{
	char *out = arena_bytes(eval_input(p->ctx)->arena, s.len + 1);
	size_t n = 0;

	if (out == NULL) {
		p->error = -ENOMEM;
		return span_of("", 0);
	}
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v')
			c = ' ';
		if (c != ' ' || n == 0 || out[n - 1] != ' ')
			out[n++] = c;
	}
	return span_of(out, n);
}

static inline int
probe_end(struct probe *p, struct eval_result *r, bool hit)
{
	if (p->error == -ENOMEM)
		return -ENOMEM;
	if (p->error != 0) {
		r->state = EVAL_UNKNOWN;
		r->why = "match limit";
		return 0;
	}
	r->count = hit;
	return 0;
}

/* The run() of a function that is deprecated there and always false */
static inline int
probe_never(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	(void)ctx;
	(void)call;
	r->count = 0;
	return 0;
}

#endif
