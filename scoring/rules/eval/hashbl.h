/*
 * hashbl - what the two files of the HashBL family share. Private to it.
 *
 * hashbl_load.c reads its lines and calls, hashbl_mail.c finds the mail
 * addresses of a message, hashbl.c everything else and asks.
 */
#ifndef SCORING_RULES_EVAL_HASHBL_H
#define SCORING_RULES_EVAL_HASHBL_H

#include "scoring/rules/eval/dnsq.h"
#include "scoring/rules/strmap.h"

enum hashbl_algorithm { HASHBL_RAW, HASHBL_MD5, HASHBL_SHA1, HASHBL_SHA256 };

enum hashbl_option {
	HASHBL_CASE = 1 << 0,
	HASHBL_SHUFFLE = 1 << 1,
	HASHBL_NUM = 1 << 2,	 /* bodyre */
	HASHBL_NODOT = 1 << 3,	 /* emails */
	HASHBL_NOTAG = 1 << 4,
	HASHBL_NOURI = 1 << 5,
	HASHBL_NOQUOTE = 1 << 6,
	HASHBL_USER = 1 << 7,
	HASHBL_HOST = 1 << 8,
	HASHBL_DOMAIN = 1 << 9,
	HASHBL_IP = 1 << 10,	 /* tag */
	HASHBL_IPV4 = 1 << 11,
	HASHBL_IPV6 = 1 << 12,
	HASHBL_REVIP = 1 << 13,
	HASHBL_FQDN = 1 << 14,
	HASHBL_TLD = 1 << 15,
	HASHBL_TRIM = 1 << 16,
};

struct hashbl_options {
	enum hashbl_algorithm algorithm;
	unsigned flags; /* enum hashbl_option */
	size_t max;
	uint64_t min_size, max_size; /* attachments; 0: no limit */
};

/* "sha1/max=10/shuffle". What is none counts for nothing; the first such word
 * is *ret_wrong, else that is empty. */
void hashbl_options_parse(struct span text, struct hashbl_options *ret,
    struct span *ret_wrong);

/* The family's state */
struct hashbl {
	struct strmap ignore;	     /* hashbl_ignore: value to 1 */
	struct strmap aliases;	     /* domain to index of targets */
	struct span *alias_targets;
	struct strmap acl_names;     /* acl to 1 */
	struct strmap acl;	     /* "acl domain" to 1, or 0 for "!" */
	struct pattern *email;
	struct pattern *quoted;	     /* option noquote */
	struct pattern *uri;	     /* option nouri */
	struct pattern *welcome;
	bool has_tlds;		     /* email ends in a TLD to be checked */
	bool near_at;		     /* email lies around an "@" */
};

/* One call as prepared */
struct hashbl_query {
	const char *zone;
	uint16_t type;
	struct dns_filter filter;
	struct hashbl_options options;
	const char *headers;	 /* emails */
	struct span acl;	 /* emails; ptr NULL: none */
	struct pattern *pattern; /* bodyre */
	struct span tag;	 /* tag */
};

int hashbl_load(struct eval_loader *l, void **ret_state);
/* eval_prepare_fn: call->prepared becomes the query, or NULL on a fault */
int hashbl_prepare_emails(struct eval_loader *l, void *state,
    struct eval_call *call);
int hashbl_prepare_hashed(struct eval_loader *l, void *state,
    struct eval_call *call);
int hashbl_prepare_bodyre(struct eval_loader *l, void *state,
    struct eval_call *call);
int hashbl_prepare_tag(struct eval_loader *l, void *state,
    struct eval_call *call);

/* Values to ask about, each once */
struct hashbl_values {
	struct span *list;
	size_t count, alloc;
	const char *limit; /* not all were found: why */
};

/* 0 or -ENOMEM; s is kept as it is */
int hashbl_values_add(struct eval_context *ctx, struct hashbl_values *v,
    struct span s);
bool hashbl_mail_load(struct eval_loader *l, struct hashbl *h);
/* acl: ptr NULL, none. 0 or -ENOMEM */
int hashbl_mail_find(struct eval_context *ctx, const struct hashbl *h,
    const struct hashbl_options *o, const char *headers, struct span acl,
    struct hashbl_values *ret);

#endif
