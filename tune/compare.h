/*
 * compare - what scores do to labelled mail: good mail lost, spam missed,
 * and how much better that is than no filter (Androutsopoulos' TCR), before
 * and after. Pure, but for memory taken and given back.
 */
#ifndef TUNE_COMPARE_H
#define TUNE_COMPARE_H

#include "tune/certify.h"
#include "tune/set.h"

struct compare_share {
	size_t count, of;
	double share, low, high; /* exact interval */
};

struct compare_figures {
	struct compare_share lost, missed; /* at tag_score */
	/* spam / (ham_cost x lost + missed), with the interval of resampled
	 * campaigns; INFINITY when nothing was lost or missed */
	double tcr, tcr_low, tcr_high;
};

struct compare_options {
	enum tune_use use;   /* which messages */
	double ham_cost, confidence;
	uint64_t seed;	     /* of the resampling */
};

struct compare_side {
	const double *scores; /* one a rule */
	double tag;
};

struct compare_report {
	struct compare_figures before, after;
	/* resampled campaigns in which the cost after is lower, of all */
	double better;
};

/* 0 or -ENOMEM */
int compare_run(const struct tune_set *s, const struct compare_options *o,
    const struct compare_side *before, const struct compare_side *after,
    struct compare_report *ret_report);

/* Scores of all ham that is held out, ascending; the caller frees. */
int compare_held_ham(const struct tune_set *s, const double *scores,
    double **ret_list, size_t *ret_count);

/* "0.37": a share in percent, two digits; returns out */
const char *compare_percent(double share, char out[16]);

/* "at most 0.1 % of good mail reaches 12 (confidence 95 %, 3,100 messages)"
 * or "not certifiable: 2,995 needed, 812 given; the bound that holds is
 * 0.37 %", as C string in out */
void compare_certificate_text(const struct certificate *c, double loss,
    double confidence, char *out, size_t size);

#endif
