#include "ban/service.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ban/service_impl.h"
#include "base/escape.h"

#define JOURNAL_RETRY_SEC 10
#define REFUSALS_PER_MINUTE 600

void
ban_service_log(struct ban_service *s, enum ban_log level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->log(s->log_context, level, text);
}

int
ban_service_new(const struct ban_policy *policy, struct ban_journal *journal,
    const struct ban_sink *sink, ban_log_fn *log, void *log_context,
    struct ban_service **ret_service, struct error *err)
{
	struct ban_service *s = calloc(1, sizeof(*s));

	if (s != NULL) {
		s->table = ban_table_new((size_t)policy->max_entries);
		s->protect = ban_protect_new((size_t)policy->protect_max);
	}
	if (s == NULL || s->table == NULL || s->protect == NULL) {
		ban_service_free(s);
		return error_set(err, -ENOMEM, "out of memory");
	}
	s->policy = policy;
	s->journal = journal;
	s->sink = *sink;
	s->log = log;
	s->log_context = log_context;
	ban_protect_limits(s->protect, (unsigned)policy->protect_days,
	    policy->protect_within_ms / DAY_MS);
	*ret_service = s;
	return 0;
}

void
ban_service_free(struct ban_service *s)
{
	if (s == NULL)
		return;
	ban_table_free(s->table);
	ban_protect_free(s->protect);
	netset_done(&s->own);
	free(s->allows);
	free(s);
}

void
ban_service_set_time(struct ban_service *s, int64_t now_sec, int64_t mono_ms)
{
	s->now = now_sec;
	s->mono_ms = mono_ms;
}

/* A journal that fails once is left alone for a while, then written anew. */
void
ban_service_journal_failed(struct ban_service *s, const struct error *err)
{
	if (!s->journal_lost)
		ban_service_log(s, BAN_LOG_ERROR, "error=journal text=\"%s\" "
		    "bans go on in the kernel only", err->text);
	s->journal_lost = true;
	s->journal_retry_ms = s->mono_ms + JOURNAL_RETRY_SEC * 1000;
}

static bool
journal_usable(const struct ban_service *s)
{
	return s->journal != NULL && !s->journal_lost;
}

static void
event(struct ban_service *s, enum ban_event what, enum ban_result result,
    const struct ban_slot *slot, const struct network *net, unsigned scope,
    int64_t ttl, const char *source, const char *label, const char *reason)
{
	struct ban_history h = { .event = what, .result = result,
		.time = s->now };
	char text[NETADDR_TEXT];
	struct error err;

	h.entry.net = *net;
	h.entry.scope = (enum ban_scope)scope;
	h.entry.remaining_sec = ttl;
	h.entry.count = slot != NULL ? slot->count : 0;
	snprintf(h.entry.source, BAN_NAME_SIZE, "%s", source);
	snprintf(h.entry.label, BAN_NAME_SIZE, "%s", label);
	snprintf(h.entry.reason, BAN_REASON_SIZE, "%s", reason);
	ban_service_log(s, BAN_LOG_INFO, "event=%s net=%s scope=%s result=%s "
	    "ttl=%lld count=%u source=%s label=%s reason=\"%s\"",
	    ban_event_name(what), network_format(net, text),
	    ban_scope_name((enum ban_scope)scope), ban_result_name(result),
	    (long long)ttl, h.entry.count, source, label, reason);
	if (journal_usable(s) && ban_journal_put_event(s->journal, &h, &err) < 0)
		ban_service_journal_failed(s, &err);
}

/* Reasons come from anywhere, mail included: escaped, quotes too, and cut so
 * that they fit every field. */
