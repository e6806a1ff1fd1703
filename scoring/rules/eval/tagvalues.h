/*
 * tagvalues - SpamAssassin's message tags (_LASTEXTERNALIP_ and the like) as
 * far as DNS questions are made of them, and what rules captured.
 */
#ifndef SCORING_RULES_EVAL_TAGVALUES_H
#define SCORING_RULES_EVAL_TAGVALUES_H

#include "scoring/rules/eval.h"

enum { TAG_VALUES = 20 };

struct tag_values {
	struct span list[TAG_VALUES];
	size_t count;
};

/* Is this name one of a message tag? Else it is one that rules capture. */
bool tag_is_builtin(struct span name);
/* name without the underscores, "HEADER(Name:mod)" included. good_only: of
 * DKIM tags only those of verified signatures; without it, those of all
 * signatures, since questions are named before that is known. No value is no
 * error. 0 or -ENOMEM */
int tag_values_get(struct eval_context *ctx, struct span name, bool good_only,
    struct tag_values *ret);

#endif
