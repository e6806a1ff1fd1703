/*
 * doubt - how likely is it that a label is wrong? In a folder of a hundred
 * good messages a few spam that strayed there outvote all spam like them, for
 * a good message lost costs many times a spam missed.
 *
 * The model (Bootkrajang & Kaban 2012; Natarajan & al. 2013): a message is
 * spam with odds that are linear in a score which has not seen its label, and
 * then each class is labelled as the other with a rate of its own. Score and
 * rates are found together by expectation maximisation. Where the labels are
 * right the rates go to 0 and nothing is doubted, however odd a message is.
 * Pure; no allocation; the same input gives the same result.
 */
#ifndef TUNE_DOUBT_H
#define TUNE_DOUBT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct doubt {
	double slope, offset; /* from scores to log-odds of spam, as found */
	double prior;	      /* log-odds of the classes' sizes */
	double rate[2];	      /* of ham, spam that are labelled as the other */
};

/* score: by a fit that has not seen the label; label: +1 spam, -1 ham */
void doubt_find(const double *score, const int8_t *label, size_t n,
    struct doubt *ret_doubt);

/* Probability that the label of a message is wrong. Of the two readings, that
 * both classes come as often and that they come as they did, the one that
 * speaks for the label. */
double doubt_wrong(const struct doubt *d, double score, bool spam);

#endif
