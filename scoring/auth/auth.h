/*
 * auth - gathers what DNS can say about one message: SPF, DKIM, DMARC, ARC,
 * iprev, HELO, the sender's domain, and the questions of rules.
 *
 * A struct auth lives as long as one message and belongs to one thread at a
 * time. Each stage starts its lookups at once; auth_finish() joins them
 * under the deadline and writes plain evidence into the arena. Never fails
 * for a reason of the network: that is evidence. -ENOMEM is the one error.
 */
#ifndef SCORING_AUTH_AUTH_H
#define SCORING_AUTH_AUTH_H

#include "base/arena.h"
#include "base/error.h"
#include "scoring/auth/dns.h"
#include "scoring/envelope.h"
#include "scoring/evidence.h"
#include "scoring/message/message.h"
#include "scoring/rules/ruleset.h"
#include "scoring/settings.h"

/* Process-wide: DKIM_LIB, suffix list, SPF tables; shared by all threads. */
struct auth_context;
int auth_context_new(const struct scoring_settings *settings, struct dns *dns,
    struct auth_context **ret_context, struct error *err);
void auth_context_free(struct auth_context *c);

/* Words of settings that this room reads, before anything is asked. strict:
 * what only must be right where mail is judged over the network is an error,
 * not a warning. */
void auth_settings_check(const struct scoring_settings *s, const char *file,
    bool strict, struct diags *diags);

struct auth;
/* settings and arena must outlive it. NULL: no memory. */
struct auth *auth_new(struct auth_context *c,
    const struct scoring_settings *settings, struct arena *a);
void auth_free(struct auth *x); /* cancels; NULL allowed */

/* Optional early starts, as the milter stages come. Strings are copied. */
void auth_begin_client(struct auth *x, const struct netaddr *ip);
/* The name that the MTA found for the client: where it leads is asked at
 * once, instead of after our own PTR lookup. */
void auth_begin_client_name(struct auth *x, const char *name);
void auth_begin_helo(struct auth *x, const char *helo);
void auth_begin_mail_from(struct auth *x, const char *mail_from);

/* Goes on with what the answers so far allow, without waiting. */
void auth_continue(struct auth *x);
/* For a message longer than auth_finish() will see: once its head, all that
 * was kept, then all of the rest as it comes, so that DKIM can still be
 * verified. The head must stay where it is until auth_finish(). Without
 * these calls the signatures of such a message are not run. */
void auth_begin_overflow(struct auth *x, struct span head);
void auth_body(struct auth *x, struct span more);

/* What rules want to know. */
struct auth_questions {
	struct rule_questions all; /* what can be asked at once */
	/* NULL, or: with e->answers holding the answers to leading questions
	 * as far as they came, appends what follows. 0 or -ENOMEM. Called
	 * again while new answers come. */
	int (*next)(void *arg, struct rule_questions *all);
	void *arg;
};

/* Everything else, then wait. questions may be NULL. Fills all but the
 * store's part of *e; e->now must be set (DKIM expiry uses it). */
int auth_finish(struct auth *x, const struct envelope *envelope,
    struct message *m, const struct auth_questions *questions,
    struct evidence *e, struct error *err);

/* No questions of rules at or below this domain until then (unix seconds),
 * in no message: dns_block_rule. */
void auth_block_domain(struct auth_context *c, const char *domain,
    int64_t now, int64_t seconds);

/* Organisational domain of a domain name (RFC 7489 3.2) into out, lower case
 * A-labels; false when it has none (a public suffix, an address). */
bool auth_organisational_domain(struct auth_context *c, struct span domain,
    char out[256]);

/* The Authentication-Results field body (RFC 8601), folded with LF + TAB,
 * without the name. ptr NULL: no memory. */
struct span auth_results_format(struct arena *a, const char *authserv_id,
    const struct evidence *e, const struct envelope *envelope);
/* Does this field's authserv-id claim to be ours? Comments, quoting, case,
 * folding and IDN spelling are looked through (RFC 8601 5). */
bool auth_results_claims(struct span field_body, const char *authserv_id);

#endif
