#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "scoring/message/charset.h"
#include "scoring/message/views.h"

enum {
	/* SpamAssassin's body_part_scan_size (characters) and
	 * rawbody_part_scan_size (bytes): of a part, the rest is not seen */
	BODY_PART_CHARS = 50000,
	RAWBODY_PART_BYTES = 500000,
	CUT_SEARCH = 1024, /* a better place to cut is sought so far on */
};

enum which { RENDERED, VISIBLE, INVISIBLE };

static int
texts_add(struct arena *a, struct texts *t, size_t *alloc, struct span s)
{
	if (t->count == *alloc) {
		size_t n = *alloc != 0 ? *alloc * 2 : 16;
		struct span *bigger = ARENA_ARRAY(a, n, struct span);

		if (bigger == NULL)
			return -ENOMEM;
		if (t->count != 0)
			memcpy(bigger, t->items, t->count * sizeof(*bigger));
		t->items = bigger;
		*alloc = n;
	}
	t->items[t->count++] = s;
	return 0;
}

/* Where the n-th character (wide) or byte begins, at most s.len */
static size_t
char_offset(struct span s, bool wide, size_t n)
{
	size_t i = 0;

	if (!wide && n < s.len && text_is_ascii(span_of(s.ptr, n + 1)))
		return n;
	while (i < s.len) {
		if ((s.ptr[i] & 0xC0) != 0x80 && n-- == 0)
			return i;
		i++;
	}
	return s.len;
}

/* The n-th of set within CUT_SEARCH behind start; SIZE_MAX: none */
static size_t
find_near(struct span s, size_t start, char c)
{
	struct span rest = span_from(s, start);
	size_t i;

	if (rest.len > CUT_SEARCH + 1)
		rest.len = CUT_SEARCH + 1;
	i = span_find(rest, c);
	return i < rest.len ? start + i + 1 : SIZE_MAX;
}

static struct span
cut_at(struct span s, size_t at, const char *where)
{
	for (; *where != '\0'; where++) {
		size_t end = find_near(s, at, *where);

		if (end != SIZE_MAX)
			return span_of(s.ptr, end);
	}
	return span_of(s.ptr, at);
}

static struct span
cut_part(struct span s, bool wide)
{
	size_t at;

	if (s.len <= BODY_PART_CHARS)
		return s;
	at = char_offset(s, wide, BODY_PART_CHARS);
	return at < s.len ? cut_at(s, at, "\n ") : s;
}

/*
 * Any white space becomes one space, but two line ends or more become one
 * line end; so does a NUL. wide: white space is Unicode's, else ASCII's, and
 * U+0080..U+00FF are single bytes.
 */
static size_t
collapse(struct span in, bool wide, char *out)
{
	const char *p = in.ptr, *end = in.ptr + in.len;
	size_t n = 0;

	while (p < end) {
		const char *first = NULL, *last = NULL, *start = p;
		unsigned char c = (unsigned char)*p;

		/* the common case first */
		if (c > ' ' && c < 0x80) {
			out[n++] = *p++;
			continue;
		}
		for (size_t k; p < end; p += k) {
			c = (unsigned char)*p;
			if (c < 0x80)
				k = c == ' ' || (c >= '\t' && c <= '\r');
			else
				k = wide ? utf8_space(p, end) : 0;
			if (k == 0)
				break;
			if (c == '\n') {
				last = p;
				if (first == NULL)
					first = p;
			}
		}
		if (p == start) {
			if (c == '\0') {
				out[n++] = '\n';
				p++;
			} else if (!wide && (c == 0xC2 || c == 0xC3) &&
			    p + 1 < end) {
				out[n++] = (char)((c & 3) << 6 | (p[1] & 0x3F));
				p += 2;
			} else {
				out[n++] = *p++;
			}
			continue;
		}
		if (first == last) {
			out[n++] = ' ';
			continue;
		}
		if (first > start)
			out[n++] = ' ';
		out[n++] = '\n';
		if (last + 1 < p)
			out[n++] = ' ';
	}
	return n;
}

