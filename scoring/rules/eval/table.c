#include "scoring/rules/eval.h"

extern const struct eval_family eval_header, eval_header_forged, eval_relay;

/* One line a family; the order does not matter, names are unique. */
const struct eval_family *const eval_families[] = {
	&eval_header,
	&eval_header_forged,
	&eval_relay,
	NULL,
};
