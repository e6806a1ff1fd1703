/*
 * HashBL's mail addresses: found by a pattern in fields and in the body,
 * filtered by lists of domains, and cut as the options say.
 */
#include <errno.h>
#include <stdio.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/addrlist.h"
#include "scoring/rules/eval/hashbl.h"
#include "scoring/rules/eval/urihosts.h"

/* SpamAssassin's default. There _TLDS_ becomes an alternation of all known
 * TLDs, here any label at its boundaries, looked up afterwards. */
static const char default_email[] =
    "(?i)(?=.{0,64}\\@)(?<![a-z0-9!#\\$%&'*+\\/=?^_`{|}~-])"
    "([a-z0-9!#\\$%&'*+\\/=?^_`{|}~-]+(?:\\.[a-z0-9!#\\$%&'*+\\/=?^_`{|}~-]+)*"
    "\\@(?:[a-z0-9](?:[a-z0-9-]{0,59}[a-z0-9])?\\.){1,4}_TLDS_)";
static const char tld_pattern[] = "(?<![a-zA-Z0-9-])[a-zA-Z0-9-]{2,63}"
    "(?!(?:[a-zA-Z0-9-]|\\.[a-zA-Z0-9]))";
static const char default_welcome[] =
    "(?i)^(?:abuse|support|sales|info|helpdesk|contact|kontakt"
    "|(?:post|host|domain)master|undisclosed.*|request-[a-f0-9]{16}|bounced?-"
    "|[a-f0-9]{8}(?:\\.[a-f0-9]{8}|-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-"
    "[a-f0-9]{12})|.+=.+=.+)\\@";
static const char uri_pattern[] =
    "(?i)<?https?://\\S{0,255}(?:\\@|%40)\\S{0,255}";

/* The default pattern needs at most so much before and behind an "@" */
enum { BEFORE_AT = 80, BEHIND_AT = 450 };

/* The last line's text, _TLDS_ filled in; ptr NULL: no memory */
static struct span
pattern_text(struct eval_loader *l, const char *directive, const char *standard,
    bool *ret_tlds, const struct eval_line **ret_line)
{
	const struct eval_line *lines;
	struct span text = span_cstr(standard);
	struct buf b;
	size_t count;

	*ret_line = NULL;
	*ret_tlds = false;
	eval_lines(l, directive, &lines, &count);
	if (count > 0) {
		*ret_line = &lines[count - 1];
		text = lines[count - 1].value;
	}
	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < text.len; i++)
		if (span_from(text, i).len >= 6 &&
		    memcmp(text.ptr + i, "_TLDS_", 6) == 0) {
			*ret_tlds = true;
			buf_add_str(&b, tld_pattern);
			i += 5;
		} else {
			buf_add_char(&b, text.ptr[i]);
		}
	text = b.failed ? span_of(NULL, 0) :
			  arena_span(eval_arena(l), buf_span(&b));
	buf_done(&b);
	return text;
}

static struct pattern *
compile(struct eval_loader *l, struct span text, const struct eval_line *line)
{
	return eval_pattern(l, text, false, line != NULL ? line->file : "built in",
	    line != NULL ? line->line : 0);
}

bool
hashbl_mail_load(struct eval_loader *l, struct hashbl *h)
{
	const struct eval_line *email_line, *welcome_line;
	struct span email, welcome;
	bool tlds;
	char *quoted;

	email = pattern_text(l, "hashbl_email_regex", default_email, &h->has_tlds,
	    &email_line);
	welcome = pattern_text(l, "hashbl_email_welcomelist", default_welcome,
	    &tlds, &welcome_line);
	if (email.ptr == NULL || welcome.ptr == NULL)
		return false;
	h->near_at = email_line == NULL;
	quoted = arena_printf(eval_arena(l), "(?i)<?(?<!mailto:)(?:%.*s)(?:>|"
	    "\\s{1,10}(?!(?:fa(?:x|csi)|tel|phone|e?-?mail))[a-z]{2,11}:)",
	    SPAN_ARG(email));
	if (quoted == NULL)
		return false;
	h->email = compile(l, email, email_line);
	h->welcome = compile(l, welcome, welcome_line);
	h->quoted = compile(l, span_cstr(quoted), email_line);
	h->uri = compile(l, span_cstr(uri_pattern), NULL);
	return true;
}

