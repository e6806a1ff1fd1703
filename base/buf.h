/*
 * buf - a growing run of bytes with a cap.
 *
 * Appending never fails half way: when the cap or memory is reached the
 * buffer becomes `failed`, keeps what it had and ignores further appends, so
 * a writer checks once at the end. There is always a NUL behind the bytes
 * (not counted). Not shared between threads.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct buf {
	char *ptr; /* "" while empty */
	size_t len;
	size_t alloc;
	size_t cap; /* most bytes it may hold */
	bool failed;
};

void buf_init(struct buf *b, size_t cap_bytes);
void buf_done(struct buf *b);  /* frees; the buf may be used again */
void buf_reset(struct buf *b); /* empties, keeps the memory and the cap */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_span(struct buf *b, struct span s);
void buf_add_str(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct span buf_span(const struct buf *b); /* borrowed until the next append */

#endif
