#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "tune/cache.h"
#include "tune/file.h"

/* "spamscore hits" and the version of what follows: key, records, and the
 * SHA-256 of all that. Numbers are in the machine's order: the file does not
 * travel. */
#define MAGIC "spamscore hits 1\n"

enum { MAGIC_LEN = sizeof(MAGIC) - 1, DIGEST = 32 };

struct record {
	unsigned char identity[TUNE_IDENTITY];
	int64_t time;
	uint32_t least[SKETCH_SIZE];
	uint32_t flags; /* 1: has text, 2: tests open */
	uint32_t hit_count;
};

struct slot {
	struct cache_entry entry;
	uint32_t *hits;
	bool used; /* the slot; an entry of it is kept when wanted */
	bool wanted;
};

struct cache {
	struct slot *slots;
	size_t size, count; /* size: a power of two, or 0 */
	unsigned char key[CACHE_KEY];
	bool dirty;
};

static size_t
slot_first(const struct cache *c, const unsigned char *identity)
{
	uint64_t h;

	memcpy(&h, identity, sizeof(h)); /* a SHA-256: as good as any hash */
	return (size_t)h & (c->size - 1);
}

static struct slot *
slot_of(const struct cache *c, const unsigned char *identity)
{
	size_t i;

	if (c->size == 0)
		return NULL;
	for (i = slot_first(c, identity); c->slots[i].used;
	     i = (i + 1) & (c->size - 1))
		if (memcmp(c->slots[i].entry.identity, identity,
			TUNE_IDENTITY) == 0)
			break;
	return &c->slots[i];
}

static int
grow(struct cache *c)
{
	struct cache bigger = { .size = c->size == 0 ? 4096 : c->size * 2 };

	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < c->size; i++)
		if (c->slots[i].used)
			*slot_of(&bigger, c->slots[i].entry.identity) = c->slots[i];
	free(c->slots);
	c->slots = bigger.slots;
	c->size = bigger.size;
	return 0;
}

static int
insert(struct cache *c, const struct cache_entry *e, bool wanted)
{
	struct slot *s;
	uint32_t *hits;

	if (c->count * 2 >= c->size && grow(c) != 0)
		return -ENOMEM;
	hits = malloc((e->hit_count + 1) * sizeof(*hits));
	if (hits == NULL)
		return -ENOMEM;
	if (e->hit_count > 0)
		memcpy(hits, e->hits, e->hit_count * sizeof(*hits));
	s = slot_of(c, e->identity);
	if (s->used)
		free(s->hits);
	else
		c->count++;
	*s = (struct slot){ .entry = *e, .hits = hits, .used = true,
		.wanted = wanted };
	s->entry.hits = hits;
	return 0;
}

static bool
digest_of(struct span s, unsigned char out[DIGEST])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len;

	if (EVP_Digest(s.ptr, s.len, digest, &len, EVP_sha256(), NULL) != 1)
		return false;
	memcpy(out, digest, DIGEST);
	return true;
}

/* A phrase about what is wrong, or NULL. text: behind the key, before the
 * digest, which was right; still nothing in it is believed. */
static const char *
records_read(struct cache *c, struct span text, size_t rules)
{
	uint32_t hits[CACHE_MAX_HITS];

	while (text.len > 0) {
		struct cache_entry e = { .hits = hits };
		struct record r;

		if (text.len < sizeof(r))
			return "it ends within an entry";
		memcpy(&r, text.ptr, sizeof(r));
		text = span_from(text, sizeof(r));
		if (r.hit_count > CACHE_MAX_HITS ||
		    r.hit_count * sizeof(*hits) > text.len)
			return "an entry is too long";
		memcpy(hits, text.ptr, r.hit_count * sizeof(*hits));
		text = span_from(text, r.hit_count * sizeof(*hits));
		for (uint32_t i = 0; i < r.hit_count; i++)
			if (hits[i] >= rules)
				return "it names a rule that is not there";
		memcpy(e.identity, r.identity, sizeof(e.identity));
		memcpy(e.sketch.least, r.least, sizeof(r.least));
		e.sketch.has_text = (r.flags & 1) != 0;
		e.tests_open = (r.flags & 2) != 0;
		e.time = r.time;
		e.hit_count = r.hit_count;
		if (insert(c, &e, false) != 0)
			return "out of memory";
	}
	return NULL;
}

