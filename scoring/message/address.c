#include <errno.h>

#include "base/ascii.h"
#include "base/buf.h"
#include "scoring/message/body.h"
#include "scoring/message/message.h"
#include "scoring/message/regex.h"

/*
 * Address fields of real mail break RFC 5322 in so many ways that a strict
 * parser would lose most of them. One item is taken off the front at a time,
 * forgiving in what stands around the address; the last resort is anything
 * in angle brackets that looks like an address.
 */
#define QUOTED "\"(?:[^\"\\\\]++|\\\\.)*+\""
#define MAILBOX "(?:" QUOTED "|[^\\@\\s<>()\\[\\],:;]+)" \
	"\\@(?:[^\"\\s<>()\\[\\],:;]+|\\[[\\d:.]+\\])"
#define PHRASE "(?:" QUOTED "|[^\",;<]++)+"
#define COMMENT_BODY "(?:[^()\\\\]++|\\\\.)*+"

static struct regex item = {
	"^\\s*(?:"
	"(?:(" PHRASE ")\\s*)?"			      /* 1: name */
	"<\\s*([^>\\@]*\\S+|\\s*)\\s*>"		      /* 2: in brackets */
	"(?:\\s*<\\s*(?:(?:" QUOTED ")?\\S+|\\s*)\\s*>)*" /* again */
	"|(" MAILBOX ")"			      /* 3: bare address */
	"|(" PHRASE "))"			      /* 4: only a name */
	"(?:\\s*\\((" COMMENT_BODY ")\\))?"	      /* 5: comment behind */
	"\\s*(?:[,;]|\\z)",
	REGEX_ICASE, NULL };
static struct regex mailbox = { "^" MAILBOX "$", REGEX_ICASE, NULL };
static struct regex bracketed = { "<(" MAILBOX ")>", REGEX_ICASE, NULL };
static struct regex group_head = {
	"^[^\"()<>]+:\\s*(.*?)\\s*(?:;.*)?$", 0, NULL };

/* Most addresses taken from one field: more is no address field. */
enum { MAX_ADDRESSES = 2000 };

static bool
addr_is_sane(struct span a)
{
	size_t quotes = 0;

	for (size_t i = 0; i < a.len; i++)
		quotes += a.ptr[i] == '"';
	return quotes != 1 && !span_istarts(a, "\"\"@");
}

static void
addr_set(struct address *out, struct span a)
{
	size_t at = span_find(a, '@');

	out->user = span_of(a.ptr, at);
	out->host = span_from(a, at + 1);
	out->host.len = span_find(out->host, '@');
	out->addr = span_of(a.ptr, at + (at < a.len) + out->host.len);
}

/* Copies s without (comments), which are not nested here; with unquote also
 * without the quotes and backslashes of quoted strings, whose parentheses
 * are no comments. */
static struct span
strip(struct arena *a, struct span s, bool unquote)
{
	char *out = arena_bytes(a, s.len + 1);
	size_t n = 0;

	if (out == NULL)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < s.len;) {
		size_t j = i + 1;

		if (unquote && s.ptr[i] == '"') {
			while (j < s.len && s.ptr[j] != '"') {
				if (s.ptr[j] == '\\' && j + 1 < s.len)
					j++;
				out[n++] = s.ptr[j++];
			}
			i = j + 1;
			continue;
		}
		if (s.ptr[i] == '(') {
			while (j < s.len && s.ptr[j] != '(' && s.ptr[j] != ')')
				j += s.ptr[j] == '\\' ? 2 : 1;
			if (j < s.len && s.ptr[j] == ')') {
				i = j + 1;
				continue;
			}
		}
		out[n++] = s.ptr[i++];
	}
	return span_of(out, n);
}

