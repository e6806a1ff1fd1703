/* upkeep - the service's work that no request asks for: what is due, the
 * comparison with the kernel, answers in several parts, the journal. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ban/service_impl.h"

#define PRUNE_EVERY_MS 5000
#define PRUNE_AGAIN_MS 100
#define PRUNE_ROWS 1000
#define UNSURE_RETRY_MS 1000
#define JOURNAL_LOOK_MS 1000
/* places of the table looked at before others get their turn */
#define LIST_BUDGET 2000
#define COMPARE_BUDGET 10000
/* claims ended, and bans sent again: each goes to the kernel */
#define FLUSH_BUDGET 50
#define HEAL_BUDGET 100

void
ban_service_set_policy(struct ban_service *s, const struct ban_policy *policy)
{
	s->policy = policy;
	ban_protect_limits(s->protect, (unsigned)policy->protect_days,
	    policy->protect_within_ms / DAY_MS);
	ban_service_lift_forbidden(s);
}

void
ban_service_set_own(struct ban_service *s, const struct netset *own)
{
	netset_done(&s->own);
	for (size_t i = 0; i < own->count; i++)
		if (netset_add(&s->own, &own->nets[i]) < 0)
			break;
	ban_service_lift_forbidden(s);
}

/* Every ban expires, whatever a doctored file or an older, larger limit
 * says. */
static int64_t
no_later(const struct ban_service *s, int64_t expires)
{
	int64_t latest = s->now + s->policy->max_time_ms / 1000;

	return expires < latest ? expires : latest;
}

static int
restore_ban(void *context, const struct ban_record *r)
{
	struct ban_service *s = context;
	struct ban_slot *slot;
	struct network net;
	uint16_t owner;

	/* an older or doctored file must not break what insert relies on */
	if (!ban_network_normalise(&r->net, &net) ||
	    ban_table_find(s->table, &net, r->scope) != NULL)
		return 0;
	owner = ban_table_owner(s->table, r->source, r->label);
	if (owner == BAN_NO_OWNER)
		owner = ban_table_owner(s->table, "", "");
	slot = ban_table_insert(s->table, &net, r->scope);
	if (slot == NULL)
		return 0; /* the cap is lower now */
	slot->first = r->first;
	slot->last = r->last;
	slot->count = r->count;
	slot->packets = r->packets;
	ban_slot_claim(slot, owner, no_later(s, r->claim_expires));
	slot->expires = no_later(s, r->expires);
	slot->due = slot->expires;
	ban_table_reorder(s->table, slot);
	return 0;
}

static int
restore_claim(void *context, const struct ban_record *r)
{
	struct ban_service *s = context;
	struct ban_slot *slot = ban_table_find(s->table, &r->net, r->scope);
	uint16_t owner = ban_table_owner(s->table, r->source, r->label);

	if (slot != NULL && owner != BAN_NO_OWNER) {
		if (ban_slot_claim(slot, owner, no_later(s, r->claim_expires)) < 0)
			return -ENOMEM;
		slot->flags |= BAN_SLOT_SHARED;
	}
	return 0;
}

static int
restore_day(void *context, const struct netaddr *addr, int64_t day)
{
	struct ban_service *s = context;

	ban_protect_confirm(s->protect, addr, day, s->now / DAY_SEC);
	return 0;
}

void
ban_service_clock_set(struct ban_service *s, int64_t sec)
{
	struct error err;

	ban_service_log(s, BAN_LOG_WARNING, "the clock was set by %lld s: bans "
	    "keep the time that they have left", (long long)sec);
	ban_table_shift(s->table, sec);
	ban_leases_shift(s->leases, sec);
	if (ban_service_journal_usable(s) &&
	    ban_journal_shift(s->journal, sec, &err) < 0)
		ban_service_journal_failed(s, &err);
}

/* A clock that is behind the youngest ban was set back meanwhile, or is not
 * set yet: bans would last until it has caught up. That one begins now. */
static void
restore_clock(struct ban_service *s)
{
	int64_t behind = ban_journal_newest(s->journal) - s->now;
	struct error err;

	if (behind <= 0)
		return;
	ban_service_log(s, BAN_LOG_WARNING, "the clock is %lld s behind the "
	    "journal, whose bans begin anew", (long long)behind);
	if (ban_journal_shift(s->journal, -behind, &err) < 0)
		ban_service_journal_failed(s, &err);
}

