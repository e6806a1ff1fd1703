/*
 * metrics - how good were scores against labels: the figures of the TREC
 * spam track (Cormack and Lynam) and exact intervals. Pure; any thread.
 */
#ifndef SCORING_LEARN_METRICS_H
#define SCORING_LEARN_METRICS_H

#include <stdbool.h>
#include <stddef.h>

struct metrics_item {
	double score; /* larger: more like spam; finite */
	bool spam;
};

struct metrics {
	size_t ham, spam;
	size_t ham_lost, spam_missed; /* at the threshold */
	double roca_pct;	      /* 1-ROCA: share of (ham, spam) pairs in
					 the wrong order, ties half */
	double lam_pct;		      /* logistic average of the two shares
					 at the threshold */
	double missed_pct[3];	      /* of spam, when at most 0.01, 0.1 and
					 1 % of ham is lost */
};

/* Sorts items by score. Shares of an empty class are 0. */
void metrics_compute(struct metrics_item *items, size_t count,
    double threshold, struct metrics *ret_metrics);

/* 1-ROCA alone, in percent; items sorted by score or not (then sorts) */
double metrics_roca_pct(struct metrics_item *items, size_t count);

/* The exact (Clopper-Pearson) interval of a share: k of n were seen. */
void metrics_interval(size_t k, size_t n, double confidence, double *ret_low,
    double *ret_high);

/* One band of predicted probability */
struct metrics_band {
	double from, to;	/* of the prediction */
	size_t count, spam;
	double mean;		/* of the predictions */
	double low, high;	/* exact 99 % interval of the share of spam */
};

enum { METRICS_BANDS = 10 };
/* log_odds: scores that claim to be natural log-odds of spam */
void metrics_calibration(const struct metrics_item *log_odds, size_t count,
    struct metrics_band ret_bands[METRICS_BANDS]);

#endif
