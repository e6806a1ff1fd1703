/*
 * scores - from a cleaned set to scores: which rules may move and how far,
 * the fit, and labels that are not believed.
 *
 * What keeps a fit from harm is here:
 *  - a rule moves only when enough messages hit it (min_hits); with few hits
 *    the pull towards the score in force outweighs them;
 *  - no rule but one with tflags nice (hard to forge) goes below 0, and none
 *    that is above 0 becomes a bonus;
 *  - no rule is worth tag_score by itself (promise 4);
 *  - of rules that hit the same messages, as a meta and its only part do,
 *    one moves, and together they stay below that limit too;
 *  - a label that may be wrong (tune/doubt.h) weighs less, down to nothing;
 *    one that surely is is not fitted to. Of held-out mail such labels are
 *    only named: what the messages are a person must say, and until then
 *    they count in certificate and comparison as they are labelled.
 *
 * The fit is done twice: at even cost, then with ham near and above the
 * threshold at its full cost, which is where mail is lost. How strongly
 * scores are held to those in force is chosen by cross-validation, campaigns
 * kept together, and so is the threshold: it may be lowered, but stays above
 * every rule that is not fitted. Deterministic for one seed.
 */
#ifndef TUNE_SCORES_H
#define TUNE_SCORES_H

#include "tune/set.h"

/* A label that is wrong with this probability is named and not fitted to; one
 * that may as well be wrong as right has lost its weight by then. */
#define SCORES_DOUBTED 0.9

struct scores_options {
	double ham_cost;   /* what a ham lost costs, in spam missed */
	double tag;	   /* in force; a lower one may be chosen */
	double margin;	   /* a rule alone stays so far below it */
	unsigned min_hits; /* a rule with fewer keeps its score */
	uint64_t seed;	   /* of the folds */
};

enum scores_why {
	SCORES_KEPT,	  /* not the tuner's, or nothing hit it */
	SCORES_FEW_HITS,
	SCORES_TWIN,	  /* another rule hits the same messages */
	SCORES_FITTED,
	SCORES_AT_LIMIT,  /* so that it does not condemn alone */
	SCORES_AT_ZERO,	  /* it speaks the other way, but can be forged */
};

struct scores_rule {
	size_t ham, spam; /* messages of the fit that it hit */
	double so, so_low, so_high; /* spam's share, classes weighing the same,
				       with its interval */
	enum scores_why why;
	uint32_t twin;	  /* SCORES_TWIN: which */
};

struct scores_report {
	size_t ham, spam, rules, moved;
	size_t suspects, held_suspects; /* labels doubted: not fitted to; of
					   held-out mail */
	double tag;	  /* as chosen */
	double pull;	  /* as chosen: l2 */
	double cv_before, cv_after; /* cost a message of the fit, before and
				       by cross-validation */
	unsigned sweeps;
	double residual;
};

/* scores and rules: one a rule of the set. Says of messages how likely their
 * labels are wrong, and marks those not fitted to TUNE_SUSPECT. The report is
 * filled as far as it came. 0; -ENODATA: not enough of a class, text in err; -ENOMEM. */
int scores_fit(struct tune_set *s, const struct scores_options *o,
    double *scores, struct scores_rule *rules, struct scores_report *ret_report,
    struct error *err);

#endif
