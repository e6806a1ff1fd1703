#include <math.h>

#include "tune/doubt.h"

enum { MAX_STEPS = 200 };

/* Rates begin here, are held down by so many messages that were labelled
 * right, and end there: folders in which more is wrong are not labelled. */
static const double RATE_BEGIN = 0.05, RIGHT_LABELS = 20, RATE_MOST = 0.3;
/* Keeps the odds finite where the classes do not overlap at all */
static const double RIDGE = 0.01;
/* Steps are no longer than this, and at an end when they are this short */
static const double LONGEST = 1, SHORTEST = 1e-9;

static double
logistic(double z)
{
	return 1 / (1 + exp(-z));
}

/* Probability that a label is wrong, of a message that is spam with these
 * log-odds */
static double
wrong_at(const double rate[2], double odds, bool spam)
{
	double p = logistic(odds);
	double right = spam ? p * (1 - rate[1]) : (1 - p) * (1 - rate[0]);
	double wrong = spam ? (1 - p) * rate[0] : p * rate[1];

	return wrong > 0 ? wrong / (wrong + right) : 0;
}

static double
step_of(double wanted)
{
	return fmax(-LONGEST, fmin(LONGEST, wanted));
}

void
doubt_find(const double *score, const int8_t *label, size_t n,
    struct doubt *ret_doubt)
{
	double a = 1, b = 0, rate[2] = { RATE_BEGIN, RATE_BEGIN };
	double size[2] = { 0, 0 };

	for (int step = 0; step < MAX_STEPS; step++) {
		double ga = RIDGE * a, gb = RIDGE * b;
		double haa = RIDGE, hab = 0, hbb = RIDGE;
		double moved[2] = { 0, 0 }, det, da, db;

		size[0] = size[1] = 0;
		for (size_t i = 0; i < n; i++) {
			bool spam = label[i] > 0;
			double x = score[i], odds = a * x + b;
			double p = logistic(odds);
			double wrong = wrong_at(rate, odds, spam);
			double is_spam = spam ? 1 - wrong : wrong;

			size[0] += 1 - is_spam;
			size[1] += is_spam;
			moved[!spam] += wrong;
			ga += (p - is_spam) * x;
			gb += p - is_spam;
			haa += p * (1 - p) * x * x;
			hab += p * (1 - p) * x;
			hbb += p * (1 - p);
		}
		for (int k = 0; k < 2; k++)
			rate[k] = fmin(RATE_MOST,
			    moved[k] / (size[k] + RIGHT_LABELS));
		det = haa * hbb - hab * hab;
		if (!(det > 1e-12))
			break;
		da = step_of((hbb * ga - hab * gb) / det);
		db = step_of((haa * gb - hab * ga) / det);
		a -= da;
		b -= db;
		if (fabs(da) + fabs(db) < SHORTEST)
			break;
	}
	/* a score that speaks the other way says nothing */
	*ret_doubt = (struct doubt){ .slope = fmax(0, a), .offset = b,
		.prior = log((size[1] + 1) / (size[0] + 1)),
		.rate = { rate[0], rate[1] } };
}

double
doubt_wrong(const struct doubt *d, double score, bool spam)
{
	double found = d->slope * score + d->offset, even = found - d->prior;

	return wrong_at(d->rate, spam ? fmax(found, even) : fmin(found, even),
	    spam);
}
