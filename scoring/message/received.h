/*
 * received - the path a message took, from its Received fields (RFC 5321
 * 4.4), and where trust ends in it. The forms of several dozen MTAs are
 * understood, as in SpamAssassin's Metadata/Received.pm.
 *
 * Hops are in the order of the fields: [0] is the newest. The strings belong
 * to the message's arena. A field that cannot be understood ends the trusted
 * part: nothing below it is believed.
 */
#ifndef SCORING_MESSAGE_RECEIVED_H
#define SCORING_MESSAGE_RECEIVED_H

#include "base/netaddr.h"
#include "scoring/message/message.h"

struct received_hop {
	struct netaddr ip;   /* of the client that handed it over; family 0:
				none was given */
	const char *rdns, *helo, *by, *ident, *envfrom, *id, *auth, *with;
	bool parsed;	     /* false: form not understood */
	bool ignored;	     /* a local hand-over, no relay */
	bool msa;	     /* the hop accepted a submission */
	bool trusted, internal;
	size_t field_index;
};

struct relays {
	struct received_hop *hops;
	size_t count;
	/* hops[0..trusted_count) are trusted; the next, if any, is the one
	 * to be judged: the last untrusted hand-over to us */
	size_t trusted_count, internal_count;
	/* SpamAssassin's pseudo-headers, "[ ip=... rdns=... ... ] [ ... ]" */
	struct span text_trusted, text_untrusted, text_internal, text_external;
};

/* Parses one field; ret_hop->parsed tells whether it was understood. */
int received_parse(struct arena *a, struct span unfolded,
    struct received_hop *ret_hop);

/* trusted empty: inferred as in SpamAssassin (private addresses and the
 * first hop). internal empty: as trusted. first_hop, when not NULL, is the
 * SMTP client itself, whose Received the MTA has not yet written. */
int relays_parse(struct message *m, const struct netset *trusted,
    const struct netset *internal, const struct received_hop *first_hop,
    struct relays **ret_relays);

#endif
