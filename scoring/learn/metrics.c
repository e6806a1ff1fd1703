#include <math.h>
#include <stdlib.h>

#include "scoring/learn/metrics.h"

static int
by_score(const void *a, const void *b)
{
	const struct metrics_item *x = a, *y = b;

	return x->score < y->score ? -1 : x->score > y->score;
}

/* Of sorted items */
static double
roca(const struct metrics_item *items, size_t count)
{
	double wrong = 0, below = 0, ham_total = 0;

	for (size_t i = 0; i < count;) {
		double ham = 0, spam = 0;
		size_t j = i;

		for (; j < count && items[j].score == items[i].score; j++) {
			if (items[j].spam)
				spam++;
			else
				ham++;
		}
		wrong += ham * (below + spam / 2);
		below += spam;
		ham_total += ham;
		i = j;
	}
	return below > 0 && ham_total > 0 ? 100 * wrong / (below * ham_total) : 0;
}

/* Spam missed, in percent, by the lowest threshold that loses at most
 * max_lost ham; of sorted items */
static double
missed_at(const struct metrics_item *items, size_t count, size_t max_lost,
    size_t spam)
{
	size_t lost = 0, caught = 0, i = count;

	while (i > 0) {
		size_t ham_here = 0, spam_here = 0, j = i;

		/* messages of one score go together */
		for (; j > 0 && items[j - 1].score == items[i - 1].score; j--) {
			if (items[j - 1].spam)
				spam_here++;
			else
				ham_here++;
		}
		if (lost + ham_here > max_lost)
			break;
		lost += ham_here;
		caught += spam_here;
		i = j;
	}
	return spam > 0 ? 100 * (double)(spam - caught) / (double)spam : 0;
}

static double
logit(double share, double n)
{
	/* an empty or full share counts as half a message, else the average
	 * would be 0 whatever the other class suffers */
	share = fmax(0.5 / n, fmin(1 - 0.5 / n, share));
	return log(share / (1 - share));
}

void
metrics_compute(struct metrics_item *items, size_t count, double threshold,
    struct metrics *ret_metrics)
{
	static const double levels[] = { 0.0001, 0.001, 0.01 };
	struct metrics m = { 0 };

	qsort(items, count, sizeof(*items), by_score);
	for (size_t i = 0; i < count; i++) {
		if (items[i].spam) {
			m.spam++;
			m.spam_missed += items[i].score < threshold;
		} else {
			m.ham++;
			m.ham_lost += items[i].score >= threshold;
		}
	}
	m.roca_pct = roca(items, count);
	for (int i = 0; i < 3; i++)
		/* the small addend: 0.01 of 4000 is 40, not 39 */
		m.missed_pct[i] = missed_at(items, count,
		    (size_t)(levels[i] * (double)m.ham + 1e-9), m.spam);
	if (m.ham > 0 && m.spam > 0) {
		double l = (logit((double)m.ham_lost / (double)m.ham,
				(double)m.ham) +
		    logit((double)m.spam_missed / (double)m.spam,
			(double)m.spam)) / 2;

		m.lam_pct = 100 / (1 + exp(-l));
	}
	*ret_metrics = m;
}

double
metrics_roca_pct(struct metrics_item *items, size_t count)
{
	qsort(items, count, sizeof(*items), by_score);
	return roca(items, count);
}

/* The regularised incomplete beta function, by its continued fraction
 * (Lentz's method) */
static double
beta_fraction(double a, double b, double x)
{
	const double tiny = 1e-300;
	double c = 1, d = 1 - (a + b) * x / (a + 1), h;

	d = 1 / (fabs(d) < tiny ? tiny : d);
	h = d;
	for (int m = 1; m <= 10000; m++) {
		double up = m * (b - m) * x / ((a - 1 + 2 * m) * (a + 2 * m));
		double before;

		d = 1 + up * d;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = 1 + up / c;
		c = fabs(c) < tiny ? tiny : c;
		h *= d * c;
		up = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 1 + 2 * m));
		d = 1 + up * d;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = 1 + up / c;
		c = fabs(c) < tiny ? tiny : c;
		before = h;
		h *= d * c;
		if (fabs(h - before) < 1e-14 * fabs(h))
			break;
	}
	return h;
}

static double
beta_regular(double a, double b, double x)
{
	double front;

	if (x <= 0)
		return 0;
	if (x >= 1)
		return 1;
	front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) +
	    b * log1p(-x));
	return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a :
	    1 - front * beta_fraction(b, a, 1 - x) / b;
}

static double
beta_quantile(double a, double b, double p)
{
	double low = 0, high = 1;

	for (int i = 0; i < 200 && high - low > 1e-15; i++) {
		double middle = (low + high) / 2;

		if (beta_regular(a, b, middle) < p)
			low = middle;
		else
			high = middle;
	}
	return (low + high) / 2;
}

void
metrics_interval(size_t k, size_t n, double confidence, double *ret_low,
    double *ret_high)
{
	double tail = (1 - confidence) / 2, x = (double)k, y = (double)(n - k);

	*ret_low = k == 0 || n == 0 ? 0 : beta_quantile(x, y + 1, tail);
	*ret_high = k >= n ? 1 : beta_quantile(x + 1, y, 1 - tail);
}

void
metrics_calibration(const struct metrics_item *log_odds, size_t count,
    struct metrics_band ret_bands[METRICS_BANDS])
{
	static const double edges[METRICS_BANDS + 1] = { 0, 0.0001, 0.001, 0.01,
		0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1 };

	for (int b = 0; b < METRICS_BANDS; b++)
		ret_bands[b] = (struct metrics_band){ edges[b], edges[b + 1],
			0, 0, 0, 0, 1 };
	for (size_t i = 0; i < count; i++) {
		double p = 1 / (1 + exp(-log_odds[i].score));
		int b = 0;

		while (b < METRICS_BANDS - 1 && p >= edges[b + 1])
			b++;
		ret_bands[b].count++;
		ret_bands[b].spam += log_odds[i].spam;
		ret_bands[b].mean += p;
	}
	for (int b = 0; b < METRICS_BANDS; b++) {
		if (ret_bands[b].count == 0)
			continue;
		ret_bands[b].mean /= (double)ret_bands[b].count;
		metrics_interval(ret_bands[b].spam, ret_bands[b].count, 0.99,
		    &ret_bands[b].low, &ret_bands[b].high);
	}
}
