#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "scoring/rules/expr.h"

struct parser {
	struct arena *arena;
	struct span rest;
	expr_name_fn *name;
	void *context;
	struct error *err;
	struct expr_step *steps;
	size_t count, alloc;
	size_t depth, max_depth; /* of the value stack */
	unsigned nest;
};

static int parse_level(struct parser *p, unsigned level);

static int
emit(struct parser *p, enum expr_op op, uint32_t index, double number)
{
	if (p->count >= EXPR_MAX_TOKENS)
		return error_set(p->err, -EINVAL, "expression too long");
	if (p->count == p->alloc) {
		size_t alloc = p->alloc == 0 ? 32 : p->alloc * 2;
		struct expr_step *steps = ARENA_ARRAY(p->arena, alloc,
		    struct expr_step);

		if (steps == NULL)
			return -ENOMEM;
		if (p->count != 0)
			memcpy(steps, p->steps, p->count * sizeof(*steps));
		p->steps = steps;
		p->alloc = alloc;
	}
	p->steps[p->count++] = (struct expr_step){ op, index, number };
	if (op == EXPR_NUMBER || op == EXPR_NAME)
		p->depth++;
	else if (op == EXPR_IF)
		p->depth -= 2;
	else if (op != EXPR_NOT && op != EXPR_NEGATE)
		p->depth--;
	if (p->depth > p->max_depth)
		p->max_depth = p->depth;
	return 0;
}

static char
peek(struct parser *p, size_t at)
{
	return at < p->rest.len ? p->rest.ptr[at] : '\0';
}

static void
skip(struct parser *p, size_t n)
{
	p->rest = span_trim(span_from(p->rest, n));
}

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    ascii_is_digit(c) || c == '_' || c == ':';
}

/* What binds two operands, weakest first, as in perlop(1). ?: stands below
 * all of them. */
static const struct binary {
	unsigned level;
	const char *text;
	enum expr_op op;
} binaries[] = {
	{ 1, "||", EXPR_OR }, { 2, "&&", EXPR_AND }, { 3, "^", EXPR_XOR },
	{ 4, "==", EXPR_EQ }, { 4, "!=", EXPR_NE }, { 5, "<=", EXPR_LE },
	{ 5, ">=", EXPR_GE }, { 5, "<", EXPR_LT }, { 5, ">", EXPR_GT },
	{ 6, "+", EXPR_ADD }, { 6, "-", EXPR_SUB }, { 7, "*", EXPR_MUL },
	{ 7, "/", EXPR_DIV },
};
enum { LEVEL_UNARY = 8 };

static int
parse_number(struct parser *p, bool *ret_found)
{
	char tmp[40];
	size_t n = 0;

	while (n < p->rest.len && n < sizeof(tmp) - 1 &&
	    (ascii_is_digit(p->rest.ptr[n]) || p->rest.ptr[n] == '.'))
		n++;
	*ret_found = n > 0;
	if (n == 0)
		return 0;
	memcpy(tmp, p->rest.ptr, n);
	tmp[n] = '\0';
	for (size_t i = 0, dots = 0; i < n; i++)
		if ((tmp[i] == '.' && ++dots > 1) || is_word(peek(p, n)))
			return error_set(p->err, -EINVAL, "not a number: \"%s\"",
			    tmp);
	skip(p, n);
	return emit(p, EXPR_NUMBER, 0, strtod(tmp, NULL));
}

