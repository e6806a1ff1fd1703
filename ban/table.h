/*
 * table - the bans in force, in memory.
 *
 * A ban is a network in one of two scopes (mail, host), so that it stands in
 * exactly one kernel set; a ban for both scopes is two. It lasts as long as
 * the longest of its claims: each source, and each label inside a source,
 * holds at most one. About 100 bytes a ban, in blocks, so that growing
 * copies nothing; a heap orders the bans by when something is due.
 *
 * Pure: no I/O, no clock. Pointers to slots stay valid until that ban is
 * removed. Not shared between threads.
 */
#ifndef BAN_TABLE_H
#define BAN_TABLE_H

#include "ban/ban.h"

enum {
	BAN_SETS = 4, /* mail4 mail6 host4 host6 */
	BAN_OWNERS_MAX = 2048,
	BAN_LABELS_MAX = 64, /* a source */
	BAN_NO_OWNER = 0xFFFF,
};

struct ban_claim {
	int64_t expires;
	struct ban_claim *next;
	uint16_t owner;
};

enum {
	BAN_SLOT_USED = 1,
	BAN_SLOT_UNSURE = 2, /* the kernel did not take it yet */
	BAN_SLOT_SHARED = 4, /* had several claims at some time */
};

struct ban_slot {
	struct network net;
	uint8_t scope; /* BAN_MAIL or BAN_HOST */
	uint8_t flags;
	uint16_t reading; /* of the kernel's sets: when it was seen or sent last */
	uint32_t count;
	uint32_t heap_pos;
	int64_t first, last;
	int64_t expires; /* of the longest claim */
	int64_t due;	 /* expiry, or earlier: the kernel wants a refresh */
	uint64_t packets;	   /* all in all */
	uint64_t kernel_packets; /* what the set's counter said last */
	struct ban_claim claim;	   /* the first; others hang behind it */
};

struct ban_table;

struct ban_table *ban_table_new(size_t max_entries_per_set); /* NULL: memory */
void ban_table_free(struct ban_table *t);

/* 0..3 for a scope and a family; the name of the set's ipset. */
unsigned ban_set_index(unsigned scope, unsigned family);
const char *ban_set_name(unsigned set);

/* A number for "source" and "label"; BAN_NO_OWNER when there are too many. */
uint16_t ban_table_owner(struct ban_table *t, const char *source,
    const char *label);
const char *ban_table_owner_source(const struct ban_table *t, uint16_t owner);
const char *ban_table_owner_label(const struct ban_table *t, uint16_t owner);

struct ban_slot *ban_table_find(const struct ban_table *t,
    const struct network *net, unsigned scope);
/* The finest ban that holds addr, from /32 or /64 upwards. */
struct ban_slot *ban_table_lookup(const struct ban_table *t,
    const struct netaddr *addr, unsigned scope);
/* A new ban without claim and without expiry; it must not be there yet.
 * NULL: the set is at its cap, or memory is short. */
struct ban_slot *ban_table_insert(struct ban_table *t,
    const struct network *net, unsigned scope);
void ban_table_remove(struct ban_table *t, struct ban_slot *slot);
/* Sets the owner's claim; 0 or -ENOMEM. A claim never gets shorter. */
int ban_slot_claim(struct ban_slot *slot, uint16_t owner, int64_t expires);
/* Takes the owner's claim away; false if there was none. When no claim is
 * left, expires is 0 and the caller removes the ban. */
bool ban_slot_unclaim(struct ban_slot *slot, uint16_t owner);
bool ban_slot_has_claim(const struct ban_slot *slot, uint16_t owner);
/* due was set: put the slot in its place in the order. */
void ban_table_reorder(struct ban_table *t, struct ban_slot *slot);
/* The clock was set: all times of all bans go with it. */
void ban_table_shift(struct ban_table *t, int64_t sec);
/* The one that is due next, or NULL. */
struct ban_slot *ban_table_first_due(const struct ban_table *t);

size_t ban_table_count(const struct ban_table *t, unsigned set);
/* The slot at *cursor or the next behind it, *cursor set behind it; NULL at
 * the end. Starts at 0; bans may come and go between calls. At most budget
 * places are looked at: *cursor moved and NULL with *ret_end false means go on. */
struct ban_slot *ban_table_next(const struct ban_table *t, uint32_t *cursor,
    unsigned budget, bool *ret_end);

#endif
