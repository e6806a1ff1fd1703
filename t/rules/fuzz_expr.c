/* A meta expression over three names: 0, 1 and unknown */
#include <stdint.h>
#include <stdlib.h>

#include "scoring/rules/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
name(void *context, struct span word, struct span *rest, uint32_t *ret_index,
    bool *ret_is_constant, double *ret_constant, struct error *err)
{
	(void)context;
	(void)rest;
	(void)ret_is_constant;
	(void)ret_constant;
	(void)err;
	*ret_index = (unsigned char)word.ptr[0] % 3;
	return 0;
}

static struct expr_value
lookup(void *context, uint32_t index)
{
	(void)context;
	return index == 2 ? expr_range(0, 1) : expr_exact(index);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(8 << 20);
	struct expr e;

	if (a == NULL)
		abort();
	if (expr_parse(a, span_of((const char *)data, size), name, NULL, &e,
		NULL) == 0) {
		struct expr_value *stack = ARENA_ARRAY(a, e.depth,
		    struct expr_value), v;

		if (stack == NULL)
			abort();
		v = expr_eval(&e, stack, lookup, NULL);
		if (!(v.low <= v.high) || (!v.may_be_true && !v.may_be_false))
			abort();
	}
	arena_free(a);
	return 0;
}