int
ban_service_restore(struct ban_service *s, size_t *ret_bans, struct error *err)
{
	int64_t within = s->policy->protect_within_ms / DAY_MS;
	int code = 0;

	*ret_bans = 0;
	if (s->journal != NULL && !s->policy->simulate)
		restore_clock(s);
	if (s->journal != NULL && !s->policy->simulate)
		code = ban_journal_each(s->journal, s->now, restore_ban,
		    restore_claim, s, err);
	if (s->journal != NULL && code == 0)
		code = ban_journal_each_day(s->journal,
		    s->now / DAY_SEC - within, restore_day, s, err);
	for (unsigned set = 0; set < BAN_SETS; set++)
		*ret_bans += ban_table_count(s->table, set);
	return code;
}

void
ban_service_commit(struct ban_service *s)
{
	struct error err;

	if (ban_service_journal_usable(s) &&
	    ban_journal_commit(s->journal, &err) < 0)
		ban_service_journal_failed(s, &err);
}

int64_t
ban_service_tick(struct ban_service *s, unsigned budget)
{
	struct ban_slot *slot;

	while ((slot = ban_table_first_due(s->table)) != NULL) {
		int64_t wait = slot->due - s->now;

		if (wait > 0)
			return wait;
		if (budget-- == 0)
			return 0;
		if (slot->expires <= s->now)
			ban_service_end(s, slot, BAN_EVENT_EXPIRED, true, "", "", "");
		else
			ban_service_send(s, slot); /* which sets a new due */
	}
	return -1;
}

static void
retry_unsure(struct ban_service *s)
{
	struct ban_slot *slot;
	uint32_t cursor = 0;
	bool end = false;

	while (!end && s->unsure > 0) {
		slot = ban_table_next(s->table, &cursor, UINT32_MAX, &end);
		/* a kernel that still refuses is asked again later */
		if (slot != NULL && (slot->flags & BAN_SLOT_UNSURE) &&
		    !ban_service_send(s, slot))
			return;
	}
}

static int
rewrite_day(void *context, const struct netaddr *addr, int64_t day)
{
	struct ban_service *s = context;

	return ban_journal_put_day(s->journal, addr, day, NULL);
}

/* The journal came back, or a new one takes its place: everything that is in
 * force goes into it. */
static void
rewrite_journal(struct ban_service *s)
{
	struct ban_slot *slot;
	uint32_t cursor = 0;
	bool end = false;
	struct error err = { "days of confirmed mail" }, note = { "" };
	int code = 0;

	if (ban_journal_is_lost(s->journal))
		code = ban_journal_reopen(s->journal, &note, &err);
	if (note.text[0] != '\0')
		ban_service_log(s, BAN_LOG_ERROR, "%s", note.text);
	if (code == 0)
		code = ban_journal_rewrite(s->journal, s->now, &err);

	while (code == 0 && !end) {
		struct ban_record r;

		slot = ban_table_next(s->table, &cursor, UINT32_MAX, &end);
		if (slot == NULL)
			continue;
		/* the reason stands in the journal alone */
		code = ban_journal_get(s->journal, &slot->net, slot->scope, &r,
		    &err);
		if (code >= 0)
			code = ban_service_put(s, slot, code == 1 ? r.reason : "",
			    &err);
	}
	if (code == 0)
		code = ban_journal_rewritten(s->journal, &err);
	if (code == 0)
		code = ban_protect_each(s->protect, rewrite_day, s);
	if (code == 0)
		code = ban_journal_commit(s->journal, &err);
	if (code < 0) {
		ban_service_journal_failed(s, &err);
		return;
	}
	s->journal_lost = false;
	ban_service_log(s, BAN_LOG_WARNING, "the journal works again and was "
	    "written anew");
}

void
ban_service_idle(struct ban_service *s, bool nothing_else)
{
	const struct ban_policy *p = s->policy;
	struct error err;

	if (s->unsure > 0 && s->mono_ms >= s->unsure_ms) {
		s->unsure_ms = s->mono_ms + UNSURE_RETRY_MS;
		retry_unsure(s);
	}
	if (s->journal == NULL)
		return;
	if (!s->journal_lost && s->mono_ms >= s->journal_look_ms) {
		s->journal_look_ms = s->mono_ms + JOURNAL_LOOK_MS;
		if (ban_journal_is_lost(s->journal)) {
			error_set(&err, 0, "the file is gone");
			ban_service_journal_failed(s, &err);
			s->journal_retry_ms = s->mono_ms;
		}
	}
	if (s->journal_lost && s->mono_ms >= s->journal_retry_ms)
		rewrite_journal(s);
	if (s->journal_lost)
		return;
	if (s->mono_ms >= s->prune_ms) {
		int code = ban_journal_prune(s->journal,
		    s->now - p->forget_ms / 1000, s->now - p->history_ms / 1000,
		    p->history_max,
		    s->now / DAY_SEC - p->protect_within_ms / DAY_MS, PRUNE_ROWS,
		    &err);

		s->prune_ms = s->mono_ms + (code == 1 ? PRUNE_AGAIN_MS :
		    PRUNE_EVERY_MS);
		if (code < 0)
			ban_service_journal_failed(s, &err);
		ban_service_commit(s);
	}
	if (!s->journal_lost && nothing_else)
		ban_journal_checkpoint(s->journal, false);
}

