/*
 * A rule's pattern is compiled. One with templates ("%{NAME}", which named
 * captures of other rules fill) cannot be before the message is there, but its
 * syntax is checked and a shape of it compiled.
 */
#include <errno.h>
#include <stdio.h>

#include "scoring/rules/internal.h"

/* "(?<NAME>" and "(?P<NAME>" with a capital: a tag for later rules */
static bool
has_capture(struct span s)
{
	for (const char *p = s.ptr;
	    (p = memmem(p, s.len - (size_t)(p - s.ptr), "(?", 2)) != NULL; p++) {
		size_t k = (size_t)(p - s.ptr) + 2;

		k += k < s.len && s.ptr[k] == 'P';
		if (k + 1 < s.len && (s.ptr[k] == '<' || s.ptr[k] == '\'') &&
		    s.ptr[k + 1] >= 'A' && s.ptr[k + 1] <= 'Z')
			return true;
	}
	return false;
}

/* "%{TAG}" or "%{TAG(arg)}" at s: its length, or 0 */
size_t
template_length(struct span s)
{
	size_t n = 2;

	if (s.len < 4 || s.ptr[0] != '%' || s.ptr[1] != '{' ||
	    s.ptr[2] < 'A' || s.ptr[2] > 'Z')
		return 0;
	while (n < s.len && ((s.ptr[n] >= 'A' && s.ptr[n] <= 'Z') ||
				(s.ptr[n] >= '0' && s.ptr[n] <= '9') ||
				s.ptr[n] == '_'))
		n++;
	if (n < s.len && s.ptr[n] == '(') {
		while (n < s.len && s.ptr[n] != ')' && s.ptr[n] != '}')
			n++;
		if (n == s.len || s.ptr[n] != ')')
			return 0;
		n++;
	}
	return n < s.len && s.ptr[n] == '}' ? n + 1 : 0;
}

static bool
has_template(struct span s)
{
	for (const char *p = s.ptr;
	    (p = memmem(p, s.len - (size_t)(p - s.ptr), "%{", 2)) != NULL; p++)
		if ((p == s.ptr || p[-1] != '\\') &&
		    template_length(span_from(s, (size_t)(p - s.ptr))) != 0)
			return true;
	return false;
}

/* The pattern with text in place of each template */
static struct span
replace_templates(struct loader *l, struct span s, const char *text)
{
	struct span out;
	struct buf b;
	size_t n;

	buf_init(&b, s.len * 4 + 16);
	for (size_t i = 0; i < s.len; i++) {
		n = i == 0 || s.ptr[i - 1] != '\\' ?
		    template_length(span_from(s, i)) : 0;
		if (n == 0) {
			buf_add_char(&b, s.ptr[i]);
			continue;
		}
		buf_add_str(&b, text);
		i += n - 1;
	}
	out = arena_span(l->arena, buf_span(&b));
	buf_done(&b);
	return out;
}

/* false: with more in place of its templates the pattern might match less, as
 * where they stand in a negative lookaround. Only what is simple is looked
 * into. */
static bool
grows_with_templates(struct span s)
{
	enum { MAX_NEST = 32 };
	bool negative[MAX_NEST] = { false };
	size_t nest = 0;

	for (size_t i = 0; i < s.len; i++) {
		int c = (unsigned char)s.ptr[i];
		int next = i + 1 < s.len ? (unsigned char)s.ptr[i + 1] : 0;

		if (c == '\\')
			i++;
		else if (template_length(span_from(s, i)) != 0) {
			for (size_t k = 1; k <= nest; k++)
				if (negative[k])
					return false;
		} else if (c == '[' || (c == '(' && next == '*') ||
		    (strchr("*+?}", c) != NULL && next == '+'))
			return false;
		else if (c == '(') {
			struct span in = span_from(s, i + 1);

			if (++nest == MAX_NEST || span_istarts(in, "?>") ||
			    span_istarts(in, "?(") || span_istarts(in, "?|"))
				return false;
			negative[nest] = span_istarts(in, "?!") ||
			    span_istarts(in, "?<!");
		} else if (c == ')' && nest > 0)
			nest--;
	}
	return true;
}

static void
say_bad(struct loader *l, struct rule_def *d, const struct error *err)
{
	char reason[sizeof(err->text) + 16];

	snprintf(reason, sizeof(reason), "bad pattern: %s", err->text);
	compile_error(l, d, reason);
}

int
add_pattern(struct loader *l, struct rule_def *d)
{
	struct error err = { "" };
	struct span text = d->perl;
	int r;

	d->has_captures = has_capture(text);
	/* SpamAssassin fills none in mimeheader rules */
	d->has_templates = d->kind != RULE_MIMEHEADER && has_template(text);
	if (d->has_templates) {
		/* only to check its syntax */
		text = replace_templates(l, text, "x");
		if (text.ptr == NULL)
			return -ENOMEM;
	}
	r = pattern_add(l->rs->patterns, text, &d->pattern, &err);
	if (r == 0 && d->has_templates && grows_with_templates(d->perl)) {
		text = replace_templates(l, d->perl, "(?s:.+)");
		if (text.ptr == NULL)
			return -ENOMEM;
		r = pattern_add(l->rs->patterns, text, &d->shape, &err);
	}
	if (r == -EINVAL) {
		say_bad(l, d, &err);
		r = 0;
	}
	return r;
}

int
check_pattern(struct loader *l, struct rule_def *d)
{
	struct error err = { "" };
	int r = pattern_compile(d->pattern, &err);

	if (r == -EINVAL) {
		say_bad(l, d, &err);
		r = 0;
	}
	if (d->failed || d->has_templates)
		d->pattern = NULL;
	if (r == 0 && d->shape != NULL &&
	    (r = pattern_compile(d->shape, NULL)) == -EINVAL) {
		d->shape = NULL;
		r = 0;
	}
	return r;
}
