/* journal - what is read from and written to the file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ban/journal_impl.h"

/* events that one question about a network looks at */
#define EVENTS_LOOKED_AT 100

const char *const ban_journal_queries[Q_COUNT] = {
	[Q_BEGIN] = "BEGIN IMMEDIATE",
	[Q_COMMIT] = "COMMIT",
	[Q_GET] = "SELECT net, scope, first, last, expires, count, packets, "
	    "source, label, claim_expires, reason FROM ban "
	    "WHERE net = ?1 AND scope = ?2",
	[Q_PUT] = "INSERT OR REPLACE INTO ban (net, scope, first, last, expires, "
	    "count, packets, source, label, claim_expires, reason) "
	    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[Q_REMOVE] = "DELETE FROM ban WHERE net = ?1 AND scope = ?2",
	[Q_PACKETS] = "UPDATE ban SET packets = ?3 WHERE net = ?1 AND scope = ?2",
	[Q_CLAIM] = "INSERT OR REPLACE INTO claim (net, scope, source, label, "
	    "expires) VALUES (?1, ?2, ?3, ?4, ?5)",
	[Q_UNCLAIM] = "DELETE FROM claim WHERE net = ?1 AND scope = ?2",
	[Q_MARK] = "UPDATE ban SET expires = -1 WHERE expires > ?1",
	[Q_DROP_MARKED] = "DELETE FROM ban WHERE expires = -1",
	[Q_EACH] = "SELECT net, scope, first, last, expires, count, packets, "
	    "source, label, claim_expires, reason FROM ban WHERE +expires > ?1",
	[Q_EACH_CLAIM] = "SELECT net, scope, 0, 0, expires, 0, 0, source, label, "
	    "expires, '' FROM claim WHERE expires > ?1",
	[Q_DAY] = "INSERT OR IGNORE INTO good_day (addr, day) VALUES (?1, ?2)",
	[Q_EACH_DAY] = "SELECT addr, day FROM good_day WHERE day >= ?1 "
	    "ORDER BY day",
	[Q_EVENT] = "INSERT INTO event (time, net, scope, event, result, ttl, "
	    "count, source, label, reason) "
	    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
	[Q_EVENT_NEXT] = "SELECT id, time, net, scope, event, result, ttl, "
	    "count, source, label, reason FROM event WHERE id < ?1 "
	    "ORDER BY id DESC LIMIT 1",
	[Q_EVENT_BELOW] = "SELECT max(id) FROM event WHERE id < ?1",
	[Q_EVENT_NEXT_NET] = "SELECT id, time, net, scope, event, result, ttl, "
	    "count, source, label, reason FROM event "
	    "WHERE id <= ?1 AND id > ?3 AND net = ?2 ORDER BY id DESC LIMIT 1",
	[Q_PRUNE_END] = "SELECT net FROM ban WHERE net > ?1 ORDER BY net "
	    "LIMIT 1 OFFSET ?2",
	[Q_PRUNE_BAN] = "DELETE FROM ban WHERE net > ?1 AND net <= ?2 AND "
	    "expires < ?3",
	[Q_PRUNE_EVENT] = "DELETE FROM event WHERE (id "
	    "IN (SELECT id FROM event ORDER BY id LIMIT ?2) AND time < ?1)",
	[Q_PRUNE_EVENT_MAX] = "DELETE FROM event WHERE id IN (SELECT id FROM "
	    "event WHERE id <= (SELECT coalesce(max(id), 0) FROM event) - ?1 "
	    "ORDER BY id LIMIT ?2)",
	[Q_PRUNE_DAY] = "DELETE FROM good_day WHERE (addr, day) IN (SELECT addr, "
	    "day FROM good_day WHERE day < ?1 LIMIT ?2)",
	[Q_NEWEST] = "SELECT coalesce(max(last), 0) FROM ban",
	[Q_SHIFT] = "UPDATE ban SET first = first + ?1, last = last + ?1, "
	    "expires = expires + ?1, claim_expires = claim_expires + ?1",
	[Q_SHIFT_CLAIM] = "UPDATE claim SET expires = expires + ?1",
};

