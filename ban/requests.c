/* requests - the answers to requests that change or ask about bans. */
#include <stdio.h>
#include <string.h>

#include "ban/service_impl.h"
#include "base/escape.h"

#define REFUSALS_PER_MINUTE 600

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
		ban_service_drop(s, slot);
		slot = NULL;
		fresh = true;
	}
	if (fresh) {
		memset(&r, 0, sizeof(r));
		if (ban_service_read_record(s, net, scope, &r) &&
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
			ban_service_drop(s, slot);
		return BAN_REFUSED_LIMIT;
	}
	if (slot->claim.next != NULL)
		slot->flags |= BAN_SLOT_SHARED;
	slot->last = s->now;
	a->ret_expires = slot->expires;
	if ((fresh || slot->expires != before ||
	    (slot->flags & BAN_SLOT_UNSURE)) && !ban_service_send(s, slot)) {
		ban_service_write(s, slot, a->reason);
		ban_service_event(s, BAN_EVENT_BAN, BAN_FAILED, slot, net, scope, ttl,
		    a->source->name, a->label, a->reason);
		return BAN_FAILED;
	}
	ban_service_write(s, slot, a->reason);
	if (fresh || !claimed)
		ban_service_event(s, BAN_EVENT_BAN, BAN_OK, slot, net, scope, ttl,
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
	ban_service_event(s, BAN_EVENT_REFUSED, result, NULL, net, scope, q->ttl_sec,
	    source->name, q->label, text);
}

/* Whoever asked is told why not, or why not in one of two scopes. */
static void
say_why(struct ban_reply *reply, const char *why)
{
	snprintf(reply->entry.reason, BAN_REASON_SIZE, "%s", why);
}

void
ban_handle_add(struct ban_service *s, unsigned number, const struct ban_request *q,
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
	say_why(reply, "no address or network");
	if (!ban_network_normalise(&q->net, &net))
		return;
	reply->entry.net = net;
	reply->result = BAN_REFUSED_RIGHTS;
	say_why(reply, "this source may not ban for that scope");
	/* who guesses passwords is not welcome as a mail client either */
	if (source->login && (wanted & BAN_HOST))
		wanted |= BAN_MAIL & source->scopes;
	if (wanted == 0)
		return;
	reply->result = BAN_REFUSED_LIMIT;
	if (!ban_rate_take(&s->rates[number], source->per_minute, s->mono_ms)) {
		say_why(reply, "more than per_minute");
		if (ban_rate_take(&s->rate_logs, 1, s->mono_ms))
			ban_service_log(s, BAN_LOG_WARNING,
			    "source=%s more than per_minute=%lld bans",
			    source->name, (long long)source->per_minute);
		return;
	}
	clean_reason(q->reason, reason);
	say_why(reply, (q->scope & ~wanted) != 0 ?
	    "this source may not ban for that scope" : "");
	for (unsigned scope = BAN_HOST; scope >= BAN_MAIL; scope--) {
		const char *why = "";
		enum ban_result result;

		if (!(wanted & scope))
			continue;
		result = ban_service_admit(s, &net, scope, &why);
		if (result != BAN_OK) {
			refuse(s, source, q, &net, scope, result, why);
			say_why(reply, why);
		} else if (s->policy->simulate) {
			reply->flags |= BAN_REP_SIMULATED;
			a.ret_expires = s->now + ban_policy_ttl(s->policy, source, 0,
			    q->ttl_sec);
			ban_service_event(s, BAN_EVENT_WOULD_BAN, BAN_OK, NULL, &net, scope,
			    a.ret_expires - s->now, source->name, q->label, reason);
		} else {
			result = add_one(s, &a, &net, scope);
			if (result != BAN_OK)
				say_why(reply, result == BAN_FAILED ?
				    "the kernel did not take it; tried again" :
				    "ban_max_entries, or too many labels");
		}
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

void
ban_handle_del(struct ban_service *s, const struct ban_source *source,
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
			if ((q->flags & BAN_REQ_EVERYTHING) && ban_service_journal_usable(s) &&
			    ban_journal_remove(s->journal, &net, scope, &err) < 0)
				ban_service_journal_failed(s, &err);
			continue;
		}
		result = q->flags & BAN_REQ_EVERYTHING ?
		    ban_service_end(s, slot, BAN_EVENT_UNBAN, false,
		    source->name, q->label, "") :
		    ban_service_del_claim(s, slot, owner, source->name, q->label);
		if (result == BAN_OK)
			done |= scope;
		if (reply->result != BAN_FAILED && result != BAN_NOT_BANNED)
			reply->result = result;
	}
	reply->entry.scope = (enum ban_scope)done;
}

void
ban_handle_check(struct ban_service *s, const struct ban_request *q,
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

/* No ban of that scope holds addr any longer, nor one of a network around. */
static void
lift(struct ban_service *s, const struct netaddr *addr, unsigned scope,
    const char *why)
{
	struct ban_slot *slot;

	while ((slot = ban_table_lookup(s->table, addr, scope)) != NULL)
		ban_service_end(s, slot, BAN_EVENT_LIFTED, false, "", "", why);
}

/* Whole addresses only: what people confirmed and what a name leads to is
 * never half of the internet. */
static bool
one_address(const struct ban_request *q, struct network *ret)
{
	return ban_network_normalise(&q->net, ret) &&
	    ret->prefix_len == (ret->addr.family == 4 ? 32 : 64);
}

void
ban_handle_confirm(struct ban_service *s, const struct ban_request *q,
    struct ban_reply *reply)
{
	int64_t today = s->now / DAY_SEC, day = q->ttl_sec / DAY_SEC;
	struct network net;
	struct error err;

	reply->result = BAN_REFUSED_INVALID;
	if (!one_address(q, &net) || day > today)
		return;
	reply->result = BAN_OK;
	if (!ban_protect_confirm(s->protect, &net.addr, day, today))
		return;
	if (ban_service_journal_usable(s) &&
	    ban_journal_put_day(s->journal, &net.addr, day, &err) < 0)
		ban_service_journal_failed(s, &err);
	if (ban_protect_overlaps(s->protect, &net, today, NULL))
		lift(s, &net.addr, BAN_MAIL, "confirmed good mail");
}

void
ban_handle_allow(struct ban_service *s, const struct ban_source *source,
    const struct ban_request *q, struct ban_reply *reply)
{
	int64_t longest = s->policy->allow_ms / 1000, lease = q->ttl_sec;
	char text[NETADDR_TEXT];
	struct network net;
	unsigned fresh;

	reply->result = BAN_REFUSED_INVALID;
	if (!one_address(q, &net))
		return;
	/* a client that dies must not leave exemptions behind for years */
	if (lease > longest)
		lease = longest;
	reply->result = BAN_REFUSED_LIMIT;
	if (!ban_leases_put(s->leases, &net.addr, source->scopes,
	    s->now + lease, s->now, &fresh)) {
		if (ban_rate_take(&s->rate_logs, 1, s->mono_ms))
			ban_service_log(s, BAN_LOG_WARNING, "source=%s allows "
			    "more than %d addresses", source->name,
			    BAN_LEASES_MAX);
		return;
	}
	reply->result = BAN_OK;
	reply->entry.net = net;
	reply->entry.scope = (enum ban_scope)source->scopes;
	reply->entry.remaining_sec = lease;
	if (fresh == 0)
		return;
	ban_service_log(s, BAN_LOG_INFO, "event=allow net=%s scope=%s ttl=%lld "
	    "source=%s", network_format(&net, text),
	    ban_scope_name((enum ban_scope)fresh), (long long)lease,
	    source->name);
	for (unsigned scope = BAN_MAIL; scope <= BAN_HOST; scope++)
		if (fresh & scope)
			lift(s, &net.addr, scope, "allowed address");
}
