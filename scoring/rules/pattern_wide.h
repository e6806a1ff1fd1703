/*
 * pattern_wide - the few patterns that are too large for PCRE2's 8-bit
 * library (its internal links are two bytes), in the 32-bit one: a byte is a
 * code unit there too, so that offsets are the same. Private to pattern.c.
 */
#ifndef SCORING_RULES_PATTERN_WIDE_H
#define SCORING_RULES_PATTERN_WIDE_H

#include <stdint.h>

#include "base/span.h"

struct wide;	     /* a compiled pattern */
struct wide_matcher; /* one a thread */

/* PCRE2's error number, 0 on success. options are PCRE2's. */
int wide_compile(struct span text, uint32_t options, const uint8_t *fold,
    size_t max_bytes, struct wide **ret_wide);
/* With the same patterns, for wide_jit(). NULL: no memory */
struct wide *wide_copy(const struct wide *w);
void wide_jit(struct wide *w);
void wide_free(struct wide *w);

struct wide_matcher *wide_matcher_new(void);
void wide_matcher_free(struct wide_matcher *m);
/* Widens the subject once; the calls of wide_match() are about it. */
int wide_subject(struct wide_matcher *m, struct span s);
/* PCRE2's result; *ret_groups is its ovector */
int wide_match(struct wide *w, struct wide_matcher *m, size_t from, size_t last,
    uint32_t options, uint32_t limit, uint32_t heap_limit_kb,
    const size_t **ret_groups);

#endif
