/*
 * FreeMail: authors and reply addresses at free mail providers.
 */
#include <errno.h>
#include <stdlib.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/addrlist.h"
#include "scoring/rules/eval/probe.h"

#define ATEXT "[a-z0-9!#$%&'*+\\/=?^_`{|}~-]"
#define EMAIL                                                               \
	"(?=.{0,64}\\@)(?<!" ATEXT ")(" ATEXT "+(?:\\." ATEXT "+)*\\@"      \
	"(?:[a-z0-9](?:[a-z0-9-]{0,59}[a-z0-9])?\\.){1,4}[a-z][a-z0-9-]*[a-z0-9])"

enum { ROLE, BULK, IN_BRACKETS, URL_WITH_AT, AN_EMAIL, MAILTO, PATTERNS };

static const char *const texts[PATTERNS] = {
	[ROLE] = "/^(?:abuse|support|sales|info|helpdesk|contact|kontakt"
		 "|(?:post|host|domain)master|undisclosed.*|request-[a-f0-9]{16}"
		 "|bounced?-|[a-f0-9]{8}(?:\\.[a-f0-9]{8}|-[a-f0-9]{4}-[a-f0-9]{4}"
		 "-[a-f0-9]{4}-[a-f0-9]{12})|.+=.+=.+)\\@/i",
	[BULK] = "/(?:^(?:post|host|domain)master|^double-bounce"
		 "|^(?:sentto|owner|return|(?:gr)?bounced?)-.+"
		 "|-(?:request|bounces?|admin|owner)"
		 "|\\b(?:do[._-t]?)?no[._-t]?repl(?:y|ies)|.+=.+)\\@/i",
	[IN_BRACKETS] = "/<?(?<!mailto:)" EMAIL "(?:>|\\s{1,10}(?!(?:fa(?:x|csi)"
			"|tel|phone|e?-?mail))[a-z]{2,11}:)/i",
	[URL_WITH_AT] = "/<?https?:\\/\\/\\S{0,255}(?:\\@|%40)\\S{0,255}/i",
	[AN_EMAIL] = "/" EMAIL "/i",
	[MAILTO] = "/^mailto:" EMAIL "/i",
};

struct freemail {
	struct pattern **patterns; /* first: probe_begin() sees them */
	struct span *domains;	   /* sorted */
	size_t domain_count;
	struct span *wildcards;	   /* domains with "*" or "?" */
	size_t wildcard_count;
	struct addrlist welcome;
	struct addrlist imported; /* freemail_import_*: globs of addresses */
	double max_body, max_body_freemail;
	bool skip_over_max, skip_bulk;
};

struct cache {
	bool parsed, skip;
	struct span *body; /* free mail addresses in the body */
	size_t body_count;
};

