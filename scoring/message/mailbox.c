/*
 * Address lists by the grammar (RFC 5322 3.4 with its obsolete forms, RFC
 * 6532), for whoever must know who the author is. address.c reads the same
 * fields as SpamAssassin does, which finds an address in anything; here what
 * is not by the grammar is a fault, because a reader's mail program may
 * understand it otherwise than we do.
 */
#include <errno.h>

#include "base/ascii.h"
#include "base/buf.h"
#include "scoring/message/message.h"

enum { MAX_MAILBOXES = 1000, MAX_DOMAIN = 1000 };

struct reader {
	struct span rest;
	struct arena *arena;
	struct mailbox *list;
	size_t count, alloc;
	bool bad, no_memory;
};

static char
peek(const struct reader *r)
{
	return r->rest.len > 0 ? r->rest.ptr[0] : '\0';
}

static bool
take(struct reader *r, char c)
{
	if (r->rest.len == 0 || r->rest.ptr[0] != c)
		return false;
	r->rest = span_from(r->rest, 1);
	return true;
}

static bool
is_atext(char c)
{
	return ascii_is_alnum(c) || (unsigned char)c >= 0x80 ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* White space and comments, nested; one that does not end is a fault */
static void
skip_cfws(struct reader *r)
{
	unsigned depth = 0;

	while (r->rest.len > 0) {
		char c = r->rest.ptr[0];

		if (c == '(')
			depth++;
		else if (depth == 0 && !span_is_wsp(c))
			return;
		else if (c == ')' && depth > 0)
			depth--;
		else if (c == '\\' && depth > 0)
			r->rest = span_from(r->rest, 1);
		r->rest = span_from(r->rest, 1);
	}
	r->bad |= depth > 0;
}

/* Behind a quoted string; the quotes are part of *ret */
static bool
take_quoted(struct reader *r, struct span *ret)
{
	size_t i = 1;

	while (i < r->rest.len && r->rest.ptr[i] != '"')
		i += r->rest.ptr[i] == '\\' ? 2 : 1;
	if (i >= r->rest.len) {
		r->bad = true;
		return false;
	}
	*ret = span_of(r->rest.ptr, i + 1);
	r->rest = span_from(r->rest, i + 1);
	return true;
}

/* Words and dots, as far as they go: a phrase, or a local part */
struct words {
	struct span text;   /* all of it, with what lies between */
	struct span quoted; /* the one word, when it is a quoted string */
	size_t count;
	bool local;	    /* words and dots in turn */
};

static bool
take_words(struct reader *r, struct words *w)
{
	const char *start, *end;
	bool dot = true;

	skip_cfws(r);
	*w = (struct words){ .local = true };
	start = end = r->rest.ptr;
	for (;;) {
		struct span word = { r->rest.ptr, 0 };

		if (peek(r) == '.') {
			w->local &= !dot;
			dot = true;
			take(r, '.');
		} else if (peek(r) == '"') {
			if (!take_quoted(r, &word))
				return false;
			w->quoted = w->count == 0 ? word : span_of(NULL, 0);
		} else {
			while (word.len < r->rest.len &&
			    is_atext(r->rest.ptr[word.len]))
				word.len++;
			if (word.len == 0)
				break;
			r->rest = span_from(r->rest, word.len);
			w->quoted = span_of(NULL, 0);
		}
		if (word.len > 0) {
			w->local &= dot;
			w->count++;
			dot = false;
		}
		end = r->rest.ptr;
		skip_cfws(r);
	}
	w->local &= !dot && w->count > 0;
	w->text = span_of(start, (size_t)(end - start));
	return true;
}

/* Behind "@": labels with dots between, comments and spaces left out; of
 * ASCII only what a host name has, or an encoded word would be a domain. */
static bool
take_domain(struct reader *r, struct span *ret)
{
	char text[MAX_DOMAIN];
	size_t n = 0, label = 0;

	skip_cfws(r);
	if (peek(r) == '[') {
		size_t end = span_find(r->rest, ']');

		if (end == r->rest.len)
			return false;
		*ret = arena_span(r->arena, span_of(r->rest.ptr, end + 1));
		r->rest = span_from(r->rest, end + 1);
		return true;
	}
	for (;;) {
		char c = peek(r);

		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
			take(r, '.');
			skip_cfws(r);
		} else if (ascii_is_alnum(c) || c == '-' || c == '_' ||
		    (unsigned char)c >= 0x80) {
			label++;
			take(r, c);
		} else if (span_is_wsp(c) || c == '(') {
			/* space may stand around a dot, not within a label */
			skip_cfws(r);
			if (peek(r) != '.')
				break;
			continue;
		} else {
			break;
		}
		if (n == sizeof(text))
			return false;
		text[n++] = c;
	}
	*ret = arena_span(r->arena, span_of(text, n));
	return n > 0 && (label > 0 || text[n - 1] == '.');
}

