/*
 * expr - the expressions of `meta` and `if`: arithmetic, comparison and
 * boolean operators with Perl's precedence and Perl's values ("a && b" is b
 * when a is true), compiled to a small stack program.
 *
 * Values are intervals, so that a test that did not finish makes a result
 * unknown only where it matters: `A || B` with A hit and B unknown is true.
 */
#ifndef SCORING_RULES_EXPR_H
#define SCORING_RULES_EXPR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"

enum {
	EXPR_MAX_TOKENS = 20000, /* of one expression */
	EXPR_MAX_NEST = 200,
};

struct expr_value {
	double low, high;
	bool may_be_true, may_be_false;
};

static inline struct expr_value
expr_exact(double v)
{
	return (struct expr_value){ v, v, v != 0, v == 0 };
}

/* low <= high; 0 inside it may or may not be possible */
static inline struct expr_value
expr_range(double low, double high)
{
	return (struct expr_value){ low, high, low != 0 || high != 0,
		low <= 0 && high >= 0 };
}

enum expr_op {
	EXPR_NUMBER, /* pushes number */
	EXPR_NAME,   /* pushes the value of name number index */
	EXPR_NOT, EXPR_NEGATE,
	EXPR_ADD, EXPR_SUB, EXPR_MUL, EXPR_DIV,
	EXPR_LT, EXPR_LE, EXPR_GT, EXPR_GE, EXPR_EQ, EXPR_NE,
	EXPR_XOR, EXPR_AND, EXPR_OR, EXPR_IF,
};

struct expr_step {
	enum expr_op op;
	uint32_t index;
	double number;
};

struct expr {
	struct expr_step *steps;
	size_t count;
	size_t depth; /* of the stack it needs */
};

/* Called for a word that is no number. rest stands behind the word and may
 * be advanced (for a call's parenthesis). Either *ret_index is the name's
 * number, or *ret_constant is set and *ret_is_constant true. 0, -EINVAL with
 * err, -ENOMEM. */
typedef int expr_name_fn(void *context, struct span word, struct span *rest,
    uint32_t *ret_index, bool *ret_is_constant, double *ret_constant,
    struct error *err);

/* 0, -EINVAL with the reason in err, -ENOMEM */
int expr_parse(struct arena *a, struct span text, expr_name_fn *name,
    void *context, struct expr *ret_expr, struct error *err);

typedef struct expr_value expr_lookup_fn(void *context, uint32_t index);
/* stack has room for e->depth values */
struct expr_value expr_eval(const struct expr *e, struct expr_value *stack,
    expr_lookup_fn *lookup, void *context);

#endif
