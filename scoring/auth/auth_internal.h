/*
 * auth_internal - what the files behind auth.h share. Private.
 *
 * Lookups that follow from other lookups are chains of asks: auth_ask()
 * starts one and calls `then` when its answer is there, which may ask again.
 * So all chains of a message run at once in one thread, and the evaluators
 * (libspf2, libopendkim), which block on each name, find every answer waiting
 * for them.
 */
#ifndef SCORING_AUTH_AUTH_INTERNAL_H
#define SCORING_AUTH_AUTH_INTERNAL_H

#include <libpsl.h>
#include <sys/types.h>

#include <opendkim/dkim.h>

#include "scoring/auth/auth.h"
#include "scoring/auth/dnsxl.h"
#include "scoring/auth/spf.h"
#include "scoring/auth/tags.h"

struct auth_context {
	const struct scoring_settings *settings;
	struct dns *dns;
	DKIM_LIB *dkim;
	psl_ctx_t *psl;
	char hostname[256];
	struct dnsxl *dnsxl;
};

struct auth;
struct dkim_run;
struct arc_run;
typedef void (*auth_then)(struct auth *x, void *arg,
    const struct dns_answer *ans);

struct ask {
	struct ask *next;
	const char *name;
	uint16_t type;
	auth_then then;
	void *arg;
};

struct auth {
	struct auth_context *context;
	const struct scoring_settings *settings;
	struct arena *arena;
	struct dns_session *dns;
	struct dns_session *probes; /* of list health; not of this message */
	struct ask *asks;	/* those whose answer is not there yet */
	bool no_memory;
	/* what was begun, so that beginning twice costs nothing */
	struct netaddr client;
	const char *helo, *mail_from;
	struct spf_query spf_mailfrom, spf_helo;
	bool spf_mailfrom_begun, spf_helo_begun;
	struct dkim_run *dkim;
	struct arc_run *arc;
};

/* Other answers from now on; for tests. No message may be under way. */
void auth_context_set_dns(struct auth_context *c, struct dns *dns);
void auth_ask(struct auth *x, const char *name, uint16_t type, auth_then then,
    void *arg);
/* A name as A-labels, canonical for DNS; false: can not be asked. */
bool auth_domain_ascii(struct span domain, char out[DNS_NAME_TEXT]);
/* What is wrong with the author as From names it; NULL: nothing (or no memory,
 * x->no_memory). out: the one author domain, as A-labels; with out NULL there
 * may be several. */
const char *auth_author_fault(struct auth *x, struct message *m,
    char out[DNS_NAME_TEXT]);
/* CHECK_UNKNOWN or CHECK_NOT_RUN for an answer that is none. */
struct check auth_check_of(enum dns_status s);
bool auth_answer_has_address(const struct dns_answer *ans,
    const struct netaddr *ip);

/* Each check has a _begin, which starts lookups, and a _finish, which finds
 * them answered and writes its evidence: 0 or -ENOMEM. */
void spf_begin(struct auth *x, const struct spf_query *q);

void iprev_begin(struct auth *x);
int iprev_finish(struct auth *x, struct evidence *e);

void helo_begin(struct auth *x);
int helo_finish(struct auth *x, struct evidence *e);
void sender_domain_begin(struct auth *x);
int sender_domain_finish(struct auth *x, struct evidence *e);

int dkim_context_new(struct auth_context *c, struct error *err);
void dkim_context_free(struct auth_context *c);
void dkim_begin(struct auth *x, struct message *m);
/* A message longer than m, and what comes behind m. */
void dkim_overflow(struct auth *x, struct message *m);
void dkim_more(struct auth *x, struct span body);
void dkim_drop(struct auth *x);
int dkim_finish(struct auth *x, struct message *m, struct evidence *e);
void arc_begin(struct auth *x, struct message *m);
void arc_overflow(struct auth *x, struct message *m);
void arc_more(struct auth *x, struct span body);
void arc_drop(struct auth *x);
int arc_finish(struct auth *x, struct message *m, struct evidence *e);
/* questions.c: what rules ask. NULL: no memory */
struct questions_run;
struct questions_run *questions_begin(struct auth *x,
    const struct auth_questions *questions, struct evidence *e);
/* Goes on with the answers that are there. *ret_open: more may follow from
 * answers that are not. 0 or -ENOMEM */
int questions_step(struct questions_run *run, bool *ret_open);
int questions_finish(struct questions_run *run);
/* After SPF, DKIM and ARC: it looks at their evidence. */
void dmarc_begin(struct auth *x, struct message *m);
int dmarc_finish(struct auth *x, struct message *m, struct evidence *e);

#endif
