/*
 * Brands: `spamscore_brand NAME "phrase" ="whole text" DOMAIN ...`, and
 * whether a text of the message claims one whose domains do not hold the
 * author address.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "scoring/rules/eval/identity.h"

struct phrase {
	struct span plain, skeleton;
	unsigned brand;
	bool whole;
	struct phrase *next_plain, *next_skeleton; /* same first byte */
};

struct brand {
	struct span name;
	struct span *domains;
	size_t domain_count, domain_size;
};

struct brands {
	struct brand *list;
	size_t count;
	struct span *authors; /* all domains, sorted */
	size_t author_count;
	struct phrase *plain[256], *skeleton[256];
};

enum { MAX_BRANDS = 10000 };

static bool
next_word(struct span *rest, struct span *ret_word, bool *ret_quoted,
    bool *ret_whole, bool *ret_bad)
{
	struct span s = span_trim(*rest);
	size_t i = 0;

	*ret_quoted = *ret_whole = *ret_bad = false;
	if (s.len == 0)
		return false;
	if (s.ptr[0] == '=' && s.len > 1 && s.ptr[1] == '"') {
		*ret_whole = true;
		s = span_from(s, 1);
	}
	if (s.ptr[0] == '"') {
		size_t close = 1 + span_find(span_from(s, 1), '"');

		*ret_quoted = true;
		*ret_bad = close >= s.len;
		*ret_word = span_of(s.ptr + 1, (close < s.len ? close : s.len) - 1);
		*rest = span_from(s, close + 1);
		return true;
	}
	while (i < s.len && !span_is_wsp(s.ptr[i]))
		i++;
	*ret_word = span_of(s.ptr, i);
	*rest = span_from(s, i);
	return true;
}

static struct brand *
brand_of(struct brands *b, struct span name)
{
	for (size_t i = 0; i < b->count; i++)
		if (span_eq(b->list[i].name, name))
			return &b->list[i];
	b->list[b->count].name = name;
	return &b->list[b->count++];
}

static int
add_domain(struct arena *a, struct brand *brand, struct span domain)
{
	char *lower = arena_memdup(a, domain.ptr, domain.len);

	if (lower == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < domain.len; i++)
		lower[i] = (char)tolower((unsigned char)lower[i]);
	if (brand->domain_count == brand->domain_size) {
		size_t size = brand->domain_size != 0 ? brand->domain_size * 2 : 8;
		struct span *list = ARENA_ARRAY(a, size, struct span);

		if (list == NULL)
			return -ENOMEM;
		if (brand->domain_count > 0)
			memcpy(list, brand->domains,
			    brand->domain_count * sizeof(*list));
		brand->domains = list;
		brand->domain_size = size;
	}
	brand->domains[brand->domain_count++] = span_of(lower, domain.len);
	return 0;
}

static int
add_phrase(struct arena *a, struct brands *b, unsigned brand, struct span text,
    bool whole)
{
	struct identity_folded f = identity_fold(a, text);
	struct phrase *p = ARENA_NEW(a, struct phrase);

	if (p == NULL || f.plain.ptr == NULL || f.skeleton.ptr == NULL)
		return -ENOMEM;
	if (f.plain.len < 3 || f.skeleton.len < 3)
		return -EINVAL;
	*p = (struct phrase){ .plain = f.plain, .skeleton = f.skeleton,
	    .brand = brand, .whole = whole };
	/* both begin with a space: the second byte is the first of the word */
	p->next_plain = b->plain[(unsigned char)f.plain.ptr[1]];
	b->plain[(unsigned char)f.plain.ptr[1]] = p;
	p->next_skeleton = b->skeleton[(unsigned char)f.skeleton.ptr[1]];
	b->skeleton[(unsigned char)f.skeleton.ptr[1]] = p;
	return 0;
}

