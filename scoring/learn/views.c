/*
 * Filling views, and what the body gives to them.
 */
#include <ctype.h>
#include <errno.h>

#include "scoring/learn/views.h"

bool
view_init(struct view *v, struct arena *a, size_t cap)
{
	*v = (struct view){ arena_bytes(a, cap), 0, cap };
	return v->ptr != NULL;
}

void
view_add(struct view *v, struct span s)
{
	size_t n = s.len < v->cap - v->len ? s.len : v->cap - v->len;

	memcpy(v->ptr + v->len, s.ptr != NULL ? s.ptr : "", n);
	v->len += n;
}

void
view_add_lines(struct view *v, struct span s)
{
	size_t len = v->len;

	for (size_t i = 0; i < s.len && len < v->cap; i++)
		if (s.ptr[i] != '\r' ||
		    (i + 1 < s.len && s.ptr[i + 1] != '\n'))
			v->ptr[len++] = s.ptr[i];
	v->len = len;
}

void
view_add_text(struct view *v, struct span s)
{
	bool space = false;
	size_t len = v->len;

	for (size_t i = 0; i < s.len && len < v->cap; i++) {
		char c = s.ptr[i];

		if (c == ' ' || c == '\t' || c == '\r') {
			space = true;
			continue;
		}
		if (space && c != '\n')
			v->ptr[len++] = ' ';
		space = false;
		if (len < v->cap)
			v->ptr[len++] = c;
	}
	v->len = len;
}

void
view_token(struct view *v, const char *prefix, struct span s, const char *join,
    struct span t)
{
	size_t before = v->len;

	if (v->len + strlen(prefix) + s.len + t.len + 4 > v->cap)
		return; /* no half words */
	view_add(v, span_cstr(prefix));
	for (size_t i = 0; i < s.len; i++)
		v->ptr[v->len++] = span_is_wsp(s.ptr[i]) ? '_' :
		    (char)tolower((unsigned char)s.ptr[i]);
	view_add(v, span_cstr(join));
	for (size_t i = 0; i < t.len; i++)
		v->ptr[v->len++] = span_is_wsp(t.ptr[i]) ? '_' :
		    (char)tolower((unsigned char)t.ptr[i]);
	if (v->len > before)
		v->ptr[v->len++] = ' ';
}

int
views_body(struct message *m, struct view *text, struct view *tokens)
{
	(void)tokens;
	view_add_text(text, span_from(m->raw, m->body_offset));
	return 0;
}
