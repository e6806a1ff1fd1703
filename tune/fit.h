/*
 * fit - scores of rules fitted to labelled mail: a convex problem with one
 * answer, found by projected coordinate descent.
 *
 *   minimise over s:  sum_i w_i log(1 + exp(-y_i (f_i + x_i.s - t)))
 *                   + sum_j l2_j / 2 (s_j - current_j)^2
 *   subject to        lower_j <= s_j <= upper_j
 *
 * x_i are the hits of message i (0 or 1, sparse), y_i +1 for spam and -1 for
 * ham, f_i points that are not fitted (learned and reputation terms, with
 * predictions made before the label was seen), t the threshold. One point is
 * one unit of log-odds. With l2_j > 0 the optimum is unique: the same input
 * gives the same scores to the last digit, whatever the machine's load.
 *
 * Pure; one thread; memory is the caller's input and 3 doubles a message and
 * 2 a rule, allocated inside and freed before return.
 */
#ifndef TUNE_FIT_H
#define TUNE_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct fit_problem {
	size_t messages, rules;
	/* hits of message i: columns[row_start[i] .. row_start[i + 1]), rule
	 * numbers ascending without repeats; row_start has messages + 1 */
	const uint32_t *row_start;
	const uint32_t *columns;
	const int8_t *label;   /* +1 spam, -1 ham */
	const double *weight;  /* > 0, what an error on this message costs */
	const double *fixed;   /* points besides the fitted ones; NULL: 0 */
	double threshold;
	const double *current; /* scores in force, where l2 pulls to */
	const double *lower, *upper;
	const double *l2;      /* > 0 */
};

struct fit_options {
	unsigned max_sweeps;
	double tolerance; /* largest projected gradient at the end */
	bool warm;	  /* begin at the scores that are given */
};

struct fit_report {
	unsigned sweeps;
	double objective;
	double residual; /* largest projected gradient: 0 at the optimum */
	int converged;
};

/* 0; -EINVAL: the problem is not well formed; -ENOMEM. scores has `rules`
 * places; what they hold matters only to a warm start. */
int fit_run(const struct fit_problem *p, const struct fit_options *o,
    double *scores, struct fit_report *ret_report, struct error *err);

/* The objective at `scores`, by a plain pass over the data. */
double fit_objective(const struct fit_problem *p, const double *scores);

#endif
