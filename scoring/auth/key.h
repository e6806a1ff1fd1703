/*
 * key - DKIM key records (RFC 6376 3.6.1), for DKIM and ARC. Text only; spans
 * point into the record. Any thread.
 */
#ifndef SCORING_AUTH_KEY_H
#define SCORING_AUTH_KEY_H

#include "base/buf.h"
#include "scoring/auth/canon.h"
#include "scoring/auth/dns.h"
#include "scoring/auth/tags.h"

struct dkim_key {
	enum canon_key kind;
	struct tags tags;
	struct span p;	  /* may hold folds; empty: revoked */
	bool test;	  /* t=y */
	bool strict;	  /* t=s: i= must be at d= itself */
};

/* The one record that is a key (3.6.2.2); others beside it do no harm. NULL:
 * *ret_fault says why. */
const struct dns_record *dkim_key_record(const struct dns_answer *ans,
    const char **ret_fault);
/* NULL, or what is wrong with it as a key for sha256 signatures of mail.
 * Without wrongs *ret is filled. */
const char *dkim_key_parse(struct span record, struct dkim_key *ret);
/* The record without all that no verifier reads: notes, folds, unknown tags.
 * Appends; the text is a key record again. */
void dkim_key_reduce(struct buf *out, const struct tags *record);

#endif
