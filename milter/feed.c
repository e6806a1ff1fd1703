#include <stdio.h>
#include <time.h>

#include "milter/session_private.h"

/*
 * What the filter itself thinks counts a fifth of a person's word, and only
 * where it is sure: from twice tag_score up, and from a fifth of it down.
 * Points that reputation or the learned model gave are taken out before,
 * or both would confirm themselves for ever.
 */
#define OWN_VERDICT_WEIGHT 0.2
#define SURE_SPAM_FACTOR 2.0
#define SURE_HAM_FACTOR 0.2

static void
own_verdict(const struct verdict *v, double *ret_ham, double *ret_spam)
{
	double memory = 0;

	for (size_t i = 0; i < v->reputation_count; i++)
		memory += v->reputation[i].score;
	for (size_t i = 0; i < v->hit_count; i++)
		if (strcmp(v->hits[i].type, "learned") == 0)
			memory += v->hits[i].score;
	*ret_ham = *ret_spam = 0;
	if (v->score_low - memory >= v->thresholds.tag * SURE_SPAM_FACTOR)
		*ret_spam = OWN_VERDICT_WEIGHT;
	else if (v->score_high - memory <= v->thresholds.tag * SURE_HAM_FACTOR)
		*ret_ham = OWN_VERDICT_WEIGHT;
}

static const char *
author_address(struct transaction *t)
{
	struct message *m = t->run.message;
	struct field *from = message_find(m, "From", 0);
	struct span addr;

	if (from == NULL)
		return NULL;
	addr = address_first_addr(t->arena, field_decoded(m, from));
	return addr.ptr != NULL && addr.len != 0 ?
	    arena_memdup(t->arena, addr.ptr, addr.len) : NULL;
}

static void
feed_greylist(struct session *s, int64_t now)
{
	struct transaction *t = s->t;
	const struct evidence *e = t->run.evidence;
	int64_t delay = s->snapshot->scoring->greylist_delay / 1000;
	const char *key;
	bool passed;

	/* only what was or would be deferred needs to be remembered */
	passed = e->greylist_first_seen != 0 && !e->greylist_passed &&
	    now - e->greylist_first_seen >= delay;
	if (t->would_action != ACTION_TEMPFAIL && !passed)
		return;
	key = gather_greylist_key(e, t->run.envelope, t->arena);
	if (key != NULL)
		store_greylist_put(s->server->store, key, passed, now);
}

void
session_feed_store(struct session *s, int64_t now)
{
	struct transaction *t = s->t;
	struct identity *ids = NULL;
	double ham, spam;
	size_t count = 0;

	if (s->server->store == NULL)
		return;
	feed_greylist(s, now);
	/* a deferred message comes again and would be counted twice */
	if (t->action == ACTION_TEMPFAIL)
		return;
	own_verdict(t->run.verdict, &ham, &spam);
	if (ham == 0 && spam == 0)
		return;
	if (gather_identities(s->snapshot->auth, t->run.evidence,
		t->run.envelope, t->run.message, t->arena, &ids, &count) == 0 &&
	    count != 0)
		store_reputation_add(s->server->store, ids, count, ham, spam,
		    author_address(t), now);
}

void
session_feed_bans(struct session *s)
{
	const struct milter_settings *ms = &s->snapshot->settings;
	struct timespec ts;
	struct network net;
	char reason[128];

	/* a relay only hands on what others sent; inside and authenticated
	 * clients are not judged and never come here */
	if (s->server->banfeed == NULL || s->relay || s->inside ||
	    s->t->envelope.auth_login != NULL)
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	if (!strikes_add(s->server->strikes, &s->client, ms->ban_strikes,
		ms->ban_window, (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000,
		&net))
		return;
	snprintf(reason, sizeof(reason), "%lld messages rejected, last id %s",
	    (long long)ms->ban_strikes, s->t->verdict_id);
	banfeed_report(s->server->banfeed, &net, ms->ban_time / 1000, reason);
}
