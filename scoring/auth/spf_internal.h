/*
 * spf_internal - one evaluation of check_host(), shared between spf.c (the DNS
 * layer under libspf2) and spf_canonical.c (the records given to it). Private.
 */
#ifndef SCORING_AUTH_SPF_INTERNAL_H
#define SCORING_AUTH_SPF_INTERNAL_H

#include "base/buf.h"
#include "scoring/auth/spf.h"

#define SPF_ALIAS_ZONE "spf.invalid"

enum {
	/* A term's aliases, and those of the hosts of its MX */
	SPF_MAX_ALIASES = 512,
	/* Records of one evaluation: the first and one for each lookup */
	SPF_MAX_RECORDS = 1 + SPF_MAX_LOOKUPS + 1,
};

enum spf_alias_kind { ALIAS_TERM, ALIAS_MX_HOST, ALIAS_PTR };

struct spf_alias {
	enum spf_alias_kind kind;
	struct spf_source *record;	  /* where it stands */
	struct span domain;	  /* domain-spec; ptr NULL: the record's domain */
	const char *name;	  /* canonical, once expanded */
	bool expanded, exists;	  /* exists: a name that can be asked */
	bool counted;
	bool any_address;	  /* a/0: every record matches */
	bool redirect;
};

struct spf_source {
	const char *domain;	  /* canonical */
	struct spf_record parsed;
	bool top;		  /* its exp= counts: not inside an include */
};

struct spf_evaluation {
	const struct spf_query *query;
	struct dns_session *dns;
	struct arena *arena;
	struct spf_macros macros;
	struct spf_alias *aliases;
	size_t alias_count;
	struct spf_source records[SPF_MAX_RECORDS];
	size_t record_count;
	struct spf_source *last_top;
	unsigned lookups, voids;
	/* the first error is the result (4.6, 2.6.6, 2.6.7) */
	enum auth_result error;	  /* AUTH_NONE: no error */
	const char *why;
	bool no_record;		  /* the first domain has none */
	bool no_memory;
};

/* The first error is kept; later ones change nothing. */
void spf_fail(struct spf_evaluation *ev, enum auth_result error,
    const char *why);
/* NULL: too many, which was noted. */
struct spf_alias *spf_alias_new(struct spf_evaluation *ev,
    struct spf_source *r, enum spf_alias_kind kind, struct span domain,
    size_t *ret_number);
/* The canonical form of r for this client, appended. */
void spf_put_record(struct spf_evaluation *ev, struct spf_source *r,
    struct buf *out);

#endif
