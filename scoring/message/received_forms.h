/*
 * received_forms - the forms of Received fields that are known, one a row,
 * in the order in which they are tried: private to received.c.
 */
#ifndef SCORING_MESSAGE_RECEIVED_FORMS_H
#define SCORING_MESSAGE_RECEIVED_FORMS_H

#include "scoring/message/regex.h"

/* An address in any text form; what looks like IPv6 is checked by parsing. */
#define RCVD_OCTET "(?:1\\d\\d|2[0-4]\\d|25[0-5]|[1-9]?\\d)"
#define RCVD_IP4 "(?:" RCVD_OCTET "\\.){3}" RCVD_OCTET
#define RCVD_IP "(?:\\b(?<!:)" RCVD_IP4 "\\b|" \
	"(?i:(?:IPv6:|(?<![a-f0-9:]))(?=[a-f0-9]{0,4}:[a-f0-9:]*:)" \
	"[a-f0-9:]+(?:(?<=:)" RCVD_IP4 ")?(?![a-f0-9:])))"
#define RCVD_LOCALHOST "(?i:localhost(?:\\.localdomain)?|" \
	"\\b(?<!:)127\\.0\\.0\\.1\\b|(?:IPv6:|(?<![a-f0-9:]))[0:]*:" \
	"(?:0{0,3}1|ffff:127\\.0\\.0\\.1)(?![a-f0-9:]))"

/* Software that names itself decides which rows are tried: a field of one
 * never falls to the rows of another, only to the general ones. */
enum rcvd_group {
	RCVD_ANY,
	RCVD_SMTPSVC,
	RCVD_MAPI,
	RCVD_XMAIL,
	RCVD_ECELERITY,
	RCVD_EXIM,
	RCVD_POSTFIX,
	RCVD_SCALIX,
	RCVD_DOMINO,
};

enum rcvd_flag {
	RCVD_IGNORE = 1 << 0,	 /* a hand-over inside one host */
	RCVD_DNS = 1 << 1,	 /* this software looks the name up, so that
				    none given means none there is */
	RCVD_FETCH = 1 << 2,	 /* fetched from a mailbox: path restarts */
	RCVD_NO_ID = 1 << 3,
	RCVD_NOT_QMAIL = 1 << 4, /* not when qmail-ldap wrote it */
	RCVD_UNLESS_UNKNOWN = 1 << 5, /* RCVD_DNS unless rdns is "unknown";
				    and that is then no name */
	RCVD_SOFTDNS = 1 << 6,	 /* couriertcpd: rdns "softdnserr" is none */
	RCVD_UPPER_UNKNOWN = 1 << 7, /* RCVD_DNS unless rdns is "UNKNOWN" */
	RCVD_SENDER_NEXT = 1 << 8, /* its sender belongs to the next field */
};

/*
 * map says what each group is: i address, h HELO, r name from DNS, R the
 * same with "ident@" before it, B both HELO and name, b by, d id, n ident,
 * N ident with "@" behind it, e envelope sender, s "helo=x ident=y" inside
 * parentheses, "-" nothing. A group that did not take part sets "" for h and
 * N, and nothing for the others.
 */
struct rcvd_form {
	enum rcvd_group group;
	const char *need;    /* text without which the row cannot match */
	struct regex form; /* behind "from " */
	const char *map;
	unsigned flags;	     /* enum rcvd_flag */
};

extern struct rcvd_form rcvd_forms[];
extern const size_t rcvd_form_count;

#endif
