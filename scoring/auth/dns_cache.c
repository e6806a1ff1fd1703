#include <stdlib.h>

#include "scoring/auth/dns_cache.h"

/* One allocation: this, the records, the name, the data */
struct entry {
	int64_t until_ms;
	size_t size_bytes;
	struct dns_answer answer; /* its pointers stay inside */
};

struct dns_cache {
	pthread_mutex_t lock;
	size_t bytes;
	struct entry *sets[DNS_CACHE_SETS][DNS_CACHE_WAYS];
};

struct dns_cache *
dns_cache_new(void)
{
	struct dns_cache *c = calloc(1, sizeof(*c));

	if (c != NULL)
		pthread_mutex_init(&c->lock, NULL);
	return c;
}

static void
entry_drop(struct dns_cache *c, struct entry **slot)
{
	if (*slot == NULL)
		return;
	c->bytes -= (*slot)->size_bytes;
	free(*slot);
	*slot = NULL;
}

void
dns_cache_free(struct dns_cache *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < DNS_CACHE_SETS; i++)
		for (size_t k = 0; k < DNS_CACHE_WAYS; k++)
			entry_drop(c, &c->sets[i][k]);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct entry **
set_of(struct dns_cache *c, const char *name, uint16_t type)
{
	uint32_t h = 2166136261u ^ type;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return c->sets[(h ^ h >> 16) % DNS_CACHE_SETS];
}

/* Bytes of all that the records point to */
static size_t
data_bytes(const struct dns_answer *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->count; i++)
		n += a->records[i].data.len + 1;
	return n;
}

/* Records and their data into memory that holds both. */
static void
records_copy(struct dns_record *to, char *bytes, const struct dns_answer *from)
{
	for (size_t i = 0; i < from->count; i++) {
		const struct dns_record *r = &from->records[i];

		to[i] = *r;
		to[i].data.ptr = bytes;
		memcpy(bytes, r->data.ptr, r->data.len);
		bytes[r->data.len] = '\0';
		bytes += r->data.len + 1;
	}
}

bool
dns_cache_get(struct dns_cache *c, struct dns_query *q, int64_t now_ms)
{
	struct dns_answer *ans = &q->answer;
	struct arena *arena = q->session->arena;
	struct dns_record *records;
	bool found = false;
	struct entry **set;
	char *bytes;

	pthread_mutex_lock(&c->lock);
	set = set_of(c, ans->name, ans->type);
	for (size_t i = 0; i < DNS_CACHE_WAYS && !found; i++) {
		const struct dns_answer *have;

		if (set[i] == NULL)
			continue;
		have = &set[i]->answer;
		if (have->type != ans->type ||
		    strcmp(have->name, ans->name) != 0)
			continue;
		if (now_ms >= set[i]->until_ms) {
			entry_drop(c, &set[i]);
			break;
		}
		records = ARENA_ARRAY(arena, have->count, struct dns_record);
		bytes = arena_bytes(arena, data_bytes(have));
		if (records == NULL || bytes == NULL)
			break;
		records_copy(records, bytes, have);
		ans->status = have->status;
		ans->secure = have->secure;
		ans->ttl_sec = (uint32_t)((set[i]->until_ms - now_ms) / 1000);
		ans->records = records;
		ans->count = have->count;
		found = true;
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

/* The slot for a new entry: its own, an empty or old one, else the one that
 * ends first */
static struct entry **
slot_for(struct dns_cache *c, const struct dns_answer *a, int64_t now_ms)
{
	struct entry **set = set_of(c, a->name, a->type), **best = &set[0];

	for (size_t i = 0; i < DNS_CACHE_WAYS; i++) {
		if (set[i] != NULL && now_ms >= set[i]->until_ms)
			entry_drop(c, &set[i]);
		if (set[i] != NULL && set[i]->answer.type == a->type &&
		    strcmp(set[i]->answer.name, a->name) == 0)
			return &set[i];
	}
	for (size_t i = 0; i < DNS_CACHE_WAYS; i++) {
		if (set[i] == NULL)
			return &set[i];
		if (set[i]->until_ms < (*best)->until_ms)
			best = &set[i];
	}
	return best;
}

void
dns_cache_put(struct dns_cache *c, const struct dns_answer *a, int64_t now_ms)
{
	size_t name_len = strlen(a->name) + 1, data = data_bytes(a);
	size_t size = sizeof(struct entry) +
	    a->count * sizeof(struct dns_record) + name_len + data;
	uint32_t ttl = a->ttl_sec < DNS_CACHE_MAX_TTL_SEC ? a->ttl_sec :
	    DNS_CACHE_MAX_TTL_SEC;
	struct dns_record *records;
	struct entry *e, **slot;
	char *name;

	if (ttl == 0 || size > DNS_CACHE_ANSWER_BYTES ||
	    (a->status != DNS_FOUND && a->status != DNS_NXDOMAIN &&
		a->status != DNS_NODATA))
		return;
	e = malloc(size);
	if (e == NULL)
		return;
	records = (struct dns_record *)(e + 1);
	name = (char *)(records + a->count);
	memcpy(name, a->name, name_len);
	records_copy(records, name + name_len, a);
	e->until_ms = now_ms + (int64_t)ttl * 1000;
	e->size_bytes = size;
	e->answer = *a;
	e->answer.name = name;
	e->answer.records = records;
	pthread_mutex_lock(&c->lock);
	slot = slot_for(c, a, now_ms);
	entry_drop(c, slot);
	if (c->bytes + size <= DNS_CACHE_BYTES) {
		c->bytes += size;
		*slot = e;
		e = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	free(e);
}
