/*
 * fromlog - labelled mail from the verdict log: the hits and terms as they
 * were recorded, so that what was learned had not seen the label.
 *
 * What was judged before the model took part lacks its points, and is not as
 * mail to come will be: where the model is in use, it is left out as soon as
 * it is the lesser part of both classes. Hits of rules that are no more are
 * dropped and counted. Texts are compared by the samples that the model's
 * lessons keep; a message without one is like no other. Only reads the store.
 */
#ifndef TUNE_FROMLOG_H
#define TUNE_FROMLOG_H

#include "db/labels.h"
#include "scoring/rules/ruleset.h"
#include "tune/set.h"

/* Fills a set that tune_set_init() made from the same ruleset. since: unix
 * seconds, 0: all. learned: the model is in use. 0; -ENOMEM; -E2BIG; what store_labelled() returns. */
int fromlog_collect(struct store *store, const struct ruleset *rs,
    int64_t since, bool learned, struct tune_set *s, struct error *err);

/* One record (JSON of a verdict) into hits and terms; false: it is none.
 * hits has `most` places. For tests and the fuzzer. */
struct fromlog_record {
	double fixed;
	size_t hit_count, vanished;
	bool tests_open, learned; /* the model took part */
};
bool fromlog_parse(struct span record, const struct ruleset *rs,
    uint32_t *hits, size_t most, struct fromlog_record *ret_record);

#endif
