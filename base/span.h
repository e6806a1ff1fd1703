/*
 * span - a borrowed run of bytes: pointer and length, no terminating NUL.
 *
 * Mail contains NULs, so text from mail travels as spans. A span never owns
 * what it points to; the header that hands one out names the owner.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *ptr;
	size_t len;
};

#define SPAN_LIT(s) ((struct span){ (s), sizeof(s) - 1 })
/* for printf's "%.*s"; mail must be escaped first (base/escape.h) */
#define SPAN_ARG(s) (int)(s).len, (s).ptr

static inline struct span
span_of(const char *ptr, size_t len)
{
	return (struct span){ ptr, len };
}

static inline struct span
span_cstr(const char *s)
{
	return (struct span){ s, s != NULL ? strlen(s) : 0 };
}

static inline bool
span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII case-insensitive */
static inline bool
span_ieq(struct span a, struct span b)
{
	return a.len == b.len &&
	    (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool
span_is(struct span a, const char *s)
{
	return span_eq(a, span_cstr(s));
}

static inline bool
span_iis(struct span a, const char *s)
{
	return span_ieq(a, span_cstr(s));
}

static inline bool
span_istarts(struct span a, const char *prefix)
{
	size_t n = strlen(prefix);

	return a.len >= n && strncasecmp(a.ptr, prefix, n) == 0;
}

/* The bytes from start (clamped) to the end. */
static inline struct span
span_from(struct span a, size_t start)
{
	if (start > a.len)
		start = a.len;
	return (struct span){ a.len != 0 ? a.ptr + start : a.ptr, a.len - start };
}

static inline bool
span_is_wsp(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Without leading and trailing SP, TAB, CR, LF. */
static inline struct span
span_trim(struct span a)
{
	while (a.len > 0 && span_is_wsp(a.ptr[0])) {
		a.ptr++;
		a.len--;
	}
	while (a.len > 0 && span_is_wsp(a.ptr[a.len - 1]))
		a.len--;
	return a;
}

/* Does word stand anywhere in s? An empty word does not. */
static inline bool
span_contains(struct span s, struct span word)
{
	return word.len != 0 && s.len >= word.len && s.ptr != NULL &&
	    memmem(s.ptr, s.len, word.ptr, word.len) != NULL;
}

/* Offset of the first c, or a.len when there is none. */
static inline size_t
span_find(struct span a, char c)
{
	const char *p = a.len != 0 ? memchr(a.ptr, c, a.len) : NULL;

	return p != NULL ? (size_t)(p - a.ptr) : a.len;
}

#endif
