/*
 * tune - what the files of the verb share.
 */
#ifndef CLI_TUNE_H
#define CLI_TUNE_H

#include "cli/cli.h"
#include "tune/clean.h"
#include "tune/compare.h"
#include "tune/result.h"
#include "tune/scores.h"
#include "tune/set.h"

struct tune_options {
	struct judge_options judge;
	const char **ham, **spam;
	size_t ham_count, spam_count;
	bool from_log, dry_run;
	int64_t jobs;
	const char *cache;  /* NULL: beside the results; "none" */
	const char *output; /* NULL: the candidate */
	const char *plot;
	double max_ham_loss, confidence; /* shares */
	uint64_t seed;
};

/* Everything a tuning found, for those who print it */
struct tuning {
	const struct tune_options *o;
	double ham_cost;
	unsigned min_hits;
	struct tune_set set;
	size_t from_cache;
	struct clean_report clean;
	struct scores_report fit;
	struct scores_rule *rules; /* one a rule of the set */
	double *before, *after;	   /* scores, one a rule */
	struct thresholds thresholds_before, thresholds_after;
	struct certificate reject, tag;
	size_t reject_lost; /* of the ham held out */
	char reject_text[200], tag_text[200];
	struct compare_report compare;
	struct result result;
	const char *path; /* where it was written; not by a dry run */
};

/* Each as soon as its step is done; nothing with --json */
void tune_print_collect(const struct tuning *t);
void tune_print_clean(const struct tuning *t);
void tune_print_fit(const struct tuning *t);
/* Also where too little was left to fit to */
void tune_print_doubted(const struct tuning *t);
void tune_print_certificate(const struct tuning *t);
void tune_print_compare(const struct tuning *t);
void tune_print_result(const struct tuning *t);
/* Everything, in one object; an exit code */
int tune_print_json(const struct tuning *t);
/* Score distributions and ROC of the held-out mail, before and after, and the
 * rules that moved most, as SVG. 0 or -errno. */
int tune_plot(const struct tuning *t, const char *path, struct error *err);
/* Why a rule's score is what it is; out is used for what is put together */
const char *tune_why(const struct tuning *t, size_t rule, char *out,
    size_t size);

/* Where the messages of a set were found */
struct collection;
void tune_collection_free(struct collection *c);
struct mail;
const struct mail *tune_collection_mail(const struct collection *c,
    const struct tune_message *m);

/* Judges the folders' mail by the engine of rt, whose model must be none; on
 * several threads, the same result on any number of them. */
int tune_collect(const struct tune_options *o, struct runtime *rt,
    const char *cache_path, int score_set, struct tune_set *ret_set,
    size_t *ret_from_cache, struct collection **ret_collection);
/* Rules of a verdict, in a. 0 or -ENOMEM */
int tune_hits(const struct runtime *rt, const struct verdict *v,
    struct arena *a, uint32_t **ret_hits, size_t *ret_count);

/* Once the set is clean: judges its mail again, for the points that a model
 * and a reputation give a message whose label they have not seen. */
int tune_terms(const struct tune_options *o, struct runtime *rt,
    const struct collection *c, struct tune_set *set);

/* Has it learned enough of both classes to be used? NULL: no. */
bool tune_model_is_active(const char *path);

#endif
