#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

enum { BLOCK_BYTES = 16 * 1024 };

struct block {
	struct block *next;
	size_t size, used;
	alignas(max_align_t) unsigned char data[];
};

struct arena {
	struct block *blocks; /* the current one first */
	size_t cap, used;
};

struct arena *
arena_new(size_t cap_bytes)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (a != NULL)
		a->cap = cap_bytes;
	return a;
}

static void
blocks_free(struct block *b)
{
	while (b != NULL) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
}

void
arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	blocks_free(a->blocks);
	free(a);
}

void
arena_reset(struct arena *a)
{
	struct block *keep = a->blocks;

	a->used = 0;
	if (keep == NULL)
		return;
	blocks_free(keep->next);
	keep->next = NULL;
	keep->used = 0;
	if (keep->size > BLOCK_BYTES) {
		free(keep);
		a->blocks = NULL;
	}
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}

void *
arena_bytes(struct arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);
	size_t need;
	struct block *b = a->blocks;
	void *p;

	if (n > SIZE_MAX - align - sizeof(struct block))
		return NULL;
	need = (n + align - 1) & ~(align - 1);
	if (need == 0)
		need = align;
	if (need > a->cap - a->used || a->used > a->cap)
		return NULL;
	if (b == NULL || b->size - b->used < need) {
		size_t size = need > BLOCK_BYTES / 4 ? need : BLOCK_BYTES;

		b = malloc(sizeof(*b) + size);
		if (b == NULL)
			return NULL;
		b->size = size;
		b->used = 0;
		/* a block made for one large object stays behind the current
		 * one, whose rest is still useful */
		if (size == need && a->blocks != NULL) {
			b->next = a->blocks->next;
			a->blocks->next = b;
		} else {
			b->next = a->blocks;
			a->blocks = b;
		}
	}
	p = b->data + b->used;
	b->used += need;
	a->used += need;
	return p;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	void *p = arena_bytes(a, n);

	if (p != NULL)
		memset(p, 0, n);
	return p;
}

void *
arena_array(struct arena *a, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		return NULL;
	return arena_alloc(a, n);
}

char *
arena_memdup(struct arena *a, const void *p, size_t n)
{
	char *copy;

	if (n == SIZE_MAX || (copy = arena_bytes(a, n + 1)) == NULL)
		return NULL;
	if (n != 0)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return arena_memdup(a, s, strlen(s));
}

struct span
arena_span(struct arena *a, struct span s)
{
	char *p = arena_memdup(a, s.ptr, s.len);

	return span_of(p, p != NULL ? s.len : 0);
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || (p = arena_bytes(a, (size_t)n + 1)) == NULL)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}
