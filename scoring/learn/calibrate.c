/*
 * What the joined log-odds were worth so far, learned from predictions that
 * were made before their labels: a slope and an offset (Platt), moved
 * slowly, since the join of the groups is nearly calibrated by itself, and
 * the share of surprises among the firmest predictions of either side, which
 * bounds how sure the result may be. The map is strictly increasing, and
 * slow, so that the order of messages over time hardly changes: a map of
 * bins calibrated as well and spoiled the order (EXPERIMENTS.md).
 */
#include <math.h>

#include "scoring/learn/internal.h"

static const double RATE = 0.04;
static const double FIRM = 6; /* log-odds beyond which a surprise counts */
/* Before any was seen: one surprise in so many firm predictions */
static const double FIRM_PRIOR = 2000;
/* With many wrong labels the surprises are theirs, not the model's; a floor
 * that rose to their share would also press early firm scores apart from
 * late ones */
static const double FLOOR_MOST = 0.002;
static const double SLOPE_LEAST = 0.1, SLOPE_MOST = 10;
static const double INPUT_MOST = 8; /* what one message can pull at */

void
calibrate_init(struct calibrate *c)
{
	*c = (struct calibrate){ .slope = 1.1, .slope_g = 1, .offset_g = 1,
		.firm = { FIRM_PRIOR, FIRM_PRIOR }, .surprise = { 1, 1 } };
}

static double
sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

void
calibrate_learn(struct calibrate *c, double joined, bool spam, double weight,
    double trusted)
{
	double at = c->slope * joined + c->offset;
	double error = ((spam ? 1 : 0) - sigmoid(at)) * weight * trusted;
	double pull = error * fmax(-INPUT_MOST, fmin(INPUT_MOST, joined));

	if (fabs(at) > FIRM) {
		int side = at > 0;

		c->firm[side] += weight;
		c->surprise[side] += (spam ? 1 : 0) != side ? weight : 0;
	}
	c->slope_g += pull * pull;
	c->offset_g += error * error;
	c->slope += RATE * pull / sqrt(c->slope_g);
	c->slope = fmax(SLOPE_LEAST, fmin(SLOPE_MOST, c->slope));
	c->offset += RATE * error / sqrt(c->offset_g);
}

double
calibrate_apply(const struct calibrate *c, double joined)
{
	double at = c->slope * joined + c->offset;
	double low = fmin(FLOOR_MOST, c->surprise[0] / c->firm[0]);
	double high = fmin(FLOOR_MOST, c->surprise[1] / c->firm[1]);
	double span = 1 - low - high;

	/* log((low + span * p) / (high + span * (1 - p))), p and 1 - p by
	 * themselves, so that nothing is lost near 1 */
	return log((low + span * sigmoid(at)) / (high + span * sigmoid(-at)));
}

bool
calibrate_valid(const struct calibrate *c)
{
	for (int side = 0; side < 2; side++)
		if (!isfinite(c->firm[side]) || !isfinite(c->surprise[side]) ||
		    !(c->surprise[side] > 0) || !(c->firm[side] > 0))
			return false;
	return c->slope >= SLOPE_LEAST && c->slope <= SLOPE_MOST &&
	    isfinite(c->offset) && c->slope_g > 0 && c->offset_g > 0;
}
