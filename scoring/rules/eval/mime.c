/*
 * MIMEEval: structure and encodings of the parts.
 */
#include <errno.h>
#include <stdlib.h>

#include "scoring/message/body.h"
#include "scoring/message/charset.h"
#include "scoring/rules/eval/locale.h"
#include "scoring/rules/eval/probe.h"

enum {
	US_ASCII, ODD_ISO, GOOD_ISO, QP_NEEDLESS, QP_TRAILING, NCR, CAPS_CHARSET,
	TWO_WORDS, BASE64_LINE, CT_CHARSET, PATTERNS
};

static const char *const texts[PATTERNS] = {
	[US_ASCII] = "/(?:us-ascii|ansi_x3\\.4-1968|iso-ir-6|ansi_x3\\.4-1986|iso_646\\.irv:1991|ascii|iso646-us|us|ibm367|cp367|csascii)/",
	[ODD_ISO] = "/iso-\\S+-\\S+\\b/i",
	[GOOD_ISO] = "/iso-(?:8859-\\d{1,2}|2022-(?:jp|kr))\\b/",
	[QP_NEEDLESS] = "/=(?:09|3[0-9ABCEF]|[2456][0-9A-F]|7[0-9A-E])/",
	[QP_TRAILING] = "/((?:=09|=20)+)\\s*$/",
	[NCR] = "/&#x[0-9A-F]{4};/",
	[CAPS_CHARSET] = "/^[-_a-z0-9]*(?:koi|jp|jis|euc|gb|big5|isoir|cp1251|windows-1251|georgianps|pt154|tis)[-_a-z0-9]*$/i",
	[TWO_WORDS] = "/\\S\\s+\\S/",
	[BASE64_LINE] = "/^(?:[A-Za-z0-9+\\/=]{60,76} ){2}/",
	[CT_CHARSET] = "/charset=(?:\"([^\"]+)\"|'([^']+)'|(\\S+))/i",
};

struct mime {
	struct pattern **patterns;
	struct locale locale;
};

enum { MAX_LEAVES = 1000 };

struct leaf {
	struct span type;
	size_t bytes;
	bool counted; /* not an attachment */
};

/* What one walk over the parts finds */
struct facts {
	double base64_count, base64_encoded_text, body_html, body_text,
	    faraway_charset, too_many_parts, alternative, multipart_ratio,
	    qp_count, qp_long_line, qp_ratio, ascii_text_illegal, unicode_ratio,
	    bad_iso_charset, attachment, missing_boundary;
	bool caps_charset; /* one whose letters look like capitals in ASCII */
	/* while walking */
	size_t qp_bytes, qp_needless, normal, unicode;
	struct leaf leaves[MAX_LEAVES];
	size_t leaf_count;
};

struct cache {
	struct facts *facts;
	bool has_uppercase, has_base64_length;
	double uppercase, base64_length;
};

static int
load(struct eval_loader *l, void **ret_state)
{
	struct mime *s = ARENA_NEW(eval_arena(l), struct mime);
	void *patterns;
	int r;

	if (s == NULL)
		return -ENOMEM;
	r = probe_load(l, texts, PATTERNS, &patterns);
	if (r != 0)
		return r;
	s->patterns = patterns;
	locale_load(l, &s->locale);
	*ret_state = s;
	return 0;
}

static struct probe
begin(struct eval_context *ctx)
{
	const struct mime *s = eval_state(ctx);

	return (struct probe){ ctx, s->patterns, 0 };
}

static struct span
lower(struct probe *p, struct span s)
{
	char *out = arena_memdup(eval_input(p->ctx)->arena, s.ptr, s.len);

	if (out == NULL) {
		p->error = -ENOMEM;
		return span_of("", 0);
	}
	for (size_t i = 0; i < s.len; i++)
		if (out[i] >= 'A' && out[i] <= 'Z')
			out[i] += 'a' - 'A';
	return span_of(out, s.len);
}

static void
look_at_header(struct probe *p, struct facts *f, const struct part *part,
    struct span cte, struct span disposition, struct span charset)
{
	const struct mime *s = eval_state(p->ctx);
	bool placed = span_istarts(disposition, "attachment") ||
	    span_istarts(disposition, "inline");

