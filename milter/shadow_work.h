/*
 * shadow_work - rules that run as shadow, off the path of mail: a thread of
 * its own takes over messages after their reply and judges them again.
 *
 * What waits is bounded in number and in memory; a message for which there
 * is no room goes without (counted, and told as a fault). Nothing here can
 * delay a reply or change a verdict. Safe from any thread.
 */
#ifndef MILTER_SHADOW_WORK_H
#define MILTER_SHADOW_WORK_H

#include "milter/session_private.h"

enum {
	SHADOW_WORK_JOBS = 64,		      /* messages that wait */
	SHADOW_WORK_BYTES = 64 * 1024 * 1024, /* of their memory */
};

struct shadow_work;

/* store must outlive it. 0 or -errno. */
int shadow_work_start(struct store *store, struct shadow_work **ret_work,
    struct error *err);
/* What waits is dropped, and nothing is taken any more. The struct itself
 * stays until the process ends: sessions may still know it. NULL is allowed. */
void shadow_work_stop(struct shadow_work *w);
/* Takes t, which was judged with snapshot, and frees it later. false: no
 * room, or nothing to do; t stays the caller's. w may be NULL. */
bool shadow_work_add(struct shadow_work *w, struct snapshot *snapshot,
    struct transaction *t);

#endif
