/*
 * evaluate - what the files of the verb `spamscore evaluate` share: one
 * stream of judged messages, and the plot of it.
 */
#ifndef CLI_EVALUATE_H
#define CLI_EVALUATE_H

#include <stdio.h>

#include "base/error.h"
#include "scoring/learn/metrics.h"

/* Writes an SVG: ROC on log-log axes, and 1-ROCA as the stream went on.
 * items in order of arrival. 0 or -errno. */
int evaluate_plot(const char *path, const char *title,
    const struct metrics_item *items, size_t count, struct error *err);

#endif
