#include <math.h>

#include "tune/certify.h"

/* Scores are kept to 0.001: this is "just above". */
#define STEP 0.001
/* More mail than anybody holds out */
#define NEVER 1000000000000

double
certify_binomial_tail(size_t n, double p, size_t k)
{
	double log_odds, log_term, sum = 0, mean = (double)n * p;
	bool upper = (double)k > mean;

	if (k == 0)
		return 1;
	if (k > n || p <= 0)
		return 0;
	if (p >= 1)
		return 1;
	/* sum the smaller side, from the term next to k outwards: the terms
	 * fall, and nothing cancels */
	log_odds = log(p) - log1p(-p);
	if (upper) {
		log_term = lgamma((double)n + 1) - lgamma((double)k + 1) -
		    lgamma((double)(n - k) + 1) + (double)k * log(p) +
		    (double)(n - k) * log1p(-p);
		for (size_t i = k; i <= n; i++) {
			double term = exp(log_term);

			sum += term;
			if (term < sum * 1e-17)
				break;
			if (i < n)
				log_term += log((double)(n - i)) -
				    log((double)(i + 1)) + log_odds;
		}
		return sum;
	}
	log_term = lgamma((double)n + 1) - lgamma((double)k) -
	    lgamma((double)(n - k) + 2) + (double)(k - 1) * log(p) +
	    (double)(n - k + 1) * log1p(-p);
	for (size_t i = k - 1;; i--) {
		double term = exp(log_term);

		sum += term;
		if (i == 0 || term < sum * 1e-17)
			break;
		log_term += log((double)i) - log((double)(n - i + 1)) - log_odds;
	}
	return 1 - sum;
}

size_t
certify_needed(double loss, double confidence)
{
	/* all n below the threshold: (1 - loss)^n <= 1 - confidence */
	double n = ceil(log(1 - confidence) / log1p(-loss));

	/* the least loss that can be written would take more than are counted */
	return n < NEVER ? (size_t)n : NEVER;
}

double
certify_upper_bound(size_t lost, size_t n, double confidence)
{
	double low = 0, high = 1;

	if (lost >= n)
		return 1;
	/* P(X <= lost) falls with p: the p at which it is 1 - confidence */
	for (int i = 0; i < 200; i++) {
		double mid = (low + high) / 2;

		if (1 - certify_binomial_tail(n, mid, lost + 1) > 1 - confidence)
			low = mid;
		else
			high = mid;
	}
	return high;
}

struct certificate
certify_threshold(const double *scores, size_t n, double loss,
    double confidence, double floor)
{
	struct certificate c = { .given = n,
		.needed = certify_needed(loss, confidence), .threshold = floor };
	size_t lost = 0, k;

	c.holds = n >= c.needed;
	if (c.holds) {
		/* smallest k with P(Bin(n, 1 - loss) >= k) <= 1 - confidence;
		 * the tail falls with k */
		size_t low = 1, high = n;

		while (low < high) {
			k = low + (high - low) / 2;
			if (certify_binomial_tail(n, 1 - loss, k) <= 1 - confidence)
				high = k;
			else
				low = k + 1;
		}
		if (scores[low - 1] + STEP > c.threshold)
			c.threshold = scores[low - 1] + STEP;
	} else if (n > 0 && scores[n - 1] + STEP > c.threshold)
		c.threshold = scores[n - 1] + STEP;
	while (lost < n && scores[n - 1 - lost] >= c.threshold)
		lost++;
	c.bound = n == 0 ? 1 : certify_upper_bound(lost, n, confidence);
	/* the umbrella speaks of the order statistic; what is certified is
	 * never claimed better than it was asked for */
	if (c.holds && c.bound > loss)
		c.bound = loss;
	return c;
}