static int
fail(struct ban_journal *j, int rc, struct error *err)
{
	int code = error_set(err, ban_journal_code(rc), "ban journal: %s",
	    j->db != NULL ? sqlite3_errmsg(j->db) : sqlite3_errstr(rc));

	j->corrupt |= code == -EUCLEAN;
	ban_journal_rollback(j);
	return code;
}

void
ban_journal_rollback(struct ban_journal *j)
{
	for (int q = 0; q < Q_COUNT; q++)
		sqlite3_reset(j->stmt[q]);
	if (!sqlite3_get_autocommit(j->db))
		ban_journal_exec(j->db, "ROLLBACK");
	j->pending = false;
}

/* A statement that returns no row. */
static int
run(struct ban_journal *j, enum query q, struct error *err)
{
	int rc = sqlite3_step(j->stmt[q]);

	sqlite3_reset(j->stmt[q]);
	sqlite3_clear_bindings(j->stmt[q]);
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		return fail(j, rc, err);
	return 0;
}

static int
begin(struct ban_journal *j, struct error *err)
{
	int code;

	if (j->pending)
		return 0;
	if (j->db == NULL) /* it could not be opened again */
		return error_set(err, -EIO, "ban journal: not open");
	code = run(j, Q_BEGIN, err);
	if (code == 0)
		j->pending = true;
	return code;
}

int
ban_journal_commit(struct ban_journal *j, struct error *err)
{
	int code;

	if (!j->pending)
		return 0;
	code = run(j, Q_COMMIT, err);
	if (code == 0) {
		j->pending = false;
		ban_journal_committed(j);
	}
	return code;
}

static int
bind_net(sqlite3_stmt *st, int at, const struct network *net)
{
	unsigned char key[KEY_SIZE] = { net->addr.family, net->prefix_len };
	int n = net->addr.family == 0 ? 0 : net->addr.family == 4 ? 6 : 18;

	memcpy(key + 2, net->addr.bytes, 16);
	return sqlite3_bind_blob(st, at, key, n, SQLITE_TRANSIENT);
}

static bool
column_net(sqlite3_stmt *st, int at, struct network *ret)
{
	const unsigned char *key = sqlite3_column_blob(st, at);
	int n = sqlite3_column_bytes(st, at);
	unsigned used;

	memset(ret, 0, sizeof(*ret));
	if (n == 0)
		return true;
	if (n != 6 && n != KEY_SIZE)
		return false;
	used = n == 6 ? 4 : 16;
	if (key[0] != (used == 4 ? 4 : 6) || key[1] > used * 8)
		return false;
	ret->addr.family = key[0];
	memcpy(ret->addr.bytes, key + 2, used);
	*ret = network_of(&ret->addr, key[1]);
	return true;
}

static void
column_text(sqlite3_stmt *st, int at, char *out, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	snprintf(out, size, "%s", text != NULL ? text : "");
}

static void
bind_text(sqlite3_stmt *st, int at, const char *text)
{
	sqlite3_bind_text(st, at, text, -1, SQLITE_TRANSIENT);
}

static bool
column_record(sqlite3_stmt *st, struct ban_record *r)
{
	memset(r, 0, sizeof(*r));
	r->scope = (unsigned)sqlite3_column_int(st, 1);
	r->first = sqlite3_column_int64(st, 2);
	r->last = sqlite3_column_int64(st, 3);
	r->expires = sqlite3_column_int64(st, 4);
	r->count = (uint32_t)sqlite3_column_int64(st, 5);
	r->packets = (uint64_t)sqlite3_column_int64(st, 6);
	column_text(st, 7, r->source, sizeof(r->source));
	column_text(st, 8, r->label, sizeof(r->label));
	r->claim_expires = sqlite3_column_int64(st, 9);
	column_text(st, 10, r->reason, sizeof(r->reason));
	return column_net(st, 0, &r->net) && r->net.addr.family != 0 &&
	    (r->scope == BAN_MAIL || r->scope == BAN_HOST);
}

