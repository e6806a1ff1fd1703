/*
 * identity - who a message says it is from, collected once a message for the
 * evals of this family (spamscore-rules(5), "identity").
 *
 * Domains are lower case.
 * Everything belongs to the message's arena. At most WHO_MAX_DOMAINS
 * of a kind are looked at, and WHO_MAX_TEXT bytes of a text.
 */
#ifndef SCORING_RULES_EVAL_IDENTITY_H
#define SCORING_RULES_EVAL_IDENTITY_H

#include "scoring/rules/eval.h"

enum {
	WHO_MAX_DOMAINS = 64,
	WHO_MAX_FIELDS = 16, /* of one name */
	WHO_MAX_MAILBOXES = 64,
	WHO_MAX_TEXT = 1024,
};

enum who {
	WHO_FROM,
	WHO_REPLY_TO,
	WHO_SENDER,
	WHO_TO,	     /* To and Cc */
	WHO_MAIL_FROM,
	WHO_MESSAGE_ID,
	WHO_DKIM,	     /* SDIDs; once DNS was asked only what verified */
	WHO_UNSUBSCRIBE,
	WHO_LIST,
	WHO_ENTRY_HELO, /* of the hop into the receiving organisation */
	WHO_ENTRY_RDNS,
	WHO_KINDS,
};

struct identity_domain {
	struct span name;
	struct span org; /* identity_org() fills it when first asked for */
};

struct identity_domains {
	struct identity_domain *list;
	size_t count;
};

struct identity_mailbox {
	struct span name;	 /* decoded; may be empty */
	struct span addr;	 /* as written, lower case; may be empty */
	struct span local, domain;
};

struct identity_mailboxes {
	struct identity_mailbox *list;
	size_t count;
};

/* Texts in which a brand may be claimed */
enum identity_text {
	TEXT_FROM_NAME,
	TEXT_SUBJECT,
	TEXT_FROM_LOCAL,
	TEXT_FROM_DOMAIN,
	TEXT_REPLY_NAME,
	TEXTS,
};

enum { CLAIM_PLAIN = 1, CLAIM_DISGUISED = 2, CLAIM_KNOWN = 4 };

struct identities {
	struct identity_domains domains[WHO_KINDS];
	struct identity_mailboxes from, reply_to, sender, to;
	struct span subject; /* decoded */
	bool from_malformed;
	bool mail_from_disowned; /* SPF was asked and did not pass it */
	bool relayed;		 /* it came over SMTP */
	/* that hop, by what its Received field or the milter says */
	bool entry_nameless; /* its address has no reverse name */
	bool entry_no_tls;   /* it came in the clear */
	bool has_entry_time;
	int64_t entry_time; /* unix seconds: when it was handed over */
	/* filled when first asked for */
	unsigned claims[TEXTS];
	struct span claimed[TEXTS];
};

/* NULL: no memory */
struct identities *identity_get(struct eval_context *ctx);

/* Helpers of the family. ptr NULL: no memory */
struct span identity_lower(struct arena *a, struct span s);
/* Its organisational domain; the name itself where it has none (an address,
 * a bare label) */
struct span identity_org(struct eval_context *ctx, struct identity_domain *d);
/* A byte of a host name, U-labels included */
bool identity_host_char(char c);

/* ---- brands (identity_brand.c) */

struct brands;
int identity_load_brands(struct eval_loader *l, void **ret_state);
int identity_run_brand(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r);
int identity_prepare_brand(struct eval_loader *l, void *state,
    struct eval_call *call);
int identity_run_brand_author(struct eval_context *ctx,
    const struct eval_call *call, struct eval_result *r);

/* ---- texts (identity_text.c) */

/* Words of a text between single spaces, with one at either end. plain: case
 * and accents folded. skeleton: look-alike letters of other scripts, digits
 * for letters and invisible characters folded too. ptr NULL: no memory. */
struct identity_folded {
	struct span plain, skeleton;
};
struct identity_folded identity_fold(struct arena *a, struct span text);
/* A word joins Latin letters with Cyrillic, Greek, Armenian or Cherokee ones */
bool identity_mixed_script(struct span text, struct span *ret_where);
/* A label that no person chose: digits and letters in turn, or consonants */
bool identity_random_label(struct span label);

#endif
