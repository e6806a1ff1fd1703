/*
 * clean - what must be done to labelled mail before scores are fitted to it.
 *
 *  - A message that stands under both labels says nothing: out.
 *  - Near-duplicates of one label are one message: a mailing that came a
 *    thousand times must not outvote everything else.
 *  - What belongs to one mailing (a campaign) is never split between mail
 *    that scores are fitted to and mail they are judged on.
 *  - The split is by time: fitted to older mail, judged on newer, as it will
 *    be in use. Ham and spam that were kept in different years are each split
 *    at a time of their own.
 *  - Where ham and spam are of different ages, everything that changes with
 *    the years (a mail program, a charset) looks like a sign of spam. Messages
 *    are weighted so that both have the same distribution in time as far as
 *    they overlap, and what this cannot mend is said.
 *
 * Works on a set in order (tune_set_order). Deterministic; no random number.
 */
#ifndef TUNE_CLEAN_H
#define TUNE_CLEAN_H

#include "tune/set.h"

struct clean_report {
	size_t ham, spam;	    /* as given */
	size_t contradicted;	    /* messages with both labels */
	size_t duplicates;	    /* near-duplicates left out */
	size_t campaigns, largest;  /* of more than one message; messages */
	size_t no_time;		    /* messages whose time is not known */
	int64_t ham_from, ham_to, spam_from, spam_to; /* 5th and 95th percentile */
	double overlap;		    /* of both distributions in time, 0 to 1 */
	bool ages_differ;	    /* worth a warning */
	int64_t boundary;	    /* held out: came at or behind it */
	int64_t spam_boundary;	    /* the same, unless ages differ or hardly
				       any spam is on one side of it */
	size_t fit_ham, fit_spam, held_ham, held_spam;
};

struct clean_options {
	double held_out;   /* wanted share of the ham that is only judged */
	size_t want_ham;   /* more, if so many are at most half of the ham */
};

/* 0 or -ENOMEM */
int clean_run(struct tune_set *s, const struct clean_options *o,
    struct clean_report *ret_report);

#endif
