/*
 * received - the path a message took, from its Received fields (RFC 5321
 * 4.4), and where trust ends in it. The forms of several dozen MTAs are
 * understood, as in SpamAssassin's Metadata/Received.pm.
 *
 * Hops are in the order of the fields: [0] is the newest. The strings belong
 * to the message's arena and are never NULL. What is no relay (a hand-over
 * inside one host, a field of unknown form) is not among the hops. A field
 * that cannot be understood ends the trusted part as far as trusted_count
 * goes: nothing below it is believed. (SpamAssassin goes on there, and so do
 * the texts, which rules read.)
 */
#ifndef SCORING_MESSAGE_RECEIVED_H
#define SCORING_MESSAGE_RECEIVED_H

#include "base/netaddr.h"
#include "scoring/message/message.h"

struct received_hop {
	struct netaddr ip;   /* of the client that handed it over; family 0:
				none was given */
	const char *ip_text; /* as SpamAssassin writes it */
	const char *rdns, *helo, *by, *ident, *envfrom, *id, *auth;
	const char *with;    /* protocol word behind "with", "" when none */
	bool has_envfrom;    /* envfrom was given, even if "" */
	bool parsed;	     /* false: form not understood */
	bool ignored;	     /* a local hand-over, no relay */
	bool fetched;	     /* ignored: taken from a mailbox by POP or IMAP */
	bool sender_next;    /* ignored: envfrom belongs to the next field */
	bool no_reverse_dns; /* looked up by the MTA: there is no name */
	bool rdns_not_in_headers; /* this form does not tell the name */
	bool ip_private;     /* received_ip_is_private(&ip) */
	bool msa;	     /* the hop accepted a submission */
	bool trusted, internal;
	size_t field_index;  /* SIZE_MAX: not from a Received field */
};

struct relays {
	struct received_hop *hops;
	size_t count;
	/* hops[0..trusted_count) are trusted; the next, if any, is the one
	 * to be judged: the last untrusted hand-over to us */
	size_t trusted_count, internal_count;
	size_t unparseable_count; /* fields of unknown form */
	/* how many Received fields, minus one, from the top belong to the
	 * trusted (internal) part; -1: none (SpamAssassin's ALL-TRUSTED) */
	long last_trusted_field, last_internal_field;
	/* SpamAssassin's pseudo-headers, "[ ip=... rdns=... ... ] [ ... ]" */
	struct span text_trusted, text_untrusted, text_internal, text_external;
};

/* SpamAssassin's IP_PRIVATE: RFC 1918, 6598, link-local, loopback; not fc00::/7
 * and 0.0.0.0/8, which netaddr_is_private() has. */
bool received_ip_is_private(const struct netaddr *a);

/* Parses one field; ret_hop->parsed tells whether it was understood (also
 * true for what is ignored). 0 or -ENOMEM. */
int received_parse(struct arena *a, struct span unfolded,
    struct received_hop *ret_hop);

/* Where the trust comes from. Sets may be NULL or empty: trusted is then
 * inferred as in SpamAssassin (private addresses and authenticated hops),
 * internal is as trusted. Loopback is always in. */
struct relay_networks {
	const struct netset *trusted, *internal, *msa;
	/* single-line fields that name an origin, e.g. X-Originating-IP */
	const char *const *origin_fields;
	size_t origin_field_count;
};

/* first_hop, when not NULL, is the SMTP client itself, whose Received the
 * MTA has not yet written; its strings may be NULL. 0 or -ENOMEM. */
int relays_parse_nets(struct message *m, const struct relay_networks *nets,
    const struct received_hop *first_hop, struct relays **ret_relays);
/* The same with the origin fields of SpamAssassin's default settings. */
int relays_parse(struct message *m, const struct netset *trusted,
    const struct netset *internal, const struct received_hop *first_hop,
    struct relays **ret_relays);

#endif
