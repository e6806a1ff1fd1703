/*
 * model - the learned part: a memory-mapped file of weights, read by any
 * number of processes and threads, replaced atomically by one writer.
 *
 * A struct model is immutable and reference-counted. Damage is found by
 * checksum when opening: -EBADMSG, and the caller keeps the old one. It says
 * by itself when it has seen too little of either class to be used.
 */
#ifndef SCORING_LEARN_MODEL_H
#define SCORING_LEARN_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "scoring/evidence.h"
#include "scoring/message/message.h"

struct model;

int model_open(const char *path, struct model **ret_model, struct error *err);
struct model *model_ref(struct model *m);
void model_unref(struct model *m);

struct model_feature {
	const char *text; /* readable, escaped by the printer */
	double share;	  /* log-odds it adds, positive: spam */
};

struct model_prediction {
	bool active;	    /* false: not enough learned yet */
	const char *why;    /* when not active */
	double log_odds;    /* calibrated, natural logarithm */
	struct model_feature *features; /* strongest first */
	size_t feature_count;
};

/* Pure. explain_count: how many features to name (0: none). 0 or -ENOMEM. */
int model_predict(const struct model *m, struct message *msg,
    const struct evidence *e, size_t explain_count, struct arena *a,
    struct model_prediction *ret_prediction);

#endif
