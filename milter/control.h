/*
 * control - the daemon's control socket, and the same operations without a
 * daemon.
 *
 * While the daemon runs it is the only writer of the state directory; what
 * changes state or may not be read by everybody goes through this socket.
 * The socket's mode says who may ask: mode 0660, the daemon's user and
 * control_group, which may be Dovecot's.
 *
 * Protocol over a Unix stream socket: the client writes a JSON object on one
 * line, in ASCII or UTF-8, at most CONTROL_MAX_LINE bytes. When it has
 * "size", so many bytes of message follow the line. The server answers with
 * one JSON object on a line: {"ok":true,...}, or {"error":"text","code":N}
 * with an exit code of sysexits(3). A connection takes any number of
 * requests, one after another. Neither side believes the other's lengths.
 *
 *   {"op":"ping"}                           {"version"}
 *   {"op":"learn","class":"spam|ham|none","user","source","size"|"id"}
 *                       {"changed","known","was","is","taught","folded"}
 *   {"op":"reputation","keys":["kind:key"],"now"}       {"rows":[...]}
 *   {"op":"reputation-list","pattern","limit","now"}    {"rows":[...]}
 *   {"op":"log","since","until","action","from","limit"} {"rows":[...]}
 *   {"op":"log-get","id"}                   {"entry":{...},"record":{...}}
 *   {"op":"log-erase","address"}            {"erased":N}
 *   {"op":"learning"}                       {"rows":[...]}
 *   {"op":"train"}                          {"trained":true|false}
 *   {"op":"shadow","set","hash","since","until","differing","labelled",
 *    "limit"}                               {"counts":[...],"rows":[...]}
 *   {"op":"reload"}                         {"reloaded":true|false}
 *
 * The daemon makes the socket while it still may (control_listen), and serves
 * it after privileges were dropped and the store is open (control_start); it
 * ends with control_stop() before the store is closed.
 */
#ifndef MILTER_CONTROL_H
#define MILTER_CONTROL_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/netaddr.h"
#include "base/span.h"
#include "db/store.h"
#include "scoring/feedback.h"

enum {
	CONTROL_MAX_LINE = 64 * 1024,
	CONTROL_MAX_MESSAGE = 2 << 20, /* what learning looks at, and more */
	CONTROL_MAX_ANSWER = 64 << 20,
	CONTROL_MAX_CLIENTS = 16,
	CONTROL_TIMEOUT_SEC = 30, /* a silent client is sent away */
};

/* What the operations work on; all of it must outlive the server. */
struct control_context {
	struct store *store;	 /* NULL: not available */
	struct feedback_model model; /* path NULL: it is not taught */
	int64_t label_rate;	 /* of one user in an hour; 0: any */
	/* of this user's labels; NULL: 1 */
	double (*label_weight)(void *context, const char *user);
	void *weight_context;
	/* set where the filter taught itself: the model is trained within
	 * AUTO_TRAIN_SEC; NULL: it never does */
	atomic_bool *auto_learned;
	/* the model file was replaced; NULL: nobody cares */
	void (*model_changed)(void *context);
	void *changed_context;
	/* people say that authenticated mail from this client was good, when
	 * it came; NULL: nobody cares */
	void (*good_client)(void *context, const struct netaddr *client,
	    int64_t when);
	void *good_context;
	/* takes up configuration, rules and scores anew; NULL: nothing runs
	 * that could. 0; -EINVAL: they have errors and the old ones stay. */
	int (*reload)(void *context, struct error *err);
	void *reload_context;
};

/* Runs one request; the answer is a new reference, NULL: no memory. *learned
 * (may be NULL) is set when the model has something to learn. */
json_t *control_run(const struct control_context *c, const json_t *request,
    struct span message, bool *ret_learned);

/* The parts of control_run() for op "shadow" */
json_t *control_run_shadow(const struct control_context *c,
    const json_t *request);

struct control;
/* A listening socket at path, 0660, or -EADDRINUSE: somebody listens there;
 * -errno. uid: whose it shall be, (uid_t)-1: the caller's. group: may connect;
 * NULL or "": the caller's own group. */
int control_listen(const char *path, uid_t uid, const char *group,
    struct error *err);
/* Takes the listening socket, which is at path, and serves it; a thread
 * trains the model a moment after labels came. 0 or -errno. */
int control_start(int listener, const char *path,
    const struct control_context *c, struct control **ret_control,
    struct error *err);
/* Ends requests that are under way, trains what waits, removes the socket.
 * NULL is allowed. */
void control_stop(struct control *c);

/* Client: a connected socket, or -ENOENT and -ECONNREFUSED where no daemon
 * is, -EACCES, -errno. */
int control_connect(const char *path, struct error *err);
/* One request. 0 and the answer, or -errno (the connection is of no use any
 * more). message may be empty. */
int control_ask(int fd, json_t *request, struct span message,
    json_t **ret_answer, struct error *err);

/* For the fuzz target: one line to a request. NULL: not one. */
json_t *control_parse(const char *line, size_t n, size_t *ret_message_bytes,
    struct error *err);

#endif
