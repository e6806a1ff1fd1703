/*
 * shadow - scores or rules that are tried on live mail: judged beside the
 * real ones, never acting.
 *
 * Two kinds, told apart by what stands in the file. A set of scores (only
 * `score` lines and thresholds) is counted again from the hits and terms of
 * the verdict and costs next to nothing. A rule file with rules of its own
 * is a ruleset of its own: its hits are added to the verdict's, a rule that
 * it defines anew stands in for the running one (but not in running metas),
 * its metas may be over running rules, it asks no DNS questions, and it has a
 * step budget of its own (shadow_steps).
 *
 * Loaded once and immutable; safe for any number of threads. shadow_judge()
 * is pure, like judge(). What it returns belongs to the message's arena;
 * names belong to the shadow, which must outlive it.
 */
#ifndef SCORING_SHADOW_H
#define SCORING_SHADOW_H

#include "scoring/judge.h"

enum {
	SHADOW_MAX_SETS = 8, /* each costs every message a little */
	SHADOW_MAX_NAME = 40,
	SHADOW_MAX_FAULTS = 20, /* of all files, for the log */
};

/* The last result of tuning, in tuned_dir; a shadow by itself */
#define SHADOW_CANDIDATE "candidate"

/* Thresholds that a file of scores may set; NAN where it does not */
struct tuned_thresholds {
	double tag, tempfail, reject;
};
extern const struct setting tuned_thresholds_table[];
void tuned_thresholds_init(struct tuned_thresholds *t);
/* What t says put over s. tempfail_score gives way to the other two where t
 * does not set it itself. */
void tuned_thresholds_apply(const struct tuned_thresholds *t,
    struct scoring_settings *s);

enum shadow_kind { SHADOW_SCORES, SHADOW_RULES };

struct shadow;

struct shadow_options {
	const char *name;  /* letters, digits, "-", "_" and "." */
	const char *path;
	/* what it runs beside; both must outlive it */
	const struct scoring_settings *settings;
	const struct ruleset *ruleset;
	/* It would take the place of the tuned file: what that file says does
	 * not count. NULL: it runs over the scores in force; else the
	 * thresholds without the tuned file. Only scores may stand in it. */
	const struct thresholds *untuned;
};

bool shadow_name_valid(const char *name);
/* All faults go to diags. 0, -EINVAL, -ENOMEM. */
int shadow_load(const struct shadow_options *o, struct diags *diags,
    struct shadow **ret_shadow, struct error *err);
void shadow_free(struct shadow *s); /* NULL is allowed */

const char *shadow_name(const struct shadow *s);
const char *shadow_path(const struct shadow *s);
/* SHA-256 of what was loaded, 64 hex digits */
const char *shadow_hash(const struct shadow *s);
enum shadow_kind shadow_kind(const struct shadow *s);
/* Scores that it changes, rules that it brings */
size_t shadow_score_count(const struct shadow *s);
size_t shadow_rule_count(const struct shadow *s);

/* v: the real verdict of the same input, whose ruleset is the one that the
 * shadow was loaded beside. 0 or -ENOMEM. */
int shadow_judge(const struct shadow *s, const struct judge_input *in,
    const struct verdict *v, struct shadow_verdict *ret_verdict);

/* All that run beside one ruleset */
struct shadow_list {
	struct shadow *sets[SHADOW_MAX_SETS];
	size_t count;
	const char *faults[SHADOW_MAX_FAULTS]; /* "file:line: text" */
	size_t fault_count;
};

/* The setting `shadow` of o->settings, and the candidate's file if it is
 * there (NULL: not looked for). A file that cannot be loaded is left out and
 * told in faults and, as a warning, in diags; strict: as errors. Texts live
 * in a. 0 or -ENOMEM. */
int shadow_list_load(struct shadow_list *list, const struct shadow_options *o,
    const char *candidate, const struct thresholds *untuned, bool strict,
    struct arena *a, struct diags *diags);
void shadow_list_done(struct shadow_list *list);
bool shadow_list_has(const struct shadow_list *list, enum shadow_kind kind);
/* Adds to v->shadows what those of one kind say. 0 or -ENOMEM: the rest is
 * not there. */
int shadow_list_judge(const struct shadow_list *list, enum shadow_kind kind,
    const struct judge_input *in, struct verdict *v);

#endif
