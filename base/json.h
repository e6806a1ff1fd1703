/*
 * json - text from outside as a JSON string. For those who link jansson.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>

#include "base/buf.h"
#include "base/escape.h"

enum { JSON_TEXT_MAX = 1 << 20 };

/* Bytes that are no UTF-8 become U+FFFD, as everywhere (escape_utf8); what is
 * longer than JSON_TEXT_MAX is cut. NULL: no memory. The caller's reference. */
static inline json_t *
json_text(const char *s)
{
	struct buf b;
	json_t *j;

	buf_init(&b, JSON_TEXT_MAX);
	escape_utf8(&b, span_cstr(s));
	j = json_stringn(b.ptr, b.len);
	buf_done(&b);
	return j;
}

#endif
