/*
 * model - the learned part: a memory-mapped file of weights, read by any
 * number of processes and threads, replaced atomically by one writer.
 *
 * A struct model is immutable and reference-counted. Damage is found by
 * checksum when opening: -EBADMSG, and the caller keeps the old one. It says
 * by itself when it has seen too little of either class to be used.
 *
 * What is learned: four logistic regressions over hashed features of the
 * sample (scoring/learn/sample.h), each with a rate per feature (AdaGrad),
 * joined by means of log-odds and probability and calibrated on predictions that
 * were made before each label. EXPERIMENTS.md has the reasons in figures.
 *
 * The label events of the database are the truth and the model is a
 * snapshot of their replay: learning is deterministic, so the same events
 * in the same order give the same file byte for byte. To forget an event,
 * open the last snapshot whose model_info.last_event is before it (or begin
 * with an empty model) and learn the later events again without it
 * (scoring/training.c). Everything learning needs of a message is in its
 * packed sample (sample_pack, at most SAMPLE_MAX_BYTES, compresses to about
 * 40 %), so the store keeps packed samples with the label events, not mail.
 */
#ifndef SCORING_LEARN_MODEL_H
#define SCORING_LEARN_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "scoring/learn/sample.h"
#include "scoring/message/message.h"

struct model;

/* 0; -ENOENT; -EBADMSG (damaged, or not a model); -EPROTONOSUPPORT (of
 * another version: begin anew by replay); -ENOMEM; -errno. */
int model_open(const char *path, struct model **ret_model, struct error *err);
struct model *model_ref(struct model *m);
void model_unref(struct model *m);

struct model_info {
	uint64_t ham, spam;   /* messages learned (weights not counted) */
	uint64_t need;	      /* of each, before it is active */
	int64_t last_event;   /* as given by the writer, 0: none */
	double noise;	      /* part of the labels it takes for mistakes */
	size_t size_bytes;    /* of the file */
};

void model_info(const struct model *m, struct model_info *ret_info);

struct model_feature {
	const char *text; /* "view:what", readable, escaped by the printer */
	double share;	  /* log-odds it adds, positive: spam */
};

struct model_prediction {
	bool active;	    /* false: not enough learned yet */
	const char *why;    /* when not active */
	double log_odds;    /* calibrated, natural logarithm; set even when
			       not active */
	struct model_feature *features; /* strongest first */
	size_t feature_count;
};

/* Pure. explain_count: how many features to name (0: none). 0 or -ENOMEM. */
int model_predict(const struct model *m, const struct sample_source *source,
    size_t explain_count, struct arena *a,
    struct model_prediction *ret_prediction);
int model_predict_sample(const struct model *m, const struct sample *s,
    size_t explain_count, struct arena *a,
    struct model_prediction *ret_prediction);

/*
 * The one writer: a private copy of the weights. Not shared between threads.
 */
struct model_writer;

struct model_options {
	/* of the file. 0: 64,000,000; at least 1,000,000, at most
	 * 64,000,000 */
	size_t size_bytes;
	/* messages of each class before it is active; 0: 50 */
	unsigned need;
};

/* An empty model. options NULL: defaults. 0, -ENOMEM, -EINVAL. */
int model_writer_new(const struct model_options *options,
    struct model_writer **ret_writer, struct error *err);
/* A copy of what is in the file; errors as model_open. */
int model_writer_open(const char *path, struct model_writer **ret_writer,
    struct error *err);
void model_writer_free(struct model_writer *w);

enum model_label { MODEL_HAM, MODEL_SPAM };

/* weight 1 for a person's label; 0 < weight <= 1. event grows with each
 * call, or is 0. Cannot fail. */
void model_writer_learn(struct model_writer *w, const struct sample *s,
    enum model_label label, double weight, int64_t event);
/* The writer's present weights, to predict with; borrowed, changes with
 * every learn. */
const struct model *model_writer_model(const struct model_writer *w);
/* Replaces path atomically and durably: a crash, a full disk or SIGKILL at
 * any moment leaves the old file or the new. 0 or -errno. */
int model_writer_save(struct model_writer *w, const char *path,
    struct error *err);

#endif