static bool
ends_in_tld(struct eval_context *ctx, const struct hashbl *h, struct span s)
{
	const struct uri_rules *rules = eval_uri_rules(ctx);

	while (span_find(s, '.') < s.len)
		s = span_from(s, span_find(s, '.') + 1);
	s = addr_lower(eval_input(ctx)->arena, s);
	if (!h->has_tlds || s.ptr == NULL || rules == NULL)
		return true;
	if (rules->tld_is_valid != NULL)
		return rules->tld_is_valid(rules->ctx, s);
	return domain_is_valid(s, NULL);
}

/* The next match of p, whose address ends in a TLD, on from *from. 1, 0,
 * -ENOMEM, -EAGAIN. */
static int
next_email(struct eval_context *ctx, const struct hashbl *h,
    const struct pattern *p, struct span text, size_t *from,
    struct span *ret_match)
{
	while (*from < text.len) {
		struct span groups[2], window = text;
		size_t at = *from;
		int r;

		if (h->near_at) {
			size_t sign = *from + span_find(span_from(text, *from), '@');

			if (sign == text.len)
				return 0;
			if (sign > at + BEFORE_AT)
				at = sign - BEFORE_AT;
			if (window.len > sign + BEHIND_AT)
				window.len = sign + BEHIND_AT;
			r = eval_match(ctx, p, window, at, groups, 2);
			if (r == 0) {
				*from = sign + 1;
				continue;
			}
		} else {
			r = eval_match(ctx, p, text, at, groups, 2);
		}
		if (r != 1)
			return r;
		at = (size_t)(groups[0].ptr - text.ptr);
		if (groups[0].len > 0 && (!h->has_tlds ||
			ends_in_tld(ctx, h, p == h->quoted &&
			    groups[1].ptr != NULL ? groups[1] : groups[0]))) {
			*ret_match = groups[0];
			*from = at + groups[0].len;
			return 1;
		}
		*from = at + 1;
	}
	return 0;
}

static int
note_limit(struct hashbl_values *v, int r)
{
	if (r != -EAGAIN)
		return r;
	v->limit = "match limit";
	return 0;
}

static int
find_in(struct eval_context *ctx, const struct hashbl *h, struct span text,
    struct hashbl_values *v)
{
	struct span match;
	size_t from = 0;
	int r;

	while ((r = next_email(ctx, h, h->email, text, &from, &match)) == 1)
		if (hashbl_values_add(ctx, v, match) != 0)
			return -ENOMEM;
	return note_limit(v, r);
}

/* Takes out what p matches, a space each. */
static int
strip(struct eval_context *ctx, const struct hashbl *h,
    const struct pattern *p, struct buf *text, struct hashbl_values *v)
{
	struct span s = arena_span(eval_input(ctx)->arena, buf_span(text)), groups[1];
	size_t from = 0, kept = 0;
	int r;

	if (s.ptr == NULL)
		return -ENOMEM;
	buf_reset(text);
	for (;;) {
		r = p == h->quoted ? next_email(ctx, h, p, s, &from, &groups[0]) :
				     eval_match(ctx, p, s, from, groups, 1);
		if (r != 1)
			break;
		buf_add(text, s.ptr + kept, (size_t)(groups[0].ptr - s.ptr) - kept);
		buf_add_char(text, ' ');
		from = kept = (size_t)(groups[0].ptr - s.ptr) + groups[0].len;
	}
	buf_add_span(text, span_from(s, kept));
	return text->failed ? -ENOMEM : note_limit(v, r);
}

