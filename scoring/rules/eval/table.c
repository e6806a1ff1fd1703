#include "scoring/rules/eval.h"

/* One line a family; the order does not matter, names are unique. */
const struct eval_family *const eval_families[] = {
	NULL,
};
