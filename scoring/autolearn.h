/*
 * autolearn - may the filter teach itself this message?
 *
 * As SpamAssassin's AutoLearnThreshold: the rules are judged once more as if
 * there were no learned model (score set 0 or 1, no LEARNED, no rule or meta
 * that asks for the model's opinion) and no reputation, leaving out rules with
 * tflags noautolearn, learn or userconf. Spam needs points from header and
 * body both. The model can only object, never support: a verdict that rests on
 * it teaches nothing. What a test that did not finish could have said counts
 * against learning.
 *
 * Pure. How much may be learned so is the store's to bound (db/labels.h,
 * struct lesson_auto).
 */
#ifndef SCORING_AUTOLEARN_H
#define SCORING_AUTOLEARN_H

#include "db/labels.h"
#include "scoring/judge.h"

struct autolearn {
	enum label_class class; /* LABEL_NONE: not to be learned */
	double score, header, body; /* points that counted; 0 when not judged */
	const char *why;	/* not: one phrase */
};

/* 0 or -ENOMEM. in->model is not looked at. */
int autolearn_judge(const struct judge_input *in, const struct verdict *v,
    struct autolearn *ret_autolearn);

#endif