static int
load_line(struct eval_loader *l, struct brands *b, const struct eval_line *line)
{
	struct span rest = line->value, word;
	bool quoted, whole, bad;
	struct brand *brand;
	size_t phrases = 0;
	int r = 0;

	if (!next_word(&rest, &word, &quoted, &whole, &bad) || quoted) {
		eval_error(l, line->file, line->line,
		    "spamscore_brand: a name is missing");
		return 0;
	}
	brand = brand_of(b, word);
	while (r == 0 && next_word(&rest, &word, &quoted, &whole, &bad)) {
		if (bad) {
			eval_error(l, line->file, line->line,
			    "spamscore_brand: quote is not closed");
			return 0;
		}
		if (quoted) {
			r = add_phrase(eval_arena(l), b,
			    (unsigned)(brand - b->list), word, whole);
			phrases++;
			if (r == -EINVAL) {
				eval_error(l, line->file, line->line,
				    "spamscore_brand: phrase without letters");
				return 0;
			}
		} else if (memchr(word.ptr, '.', word.len) == NULL) {
			eval_error(l, line->file, line->line,
			    "spamscore_brand: \"%.*s\" is no domain",
			    SPAN_ARG(word));
			return 0;
		} else
			r = add_domain(eval_arena(l), brand, word);
	}
	if (r == 0 && phrases == 0 && brand->domain_count == 0)
		eval_error(l, line->file, line->line,
		    "spamscore_brand: neither phrase nor domain");
	return r;
}

static int
compare_spans(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;
	int r = n > 0 ? memcmp(x->ptr, y->ptr, n) : 0;

	return r != 0 ? r : (x->len > y->len) - (x->len < y->len);
}

static int
sort_authors(struct eval_loader *l, struct brands *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->count; i++)
		n += b->list[i].domain_count;
	b->authors = ARENA_ARRAY(eval_arena(l), n, struct span);
	if (b->authors == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < b->count; i++)
		for (size_t k = 0; k < b->list[i].domain_count; k++)
			b->authors[b->author_count++] = b->list[i].domains[k];
	qsort(b->authors, b->author_count, sizeof(*b->authors), compare_spans);
	return 0;
}

