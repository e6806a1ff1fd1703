/*
 * verdict - what judge() found: plain data that explain prints, the milter
 * acts on and the log keeps. Belongs to the message's arena; strings may
 * point into message, evidence and ruleset, which must outlive it.
 *
 * Points are doubles kept to 0.001; sums are rounded to 0.001 after adding,
 * so that no order of addition shows.
 */
#ifndef SCORING_VERDICT_H
#define SCORING_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "scoring/evidence.h"

enum action { ACTION_ACCEPT, ACTION_TAG, ACTION_TEMPFAIL, ACTION_REJECT };

const char *action_name(enum action a); /* "accept" ... */

#define NO_OFFSET SIZE_MAX

/* A part of a meta that fired: what in the mail made the meta true */
struct hit_part {
	const char *rule, *target;
	unsigned count;
	struct span matched;
	size_t offset;
};

/* A rule that fired and carries a score or is shown */
struct hit {
	const char *rule;
	double score;	     /* what it adds: once, however often it hit */
	unsigned count;	     /* times it hit (tflags multiple) */
	const char *type;    /* "header", "body", "meta", "eval", "learned" */
	const char *target;  /* "Subject", "body", the parts of a meta, ... */
	struct span matched; /* bytes as matched; empty when nothing textual; of a
				meta: of its first part that has some */
	size_t offset;	     /* byte in the raw message, or NO_OFFSET */
	const char *file;    /* where the rule stands; NULL for built in */
	unsigned line;
	const char *describe; /* "" when none */
	const struct hit_part *parts; /* of a meta */
	size_t part_count;
	size_t index;	     /* of the rule in the ruleset; NO_OFFSET: none */
};

struct reputation_term {
	const char *identity; /* "dkim:example.org" */
	double ham, spam, score;
	int64_t last_seen;
};

/* A test that gave no answer */
struct open_test {
	const char *test; /* rule name, or "spf", "dkim", ... */
	const char *why;
	bool unknown;	  /* false: chosen not to run, counts 0 */
	double low, high; /* what it could have added, 0 unless unknown */
	size_t index;	  /* as in a hit */
};

/* A smallest set of hits without which the action would be another */
struct flip {
	const char **rules;
	size_t count;
	enum action action;
};

struct thresholds {
	double tag, tempfail, reject;
};

/* What a set that runs as shadow would have said: shown and kept, never
 * acted on */
struct shadow_verdict {
	const char *name, *hash;
	double score, score_low, score_high;
	enum action action;
	const char *fault; /* it did not finish: why; NULL */
};

struct rule_result; /* scoring/rules/ruleset.h */

struct verdict {
	double score;		   /* unknown tests counted as 0 */
	double score_low, score_high;
	struct thresholds thresholds;
	enum action action;	   /* after score_low, exemptions, greylist */
	enum action would_action;  /* the same but for observe and exemptions */
	const char *action_reason; /* one phrase where it is not the score */
	struct hit *hits;	   /* |score| descending, then name */
	size_t hit_count;
	struct reputation_term *reputation;
	size_t reputation_count;
	struct open_test *open;
	size_t open_count;
	struct flip *flips;
	size_t flip_count;
	bool truncated;		   /* only a prefix was scanned */
	uint64_t steps;		   /* counted work, for budgets */
	int score_set;		   /* which of a rule's four scores counted */
	double learned;		   /* the model's probability, < 0: none */
	const struct rule_result *results; /* of each rule, for shadows */
	struct shadow_verdict *shadows;
	size_t shadow_count;
	/* informative only: where the time went, in microseconds */
	struct {
		int64_t parse, gather, rules, total;
	} timing_us;
};

#endif
