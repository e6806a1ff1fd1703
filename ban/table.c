#include "ban/table.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { BLOCK_SLOTS = 4096 };
#define NONE UINT32_MAX

struct owner {
	char source[BAN_NAME_SIZE], label[BAN_NAME_SIZE];
};

struct ban_table {
	struct ban_slot **blocks; /* slot i is blocks[i / 4096][i % 4096] */
	size_t n_blocks;
	uint32_t n_slots; /* places ever used */
	uint32_t *free_list;
	size_t n_free, free_alloc;
	uint32_t *index; /* open addressing: slot number, NONE empty */
	size_t index_size; /* a power of two */
	uint32_t *heap;
	size_t n_heap, heap_alloc;
	size_t counts[BAN_SETS];
	/* how many bans of each prefix length are in each set */
	size_t prefixes[BAN_SETS][129];
	size_t max_per_set;
	struct owner *owners;
	size_t n_owners;
	uint64_t seed;
};

unsigned
ban_set_index(unsigned scope, unsigned family)
{
	return (scope == BAN_HOST ? 2u : 0u) + (family == 6 ? 1u : 0u);
}

const char *
ban_set_name(unsigned set)
{
	static const char *const names[BAN_SETS] = { "spamscore-mail4",
		"spamscore-mail6", "spamscore-host4", "spamscore-host6" };

	return set < BAN_SETS ? names[set] : "?";
}

static unsigned
slot_set(const struct ban_slot *s)
{
	return ban_set_index(s->scope, s->net.addr.family);
}

static struct ban_slot *
slot_at(const struct ban_table *t, uint32_t i)
{
	return &t->blocks[i / BLOCK_SLOTS][i % BLOCK_SLOTS];
}

/* A source chooses the addresses, so the hash is seeded. */
static size_t
hash_key(const struct ban_table *t, const struct network *net, unsigned scope)
{
	uint64_t a, b, h;

	memcpy(&a, net->addr.bytes, 8);
	memcpy(&b, net->addr.bytes + 8, 8);
	h = t->seed ^ ((uint64_t)net->prefix_len << 16) ^
	    ((uint64_t)net->addr.family << 8) ^ scope;
	h = (h ^ a) * 0x9E3779B97F4A7C15u;
	h ^= h >> 29;
	h = (h ^ b ^ (t->seed >> 17)) * 0xBF58476D1CE4E5B9u;
	h ^= h >> 32;
	h *= 0x94D049BB133111EBu;
	return (size_t)(h ^ (h >> 31)) & (t->index_size - 1);
}

struct ban_table *
ban_table_new(size_t max_entries_per_set)
{
	struct ban_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->max_per_set = max_entries_per_set;
	t->index_size = 1024;
	t->index = malloc(t->index_size * sizeof(*t->index));
	t->owners = calloc(BAN_OWNERS_MAX, sizeof(*t->owners));
	if (t->index == NULL || t->owners == NULL ||
	    getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed)) {
		ban_table_free(t);
		return NULL;
	}
	memset(t->index, 0xFF, t->index_size * sizeof(*t->index));
	return t;
}

static void
drop_claims(struct ban_slot *s)
{
	while (s->claim.next != NULL) {
		struct ban_claim *c = s->claim.next;

		s->claim.next = c->next;
		free(c);
	}
}

void
ban_table_free(struct ban_table *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 0; i < t->n_slots; i++)
		drop_claims(slot_at(t, i));
	for (size_t i = 0; i < t->n_blocks; i++)
		free(t->blocks[i]);
	free(t->blocks);
	free(t->free_list);
	free(t->index);
	free(t->heap);
	free(t->owners);
	free(t);
}

uint16_t
ban_table_owner(struct ban_table *t, const char *source, const char *label)
{
	size_t of_source = 0;

	for (size_t i = 0; i < t->n_owners; i++) {
		if (strcmp(t->owners[i].source, source) != 0)
			continue;
		if (strcmp(t->owners[i].label, label) == 0)
			return (uint16_t)i;
		of_source++;
	}
	/* one source's inventions must not crowd out the others */
	if (t->n_owners == BAN_OWNERS_MAX || of_source == BAN_LABELS_MAX)
		return BAN_NO_OWNER;
	snprintf(t->owners[t->n_owners].source, BAN_NAME_SIZE, "%s", source);
	snprintf(t->owners[t->n_owners].label, BAN_NAME_SIZE, "%s", label);
	return (uint16_t)t->n_owners++;
}

const char *
ban_table_owner_source(const struct ban_table *t, uint16_t owner)
{
	return owner < t->n_owners ? t->owners[owner].source : "";
}

const char *
ban_table_owner_label(const struct ban_table *t, uint16_t owner)
{
	return owner < t->n_owners ? t->owners[owner].label : "";
}

