/*
 * candidates - candidate databases: one pass over a text tells which rules of a kind
 * may match it (libhs; PCRE2 then confirms).
 *
 * A set of databases belongs to the patterns of one kind of rule, or to what
 * these are for plain text only, and is kept in a file whose name is the hash
 * of these patterns, of the library's version and of the CPU features it was
 * built for. It only ever says "may match": patterns that libhs cannot take
 * are always candidates. A missing, stale or damaged file means no databases,
 * which changes speed and nothing else.
 *
 * A set has one piece (database), but that of header rules one for each header
 * that many of them look at: rs->header_groups says which.
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
	HS_HEADER, HS_URI, HS_FULL, HS_SETS,
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

/* Texts one behind the other, each but the last followed by a newline: a scan
 * of a short text is mostly fetching the database, so all are scanned at once. */
struct hs_texts {
	struct span joined;
	const size_t *ends; /* where text i ends in it; ascending */
	size_t count;	    /* at least 1 */
};
enum { HS_BLOCKS = 64 };
/* The block of text i, one of HS_BLOCKS */
static inline unsigned
hs_block(const struct hs_texts *t, size_t i)
{
	return (unsigned)(i * HS_BLOCKS / t->count);
}

/* The rule may match texts of those blocks (a bit each) and no others. */
typedef void hs_candidate_fn(void *context, uint32_t rule, uint64_t blocks);
/* Calls fn once for each rule of the piece that may match one of the texts.
 * *scratch is NULL at first and belongs to one thread; freed with
 * hs_scratch_free(). 0 or -ENOMEM */
int hs_target_scan(const struct hs_target *t, size_t piece, void **scratch,
    const struct hs_texts *texts, hs_candidate_fn *fn, void *context);
void hs_scratch_free(void *scratch);

#endif
