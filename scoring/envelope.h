/*
 * envelope - what SMTP said about one message (RFC 5321, RFC 5598 terms).
 *
 * Comes from the milter callbacks, from command line options, or from the
 * message itself (envelope_from_message in scoring/engine.h). Strings are
 * UTF-8 or bytes as received, without angle brackets, and belong to the
 * message's arena. An absent string is NULL; the null reverse-path is "".
 */
#ifndef SCORING_ENVELOPE_H
#define SCORING_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/netaddr.h"

enum envelope_source {
	ENVELOPE_SMTP,	  /* "smtp": the milter */
	ENVELOPE_OPTIONS, /* "options": the command line */
	ENVELOPE_MESSAGE, /* "message": topmost untrusted Received, Return-Path */
	ENVELOPE_NONE,	  /* "none": nothing is known */
};

struct envelope {
	enum envelope_source source;
	struct netaddr client_ip; /* family 0: unknown */
	const char *client_name;  /* verified by the MTA; NULL when unknown */
	const char *reverse_name; /* unverified PTR name, NULL when none */
	const char *helo;
	const char *mail_from;
	const char *const *rcpt_to;
	size_t rcpt_count;
	const char *queue_id;	 /* NULL outside the milter */
	const char *auth_login;	 /* SASL login name, NULL: not authenticated */
	bool tls;
};

#endif
