/*
 * What the joined log-odds were worth so far. Predictions made before their
 * labels fall into bins; a bin's share of spam, made monotone (pool adjacent
 * violators), is the calibrated probability there. Between bin centres the
 * log-odds are interpolated, with a small slope added, so that of two
 * messages the one with the larger joined log-odds always stays larger.
 */
#include <math.h>

#include "scoring/learn/internal.h"

static const double SPAN = 16; /* bins cover -SPAN..SPAN */
/* Messages that the bin's own log-odds are worth before it has seen any */
static const double PRIOR_MESSAGES = 2;
static const double PRIOR_LEAST = 0.005;
static const double SLOPE = 0.01;

static double
bin_center(int i)
{
	return -SPAN + (i + 0.5) * (2 * SPAN / CALIBRATE_BINS);
}

static void
fit(struct calibrate *c)
{
	double value[CALIBRATE_BINS], weight[CALIBRATE_BINS];
	int width[CALIBRATE_BINS], n = 0;

	for (int i = 0; i < CALIBRATE_BINS; i++) {
		double p = 1 / (1 + exp(-bin_center(i)));

		p = fmax(PRIOR_LEAST, fmin(1 - PRIOR_LEAST, p));
		weight[n] = c->bins[i].ham + c->bins[i].spam + PRIOR_MESSAGES;
		value[n] = (c->bins[i].spam + PRIOR_MESSAGES * p) / weight[n];
		width[n++] = 1;
		while (n > 1 && value[n - 2] > value[n - 1]) {
			double w = weight[n - 2] + weight[n - 1];

			value[n - 2] = (value[n - 2] * weight[n - 2] +
			    value[n - 1] * weight[n - 1]) / w;
			weight[n - 2] = w;
			width[n - 2] += width[n - 1];
			n--;
		}
	}
	for (int k = 0, i = 0; k < n; k++)
		for (int j = 0; j < width[k]; j++)
			c->curve[i++] = (float)log(value[k] / (1 - value[k]));
}

void
calibrate_init(struct calibrate *c)
{
	*c = (struct calibrate){ 0 };
	fit(c);
}

void
calibrate_learn(struct calibrate *c, double joined, bool spam, double weight)
{
	int i = (int)floor((joined + SPAN) * CALIBRATE_BINS / (2 * SPAN));

	if (i < 0)
		i = 0;
	if (i >= CALIBRATE_BINS)
		i = CALIBRATE_BINS - 1;
	if (spam)
		c->bins[i].spam += weight;
	else
		c->bins[i].ham += weight;
	fit(c);
}

double
calibrate_apply(const struct calibrate *c, double joined)
{
	double at = (joined + SPAN) * CALIBRATE_BINS / (2 * SPAN) - 0.5, part;
	int i;

	if (at <= 0)
		return (double)c->curve[0] + SLOPE * joined;
	if (at >= CALIBRATE_BINS - 1)
		return (double)c->curve[CALIBRATE_BINS - 1] + SLOPE * joined;
	i = (int)at;
	part = at - i;
	return (double)c->curve[i] * (1 - part) +
	    (double)c->curve[i + 1] * part + SLOPE * joined;
}

bool
calibrate_valid(const struct calibrate *c)
{
	for (int i = 0; i < CALIBRATE_BINS; i++)
		if (!(c->bins[i].ham >= 0) || !(c->bins[i].spam >= 0) ||
		    !isfinite(c->bins[i].ham) || !isfinite(c->bins[i].spam) ||
		    !isfinite(c->curve[i]) ||
		    (i > 0 && c->curve[i] < c->curve[i - 1]))
			return false;
	return true;
}
