/*
 * arena - memory that is given back in one call, with a hard cap.
 *
 * One arena a message and one a connection. Everything handed out is valid
 * until arena_free() or arena_reset(); nothing is freed singly. An arena is
 * not shared between threads without a lock of the caller's. When the cap or
 * the machine's memory is reached the functions return NULL, which is a
 * temporary failure of that message (never a crash, never an exit).
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "base/span.h"

struct arena;

struct arena *arena_new(size_t cap_bytes);
void arena_free(struct arena *a); /* NULL is allowed */
/* Forget all allocations, keep one block for the next message. */
void arena_reset(struct arena *a);
size_t arena_used(const struct arena *a); /* bytes counted against the cap */

/* Aligned for any object, zeroed. n == 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t n);
/* count objects of size bytes, overflow checked, zeroed. */
void *arena_array(struct arena *a, size_t count, size_t size);
/* Not zeroed: for large buffers that are filled at once. */
void *arena_bytes(struct arena *a, size_t n);
char *arena_strdup(struct arena *a, const char *s);
/* A copy with a NUL behind it (which the length does not count). */
char *arena_memdup(struct arena *a, const void *p, size_t n);
struct span arena_span(struct arena *a, struct span s); /* ptr NULL on failure */
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, n, type) ((type *)arena_array((a), (n), sizeof(type)))

#endif