static int
item_read(struct arena *a, const struct span g[6], struct address *out)
{
	struct span phrase = g[1].ptr != NULL ? g[1] : g[4];
	struct span addr = g[2].ptr != NULL ? g[2] : g[3];

	memset(out, 0, sizeof(*out));
	if (g[2].ptr != NULL) {
		addr = strip(a, addr, false);
		if (addr.ptr == NULL)
			return -ENOMEM;
		if (!regex_match(&mailbox, addr, 0, NULL, 0))
			addr.ptr = NULL;
	}
	if (addr.ptr != NULL && !addr_is_sane(addr))
		addr.ptr = NULL;
	if (phrase.ptr != NULL) {
		phrase = strip(a, phrase, true);
		if (phrase.ptr == NULL)
			return -ENOMEM;
		if (addr.ptr == NULL && addr_is_sane(phrase) &&
		    regex_match(&mailbox, phrase, 0, NULL, 0)) {
			struct address as_addr;

			/* a quoted address is one, too */
			addr_set(&as_addr, phrase);
			if (host_is_fqdn(as_addr.host, true)) {
				addr = phrase;
				phrase.ptr = NULL;
			}
		}
		if (phrase.ptr != NULL && (phrase.len == 0 ||
		    (addr.ptr != NULL && span_eq(phrase, addr))))
			phrase.ptr = NULL;
	}
	if (phrase.ptr == NULL && g[5].ptr != NULL)
		phrase = g[5];
	out->phrase = phrase.ptr != NULL ? phrase : (struct span){ NULL, 0 };
	if (addr.ptr != NULL)
		addr_set(out, addr);
	out->invalid = out->host.ptr == NULL || !host_is_fqdn(out->host, true);
	return 0;
}

struct list {
	struct address *items;
	size_t count, alloc;
};

static struct address *
list_add(struct list *l, struct arena *a)
{
	if (l->count == l->alloc) {
		size_t n = l->alloc != 0 ? l->alloc * 2 : 4;
		struct address *bigger = ARENA_ARRAY(a, n, struct address);

		if (bigger == NULL)
			return NULL;
		if (l->count != 0)
			memcpy(bigger, l->items, l->count * sizeof(*bigger));
		l->items = bigger;
		l->alloc = n;
	}
	return &l->items[l->count++];
}

int
address_parse_all(struct arena *a, struct span value,
    struct address **ret_list, size_t *ret_count)
{
	struct list l = { 0 };
	struct span g[6], s;
	char *copy;
	size_t n = 0;

	*ret_list = NULL;
	*ret_count = 0;
	while (value.len > 0 && ascii_is_space(value.ptr[value.len - 1]))
		value.len--;
	copy = arena_bytes(a, value.len + 1);
	if (copy == NULL)
		return -ENOMEM;
	/* an escaped backslash can only confuse what follows it */
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] == '\\' && i + 1 < value.len &&
		    value.ptr[i + 1] == '\\') {
			i++;
			continue;
		}
		copy[n++] = value.ptr[i];
	}
	s = span_of(copy, n);
	if (memchr(s.ptr, ':', s.len) != NULL &&
	    regex_match(&group_head, s, 0, g, 2))
		s = g[1];
	if (ascii_is_blank(s))
		return 0;
	while (s.len > 0 && l.count < MAX_ADDRESSES &&
	    regex_match(&item, s, 0, g, 6)) {
		struct address *out = list_add(&l, a);

		if (out == NULL || item_read(a, g, out) != 0)
			return -ENOMEM;
		if (g[0].len == 0)
			break;
		s = span_from(s, g[0].len);
	}
	for (size_t from = 0; s.len > 0 && l.count < MAX_ADDRESSES &&
	     memchr(s.ptr, '@', s.len) != NULL &&
	     regex_match(&bracketed, s, from, g, 2);
	     from = (size_t)(g[0].ptr + g[0].len - s.ptr)) {
		struct address *out;

		if (!addr_is_sane(g[1]))
			continue;
		out = list_add(&l, a);
		if (out == NULL)
			return -ENOMEM;
		addr_set(out, g[1]);
		out->invalid = !host_is_fqdn(out->host, true);
	}
	*ret_list = l.items;
	*ret_count = l.count;
	return 0;
}

struct span
address_phrase_decoded(struct arena *a, struct span phrase)
{
	struct span s = text_decode_words(a, phrase);
	char *out;
	size_t n = 0;

	if (s.ptr == NULL || ascii_is_blank(s))
		return s;
	out = arena_bytes(a, s.len);
	if (out == NULL)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_is_space(s.ptr[i]))
			out[n++] = s.ptr[i];
		else if (n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	if (n >= 2 && out[0] == '\'' && out[n - 1] == '\'')
		return span_of(out + 1, n - 2);
	return span_of(out, n);
}

struct span
address_first_addr(struct arena *a, struct span value)
{
	struct address *list;
	size_t count;

	if (address_parse_all(a, value, &list, &count) != 0)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < count; i++)
		if (list[i].addr.ptr != NULL)
			return list[i].addr;
	return SPAN_LIT("");
}

struct span
address_first_name(struct arena *a, struct span value)
{
	struct address *list;
	size_t count;

	if (address_parse_all(a, value, &list, &count) != 0)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < count; i++)
		if (list[i].phrase.ptr != NULL)
			return address_phrase_decoded(a, list[i].phrase);
	return SPAN_LIT("");
}
