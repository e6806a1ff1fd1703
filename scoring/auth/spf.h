/*
 * spf - check_host() of RFC 7208: libspf2 evaluates, we gate.
 *
 * What reaches libspf2 is text that we wrote: each record is parsed by
 * spf_record.c and given on as a canonical form in which every domain is an
 * alias ("t7.spf.invalid") and every macro is gone; the sender and the HELO
 * that it knows are constants. Its DNS layer is ours: it maps the alias back,
 * asks, and counts the terms that need lookups, the void ones, and MX and PTR
 * names over the whole evaluation (4.6.4). The first error ends it for good.
 * See DEPARTURES.md.
 *
 * One call a check; any number of threads, each with its own session and
 * arena.
 */
#ifndef SCORING_AUTH_SPF_H
#define SCORING_AUTH_SPF_H

#include "base/arena.h"
#include "scoring/auth/dns.h"
#include "scoring/auth/spf_record.h"
#include "scoring/evidence.h"

/* RFC 7208 4.6.4 */
enum {
	SPF_MAX_LOOKUPS = 10,
	SPF_MAX_VOID = 2,
	SPF_MAX_MX = 10,
	SPF_MAX_PTR = 10,
	SPF_MAX_EXPLANATION = 1000, /* bytes that are kept */
};

struct spf_query {
	struct netaddr ip;
	const char *domain;	    /* the <domain> argument, as received */
	struct span sender_local;   /* "" becomes postmaster */
	struct span sender_domain;
	const char *helo;	    /* may be NULL */
	const char *receiver;	    /* %{r}, may be NULL */
	int64_t now;
};

/* Can this be asked about at all (4.3)? Gives the canonical name. */
bool spf_domain_valid(const char *domain, char out[DNS_NAME_TEXT]);
/* What the macros of its records stand for; domain and %{p} are still open. */
struct spf_macros spf_query_macros(const struct spf_query *q);
/* Writes all but scope. 0 or -ENOMEM. */
int spf_check_host(const struct spf_query *q, struct dns_session *dns,
    struct arena *a, struct spf_evidence *e);

/* The record among a domain's TXT records (4.5): 0 none, 1 found, 2 several */
int spf_record_select(const struct dns_answer *txt, struct span *ret_text);

#endif
