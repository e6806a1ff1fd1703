/*
 * BodyEval: lengths, ratios and vocabulary of the text.
 */
#include <errno.h>
#include <stdlib.h>

#include <glib.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/probe.h"

enum { STOCK_LABEL, STOCK_WORD, PATTERNS };

static const char *const texts[PATTERNS] = {
	[STOCK_LABEL] = "/^\\s*([^:\\s][^:\\n]{2,29})\\s*:\\s*\\S/m",
	[STOCK_WORD] = "/(^trad(?:e|ing)date|company(?:name)?"
		       "|s\\w?(?:t\\w?o\\w?c\\w?k|y\\w?m(?:\\w?b\\w?o\\w?l)?)"
		       "|t(?:arget|icker)|(?:opening|current)p(?:rice)?"
		       "|p(?:rojected|osition)|expectations|weeks?high"
		       "|marketperformance"
		       "|(?:year|week|month|day|price)(?:target|estimates?)"
		       "|sector|r(?:ecommendation|ating))$/",
};

struct cache {
	bool has_difference, has_vertical, has_stock, has_signature;
	double difference, html_words, text_words; /* of multipart/alternative */
	double vertical;
	unsigned stock;
	bool has_plain;
	double body_length, signature_length;
};

static int
load(struct eval_loader *l, void **ret_state)
{
	return probe_load(l, texts, PATTERNS, ret_state);
}

static double
number(const struct eval_call *call, size_t i)
{
	return strtod(call->args[i].ptr, NULL);
}

/* ---- multipart/alternative: the share of HTML words missing in the text */

struct word {
	struct span text;
	int html, plain;
};

struct words {
	struct word *slots; /* open addressing, size a power of two */
	size_t size, count, html, plain;
};

static bool
words_grow(struct arena *a, struct words *w)
{
	size_t size = w->size == 0 ? 256 : w->size * 4;
	struct word *slots = ARENA_ARRAY(a, size, struct word);

	if (slots == NULL)
		return false;
	for (size_t i = 0; i < w->size; i++) {
		size_t k;

		if (w->slots[i].text.ptr == NULL)
			continue;
		k = 0;
		for (size_t n = 0; n < w->slots[i].text.len; n++)
			k = k * 31 + (unsigned char)w->slots[i].text.ptr[n];
		while (slots[k & (size - 1)].text.ptr != NULL)
			k++;
		slots[k & (size - 1)] = w->slots[i];
	}
	w->slots = slots;
	w->size = size;
	return true;
}

static bool
words_add(struct arena *a, struct words *w, struct span text, bool html)
{
	size_t k = 0;
	struct word *slot;

	if (w->count * 2 >= w->size && !words_grow(a, w))
		return false;
	for (size_t n = 0; n < text.len; n++)
		k = k * 31 + (unsigned char)text.ptr[n];
	for (;; k++) {
		slot = &w->slots[k & (w->size - 1)];
		if (slot->text.ptr == NULL || span_eq(slot->text, text))
			break;
	}
	if (slot->text.ptr == NULL) {
		slot->text = text;
		w->count++;
	}
	if (html) {
		w->html += slot->html++ == 0;
	} else {
		w->plain += slot->plain++ == 0;
	}
	return true;
}

enum char_class { CHAR_OTHER, CHAR_SPACE, CHAR_WORD };

/* \s and \w as Perl has them. wide: the text is characters there, else bytes,
 * of which those above ASCII are neither. *i moves behind the character. */