	if (span_is(part->declared_type, "text/html"))
		f->body_html++;
	else if (span_istarts(part->declared_type, "text"))
		f->body_text++;
	if (span_contains(cte, SPAN_LIT("base64")))
		f->base64_count++;
	else if (span_contains(cte, SPAN_LIT("quoted-printable")))
		f->qp_count++;
	if (span_contains(disposition, SPAN_LIT("attachment")))
		f->attachment++;
	if (span_istarts(part->declared_type, "text") && span_contains(cte, SPAN_LIT("base64")) && !placed &&
	    (charset.len == 0 || probe_hit(p, US_ASCII, charset)))
		f->base64_encoded_text = 1;
	if (charset.len == 0)
		return;
	if (probe_hit(p, ODD_ISO, charset) && !probe_hit(p, GOOD_ISO, charset))
		f->bad_iso_charset = 1;
	if (probe_hit(p, CAPS_CHARSET, charset))
		f->caps_charset = true;
	if (!locale_charset_ok(&s->locale, charset))
		f->faraway_charset = 1;
}

static size_t
count_matches(struct probe *p, unsigned id, struct span text)
{
	size_t n = 0, from = 0;
	struct span g[1];

	while (p->error == 0 && from < text.len) {
		int r = eval_match(p->ctx, p->patterns[id], text, from, g, 1);

		if (r < 0)
			p->error = r;
		if (r <= 0 || g[0].len == 0)
			break;
		n++;
		from = (size_t)(g[0].ptr - text.ptr) + g[0].len;
	}
	return n;
}

static void
look_at_qp_line(struct probe *p, struct facts *f, struct span line)
{
	struct span g[2];
	size_t needless;

	if (span_istarts(line, "SPAM: "))
		return;
	if (line.len > 78 + 1)
		f->qp_long_line = 1;
	f->qp_bytes += line.len;
	if (memchr(line.ptr, '=', line.len) == NULL)
		return;
	needless = count_matches(p, QP_NEEDLESS, line);
	if (needless > 0 && probe_groups(p, QP_TRAILING, line, g, 2))
		needless -= g[1].len / 3 < needless ? g[1].len / 3 : needless;
	f->qp_needless += needless;
}

static bool
has_illegal_ascii(struct span line)
{
	return line.len > 0 && (!text_is_ascii(line) ||
		memchr(line.ptr, '\0', line.len) != NULL ||
		memchr(line.ptr, '\r', line.len) != NULL);
}

static void
look_at_leaf(struct probe *p, struct facts *f, const struct part *part,
    struct span cte, struct span disposition, struct span charset)
{
	bool plain = span_is(part->declared_type, "text/plain");
	bool identity = cte.len == 0 || span_is(cte, "7bit") || span_is(cte, "8bit");
	bool ascii = part->declared_charset.ptr == NULL || span_is(charset, "us-ascii");
	bool counted = !span_contains(disposition, SPAN_LIT("attachment"));
	bool illegal, references;
	struct span rest = part->raw;

	if (f->leaf_count < MAX_LEAVES)
		f->leaves[f->leaf_count++] = (struct leaf){ part->declared_type,
			counted && f->alternative != 0 &&
				(plain || span_is(part->declared_type, "text/html")) ?
			    part->raw.len : 0, counted };
	/* most parts have nothing of what is looked for line by line */
	illegal = plain && ascii && has_illegal_ascii(rest);
	references = plain && identity && rest.len > 0 &&
	    memmem(rest.ptr, rest.len, "&#x", 3) != NULL;
	if (plain && identity && !references)
		f->normal += rest.len;
	if (!illegal && !references && !span_is(cte, "quoted-printable"))
		return;
	while (rest.len > 0 && p->error == 0) {
		struct span line = span_of(rest.ptr, span_find(rest, '\n') + 1);

		if (line.len > rest.len)
			line.len = rest.len;
		rest = span_from(rest, line.len);
		if (span_is(cte, "quoted-printable"))
			look_at_qp_line(p, f, line);
		if (illegal && has_illegal_ascii(line))
			f->ascii_text_illegal++;
		if (references) {
			size_t n = memmem(line.ptr, line.len, "&#x", 3) != NULL ?
			    count_matches(p, NCR, line) : 0;

			f->unicode += n;
			f->normal += line.len - n * 8;
		}
	}
}

