/*
 * banfeed - reports clients to the ban helper on a thread of its own, so that
 * no message ever waits for the helper.
 *
 * The queue is bounded; when it is full the oldest report is dropped, and the
 * log says so once. A helper that does not answer is tried again with the
 * next report. Bans that the helper refuses are its business: they are logged.
 */
#ifndef MILTER_BANFEED_H
#define MILTER_BANFEED_H

#include <stdint.h>

#include "base/error.h"
#include "base/netaddr.h"

enum { BANFEED_QUEUE = 1024, BANFEED_TIMEOUT_MS = 2000 };

struct banfeed;

/* 0 or -errno. The helper need not run yet. */
int banfeed_new(const char *socket_path, struct banfeed **ret_feed,
    struct error *err);
/* Gives what is queued up to BANFEED_TIMEOUT_MS, then ends the thread. What is
 * reported later is lost; f stays, a session may still hold it. NULL is
 * allowed. */
void banfeed_stop(struct banfeed *f);
/* Never blocks. reason is copied. */
void banfeed_report(struct banfeed *f, const struct network *net,
    int64_t ttl_sec, const char *reason);

/* People confirmed good, authenticated mail from this client, which came at
 * `when` (unix seconds): some such days protect it from mail bans. Never
 * blocks. */
void banfeed_confirm(struct banfeed *f, const struct netaddr *client,
    int64_t when);

#endif