static enum char_class
class_at(struct span s, size_t *i, bool wide)
{
	unsigned char b = (unsigned char)s.ptr[*i];
	gunichar c = b;
	size_t len = 1;

	if (b >= 0x80) {
		c = g_utf8_get_char_validated(s.ptr + *i,
		    (gssize)(s.len - *i < 6 ? s.len - *i : 6));
		if (c >= 0x110000)
			c = 0xFFFD;
		else
			len = (size_t)g_utf8_skip[b];
	}
	*i += len;
	if (c < 0x80)
		return c == ' ' || (c >= '\t' && c <= '\r') ? CHAR_SPACE :
		    c == '_' || g_ascii_isalnum((gchar)c) ? CHAR_WORD : CHAR_OTHER;
	if (!wide)
		return CHAR_OTHER;
	switch (g_unichar_type(c)) {
	case G_UNICODE_SPACE_SEPARATOR:
	case G_UNICODE_LINE_SEPARATOR:
	case G_UNICODE_PARAGRAPH_SEPARATOR:
		return CHAR_SPACE;
	case G_UNICODE_LETTER_NUMBER:
	case G_UNICODE_CONNECT_PUNCTUATION:
		return CHAR_WORD;
	default:
		return c == 0x85 ? CHAR_SPACE :
		    g_unichar_isalpha(c) || g_unichar_isdigit(c) ||
			    g_unichar_ismark(c) || c == 0x200C || c == 0x200D ?
				   CHAR_WORD : CHAR_OTHER;
	}
}

/* Words between white space that have at least one letter, digit or "_" */
static bool
words_split(struct arena *a, struct words *w, struct span text, bool wide,
    bool html)
{
	size_t i = 0, start = 0;
	bool letter = false;

	while (i < text.len) {
		size_t at = i;
		enum char_class c = class_at(text, &i, wide);

		if (c != CHAR_SPACE) {
			letter |= c == CHAR_WORD;
			if (i < text.len)
				continue;
			at = i;
		}
		if (letter && !words_add(a, w, span_of(text.ptr + start,
				at - start), html))
			return false;
		start = i;
		letter = false;
	}
	return true;
}

static bool
is_inside(const struct part *part, const struct part *outer)
{
	for (; part != NULL; part = part->parent)
		if (part == outer)
			return true;
	return false;
}

static int
compare_alternative(struct probe *p, struct part *root,
    const struct part *alternative, struct cache *c)
{
	struct arena *a = eval_input(p->ctx)->arena;
	struct words w = { 0 };
	size_t left = 0;
	bool image = false;
	double difference;

	if (!words_grow(a, &w))
		return -ENOMEM;
	for (struct part *part = root; part != NULL; part = part->in_order) {
		bool html = part->html != NULL;

		if (!part->leaf || !part->is_text ||
		    !span_istarts(part->type, "text") ||
		    !is_inside(part, alternative))
			continue;
		if (!words_split(a, &w, part->rendered, part->rendered_wide, html))
			return -ENOMEM;
		image |= html && html_inside(part->html, SPAN_LIT("img")) >= 0;
	}
	/* no word but an image: a mark that no text can hold */
	if (w.html == 0 && image && !words_add(a, &w, SPAN_LIT("\n"), true))
		return -ENOMEM;
	if (w.html == 0)
		return 0;
	c->html_words = (double)w.html;
	c->text_words = (double)w.plain;
	for (size_t i = 0; i < w.size; i++)
		left += w.slots[i].html > 0 && (w.slots[i].plain == 0 ||
			w.slots[i].html - w.slots[i].plain >= 1);
	difference = (double)left / (double)w.html * 100;
	if (difference > c->difference)
		c->difference = difference;
	return 0;
}

/* A meeting request: multipart/alternative of text/html and text/calendar */
static bool
is_meeting(const struct part *root)
{
	const struct part *second = root->in_order,
			  *third = second != NULL ? second->in_order : NULL;

	return third != NULL && third->in_order == NULL &&
	    span_is(root->type, "multipart/alternative") &&
	    span_is(second->type, "text/html") &&
	    span_is(third->type, "text/calendar");
}

static const struct cache *
difference_of(struct probe *p)
{
	struct message *m = eval_input(p->ctx)->message;
	struct cache *c = probe_cache(p, sizeof(struct cache));
	const struct texts *rendered;
	struct part *root;

	if (c == NULL || c->has_difference)
		return c;
	if (body_parts(m, &root) != 0 || body_rendered(m, &rendered) != 0) {
		p->error = -ENOMEM;
		return NULL;
	}
	for (struct part *part = root; part != NULL && p->error == 0 &&
	     !is_meeting(root); part = part->in_order)
		if (span_istarts(part->type, "multipart/alternative"))
			p->error = compare_alternative(p, root, part, c);
	c->has_difference = p->error == 0;
	return p->error == 0 ? c : NULL;
}

