/*
 * dnsq - what the DNS families share: names to ask for one call, and filters
 * on the answers.
 *
 * A call's names depend on the message, the envelope and the answers that
 * lead to them, so ask() and run() make the same list. A record in
 * 127.255.255.0/24 is a list's complaint (RFC 5782 2.1 leaves it to
 * operators: blocked, over limit) and never matches unless a filter names it.
 */
#ifndef SCORING_RULES_EVAL_DNSQ_H
#define SCORING_RULES_EVAL_DNSQ_H

#include "scoring/auth/dns.h"
#include "scoring/rules/eval.h"

enum {
	DNSQ_MAX_NAMES = 256,
	DNSQ_MAX_RECORDS = 8, /* of one leading answer, first in order */
};

struct dnsq_names {
	const char *names[DNSQ_MAX_NAMES];
	size_t count;
	bool full; /* there would have been more */
	bool personal; /* made of addresses; not shown as what was hit */
	int error; /* -ENOMEM */
};

/*
 * Names that follow from answers: ask() and run() walk the same way. While
 * asking, a question whose answer is not there is put, and the walk goes on
 * elsewhere; while running, it makes the rule unknown or not run.
 */
struct dnsq_chain {
	struct eval_context *ctx;
	bool asking;
	struct dnsq_names names; /* for the list itself */
	bool followed; /* at least one leading answer is there */
	struct eval_result open; /* running: what was not answered */
};

void dnsq_chain_init(struct dnsq_chain *c, struct eval_context *ctx,
    bool asking);
/* The answer about head, or NULL: none, or not yet. list: what is asked in
 * the end. */
const struct dns_evidence *dnsq_follow(struct dnsq_chain *c, struct span head,
    uint16_t type, const char *list);
/* Its records in an order that no server decides; d may be NULL */
size_t dnsq_sorted(const struct dns_evidence *d,
    struct span out[DNSQ_MAX_RECORDS]);

/* Adds lower-case "head.zone" once (zone may be empty); what is no host name
 * is passed over. */
void dnsq_add(struct eval_context *ctx, struct dnsq_names *n, struct span head,
    const char *zone);
/* The same for a value that may be no host name: any visible ASCII without
 * a backslash */
void dnsq_add_raw(struct eval_context *ctx, struct dnsq_names *n,
    struct span head, const char *zone);
/* The address's reversed form in front of the zone */
void dnsq_add_ip(struct eval_context *ctx, struct dnsq_names *n,
    const struct netaddr *ip, const char *zone);

enum dns_filter_kind {
	DNS_FILTER_ANY,	  /* any record; of type A only 127/8 */
	DNS_FILTER_TEXT,  /* exactly this text */
	DNS_FILTER_REGEX,
	DNS_FILTER_MASK,  /* (r & low) != 0, in 127/8 */
	DNS_FILTER_RANGE, /* low <= r <= high */
	DNS_FILTER_BITS,  /* (r & high) == (low & high) */
	DNS_FILTER_RCODE, /* exists or not */
};

struct dns_filter {
	enum dns_filter_kind kind;
	struct span text;
	struct pattern *pattern;
	uint32_t low, high;
	bool want_exists; /* RCODE */
};

/* The filters of AskDNS, which contain those of URIDNSBL. Empty: ANY. A fault
 * is reported. false: it was. */
bool dns_filter_parse(struct eval_loader *l, struct span s,
    struct dns_filter *ret, const char *file, unsigned line);
/* DNSEval's: an address, a mask, else a pattern without delimiters */
bool dns_filter_parse_rbl(struct eval_loader *l, struct span s,
    struct dns_filter *ret, const char *file, unsigned line);

/* 0 or -ENOMEM */
int dnsq_ask(struct eval_context *ctx, const struct dnsq_names *n,
    uint16_t type, const char *list);
/* Looks every name up and fills r: a hit if one matches; else unknown if one
 * is; else not run if none was asked. 0 or -ENOMEM. */
int dnsq_answer(struct eval_context *ctx, const struct dnsq_names *n,
    uint16_t type, const struct dns_filter *f, struct eval_result *r);

/* The same at the end of a chain */
int dnsq_chain_answer(struct dnsq_chain *c, uint16_t type,
    const struct dns_filter *f, struct eval_result *r);

/* Does `tflags` have this word of a plugin's? */
bool dnsq_tflag(const struct eval_call *call, const char *word);
/* The last line of a yes-or-no directive; without one *value stays. */
void dnsq_flag(struct eval_loader *l, const char *directive, bool *value);
/* "A", "TXT" ...; 0: unknown */
uint16_t dnsq_type(struct span word);

#endif
