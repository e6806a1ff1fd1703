/*
 * twins - rules that hit the same messages, as a meta and its only part do:
 * one fact that must not be counted twice.
 */
#ifndef TUNE_TWINS_H
#define TUNE_TWINS_H

#include "tune/scores.h"

enum { TWINS_NONE = -1 }; /* a rule without a column */

/* Among n rules (moving, ascending; column_of each rule says where it stands
 * there) marks all but the strongest of those that hit the same of the rows
 * (messages of s): why becomes SCORES_TWIN, twin a stronger one. rules must
 * hold how many of the rows each hits. 0 or -ENOMEM. */
int twins_find(const struct tune_set *s, const uint32_t *rows,
    size_t row_count, const long *column_of, const uint32_t *moving, size_t n,
    struct scores_rule *rules);

#endif
