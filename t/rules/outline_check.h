/*
 * What an outline has to keep, asked of PCRE2: whether a pattern matches a
 * text, and at how many places matches of it end. Options are those of the
 * rules, but for the optimisation that keeps only the longest of a repeat's
 * matches, all of which libhs reports. Limits make every answer bounded; where
 * one is reached it is "cannot be told".
 */
#ifndef T_RULES_OUTLINE_CHECK_H
#define T_RULES_OUTLINE_CHECK_H

#include <limits.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/span.h"

enum {
	CHECK_TEXT_BYTES = 255,
	CHECK_MATCH_LIMIT = 20000,
	CHECK_DEPTH_LIMIT = 1000,
	CHECK_HEAP_LIMIT_KB = 4096,
	CHECK_UNKNOWN = -1,
};

static inline pcre2_code *
check_compile(struct span pattern)
{
	PCRE2_SIZE at;
	int number;

	return pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len,
	    PCRE2_DUPNAMES | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP |
		PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_POSSESS,
	    &number, &at, NULL);
}

static inline pcre2_match_context *
check_limits(void)
{
	pcre2_match_context *c = pcre2_match_context_create(NULL);

	pcre2_set_match_limit(c, CHECK_MATCH_LIMIT);
	pcre2_set_depth_limit(c, CHECK_DEPTH_LIMIT);
	pcre2_set_heap_limit(c, CHECK_HEAP_LIMIT_KB);
	return c;
}

/* 1, 0 or CHECK_UNKNOWN */
static inline int
check_matches(const pcre2_code *code, struct span text)
{
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	pcre2_match_context *limits = check_limits();
	int r = pcre2_match(code, (PCRE2_SPTR)text.ptr, text.len, 0, 0, data,
	    limits);

	pcre2_match_context_free(limits);
	pcre2_match_data_free(data);
	return r >= 0 ? 1 : r == PCRE2_ERROR_NOMATCH ? 0 : CHECK_UNKNOWN;
}

/* Of a text of at most CHECK_TEXT_BYTES: how many of its places end a match,
 * of all matches, or CHECK_UNKNOWN */
static inline int
check_ends(const pcre2_code *code, struct span text)
{
	pcre2_match_data *data = pcre2_match_data_create(CHECK_TEXT_BYTES + 1,
	    NULL);
	pcre2_match_context *limits = check_limits();
	bool seen[CHECK_TEXT_BYTES + 1] = { false };
	int space[4000], n = 0;

	for (size_t i = 0; i <= text.len && n != CHECK_UNKNOWN; i++) {
		int r = pcre2_dfa_match(code, (PCRE2_SPTR)text.ptr, text.len, i,
		    PCRE2_ANCHORED, data, limits, space, 4000);

		if (r < 0 && r != PCRE2_ERROR_NOMATCH)
			n = CHECK_UNKNOWN;
		for (int k = 0; k < r; k++) {
			size_t end = pcre2_get_ovector_pointer(data)[2 * k + 1];

			n += !seen[end];
			seen[end] = true;
		}
	}
	pcre2_match_context_free(limits);
	pcre2_match_data_free(data);
	return n;
}

#endif