static int
span_cmp(const void *pa, const void *pb)
{
	const struct span *a = pa, *b = pb;
	size_t n = a->len < b->len ? a->len : b->len;
	int c = n != 0 ? memcmp(a->ptr, b->ptr, n) : 0;

	return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

static bool
is_domain_pattern(struct span w)
{
	for (size_t i = 0; i < w.len; i++)
		if (!((w.ptr[i] >= 'a' && w.ptr[i] <= 'z') ||
			(w.ptr[i] >= '0' && w.ptr[i] <= '9') ||
			strchr(".*?-", w.ptr[i]) != NULL))
			return false;
	return true;
}

/* "*" is any number of characters of one label, "?" one character */
static bool
domain_matches(struct span glob, struct span s)
{
	size_t g = 0, i = 0, star = SIZE_MAX, retry = 0;

	while (i < s.len) {
		if (g < glob.len && glob.ptr[g] == '*') {
			star = ++g;
			retry = i;
		} else if (g < glob.len &&
		    (glob.ptr[g] == '?' || glob.ptr[g] == s.ptr[i])) {
			g++;
			i++;
		} else if (star != SIZE_MAX && s.ptr[retry] != '.') {
			g = star;
			i = ++retry;
		} else
			return false;
	}
	while (g < glob.len && glob.ptr[g] == '*')
		g++;
	return g == glob.len;
}

static int
import_load(struct eval_loader *l, struct freemail *s, const char *directive,
    const char *list)
{
	const struct eval_line *lines;
	size_t count;

	if (probe_number_setting(l, directive, 0) == 0)
		return 0;
	eval_lines(l, list, &lines, &count);
	for (size_t i = 0; i < count; i++)
		for (struct span rest = lines[i].value; rest.len > 0;)
			if (addrlist_add(eval_arena(l), &s->imported,
				conf_next_word(&rest), span_of("", 0)) != 0)
				return -ENOMEM;
	return 0;
}

static int
domains_load(struct eval_loader *l, struct freemail *s)
{
	const struct eval_line *lines;
	size_t count, words = 0;
	struct arena *a = eval_arena(l);

	eval_lines(l, "freemail_domains", &lines, &count);
	for (size_t i = 0; i < count; i++)
		for (struct span rest = lines[i].value; rest.len > 0; words++)
			conf_next_word(&rest);
	s->domains = ARENA_ARRAY(a, words, struct span);
	s->wildcards = ARENA_ARRAY(a, words, struct span);
	if (s->domains == NULL || s->wildcards == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		for (struct span rest = lines[i].value; rest.len > 0;) {
			struct span w = addr_lower(a, conf_next_word(&rest));

			if (w.ptr == NULL)
				return -ENOMEM;
			if (!is_domain_pattern(w))
				eval_error(l, lines[i].file, lines[i].line,
				    "freemail_domains: \"%.*s\" is no domain",
				    SPAN_ARG(w));
			else if (span_find(w, '*') < w.len ||
			    span_find(w, '?') < w.len)
				s->wildcards[s->wildcard_count++] = w;
			else
				s->domains[s->domain_count++] = w;
		}
	qsort(s->domains, s->domain_count, sizeof(*s->domains), span_cmp);
	return 0;
}

static int
load(struct eval_loader *l, void **ret_state)
{
	struct freemail *s = ARENA_NEW(eval_arena(l), struct freemail);
	const struct eval_line *lines;
	void *patterns;
	size_t count;
	int r;

	if (s == NULL)
		return -ENOMEM;
	*ret_state = s;
	r = probe_load(l, texts, PATTERNS, &patterns);
	if (r == 0)
		r = domains_load(l, s);
	if (r == 0)
		r = import_load(l, s, "freemail_import_welcomelist_auth",
		    "welcomelist_auth");
	if (r == 0)
		r = import_load(l, s, "freemail_import_def_welcomelist_auth",
		    "def_welcomelist_auth");
	if (r != 0)
		return r;
	s->patterns = patterns;
	eval_lines(l, "freemail_welcomelist", &lines, &count);
	for (size_t i = 0; i < count; i++)
		for (struct span rest = lines[i].value; rest.len > 0;)
			if (addrlist_add(eval_arena(l), &s->welcome,
				conf_next_word(&rest), span_of("", 0)) != 0)
				return -ENOMEM;
	s->max_body = probe_number_setting(l, "freemail_max_body_emails", 5);
	s->max_body_freemail = probe_number_setting(l, "freemail_max_body_freemails", 3);
	s->skip_over_max = probe_number_setting(l, "freemail_skip_when_over_max", 1) != 0;
	s->skip_bulk = probe_number_setting(l, "freemail_skip_bulk_envfrom", 1) != 0;
	return 0;
}

static struct probe
begin(struct eval_context *ctx)
{
	const struct freemail *s = eval_state(ctx);

	return (struct probe){ ctx, s->patterns, 0 };
}

static bool
listed_exactly(const struct addrlist *l, struct span s)
{
	for (size_t i = 0; i < l->count; i++)
		if (span_eq(l->entries[i].glob, s))
			return true;
	return false;
}

/* email in lower case */
static bool
is_freemail(struct probe *p, struct span email)
{
	const struct freemail *s = eval_state(p->ctx);
	struct span domain = email;

	while (span_find(domain, '@') < domain.len)
		domain = span_from(domain, span_find(domain, '@') + 1);
	if (email.len == 0 || s->domain_count + s->wildcard_count == 0)
		return false;
	if (listed_exactly(&s->welcome, email) || listed_exactly(&s->welcome, domain) ||
	    probe_hit(p, ROLE, email) || addrlist_has(&s->imported, email))
		return false;
	for (size_t i = 0; i < s->wildcard_count; i++)
		if (domain_matches(s->wildcards[i], domain))
			return true;
	return bsearch(&domain, s->domains, s->domain_count, sizeof(domain),
		   span_cmp) != NULL;
}

/* Text with each match of a pattern made one space */
static struct span
blanked(struct probe *p, unsigned id, struct span text)
{
	char *out = NULL;
	size_t from = 0, n = 0;
	struct span g[1];

	while (p->error == 0 && from < text.len) {
		int r = eval_match(p->ctx, p->patterns[id], text, from, g, 1);
		size_t at;

		if (r < 0)
			p->error = r;
		if (r <= 0 || g[0].len == 0)
			break;
		if (out == NULL)
			out = arena_bytes(eval_input(p->ctx)->arena, text.len);
		if (out == NULL) {
			p->error = -ENOMEM;
			break;
		}
		at = (size_t)(g[0].ptr - text.ptr);
		memcpy(out + n, text.ptr + from, at - from);
		n += at - from;
		out[n++] = ' ';
		from = at + g[0].len;
	}
	if (out == NULL || p->error != 0)
		return text;
	memcpy(out + n, text.ptr + from, text.len - from);
	return span_of(out, n + text.len - from);
}

enum { MAX_LINKS = 20, MAX_BODY = 40 };

static void
note_email(struct probe *p, struct span email, struct span *list, size_t *n,
    size_t max)
{
	email = addr_lower(eval_input(p->ctx)->arena, email);
	if (email.ptr == NULL) {
		p->error = -ENOMEM;
		return;
	}
	/* as there: the last label must be a top-level domain */
	if (eval_valid_domain(p->ctx, span_from(email, span_find(email, '@') + 1)).len == 0)
		return;
	for (size_t i = 0; i < *n; i++)
		if (span_eq(list[i], email))
			return;
	if (*n < max)
		list[(*n)++] = email;
}

static void
linked_emails(struct probe *p, struct span *list, size_t *n)
{
	const struct uris *uris;
	struct span g[2];

	if (eval_uris(p->ctx, &uris) != 0) {
		p->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < uris->count && *n < MAX_LINKS; i++)
		if ((uris->items[i].types & (URI_A | URI_PARSED)) == URI_A &&
		    probe_groups(p, MAILTO, uris->items[i].raw, g, 2))
			note_email(p, g[1], list, n, MAX_LINKS);
}

static void
text_emails(struct probe *p, struct span *list, size_t *n)
{
	const struct texts *body;
	struct span g[2];

	if (body_rendered(eval_input(p->ctx)->message, &body) != 0) {
		p->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < body->count && *n < MAX_BODY && p->error == 0; i++) {
		struct span line = body->items[i];
		size_t from = 0;

		/* no "@" is by far the commonest line */
		if (memchr(line.ptr, '@', line.len) == NULL)
			continue;
		line = blanked(p, URL_WITH_AT, line);
		line = blanked(p, IN_BRACKETS, line);
		while (p->error == 0 && from < line.len) {
			int r = eval_match(p->ctx, p->patterns[AN_EMAIL], line, from,
			    g, 2);

			if (r < 0)
				p->error = r;
			if (r <= 0)
				break;
			note_email(p, g[1], list, n, MAX_BODY);
			from = (size_t)(g[1].ptr - line.ptr) + g[1].len;
		}
	}
}

/* NULL when there is nothing to compare with */
static const struct cache *
body_freemails(struct probe *p)
{
	const struct freemail *s = eval_state(p->ctx);
	void **slot = eval_cache(p->ctx);
	struct cache *c = *slot;
	struct span list[MAX_BODY];
	size_t n = 0;

	if (c == NULL)
		c = *slot = ARENA_NEW(eval_input(p->ctx)->arena, struct cache);
	if (c == NULL) {
		p->error = -ENOMEM;
		return NULL;
	}
	if (c->parsed)
		return c->skip ? NULL : c;
	c->parsed = true;
	c->body = ARENA_ARRAY(eval_input(p->ctx)->arena, MAX_BODY, struct span);
	if (c->body == NULL) {
		p->error = -ENOMEM;
		return NULL;
	}
	linked_emails(p, list, &n);
	text_emails(p, list, &n);
	if (p->error != 0) {
		c->parsed = false;
		return NULL;
	}
	for (size_t i = 0; i < n && !c->skip; i++) {
		c->skip = s->skip_over_max && (double)(i + 1) == s->max_body;
		if (c->skip || !is_freemail(p, list[i]))
			continue;
		c->skip = s->skip_over_max &&
		    (double)(c->body_count + 1) == s->max_body_freemail;
		c->body[c->body_count++] = list[i];
	}
	return c->skip ? NULL : c;
}

/* An optional pattern as the argument at `index` */
static int
prepare_pattern(struct eval_loader *l, struct eval_call *call, size_t index)
{
	if (call->arg_count > index)
		call->prepared = eval_pattern(l, call->args[index], false,
		    call->file, call->line);
	return 0;
}

static int
prepare_first(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	return prepare_pattern(l, call, 0);
}

static int
prepare_second(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	return prepare_pattern(l, call, 1);
}

static int
prepare_what(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	if (call->arg_count > 0 && !span_is(call->args[0], "replyto") &&
	    !span_is(call->args[0], "reply"))
		eval_error(l, call->file, call->line,
		    "%s: not replyto or reply: \"%s\"", call->rule,
		    call->args[0].ptr);
	return 0;
}

static bool
wanted(struct probe *p, const struct eval_call *call, struct span email)
{
	int r;

	if (!is_freemail(p, email))
		return false;
	if (call->prepared == NULL)
		return true;
	r = eval_match(p->ctx, call->prepared, email, 0, NULL, 0);
	if (r < 0)
		p->error = r;
	return r == 1;
}

static int
any_wanted(struct probe *p, const struct eval_call *call,
    const struct span *emails, size_t count, struct eval_result *r)
{
	for (size_t i = 0; i < count; i++) {
		struct span e = addr_lower(eval_input(p->ctx)->arena, emails[i]);

		if (e.ptr == NULL)
			return -ENOMEM;
		if (wanted(p, call, e)) {
			r->matched = e;
			return probe_end(p, r, true);
		}
	}
	return probe_end(p, r, false);
}

static int
run_header(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = begin(ctx);
	const struct span *list;
	size_t count;
	char *request = arena_printf(eval_input(ctx)->arena, "%s:addr",
	    call->args[0].ptr);

	if (request == NULL || eval_get_list(ctx, request, &list, &count) != 0)
		return -ENOMEM;
	return any_wanted(&p, call, list, count, r);
}

static int
run_from(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = begin(ctx);
	struct span *list;
	size_t count;

	if (addr_all_from(ctx, &list, &count) != 0)
		return -ENOMEM;
	return any_wanted(&p, call, list, count, r);
}

static int
run_body(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = begin(ctx);
	const struct cache *c = body_freemails(&p);

	if (c == NULL)
		return probe_end(&p, r, false);
	return any_wanted(&p, call, c->body, c->body_count, r);
}

struct addresses {
	struct span *list;
	size_t count;
	bool freemail;
};

static void
field_addresses(struct probe *p, const char *request, struct addresses *ret)
{
	struct arena *a = eval_input(p->ctx)->arena;
	const struct span *list;
	size_t count;

	*ret = (struct addresses){ 0 };
	if (p->error != 0 || eval_get_list(p->ctx, request, &list, &count) != 0 ||
	    (ret->list = ARENA_ARRAY(a, count, struct span)) == NULL) {
		if (p->error == 0)
			p->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		ret->list[i] = addr_lower(a, list[i]);
		if (ret->list[i].ptr == NULL)
			p->error = -ENOMEM;
		else if (is_freemail(p, ret->list[i]))
			ret->freemail = true;
	}
	ret->count = count;
}

static bool
replyto_differs(struct probe *p, bool reply, struct eval_result *r)
{
	const struct freemail *s = eval_state(p->ctx);
	struct addresses from, to, *compare;
	const struct cache *c;
	bool shared = false;

	if (s->skip_bulk && probe_hit(p, BULK, probe_get(p, "EnvelopeFrom")))
		return false;
	field_addresses(p, "From:addr", &from);
	field_addresses(p, "Reply-To:addr", &to);
	for (size_t i = 0; i < from.count; i++)
		for (size_t k = 0; k < to.count; k++)
			shared |= span_eq(from.list[i], to.list[k]);
	if (from.freemail && to.freemail && !shared) {
		r->matched = to.list[0];
		return true;
	}
	if (!reply && !to.freemail)
		return false;
	if (reply && ((to.count > 0 && !to.freemail) || !from.freemail))
		return false;
	c = body_freemails(p);
	compare = reply && !to.freemail ? &from : &to;
	for (size_t i = 0; c != NULL && i < c->body_count; i++)
		for (size_t k = 0; k < compare->count; k++)
			if (!span_eq(c->body[i], compare->list[k])) {
				r->matched = c->body[i];
				return true;
			}
	return false;
}

static int
run_replyto(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = begin(ctx);
	bool reply = call->arg_count > 0 && span_is(call->args[0], "reply");
	bool hit = replyto_differs(&p, reply, r);

	return probe_end(&p, r, hit);
}

static const struct eval_function functions[] = {
	{ "check_freemail_header", EVAL_HEADER, "s|s", run_header, prepare_second, NULL },
	{ "check_freemail_from", EVAL_HEADER, "|s", run_from, prepare_first, NULL },
	{ "check_freemail_body", EVAL_HEADER, "|s", run_body, prepare_first, NULL },
	{ "check_freemail_replyto", EVAL_HEADER, "|s", run_replyto, prepare_what, NULL },
	{ 0 },
};

static const struct eval_directive directives[] = {
	{ "freemail_domains", DIRECTIVE_LINES, NULL },
	{ "freemail_welcomelist", DIRECTIVE_LINES, NULL },
	{ "freemail_max_body_emails", DIRECTIVE_LINES, NULL },
	{ "freemail_max_body_freemails", DIRECTIVE_LINES, NULL },
	{ "freemail_skip_when_over_max", DIRECTIVE_LINES, NULL },
	{ "freemail_skip_bulk_envfrom", DIRECTIVE_LINES, NULL },
	{ "freemail_add_describe_email", DIRECTIVE_LINES, NULL },
	{ "freemail_import_welcomelist_auth", DIRECTIVE_LINES, NULL },
	{ "freemail_import_def_welcomelist_auth", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_freemail = {
	"Mail::SpamAssassin::Plugin::FreeMail", functions, directives, NULL, load,
};
