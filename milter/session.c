#include <stdlib.h>
#include <string.h>

#include "milter/session_private.h"
#include "milter/shadow_work.h"

/* RFC 5321 4.5.3.1 allows 255 and 256; longer ones are data to be judged,
 * but a client must not fill memory with them. */
enum { NAME_MAX_BYTES = 1024 };

/* What must be deleted is remembered apart from all else, so that a message
 * that exhausts message_memory still loses the fields that it forged: a
 * million of them fit. */
enum { EDITS_ARENA_BYTES = 64 << 20 };

struct session *
session_new(struct server *server)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->server = server;
	return s;
}

static void
set_string(char **p, const char *value)
{
	free(*p);
	/* no memory for a name: it is unknown then */
	*p = value != NULL ? strndup(value, NAME_MAX_BYTES) : NULL;
}

void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	session_end_message(s);
	snapshot_unref(s->snapshot);
	free(s->client_name);
	free(s->reverse_name);
	free(s->helo);
	free(s->authserv_id);
	free(s);
}

void
session_connect(struct session *s, const struct netaddr *client,
    const char *client_name, const char *reverse_name, const char *host)
{
	const struct scoring_settings *scoring;

	session_end_message(s);
	if (s->snapshot == NULL)
		s->snapshot = server_snapshot(s->server);
	scoring = s->snapshot->scoring;
	s->client = *client;
	set_string(&s->client_name, client_name);
	set_string(&s->reverse_name, reverse_name);
	set_string(&s->helo, NULL);
	/* without a setting: the name that the MTA calls itself */
	set_string(&s->authserv_id, scoring->authserv_id != NULL ?
		scoring->authserv_id : host != NULL ? host : s->server->host);
	s->tls = false;
	s->inside = netset_contains(&scoring->mynetworks, client);
	s->relay = netset_contains(&scoring->trusted_networks, client);
}

void
session_helo(struct session *s, const char *helo, bool tls)
{
	set_string(&s->helo, helo);
	s->tls = tls;
}

struct span
session_path_address(const char *path)
{
	struct span p = span_trim(span_cstr(path));

	if (p.len >= 2 && p.ptr[0] == '<' && p.ptr[p.len - 1] == '>')
		p = span_trim(span_of(p.ptr + 1, p.len - 2));
	/* a source route "@a,@b:" is obsolete; servers must ignore it */
	if (p.len > 0 && p.ptr[0] == '@') {
		size_t colon = span_find(p, ':');

		if (colon < p.len)
			p = span_from(p, colon + 1);
	}
	return p;
}

static void
fail(struct transaction *t, enum failure f, const char *text)
{
	if (t->failure != FAILURE_NONE)
		return;
	t->failure = f;
	error_set(&t->failure_text, 0, "%s", text);
}

static const char *
copy(struct transaction *t, struct span s)
{
	char *p = arena_memdup(t->arena, s.ptr, s.len);

	if (p == NULL)
		fail(t, FAILURE_MEMORY, "out of memory for the envelope");
	return p;
}

static const char *
copy_string(struct transaction *t, const char *s)
{
	return s != NULL ? copy(t, span_cstr(s)) : NULL;
}

/* Envelope as far as it is known before the recipients */
static void
envelope_begin(struct session *s, struct transaction *t,
    const char *reverse_path, const char *auth_login, const char *queue_id)
{
	t->envelope = (struct envelope){
		.source = ENVELOPE_SMTP,
		.client_ip = s->client,
		/* a shadow may look at the message when the session is gone */
		.client_name = copy_string(t, s->client_name),
		.reverse_name = copy_string(t, s->reverse_name),
		.helo = copy_string(t, s->helo),
		.tls = s->tls,
		.mail_from = copy(t, session_path_address(reverse_path)),
	};
	if (auth_login != NULL && auth_login[0] != '\0')
		t->envelope.auth_login = copy(t, span_cstr(auth_login));
	t->queue_id = copy_string(t, queue_id);
}

static struct transaction *
transaction_new(struct session *s)
{
	const struct milter_settings *ms = &s->snapshot->settings;
	struct transaction *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->arena = arena_new((size_t)ms->message_memory);
	t->edit_arena = arena_new(EDITS_ARENA_BYTES);
	if (t->arena == NULL || t->edit_arena == NULL) {
		arena_free(t->arena);
		arena_free(t->edit_arena);
		free(t);
		return NULL;
	}
	buf_init(&t->raw, (size_t)s->snapshot->scoring->scan_size);
	edits_init(&t->edits, t->edit_arena);
	return t;
}

void
session_mail(struct session *s, const char *reverse_path,
    const char *auth_login, const char *queue_id)
{
	struct transaction *t;

	session_end_message(s);
	atomic_fetch_add(&s->server->in_flight, 1);
	t = s->t = transaction_new(s);
	if (t == NULL) {
		s->no_transaction = FAILURE_MEMORY;
		return;
	}
	envelope_begin(s, t, reverse_path, auth_login, queue_id);
	/* RFC 4954: a client that proved who it is hands in its own mail */
	t->judged = !s->inside &&
	    (auth_login == NULL || auth_login[0] == '\0');
	if (atomic_load(&s->server->stopping))
		fail(t, FAILURE_STOPPING, "the daemon stops");
	if (!t->judged || t->failure != FAILURE_NONE)
		return;
	t->sources = (struct gather_sources){
		.auth = s->snapshot->auth,
		.store = s->server->store,
		.store_why = s->server->store_why,
	};
	t->gather = gather_new(&t->sources, s->snapshot->scoring, t->arena);
	if (t->gather == NULL)
		fail(t, FAILURE_MEMORY, "out of memory for lookups");
	else /* answers come while the rest of the message does */
		gather_begin(t->gather, &t->envelope);
}