/* Lines of at most BODY_LINE_BYTES or one more, cut at a space if possible */
static int
split_lines(struct arena *a, struct span s, struct texts *t, size_t *alloc)
{
	while (s.len != 0) {
		size_t n = span_find(s, '\n'), line = n < s.len ? n + 1 : n;
		int rc;

		while (line > BODY_LINE_BYTES) {
			const char *sp = memrchr(s.ptr, ' ', line >
			    BODY_LINE_BYTES + 1 ? BODY_LINE_BYTES + 1 : line);
			size_t k = sp != NULL ? (size_t)(sp - s.ptr) + 1
			    : BODY_LINE_BYTES;

			rc = texts_add(a, t, alloc, span_of(s.ptr, k));
			if (rc != 0)
				return rc;
			s = span_from(s, k);
			line -= k;
		}
		rc = texts_add(a, t, alloc, span_of(s.ptr, line));
		if (rc != 0)
			return rc;
		s = span_from(s, line);
	}
	return 0;
}

static struct span
part_view(const struct part *p, enum which which, bool *ret_wide)
{
	switch (which) {
	case VISIBLE:
		*ret_wide = p->visible_wide;
		return p->visible;
	case INVISIBLE:
		*ret_wide = p->invisible_wide;
		return p->invisible;
	default:
		*ret_wide = p->rendered_wide;
		return p->rendered;
	}
}

static struct span
last_subject(struct message *m)
{
	struct field *f = message_find(m, "Subject", 0), *last = f;

	for (; f != NULL; f = message_next(m, f))
		last = f;
	return last != NULL ? field_decoded(m, last) : SPAN_LIT("");
}

/* The parts' text one behind the other, and whether it is wide; *ret_any:
 * there are parts at all */
static int
join_parts(struct message *m, enum which which, struct buf *out,
    bool *ret_wide, bool *ret_any)
{
	struct part *p;
	int rc = body_parts(m, &p);

	*ret_wide = *ret_any = false;
	for (; rc == 0 && p != NULL; p = p->in_order) {
		struct span s;
		bool wide;

		if (!p->leaf || p->type.len == 0)
			continue;
		*ret_any = true;
		rc = part_render(p);
		if (out->len != 0)
			buf_add_char(out, '\n');
		s = part_view(p, which, &wide);
		*ret_wide = *ret_wide || wide;
		buf_add_span(out, cut_part(s, wide));
	}
	return rc;
}

static int
make_texts(struct message *m, enum which which, struct texts *t)
{
	struct span subject = which != INVISIBLE ? last_subject(m) : SPAN_LIT("");
	struct buf joined;
	size_t alloc = 0, n = 0;
	bool wide, any;
	char *out = NULL;
	int rc;

	if (subject.ptr == NULL)
		return -ENOMEM;
	buf_init(&joined, (size_t)1 << 30);
	rc = join_parts(m, which, &joined, &wide, &any);
	if (rc == 0 && joined.failed)
		rc = -ENOMEM;
	/* collapsing never makes text longer */
	if (rc == 0 && any) {
		out = arena_bytes(m->arena, subject.len + 1 + joined.len);
		if (out == NULL)
			rc = -ENOMEM;
	}
	if (rc == 0 && any) {
		if (which != INVISIBLE) {
			memcpy(out, subject.ptr, subject.len);
			n = subject.len;
			out[n++] = '\n';
		}
		n += collapse(buf_span(&joined), wide, out + n);
		rc = split_lines(m->arena, span_of(out, n), t, &alloc);
	}
	buf_done(&joined);
	return rc;
}

