/*
 * pattern_match - what matching needs beside the pattern, and one call of it:
 * the same for both widths of PCRE2's code units. Private to pattern.c and
 * pattern_wide.c, which include it behind PCRE2 at their width.
 */
#ifndef SCORING_RULES_PATTERN_MATCH_H
#define SCORING_RULES_PATTERN_MATCH_H

#include "scoring/rules/pattern.h"

enum {
	JIT_STACK_MIN = 32 * 1024,
	JIT_STACK_MAX = 1024 * 1024,
};

struct match_space {
	pcre2_match_data *data;
	pcre2_match_context *context;
	pcre2_jit_stack *stack; /* NULL: the machine's */
};

static inline void
match_space_done(struct match_space *m)
{
	pcre2_jit_stack_free(m->stack);
	pcre2_match_context_free(m->context);
	pcre2_match_data_free(m->data);
}

static inline bool
match_space_init(struct match_space *m)
{
	m->data = pcre2_match_data_create(PATTERN_GROUPS, NULL);
	m->context = pcre2_match_context_create(NULL);
	m->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
	if (m->data == NULL || m->context == NULL) {
		match_space_done(m);
		return false;
	}
	if (m->stack != NULL)
		pcre2_jit_stack_assign(m->context, NULL, m->stack);
	return true;
}

/* One call with one limit over the starting positions from..last; PCRE2's
 * result, and *ret_groups is its ovector. */
static inline int
match_space_try(struct match_space *m, const pcre2_code *code,
    PCRE2_SPTR subject, size_t length, size_t from, size_t last,
    uint32_t options, uint32_t limit, const PCRE2_SIZE **ret_groups)
{
	int r;

	pcre2_set_match_limit(m->context, limit);
	pcre2_set_offset_limit(m->context, last);
	/* the same without the checks of its arguments, if there is machine code */
	r = options & PCRE2_NO_JIT ? PCRE2_ERROR_JIT_BADOPTION :
	    pcre2_jit_match(code, subject, length, from, options, m->data,
		m->context);
	if (r == PCRE2_ERROR_JIT_BADOPTION)
		r = pcre2_match(code, subject, length, from, options, m->data,
		    m->context);
	/* deep recursion overflows the machine stack that JIT was given; the
	 * interpreter keeps its frames on the heap, within heap_limit */
	if (r == PCRE2_ERROR_JIT_STACKLIMIT)
		r = pcre2_match(code, subject, length, from,
		    options | PCRE2_NO_JIT, m->data, m->context);
	*ret_groups = pcre2_get_ovector_pointer(m->data);
	return r;
}

#endif