void
session_rcpt(struct session *s, const char *forward_path)
{
	struct transaction *t = s->t;

	if (t == NULL)
		return;
	if (t->rcpt_count == t->rcpt_alloc) {
		size_t alloc = t->rcpt_alloc == 0 ? 8 : t->rcpt_alloc * 2;
		const char **rcpts = ARENA_ARRAY(t->arena, alloc, const char *);

		if (rcpts == NULL) {
			fail(t, FAILURE_MEMORY, "out of memory for recipients");
			return;
		}
		if (t->rcpt_count != 0)
			memcpy(rcpts, t->rcpts, t->rcpt_count * sizeof(*rcpts));
		t->rcpts = rcpts;
		t->rcpt_alloc = alloc;
	}
	t->rcpts[t->rcpt_count] = copy(t, session_path_address(forward_path));
	if (t->rcpts[t->rcpt_count] != NULL)
		t->rcpt_count++;
}

/* Counts n bytes and keeps those that scan_size has room for; the others are
 * only seen by what verifies signatures. */
static void
keep(struct transaction *t, const char *p, size_t n)
{
	size_t room = t->raw.cap - t->raw.len;
	size_t take = n < room ? n : room;

	t->size_bytes += n;
	if (!t->judged || t->failure != FAILURE_NONE)
		return;
	buf_add(&t->raw, p, take);
	if (t->raw.failed) {
		fail(t, FAILURE_MEMORY, "out of memory for the message");
		return;
	}
	if (take == n)
		return;
	if (!t->overflow)
		gather_begin_overflow(t->gather, buf_span(&t->raw));
	t->overflow = true;
	gather_body(t->gather, span_of(p + take, n - take));
}

void
session_header(struct session *s, const char *name, const char *value)
{
	struct transaction *t = s->t;
	struct span v = span_cstr(value);

	if (t == NULL)
		return;
	if (edits_see_field(&t->edits, span_cstr(name), v, s->authserv_id) != 0)
		fail(t, FAILURE_MEMORY, "out of memory for header edits");
	t->field_count++;
	t->automatic |= session_field_automatic(name, value);
	keep(t, name, strlen(name));
	keep(t, ":", 1);
	while (v.len > 0) { /* Postfix folds with LF; others may with CRLF */
		size_t eol = span_find(v, '\n'), line = eol;

		if (line > 0 && eol < v.len && v.ptr[line - 1] == '\r')
			line--;
		keep(t, v.ptr, line);
		if (eol < v.len)
			keep(t, "\n", 1);
		v = span_from(v, eol + 1);
	}
	keep(t, "\n", 1);
}

void
session_end_of_header(struct session *s)
{
	struct transaction *t = s->t;

	if (t == NULL)
		return;
	/* A message without any header field is still mail: Postfix takes it,
	 * and so must the engine, or leaving out the header would be the way
	 * past the filter. What delivery will put on top anyway goes first. */
	if (t->field_count == 0 && t->envelope.mail_from != NULL) {
		keep(t, "Return-Path: <", 14);
		keep(t, t->envelope.mail_from, strlen(t->envelope.mail_from));
		keep(t, ">\n", 2);
	}
	keep(t, "\n", 1);
	if (t->gather != NULL)
		gather_continue(t->gather);
}

void
session_body(struct session *s, const void *p, size_t n)
{
	struct transaction *t = s->t;
	struct span rest = span_of(p, n);

	if (t == NULL || n == 0)
		return;
	if (t->pending_cr) {
		t->pending_cr = false;
		if (rest.ptr[0] != '\n')
			keep(t, "\r", 1);
	}
	while (rest.len > 0) {
		size_t cr = span_find(rest, '\r');

		keep(t, rest.ptr, cr);
		if (cr == rest.len)
			return;
		if (cr + 1 == rest.len) {
			t->pending_cr = true;
			return;
		}
		if (rest.ptr[cr + 1] != '\n') /* a bare CR is data */
			keep(t, "\r", 1);
		rest = span_from(rest, cr + 1);
	}
}

void
session_end_of_body(struct session *s)
{
	if (s->t->pending_cr)
		keep(s->t, "\r", 1);
	s->t->pending_cr = false;
}

void
transaction_free(struct transaction *t)
{
	gather_free(t->gather);
	buf_done(&t->raw);
	arena_free(t->arena);
	arena_free(t->edit_arena);
	free(t);
}

void
session_end_message(struct session *s)
{
	struct transaction *t = s->t;

	if (t == NULL && s->no_transaction == FAILURE_NONE)
		return;
	s->t = NULL;
	s->no_transaction = FAILURE_NONE;
	if (t != NULL) {
		gather_free(t->gather);
		t->gather = NULL;
		if (!shadow_work_add(s->server->shadow_work, s->snapshot, t))
			transaction_free(t);
	}
	atomic_fetch_sub(&s->server->in_flight, 1);
}

enum failure_reply
session_lost(struct server *server)
{
	struct snapshot *current = server_snapshot(server);
	enum failure_reply r = failure_reply(FAILURE_MEMORY,
	    current->settings.on_failure);

	snapshot_unref(current);
	return r;
}

struct snapshot *
server_snapshot(struct server *s)
{
	struct snapshot *current;

	pthread_mutex_lock(&s->lock);
	current = snapshot_ref(s->current);
	pthread_mutex_unlock(&s->lock);
	return current;
}

void
server_swap(struct server *s, struct snapshot *fresh)
{
	struct snapshot *old;

	pthread_mutex_lock(&s->lock);
	old = s->current;
	s->current = fresh;
	pthread_mutex_unlock(&s->lock);
	snapshot_unref(old);
}
