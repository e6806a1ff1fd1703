#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

/* never written to: alloc == 0 makes every append reallocate first */
static char empty[1];

void
buf_init(struct buf *b, size_t cap_bytes)
{
	*b = (struct buf){ .ptr = empty, .cap = cap_bytes };
}

void
buf_done(struct buf *b)
{
	if (b->alloc != 0)
		free(b->ptr);
	buf_init(b, b->cap);
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->alloc != 0)
		b->ptr[0] = '\0';
}

static bool
reserve(struct buf *b, size_t n)
{
	size_t want, size;
	char *p;

	if (b->failed)
		return false;
	if (n > b->cap - b->len) {
		b->failed = true;
		return false;
	}
	want = b->len + n + 1;
	if (want <= b->alloc)
		return true;
	size = b->alloc < 128 ? 128 : b->alloc;
	while (size < want)
		size += size / 2;
	p = realloc(b->alloc != 0 ? b->ptr : NULL, size);
	if (p == NULL) {
		b->failed = true;
		return false;
	}
	b->ptr = p;
	b->alloc = size;
	return true;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || !reserve(b, n))
		return;
	memcpy(b->ptr + b->len, p, n);
	b->len += n;
	b->ptr[b->len] = '\0';
}

void
buf_add_span(struct buf *b, struct span s)
{
	buf_add(b, s.ptr, s.len);
}

void
buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_add_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	if (n == 0 || !reserve(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

struct span
buf_span(const struct buf *b)
{
	return span_of(b->ptr, b->len);
}