static int
run_difference(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	const struct cache *c = difference_of(&p);
	double min = number(call, 0);

	return probe_end(&p, r, c != NULL && (min == 0 || c->difference > min) &&
		(span_is(call->args[1], "undef") ||
		    c->difference <= number(call, 1)));
}

static int
run_difference_count(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	const struct cache *c = difference_of(&p);

	return probe_end(&p, r, c != NULL && c->html_words > number(call, 1) &&
		c->text_words / c->html_words > number(call, 0));
}

/* ---- lines and columns */

static int
run_blank_lines(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	double min = number(call, 0), max = number(call, 1),
	       min_lines = call->arg_count > 2 ? number(call, 2) : 1, ratio;
	const struct texts *raw;
	size_t lines = 0, blank = 0;

	if (body_raw(eval_input(ctx)->message, &raw) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < raw->count; i++)
		for (struct span rest = raw->items[i]; rest.len > 0;) {
			size_t n = span_find(rest, '\n') + 1;

			n = n > rest.len ? rest.len : n;
			lines++;
			blank += span_trim(span_of(rest.ptr, n)).len == 0;
			rest = span_from(rest, n);
		}
	ratio = (double)lines < (min_lines < 1 ? 1 : min_lines) ? -1 :
	    100.0 * (double)blank / (double)lines;
	r->count = (min == 0 && ratio <= max) || (ratio > min && ratio <= max);
	return 0;
}

static double
vertical(const struct texts *body)
{
	double most = -1;

	for (size_t i = 0; i < body->count; i++) {
		size_t length = body->items[i].len, spaces = 0;
		double percent;

		if (length <= 5)
			continue;
		for (size_t k = 0; k < length; k++)
			spaces += body->items[i].ptr[k] == ' ';
		percent = spaces > length - spaces || length == spaces ? 100 :
		    (double)(100 * spaces / (length - spaces));
		if (percent > most)
			most = percent;
	}
	return most;
}

static int
run_vertical(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct cache *c = probe_cache(&p, sizeof(struct cache));
	double max = number(call, 1);
	const struct texts *body;

	if (c != NULL && !c->has_vertical) {
		if (body_rendered(eval_input(ctx)->message, &body) != 0)
			return -ENOMEM;
		c->vertical = vertical(body);
		c->has_vertical = true;
	}
	return probe_end(&p, r, c != NULL && c->vertical >= number(call, 0) &&
		c->vertical < (max >= 100 ? 101 : max));
}

/* ---- the first text/plain part */

static struct part *
first_plain(struct probe *p)
{
	struct part *part;

	if (body_parts(eval_input(p->ctx)->message, &part) != 0) {
		p->error = -ENOMEM;
		return NULL;
	}
	while (part != NULL && !span_istarts(part->type, "text/plain"))
		part = part->in_order;
	return part;
}

enum { MAX_STOCK_WORDS = 64 };

static unsigned
stock_words(struct probe *p)
{
	struct arena *a = eval_input(p->ctx)->arena;
	const struct texts *rendered;
	struct part *part = first_plain(p);
	struct span seen[MAX_STOCK_WORDS], g[2], w[2];
	unsigned n = 0;
	size_t from = 0;

	if (part == NULL)
		return 0;
	if (body_rendered(eval_input(p->ctx)->message, &rendered) != 0) {
		p->error = -ENOMEM;
		return 0;
	}
	while (p->error == 0 && part->rendered.ptr != NULL &&
	    from < part->rendered.len) {
		int r = eval_match(p->ctx, p->patterns[STOCK_LABEL],
		    part->rendered, from, g, 2);
		char *label;
		size_t k = 0, i;

		if (r < 0)
			p->error = r;
		if (r <= 0)
			break;
		from = (size_t)(g[0].ptr - part->rendered.ptr) + g[0].len;
		label = arena_bytes(a, g[1].len + 1);
		if (label == NULL) {
			p->error = -ENOMEM;
			break;
		}
		for (i = 0; i < g[1].len; i++) {
			char c = g[1].ptr[i];

			if (c >= 'A' && c <= 'Z')
				c += 'a' - 'A';
			if (c >= 'a' && c <= 'z')
				label[k++] = c;
		}
		if (!probe_groups(p, STOCK_WORD, span_of(label, k), w, 2))
			continue;
		for (i = 0; i < n && !span_eq(seen[i], w[1]); i++)
			;
		if (i == n && n < MAX_STOCK_WORDS)
			seen[n++] = w[1];
	}
	return n;
}

