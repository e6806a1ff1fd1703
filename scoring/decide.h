/*
 * decide - from points to an action: the one place where thresholds, the
 * single-hit guard, exemptions and greylisting meet. Pure; shared by judge()
 * and by the sets that run as shadow, so that they cannot differ.
 */
#ifndef SCORING_DECIDE_H
#define SCORING_DECIDE_H

#include <math.h>

#include "scoring/envelope.h"
#include "scoring/evidence.h"
#include "scoring/settings.h"
#include "scoring/verdict.h"

struct deciding {
	const struct scoring_settings *settings;
	const struct evidence *evidence;
	bool exempt;	     /* a recipient that must stay reachable */
	bool dmarc;	     /* dmarc_reject applies */
	bool single_rejects; /* a hit that may reject by itself */
};

/* To 0.001, never -0 */
static inline double
points_round(double p)
{
	double r = round(p * 1000.0) / 1000.0;

	return r == 0 ? 0 : r;
}

/* single_rejects is the caller's, false at first. */
void deciding_init(struct deciding *d, const struct scoring_settings *s,
    const struct evidence *e, const struct envelope *env);

/* The action of a lower bound `low` whose largest part is `largest`. */
enum action decide(const struct deciding *d, double low, double largest,
    const char **ret_reason);

#endif