static int
parse_primary(struct parser *p)
{
	uint32_t index = 0;
	double number = 0;
	bool found, constant = false;
	struct span word;
	size_t n = 0;
	int r;

	if (peek(p, 0) == '(') {
		skip(p, 1);
		if (peek(p, 0) == ')') { /* "meta X ()": declared, never hits */
			skip(p, 1);
			return emit(p, EXPR_NUMBER, 0, 0);
		}
		if ((r = parse_level(p, 0)) != 0)
			return r;
		if (peek(p, 0) != ')')
			return error_set(p->err, -EINVAL, "missing \")\"");
		skip(p, 1);
		return 0;
	}
	if ((r = parse_number(p, &found)) != 0 || found)
		return r;
	while (n < p->rest.len && is_word(p->rest.ptr[n]))
		n++;
	if (n == 0)
		return p->rest.len == 0 ?
		    error_set(p->err, -EINVAL, "the expression ends too early") :
		    error_set(p->err, -EINVAL, "unexpected \"%.*s\"",
			(int)(p->rest.len < 20 ? p->rest.len : 20), p->rest.ptr);
	word = span_of(p->rest.ptr, n);
	skip(p, n);
	r = p->name(p->context, word, &p->rest, &index, &constant, &number,
	    p->err);
	if (r != 0)
		return r;
	p->rest = span_trim(p->rest);
	return constant ? emit(p, EXPR_NUMBER, 0, number) :
			  emit(p, EXPR_NAME, index, 0);
}

static int
parse_unary(struct parser *p)
{
	char c = peek(p, 0);
	int r;

	if (c != '!' && c != '-' && c != '+')
		return parse_primary(p);
	if (++p->nest > EXPR_MAX_NEST)
		return error_set(p->err, -EINVAL, "nested too deep");
	skip(p, 1);
	r = parse_unary(p);
	p->nest--;
	if (r != 0 || c == '+')
		return r;
	return emit(p, c == '!' ? EXPR_NOT : EXPR_NEGATE, 0, 0);
}

static const struct binary *
next_binary(struct parser *p, unsigned level)
{
	for (size_t i = 0; i < sizeof(binaries) / sizeof(binaries[0]); i++) {
		size_t n = strlen(binaries[i].text);

		/* longer ones stand first at each place where it matters */
		if (p->rest.len >= n &&
		    memcmp(p->rest.ptr, binaries[i].text, n) == 0)
			return binaries[i].level == level ? &binaries[i] : NULL;
	}
	return NULL;
}

static int
parse_ternary(struct parser *p)
{
	int r = parse_level(p, 1);

	if (r != 0 || peek(p, 0) != '?')
		return r;
	skip(p, 1);
	if ((r = parse_level(p, 0)) != 0)
		return r;
	if (peek(p, 0) != ':')
		return error_set(p->err, -EINVAL, "missing \":\"");
	skip(p, 1);
	if ((r = parse_level(p, 0)) != 0)
		return r;
	return emit(p, EXPR_IF, 0, 0);
}

static int
parse_level(struct parser *p, unsigned level)
{
	const struct binary *b;
	int r;

	if (level == LEVEL_UNARY)
		return parse_unary(p);
	if (level == 0) {
		if (++p->nest > EXPR_MAX_NEST)
			return error_set(p->err, -EINVAL, "nested too deep");
		r = parse_ternary(p);
		p->nest--;
		return r;
	}
	if ((r = parse_level(p, level + 1)) != 0)
		return r;
	while ((b = next_binary(p, level)) != NULL) {
		skip(p, strlen(b->text));
		if ((r = parse_level(p, level + 1)) != 0 ||
		    (r = emit(p, b->op, 0, 0)) != 0)
			return r;
	}
	return 0;
}

int
expr_parse(struct arena *a, struct span text, expr_name_fn *name,
    void *context, struct expr *ret_expr, struct error *err)
{
	struct parser p = { .arena = a, .rest = span_trim(text), .name = name,
		.context = context, .err = err };
	int r = parse_level(&p, 0);

	if (r != 0)
		return r;
	if (p.rest.len != 0)
		return error_set(err, -EINVAL, "unexpected \"%.*s\"",
		    (int)(p.rest.len < 20 ? p.rest.len : 20), p.rest.ptr);
	*ret_expr = (struct expr){ p.steps, p.count, p.max_depth };
	return 0;
}

static struct expr_value
truth(bool may_be_true, bool may_be_false)
{
	return (struct expr_value){ may_be_false ? 0 : 1, may_be_true ? 1 : 0,
		may_be_true, may_be_false };
}

