/*
 * dns - the one way to ask DNS: libunbound, a file of answers, or nothing.
 *
 * struct dns is shared by all threads and messages (cache, pump thread). A
 * struct dns_session belongs to one message (or connection): it has the
 * deadline, counts the queries against max_queries, and joins equal
 * questions. Lookups overlap: start many, then wait. Answers belong to the
 * session and live until dns_session_free(). What has not answered at the
 * deadline is DNS_TIMEOUT, which is never "no such name".
 *
 * Text file (dns_new_file): lines `NAME TYPE value`, `NAME
 * SERVFAIL|TIMEOUT|REFUSED [TYPE]`, `NAME EMPTY`; "#" at the start of a line
 * is a comment; RFC 1035 5.1 escapes. A name that is not there is NXDOMAIN,
 * one without the type NODATA. CNAMEs are followed as a resolver would.
 */
#ifndef SCORING_AUTH_DNS_H
#define SCORING_AUTH_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/error.h"
#include "base/span.h"

enum dns_type { /* RFC 1035 3.2.2, RFC 3596 */
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
};

enum dns_status {
	DNS_FOUND,    /* at least one record */
	DNS_NXDOMAIN,
	DNS_NODATA,
	DNS_SERVFAIL, /* also REFUSED, garbage, DNSSEC bogus */
	DNS_TIMEOUT,
	DNS_LIMIT,    /* this message asked too much */
	DNS_NOT_RUN,  /* offline */
};

const char *dns_status_name(enum dns_status s);
bool dns_status_is_temporary(enum dns_status s); /* SERVFAIL TIMEOUT LIMIT */

struct dns_record {
	struct span data; /* A 4, AAAA 16 bytes; TXT strings concatenated;
			     NS PTR CNAME: text without final dot; MX: text */
	uint16_t preference; /* MX */
};

struct dns_answer {
	enum dns_status status;
	uint16_t type;
	bool secure;	  /* DNSSEC AD */
	uint32_t ttl_sec;
	const char *name; /* asked, lower case, no final dot */
	const struct dns_record *records;
	size_t count;
};

struct dns_options {
	struct strings resolver;  /* "192.0.2.1@53"; empty: the system's */
	const char *trust_anchor; /* NULL: no validation */
};

struct dns;
/* 0, -ENOMEM, or -errno with text */
int dns_new(const struct dns_options *o, struct dns **ret_dns,
    struct error *err);
int dns_new_file(const char *path, struct dns **ret_dns, struct error *err);
/* The same from memory; label is used in error texts. */
int dns_new_text(struct span text, const char *label, struct dns **ret_dns,
    struct error *err);
void dns_free(struct dns *d); /* NULL allowed; no session may be left */

struct dns_session;
/* d NULL: offline, every lookup is DNS_NOT_RUN. NULL: no memory. */
struct dns_session *dns_session_new(struct dns *d, int64_t timeout_ms,
    unsigned max_queries);
/* Cancels what is still under way. NULL allowed. */
void dns_session_free(struct dns_session *s);
/* Begin the clock of the deadline (again); it also begins by itself with the
 * first lookup. */
void dns_session_start(struct dns_session *s);

/* Starts a lookup without waiting; asking twice is free. */
void dns_start(struct dns_session *s, const char *name, uint16_t type);
/* The answer; waits until it is there or the deadline has passed. Never
 * NULL. Safe from several threads. */
const struct dns_answer *dns_lookup(struct dns_session *s, const char *name,
    uint16_t type);
/* The answer if it is there already (or the deadline has passed), else NULL
 * with the lookup under way. */
const struct dns_answer *dns_peek(struct dns_session *s, const char *name,
    uint16_t type);
/* Waits until an answer has come since *seen was last set here, and updates
 * *seen (begin with 0). False: nothing more will come, or the deadline. */
bool dns_session_wait(struct dns_session *s, unsigned *seen);
unsigned dns_session_queries(const struct dns_session *s);
/* Has this session no resolver behind it (dns_session_new with NULL)? */
bool dns_session_offline(const struct dns_session *s);

/*
 * Names are presentation form (RFC 1035 5.1): labels between dots, a byte
 * that is no visible ASCII as \DDD, a dot or backslash in a label with a
 * backslash before it. Everything that goes in may be in any case and with
 * a final dot; what comes out is lower case, without it, escaped one way.
 */
enum { DNS_NAME_TEXT = 1024 };
/* False (out is "") when text is no name that DNS can carry: an empty label,
 * one over 63 bytes, more than 255 bytes in all. The root is "". */
bool dns_name_canonical(struct span text, char out[DNS_NAME_TEXT]);
/* The same for bytes that know no escapes (a backslash is a backslash). */
bool dns_name_from_bytes(struct span text, char out[DNS_NAME_TEXT]);

#endif
