/*
 * candidates - candidate databases: one pass over a text tells which rules of a kind
 * may match it (libhs; PCRE2 then confirms).
 *
 * A database belongs to the patterns of one kind of rule, or to what these
 * are for plain text only, and is kept in a file whose name is the hash of these patterns, of the library's version
 * and of the CPU features it was built for. It only ever says "may match":
 * patterns that libhs cannot take are always candidates. A missing, stale or
 * damaged file means no database, which changes speed and nothing else.
 *
 * Without libhs (HAVE_HYPERSCAN 0) there are no databases.
 */
#ifndef SCORING_RULES_CANDIDATES_H
#define SCORING_RULES_CANDIDATES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

struct ruleset;
struct hs_target;

/* In the order of building: what takes longest first */
enum hs_set {
	HS_BODY,
	HS_OTHER_BODY, /* long body rules: what is not plain text (outline.h) */
	HS_RAWBODY,
	HS_PLAIN_BODY, /* long body rules: plain text */
	HS_URI, HS_FULL, HS_SETS,
};
const char *hs_set_name(enum hs_set set);

/* NULL: there is no usable file, why says so; or there are no such rules. */
struct hs_target *hs_target_open(const struct ruleset *rs, enum hs_set set,
    const char *dir, struct error *why);
void hs_target_free(struct hs_target *t);

struct hs_build {
	char file[128]; /* name in dir */
	size_t patterns, left_out, bytes;
	bool kept; /* it was there already */
};
/* Builds and writes the file, atomically. 0; -ENOTSUP without libhs or
 * without rules of that kind; -errno. */
int hs_target_build(const struct ruleset *rs, enum hs_set set, const char *dir,
    struct hs_build *ret_build, struct error *err);

/* The least and the most bytes that a PCRE2 pattern can match (most:
 * UINT32_MAX without end). false: libhs does not know it. */
bool hs_widths(const char *text, uint32_t *ret_least, uint32_t *ret_most);

typedef void hs_candidate_fn(void *context, uint32_t rule);
/* Calls fn once for each rule that may match. *scratch is NULL at first and
 * belongs to one thread; freed with hs_scratch_free(). 0 or -ENOMEM */
int hs_target_scan(const struct hs_target *t, void **scratch, struct span text,
    hs_candidate_fn *fn, void *context);
void hs_scratch_free(void *scratch);

#endif
