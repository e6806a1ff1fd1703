/*
 * pattern - Perl regular expressions on PCRE2: translation, one compiled copy
 * of each distinct text, and matching against a step budget.
 *
 * A pool belongs to one ruleset. Patterns are added, compiled before anything
 * else is asked of them, made machine code when they are used often, and freed
 * with the pool; matching is safe from any number of threads, each with a
 * matcher of its own, all else from one.
 *
 * Steps are PCRE2's match steps. Its match limit holds for one starting
 * position only, and how much of it was used cannot be read back; so a
 * pattern first runs with a low limit over the whole subject, and only where
 * that does not suffice position by position with rising limits, each charged.
 * The work of one call is thus bounded by LOW_LIMIT * length + 16 * charged,
 * and the charge depends on pattern and subject alone.
 */
#ifndef SCORING_RULES_PATTERN_H
#define SCORING_RULES_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

struct pattern;
struct pattern_pool;
struct matcher;

enum {
	PATTERN_GROUPS = 64, /* capture groups that are kept */
};

struct pattern_pool *pattern_pool_new(struct arena *a); /* NULL: no memory */
void pattern_pool_free(struct pattern_pool *p);
size_t pattern_pool_count(const struct pattern_pool *p);

/* Takes "/text/mods", "m{text}mods" apart as SpamAssassin does. The result
 * is "(?mods)text" in *ret_text. NULL, or what is wrong (static). */
const char *pattern_strip(struct arena *a, struct span delimited,
    struct span *ret_text);
/* Perl's language to PCRE2's, appended to out. */
void pattern_translate(struct span perl, struct buf *out);
/* Adds a bare Perl pattern, or finds it. 0; -EINVAL: it is too long; -ENOMEM */
int pattern_add(struct pattern_pool *pool, struct span perl,
    struct pattern **ret_pattern, struct error *err);
/* All that were added, in two threads: of some thousands it is the longest part
 * of loading rules. pattern_compile() then only says how it went. */
void pattern_pool_compile(struct pattern_pool *pool);
/* 0; -EINVAL with the reason in err, however often it is asked; -ENOMEM */
int pattern_compile(struct pattern *p, struct error *err);

/* A pattern of one message, outside the list of the pool. 0, -EINVAL, -ENOMEM */
int pattern_new_alone(struct pattern_pool *pool, struct span perl,
    struct pattern **ret_pattern);
void pattern_free_alone(struct pattern *p); /* NULL is allowed */

struct span pattern_text(const struct pattern *p);  /* as PCRE2 reads it */
/* No match is shorter; 0 where that is not known */
size_t pattern_least(const struct pattern *p);
size_t pattern_index(const struct pattern *p);	    /* in its pool */
/* Named groups: calls fn for each (name, number). */
void pattern_names(const struct pattern *p,
    void (*fn)(void *context, const char *name, unsigned group),
    void *context);

struct match_budget {
	uint64_t steps;		/* charged so far */
	uint64_t message_steps; /* most that may be charged */
	uint64_t match_limit;	/* most for one match */
	uint32_t heap_limit_kb;
};

struct matcher *matcher_new(void); /* NULL: no memory */
void matcher_free(struct matcher *m);

enum pattern_result {
	PATTERN_MISS,
	PATTERN_HIT,
	PATTERN_LIMIT,	/* match or heap limit */
	PATTERN_BUDGET, /* message_steps is spent */
	PATTERN_NOMEM,
};

/* The first match at or behind from. not_empty: an empty match at from
 * itself does not count. groups may be NULL. */
enum pattern_result pattern_find(struct pattern *p, struct matcher *m,
    struct match_budget *b, struct span subject, size_t from, bool not_empty,
    struct span *groups, size_t group_count);

#endif