int
identity_load_brands(struct eval_loader *l, void **ret_state)
{
	struct brands *b = ARENA_NEW(eval_arena(l), struct brands);
	const struct eval_line *lines;
	size_t count;

	if (b == NULL)
		return -ENOMEM;
	eval_lines(l, "spamscore_brand", &lines, &count);
	if (count > MAX_BRANDS) {
		eval_error(l, lines[MAX_BRANDS].file, lines[MAX_BRANDS].line,
		    "spamscore_brand: more than %d lines", MAX_BRANDS);
		count = MAX_BRANDS;
	}
	b->list = ARENA_ARRAY(eval_arena(l), count, struct brand);
	if (b->list == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if (load_line(l, b, &lines[i]) != 0)
			return -ENOMEM;
	*ret_state = b;
	return sort_authors(l, b);
}

static bool
holds(const struct brand *brand, const struct identity_domains *from)
{
	for (size_t i = 0; i < brand->domain_count; i++)
		for (size_t k = 0; k < from->count; k++) {
			struct span d = brand->domains[i], n = from->list[k].name;

			if (span_eq(n, d) || (n.len > d.len &&
			    n.ptr[n.len - d.len - 1] == '.' &&
			    span_eq(span_from(n, n.len - d.len), d)))
				return true;
		}
	return false;
}

static bool
starts(struct span text, size_t at, struct span phrase, bool whole)
{
	if (whole && (at != 0 || text.len != phrase.len))
		return false;
	return text.len - at >= phrase.len &&
	    memcmp(text.ptr + at, phrase.ptr, phrase.len) == 0;
}

/* Looks for every phrase at every word of the text. */
static void
claim(struct eval_context *ctx, struct identities *ids, enum identity_text which,
    struct span text)
{
	const struct brands *b = eval_state(ctx);
	struct identity_folded f;
	const struct identity_domains *from = &ids->domains[WHO_FROM];

	if (text.len == 0)
		return;
	f = identity_fold(eval_input(ctx)->arena, text);
	if (f.plain.ptr == NULL || f.skeleton.ptr == NULL) {
		ids->claims[which] = 0; /* not CLAIM_KNOWN: no memory */
		return;
	}
	for (size_t i = 0; i + 1 < f.plain.len; i++)
		if (f.plain.ptr[i] == ' ')
			for (const struct phrase *p =
			     b->plain[(unsigned char)f.plain.ptr[i + 1]];
			     p != NULL; p = p->next_plain)
				if (starts(f.plain, i, p->plain, p->whole) &&
				    !holds(&b->list[p->brand], from)) {
					ids->claims[which] |= CLAIM_PLAIN;
					ids->claimed[which] = text;
				}
	if (ids->claims[which] & CLAIM_PLAIN)
		return;
	for (size_t i = 0; i + 1 < f.skeleton.len; i++)
		if (f.skeleton.ptr[i] == ' ')
			for (const struct phrase *p =
			     b->skeleton[(unsigned char)f.skeleton.ptr[i + 1]];
			     p != NULL; p = p->next_skeleton)
				if (starts(f.skeleton, i, p->skeleton, p->whole) &&
				    !holds(&b->list[p->brand], from)) {
					ids->claims[which] |= CLAIM_DISGUISED;
					ids->claimed[which] = text;
				}
}

static const char *const text_names[TEXTS] = {
	"from_name", "subject", "from_local", "from_domain", "reply_name",
};

int
identity_prepare_brand(struct eval_loader *l, void *state, struct eval_call *call)
{
	bool form = span_is(call->args[1], "plain") ||
	    span_is(call->args[1], "disguised");

	(void)state;
	for (size_t i = 0; form && i < TEXTS; i++)
		if (span_is(call->args[0], text_names[i]))
			return 0;
	eval_error(l, call->file, call->line,
	    "identity_brand: unknown text or form");
	return 0;
}

static enum identity_text
text_of(const struct eval_call *call)
{
	for (size_t i = 0; i < TEXTS; i++)
		if (span_is(call->args[0], text_names[i]))
			return (enum identity_text)i;
	return TEXT_FROM_NAME;
}

int
identity_run_brand(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct identities *ids = identity_get(ctx);
	enum identity_text which = text_of(call);
	unsigned want = span_is(call->args[1], "plain") ? CLAIM_PLAIN :
	    CLAIM_DISGUISED;

	if (ids == NULL)
		return -ENOMEM;
	if (!(ids->claims[which] & CLAIM_KNOWN)) {
		ids->claims[which] = CLAIM_KNOWN;
		if (which == TEXT_SUBJECT)
			claim(ctx, ids, which, ids->subject);
		else if (which == TEXT_FROM_DOMAIN)
			for (size_t i = 0; i < ids->domains[WHO_FROM].count; i++)
				claim(ctx, ids, which,
				    ids->domains[WHO_FROM].list[i].name);
		else {
			const struct identity_mailboxes *m =
			    which == TEXT_REPLY_NAME ? &ids->reply_to : &ids->from;

			for (size_t i = 0; i < m->count && i < 4; i++)
				claim(ctx, ids, which, which == TEXT_FROM_LOCAL ?
				    m->list[i].local : m->list[i].name);
		}
		if (!(ids->claims[which] & CLAIM_KNOWN))
			return -ENOMEM;
	}
	r->count = (ids->claims[which] & want) != 0;
	r->matched = ids->claimed[which];
	return 0;
}

int
identity_run_brand_author(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct brands *b = eval_state(ctx);
	const struct identities *ids = identity_get(ctx);

	(void)call;
	if (ids == NULL)
		return -ENOMEM;
	/* the name itself and what it is below */
	for (size_t i = 0; i < ids->domains[WHO_FROM].count && r->count == 0; i++) {
		struct span name = ids->domains[WHO_FROM].list[i].name, rest = name;

		while (rest.len > 0 && r->count == 0) {
			if (bsearch(&rest, b->authors, b->author_count,
				sizeof(rest), compare_spans) != NULL) {
				r->count = 1;
				r->matched = name;
			}
			rest = span_from(rest, span_find(rest, '.') + 1);
		}
	}
	return 0;
}
