/*
 * signed - one signature over fields and body of a message, verified by us
 * (RFC 6376 3.7 and 6.1, OpenSSL): an ARC-Message-Signature, or a
 * DKIM-Signature whose key libopendkim cannot hold.
 *
 * Keys come from the message's DNS session. A struct signed_body belongs to
 * one message and must be freed.
 */
#ifndef SCORING_AUTH_SIGNED_H
#define SCORING_AUTH_SIGNED_H

#include "scoring/auth/auth_internal.h"
#include "scoring/auth/key.h"

enum signed_result {
	SIGNED_PASS,
	SIGNED_BODY,	  /* another body */
	SIGNED_BAD,	  /* does not verify */
	SIGNED_KEY,	  /* no key that is good for it */
	SIGNED_MALFORMED,
	SIGNED_UNKNOWN,	  /* the key did not come */
};

struct outcome {
	enum signed_result result;
	const char *why;    /* NULL: pass */
	struct check check; /* UNKNOWN or NOT_RUN: the key did not come */
	unsigned bits;	    /* of the key, 0: not known */
	bool test, strict;  /* the key: t=y, t=s */
	bool secure;	    /* its answer: DNSSEC AD */
	bool uncovered;	    /* l= leaves body bytes unsigned */
};

/* The body hash of one signature, while the body comes */
struct signed_body;
/* NULL: no memory */
struct signed_body *signed_body_new(const struct tags *signature);
void signed_body_add(struct signed_body *b, struct span piece);
void signed_body_free(struct signed_body *b); /* NULL allowed */

/* selector._domainkey.domain of d= and s=. False: they make no name. */
bool signed_key_name(const struct tags *signature, char out[DNS_NAME_TEXT]);
/* data against the key that t names */
struct outcome signed_verify_data(struct auth *x, const struct tags *t,
    struct span data);
/* The field with its b= empty, without the last CRLF */
void signed_put_field(struct buf *out, const struct field *f, bool relaxed);
/* Fields and body. body: all of it was added before, or NULL: m holds it. */
struct outcome signed_verify(struct auth *x, struct message *m,
    const struct tags *t, size_t field_index, struct signed_body *body);

#endif
