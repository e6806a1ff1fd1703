/*
 * session - one SMTP connection as the milter sees it, and the message that
 * is under way on it. Knows nothing of libmilter: callbacks.c translates.
 *
 * A session is used by one thread at a time, but by different threads in
 * turn: libmilter has a pool of workers, so nothing here is thread-local.
 * State belongs to the connection or to the message; session_end_message()
 * (abort, or after the reply) forgets the message only.
 *
 * Message bytes are kept with LF line ends, as they will be delivered, and
 * at most scan_size of them; the rest only counts. No function fails: what
 * goes wrong with a message is remembered and becomes its reply by the table
 * in failure.h.
 */
#ifndef MILTER_SESSION_H
#define MILTER_SESSION_H

#include <stdint.h>

#include "milter/edits.h"
#include "milter/failure.h"
#include "milter/server.h"

struct session;

enum outcome_kind { OUTCOME_ACCEPT, OUTCOME_TEMPFAIL, OUTCOME_REJECT };

enum { VERDICT_ID_BYTES = 10, VERDICT_ID_TEXT = 2 * VERDICT_ID_BYTES + 1 };

/* What becomes of one message. edits belong to the session and live until
 * session_end_message(); NULL: leave the header alone. */
struct outcome {
	enum outcome_kind kind;
	const char *code, *xcode; /* "550", "5.7.1"; unused when accepted */
	char text[128];
	const struct edits *edits;
};

/* NULL: no memory */
struct session *session_new(struct server *server);
void session_free(struct session *s); /* NULL is allowed */

/* Strings may be NULL where the MTA said nothing. All are copied.
 * client_name: verified; reverse_name: as PTR says; host: the MTA's name. */
void session_connect(struct session *s, const struct netaddr *client,
    const char *client_name, const char *reverse_name, const char *host);
void session_helo(struct session *s, const char *helo, bool tls);
void session_mail(struct session *s, const char *reverse_path,
    const char *auth_login, const char *queue_id);
void session_rcpt(struct session *s, const char *forward_path);
/* value as written behind the colon, folds as LF or CRLF */
void session_header(struct session *s, const char *name, const char *value);
void session_end_of_header(struct session *s);
void session_body(struct session *s, const void *p, size_t n);
/* now: unix seconds, the clock of the verdict */
void session_judge(struct session *s, const char *queue_id, int64_t now,
    struct outcome *ret_outcome);
/* The MTA did not take an edit: what to tell instead. */
void session_edits_failed(struct session *s, struct outcome *ret_outcome);
/* Writes the message's line to the log. */
void session_log(struct session *s);
void session_end_message(struct session *s);

/* The answer to a message whose connection has no session. */
enum failure_reply session_lost(struct server *server);

/* "<a@b>" or "a@b" without the brackets and an RFC 5321 4.1.2 source route;
 * borrowed from path. */
struct span session_path_address(const char *path);

#endif
