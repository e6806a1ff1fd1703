/*
 * evaluate - what the files of the verb `spamscore evaluate` share: one
 * stream of judged messages, and the plot of it.
 */
#ifndef CLI_EVALUATE_H
#define CLI_EVALUATE_H

#include <stdio.h>

#include "base/error.h"
#include "scoring/learn/metrics.h"
#include "scoring/learn/model.h"

/* Writes an SVG: ROC on log-log axes, and 1-ROCA as the stream went on.
 * items in order of arrival. 0 or -errno. */
int evaluate_plot(const char *path, const char *title,
    const struct metrics_item *items, size_t count, struct error *err);

/* An evaluation that is over; items in order of arrival */
struct evaluate_report {
	const struct metrics_item *items;   /* the scores that count */
	const struct metrics_item *learned; /* LEARNED's log-odds */
	char *const *paths;
	size_t count, labelled, not_messages;
	int64_t cpu_us;
	double threshold;
	struct model_info info;
};

/* Prints it, and writes the files that are asked for (NULL: not). An exit
 * code; complaints were printed. */
int evaluate_report(const struct evaluate_report *r, bool json,
    const char *scores_path, const char *plot_path);

#endif