void
ban_service_compare_start(struct ban_service *s, unsigned set)
{
	s->reading++;
	s->sets[set].place = 0;
	s->sets[set].strangers = s->sets[set].missing = 0;
	s->sets[set].kernel_entries = 0;
}

void
ban_service_compare_entry(struct ban_service *s, unsigned set,
    const struct ban_kernel_entry *e)
{
	struct ban_slot *slot = ban_table_find(s->table, &e->net,
	    set & 2 ? BAN_HOST : BAN_MAIL);
	struct error err;

	s->sets[set].kernel_entries++;
	if (slot == NULL) {
		/* Left by a helper that died before it could tell anybody, or
		 * put there by hand: nobody would remember it or let it go. */
		if (s->sink.del(s->sink.context, set, &e->net) == 0)
			s->sets[set].strangers++;
		return;
	}
	slot->reading = s->reading;
	/* a smaller counter is a new entry's */
	if (e->packets < slot->kernel_packets)
		slot->kernel_packets = 0;
	if (e->packets == slot->kernel_packets)
		return;
	slot->packets += e->packets - slot->kernel_packets;
	slot->kernel_packets = e->packets;
	if (ban_service_journal_usable(s) &&
	    ban_journal_put_packets(s->journal, &slot->net, slot->scope,
	    slot->packets, &err) < 0)
		ban_service_journal_failed(s, &err);
}

bool
ban_service_compare_end(struct ban_service *s, unsigned set,
    size_t *ret_missing, size_t *ret_strangers)
{
	unsigned scope = set & 2 ? BAN_HOST : BAN_MAIL;
	unsigned family = set & 1 ? 6 : 4;
	uint32_t *place = &s->sets[set].place, start = *place;
	unsigned healed = 0;
	bool end = false;

	while (!end && *place - start < COMPARE_BUDGET && healed < HEAL_BUDGET) {
		struct ban_slot *slot = ban_table_next(s->table, place,
		    COMPARE_BUDGET - (*place - start), &end);

		if (slot == NULL || slot->scope != scope ||
		    slot->net.addr.family != family)
			continue;
		/* one that is about to end anyway may be gone already */
		if (slot->reading != s->reading && slot->expires > s->now + 2) {
			healed++;
			if (!ban_service_send(s, slot))
				end = true; /* looked at again soon */
		}
	}
	s->sets[set].missing += healed;
	*ret_missing = s->sets[set].missing;
	*ret_strangers = s->sets[set].strangers;
	return end;
}

int
ban_service_each(struct ban_service *s, unsigned set,
    int (*fn)(void *context, unsigned set, const struct network *net,
    uint32_t timeout_sec), void *context)
{
	unsigned scope = set & 2 ? BAN_HOST : BAN_MAIL;
	unsigned family = set & 1 ? 6 : 4;
	struct ban_slot *slot;
	uint32_t cursor = 0;
	bool end = false;
	int code = 0;

	while (!end && code == 0) {
		int64_t left;

		slot = ban_table_next(s->table, &cursor, UINT32_MAX, &end);
		if (slot == NULL || slot->scope != scope ||
		    slot->net.addr.family != family || slot->expires <= s->now)
			continue;
		left = slot->expires - s->now;
		slot->due = slot->expires;
		if (left > BAN_KERNEL_TIMEOUT_MAX) {
			left = BAN_KERNEL_TIMEOUT_MAX;
			slot->due = s->now + BAN_KERNEL_TIMEOUT_MAX / 2;
			ban_table_reorder(s->table, slot);
		}
		slot->kernel_packets = 0;
		code = fn(context, set, &slot->net, (uint32_t)left);
	}
	return code;
}

size_t
ban_service_count(const struct ban_service *s, unsigned set)
{
	return ban_table_count(s->table, set);
}

void
ban_service_set_health(struct ban_service *s, unsigned set,
    uint64_t kernel_entries, const char *problem)
{
	s->sets[set].kernel_entries = kernel_entries;
	snprintf(s->sets[set].problem, BAN_REASON_SIZE, "%s", problem);
}

