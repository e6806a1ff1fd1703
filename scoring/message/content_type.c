#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include "base/ascii.h"
#include "scoring/message/views.h"

static bool
is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z') || c == '_';
}

/* The place behind "word =", where word begins at a word boundary; searched
 * from `from`. SIZE_MAX: none. */
static size_t
find_param(struct span s, size_t from, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = from; i + n < s.len; i++) {
		size_t k = i + n;

		if (strncasecmp(s.ptr + i, word, n) != 0 ||
		    (i > 0 && is_word(s.ptr[i - 1])))
			continue;
		while (k < s.len && ascii_is_space(s.ptr[k]))
			k++;
		if (k < s.len && s.ptr[k] == '=') {
			k++;
			while (k < s.len && ascii_is_space(s.ptr[k]))
				k++;
			return k;
		}
	}
	return SIZE_MAX;
}

/* A value that one quote may open and another close, up to ";" or the end */
static struct span
loose_value(struct span s, size_t at)
{
	struct span v = span_from(s, at);

	if (v.len > 0 && (v.ptr[0] == '"' || v.ptr[0] == '\''))
		v = span_from(v, 1);
	v.len = span_find(v, ';');
	if (v.len > 0 && (v.ptr[v.len - 1] == '"' || v.ptr[v.len - 1] == '\''))
		v.len--;
	/* "." matches no line end */
	return memchr(v.ptr, '\n', v.len) != NULL ? (struct span){ NULL, 0 } : v;
}

static struct span
boundary_value(struct span s)
{
	struct span none = { NULL, 0 };
	size_t from = 0, at;

	while ((at = find_param(s, from, "boundary")) != SIZE_MAX) {
		struct span v = span_from(s, at);
		size_t n = 0;

		from = at;
		if (v.len > 1 && v.ptr[0] == '"' && v.ptr[1] != '"') {
			v = span_from(v, 1);
			v.len = span_find(v, '"');
			return v;
		}
		while (n < v.len && !ascii_is_space(v.ptr[n]) && v.ptr[n] != '"' &&
		    v.ptr[n] != ';')
			n++;
		if (n > 0 && (n == v.len || v.ptr[n] != '"'))
			return span_of(v.ptr, n);
	}
	return none;
}

static struct span
name_value(struct span s)
{
	struct span none = { NULL, 0 };
	size_t at = find_param(s, 0, "name"), other = find_param(s, 0, "filename");

	if (other < at)
		at = other;
	return at != SIZE_MAX ? loose_value(s, at) : none;
}

/* RFC 2231 3: name*0=..., name*1=... */
static int
continued_name(struct arena *a, struct span s, struct span *ret_name)
{
	char *out = NULL;
	size_t n = 0;

	for (unsigned i = 0; i < 100; i++) {
		char name[16], file[16];
		size_t at, other;
		struct span v;

		snprintf(name, sizeof(name), "name*%u", i);
		snprintf(file, sizeof(file), "filename*%u", i);
		at = find_param(s, 0, name);
		other = find_param(s, 0, file);
		if (other < at)
			at = other;
		if (at == SIZE_MAX)
			break;
		if (out == NULL && (out = arena_bytes(a, s.len + 1)) == NULL)
			return -ENOMEM;
		v = loose_value(s, at);
		/* parts do not overlap, so together they are no longer than s */
		if (v.len != 0 && n + v.len <= s.len)
			memcpy(out + n, v.ptr, v.len);
		n += v.len;
	}
	if (out != NULL)
		*ret_name = span_of(out, n <= s.len ? n : s.len);
	return 0;
}

static bool
is_type_char(unsigned char c)
{
	return c > 0x20 && c < 0x7F && strchr("\"()<=>?:;,@[\\]", c) == NULL;
}

int
content_type_parse(struct arena *a, struct span value,
    struct content_type *ret_type)
{
	struct span t;
	char *out;
	size_t n = 0, slash;

	memset(ret_type, 0, sizeof(*ret_type));
	if (value.len == 0 || span_is(value, "0")) {
		ret_type->missing = true;
		value = SPAN_LIT("text/plain; charset=us-ascii");
	}
	ret_type->boundary = boundary_value(value);
	slash = find_param(value, 0, "charset");
	if (slash != SIZE_MAX)
		ret_type->charset = loose_value(value, slash);
	ret_type->name = name_value(value);
	if (ret_type->name.len == 0 &&
	    continued_name(a, value, &ret_type->name) != 0)
		return -ENOMEM;

	t = value;
	while (t.len > 0 && ascii_is_space(t.ptr[0]))
		t = span_from(t, 1);
	t.len = span_find(t, ';');
	/* "something/something": what follows behind white space goes */
	slash = span_find(t, '/');
	if (slash > 0 && slash < t.len) {
		size_t end = slash + 1;

		while (end < t.len && t.ptr[end] != '/' && !ascii_is_space(t.ptr[end]))
			end++;
		t.len = end;
	}
	out = arena_bytes(a, t.len + 16);
	if (out == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < t.len; i++)
		out[i] = t.ptr[i] >= 'A' && t.ptr[i] <= 'Z' ?
		    (char)(t.ptr[i] | 0x20) : t.ptr[i];
	t.ptr = out;
	if (t.len == 0)
		ret_type->missing = true;
	/* any kind of text but these few is shown as plain text */
	if (t.len == 0 || (t.len >= 4 && memcmp(out, "text", 4) == 0 &&
	    (t.len == 4 || !is_word(out[4])) && !span_is(t, "text/x-vcard") &&
	    !span_is(t, "text/calendar") && !span_is(t, "text/html")))
		t = SPAN_LIT("text/plain");
	for (size_t i = 0; i < t.len; i++)
		if (is_type_char((unsigned char)t.ptr[i]))
			out[n++] = t.ptr[i];
	ret_type->type = span_of(out, n);
	return 0;
}

struct span
content_disposition_name(struct span s)
{
	for (size_t i = 0; i + 5 <= s.len; i++) {
		size_t k = i + 5, n = 0;

		if (strncasecmp(s.ptr + i, "name=", 5) != 0)
			continue;
		while (k < s.len && ascii_is_space(s.ptr[k]))
			k++;
		if (k < s.len && s.ptr[k] == '"')
			k++;
		while (k + n < s.len && s.ptr[k + n] != '"' &&
		    s.ptr[k + n] != ';')
			n++;
		if (n > 0)
			return span_of(s.ptr + k, n);
	}
	return (struct span){ NULL, 0 };
}