static void
add(struct reader *r, struct span name, struct span local, struct span domain)
{
	if (r->count == MAX_MAILBOXES) {
		r->bad = true;
		return;
	}
	if (r->count == r->alloc) {
		size_t alloc = r->alloc == 0 ? 4 : r->alloc * 2;
		struct mailbox *list = ARENA_ARRAY(r->arena, alloc,
		    struct mailbox);

		if (list == NULL) {
			r->no_memory = true;
			return;
		}
		if (r->count != 0)
			memcpy(list, r->list, r->count * sizeof(*list));
		r->list = list;
		r->alloc = alloc;
	}
	r->no_memory |= name.ptr == NULL || domain.ptr == NULL;
	r->list[r->count++] = (struct mailbox){ name, local, domain };
}

/* A phrase for display */
static struct span
name_of(struct reader *r, const struct words *w)
{
	struct span s = span_trim(w->text);
	char *out;
	size_t n = 0;

	if (w->quoted.ptr == NULL)
		return address_phrase_decoded(r->arena, s);
	s = span_of(w->quoted.ptr + 1, w->quoted.len - 2);
	out = arena_bytes(r->arena, s.len);
	for (size_t i = 0; out != NULL && i < s.len; i++) {
		i += s.ptr[i] == '\\' && i + 1 < s.len;
		out[n++] = s.ptr[i];
	}
	return out == NULL ? span_of(NULL, 0) :
	    address_phrase_decoded(r->arena, span_of(out, n));
}

/* Behind "<": an old route, and the address */
static bool
take_angle(struct reader *r, struct span name)
{
	struct words local;
	struct span domain;

	skip_cfws(r);
	if (peek(r) == '@') {
		while (take(r, '@')) {
			if (!take_domain(r, &domain))
				return false;
			skip_cfws(r);
			while (take(r, ','))
				skip_cfws(r);
		}
		if (!take(r, ':'))
			return false;
	}
	if (!take_words(r, &local) || !local.local || !take(r, '@') ||
	    !take_domain(r, &domain))
		return false;
	skip_cfws(r);
	add(r, name, local.text, domain);
	return take(r, '>');
}

static bool
take_mailbox(struct reader *r, const struct words *first)
{
	struct words w = *first;
	struct span domain;

	if (take(r, '<'))
		return take_angle(r, name_of(r, &w));
	/* an address, or a phrase that looks like one: "a@b.c <d@e.f>" shows
	 * a@b.c to who reads it, so it counts as an author as well */
	while (take(r, '@')) {
		if (!w.local || !take_domain(r, &domain))
			return false;
		add(r, SPAN_LIT(""), w.text, domain);
		skip_cfws(r);
		if (take(r, '<'))
			return take_angle(r, SPAN_LIT(""));
		if (r->rest.len == 0 || peek(r) == ',' || peek(r) == ';')
			return true;
		if (!take_words(r, &w))
			return false;
	}
	return false;
}

/* One element of a list; false: what follows can not be understood */
static bool
take_address(struct reader *r, bool in_group)
{
	struct words w;

	if (!take_words(r, &w))
		return false;
	if (peek(r) != ':' || in_group || w.count == 0)
		return take_mailbox(r, &w);
	take(r, ':');
	for (;;) {
		skip_cfws(r);
		if (take(r, ';'))
			return true;
		if (r->rest.len == 0)
			return false;
		if (!take(r, ',') && !take_address(r, true))
			return false;
	}
}

int
address_list_parse(struct arena *a, struct span value,
    struct mailbox **ret_list, size_t *ret_count, bool *ret_malformed)
{
	struct reader r = { .rest = value, .arena = a };

	for (;;) {
		skip_cfws(&r);
		if (r.rest.len == 0)
			break;
		if (take(&r, ','))
			continue;
		if (!take_address(&r, false)) {
			r.bad = true;
			break;
		}
		skip_cfws(&r);
		if (r.rest.len > 0 && peek(&r) != ',') {
			r.bad = true;
			break;
		}
	}
	*ret_list = r.list;
	*ret_count = r.count;
	*ret_malformed = r.bad;
	return r.no_memory ? -ENOMEM : 0;
}
