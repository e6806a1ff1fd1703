/*
 * server - what all sessions of the daemon share: the current snapshot, the
 * state database, strikes and the ban feed. Made by the daemon before the
 * first connection, safe from any thread.
 */
#ifndef MILTER_SERVER_H
#define MILTER_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "db/store.h"
#include "milter/allowfeed.h"
#include "milter/banfeed.h"
#include "milter/snapshot.h"
#include "milter/strikes.h"

struct shadow_work;

struct server {
	pthread_mutex_t lock; /* of current */
	struct snapshot *current;
	struct store *store;   /* NULL: none, then nothing is deferred */
	const char *store_why; /* why there is none */
	struct strikes *strikes;
	struct banfeed *banfeed; /* NULL: no reports */
	struct allowfeed *allowfeed; /* NULL likewise */
	struct shadow_work *shadow_work; /* NULL: only sets of scores run */
	char host[256];		 /* name of this host */
	atomic_uint in_flight;	 /* messages between MAIL and their reply */
	atomic_bool auto_learned; /* the model has such a lesson to learn */
	atomic_bool stopping;	 /* SIGTERM came: no new messages */
};

/* A reference to the current snapshot; the caller unrefs it. */
struct snapshot *server_snapshot(struct server *s);
/* Takes the reference; the old snapshot goes with its last session. */
void server_swap(struct server *s, struct snapshot *fresh);

#endif
