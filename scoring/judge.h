/*
 * judge - from evidence to verdict: a pure function. No I/O, no clock, no
 * global state; the same input gives the same verdict, byte for byte. Safe
 * to call from many threads with one ruleset and model.
 *
 *  - score: the sum of the hits' scores and of the reputation terms.
 *  - unknown tests make [score_low, score_high]; the action follows the
 *    lower end.
 *  - reject needs score_low >= reject and still >= tag without the largest
 *    hit (the stated exceptions: rules with tflags spamscore_reject, such as
 *    GTUBE and the administrator's blocklists, and dmarc_reject).
 *  - exempt recipients: the strongest action is tag.
 *  - tempfail is for the first sight of a greylist key; where the store
 *    failed and could not tell, mail is tagged instead, or it would be
 *    deferred for ever. Reputation that could not be read counts 0.
 */
#ifndef SCORING_JUDGE_H
#define SCORING_JUDGE_H

#include "base/arena.h"
#include "base/error.h"
#include "scoring/envelope.h"
#include "scoring/evidence.h"
#include "scoring/learn/model.h"
#include "scoring/message/message.h"
#include "scoring/rules/ruleset.h"
#include "scoring/settings.h"
#include "scoring/verdict.h"

struct judge_input {
	const struct scoring_settings *settings;
	const struct ruleset *ruleset;
	const struct model *model; /* NULL: none */
	struct message *message;   /* its lazy views are filled; else const */
	const struct envelope *envelope;
	const struct relays *relays;
	const struct evidence *evidence;
	struct arena *arena;
};

/* 0, or -ENOMEM (a temporary failure of this message). */
int judge(const struct judge_input *in, struct verdict **ret_verdict,
    struct error *err);

/* What rules are told of the message; learned: the model's probability of
 * spam, < 0: there is none. */
struct rule_input judge_rule_input(const struct judge_input *in,
    double learned);

/* The additive log-odds term of reputation; pure. Terms go to the arena. */
int reputation_judge(const struct scoring_settings *settings,
    const struct evidence *e, struct arena *a,
    struct reputation_term **ret_terms, size_t *ret_count);

/* Does DNSWL list the client, with some trust? */
bool reputation_dnswl(const struct evidence *e);
/* A good record, with next to nothing bad and nothing bad of late: what spares
 * a sender the greylist, and lets a mailing list explain a DMARC failure. */
bool reputation_is_confirmed(const struct reputation_row *r);
/* Never deferred (RFC 6647 is for strangers): known correspondents, senders
 * with a confirmed good record of their own, and what DNSWL lists. */
bool reputation_excuses_greylist(const struct evidence *e,
    const char **ret_why);
/* The points that are opinions: reputation's and the model's, the latter also
 * by itself (NULL: not wanted). */
double verdict_opinions(const struct verdict *v, double *ret_learned);
/* How the filter's own verdict counts in the sender's reputation: 0.2 of a
 * person's label at most, only far from tag_score, and only by what the
 * other tests said, never on the strength of reputation itself. One of the
 * two is 0; often both are. */
void reputation_weigh(const struct verdict *v, double *ret_ham,
    double *ret_spam);

#endif