static bool
slot_is(const struct ban_slot *s, const struct network *net, unsigned scope)
{
	return s->scope == scope && s->net.prefix_len == net->prefix_len &&
	    netaddr_eq(&s->net.addr, &net->addr);
}

static size_t
find_index(const struct ban_table *t, const struct network *net,
    unsigned scope)
{
	size_t h = hash_key(t, net, scope);

	while (t->index[h] != NONE &&
	    !slot_is(slot_at(t, t->index[h]), net, scope))
		h = (h + 1) & (t->index_size - 1);
	return h;
}

struct ban_slot *
ban_table_find(const struct ban_table *t, const struct network *net,
    unsigned scope)
{
	size_t h = find_index(t, net, scope);

	return t->index[h] != NONE ? slot_at(t, t->index[h]) : NULL;
}

struct ban_slot *
ban_table_lookup(const struct ban_table *t, const struct netaddr *addr,
    unsigned scope)
{
	unsigned set = ban_set_index(scope, addr->family);

	for (unsigned prefix = addr->family == 4 ? 32 : 64; prefix > 0; prefix--) {
		struct network net;
		struct ban_slot *s;

		if (t->prefixes[set][prefix] == 0)
			continue;
		net = network_of(addr, prefix);
		if ((s = ban_table_find(t, &net, scope)) != NULL)
			return s;
	}
	return NULL;
}

static bool
grow_index(struct ban_table *t)
{
	size_t old_size = t->index_size;
	uint32_t *old = t->index;

	if (old_size > SIZE_MAX / 2 / sizeof(*old))
		return false;
	t->index = malloc(old_size * 2 * sizeof(*old));
	if (t->index == NULL) {
		t->index = old;
		return false;
	}
	t->index_size = old_size * 2;
	memset(t->index, 0xFF, t->index_size * sizeof(*old));
	for (size_t i = 0; i < old_size; i++)
		if (old[i] != NONE) {
			const struct ban_slot *s = slot_at(t, old[i]);

			t->index[find_index(t, &s->net, s->scope)] = old[i];
		}
	free(old);
	return true;
}

static bool
grow_array(uint32_t **array, size_t *alloc, size_t want)
{
	size_t n = *alloc != 0 ? *alloc : 1024;
	uint32_t *p;

	if (want <= *alloc)
		return true;
	while (n < want)
		n *= 2;
	p = reallocarray(*array, n, sizeof(*p));
	if (p == NULL)
		return false;
	*array = p;
	*alloc = n;
	return true;
}

/* The order of what is due: a binary heap of slot numbers. */
static void
heap_put(struct ban_table *t, size_t pos, uint32_t slot)
{
	t->heap[pos] = slot;
	slot_at(t, slot)->heap_pos = (uint32_t)pos;
}

static void
heap_fix(struct ban_table *t, size_t pos)
{
	uint32_t moving = t->heap[pos];
	int64_t due = slot_at(t, moving)->due;

	while (pos > 0 && slot_at(t, t->heap[(pos - 1) / 2])->due > due) {
		heap_put(t, pos, t->heap[(pos - 1) / 2]);
		pos = (pos - 1) / 2;
	}
	for (;;) {
		size_t child = pos * 2 + 1;

		if (child >= t->n_heap)
			break;
		if (child + 1 < t->n_heap && slot_at(t, t->heap[child + 1])->due <
		    slot_at(t, t->heap[child])->due)
			child++;
		if (slot_at(t, t->heap[child])->due >= due)
			break;
		heap_put(t, pos, t->heap[child]);
		pos = child;
	}
	heap_put(t, pos, moving);
}

void
ban_table_reorder(struct ban_table *t, struct ban_slot *slot)
{
	heap_fix(t, slot->heap_pos);
}

struct ban_slot *
ban_table_first_due(const struct ban_table *t)
{
	return t->n_heap > 0 ? slot_at(t, t->heap[0]) : NULL;
}

static bool
new_place(struct ban_table *t, uint32_t *ret)
{
	if (t->n_free > 0) {
		*ret = t->free_list[--t->n_free];
		return true;
	}
	if (t->n_slots == NONE)
		return false;
	if (t->n_slots == t->n_blocks * BLOCK_SLOTS) {
		struct ban_slot **blocks = reallocarray(t->blocks,
		    t->n_blocks + 1, sizeof(*blocks));

		if (blocks == NULL)
			return false;
		t->blocks = blocks;
		blocks[t->n_blocks] = calloc(BLOCK_SLOTS, sizeof(**blocks));
		if (blocks[t->n_blocks] == NULL)
			return false;
		t->n_blocks++;
	}
	/* a removal must never need memory */
	if (!grow_array(&t->free_list, &t->free_alloc, t->n_slots + 1u))
		return false;
	*ret = t->n_slots++;
	return true;
}

