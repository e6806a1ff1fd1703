#include <stdint.h>

#include "scoring/auth/tags.h"

static bool
name_valid(struct span s)
{
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!alpha && (i == 0 || !((c >= '0' && c <= '9') || c == '_')))
			return false;
	}
	return true;
}

static bool
value_valid(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		/* UTF-8 is allowed by RFC 8616 */
		if (!span_is_wsp((char)c) && (c < 0x21 || c == 0x7F))
			return false;
	}
	return true;
}

bool
tags_parse(struct span text, struct tags *ret_tags)
{
	ret_tags->count = 0;
	text = span_trim(text);
	if (text.len > 0 && text.ptr[text.len - 1] == ';')
		text = span_trim(span_of(text.ptr, text.len - 1));
	for (;;) {
		size_t end = span_find(text, ';');
		struct span spec = span_of(text.ptr, end);
		size_t equals = span_find(spec, '=');
		struct tag t;

		if (equals == spec.len || ret_tags->count >= TAGS_MAX)
			return false;
		t.name = span_trim(span_of(spec.ptr, equals));
		t.value = span_trim(span_from(spec, equals + 1));
		if (!name_valid(t.name) || !value_valid(t.value))
			return false;
		for (size_t i = 0; i < ret_tags->count; i++)
			if (span_eq(ret_tags->list[i].name, t.name))
				return false;
		ret_tags->list[ret_tags->count++] = t;
		if (end == text.len)
			return true;
		text = span_from(text, end + 1);
	}
}

struct span
tags_get(const struct tags *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++)
		if (span_is(t->list[i].name, name))
			return t->list[i].value;
	return span_of(NULL, 0);
}

struct span
tags_squeeze(struct arena *a, struct span value)
{
	char *out = arena_bytes(a, value.len + 1);
	size_t n = 0;

	if (out == NULL)
		return span_of(NULL, 0);
	for (size_t i = 0; i < value.len; i++)
		if (!span_is_wsp(value.ptr[i]))
			out[n++] = value.ptr[i];
	out[n] = '\0';
	return span_of(out, n);
}

bool
tags_number(struct span value, int64_t *ret_number)
{
	int64_t v = 0;

	if (value.len == 0 || value.len > 12)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] < '0' || value.ptr[i] > '9')
			return false;
		v = v * 10 + (value.ptr[i] - '0');
	}
	*ret_number = v;
	return true;
}