static int
run_stock(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct cache *c = probe_cache(&p, sizeof(struct cache));

	if (c != NULL && !c->has_stock) {
		c->stock = stock_words(&p);
		c->has_stock = p.error == 0;
	}
	return probe_end(&p, r, c != NULL &&
		(number(call, 0) == 0 || c->stock >= number(call, 0)));
}

static int
run_body_length(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct message *m = eval_input(ctx)->message;

	/* of a message that was cut off, what was cut counts too */
	r->count = (double)(m->size_bytes - m->body_offset) <= number(call, 0);
	return 0;
}

/* "-- " alone in a line begins the signature; one at the very end is a decoy */
static const struct cache *
signature_of(struct probe *p)
{
	struct cache *c = probe_cache(p, sizeof(struct cache));
	struct part *part;
	struct span text;
	size_t i = 0;

	if (c == NULL || c->has_signature)
		return c;
	part = first_plain(p);
	if (p->error == 0 && part != NULL && part_decoded(part, &text) != 0)
		p->error = -ENOMEM;
	if (p->error != 0)
		return NULL;
	c->has_signature = true;
	if (part == NULL)
		return c;
	c->has_plain = true;
	c->body_length = (double)text.len;
	while (i < text.len) {
		struct span line = span_from(text, i);
		size_t n;

		line.len = span_find(line, '\n');
		n = line.len;
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if ((span_is(line, "--") || span_is(line, "-- ")) &&
		    text.len - (i + n) > 4) {
			c->body_length = (double)i;
			c->signature_length = (double)(text.len - (i + n));
		}
		i += n + 1;
	}
	return c;
}

static bool
in_range(const struct eval_call *call, double v)
{
	return v >= number(call, 0) &&
	    (call->arg_count < 2 || v <= number(call, 1));
}

static int
run_plain_length(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	const struct cache *c = signature_of(&p);

	return probe_end(&p, r, c != NULL && c->has_plain &&
		in_range(call, c->body_length));
}

static int
run_signature_length(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	const struct cache *c = signature_of(&p);

	return probe_end(&p, r, c != NULL && c->has_plain &&
		in_range(call, c->signature_length));
}

static int
run_signature_ratio(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	const struct cache *c = signature_of(&p);

	return probe_end(&p, r, c != NULL && c->has_plain &&
		in_range(call, c->signature_length > 0 ?
			c->body_length / c->signature_length : 1e6));
}

#define BODY (EVAL_BODY | EVAL_RAWBODY)

static const struct eval_function functions[] = {
	{ "multipart_alternative_difference", BODY, "ss", run_difference, NULL, NULL },
	{ "multipart_alternative_difference_count", BODY, "ss", run_difference_count, NULL, NULL },
	{ "check_blank_line_ratio", BODY, "ss|s", run_blank_lines, NULL, NULL },
	{ "tvd_vertical_words", BODY, "ss", run_vertical, NULL, NULL },
	{ "check_stock_info", BODY, "s", run_stock, NULL, NULL },
	{ "check_body_length", BODY, "s", run_body_length, NULL, NULL },
	{ "plaintext_body_length", BODY, "s|s", run_plain_length, NULL, NULL },
	{ "plaintext_sig_length", BODY, "s|s", run_signature_length, NULL, NULL },
	{ "plaintext_body_sig_ratio", BODY, "s|s", run_signature_ratio, NULL, NULL },
	{ 0 },
};

static const char *const features[] = { "has_check_body_length",
	"has_plaintext_body_sig_ratio", NULL };

const struct eval_family eval_body = {
	"Mail::SpamAssassin::Plugin::BodyEval", functions, NULL, features, load,
};