static void
clean_reason(const char *reason, char out[BAN_REASON_SIZE])
{
	struct buf b;
	size_t n;

	buf_init(&b, 4096);
	escape_text(&b, span_cstr(reason), BAN_REASON_SIZE - 4);
	n = b.failed || b.len >= BAN_REASON_SIZE ? 0 : b.len;
	memcpy(out, b.ptr, n);
	out[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (out[i] == '"')
			out[i] = '\'';
	buf_done(&b);
}

static uint32_t
kernel_timeout(const struct ban_service *s, const struct ban_slot *slot)
{
	int64_t left = slot->expires - s->now;

	if (left < 1)
		left = 1;
	return left > BAN_KERNEL_TIMEOUT_MAX ? BAN_KERNEL_TIMEOUT_MAX :
	    (uint32_t)left;
}

static unsigned
set_of(const struct ban_slot *slot)
{
	return ban_set_index(slot->scope, slot->net.addr.family);
}

static void
schedule(struct ban_service *s, struct ban_slot *slot)
{
	/* a ban longer than the kernel's longest is renewed half way */
	slot->due = slot->expires - s->now > BAN_KERNEL_TIMEOUT_MAX ?
	    s->now + BAN_KERNEL_TIMEOUT_MAX / 2 : slot->expires;
	ban_table_reorder(s->table, slot);
}

bool
ban_service_send(struct ban_service *s, struct ban_slot *slot)
{
	schedule(s, slot);
	/* a new entry starts with counters of its own */
	slot->kernel_packets = 0;
	slot->flags |= BAN_SLOT_FRESH;
	if (s->sink.add(s->sink.context, set_of(slot), &slot->net,
	    kernel_timeout(s, slot)) == 0) {
		if (slot->flags & BAN_SLOT_UNSURE)
			s->unsure--;
		slot->flags &= (uint8_t)~BAN_SLOT_UNSURE;
		return true;
	}
	if (!(slot->flags & BAN_SLOT_UNSURE))
		s->unsure++;
	slot->flags |= BAN_SLOT_UNSURE;
	s->wants_look = true;
	return false;
}

static bool
kernel_del(struct ban_service *s, const struct ban_slot *slot)
{
	if (s->sink.del(s->sink.context, set_of(slot), &slot->net) == 0)
		return true;
	s->wants_look = true;
	return false;
}

static void
drop_slot(struct ban_service *s, struct ban_slot *slot)
{
	if (slot->flags & BAN_SLOT_UNSURE)
		s->unsure--;
	ban_table_remove(s->table, slot);
}

static void
fill_record(const struct ban_service *s, const struct ban_slot *slot,
    const char *reason, struct ban_record *r)
{
	memset(r, 0, sizeof(*r));
	r->net = slot->net;
	r->scope = slot->scope;
	r->first = slot->first;
	r->last = slot->last;
	r->expires = slot->expires;
	r->count = slot->count;
	r->packets = slot->packets;
	snprintf(r->source, BAN_NAME_SIZE, "%s",
	    ban_table_owner_source(s->table, slot->claim.owner));
	snprintf(r->label, BAN_NAME_SIZE, "%s",
	    ban_table_owner_label(s->table, slot->claim.owner));
	r->claim_expires = slot->claim.expires;
	snprintf(r->reason, BAN_REASON_SIZE, "%s", reason);
}

/* The whole of a ban into the journal, the claims behind the first too. */
static void
write_slot(struct ban_service *s, const struct ban_slot *slot,
    const char *reason)
{
	struct ban_record r;
	struct error err;
	int code;

	if (!journal_usable(s))
		return;
	fill_record(s, slot, reason, &r);
	code = ban_journal_put(s->journal, &r, &err);
	if (code == 0 && (slot->flags & BAN_SLOT_SHARED))
		code = ban_journal_remove_claims(s->journal, &slot->net,
		    slot->scope, &err);
	for (const struct ban_claim *c = slot->claim.next;
	     code == 0 && c != NULL; c = c->next)
		code = ban_journal_put_claim(s->journal, &slot->net,
		    slot->scope, ban_table_owner_source(s->table, c->owner),
		    ban_table_owner_label(s->table, c->owner), c->expires, &err);
	if (code < 0)
		ban_service_journal_failed(s, &err);
}

static bool
read_record(struct ban_service *s, const struct network *net, unsigned scope,
    struct ban_record *r)
{
	struct error err;
	int code;

	if (!journal_usable(s))
		return false;
	code = ban_journal_get(s->journal, net, scope, r, &err);
	if (code < 0)
		ban_service_journal_failed(s, &err);
	return code == 1;
}

static bool
is_allowed(const struct ban_service *s, const struct network *net)
{
	if (netset_overlaps(&s->own, net))
		return true;
	for (size_t i = 0; i < s->n_allows; i++)
		if (s->allows[i].expires > s->now &&
		    network_overlaps(&s->allows[i].net, net))
			return true;
	return false;
}

/* The answer to "may net be banned there", policy and state together. */
static enum ban_result
admit(struct ban_service *s, const struct network *net, unsigned scope,
    const char **ret_why)
{
	enum ban_result result = ban_policy_admit(s->policy, net, ret_why);

	if (result != BAN_OK)
		return result;
	if (is_allowed(s, net)) {
		*ret_why = "own or allowed address";
		return BAN_REFUSED_ALLOWED;
	}
	if (scope == BAN_MAIL && ban_protect_overlaps(s->protect, net,
	    s->now / DAY_SEC, NULL)) {
		*ret_why = "confirmed good mail";
		return BAN_REFUSED_PROTECTED;
	}
	return BAN_OK;
}

struct addition {
	const struct ban_source *source;
	const char *label, *reason;
	int64_t asked_sec;
	int64_t ret_expires;
};

static enum ban_result
add_one(struct ban_service *s, struct addition *a, const struct network *net,
    unsigned scope)
{
	struct ban_slot *slot = ban_table_find(s->table, net, scope);
	uint16_t owner;
	struct ban_record r;
	int64_t ttl, expires, before;
	uint32_t earlier = 0;
	bool fresh = slot == NULL, claimed;

	owner = ban_table_owner(s->table, a->source->name, a->label);
	if (owner == BAN_NO_OWNER)
		return BAN_REFUSED_LIMIT;
	if (slot != NULL && slot->expires <= s->now) {
		/* due, but the tick has not come by yet */
		drop_slot(s, slot);
		slot = NULL;
		fresh = true;
	}
	if (fresh) {
		memset(&r, 0, sizeof(r));
		if (read_record(s, net, scope, &r) &&
		    r.expires + s->policy->forget_ms / 1000 > s->now)
			earlier = r.count;
		else
			memset(&r, 0, sizeof(r));
		slot = ban_table_insert(s->table, net, scope);
		if (slot == NULL)
			return BAN_REFUSED_LIMIT;
		slot->first = earlier > 0 ? r.first : s->now;
		slot->packets = r.packets;
		slot->count = earlier < UINT32_MAX ? earlier + 1 : earlier;
	} else
		earlier = slot->count > 0 ? slot->count - 1 : 0;
	ttl = ban_policy_ttl(s->policy, a->source, earlier, a->asked_sec);
	expires = s->now + ttl;
	before = slot->expires;
	claimed = ban_slot_has_claim(slot, owner);
	if (ban_slot_claim(slot, owner, expires) < 0) {
		if (fresh)
			drop_slot(s, slot);
		return BAN_REFUSED_LIMIT;
	}
	if (slot->claim.next != NULL)
		slot->flags |= BAN_SLOT_SHARED;
	slot->last = s->now;
	a->ret_expires = slot->expires;
	if ((fresh || slot->expires != before ||
	    (slot->flags & BAN_SLOT_UNSURE)) && !ban_service_send(s, slot)) {
		write_slot(s, slot, a->reason);
		event(s, BAN_EVENT_BAN, BAN_FAILED, slot, net, scope, ttl,
		    a->source->name, a->label, a->reason);
		return BAN_FAILED;
	}
	write_slot(s, slot, a->reason);
	if (fresh || !claimed)
		event(s, BAN_EVENT_BAN, BAN_OK, slot, net, scope, ttl,
		    a->source->name, a->label, a->reason);
	return BAN_OK;
}

static void
refuse(struct ban_service *s, const struct ban_source *source,
    const struct ban_request *q, const struct network *net, unsigned scope,
    enum ban_result result, const char *why)
{
	char text[BAN_REASON_SIZE * 2];

	/* a client that insists must not write the disk full */
	if (!ban_rate_take(&s->refusals, REFUSALS_PER_MINUTE, s->mono_ms))
		return;
	snprintf(text, sizeof(text), "%s", why);
	event(s, BAN_EVENT_REFUSED, result, NULL, net, scope, q->ttl_sec,
	    source->name, q->label, text);
}

static void
handle_add(struct ban_service *s, unsigned number, const struct ban_request *q,
    struct ban_reply *reply)
{
	const struct ban_source *source = &s->policy->sources[number];
	unsigned wanted = q->scope & source->scopes, done = 0;
	char reason[BAN_REASON_SIZE];
	struct addition a = { .source = source, .label = q->label,
		.reason = reason, .asked_sec = q->ttl_sec };
	int64_t longest = 0;
	struct network net;

	reply->result = BAN_REFUSED_INVALID;
	if (!ban_network_normalise(&q->net, &net))
		return;
	reply->entry.net = net;
	reply->result = BAN_REFUSED_RIGHTS;
	/* who guesses passwords is not welcome as a mail client either */
	if (source->login && (wanted & BAN_HOST))
		wanted |= BAN_MAIL & source->scopes;
	if (wanted == 0)
		return;
	reply->result = BAN_REFUSED_LIMIT;
	if (!ban_rate_take(&s->rates[number], source->per_minute, s->mono_ms)) {
		if (ban_rate_take(&s->rate_logs, 1, s->mono_ms))
			ban_service_log(s, BAN_LOG_WARNING,
			    "source=%s more than per_minute=%lld bans",
			    source->name, (long long)source->per_minute);
		return;
	}
	clean_reason(q->reason, reason);
	for (unsigned scope = BAN_HOST; scope >= BAN_MAIL; scope--) {
		const char *why = "";
		enum ban_result result;

		if (!(wanted & scope))
			continue;
		result = admit(s, &net, scope, &why);
		if (result != BAN_OK) {
			refuse(s, source, q, &net, scope, result, why);
		} else if (s->policy->simulate) {
			reply->flags |= BAN_REP_SIMULATED;
			a.ret_expires = s->now + ban_policy_ttl(s->policy, source, 0,
			    q->ttl_sec);
			event(s, BAN_EVENT_WOULD_BAN, BAN_OK, NULL, &net, scope,
			    a.ret_expires - s->now, source->name, q->label, reason);
		} else
			result = add_one(s, &a, &net, scope);
		if (result == BAN_OK) {
			done |= scope;
			if (a.ret_expires - s->now > longest)
				longest = a.ret_expires - s->now;
		}
		if (reply->result != BAN_OK)
			reply->result = result;
	}
	reply->entry.scope = (enum ban_scope)done;
	reply->entry.remaining_sec = longest;
}

/* A ban ends before its time. remember: it still counts for the next. */
enum ban_result
ban_service_end(struct ban_service *s, struct ban_slot *slot,
    enum ban_event what, bool remember, const char *source, const char *label,
    const char *reason)
{
	struct network net = slot->net;
	unsigned scope = slot->scope;
	bool gone = kernel_del(s, slot);
	struct ban_record r;
	struct error err;

	if (journal_usable(s)) {
		int code;

		if (remember && read_record(s, &net, scope, &r)) {
			/* it may have ended while nobody looked */
			if (r.expires > s->now)
				r.expires = r.claim_expires = s->now;
			r.packets = slot->packets;
			code = ban_journal_put(s->journal, &r, &err);
			if (code == 0)
				code = ban_journal_remove_claims(s->journal, &net,
				    scope, &err);
		} else
			code = ban_journal_remove(s->journal, &net, scope, &err);
		if (code < 0)
			ban_service_journal_failed(s, &err);
	}
	event(s, what, gone ? BAN_OK : BAN_FAILED, slot, &net, scope, 0, source,
	    label, reason);
	drop_slot(s, slot);
	return gone ? BAN_OK : BAN_FAILED;
}

static enum ban_result
del_claim(struct ban_service *s, struct ban_slot *slot, uint16_t owner,
    const char *source, const char *label)
{
	struct ban_record r;
	int64_t before = slot->expires;

	if (!ban_slot_unclaim(slot, owner))
		return BAN_NOT_BANNED;
	if (slot->expires <= s->now)
		return ban_service_end(s, slot, BAN_EVENT_UNBAN, true, source,
		    label, "");
	if (!read_record(s, &slot->net, slot->scope, &r))
		r.reason[0] = '\0';
	write_slot(s, slot, r.reason);
	if (slot->expires != before)
		ban_service_send(s, slot);
	return BAN_OK;
}

static void
handle_del(struct ban_service *s, const struct ban_source *source,
    const struct ban_request *q, struct ban_reply *reply)
{
	uint16_t owner = ban_table_owner(s->table, source->name, q->label);
	struct network net;
	unsigned done = 0;

	reply->result = BAN_REFUSED_INVALID;
	if (!ban_network_normalise(&q->net, &net))
		return;
	reply->entry.net = net;
	reply->result = BAN_NOT_BANNED;
	for (unsigned scope = BAN_MAIL; scope <= BAN_HOST; scope++) {
		struct ban_slot *slot = ban_table_find(s->table, &net, scope);
		enum ban_result result;

		if (!(q->scope & scope))
			continue;
		if (slot == NULL) {
			struct error err;

			/* forgetting means what has expired too */
			if ((q->flags & BAN_REQ_EVERYTHING) && journal_usable(s) &&
			    ban_journal_remove(s->journal, &net, scope, &err) < 0)
				ban_service_journal_failed(s, &err);
			continue;
		}
		result = q->flags & BAN_REQ_EVERYTHING ?
		    ban_service_end(s, slot, BAN_EVENT_UNBAN, false,
		    source->name, q->label, "") :
		    del_claim(s, slot, owner, source->name, q->label);
		if (result == BAN_OK)
			done |= scope;
		if (reply->result != BAN_FAILED && result != BAN_NOT_BANNED)
			reply->result = result;
	}
	reply->entry.scope = (enum ban_scope)done;
}

static void
handle_flush(struct ban_service *s, const struct ban_source *source,
    const struct ban_request *q, struct ban_reply *reply)
{
	struct ban_slot *slot;
	uint32_t cursor = 0;
	bool end = false;

	while (!end) {
		uint16_t owner = BAN_NO_OWNER;

		slot = ban_table_next(s->table, &cursor, UINT32_MAX, &end);
		if (slot == NULL)
			continue;
		for (const struct ban_claim *c = &slot->claim; c != NULL;
		     c = c->next)
			if (strcmp(ban_table_owner_source(s->table, c->owner),
			    source->name) == 0 && (q->label[0] == '\0' ||
			    strcmp(ban_table_owner_label(s->table, c->owner),
			    q->label) == 0))
				owner = c->owner;
		if (owner == BAN_NO_OWNER)
			continue;
		reply->entry.packets++;
		del_claim(s, slot, owner, source->name, q->label);
		/* the ban may hold more claims of this source */
		cursor--;
	}
	reply->result = BAN_OK;
}

void
ban_service_fill_entry(struct ban_service *s, const struct ban_slot *slot,
    struct ban_entry *e)
{
	struct ban_record r;

	memset(e, 0, sizeof(*e));
	e->net = slot->net;
	e->scope = (enum ban_scope)slot->scope;
	e->remaining_sec = slot->expires > s->now ? slot->expires - s->now : 0;
	e->first_time = slot->first;
	e->last_time = slot->last;
	e->packets = slot->packets;
	e->count = slot->count;
	snprintf(e->source, BAN_NAME_SIZE, "%s",
	    ban_table_owner_source(s->table, slot->claim.owner));
	snprintf(e->label, BAN_NAME_SIZE, "%s",
	    ban_table_owner_label(s->table, slot->claim.owner));
	if (read_record(s, &slot->net, slot->scope, &r))
		memcpy(e->reason, r.reason, sizeof(e->reason));
}

static void
handle_check(struct ban_service *s, const struct ban_request *q,
    struct ban_reply *reply)
{
	unsigned found = 0;
	bool whole = q->net.prefix_len == (q->net.addr.family == 4 ? 32 : 128);
	struct network net;

	reply->result = BAN_REFUSED_INVALID;
	if (!ban_network_normalise(&q->net, &net))
		return;
	for (unsigned scope = BAN_MAIL; scope <= BAN_HOST; scope++) {
		const struct ban_slot *slot;

		if (!(q->scope & scope))
			continue;
		slot = whole ? ban_table_lookup(s->table, &net.addr, scope) :
		    ban_table_find(s->table, &net, scope);
		if (slot == NULL || slot->expires <= s->now)
			continue;
		if (found == 0)
			ban_service_fill_entry(s, slot, &reply->entry);
		found |= scope;
	}
	reply->result = found != 0 ? BAN_OK : BAN_NOT_BANNED;
	reply->entry.scope = (enum ban_scope)found;
}

static void
handle_confirm(struct ban_service *s, const struct ban_request *q,
    struct ban_reply *reply)
{
	int64_t today = s->now / DAY_SEC, day = q->ttl_sec / DAY_SEC;
	struct network net;
	struct error err;
	struct ban_slot *slot;

	reply->result = BAN_REFUSED_INVALID;
	if (!ban_network_normalise(&q->net, &net) ||
	    net.prefix_len != (net.addr.family == 4 ? 32 : 64) || day > today)
		return;
	reply->result = BAN_OK;
	if (!ban_protect_confirm(s->protect, &net.addr, day, today))
		return;
	if (journal_usable(s) &&
	    ban_journal_put_day(s->journal, &net.addr, day, &err) < 0)
		ban_service_journal_failed(s, &err);
	if (!ban_protect_overlaps(s->protect, &net, today, NULL))
		return;
	/* whoever is protected now is not banned any longer, nor by a
	 * network around it */
	while ((slot = ban_table_lookup(s->table, &net.addr, BAN_MAIL)) != NULL)
		ban_service_end(s, slot, BAN_EVENT_LIFTED, false, "", "",
		    "confirmed good mail");
}

static void
handle_allow(struct ban_service *s, const struct ban_request *q,
    struct ban_reply *reply)
{
	struct network net;
	size_t i, old = SIZE_MAX;

	reply->result = BAN_REFUSED_INVALID;
	if (!ban_network_normalise(&q->net, &net))
		return;
	reply->result = BAN_REFUSED_LIMIT;
	/* what a name resolves to is never half of the internet */
	if (net.prefix_len < (net.addr.family == 4 ? s->policy->min_prefix4 :
	    s->policy->min_prefix6))
		return;
	for (i = 0; i < s->n_allows; i++) {
		struct ban_allowed *at = &s->allows[i];

		if (netaddr_eq(&at->net.addr, &net.addr) &&
		    at->net.prefix_len == net.prefix_len)
			break;
		if (at->expires <= s->now)
			old = i;
	}
	if (i == s->n_allows && old != SIZE_MAX)
		i = old;
	if (i == s->n_allows) {
		struct ban_allowed *p;

		if (s->n_allows == BAN_ALLOWS_MAX)
			return;
		p = reallocarray(s->allows, s->n_allows + 1, sizeof(*p));
		if (p == NULL)
			return;
		s->allows = p;
		p[s->n_allows++] = (struct ban_allowed){ .expires = 0 };
	}
	s->allows[i].net = net;
	reply->result = BAN_OK;
	if (s->allows[i].expires <= s->now) {
		s->allows[i].expires = s->now + q->ttl_sec;
		ban_service_lift_forbidden(s, &net);
	} else
		s->allows[i].expires = s->now + q->ttl_sec;
}

void
ban_service_lift_forbidden(struct ban_service *s, const struct network *only)
{
	struct ban_slot *slot;
	uint32_t cursor = 0;
	bool end = false;

	while (!end) {
		const char *why = "";

		slot = ban_table_next(s->table, &cursor, UINT32_MAX, &end);
		if (slot == NULL ||
		    (only != NULL && !network_overlaps(only, &slot->net)))
			continue;
		if (admit(s, &slot->net, slot->scope, &why) != BAN_OK)
			ban_service_end(s, slot, BAN_EVENT_LIFTED, false, "", "",
			    why);
	}
}

void
ban_service_handle(struct ban_service *s, unsigned source,
    const struct ban_request *q, struct ban_reply *reply,
    struct ban_cursor *cursor)
{
	const struct ban_source *from = &s->policy->sources[source];

	assert(source < s->policy->n_sources);
	memset(reply, 0, sizeof(*reply));
	memset(cursor, 0, sizeof(*cursor));
	reply->op = q->op;
	reply->id = q->id;
	if ((ban_request_right(q) & ~from->rights) != 0) {
		reply->result = BAN_REFUSED_RIGHTS;
		return;
	}
	switch (q->op) {
	case BAN_OP_PING:
		break;
	case BAN_OP_ADD:
		handle_add(s, source, q, reply);
		break;
	case BAN_OP_DEL:
		handle_del(s, from, q, reply);
		break;
	case BAN_OP_FLUSH:
		handle_flush(s, from, q, reply);
		break;
	case BAN_OP_CHECK:
		handle_check(s, q, reply);
		break;
	case BAN_OP_CONFIRM:
		handle_confirm(s, q, reply);
		break;
	case BAN_OP_ALLOW:
		handle_allow(s, q, reply);
		break;
	case BAN_OP_LIST:
	case BAN_OP_HISTORY:
	case BAN_OP_STATUS:
		cursor->op = q->op;
		cursor->id = q->id;
		cursor->scope = q->scope;
		cursor->event_id = INT64_MAX;
		cursor->left = q->limit != 0 ? q->limit : UINT32_MAX;
		if (q->net.addr.family != 0 &&
		    !ban_network_normalise(&q->net, &cursor->net)) {
			cursor->op = 0;
			reply->result = BAN_REFUSED_INVALID;
		}
		break;
	case BAN_OP_COUNT:
		reply->result = BAN_REFUSED_INVALID;
		break;
	}
}