bool
ban_service_wants_look(struct ban_service *s)
{
	bool wants = s->wants_look;

	s->wants_look = false;
	return wants;
}

static int
finish(struct ban_cursor *c, struct ban_reply *reply)
{
	reply->flags = 0;
	reply->result = BAN_OK;
	c->op = (enum ban_op)0;
	return 1;
}

static int
next_ban(struct ban_service *s, struct ban_cursor *c, struct ban_reply *reply)
{
	uint32_t start = c->place;
	struct ban_slot *slot;
	bool end = false;

	while (!end && c->place - start < LIST_BUDGET) {
		slot = ban_table_next(s->table, &c->place,
		    LIST_BUDGET - (c->place - start), &end);
		if (slot == NULL || !(c->scope & slot->scope) ||
		    slot->expires <= s->now)
			continue;
		ban_service_fill_entry(s, slot, &reply->entry);
		return 1;
	}
	return end ? finish(c, reply) : 0;
}

/* The claim of that source (and label, unless "") on a ban, if any. */
static uint16_t
claim_of(const struct ban_service *s, const struct ban_slot *slot,
    const char *source, const char *label)
{
	for (const struct ban_claim *c = &slot->claim; c != NULL; c = c->next)
		if (strcmp(ban_table_owner_source(s->table, c->owner),
		    source) == 0 && (label[0] == '\0' ||
		    strcmp(ban_table_owner_label(s->table, c->owner),
		    label) == 0))
			return c->owner;
	return BAN_NO_OWNER;
}

/* Ends the claims of a source, or of one label of it, some at a time. */
static int
next_flush(struct ban_service *s, struct ban_cursor *c,
    struct ban_reply *reply)
{
	const char *source = s->policy->sources[c->source].name;
	unsigned ended = 0;
	bool end = false;

	while (!end && ended < FLUSH_BUDGET) {
		struct ban_slot *slot = ban_table_next(s->table, &c->place,
		    LIST_BUDGET, &end);
		uint16_t owner;

		if (slot == NULL && !end)
			return 0;
		if (slot == NULL ||
		    (owner = claim_of(s, slot, source, c->label)) == BAN_NO_OWNER)
			continue;
		ended++;
		ban_service_del_claim(s, slot, owner, source, c->label);
		/* the ban may hold more claims of this source */
		c->place--;
	}
	c->flushed += ended;
	/* the answer waits until the journal has it: for the next call */
	if (ended > 0)
		return 0;
	finish(c, reply);
	reply->entry.packets = c->flushed;
	return 1;
}

static int
next_event(struct ban_service *s, struct ban_cursor *c,
    struct ban_reply *reply)
{
	struct ban_history h;
	struct error err;
	int code = 0;

	if (c->left > 0 && ban_service_journal_usable(s)) {
		code = ban_journal_next_event(s->journal,
		    c->net.addr.family != 0 ? &c->net : NULL, &c->event_id, &h,
		    &err);
		if (code < 0)
			ban_service_journal_failed(s, &err);
	}
	if (code <= 0)
		return finish(c, reply);
	if (code == 2)
		return 0;
	if (c->left != UINT32_MAX)
		c->left--;
	reply->event = h.event;
	reply->result = h.result;
	reply->entry = h.entry;
	return 1;
}

int
ban_service_next(struct ban_service *s, struct ban_cursor *cursor,
    struct ban_reply *reply)
{
	memset(reply, 0, sizeof(*reply));
	reply->op = cursor->op;
	reply->id = cursor->id;
	reply->flags = BAN_REP_MORE;
	switch (cursor->op) {
	case BAN_OP_FLUSH:
		return next_flush(s, cursor, reply);
	case BAN_OP_LIST:
		return next_ban(s, cursor, reply);
	case BAN_OP_HISTORY:
		return next_event(s, cursor, reply);
	default:
		if (cursor->place >= BAN_SETS)
			return finish(cursor, reply);
		snprintf(reply->entry.source, BAN_NAME_SIZE, "%s",
		    ban_set_name(cursor->place));
		memcpy(reply->entry.reason, s->sets[cursor->place].problem,
		    BAN_REASON_SIZE);
		reply->result = reply->entry.reason[0] == '\0' ? BAN_OK :
		    BAN_FAILED;
		reply->entry.packets = s->sets[cursor->place].kernel_entries;
		reply->entry.count = (uint32_t)ban_table_count(s->table,
		    cursor->place);
		cursor->place++;
		return 1;
	}
}
