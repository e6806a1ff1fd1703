/*
 * arc - what a trusted sealer says it saw: the methods of one
 * ARC-Authentication-Results field (RFC 8617 4.1.1, RFC 8601 2.2).
 *
 * Text only. Comments are passed over, quoted strings taken as one.
 */
#ifndef SCORING_AUTH_ARC_H
#define SCORING_AUTH_ARC_H

#include "base/arena.h"
#include "scoring/evidence.h"

enum { ARC_MAX_RESULTS = 64 };

/* 0 or -ENOMEM; what can not be understood is left out. */
int arc_results_parse(struct arena *a, struct span field_body,
    struct sealed_result **ret_results, size_t *ret_count);

#endif
