/* slots - what happens to one ban: its way into the kernel, the journal and
 * the log, and its end. */
#include <stdio.h>
#include <string.h>

#include "ban/service_impl.h"

bool
ban_service_journal_usable(const struct ban_service *s)
{
	return s->journal != NULL && !s->journal_lost;
}

void
ban_service_event(struct ban_service *s, enum ban_event what, enum ban_result result,
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
	if (ban_service_journal_usable(s) &&
	    ban_journal_put_event(s->journal, &h, &err) < 0)
		ban_service_journal_failed(s, &err);
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
	slot->reading = s->reading;
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

void
ban_service_drop(struct ban_service *s, struct ban_slot *slot)
{
	if (slot->flags & BAN_SLOT_UNSURE)
		s->unsure--;
	ban_table_remove(s->table, slot);
}

static void
name_owner(const struct ban_service *s, const struct ban_slot *slot,
    char source[BAN_NAME_SIZE], char label[BAN_NAME_SIZE])
{
	snprintf(source, BAN_NAME_SIZE, "%s",
	    ban_table_owner_source(s->table, slot->claim.owner));
	snprintf(label, BAN_NAME_SIZE, "%s",
	    ban_table_owner_label(s->table, slot->claim.owner));
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
	name_owner(s, slot, r->source, r->label);
	r->claim_expires = slot->claim.expires;
	snprintf(r->reason, BAN_REASON_SIZE, "%s", reason);
}

int
ban_service_put(const struct ban_service *s, const struct ban_slot *slot,
    const char *reason, struct error *err)
{
	struct ban_record r;
	int code;

	fill_record(s, slot, reason, &r);
	code = ban_journal_put(s->journal, &r, err);
	for (const struct ban_claim *c = slot->claim.next;
	     code == 0 && c != NULL; c = c->next)
		code = ban_journal_put_claim(s->journal, &slot->net,
		    slot->scope, ban_table_owner_source(s->table, c->owner),
		    ban_table_owner_label(s->table, c->owner), c->expires, err);
	return code;
}

void
ban_service_write(struct ban_service *s, const struct ban_slot *slot,
    const char *reason)
{
	struct error err;
	int code = 0;

	if (!ban_service_journal_usable(s))
		return;
	if (slot->flags & BAN_SLOT_SHARED)
		code = ban_journal_remove_claims(s->journal, &slot->net,
		    slot->scope, &err);
	if (code == 0)
		code = ban_service_put(s, slot, reason, &err);
	if (code < 0)
		ban_service_journal_failed(s, &err);
}

bool
ban_service_read_record(struct ban_service *s, const struct network *net, unsigned scope,
    struct ban_record *r)
{
	struct error err;
	int code;

	if (!ban_service_journal_usable(s))
		return false;
	code = ban_journal_get(s->journal, net, scope, r, &err);
	if (code < 0)
		ban_service_journal_failed(s, &err);
	return code == 1;
}

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

	if (ban_service_journal_usable(s)) {
		int code;

		if (remember && ban_service_read_record(s, &net, scope, &r)) {
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
	ban_service_event(s, what, gone ? BAN_OK : BAN_FAILED, slot, &net, scope, 0, source,
	    label, reason);
	ban_service_drop(s, slot);
	return gone ? BAN_OK : BAN_FAILED;
}

enum ban_result
ban_service_del_claim(struct ban_service *s, struct ban_slot *slot, uint16_t owner,
    const char *source, const char *label)
{
	struct ban_record r;
	int64_t before = slot->expires;

	if (!ban_slot_unclaim(slot, owner))
		return BAN_NOT_BANNED;
	if (slot->expires <= s->now)
		return ban_service_end(s, slot, BAN_EVENT_UNBAN, true, source,
		    label, "");
	if (!ban_service_read_record(s, &slot->net, slot->scope, &r))
		r.reason[0] = '\0';
	ban_service_write(s, slot, r.reason);
	if (slot->expires != before)
		ban_service_send(s, slot);
	return BAN_OK;
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
	name_owner(s, slot, e->source, e->label);
	if (ban_service_read_record(s, &slot->net, slot->scope, &r))
		memcpy(e->reason, r.reason, sizeof(e->reason));
}
