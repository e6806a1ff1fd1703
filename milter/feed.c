#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "db/labels.h"
#include "db/shadow.h"
#include "milter/log.h"
#include "milter/session_private.h"
#include "scoring/feedback.h"

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

/* Everything about the message that --explain --id shows again later, and
 * that a label needs to find its sender. */
static void
feed_log(struct session *s, const struct identity *ids, size_t count,
    double ham, double spam, const char *author, int64_t now)
{
	struct transaction *t = s->t;
	struct explain_input in = { t->run.message, t->run.envelope,
		t->run.evidence, t->run.verdict };
	struct feedback_verdict v = { .input = &in, .message = t->run.message,
		.id = t->verdict_id, .action = t->action, .now = now, .ids = ids,
		.id_count = count, .ham = ham, .spam = spam, .author = author,
		.keyed = s->snapshot->settings.log_addresses ==
		    LOG_ADDRESSES_KEYED };

	if (s->snapshot->settings.log_keep == 0)
		return;
	if (feedback_log(s->server->store, &v, t->arena) != 0)
		log_fault("verdict-log", "fault=verdict-log queue_id=%s "
		    "error=\"no memory for the record\"",
		    t->queue_id != NULL ? t->queue_id : "-");
	session_put_shadows(s->server->store, t, 0);
}

void
session_put_shadows(struct store *store, const struct transaction *t,
    size_t first)
{
	const struct verdict *v = t->run.verdict;
	struct shadow_said said[SHADOW_MAX_SETS];
	size_t n = 0;

	for (size_t i = first; i < v->shadow_count && n < SHADOW_MAX_SETS; i++) {
		const struct shadow_verdict *s = &v->shadows[i];

		said[n++] = (struct shadow_said){ s->name, s->hash,
			(int)v->action, (int)s->action, s->score };
	}
	store_shadow_put(store, t->verdict_id, said, n, t->run.evidence->now);
}

/* Whether the filter teaches itself this message. Reputation is not fed:
 * verdicts do that themselves. */
static enum label_class
decide_auto(struct session *s)
{
	struct transaction *t = s->t;
	struct autolearn decision;

	if (!s->snapshot->scoring->auto_learn ||
	    engine_autolearn(s->snapshot->engine, &t->run, t->arena,
		&decision) != 0)
		return LABEL_NONE;
	return decision.class;
}

/* What the model may know of the message: for a lesson now, or for a label
 * by the verdict's id later */
static void
feed_model(struct session *s, int64_t now)
{
	const struct scoring_settings *ss = s->snapshot->scoring;
	bool keep = s->snapshot->settings.log_samples > 0;
	struct transaction *t = s->t;
	struct sample_source source = { .message = t->run.message };
	enum label_class class;
	struct lesson_auto lesson = {
		.weight = ss->auto_learn_weight, .share = ss->auto_learn_share,
		.balance = ss->auto_learn_balance,
		.max_per_hour = ss->auto_learn_rate, .now = now,
	};
	struct sample sample;

	/* one that was deferred comes again */
	if (t->action == ACTION_TEMPFAIL)
		return;
	class = decide_auto(s);
	if ((class == LABEL_NONE && !keep) ||
	    feedback_message_identity(t->run.message, lesson.message) != 0 ||
	    sample_make(&source, t->arena, &sample) != 0 ||
	    sample_pack(&sample, t->arena, &lesson.sample) != 0)
		return;
	if (keep)
		store_sample_put(s->server->store, lesson.message,
		    lesson.sample, now);
	if (class == LABEL_NONE)
		return;
	lesson.spam = class == LABEL_SPAM;
	t->auto_learned = class;
	store_lesson_auto(s->server->store, &lesson);
	atomic_store(&s->server->auto_learned, true);
}

void
session_feed_store(struct session *s, int64_t now)
{
	struct transaction *t = s->t;
	struct identity *ids = NULL;
	const char *author;
	double ham, spam;
	size_t count = 0;

	if (s->server->store == NULL)
		return;
	feed_greylist(s, now);
	feed_model(s, now);
	reputation_weigh(t->run.verdict, &ham, &spam);
	/* a deferred message comes again and would be counted twice */
	if (t->action == ACTION_TEMPFAIL)
		ham = spam = 0;
	if (gather_identities(s->snapshot->auth, t->run.evidence,
		t->run.envelope, t->run.message, t->arena, &ids, &count) != 0)
		return;
	author = author_address(t);
	if (count != 0 && (ham != 0 || spam != 0))
		store_reputation_add(s->server->store, ids, count, ham, spam,
		    author, now);
	feed_log(s, ids, count, ham, spam, author, now);
}

bool
session_field_automatic(const char *name, const char *value)
{
	struct span n = span_cstr(name), v = span_trim(span_cstr(value));

	/* RFC 3834 5; what lists and bulk mailers say of themselves */
	if (span_iis(n, "Auto-Submitted"))
		return !span_istarts(v, "no");
	if (span_iis(n, "Precedence"))
		return span_istarts(v, "bulk") || span_istarts(v, "list") ||
		    span_istarts(v, "junk") || span_istarts(v, "auto_reply");
	return span_istarts(n, "List-") || span_istarts(n, "X-Autore") ||
	    span_iis(n, "X-Auto-Response-Suppress") ||
	    span_iis(n, "Feedback-ID");
}

void
session_feed_correspondents(struct session *s, int64_t now)
{
	/* a person writes to a few; more is a mailing */
	enum { MAX_RECIPIENTS = 10 };
	struct transaction *t = s->t;

	if (s->server->store == NULL || t->envelope.auth_login == NULL ||
	    t->automatic || t->rcpt_count > MAX_RECIPIENTS ||
	    t->envelope.mail_from == NULL || t->envelope.mail_from[0] == '\0')
		return;
	for (size_t i = 0; i < t->rcpt_count; i++)
		store_correspondent_add(s->server->store,
		    t->envelope.auth_login, t->rcpts[i], now);
}

void
session_feed_bans(struct session *s)
{
	const struct milter_settings *ms = &s->snapshot->settings;
	struct network net;
	char reason[128];

	/* a relay only hands on what others sent; inside and authenticated
	 * clients are not judged and never come here */
	if (s->server->banfeed == NULL || s->relay || s->inside ||
	    s->t->envelope.auth_login != NULL)
		return;
	s->t->no_strike = strikes_excuse(s->t->run.verdict, s->t->run.evidence,
	    &s->t->envelope);
	if (s->t->no_strike != NULL)
		return;
	if (!strikes_add(s->server->strikes, &s->client, ms->ban_strikes,
		ms->ban_window, clock_ms(), &net))
		return;
	snprintf(reason, sizeof(reason), "%lld messages rejected, last id %s",
	    (long long)ms->ban_strikes, s->t->verdict_id);
	banfeed_report(s->server->banfeed, &net, ms->ban_time / 1000, reason);
}