static int
find_in_body(struct eval_context *ctx, const struct hashbl *h,
    const struct hashbl_options *o, struct hashbl_values *v)
{
	const struct texts *texts;
	const struct uris *uris;
	struct buf text;
	int r = 0;

	if (eval_uris(ctx, &uris) != 0 ||
	    body_rendered(eval_input(ctx)->message, &texts) != 0)
		return -ENOMEM;
	buf_init(&text, 64 << 20);
	for (size_t i = 0; i < texts->count; i++)
		buf_add_span(&text, texts->items[i]);
	/* mailto: links do not show in the text */
	for (size_t i = 0; r == 0 && i < uris->count; i++) {
		const struct uri *u = &uris->items[i];

		if ((u->types & URI_A) && !(u->types & URI_PARSED) &&
		    span_istarts(u->raw, "mailto:"))
			r = find_in(ctx, h, span_from(u->raw, 7), v);
	}
	if (text.failed)
		r = -ENOMEM;
	if (r == 0 && (o->flags & HASHBL_NOURI))
		r = strip(ctx, h, h->uri, &text, v);
	if (r == 0 && (o->flags & HASHBL_NOQUOTE))
		r = strip(ctx, h, h->quoted, &text, v);
	if (r == 0) {
		struct span body = arena_span(eval_input(ctx)->arena,
		    buf_span(&text));

		r = body.ptr != NULL ? find_in(ctx, h, body, v) : -ENOMEM;
	}
	buf_done(&text);
	return r;
}

static int
find_in_field(struct eval_context *ctx, const struct hashbl *h,
    struct span name, struct hashbl_values *v)
{
	char *request = arena_memdup(eval_input(ctx)->arena, name.ptr, name.len);
	const struct span *values;
	struct span *from;
	size_t count;
	int r;

	if (request == NULL)
		return -ENOMEM;
	if (span_is(name, "ALLFROM")) {
		r = addr_all_from_as_written(ctx, &from, &count);
		for (size_t i = 0; r == 0 && i < count; i++)
			r = hashbl_values_add(ctx, v, from[i]);
		return r;
	}
	r = eval_get_list(ctx, request, &values, &count);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = find_in(ctx, h, values[i], v);
	return r;
}

/* Our own recipients are in every message and on no list. */
static int
is_recipient(struct eval_context *ctx, struct span email)
{
	static const char *const fields[] = { "X-Original-To:addr",
		"Apparently-To:addr", "Delivered-To:addr", "Envelope-To:addr" };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct span *values;
		size_t count;

		if (eval_get_list(ctx, fields[i], &values, &count) != 0)
			return -ENOMEM;
		for (size_t k = 0; k < count; k++)
			if (span_ieq(values[k], email))
				return 1;
	}
	return 0;
}

static size_t
last_at(struct span s)
{
	const char *p = s.len > 0 ? memrchr(s.ptr, '@', s.len) : NULL;

	return p != NULL ? (size_t)(p - s.ptr) : s.len;
}

static bool
acl_allows(const struct hashbl *h, struct span acl, struct span domain)
{
	char key[512];
	const size_t *found;
	int n;

	if (acl.ptr == NULL || span_is(acl, "all"))
		return true;
	n = snprintf(key, sizeof(key), "%.*s %.*s", SPAN_ARG(acl), SPAN_ARG(domain));
	if (n < 0 || (size_t)n >= sizeof(key))
		return false;
	found = strmap_find(&h->acl, span_of(key, (size_t)n));
	return found != NULL && *found != 0;
}

/* Cuts an address as the options say; ptr NULL: no memory. */
static struct span
cut(struct eval_context *ctx, const struct hashbl_options *o,
    struct span user, struct span domain)
{
	struct arena *a = eval_input(ctx)->arena;
	char *p = arena_memdup(a, user.ptr, user.len);
	size_t n = 0;