static const char *
text_read(struct cache *c, struct span text, size_t rules)
{
	unsigned char digest[DIGEST];

	if (text.len < MAGIC_LEN + CACHE_KEY + DIGEST ||
	    memcmp(text.ptr, MAGIC, MAGIC_LEN) != 0)
		return "it is not of this kind or version";
	if (!digest_of(span_of(text.ptr, text.len - DIGEST), digest) ||
	    memcmp(digest, text.ptr + text.len - DIGEST, DIGEST) != 0)
		return "it is damaged";
	/* other rules, other settings: nothing wrong, nothing of use */
	if (memcmp(text.ptr + MAGIC_LEN, c->key, CACHE_KEY) != 0)
		return NULL;
	text = span_from(text, MAGIC_LEN + CACHE_KEY);
	text.len -= DIGEST;
	return records_read(c, text, rules);
}

static void
empty(struct cache *c)
{
	for (size_t i = 0; i < c->size; i++)
		free(c->slots[i].hits);
	free(c->slots);
	c->slots = NULL;
	c->size = c->count = 0;
}

int
cache_open(const char *path, const unsigned char key[CACHE_KEY],
    size_t rules, struct cache **ret_cache, const char **ret_why)
{
	struct cache *c = calloc(1, sizeof(*c));
	struct buf text;
	struct error err;
	int r;

	*ret_why = NULL;
	if (c == NULL)
		return -ENOMEM;
	memcpy(c->key, key, CACHE_KEY);
	buf_init(&text, CACHE_MAX_BYTES);
	r = path != NULL ? file_read(path, &text, &err) : -ENOENT;
	if (r == 0)
		*ret_why = text_read(c, buf_span(&text), rules);
	else if (r != -ENOENT)
		*ret_why = "it cannot be read";
	buf_done(&text);
	if (*ret_why != NULL)
		empty(c);
	*ret_cache = c;
	return 0;
}

void
cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	empty(c);
	free(c);
}

const struct cache_entry *
cache_find(struct cache *c, const unsigned char identity[TUNE_IDENTITY])
{
	struct slot *s = slot_of(c, identity);

	if (s == NULL || !s->used)
		return NULL;
	s->wanted = true;
	return &s->entry;
}

int
cache_add(struct cache *c, const struct cache_entry *e)
{
	if (e->hit_count > CACHE_MAX_HITS)
		return 0;
	c->dirty = true;
	return insert(c, e, true);
}

static int
entry_cmp(const void *pa, const void *pb)
{
	const struct slot *const *a = pa, *const *b = pb;

	return memcmp((*a)->entry.identity, (*b)->entry.identity,
	    TUNE_IDENTITY);
}

/* In the order of their identities: the same mail, the same file */
static int
records_write(const struct cache *c, struct buf *out)
{
	const struct slot **list = calloc(c->count + 1, sizeof(struct slot *));
	size_t n = 0;

	if (list == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < c->size; i++)
		if (c->slots[i].used && c->slots[i].wanted)
			list[n++] = &c->slots[i];
	qsort(list, n, sizeof(*list), entry_cmp);
	for (size_t i = 0; i < n; i++) {
		const struct cache_entry *e = &list[i]->entry;
		struct record r;

		memset(&r, 0, sizeof(r)); /* no stray bytes in the padding */
		memcpy(r.identity, e->identity, sizeof(r.identity));
		memcpy(r.least, e->sketch.least, sizeof(r.least));
		r.time = e->time;
		r.flags = (e->sketch.has_text ? 1u : 0) |
		    (e->tests_open ? 2u : 0);
		r.hit_count = e->hit_count;
		buf_add(out, &r, sizeof(r));
		buf_add(out, e->hits, e->hit_count * sizeof(*e->hits));
	}
	free(list);
	return 0;
}

int
cache_save(struct cache *c, const char *path, struct error *err)
{
	unsigned char digest[DIGEST];
	struct buf out;
	int r;

	if (!c->dirty)
		return 0;
	buf_init(&out, CACHE_MAX_BYTES);
	buf_add(&out, MAGIC, MAGIC_LEN);
	buf_add(&out, c->key, CACHE_KEY);
	r = records_write(c, &out);
	if (r != 0 || out.failed || !digest_of(buf_span(&out), digest))
		r = error_set(err, -ENOMEM, "out of memory");
	else {
		buf_add(&out, digest, DIGEST);
		r = file_replace(path, buf_span(&out), 0640, err);
	}
	buf_done(&out);
	return r;
}