static int
view(struct message *m, enum which which, const struct texts **ret_texts)
{
	struct message_views *v = message_views(m);
	struct texts *t;
	bool *has;

	if (v == NULL)
		return -ENOMEM;
	t = which == VISIBLE ? &v->visible : which == INVISIBLE ? &v->invisible
	    : &v->rendered;
	has = which == VISIBLE ? &v->has_visible : which == INVISIBLE
	    ? &v->has_invisible : &v->has_rendered;
	if (!*has) {
		int rc = make_texts(m, which, t);

		if (rc != 0)
			return rc;
		*has = true;
	}
	*ret_texts = t;
	return 0;
}

int
body_rendered(struct message *m, const struct texts **ret_texts)
{
	return view(m, RENDERED, ret_texts);
}

int
body_visible(struct message *m, const struct texts **ret_texts)
{
	return view(m, VISIBLE, ret_texts);
}

int
body_invisible(struct message *m, const struct texts **ret_texts)
{
	return view(m, INVISIBLE, ret_texts);
}

/* Pieces of one to two BODY_LINE_BYTES, cut behind a line end, else a tag,
 * else a space */
static int
split_paragraphs(struct arena *a, struct span s, struct texts *t, size_t *alloc)
{
	while (s.len > 2 * BODY_LINE_BYTES) {
		size_t end = BODY_LINE_BYTES + 1;
		int rc;

		for (const char *c = "\n> "; *c != '\0'; c++) {
			const char *p = memchr(s.ptr + BODY_LINE_BYTES, *c,
			    BODY_LINE_BYTES);

			if (p != NULL) {
				end = (size_t)(p - s.ptr) + 1;
				break;
			}
		}
		rc = texts_add(a, t, alloc, span_of(s.ptr, end));
		if (rc != 0)
			return rc;
		s = span_from(s, end);
	}
	return s.len != 0 ? texts_add(a, t, alloc, s) : 0;
}

int
body_raw(struct message *m, const struct texts **ret_texts)
{
	struct message_views *v = message_views(m);
	size_t alloc = 0;
	struct part *p;
	int rc;

	if (v == NULL)
		return -ENOMEM;
	*ret_texts = &v->raw;
	if (v->has_raw)
		return 0;
	v->raw = (struct texts){ NULL, 0 };
	rc = body_parts(m, &p);
	for (; rc == 0 && p != NULL; p = p->in_order) {
		struct span s;

		if (!p->leaf || p->type.len == 0 || !part_is_text(p) ||
		    span_is(p->type, "text/calendar"))
			continue;
		rc = part_decoded(p, &s);
		if (rc != 0)
			break;
		if (s.len > RAWBODY_PART_BYTES)
			s = cut_at(s, RAWBODY_PART_BYTES, "\n> ");
		/* a short part is one piece, even an empty one */
		rc = s.len <= BODY_LINE_BYTES ?
		    texts_add(m->arena, &v->raw, &alloc, s) :
		    split_paragraphs(m->arena, s, &v->raw, &alloc);
	}
	v->has_raw = rc == 0;
	return rc;
}

struct span
body_full(const struct message *m)
{
	size_t start = 0;

	if (m->mbox_from.ptr != NULL) {
		start = span_find(m->raw, '\n');
		start += start < m->raw.len;
	}
	return span_from(m->raw, start);
}

struct span
body_pristine(const struct message *m)
{
	return span_from(m->raw, m->body_offset);
}

int
body_html(struct message *m, const struct html **ret_first)
{
	struct message_views *v = message_views(m);
	struct html **last;
	struct part *p;
	int rc;

	if (v == NULL)
		return -ENOMEM;
	*ret_first = v->html;
	if (v->html_done)
		return 0;
	rc = body_parts(m, &p);
	for (last = &v->html; rc == 0 && p != NULL; p = p->in_order) {
		if (!p->leaf || p->type.len == 0)
			continue;
		rc = part_render(p);
		if (rc == 0 && p->html != NULL) {
			*last = p->html;
			last = &p->html->next;
		}
	}
	if (rc == 0) {
		v->html_done = true;
		*ret_first = v->html;
	}
	return rc;
}
