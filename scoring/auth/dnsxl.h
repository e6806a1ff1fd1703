/*
 * dnsxl - the health of DNS block and allow lists (RFC 5782 5): each list
 * that rules ask is probed with its test entries before its answers count.
 *
 * A list that lists 127.0.0.1 or everything, answers 127.255.255.x ("you ask
 * too much", "not from here") or outside of 127.0.0.0/8 (a parked domain), or
 * does not answer at all, is switched off for a while: its questions are not
 * asked, count as not run, and the evidence says why. A list without test
 * entries that behaves otherwise stays on: some have none.
 *
 * struct dnsxl is shared by all threads. A struct dnsxl_run belongs to one
 * message and its arena. Time is the evidence's clock.
 */
#ifndef SCORING_AUTH_DNSXL_H
#define SCORING_AUTH_DNSXL_H

#include "base/arena.h"
#include "scoring/auth/dns.h"
#include "scoring/evidence.h"
#include "scoring/rules/ruleset.h"

enum {
	DNSXL_MAX_LISTS = 256,	 /* further ones are not watched */
	DNSXL_MAX_BLOCKS = 64,	 /* domains of dns_block_rule */
	DNSXL_GOOD_SEC = 3600,	 /* until the next probe */
	DNSXL_OFF_SEC = 600,	 /* a misbehaving list */
	DNSXL_SILENT_SEC = 60,	 /* one that did not answer: the fault may be
				    ours, so look again soon */
};

struct dnsxl;
struct dnsxl *dnsxl_new(void); /* NULL: no memory */
void dnsxl_free(struct dnsxl *d);

/* From now on for so many seconds no question at or below domain. */
void dnsxl_block(struct dnsxl *d, const char *domain, int64_t now,
    int64_t seconds);

struct dnsxl_run;
/* Starts the probes that are due. NULL: no memory. */
struct dnsxl_run *dnsxl_begin(struct dnsxl *d, struct dns_session *probes,
    const char *const *lists, size_t count, int64_t now, struct arena *a);
/* Reads the probes' answers. 0 or -ENOMEM. */
int dnsxl_finish(struct dnsxl_run *run, struct evidence *e);
/* Is this list (NULL: none) switched off, or the name below a domain that is
 * not to be asked for a while? Then *ret_check says why. */
bool dnsxl_is_off(const struct dnsxl_run *run, const char *list,
    const char *name, struct check *ret_check);
/* Judges a real answer; one that is no answer of a list does not count (a
 * complaint, 127.255.255.x, stays in *d for rules that name it) and switches
 * the list off. Fills the row for --explain. 0 or -ENOMEM */
int dnsxl_answer(struct dnsxl_run *run, const struct rule_question *q,
    struct dns_evidence *d, struct dnsxl_evidence *row);

#endif
