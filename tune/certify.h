/*
 * certify - how much good mail a threshold may lose, with a guarantee that
 * does not depend on how scores are distributed (Neyman-Pearson umbrella;
 * order statistics of held-out ham).
 *
 * With n held-out messages of ham drawn like the mail to come, the k-th
 * smallest score as threshold loses more than alpha of future ham with
 * probability  P(Binomial(n, 1 - alpha) >= k). The smallest k for which this
 * is <= 1 - confidence is certified. Pure functions, no allocation.
 */
#ifndef TUNE_CERTIFY_H
#define TUNE_CERTIFY_H

#include <stdbool.h>
#include <stddef.h>

struct certificate {
	bool holds;	    /* the wanted loss is certified at `threshold` */
	double threshold;   /* mail at or above it is lost */
	double bound;	    /* the loss that is certified there, as a share */
	size_t given, needed; /* messages of ham */
};

/* Fewest messages of ham with which `loss` can be certified at all. */
size_t certify_needed(double loss, double confidence);

/* Upper confidence bound (Clopper-Pearson) of the share of ham lost when k
 * of n were. */
double certify_upper_bound(size_t lost, size_t n, double confidence);

/* P(X >= k), X binomial(n, p) */
double certify_binomial_tail(size_t n, double p, size_t k);

/*
 * scores: held-out ham, ascending. floor: the threshold is not set lower
 * than this. The certified threshold is the lowest that the guarantee
 * allows, just above an order statistic; when the wanted loss cannot be
 * certified, holds is false, threshold stays at the floor (or just above the
 * largest score, whichever is higher) and bound says what holds there.
 */
struct certificate certify_threshold(const double *scores, size_t n,
    double loss, double confidence, double floor);

#endif