int
ban_journal_get(struct ban_journal *j, const struct network *net,
    unsigned scope, struct ban_record *ret, struct error *err)
{
	sqlite3_stmt *st = j->stmt[Q_GET];
	int rc, code = 0;

	bind_net(st, 1, net);
	sqlite3_bind_int(st, 2, (int)scope);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		code = column_record(st, ret) ? 1 : 0;
	sqlite3_reset(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return fail(j, rc, err);
	return code;
}

int
ban_journal_put(struct ban_journal *j, const struct ban_record *r,
    struct error *err)
{
	sqlite3_stmt *st = j->stmt[Q_PUT];
	int code = begin(j, err);

	if (code < 0)
		return code;
	bind_net(st, 1, &r->net);
	sqlite3_bind_int(st, 2, (int)r->scope);
	sqlite3_bind_int64(st, 3, r->first);
	sqlite3_bind_int64(st, 4, r->last);
	sqlite3_bind_int64(st, 5, r->expires);
	sqlite3_bind_int64(st, 6, r->count);
	sqlite3_bind_int64(st, 7, (sqlite3_int64)r->packets);
	bind_text(st, 8, r->source);
	bind_text(st, 9, r->label);
	sqlite3_bind_int64(st, 10, r->claim_expires);
	bind_text(st, 11, r->reason);
	return run(j, Q_PUT, err);
}

static int
run_key(struct ban_journal *j, enum query q, const struct network *net,
    unsigned scope, struct error *err)
{
	int code = begin(j, err);

	if (code < 0)
		return code;
	bind_net(j->stmt[q], 1, net);
	sqlite3_bind_int(j->stmt[q], 2, (int)scope);
	return run(j, q, err);
}

int
ban_journal_remove(struct ban_journal *j, const struct network *net,
    unsigned scope, struct error *err)
{
	int code = run_key(j, Q_REMOVE, net, scope, err);

	return code < 0 ? code : run_key(j, Q_UNCLAIM, net, scope, err);
}

int
ban_journal_put_packets(struct ban_journal *j, const struct network *net,
    unsigned scope, uint64_t packets, struct error *err)
{
	sqlite3_bind_int64(j->stmt[Q_PACKETS], 3, (sqlite3_int64)packets);
	return run_key(j, Q_PACKETS, net, scope, err);
}

int
ban_journal_put_claim(struct ban_journal *j, const struct network *net,
    unsigned scope, const char *source, const char *label, int64_t expires,
    struct error *err)
{
	sqlite3_stmt *st = j->stmt[Q_CLAIM];

	bind_text(st, 3, source);
	bind_text(st, 4, label);
	sqlite3_bind_int64(st, 5, expires);
	return run_key(j, Q_CLAIM, net, scope, err);
}

int
ban_journal_remove_claims(struct ban_journal *j, const struct network *net,
    unsigned scope, struct error *err)
{
	return run_key(j, Q_UNCLAIM, net, scope, err);
}

static int
each(struct ban_journal *j, enum query q, int64_t now,
    int (*fn)(void *context, const struct ban_record *r), void *context,
    struct error *err)
{
	sqlite3_stmt *st = j->stmt[q];
	struct ban_record r;
	int rc, code = 0;

	sqlite3_bind_int64(st, 1, now);
	while (code == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
		if (column_record(st, &r))
			code = fn(context, &r);
	sqlite3_reset(st);
	if (code != 0)
		return code;
	return rc == SQLITE_DONE ? 0 : fail(j, rc, err);
}

int
ban_journal_each(struct ban_journal *j, int64_t now,
    int (*ban)(void *context, const struct ban_record *r),
    int (*claim)(void *context, const struct ban_record *r), void *context,
    struct error *err)
{
	int code = each(j, Q_EACH, now, ban, context, err);

	return code != 0 ? code : each(j, Q_EACH_CLAIM, now, claim, context, err);
}

int
ban_journal_rewrite(struct ban_journal *j, int64_t now, struct error *err)
{
	int rc, code = begin(j, err);

	if (code < 0)
		return code;
	rc = ban_journal_exec(j->db, "DELETE FROM claim");
	if (rc != SQLITE_OK)
		return fail(j, rc, err);
	sqlite3_bind_int64(j->stmt[Q_MARK], 1, now);
	return run(j, Q_MARK, err);
}

int
ban_journal_rewritten(struct ban_journal *j, struct error *err)
{
	return run(j, Q_DROP_MARKED, err);
}

int64_t
ban_journal_newest(struct ban_journal *j)
{
	sqlite3_stmt *st = j->stmt[Q_NEWEST];
	int64_t newest = 0;

	if (sqlite3_step(st) == SQLITE_ROW)
		newest = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return newest;
}

int
ban_journal_shift(struct ban_journal *j, int64_t sec, struct error *err)
{
	int code = begin(j, err);

	if (code < 0)
		return code;
	sqlite3_bind_int64(j->stmt[Q_SHIFT], 1, sec);
	sqlite3_bind_int64(j->stmt[Q_SHIFT_CLAIM], 1, sec);
	code = run(j, Q_SHIFT, err);
	return code < 0 ? code : run(j, Q_SHIFT_CLAIM, err);
}

int
ban_journal_put_day(struct ban_journal *j, const struct netaddr *addr,
    int64_t day, struct error *err)
{
	struct network net = network_of(addr, addr->family == 4 ? 32 : 64);
	int code = begin(j, err);

	if (code < 0)
		return code;
	bind_net(j->stmt[Q_DAY], 1, &net);
	sqlite3_bind_int64(j->stmt[Q_DAY], 2, day);
	return run(j, Q_DAY, err);
}

int
ban_journal_each_day(struct ban_journal *j, int64_t since_day,
    int (*fn)(void *context, const struct netaddr *addr, int64_t day),
    void *context, struct error *err)
{
	sqlite3_stmt *st = j->stmt[Q_EACH_DAY];
	int rc, code = 0;

	sqlite3_bind_int64(st, 1, since_day);
	while (code == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct network net;

		if (column_net(st, 0, &net) && net.addr.family != 0)
			code = fn(context, &net.addr, sqlite3_column_int64(st, 1));
	}
	sqlite3_reset(st);
	if (code != 0)
		return code;
	return rc == SQLITE_DONE ? 0 : fail(j, rc, err);
}

int
ban_journal_put_event(struct ban_journal *j, const struct ban_history *h,
    struct error *err)
{
	sqlite3_stmt *st = j->stmt[Q_EVENT];
	int code = begin(j, err);

	if (code < 0)
		return code;
	sqlite3_bind_int64(st, 1, h->time);
	bind_net(st, 2, &h->entry.net);
	sqlite3_bind_int(st, 3, (int)h->entry.scope);
	sqlite3_bind_int(st, 4, (int)h->event);
	sqlite3_bind_int(st, 5, (int)h->result);
	sqlite3_bind_int64(st, 6, h->entry.remaining_sec);
	sqlite3_bind_int64(st, 7, h->entry.count);
	bind_text(st, 8, h->entry.source);
	bind_text(st, 9, h->entry.label);
	bind_text(st, 10, h->entry.reason);
	return run(j, Q_EVENT, err);
}

static void
column_event(sqlite3_stmt *st, struct ban_history *ret)
{
	ret->time = ret->entry.last_time = sqlite3_column_int64(st, 1);
	column_net(st, 2, &ret->entry.net);
	ret->entry.scope = (enum ban_scope)(sqlite3_column_int(st, 3) & 3);
	ret->event = (enum ban_event)sqlite3_column_int(st, 4);
	ret->result = (enum ban_result)sqlite3_column_int(st, 5);
	ret->entry.remaining_sec = sqlite3_column_int64(st, 6);
	ret->entry.count = (uint32_t)sqlite3_column_int64(st, 7);
	column_text(st, 8, ret->entry.source, BAN_NAME_SIZE);
	column_text(st, 9, ret->entry.label, BAN_NAME_SIZE);
	column_text(st, 10, ret->entry.reason, BAN_REASON_SIZE);
}

/* The events of one network are searched for among all, some at a time. */
static int
bind_next_net(struct ban_journal *j, sqlite3_stmt *st,
    const struct network *net, int64_t id, int64_t *ret_below,
    struct error *err)
{
	sqlite3_stmt *below = j->stmt[Q_EVENT_BELOW];
	int64_t top = 0;
	int rc;

	sqlite3_bind_int64(below, 1, id);
	rc = sqlite3_step(below);
	if (rc == SQLITE_ROW)
		top = sqlite3_column_int64(below, 0);
	sqlite3_reset(below);
	if (rc != SQLITE_ROW)
		return fail(j, rc, err);
	*ret_below = top > EVENTS_LOOKED_AT ? top - EVENTS_LOOKED_AT : 0;
	sqlite3_bind_int64(st, 1, top);
	bind_net(st, 2, net);
	sqlite3_bind_int64(st, 3, *ret_below);
	return top > 0;
}

int
ban_journal_next_event(struct ban_journal *j, const struct network *net,
    int64_t *id, struct ban_history *ret, struct error *err)
{
	sqlite3_stmt *st = j->stmt[net != NULL ? Q_EVENT_NEXT_NET : Q_EVENT_NEXT];
	int64_t below = 0;
	int rc, code = 0;

	memset(ret, 0, sizeof(*ret));
	if (net == NULL)
		sqlite3_bind_int64(st, 1, *id);
	else if ((code = bind_next_net(j, st, net, *id, &below, err)) <= 0)
		return code;
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		*id = sqlite3_column_int64(st, 0);
		column_event(st, ret);
		code = 1;
	} else if (net != NULL) {
		/* below is looked at yet */
		*id = below + 1;
		code = below > 0 ? 2 : 0;
	}
	sqlite3_reset(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return fail(j, rc, err);
	return code;
}

/* Bans that can be forgotten are searched for some rows at a time, all around
 * and around: no index by time has to be kept. */
static int
prune_bans(struct ban_journal *j, int64_t forget_before, unsigned limit,
    struct error *err)
{
	/* no key sorts behind it */
	static const unsigned char last[] = { 0xFF };
	sqlite3_stmt *st = j->stmt[Q_PRUNE_END], *del = j->stmt[Q_PRUNE_BAN];
	unsigned char end[KEY_SIZE] = { 0 };
	int rc, size = 0;

	sqlite3_bind_blob(st, 1, j->prune_key, j->prune_size, SQLITE_TRANSIENT);
	sqlite3_bind_int(st, 2, (int)limit);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW && (size = sqlite3_column_bytes(st, 0)) > 0) {
		if (size > KEY_SIZE)
			size = KEY_SIZE;
		memcpy(end, sqlite3_column_blob(st, 0), (size_t)size);
	}
	sqlite3_reset(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return fail(j, rc, err);
	sqlite3_bind_blob(del, 1, j->prune_key, j->prune_size, SQLITE_TRANSIENT);
	if (size > 0)
		sqlite3_bind_blob(del, 2, end, size, SQLITE_TRANSIENT);
	else
		sqlite3_bind_blob(del, 2, last, sizeof(last), SQLITE_STATIC);
	sqlite3_bind_int64(del, 3, forget_before);
	memcpy(j->prune_key, end, KEY_SIZE);
	j->prune_size = size;
	return run(j, Q_PRUNE_BAN, err);
}

int
ban_journal_prune(struct ban_journal *j, int64_t forget_before,
    int64_t history_before, int64_t history_max, int64_t day_before,
    unsigned limit, struct error *err)
{
	const struct {
		enum query q;
		int64_t bound;
	} steps[] = {
		{ Q_PRUNE_EVENT, history_before },
		{ Q_PRUNE_EVENT_MAX, history_max }, { Q_PRUNE_DAY, day_before },
	};
	int more = 0, code = begin(j, err);

	if (code == 0)
		code = prune_bans(j, forget_before, limit, err);
	for (size_t i = 0; code == 0 && i < sizeof(steps) / sizeof(steps[0]);
	     i++) {
		/* all days are looked at for it: once a day is enough */
		if (steps[i].q == Q_PRUNE_DAY && day_before <= j->pruned_day)
			continue;
		sqlite3_bind_int64(j->stmt[steps[i].q], 1, steps[i].bound);
		sqlite3_bind_int(j->stmt[steps[i].q], 2, (int)limit);
		code = run(j, steps[i].q, err);
		if (code == 0 && sqlite3_changes(j->db) >= (int)limit)
			more = 1;
		else if (code == 0 && steps[i].q == Q_PRUNE_DAY)
			j->pruned_day = day_before;
	}
	return code < 0 ? code : more;
}