	if (p == NULL)
		return span_of(NULL, 0);
	for (size_t i = 0; i < user.len; i++) {
		if (p[i] == '+' && (o->flags & HASHBL_NOTAG))
			break;
		if (p[i] != '.' || !(o->flags & HASHBL_NODOT))
			p[n++] = p[i];
	}
	if (o->flags & HASHBL_DOMAIN)
		return domain_registered(domain, eval_uri_rules(ctx));
	if (o->flags & HASHBL_HOST)
		return domain;
	if (o->flags & HASHBL_USER)
		return span_of(p, n);
	p = arena_printf(a, "%.*s@%.*s", (int)n, p, SPAN_ARG(domain));
	return p != NULL ? span_cstr(p) : span_of(NULL, 0);
}

/* One address that was found, to ret if it is one to ask about */
static int
take(struct eval_context *ctx, const struct hashbl *h,
    const struct hashbl_options *o, struct span acl, struct span email,
    struct hashbl_values *ret)
{
	struct arena *a = eval_input(ctx)->arena;
	size_t at = last_at(email);
	struct span user = span_of(email.ptr, at), domain = span_from(email, at + 1);
	struct span lower = addr_lower(a, domain), value;
	const size_t *alias;
	char *whole;
	int r;

	if (domain.len == 0)
		return 0;
	if (lower.ptr == NULL)
		return -ENOMEM;
	alias = strmap_find(&h->aliases, lower);
	if (alias != NULL) {
		domain = lower = h->alias_targets[*alias];
		whole = arena_printf(a, "%.*s@%.*s", SPAN_ARG(user),
		    SPAN_ARG(domain));
		if (whole == NULL)
			return -ENOMEM;
		email = span_cstr(whole);
	}
	if (!acl_allows(h, acl, lower))
		return 0;
	r = is_recipient(ctx, email);
	if (r == 0)
		r = eval_match(ctx, h->welcome, email, 0, NULL, 0);
	if (r != 0)
		return r == 1 ? 0 : note_limit(ret, r);
	if (acl.ptr == NULL && (uri_host_skipped(ctx, lower) ||
		uri_host_skipped(ctx, domain_registered(lower,
		    eval_uri_rules(ctx)))))
		return 0;
	value = cut(ctx, o, user, domain);
	if (value.ptr != NULL && !(o->flags & HASHBL_CASE))
		value = addr_lower(a, value);
	return value.ptr != NULL ? hashbl_values_add(ctx, ret, value) : -ENOMEM;
}

/* What one set of headers holds, found once a message for all rules */
struct found {
	const char *headers;
	unsigned flags;
	struct hashbl_values values;
	struct found *next;
};

static int
find_all(struct eval_context *ctx, const struct hashbl *h,
    const struct hashbl_options *o, const char *headers,
    struct hashbl_values *ret)
{
	struct span rest = span_cstr(headers);
	int r = 0;

	while (rest.len > 0 && r == 0) {
		struct span name = span_trim(span_of(rest.ptr, span_find(rest, '/')));

		rest = span_from(rest, span_find(rest, '/') + 1);
		r = span_is(name, "body") ? find_in_body(ctx, h, o, ret) :
					    find_in_field(ctx, h, name, ret);
	}
	return r;
}

int
hashbl_mail_find(struct eval_context *ctx, const struct hashbl *h,
    const struct hashbl_options *o, const char *headers, struct span acl,
    struct hashbl_values *ret)
{
	unsigned flags = o->flags & (HASHBL_NOURI | HASHBL_NOQUOTE);
	struct found *f = *eval_cache(ctx);
	int r = 0;

	while (f != NULL && (f->flags != flags || strcmp(f->headers, headers) != 0))
		f = f->next;
	if (f == NULL) {
		f = ARENA_NEW(eval_input(ctx)->arena, struct found);
		if (f == NULL)
			return -ENOMEM;
		f->headers = headers;
		f->flags = flags;
		r = find_all(ctx, h, o, headers, &f->values);
		f->next = *eval_cache(ctx);
		*eval_cache(ctx) = f;
	}
	if (f->values.limit != NULL)
		ret->limit = f->values.limit;
	for (size_t i = 0; r == 0 && i < f->values.count; i++)
		r = take(ctx, h, o, acl, f->values.list[i], ret);
	return r;
}