static void
sum_up(struct facts *f)
{
	const struct leaf *text = NULL, *html = NULL;

	f->multipart_ratio = 1;
	if (f->qp_bytes > 0) {
		f->qp_ratio = (double)f->qp_needless / (double)f->qp_bytes;
		f->qp_count = (double)f->qp_needless;
	}
	if (f->normal > 0)
		f->unicode_ratio = (double)f->unicode / (double)f->normal;
	if (f->alternative == 0)
		return;
	for (size_t i = f->leaf_count; i > 0; i--) {
		const struct leaf *l = &f->leaves[i - 1];

		if (!l->counted)
			continue;
		if (html == NULL && span_is(l->type, "text/html"))
			html = l;
		else if (text == NULL && span_is(l->type, "text/plain"))
			text = l;
	}
	if (text != NULL && html != NULL && html->bytes > 0)
		f->multipart_ratio = (double)text->bytes / (double)html->bytes;
}

static const struct facts *
facts_of(struct probe *p)
{
	struct message *m = eval_input(p->ctx)->message;
	struct cache *c = probe_cache(p, sizeof(struct cache));
	struct part *part;
	struct facts *f;
	unsigned notes;

	if (c == NULL || c->facts != NULL)
		return c != NULL ? c->facts : NULL;
	f = ARENA_NEW(eval_input(p->ctx)->arena, struct facts);
	if (f == NULL || body_parts(m, &part) != 0 ||
	    body_mime_notes(m, &notes) != 0) {
		p->error = -ENOMEM;
		return NULL;
	}
	for (; part != NULL && p->error == 0; part = part->in_order) {
		struct span cte = lower(p, span_trim(part_header(part,
			"Content-Transfer-Encoding")));
		struct span disposition = lower(p, span_trim(part_header(part,
			"Content-Disposition")));
		struct span charset = lower(p, part->declared_charset);

		if (span_is(part->declared_type, "multipart/alternative"))
			f->alternative = 1;
		look_at_header(p, f, part, cte, disposition, charset);
		if (part->leaf)
			look_at_leaf(p, f, part, cte, disposition, charset);
	}
	f->too_many_parts = (notes & MIME_TOO_MANY_PARTS) != 0;
	f->missing_boundary = (notes & MIME_MISSING_BOUNDARY) != 0;
	sum_up(f);
	if (p->error == 0)
		c->facts = f;
	return p->error == 0 ? f : NULL;
}

static int
run_for_mime(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	static const struct {
		const char *name;
		size_t offset;
	} names[] = {
		{ "mime_base64_count", offsetof(struct facts, base64_count) },
		{ "mime_base64_encoded_text", offsetof(struct facts, base64_encoded_text) },
		{ "mime_body_html_count", offsetof(struct facts, body_html) },
		{ "mime_body_text_count", offsetof(struct facts, body_text) },
		{ "mime_faraway_charset", offsetof(struct facts, faraway_charset) },
		{ "mimepart_limit_exceeded", offsetof(struct facts, too_many_parts) },
		{ "mime_multipart_alternative", offsetof(struct facts, alternative) },
		{ "mime_multipart_ratio", offsetof(struct facts, multipart_ratio) },
		{ "mime_qp_count", offsetof(struct facts, qp_count) },
		{ "mime_qp_long_line", offsetof(struct facts, qp_long_line) },
		{ "mime_qp_ratio", offsetof(struct facts, qp_ratio) },
		{ "mime_ascii_text_illegal", offsetof(struct facts, ascii_text_illegal) },
		{ "mime_text_unicode_ratio", offsetof(struct facts, unicode_ratio) },
		{ "mime_bad_iso_charset", offsetof(struct facts, bad_iso_charset) },
		{ "mime_attachment", offsetof(struct facts, attachment) },
		{ "mime_missing_boundary", offsetof(struct facts, missing_boundary) },
	};
	struct probe p = begin(ctx);
	const struct facts *f;
	double v = 0;

	f = facts_of(&p);
	for (size_t i = 0; f != NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is(call->args[0], names[i].name))
			memcpy(&v, (const char *)f + names[i].offset, sizeof(v));
	return probe_end(&p, r, v != 0);
}

