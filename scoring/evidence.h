/*
 * evidence - what was looked up about one message: plain data, the only
 * thing besides message, envelope, ruleset and model that a verdict may
 * depend on.
 *
 * Written by gather (scoring/gather.h, scoring/auth/), read by judge. No
 * pointers to live objects: everything belongs to the message's arena, and
 * the same evidence gives the same verdict at any time.
 *
 * Every looked-up thing has a check. NOT_RUN was chosen (offline, disabled,
 * nothing to ask about): it counts as 0, as in SpamAssassin. UNKNOWN was
 * begun and did not finish (timeout, SERVFAIL, limit): it makes the score an
 * interval. `why` is a short fixed phrase ("offline", "timeout", ...).
 */
#ifndef SCORING_EVIDENCE_H
#define SCORING_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "db/reputation.h"

enum check_state { CHECK_NOT_RUN, CHECK_DONE, CHECK_UNKNOWN };

struct check {
	enum check_state state;
	const char *why; /* NULL when DONE */
};

/* RFC 8601 2.7; auth_result_name() gives the word */
enum auth_result {
	AUTH_NONE,
	AUTH_NEUTRAL,
	AUTH_PASS,
	AUTH_FAIL,
	AUTH_SOFTFAIL,
	AUTH_POLICY,
	AUTH_TEMPERROR,
	AUTH_PERMERROR,
};

const char *auth_result_name(enum auth_result r);

/* RFC 7208; HELO and MAIL FROM are checked apart */
struct spf_evidence {
	struct check check;
	enum auth_result result;
	const char *domain;	 /* the domain that was checked */
	const char *scope;	 /* "mfrom" or "helo" */
	const char *explanation; /* RFC 7208 6.2, NULL when none */
	const char *reason;	 /* one phrase: matched mechanism or the fault */
	bool secure;		 /* the record's answer: DNSSEC AD */
};

/* RFC 6376, one a signature in order of appearance */
struct dkim_evidence {
	struct check check;
	enum auth_result result;
	const char *domain;	/* SDID, lower case A-labels */
	const char *selector;
	const char *identity;	/* AUID, NULL when absent */
	const char *algorithm;	/* "rsa-sha256", ... */
	const char *reason;
	const char *signature_prefix; /* first 8 characters of b= */
	unsigned key_bits;
	int64_t signed_at;	/* t=, 0 when absent */
	bool test_key;		/* t=y */
	bool body_uncovered;	/* l= left bytes of the body unsigned */
	bool aligned;		/* organisational domain equals From's */
	bool accountable;	/* pass that may earn reputation */
	bool secure;		/* the key's answer: DNSSEC AD */
	size_t field_index;	/* of the DKIM-Signature in the message */
};

/* RFC 8601 section 3 */
struct iprev_evidence {
	struct check check;
	enum auth_result result;
	const char *name;	/* confirmed name, or the unconfirmed PTR name */
	bool has_ptr;
	bool secure;		/* the PTR answer: DNSSEC AD */
};

/* RFC 7489 */
struct dmarc_evidence {
	struct check check;
	enum auth_result result;
	const char *domain;	   /* author domain that was asked about */
	const char *policy_domain; /* where the record was found */
	const char *policy;	   /* "none", "quarantine", "reject"; NULL */
	const char *reason;
	bool spf_aligned, dkim_aligned;
	bool sampled_out;	   /* pct= excluded this message */
	/* it failed, and the mailing list of its List-Id signed it, intact, as
	 * this domain; NULL */
	const char *list;
	bool list_open;		   /* ... or its key did not come */
	bool excused;		   /* it failed, and that is explained: by a
				      trusted seal, or by a list known here */
	bool secure;		   /* the record's answer: DNSSEC AD */
};

/* One method of a trusted sealer's ARC-Authentication-Results */
struct sealed_result {
	const char *method;	/* "spf", "dkim", "dmarc", ... */
	enum auth_result result;
	const char *domain;	/* what it is about, NULL when not said */
};

/* RFC 8617 */
struct arc_evidence {
	struct check check;
	enum auth_result result; /* none, pass, fail */
	unsigned instance;	 /* highest, or the failing one */
	const char *sealer;	 /* d= of the newest seal */
	/* sealer is in arc_trusted_sealers; the chain passed, or what did not
	 * finish is all that is missing */
	bool trusted;
	struct sealed_result *sealed; /* only of a trusted sealer */
	size_t sealed_count;
	const char *reason;
};

/* RFC 5321 4.1; the symbols of Postfix's restrictions */
struct helo_evidence {
	struct check check;	   /* of resolves, below */
	bool resolves;		   /* A, AAAA or MX exists */
	bool matches_client;	   /* an address of it is the client */
	bool is_us;		   /* claims to be this host */
	bool literal, literal_mismatch, non_fqdn, invalid;
};

/* MAIL FROM's domain (RFC 5321 5.1, RFC 7505) */
struct sender_domain_evidence {
	struct check check;
	const char *domain;
	bool exists;	/* MX, A or AAAA */
	bool null_mx;
	bool non_fqdn;
};

/* One DNS question that a rule asked (DNSBL, URIDNSBL, AskDNS): rules name
 * their questions before (rule_asker), judge finds the answers here */
struct dns_evidence {
	struct check check;
	const char *name;  /* lower case, no final dot */
	uint16_t type;	   /* RFC 1035 RR type */
	bool exists;	   /* false: NXDOMAIN or no such data */
	bool secure;	   /* DNSSEC AD */
	/* a list's 127.255.255.x ("you may not ask"): NOT_RUN but for rules
	 * that name it */
	bool complaint;
	size_t count;
	struct span *texts; /* presentation form of each record's data */
};

/* One list that was asked, for --explain */
struct dnsxl_evidence {
	struct check check;
	const char *list, *query, *result; /* result NULL: not listed */
	bool personal; /* query is made of somebody's address */
};

struct evidence {
	int64_t now; /* unix seconds: the clock of the verdict */
	struct check dns; /* NOT_RUN with "offline" when no DNS at all */
	struct spf_evidence spf_mailfrom, spf_helo;
	struct dkim_evidence *dkim;
	size_t dkim_count;
	struct iprev_evidence iprev;
	struct dmarc_evidence dmarc;
	struct arc_evidence arc;
	struct helo_evidence helo;
	struct sender_domain_evidence sender_domain;
	struct dns_evidence *answers; /* sorted by name, then type */
	size_t answer_count;
	struct dnsxl_evidence *dnsxl;
	size_t dnsxl_count;
	/* lists that were switched off or on again just now: for the log */
	const char **notices;
	size_t notice_count;

	struct check store; /* reputation and greylist below */
	struct reputation_row *reputation; /* identities of this message */
	size_t reputation_count;
	bool correspondent; /* one of ours wrote to this authenticated author */
	int64_t greylist_first_seen; /* unix seconds, 0: first sight now */
	bool greylist_passed; /* it came back after greylist_delay before */
};

/* The answer to (name, type), or NULL when it was not asked. */
const struct dns_evidence *evidence_find_answer(const struct evidence *e,
    const char *name, uint16_t type);

#endif
