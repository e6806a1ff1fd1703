/*
 * gate - may the candidate take the place of the scores in force? Decided on
 * labelled mail that came after the candidate was made, and that neither it
 * nor its certificate has seen.
 *
 * It has to beat the incumbent: in a paired bootstrap over senders (one
 * mailing moves as one) its cost is lower in at least `confidence` of the
 * resamples. And it still has to certify: with the held-out ham of the
 * tuning and the new ham together, at most `loss` of good mail reaches
 * reject_score, and the new ham alone does not contradict that.
 *
 * Pure and deterministic for one seed; memory is taken and given back.
 */
#ifndef TUNE_GATE_H
#define TUNE_GATE_H

#include "tune/result.h"

enum { GATE_RESAMPLES = 2000, GATE_MIN_CLASS = 30, GATE_MIN_DIFFERING = 6 };

struct gate_message {
	bool spam;
	bool stopped, would_stop; /* tagged or worse: now, by the candidate */
	bool would_reject;	  /* reaches the candidate's reject_score */
	uint64_t sender;	  /* the same for mail of one source */
};

struct gate_options {
	struct result_certified certified; /* of the candidate's file */
	double ham_cost;  /* a ham stopped, in spam missed */
	uint64_t seed;
};

enum gate_decision {
	GATE_ADOPT,
	GATE_WAIT,  /* not enough to tell: it stays shadow */
	GATE_WORSE, /* it is not to be adopted */
};

struct gate_report {
	enum gate_decision decision;
	char why[256]; /* one sentence */
	size_t ham, spam;
	size_t ham_stopped, ham_would_stop, spam_missed, spam_would_miss;
	size_t ham_would_reject;
	size_t differing; /* senders of whom something would change */
	double better;	  /* share of the resamples */
	double bound;	  /* loss of good mail that is certified */
};

/* 0 or -ENOMEM */
int gate_decide(const struct gate_message *messages, size_t count,
    const struct gate_options *o, struct gate_report *ret_report,
    struct error *err);

const char *gate_word(enum gate_decision d); /* "adopt", "wait", "worse" */

#endif