static int
run_ascii_illegal(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = begin(ctx);
	const struct facts *f = facts_of(&p);

	(void)call;
	return probe_end(&p, r, f != NULL && f->ascii_text_illegal > 0);
}

static int
run_unicode_ratio(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = begin(ctx);
	const struct facts *f = facts_of(&p);

	return probe_end(&p, r, f != NULL &&
		f->unicode_ratio >= strtod(call->args[0].ptr, NULL));
}

static bool
is_html_message(struct probe *p)
{
	return span_istarts(probe_get(p, "Content-Type"), "text/html");
}

static int
run_mime_html(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = begin(ctx);
	const struct facts *f = facts_of(&p);

	(void)call;
	return probe_end(&p, r, is_html_message(&p) ||
		(f != NULL && f->body_html > 0));
}

static int
run_mime_html_only(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = begin(ctx);
	const struct facts *f = facts_of(&p);

	(void)call;
	return probe_end(&p, r, is_html_message(&p) ||
		(f != NULL && f->body_html > 0 && f->body_text == 0));
}

static int
run_multipart_ratio(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = begin(ctx);
	const struct facts *f = facts_of(&p);

	return probe_end(&p, r, f != NULL &&
		f->multipart_ratio >= strtod(call->args[0].ptr, NULL) &&
		f->multipart_ratio < strtod(call->args[1].ptr, NULL));
}

static int
run_qp_ratio(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = begin(ctx);
	const struct facts *f = facts_of(&p);

	return probe_end(&p, r, f != NULL &&
		f->qp_ratio >= strtod(call->args[0].ptr, NULL));
}

static int
run_parse_flags(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct message *m = eval_input(ctx)->message;
	unsigned notes;

	if (body_mime_notes(m, &notes) != 0)
		return -ENOMEM;
	if (span_is(call->args[0], "missing_head_body_separator"))
		r->count = (m->faults & (MESSAGE_NO_COLON | MESSAGE_NO_BODY)) != 0;
	else if (span_is(call->args[0], "truncated_header"))
		r->count = (m->faults & MESSAGE_TOO_MANY_FIELDS) != 0;
	else if (span_is(call->args[0], "missing_mime_headers"))
		r->count = (notes & MIME_MISSING_HEADERS) != 0;
	else if (span_is(call->args[0], "missing_mime_head_body_separator"))
		r->count = (notes & MIME_MISSING_SEPARATOR) != 0;
	else if (span_is(call->args[0], "mime_epilogue_exists"))
		r->count = (notes & MIME_EPILOGUE) != 0;
	return 0;
}

struct letters {
	size_t upper, lower_or_digit, length;
};

static void
count_run(struct span s, struct letters *l)
{
	l->length += s.len;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		l->upper += (unsigned char)(c - 'A') < 26;
		l->lower_or_digit += (unsigned char)(c - 'a') < 26 ||
		    (unsigned char)(c - '0') < 10;
	}
}

/* Shift-JIS runs between ESC $ B and ESC ( B are capitals in ASCII */
static void
count_letters(struct span line, struct letters *l)
{
	const char *open = memmem(line.ptr, line.len, "\033$B", 3), *close = NULL;

	if (open != NULL) {
		for (size_t i = line.len; i >= 3 && close == NULL; i--)
			if (memcmp(line.ptr + i - 3, "\033(B", 3) == 0 &&
			    line.ptr + i - 3 > open)
				close = line.ptr + i;
	}
	if (close == NULL) {
		count_run(line, l);
		return;
	}
	count_run(span_of(line.ptr, (size_t)(open - line.ptr)), l);
	count_run(span_from(line, (size_t)(close - line.ptr)), l);
}

static double
uppercase(struct probe *p)
{
	const struct facts *f = facts_of(p);
	struct letters l = { 0, 0, 0 };
	const struct texts *body;
	struct span g[4];

	if (f == NULL || f->caps_charset)
		return 0;
	if (probe_groups(p, CT_CHARSET, probe_get(p, "Content-Type"), g, 4)) {
		struct span c = g[1].ptr != NULL ? g[1] :
		    g[2].ptr != NULL		 ? g[2] :
						   g[3];

		if (c.ptr != NULL && probe_hit(p, CAPS_CHARSET, c))
			return 0;
	}
	if (body_rendered(eval_input(p->ctx)->message, &body) != 0) {
		p->error = -ENOMEM;
		return 0;
	}
	for (size_t i = 0; i < body->count && p->error == 0; i++)
		if (probe_hit(p, TWO_WORDS, body->items[i]) &&
		    !probe_hit(p, BASE64_LINE, body->items[i]))
			count_letters(body->items[i], &l);
	if (l.length < 200 || l.upper + l.lower_or_digit == 0)
		return 0;
	return 100.0 * (double)l.upper / (double)(l.upper + l.lower_or_digit);
}

