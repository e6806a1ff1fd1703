/*
 * replace_tag, replace_pre, replace_inter, replace_post, replace_rules:
 * short names for long sub-patterns, put into the patterns of the rules that
 * ask for it (Mail::SpamAssassin::Plugin::ReplaceTags).
 *
 * The expansion of one rule is text of at most REPLACE_MAX_BYTES, made in at
 * most six passes; a tag may contain tags.
 */
#include <errno.h>
#include <stdio.h>

#include "scoring/rules/internal.h"

enum { REPLACE_MAX_BYTES = 1024 * 1024, REPLACE_PASSES = 6 };
enum { TAG, PRE, INTER, POST };

enum conf_result
parse_replace_line(struct loader *l, const struct conf_line *line)
{
	static const char *const words[4] = { "replace_tag", "replace_pre",
		"replace_inter", "replace_post" };
	struct span rest = line->value, name;

	if (span_is(line->key, "replace_start") ||
	    span_is(line->key, "replace_end")) {
		struct span *s = span_is(line->key, "replace_start") ?
		    &l->replace_start : &l->replace_end;
		struct span copy = arena_span(l->arena, rest);

		if (rest.len == 0)
			loader_error(l, line, "%.*s: needs a text",
			    SPAN_ARG(line->key));
		else if (copy.ptr == NULL)
			l->oom = true;
		else
			*s = copy;
		return CONF_DONE;
	}
	if (span_is(line->key, "replace_rules")) {
		if (rest.len == 0)
			loader_error(l, line, "replace_rules: needs rules");
		while (rest.len > 0)
			if (strmap_set(&l->replace_rules, conf_next_word(&rest),
				1) != 0)
				l->oom = true;
		return CONF_DONE;
	}
	for (size_t i = 0; i < 4; i++) {
		struct span *values;

		if (!span_is(line->key, words[i]))
			continue;
		name = conf_next_word(&rest);
		if (rest.len == 0) {
			loader_error(l, line, "%s: needs a name and a pattern",
			    words[i]);
			return CONF_DONE;
		}
		if (l->replace_count == l->replace_alloc) {
			size_t alloc = l->replace_alloc == 0 ?
			    128 : l->replace_alloc * 2;

			values = ARENA_ARRAY(l->arena, alloc, struct span);
			if (values == NULL) {
				l->oom = true;
				return CONF_DONE;
			}
			if (l->replace_count != 0)
				memcpy(values, l->replace_values,
				    l->replace_count * sizeof(*values));
			l->replace_values = values;
			l->replace_alloc = alloc;
		}
		values = &l->replace_values[l->replace_count];
		*values = arena_span(l->arena, rest);
		if (values->ptr == NULL ||
		    strmap_set(&l->replace[i], name, l->replace_count++) != 0)
			l->oom = true;
		return CONF_DONE;
	}
	return CONF_UNKNOWN;
}

static bool
find_value(struct loader *l, int kind, struct span name, struct span *ret)
{
	size_t *i = strmap_find(&l->replace[kind], name);

	if (i == NULL)
		return false;
	*ret = l->replace_values[*i];
	return true;
}

static size_t
find_text(struct span s, size_t from, struct span what)
{
	const char *p = from <= s.len && s.len - from >= what.len ?
	    memmem(s.ptr + from, s.len - from, what.ptr, what.len) : NULL;

	return p != NULL ? (size_t)(p - s.ptr) : NO_INDEX;
}

/* Cuts the first "<word NAME>" out of text. */
static bool
cut_modifier(struct loader *l, struct buf *text, const char *word,
    struct span *ret_name)
{
	char head[64];
	struct span s = buf_span(text), start = l->replace_start;
	size_t at, end, n;

	n = (size_t)snprintf(head, sizeof(head), "%.*s%s ", SPAN_ARG(start), word);
	if (n >= sizeof(head))
		return false;
	at = find_text(s, 0, span_of(head, n));
	if (at == NO_INDEX)
		return false;
	/* the name has at least one character */
	end = find_text(s, at + n + 1, l->replace_end);
	if (end == NO_INDEX)
		return false;
	*ret_name = arena_span(l->arena, span_of(s.ptr + at + n, end - at - n));
	end += l->replace_end.len;
	memmove(text->ptr + at, text->ptr + end, text->len - end + 1);
	text->len -= end - at;
	return ret_name->ptr != NULL;
}

enum { MAX_TAG_NAME = 256 };

