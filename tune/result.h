/*
 * result - tuned.cf and candidate.cf: what a tuning found, in the rule
 * language, with everything that explains it in comments.
 *
 *   # spamscore-tuned 1
 *   # made: 2026-11-23T17:00:00Z (1795453200)
 *   # ruleset: HASH
 *   # seed: 1
 *   # fitted to: 4150 ham, 1896 spam
 *   # judged on: 1200 ham, 400 spam
 *   # certified: yes, loss 0.001, confidence 0.95, lost 2 of 3100
 *   # certificate reject: SENTENCE
 *   # certificate tag: SENTENCE
 *   reject_score 12.5
 *
 *   # NAME: 12 ham, 345 spam, S/O 0.981 (0.95 .. 0.99): why it moved
 *   # base NAME OLD
 *   score NAME NEW
 *
 * OLD is the score without tuned.cf, as shipped or set by the administrator:
 * when it is another one day, the entry was fitted beside rules that are no
 * more (result_stale). The reader takes this form and nothing else, so that a
 * file that was cut, doubled or edited into something strange is refused; an
 * edited score is taken. Names are the rule language's: text from mail cannot
 * become a line.
 */
#ifndef TUNE_RESULT_H
#define TUNE_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/error.h"

enum { RESULT_MAX_BYTES = 8 << 20, RESULT_MAX_NAME = 250 };

struct result_entry {
	const char *name;
	double base; /* without tuned.cf */
	double old;  /* in force when it was tuned */
	double score;
	size_t ham, spam;	    /* messages that it hit */
	double so, so_low, so_high; /* spam's share, classes weighing the same */
	const char *why;
	unsigned line; /* of the score line, when read */
};

struct result {
	int64_t made; /* unix seconds */
	const char *ruleset;
	uint64_t seed;
	size_t fit_ham, fit_spam, held_ham, held_spam;
	/* the certificate at reject_score in numbers, for the release gate */
	struct result_certified {
		bool holds;
		double loss, confidence; /* as shares */
		size_t lost, given;	 /* of the ham that was held out */
	} certified;
	const char *certificate_reject, *certificate_tag;
	bool has_tag, has_reject;
	double tag_score, reject_score;
	struct result_entry *entries; /* names ascending */
	size_t count;
};

/* A name that may stand in a score line */
bool result_name_is_valid(const char *name);

/* The file's text. 0; -EINVAL: a name that is none, or out of order; -ENOMEM. */
int result_format(const struct result *r, struct buf *out, struct error *err);

/* Everything belongs to a. 0; -EINVAL: errors are in diags, with file and
 * line; -ENOENT, -errno: the file; -ENOMEM. */
int result_read(const char *path, struct arena *a, struct diags *diags,
    struct result *ret_result, struct error *err);
/* The same from memory; name is the file's in messages. */
int result_parse(struct span text, const char *name, struct arena *a,
    struct diags *diags, struct result *ret_result, struct error *err);

/* Was the entry fitted beside another score than what is shipped now? */
bool result_stale(const struct result_entry *e, double shipped);

#endif
