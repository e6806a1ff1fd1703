/*
 * svg - what the pictures of evaluate and tune share: a white page, square
 * frames on it, shares on logarithmic axes, the ROC curve as the TREC spam
 * track drew it. Text that is handed in must be free of markup.
 */
#ifndef CLI_SVG_H
#define CLI_SVG_H

#include <stdio.h>

#include "base/error.h"
#include "scoring/learn/metrics.h"

enum { SVG_SIZE = 420, SVG_LEFT = 70, SVG_TOP = 50, SVG_GAP = 110 };

/* Shares below are drawn on the edge */
#define SVG_LEAST 1e-5

/* A page for `frames` frames beside each other. 0 or -errno. */
int svg_open(const char *path, unsigned frames, const char *title,
    FILE **ret_file, struct error *err);
/* 0 or -errno: not all of it was written. */
int svg_close(FILE *f, const char *path, struct error *err);

/* Where the n-th frame begins */
double svg_x(unsigned n);
/* 0 (SVG_LEAST) to 1 (all) */
double svg_at_log(double share);
void svg_frame(FILE *f, double x0, const char *title, const char *x_label,
    const char *y_label);
void svg_grid_y(FILE *f, double x0);
/* The same below the frame */
void svg_grid_x(FILE *f, double x0);
/* Sorts items. class: c (blue) or b (grey) */
void svg_roc(FILE *f, double x0, struct metrics_item *items, size_t count,
    char class);

#endif
