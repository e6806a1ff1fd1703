/*
 * One log-odds from several. The groups see different things (the raw start
 * of the message; what its author wrote) and make different mistakes. The
 * mean of their log-odds lets the loudest group speak for all, the mean of
 * their probabilities hears no group that is sure; half of each beats both,
 * and every learned weighting that was tried (EXPERIMENTS.md).
 */
#include <math.h>

#include "scoring/learn/internal.h"

/* A group may shout only so loud; more would let one that learned from wrong
 * labels outvote the others */
static const double GROUP_CLIP = 8;
/* Messages of the rarer class until only 1/e of the prior is left */
static const double PRIOR_FADES = 30;

/* Then it no longer matters */
static const double PRIOR_GONE = 1e-4;

double
join_log_odds(const struct model_header *h, const double groups[GROUPS],
    const struct sample *s)
{
	uint64_t least = h->ham < h->spam ? h->ham : h->spam;
	double prior = exp(-(double)least / PRIOR_FADES);
	double sum = 0, spam = 0, ham = 0;

	for (int g = 0; g < GROUPS; g++) {
		double x = fmax(-GROUP_CLIP, fmin(GROUP_CLIP, groups[g]));

		sum += x;
		spam += 1 / (1 + exp(-x));
		ham += 1 / (1 + exp(x));
	}
	return (sum / GROUPS + log(spam / ham)) / 2 +
	    (prior > PRIOR_GONE ? prior * prior_log_odds(s) : 0);
}
