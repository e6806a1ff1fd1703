#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "milter/log.h"
#include "milter/session_private.h"
#include "scoring/explain.h"

/* Text from mail in a log line: enough to recognise it. */
enum { LOG_NAME_BYTES = 100, LOG_RULES_BYTES = 1500 };

/* Random, so that the reply tells the client nothing and the administrator
 * finds the line in the log: 80 bits. */
static bool
verdict_id_make(char out[VERDICT_ID_TEXT])
{
	unsigned char bytes[VERDICT_ID_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return false;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	return true;
}

static void
outcome_accept(struct session *s, struct outcome *o)
{
	*o = (struct outcome){ .kind = OUTCOME_ACCEPT };
	if (s->snapshot->settings.action != ACT_OBSERVE)
		o->edits = &s->t->edits;
}

static void
outcome_fail(struct session *s, enum failure f, struct outcome *o)
{
	const struct failure_row *row = failure_row(f);

	if (failure_reply(f, s->snapshot->settings.on_failure) == REPLY_ACCEPT) {
		*o = (struct outcome){ .kind = OUTCOME_ACCEPT };
		/* unscored mail must not carry a stranger's verdict either */
		if (s->t != NULL && f != FAILURE_EDIT)
			outcome_accept(s, o);
		return;
	}
	*o = (struct outcome){ .kind = OUTCOME_TEMPFAIL, .code = "451",
		.xcode = row->xcode };
	snprintf(o->text, sizeof(o->text),
	    "The message could not be checked, try again later");
}

static int
add_header(struct transaction *t, const char *name, const struct buf *value)
{
	return value->failed ? -ENOMEM :
			       edits_insert(&t->edits, name, buf_span(value));
}

/* The fields of a judged message, in the order in which they will stand */
static int
insertions_make(struct session *s, bool tagged)
{
	struct transaction *t = s->t;
	const struct verdict *v = t->run.verdict;
	struct span ar = auth_results_format(t->arena, s->authserv_id,
	    t->run.evidence, t->run.envelope);
	struct buf text;
	int r;

	if (ar.ptr == NULL)
		return -ENOMEM;
	r = edits_insert(&t->edits, "Authentication-Results", ar);
	buf_init(&text, 64 * 1024);
	if (r == 0 && tagged)
		r = edits_insert(&t->edits, "X-Spam-Flag", SPAN_LIT("YES"));
	explain_points(v->score, &text);
	if (r == 0)
		r = add_header(t, "X-Spam-Score", &text);
	buf_reset(&text);
	explain_status_header(v, tagged, &text);
	if (r == 0)
		r = add_header(t, "X-Spam-Status", &text);
	buf_done(&text);
	return r;
}

/* Without a state database a deferred message would be new each time it
 * comes, and so be lost in the end: it is tagged instead. */
static enum action
action_possible(const struct session *s, enum action a)
{
	return a == ACTION_TEMPFAIL && s->server->store == NULL ? ACTION_TAG : a;
}

static enum failure
judge_it(struct session *s, int64_t now)
{
	struct transaction *t = s->t;
	struct engine_request request = {
		.raw = buf_span(&t->raw),
		.full_size_bytes = t->size_bytes,
		.envelope = &t->envelope,
		.sources = &t->sources,
		.gather = t->gather,
		.now = now,
		.arena = t->arena,
	};
	int r;

	if (!verdict_id_make(t->verdict_id)) {
		error_set(&t->failure_text, 0, "no random bytes");
		return FAILURE_INTERNAL;
	}
	r = engine_judge(s->snapshot->engine, &request, &t->run,
	    &t->failure_text);
	if (r != 0) {
		t->run.verdict = NULL;
		return r == -ENOMEM ? FAILURE_MEMORY :
		    r == -EINVAL    ? FAILURE_MESSAGE :
				      FAILURE_INTERNAL;
	}
	/* a DNS list that was switched off or on again just now */
	for (size_t i = 0; i < t->run.evidence->notice_count; i++)
		log_write(LOG_WARNING, "%s", t->run.evidence->notices[i]);
	t->action = action_possible(s, t->run.verdict->action);
	t->would_action = t->action;
	if (s->snapshot->settings.action == ACT_OBSERVE)
		t->action = ACTION_ACCEPT;
	else if (insertions_make(s, t->action == ACTION_TAG) != 0) {
		error_set(&t->failure_text, 0, "out of memory for header edits");
		t->run.verdict = NULL;
		t->edits.insertion_count = 0;
		return FAILURE_MEMORY;
	}
	return FAILURE_NONE;
}

void
session_judge(struct session *s, const char *queue_id, int64_t now,
    struct outcome *o)
{
	struct transaction *t = s->t;
	int64_t start = clock_us();

	if (t == NULL) {
		outcome_fail(s, s->no_transaction != FAILURE_NONE ?
			s->no_transaction : FAILURE_INTERNAL, o);
		return;
	}
	if (queue_id != NULL)
		t->queue_id = arena_strdup(t->arena, queue_id);
	t->envelope.queue_id = t->queue_id;
	t->envelope.rcpt_to = t->rcpts;
	t->envelope.rcpt_count = t->rcpt_count;
	session_end_of_body(s);
	if (t->judged && t->failure == FAILURE_NONE)
		t->failure = judge_it(s, now);
	t->took_us = clock_us() - start;
	if (t->failure != FAILURE_NONE) {
		outcome_fail(s, t->failure, o);
		return;
	}
	outcome_accept(s, o);
	if (!t->judged) {
		session_feed_correspondents(s, now);
		return;
	}
	session_feed_store(s, now);
	if (t->action == ACTION_REJECT) {
		*o = (struct outcome){ .kind = OUTCOME_REJECT, .code = "550",
			.xcode = "5.7.1" };
		snprintf(o->text, sizeof(o->text),
		    "Message refused by local policy, id %s", t->verdict_id);
		session_feed_bans(s);
	} else if (t->action == ACTION_TEMPFAIL) {
		*o = (struct outcome){ .kind = OUTCOME_TEMPFAIL, .code = "451",
			.xcode = "4.7.1" };
		snprintf(o->text, sizeof(o->text),
		    "Message deferred, try again later, id %s", t->verdict_id);
	}
}

void
session_edits_failed(struct session *s, struct outcome *o)
{
	if (s->t != NULL) {
		s->t->failure = FAILURE_EDIT;
		error_set(&s->t->failure_text, 0, "the MTA refused a header edit");
	}
	outcome_fail(s, FAILURE_EDIT, o);
}

static void
add_points(struct buf *line, const char *key, double points)
{
	char text[32];
	struct buf p;

	buf_init(&p, sizeof(text));
	explain_points(points, &p);
	log_add(line, key, buf_span(&p), 0);
	buf_done(&p);
}

static void
add_rules(struct buf *line, const struct verdict *v)
{
	struct buf names;

	buf_init(&names, LOG_RULES_BYTES);
	for (size_t i = 0; i < v->hit_count && !names.failed; i++) {
		size_t before = names.len;

		if (before != 0)
			buf_add_char(&names, ',');
		buf_add_str(&names, v->hits[i].rule);
		if (names.failed)
			names.len = before;
	}
	log_add(line, "rules", buf_span(&names), 0);
	buf_done(&names);
}

static void
log_failure(const struct session *s)
{
	const struct transaction *t = s->t;
	struct buf text;

	buf_init(&text, 1024);
	log_add(&text, "error", span_cstr(t->failure_text.text), 400);
	log_fault(failure_row(t->failure)->word,
	    "fault=%s queue_id=%s %s", failure_row(t->failure)->word,
	    t->queue_id != NULL ? t->queue_id : "-", text.ptr);
	buf_done(&text);
}

void
session_log(struct session *s)
{
	struct transaction *t = s->t;
	const struct verdict *v;
	bool failed, observe;
	char ip[NETADDR_TEXT];
	const char *action;
	struct buf line;

	if (t == NULL) {
		log_fault("memory", "fault=memory error=\"no memory for a message\"");
		return;
	}
	failed = t->failure != FAILURE_NONE;
	observe = s->snapshot->settings.action == ACT_OBSERVE;
	v = t->run.verdict;
	action = failed ?
	    (failure_reply(t->failure, s->snapshot->settings.on_failure) ==
			REPLY_ACCEPT ? "accept" : "tempfail") :
	    v != NULL ? action_name(t->action) :
			"accept";
	buf_init(&line, LOG_LINE_BYTES);
	log_add(&line, "queue_id",
	    span_cstr(t->queue_id != NULL ? t->queue_id : "-"), LOG_NAME_BYTES);
	log_add(&line, "verdict",
	    span_cstr(t->verdict_id[0] != '\0' ? t->verdict_id : "-"), 0);
	log_add(&line, "action", span_cstr(action), 0);
	if (v != NULL)
		add_points(&line, "score", v->score);
	else
		log_add(&line, "score", SPAN_LIT("-"), 0);
	log_add(&line, "client", span_cstr(s->client.family != 0 ?
		netaddr_format(&s->client, ip) : "unknown"), 0);
	log_add(&line, "from", span_cstr(t->envelope.mail_from != NULL ?
		t->envelope.mail_from : ""), LOG_NAME_BYTES);
	if (v != NULL)
		add_rules(&line, v);
	else
		log_add(&line, "rules", SPAN_LIT("-"), 0);
	if (observe && v != NULL)
		log_add(&line, "would_action",
		    span_cstr(action_name(t->would_action)), 0);
	if (v != NULL && v->score_low != v->score_high) {
		add_points(&line, "score_low", v->score_low);
		add_points(&line, "score_high", v->score_high);
	}
	if (v != NULL && v->action_reason != NULL)
		log_add(&line, "why", span_cstr(v->action_reason), 200);
	if (failed)
		log_add(&line, "failure",
		    span_cstr(failure_row(t->failure)->word), 0);
	else if (v == NULL)
		log_add(&line, "not_judged",
		    span_cstr(s->inside ? "mynetworks" : "authenticated"), 0);
	if (t->auto_learned != LABEL_NONE)
		log_add(&line, "autolearn", t->auto_learned == LABEL_SPAM ?
			SPAN_LIT("spam") : SPAN_LIT("ham"), 0);
	if (v != NULL && v->truncated)
		log_add(&line, "truncated", SPAN_LIT("yes"), 0);
	/* fail2ban's filter relies on what stands behind it */
	if (t->no_strike != NULL)
		log_add(&line, "no_strike", span_cstr(t->no_strike), 0);
	buf_printf(&line, " rcpts=%zu size=%zu removed=%zu time_us=%lld",
	    t->rcpt_count, t->size_bytes, observe ? 0 : t->edits.removal_count,
	    (long long)t->took_us);
	log_write(LOG_INFO, "%s", line.ptr);
	buf_done(&line);
	if (failed)
		log_failure(s);
}
