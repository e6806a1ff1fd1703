/*
 * set - labelled mail as the tuner sees it: which rules each message hit,
 * when it came, what it looks like, and nothing of its text.
 *
 * A struct tune_set owns all it holds: names are copied into its arena, the
 * hits lie in one array. It is filled on one thread, in any order;
 * tune_set_order() then brings it into the one order (time, identity, name)
 * that everything behind depends on, so that the same mail gives the same
 * scores however it was found. At most TUNE_MAX_MESSAGES messages.
 */
#ifndef TUNE_SET_H
#define TUNE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "tune/sketch.h"

enum { TUNE_IDENTITY = 16, TUNE_MAX_MESSAGES = 2000000 };

/* A rule that carries a score */
struct tune_rule {
	const char *name;
	double current;	   /* score in force */
	double shipped;	   /* without tuned.cf */
	bool nice;	   /* tflags nice: hard to forge, may go below 0 */
	bool alone;	   /* may reject by itself, so it may tag by itself */
	const char *fixed; /* why its score is not the tuner's; NULL: it is */
};

/* What becomes of a message; tune/clean.h decides */
enum tune_use {
	TUNE_FIT,	   /* scores are fitted to it */
	TUNE_HELD_OUT,	   /* only judged: certificate and comparison */
	TUNE_DUPLICATE,	   /* like one that is there already */
	TUNE_CONTRADICTED, /* the same message is ham and spam */
	TUNE_SUSPECT,	   /* its label is doubted: not fitted to */
};

struct tune_message {
	const char *name; /* path, or id of the verdict */
	bool spam;
	int64_t time;	  /* 0: not known */
	unsigned char identity[TUNE_IDENTITY];
	struct sketch sketch;
	double fixed;	  /* points of what was learned and of reputation */
	size_t first_hit; /* into tune_set.hits; rule numbers, ascending */
	uint32_t hit_count;
	uint32_t campaign; /* messages of one mailing share a number */
	double weight;	   /* beside what its class costs: age */
	bool newer;	   /* all of its mailing came behind the boundary that
			      held-out mail begins at */
	enum tune_use use;
	double wrong;	   /* how likely its label is, by the fit */
	size_t source;	   /* the collector's own number of it */
	bool before_model; /* judged when none took part, but one does now */
};

struct tune_set {
	struct arena *arena;
	struct tune_rule *rules;
	size_t rule_count;
	struct tune_message *messages;
	size_t count, alloc;
	uint32_t *hits;
	size_t hit_count, hit_alloc;
	size_t unreadable; /* files that held no message */
	size_t vanished;   /* hits of rules that are no more */
	size_t before_model; /* left out: judged before the model took part */
	size_t tests_open; /* messages with tests that did not finish */
};

struct ruleset;
/* Takes the scored rules of score set 0 to 3 from a ruleset; rule numbers are
 * the ruleset's. 0 or -ENOMEM. */
int tune_set_init(struct tune_set *s, const struct ruleset *rs, int score_set);
void tune_set_done(struct tune_set *s);

/* Copies name and hits; hits need not be in order, what stands twice counts
 * once. 0; -EINVAL: a rule number out of range; -E2BIG; -ENOMEM. */
int tune_set_add(struct tune_set *s, const struct tune_message *m,
    const uint32_t *hits, size_t hit_count);

void tune_set_order(struct tune_set *s);

/* Other hits and points for message i, as by tune_set_add */
int tune_set_rejudge(struct tune_set *s, size_t i, double fixed,
    const uint32_t *hits, size_t hit_count);

/* Which of `folds` parts of the set message i is in. A mailing is in one
 * part, and it is by what its first message is, not where it stands: one more
 * message elsewhere does not shuffle all the others. */
unsigned tune_set_fold(const struct tune_set *s, size_t i, uint64_t seed,
    unsigned folds);

/* Points of message m with `scores` (one a rule), rounded as judge() does */
double tune_set_score(const struct tune_set *s, const struct tune_message *m,
    const double *scores);

#endif