struct ban_slot *
ban_table_insert(struct ban_table *t, const struct network *net,
    unsigned scope)
{
	unsigned set = ban_set_index(scope, net->addr.family);
	struct ban_slot *s;
	uint32_t place;
	size_t h;

	if (t->counts[set] >= t->max_per_set)
		return NULL;
	/* never fuller than two thirds */
	if ((t->n_heap + 1) * 3 > t->index_size * 2 && !grow_index(t))
		return NULL;
	if (!grow_array(&t->heap, &t->heap_alloc, t->n_heap + 1) ||
	    !new_place(t, &place))
		return NULL;
	h = find_index(t, net, scope);
	assert(t->index[h] == NONE);
	t->index[h] = place;
	s = slot_at(t, place);
	memset(s, 0, sizeof(*s));
	s->net = *net;
	s->scope = (uint8_t)scope;
	s->flags = BAN_SLOT_USED;
	s->claim.owner = BAN_NO_OWNER;
	s->due = INT64_MAX;
	t->heap[t->n_heap] = place;
	s->heap_pos = (uint32_t)t->n_heap++;
	t->counts[set]++;
	t->prefixes[set][net->prefix_len]++;
	return s;
}

void
ban_table_remove(struct ban_table *t, struct ban_slot *slot)
{
	unsigned set = slot_set(slot);
	size_t hole = find_index(t, &slot->net, slot->scope), i, pos;
	uint32_t place = t->index[hole];

	assert(place != NONE);
	drop_claims(slot);
	/* close the gap, so that probing needs no tombstones */
	t->index[hole] = NONE;
	for (i = (hole + 1) & (t->index_size - 1); t->index[i] != NONE;
	     i = (i + 1) & (t->index_size - 1)) {
		const struct ban_slot *s = slot_at(t, t->index[i]);
		uint32_t moving = t->index[i];

		t->index[i] = NONE;
		t->index[find_index(t, &s->net, s->scope)] = moving;
	}
	pos = slot->heap_pos;
	t->n_heap--;
	if (pos != t->n_heap) {
		heap_put(t, pos, t->heap[t->n_heap]);
		heap_fix(t, pos);
	}
	t->counts[set]--;
	t->prefixes[set][slot->net.prefix_len]--;
	slot->flags = 0;
	t->free_list[t->n_free++] = place;
}

int
ban_slot_claim(struct ban_slot *slot, uint16_t owner, int64_t expires)
{
	struct ban_claim *c = &slot->claim;

	if (c->owner != BAN_NO_OWNER)
		while (c->owner != owner && c->next != NULL)
			c = c->next;
	if (c->owner != owner && c->owner != BAN_NO_OWNER) {
		c->next = calloc(1, sizeof(*c));
		if (c->next == NULL)
			return -ENOMEM;
		c = c->next;
	}
	c->owner = owner;
	if (expires > c->expires)
		c->expires = expires;
	if (expires > slot->expires)
		slot->expires = expires;
	return 0;
}

bool
ban_slot_has_claim(const struct ban_slot *slot, uint16_t owner)
{
	for (const struct ban_claim *c = &slot->claim; c != NULL; c = c->next)
		if (c->owner == owner && owner != BAN_NO_OWNER)
			return true;
	return false;
}

bool
ban_slot_unclaim(struct ban_slot *slot, uint16_t owner)
{
	struct ban_claim *c = &slot->claim, *gone;

	if (!ban_slot_has_claim(slot, owner))
		return false;
	if (c->owner == owner) {
		gone = c->next;
		if (gone != NULL)
			*c = *gone;
		else
			*c = (struct ban_claim){ .owner = BAN_NO_OWNER };
	} else {
		while (c->next->owner != owner)
			c = c->next;
		gone = c->next;
		c->next = gone->next;
	}
	free(gone);
	slot->expires = 0;
	for (c = &slot->claim; c != NULL; c = c->next)
		if (c->expires > slot->expires)
			slot->expires = c->expires;
	return true;
}

void
ban_table_shift(struct ban_table *t, int64_t sec)
{
	struct ban_slot *s;
	uint32_t cursor = 0;
	bool end = false;

	/* the order of what is due does not change */
	while (!end) {
		s = ban_table_next(t, &cursor, UINT32_MAX, &end);
		if (s == NULL)
			continue;
		s->first += sec;
		s->last += sec;
		s->expires += sec;
		s->due += sec;
		for (struct ban_claim *c = &s->claim; c != NULL; c = c->next)
			c->expires += sec;
	}
}

size_t
ban_table_count(const struct ban_table *t, unsigned set)
{
	return t->counts[set];
}

struct ban_slot *
ban_table_next(const struct ban_table *t, uint32_t *cursor, unsigned budget,
    bool *ret_end)
{
	*ret_end = false;
	while (*cursor < t->n_slots && budget-- > 0) {
		struct ban_slot *s = slot_at(t, (*cursor)++);

		if (s->flags & BAN_SLOT_USED)
			return s;
	}
	*ret_end = *cursor >= t->n_slots;
	return NULL;
}
