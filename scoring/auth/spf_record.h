/*
 * spf_record - the gate before libspf2: a strict parser of SPF records
 * (RFC 7208 4.5, 4.6, 12) and of macro-strings (7.1-7.3).
 *
 * Pure text work: no DNS but for the one callback that %{p} needs. What does
 * not conform is refused as a whole, with a phrase that says why. Spans point
 * into the text that was parsed. Safe for any number of threads.
 */
#ifndef SCORING_AUTH_SPF_RECORD_H
#define SCORING_AUTH_SPF_RECORD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/netaddr.h"
#include "base/span.h"

/* A record is a TXT record, so 64 kB long at most; what has more terms than
 * this is no policy but an attack */
enum { SPF_MAX_TERMS = 4096 };

enum spf_mechanism {
	SPF_ALL,
	SPF_INCLUDE,
	SPF_A,
	SPF_MX,
	SPF_PTR,
	SPF_IP4,
	SPF_IP6,
	SPF_EXISTS,
};

struct spf_term {
	enum spf_mechanism mechanism;
	char qualifier;		/* + - ~ ? */
	uint8_t cidr4, cidr6;	/* A, MX: 32 and 128 unless given */
	struct span domain;	/* domain-spec; ptr NULL: the current domain */
	struct network net;	/* IP4, IP6 */
};

struct spf_record {
	struct spf_term *terms;
	size_t count;
	struct span redirect, exp; /* ptr NULL: absent */
};

/* "v=spf1" and its end or a space behind it (4.5) */
bool spf_record_is_spf(struct span text);
/* NULL on success, else the reason of a permerror (a fixed phrase). */
const char *spf_record_parse(struct arena *a, struct span text,
    struct spf_record *ret_record);

struct spf_macros {
	struct span sender_local, sender_domain; /* l, o */
	struct span domain;	 /* d */
	struct netaddr ip;	 /* i, c, v */
	struct span helo;	 /* h */
	struct span receiver;	 /* r */
	int64_t now;		 /* t */
	/* p: the validated name into out; NULL: p can not be expanded here */
	void (*validated_name)(void *arg, struct span domain, struct buf *out);
	void *arg;
};

enum spf_text { SPF_DOMAIN_SPEC, SPF_MACRO_STRING, SPF_EXPLANATION };
/* Is text valid as such? (SPF_DOMAIN_SPEC: with a proper domain-end) */
bool spf_macro_check(struct span text, enum spf_text kind);
/* Expands checked text. False: p was needed, or out is full. */
bool spf_macro_expand(const struct spf_macros *m, struct span text,
    struct buf *out);
/* The same as a name to ask: cut on the left to 253 bytes (7.3), canonical
 * (dns.h). False with *ret_invalid: no name that DNS can carry; false
 * without: p was needed. */
bool spf_macro_expand_name(const struct spf_macros *m, struct span text,
    char *out_name, bool *ret_invalid);

#endif