static int
run_uppercase(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = begin(ctx);
	struct cache *c = probe_cache(&p, sizeof(struct cache));

	if (c != NULL && !c->has_uppercase) {
		c->uppercase = uppercase(&p);
		c->has_uppercase = p.error == 0;
	}
	return probe_end(&p, r, c != NULL &&
		c->uppercase > strtod(call->args[0].ptr, NULL) &&
		c->uppercase <= strtod(call->args[1].ptr, NULL));
}

static int
run_ma_non_text(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct part *part;

	(void)call;
	if (body_parts(eval_input(ctx)->message, &part) != 0)
		return -ENOMEM;
	for (; part != NULL; part = part->in_order) {
		if (!span_is(part->type, "multipart/alternative"))
			continue;
		for (const struct part *c = part->child; c != NULL; c = c->next)
			if (!span_is(c->type, "multipart/related") &&
			    !span_is(c->type, "application/rtf") &&
			    !span_istarts(c->type, "text/"))
				r->count = 1;
	}
	return 0;
}

static int
run_base64_length(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = begin(ctx);
	struct cache *c = probe_cache(&p, sizeof(struct cache));
	struct part *part = NULL;

	if (c != NULL && !c->has_base64_length) {
		if (body_parts(eval_input(ctx)->message, &part) != 0)
			return -ENOMEM;
		for (; part != NULL && p.error == 0; part = part->in_order) {
			struct span rest = part->raw;

			if (!part->leaf || span_is(part->declared_type,
				"application/ics") ||
			    !span_iis(span_trim(part_header(part,
				"Content-Transfer-Encoding")), "base64"))
				continue;
			while (rest.len > 0) {
				size_t n = span_find(rest, '\n') + 1;

				n = n > rest.len ? rest.len : n;
				if ((double)n > c->base64_length)
					c->base64_length = (double)n;
				rest = span_from(rest, n);
			}
		}
		c->has_base64_length = true;
	}
	return probe_end(&p, r, c != NULL &&
		c->base64_length >= strtod(call->args[0].ptr, NULL) &&
		(call->arg_count < 2 ||
		    c->base64_length <= strtod(call->args[1].ptr, NULL)));
}

#define BODY (EVAL_BODY | EVAL_RAWBODY)

static const struct eval_function functions[] = {
	{ "check_for_mime", BODY, "s", run_for_mime, NULL, NULL },
	{ "check_for_mime_html", BODY, "", run_mime_html, NULL, NULL },
	{ "check_for_mime_html_only", BODY, "", run_mime_html_only, NULL, NULL },
	{ "check_mime_multipart_ratio", BODY, "ss", run_multipart_ratio, NULL, NULL },
	{ "check_msg_parse_flags", EVAL_ANY, "s", run_parse_flags, NULL, NULL },
	{ "check_for_ascii_text_illegal", BODY, "", run_ascii_illegal, NULL, NULL },
	{ "check_abundant_unicode_ratio", BODY, "s", run_unicode_ratio, NULL, NULL },
	{ "check_for_uppercase", BODY, "ss", run_uppercase, NULL, NULL },
	{ "check_ma_non_text", BODY, "", run_ma_non_text, NULL, NULL },
	{ "check_base64_length", BODY, "s|s", run_base64_length, NULL, NULL },
	{ "check_qp_ratio", BODY, "s", run_qp_ratio, NULL, NULL },
	{ 0 },
};

static const char *const features[] = { "has_check_for_ascii_text_illegal",
	"has_check_abundant_unicode_ratio", "has_check_qp_ratio", NULL };

const struct eval_family eval_mime = {
	"Mail::SpamAssassin::Plugin::MIMEEval", functions, NULL, features, load,
};