static struct expr_value
hull(struct expr_value a, struct expr_value b)
{
	return (struct expr_value){ fmin(a.low, b.low), fmax(a.high, b.high),
		a.may_be_true || b.may_be_true, a.may_be_false || b.may_be_false };
}

static struct expr_value
corners(double a, double b, double c, double d)
{
	return expr_range(fmin(fmin(a, b), fmin(c, d)),
	    fmax(fmax(a, b), fmax(c, d)));
}

static struct expr_value
divide(struct expr_value a, struct expr_value b)
{
	if (b.low == b.high)
		/* Perl would die; a rule must not take the filter down */
		return b.low == 0 ? expr_exact(0) :
				    corners(a.low / b.low, a.low / b.low,
					a.high / b.low, a.high / b.low);
	if (b.low <= 0 && b.high >= 0)
		return expr_range(-1e9, 1e9);
	return corners(a.low / b.low, a.low / b.high, a.high / b.low,
	    a.high / b.high);
}

static double
to_uint(double v)
{
	return v >= 0 && v < 0x1p53 ? floor(v) : 0;
}

static struct expr_value
binary(enum expr_op op, struct expr_value a, struct expr_value b)
{
	bool less = a.high < b.low, greater = a.low > b.high;
	bool same = a.low == a.high && b.low == b.high && a.low == b.low;

	switch (op) {
	case EXPR_ADD:
		return expr_range(a.low + b.low, a.high + b.high);
	case EXPR_SUB:
		return expr_range(a.low - b.high, a.high - b.low);
	case EXPR_MUL:
		return corners(a.low * b.low, a.low * b.high, a.high * b.low,
		    a.high * b.high);
	case EXPR_DIV:
		return divide(a, b);
	case EXPR_LT:
		return truth(a.low < b.high, a.high >= b.low);
	case EXPR_LE:
		return truth(a.low <= b.high, a.high > b.low);
	case EXPR_GT:
		return truth(a.high > b.low, a.low <= b.high);
	case EXPR_GE:
		return truth(a.high >= b.low, a.low < b.high);
	case EXPR_EQ:
		return truth(!less && !greater, !same);
	case EXPR_NE:
		return truth(!same, !less && !greater);
	case EXPR_XOR:
		if (a.low != a.high || b.low != b.high)
			return expr_range(0, 0x1p32);
		return expr_exact((double)((uint64_t)to_uint(a.low) ^
		    (uint64_t)to_uint(b.low)));
	case EXPR_AND:
		if (!a.may_be_true)
			return a;
		return a.may_be_false ? hull(expr_exact(0), b) : b;
	case EXPR_OR:
		if (!a.may_be_false)
			return a;
		if (!a.may_be_true)
			return b;
		a = hull(a, b);
		a.may_be_false = b.may_be_false;
		return a;
	default:
		return expr_exact(0);
	}
}

struct expr_value
expr_eval(const struct expr *e, struct expr_value *stack,
    expr_lookup_fn *lookup, void *context)
{
	size_t n = 0;

	for (size_t i = 0; i < e->count; i++) {
		const struct expr_step *s = &e->steps[i];
		struct expr_value v;

		switch (s->op) {
		case EXPR_NUMBER:
			stack[n++] = expr_exact(s->number);
			break;
		case EXPR_NAME:
			stack[n++] = lookup(context, s->index);
			break;
		case EXPR_NOT:
			v = stack[n - 1];
			stack[n - 1] = truth(v.may_be_false, v.may_be_true);
			break;
		case EXPR_NEGATE:
			v = stack[n - 1];
			stack[n - 1].low = -v.high;
			stack[n - 1].high = -v.low;
			break;
		case EXPR_IF:
			n -= 2;
			v = stack[n - 1];
			stack[n - 1] = !v.may_be_true ? stack[n + 1] :
			    !v.may_be_false	      ? stack[n] :
						hull(stack[n], stack[n + 1]);
			break;
		default:
			n--;
			stack[n - 1] = binary(s->op, stack[n - 1], stack[n]);
			break;
		}
	}
	return n > 0 ? stack[n - 1] : expr_exact(0);
}
