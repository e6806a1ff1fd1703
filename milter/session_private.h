/*
 * The inside of a session, shared by session.c (collects), judge_message.c
 * (decides) and nobody else.
 */
#ifndef MILTER_SESSION_PRIVATE_H
#define MILTER_SESSION_PRIVATE_H

#include "milter/session.h"

struct transaction {
	struct arena *arena, *edit_arena;
	struct buf raw;	       /* LF line ends, at most scan_size */
	size_t size_bytes;     /* of the whole message, in that form */
	bool overflow;	       /* it is longer than raw may be */
	size_t field_count;
	bool pending_cr;       /* a body chunk ended in CR */
	struct edits edits;
	struct envelope envelope;
	const char **rcpts;
	size_t rcpt_count, rcpt_alloc;
	const char *queue_id;
	bool judged;	       /* false: mynetworks or authenticated */
	bool automatic;	       /* says of itself that no person wrote it */
	struct gather_sources sources;
	struct gather *gather;
	/* the result */
	enum failure failure;
	struct error failure_text;
	struct engine_run run; /* verdict NULL: not judged, or failed */
	enum action action;    /* what is done */
	enum action would_action;
	enum label_class auto_learned; /* what the filter taught itself of it */
	const char *no_strike; /* why a reject is not held against the client */
	char verdict_id[VERDICT_ID_TEXT];
	int64_t took_us;
};

struct session {
	struct server *server;
	struct snapshot *snapshot; /* NULL until connect */
	struct netaddr client;
	char *client_name, *reverse_name, *helo, *authserv_id;
	bool tls, relay, inside;   /* in trusted_networks, in mynetworks */
	struct transaction *t;	   /* NULL between messages */
	enum failure no_transaction; /* why there is none though MAIL came */
};

void transaction_free(struct transaction *t);
void session_end_of_body(struct session *s);
/* After the verdict: memory of identities and the greylist. */
void session_feed_store(struct session *s, int64_t now);
/* What the shadows of a verdict said, from the first-th on, into the log. */
void session_put_shadows(struct store *store, const struct transaction *t,
    size_t first);
/* A field by which a message says that it is a list's, bulk or automatic. */
bool session_field_automatic(const char *name, const char *value);
/* After a message of an authenticated user: whom it went to. */
void session_feed_correspondents(struct session *s, int64_t now);
/* After a reject: strikes, and a report for a ban. */
void session_feed_bans(struct session *s);

#endif
