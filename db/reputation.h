/*
 * reputation - identities and the decayed counts behind them: the shapes
 * that db/ stores and scoring/ reads. Plain data.
 */
#ifndef DB_REPUTATION_H
#define DB_REPUTATION_H

#include <stdint.h>

enum identity_kind {
	IDENTITY_DKIM_ALIGNED, /* aligned DKIM domain: hardest to forge first */
	IDENTITY_DKIM,	       /* signing domain, not the author's */
	IDENTITY_SPF,	       /* MAIL FROM domain that passed SPF */
	IDENTITY_HELO,	       /* HELO name confirmed by FCrDNS */
	IDENTITY_ADDRESS,      /* author address + authenticated domain */
	IDENTITY_IP,	       /* IPv4 /32, IPv6 /64 */
	IDENTITY_NET,	       /* IPv4 /24, IPv6 /48 */
	IDENTITY_KINDS,
};

/* "dkim", "dkim-other", "spf", "helo", "address", "ip", "net" */
const char *identity_kind_name(enum identity_kind k);

enum { IDENTITY_KEY_BYTES = 320 }; /* longest key, with its NUL */

struct identity {
	enum identity_kind kind;
	const char *key; /* lower case; "example.org", "192.0.2.0/24" */
};

/* Counts decayed to the time of the question. Evidence, not opinion: a
 * person's label weighs 1, the filter's own verdict at most 0.2. */
struct reputation_row {
	enum identity_kind kind;
	const char *key;
	double ham, spam;		/* half-life 30 days */
	double recent_ham, recent_spam; /* half-life 1 hour */
	double spread;			/* distinct authors, estimated */
	int64_t last_seen;		/* unix seconds, 0: never */
};

#endif