/* Length of "<NAME>" at s, with replace_start and replace_end for "<" and
 * ">"; 0: none */
static size_t
tag_length(const struct loader *l, struct span s, struct span *ret_name)
{
	size_t at = l->replace_start.len, end;

	if (s.len < at || memcmp(s.ptr, l->replace_start.ptr, at) != 0)
		return 0;
	if (s.len > at + MAX_TAG_NAME)
		s.len = at + MAX_TAG_NAME;
	end = find_text(s, at, l->replace_end);
	if (end == NO_INDEX || end == at)
		return 0;
	*ret_name = span_of(s.ptr + at, end - at);
	return find_text(*ret_name, 0, l->replace_start) == NO_INDEX ?
	    end + l->replace_end.len : 0;
}

/* Where the next tag at or behind from begins, and its length; or s.len */
static size_t
find_tag(const struct loader *l, struct span s, size_t from, size_t *ret_length,
    struct span *ret_name)
{
	size_t at = from;

	while ((at = find_text(s, at, l->replace_start)) != NO_INDEX) {
		*ret_length = tag_length(l, span_from(s, at), ret_name);
		if (*ret_length > 0)
			return at;
		at++;
	}
	return s.len;
}

/* One pass. true: a replacement brought new tags */
static bool
replace_once(struct loader *l, struct buf *text, struct buf *out)
{
	struct span pre = { NULL, 0 }, post = { NULL, 0 }, inter = { NULL, 0 };
	struct span name, value, s;
	bool again = false;
	size_t last = 0, n;

	if (cut_modifier(l, text, "pre", &name))
		find_value(l, PRE, name, &pre);
	if (cut_modifier(l, text, "post", &name))
		find_value(l, POST, name, &post);
	if (cut_modifier(l, text, "inter", &name))
		find_value(l, INTER, name, &inter);
	s = buf_span(text);
	buf_reset(out);
	for (size_t at; last < s.len && !out->failed; last = at + n) {
		at = find_tag(l, s, last, &n, &name);
		buf_add(out, s.ptr + last, at - last);
		if (at == s.len)
			break;
		/* between two adjacent tags, and before a leading one, the
		 * split leaves an empty piece: that is where inter goes */
		if (at == last)
			buf_add_span(out, inter);
		buf_add_span(out, pre);
		if (find_value(l, TAG, name, &value)) {
			size_t length;
			struct span inner;

			buf_add_span(out, value);
			again = again || find_tag(l, value, 0, &length, &inner) <
				value.len;
		} else
			buf_add(out, s.ptr + at, n);
		buf_add_span(out, post);
	}
	return again;
}

static int
expand_rule(struct loader *l, struct rule_def *d, struct buf *a, struct buf *b)
{
	bool again = true;

	buf_reset(a);
	buf_add_span(a, d->perl);
	for (int pass = 0; again && pass < REPLACE_PASSES; pass++) {
		struct buf swap;

		again = replace_once(l, a, b);
		swap = *a;
		*a = *b;
		*b = swap;
		if (a->failed) {
			diag_add(l->diags, DIAG_ERROR, d->pub.file, d->pub.line,
			    "%s: replaced pattern longer than %d bytes",
			    d->pub.name, REPLACE_MAX_BYTES);
			d->failed = true;
			return 0;
		}
	}
	return 0;
}

static int
replace_rule(struct loader *l, struct rule_def *d, struct buf *a, struct buf *b)
{
	struct span text;
	int r = expand_rule(l, d, a, b);

	if (r != 0 || d->failed)
		return r;
	text = arena_span(l->arena, buf_span(a));
	if (text.ptr == NULL)
		return -ENOMEM;
	d->perl = text;
	return 0;
}

int
replace_apply(struct loader *l)
{
	struct buf a, b;
	int r = 0;

	buf_init(&a, REPLACE_MAX_BYTES);
	buf_init(&b, REPLACE_MAX_BYTES);
	for (size_t i = 0; r == 0 && i < l->rs->rule_count; i++) {
		struct rule_def *d = l->rs->rules[i];

		if (d->perl.ptr != NULL && !d->failed &&
		    d->kind != RULE_MIMEHEADER &&
		    strmap_find(&l->replace_rules, span_cstr(d->pub.name)) !=
			NULL)
			r = replace_rule(l, d, &a, &b);
	}
	buf_done(&a);
	buf_done(&b);
	return r;
}
