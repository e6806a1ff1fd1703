#include <errno.h>

#include "scoring/rules/strmap.h"

void
strmap_init(struct strmap *m, struct arena *a)
{
	*m = (struct strmap){ .arena = a };
}

/* FNV-1a by words, for patterns of many kilobytes, with the high bits brought
 * down. The keys come from the administrator's files, not from mail. */
static uint64_t
hash(struct span s)
{
	uint64_t h = 0xcbf29ce484222325u ^ s.len;

	while (s.len > 0) {
		size_t n = s.len < sizeof(uint64_t) ? s.len : sizeof(uint64_t);
		uint64_t word = 0;

		memcpy(&word, s.ptr, n);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
		s = span_from(s, n);
	}
	return h;
}

static struct strmap_slot *
find_slot(const struct strmap *m, struct span key)
{
	size_t i = hash(key) & (m->size - 1);

	while (m->slots[i].key.ptr != NULL && !span_eq(m->slots[i].key, key))
		i = (i + 1) & (m->size - 1);
	return &m->slots[i];
}

size_t *
strmap_find(const struct strmap *m, struct span key)
{
	struct strmap_slot *s;

	if (m->size == 0)
		return NULL;
	s = find_slot(m, key);
	return s->key.ptr != NULL ? &s->value : NULL;
}

static int
grow(struct strmap *m)
{
	struct strmap old = *m;

	m->size = old.size == 0 ? 16 : old.size * 2;
	m->slots = ARENA_ARRAY(m->arena, m->size, struct strmap_slot);
	if (m->slots == NULL) {
		*m = old;
		return -ENOMEM;
	}
	for (size_t i = 0; i < old.size; i++)
		if (old.slots[i].key.ptr != NULL)
			*find_slot(m, old.slots[i].key) = old.slots[i];
	return 0;
}

int
strmap_set(struct strmap *m, struct span key, size_t value)
{
	struct strmap_slot *s;

	if (m->count >= m->size - m->size / 4 && grow(m) != 0)
		return -ENOMEM;
	s = find_slot(m, key);
	if (s->key.ptr == NULL) {
		s->key = arena_span(m->arena, key);
		if (s->key.ptr == NULL)
			return -ENOMEM;
		m->count++;
	}
	s->value = value;
	return 0;
}
