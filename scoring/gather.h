/*
 * gather - everything that must be looked up about one message, through the
 * interfaces it is given, under one deadline. The product is evidence.
 *
 * One struct gather a message, used by one thread at a time. The early
 * stages are optional; they only start lookups sooner.
 */
#ifndef SCORING_GATHER_H
#define SCORING_GATHER_H

#include "db/store.h"
#include "scoring/auth/auth.h"
#include "scoring/envelope.h"
#include "scoring/evidence.h"
#include "scoring/rules/ruleset.h"
#include "scoring/settings.h"

struct gather_sources {
	struct auth_context *auth; /* made with dns NULL: offline */
	struct store *store;	   /* NULL: none */
	const char *store_why;	   /* why there is none, for not_run */
};

struct gather;
/* NULL: no memory */
struct gather *gather_new(const struct gather_sources *sources,
    const struct scoring_settings *settings, struct arena *a);
void gather_free(struct gather *g);
/* The connection's and transaction's beginning, as it becomes known. */
void gather_begin(struct gather *g, const struct envelope *so_far);
/* Goes on with lookups that follow from answers, without waiting. */
void gather_continue(struct gather *g);
/* A message longer than what will be judged: its head, which stays where it
 * is, then the rest as it comes (scoring/auth/auth.h). */
void gather_begin_overflow(struct gather *g, struct span head);
void gather_body(struct gather *g, struct span more);
/* 0 or -ENOMEM */
int gather_finish(struct gather *g, const struct envelope *envelope,
    struct message *m, const struct relays *relays,
    const struct ruleset *ruleset, int64_t now, struct evidence **ret_evidence,
    struct error *err);

/* Identities that this message authenticated as, hardest to forge first. */
int gather_identities(struct auth_context *auth, const struct evidence *e,
    const struct envelope *envelope, struct message *m, struct arena *a,
    struct identity **ret_ids, size_t *ret_count);
/* The author's address, lower case, if the message authenticated as the
 * author's organisation; else NULL. For the spread of a domain. */
const char *gather_author(struct auth_context *auth, const struct evidence *e,
    struct message *m, struct arena *a);
/* The greylist's key: authenticated domain + recipient, else client network
 * + envelope sender + recipient (RFC 6647). NULL: no memory. */
const char *gather_greylist_key(const struct evidence *e,
    const struct envelope *envelope, struct arena *a);

#endif
