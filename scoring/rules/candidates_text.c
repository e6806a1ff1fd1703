/*
 * What libhs is told of a pattern: the pattern itself, or an outline of it
 * where that is shorter.
 */
#include <stdio.h>
#include <stdlib.h>

#include "scoring/rules/candidates_set.h"
#include "scoring/rules/outline.h"

enum {
	/* libhs spends seconds on what is longer, unless repeats are simple */
	MAX_EXACT_BYTES = 1024,
	LONG_RUN_DIGITS = 3, /* hundreds of times */
	MAX_OUTLINE_BYTES = 64 * 1024,
	MAX_TEXT_BYTES = 1024 * 1024,
	MIN_BYTES = 4,
	SHORT_BYTES = 8, /* matches that are quickly confirmed, or many */
	MAX_DIRECT_BYTES = 10000, /* what PCRE2 can as well look for itself */
	PROBE_BYTES = 512,
	PROBE_WORD = 16, /* the longest */
};

static bool
is_caseless(struct span s)
{
	for (size_t i = 0; i + 2 < s.len; i++)
		if (s.ptr[i] == '(' && s.ptr[i + 1] == '?')
			for (size_t k = i + 2; k < s.len &&
			     strchr("imsxn^-", s.ptr[k]) != NULL; k++)
				if (s.ptr[k] == 'i')
					return true;
	return false;
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'a' && c <= 'f'    ? c - 'a' + 10 :
	    c >= 'A' && c <= 'F'    ? c - 'A' + 10 : -1;
}

static bool
folds(unsigned c)
{
	return c >= 0xC0 && c != 0xD7 && c != 0xF7 && c != 0xDF && c != 0xFF;
}

/* A byte above 0x7F at s, raw or as \xHH: its length, or 0 */
static size_t
high_byte(struct span s, unsigned *ret_byte)
{
	if ((unsigned char)s.ptr[0] >= 0x80) {
		*ret_byte = (unsigned char)s.ptr[0];
		return 1;
	}
	if (s.len < 4 || s.ptr[0] != '\\' || s.ptr[1] != 'x' ||
	    hex_digit(s.ptr[2]) < 8 || hex_digit(s.ptr[3]) < 0)
		return 0;
	*ret_byte = (unsigned)(hex_digit(s.ptr[2]) << 4 | hex_digit(s.ptr[3]));
	return 4;
}

/*
 * libhs folds ASCII only, our PCRE2 tables Latin-1 too (pattern.c). What
 * caseless patterns say about such bytes is widened: too many candidates are
 * right, one too few is a lost hit.
 */
static void
widen_for_hs(struct span s, struct buf *out)
{
	bool in_class = false, negated = false;
	size_t start = 0, n;
	unsigned c, d;

	for (size_t i = 0; i < s.len; i++) {
		struct span rest = span_from(s, i);

		n = high_byte(rest, &c);
		if (n > 0 && !in_class) {
			buf_printf(out, folds(c) ? "[\\x%02x\\x%02x]" : "\\x%02x",
			    c, c ^ 0x20);
			i += n - 1;
		} else if (n > 0) {
			struct span after = span_from(rest, n);
			size_t m = after.len > 1 && after.ptr[0] == '-' ?
			    high_byte(span_from(after, 1), &d) : 0;

			if (m > 0 && !negated && d >= 0xC0) {
				/* a range among letters: all letters */
				buf_printf(out, "\\x%02x-\\xff", c < 0xC0 ? c : 0xC0);
				n += 1 + m;
			} else if (m > 0) {
				buf_printf(out, "\\x%02x-\\x%02x", c, d);
				n += 1 + m;
			} else if (!negated && folds(c))
				buf_printf(out, "\\x%02x\\x%02x", c, c ^ 0x20);
			else
				buf_printf(out, "\\x%02x", c);
			i += n - 1;
		} else if (s.ptr[i] == '\\' && i + 1 < s.len) {
			buf_add(out, s.ptr + i, 2);
			i++;
		} else {
			if (!in_class && s.ptr[i] == '[') {
				in_class = true;
				negated = i + 1 < s.len && s.ptr[i + 1] == '^';
				start = i + 1 + negated;
			} else if (in_class && s.ptr[i] == ']' && i > start)
				in_class = false;
			buf_add_char(out, s.ptr[i]);
		}
	}
}

/* Which flags a pattern sets somewhere: 'x', and 'm' switched off ("(?-m",
 * "(?^") */
static void
find_flags(struct span s, bool *ret_extended, bool *ret_no_lines)
{
	*ret_extended = *ret_no_lines = false;
	for (size_t i = 0; i + 2 < s.len; i++) {
		bool off = false;

		if (s.ptr[i] != '(' || s.ptr[i + 1] != '?')
			continue;
		for (size_t k = i + 2;
		     k < s.len && strchr("imsxn^-", s.ptr[k]) != NULL; k++) {
			off = off || s.ptr[k] == '-' || s.ptr[k] == '^';
			*ret_extended = *ret_extended || s.ptr[k] == 'x';
			*ret_no_lines = *ret_no_lines || s.ptr[k] == '^' ||
			    (off && s.ptr[k] == 'm');
		}
	}
}

/*
 * Texts are scanned joined, a line each: where they begin and end is where a
 * line does. false: that cannot be said of this pattern
 */
static bool
anchor_lines(struct span s, struct buf *out)
{
	bool in_class = false, extended, no_lines, any = false;
	size_t class_start = 0;

	find_flags(s, &extended, &no_lines);
	for (size_t i = 0; i < s.len; i++) {
		int c = i + 1 < s.len ? (unsigned char)s.ptr[i + 1] : 0;

		if (s.ptr[i] == '\\') {
			bool start = c == 'A', end = c == 'z' || c == 'Z';

			if (c == 'G' || (in_class && (start || end)))
				return false;
			any = any || start || end || c == 'Q';
			if (start || end)
				buf_add_char(out, start ? '^' : '$');
			else
				buf_add(out, s.ptr + i, c != 0 ? 2 : 1);
			i++;
			continue;
		}
		if (!in_class && s.ptr[i] == '[') {
			in_class = true;
			class_start = i + 1 + (c == '^');
		} else if (in_class && s.ptr[i] == ']' && i > class_start)
			in_class = false;
		buf_add_char(out, s.ptr[i]);
	}
	/* a comment or a quote may have what looks like a class */
	return !no_lines && !(any && (extended || memmem(s.ptr, s.len, "\\Q", 2) != NULL));
}

static bool
takes(const char *text)
{
	hs_compile_error_t *e = NULL;
	hs_expr_info_t *info = NULL;
	bool ok = hs_expression_info(text, HS_PATTERN_FLAGS, &info, &e) ==
	    HS_SUCCESS;

	hs_free_compile_error(e);
	free(info);
	return ok;
}

/* What is too large for libhs it makes smaller by itself, down to something
 * that matches nearly everywhere. To see that, it is not allowed to. */
static bool
takes_whole(const char *text)
{
	hs_compile_error_t *e = NULL;
	hs_database_t *db = NULL;
	bool ok = hs_compile(text, HS_PATTERN_FLAGS & ~HS_FLAG_PREFILTER,
	    HS_MODE_BLOCK, NULL, &db, &e) == HS_SUCCESS;

	hs_free_compile_error(e);
	hs_free_database(db);
	return ok;
}

static int
on_probe_match(unsigned id, unsigned long long from, unsigned long long to,
    unsigned flags, void *context)
{
	(void)id;
	(void)from;
	(void)to;
	(void)flags;
	*(bool *)context = true;
	return 1;
}

/* Words of bytes above 0x7f and nothing else match: so does most of what is
 * written in another script, match for match. libhs is slow to say so, and
 * says nothing by it. */
static bool
matches_any_script(const char *text)
{
	char probe[PROBE_BYTES];
	hs_compile_error_t *e = NULL;
	hs_database_t *db = NULL;
	hs_scratch_t *scratch = NULL;
	bool found = false;
	size_t word = 1, n = 0;

	for (size_t i = 0; i < sizeof(probe); i++) {
		bool space = n == word;

		probe[i] = space ? ' ' : '\x80';
		word = space ? word % PROBE_WORD + 1 : word;
		n = space ? 0 : n + 1;
	}
	if (hs_compile(text, HS_PATTERN_FLAGS, HS_MODE_BLOCK, NULL, &db, &e) ==
		HS_SUCCESS &&
	    hs_alloc_scratch(db, &scratch) == HS_SUCCESS)
		hs_scan(db, probe, sizeof(probe), 0, scratch, on_probe_match,
		    &found);
	hs_free_compile_error(e);
	hs_free_scratch(scratch);
	hs_free_database(db);
	return found;
}

/*
 * "^[^x]{998}" and nothing more: libhs looks for long runs of bytes many at a
 * time, but not if it has to know where they begin.
 */
static bool
run_text(struct span s, struct buf *out)
{
	size_t n = 0, class, digits;

	if (is_caseless(s))
		return false;
	while (s.len - n > 2 && s.ptr[n] == '(' && s.ptr[n + 1] == '?') {
		n += 2 + strspn(s.ptr + n + 2, "ms");
		if (n >= s.len || s.ptr[n++] != ')')
			return false;
	}
	buf_add(out, s.ptr, n);
	n += n < s.len && s.ptr[n] == '^';
	class = n;
	if (n >= s.len || s.ptr[n++] != '[')
		return false;
	n += n < s.len && s.ptr[n] == '^';
	while (n < s.len && s.ptr[n] != ']') {
		if (s.ptr[n] == '[')
			return false;
		n += s.ptr[n] == '\\' ? 2 : 1;
	}
	digits = n + 2;
	if (digits >= s.len || s.ptr[n + 1] != '{' ||
	    strspn(s.ptr + digits, "0123456789") < LONG_RUN_DIGITS)
		return false;
	n = digits + strspn(s.ptr + digits, "0123456789");
	buf_add(out, s.ptr + class, n - class);
	buf_add_char(out, '}');
	return n + 1 == s.len && s.ptr[n] == '}';
}

static bool
exact_text(struct span pattern, struct buf *out)
{
	unsigned ends;

	if (run_text(pattern, out) && takes(out->ptr))
		return true;
	buf_reset(out);
	if (pattern.len > MAX_EXACT_BYTES)
		return false;
	/* all but exact: smaller for libhs, and faster */
	if (outline_make(pattern, OUTLINE_LONG, out, &ends) == OUTLINE_MADE &&
	    takes(out->ptr))
		return true;
	buf_reset(out);
	if (is_caseless(pattern))
		widen_for_hs(pattern, out);
	else
		buf_add_span(out, pattern);
	return !out->failed && takes(out->ptr);
}

/* Of plain text it asks as much as of any other: look-alikes, most of which
 * are not plain, cost several times what a plain letter does. */
static bool
is_alike(struct span pattern, const struct buf *any)
{
	unsigned ends;
	struct buf plain;
	bool same;

	buf_init(&plain, MAX_TEXT_BYTES);
	same = outline_make(pattern, OUTLINE_LONG | OUTLINE_PLAIN, &plain,
		   &ends) == OUTLINE_UNCLEAR ||
	    span_eq(buf_span(&plain), buf_span(any));
	buf_done(&plain);
	return same;
}

/* The first that suits is taken: each says less than the one before. */
static bool
outline_text(struct span pattern, unsigned view, struct buf *out,
    struct hs_told *told, bool *ret_never)
{
	static const unsigned tries[] = {
		OUTLINE_LONG,
		OUTLINE_REPEATS | OUTLINE_ENDS | OUTLINE_PAIR,
		OUTLINE_REPEATS | OUTLINE_ENDS | OUTLINE_PAIR | OUTLINE_ANY,
		OUTLINE_REPEATS | OUTLINE_ENDS | OUTLINE_ONCE,
	};

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		uint32_t least = 1, width = UINT32_MAX;
		unsigned ends;
		enum outline_result r = outline_make(pattern, view | tries[i],
		    out, &ends);
		size_t most = tries[i] & OUTLINE_REPEATS ? MAX_OUTLINE_BYTES :
							   MAX_EXACT_BYTES;

		*ret_never = r == OUTLINE_NEVER;
		if (r != OUTLINE_MADE)
			return false;
		if (out->len > most || !takes_whole(out->ptr))
			continue;
		hs_widths(out->ptr, &least, &width);
		/* what is left of it would match everywhere */
		if ((tries[i] & OUTLINE_ANY) && (ends == 1 || least < MIN_BYTES))
			continue;
		told->once = ends == 1 && width <= SHORT_BYTES;
		told->ends = (unsigned char)(ends < UINT8_MAX ? ends : UINT8_MAX);
		/* repeats stand behind each other; of pairs one is in two */
		if ((tries[i] & OUTLINE_ONCE) && least > 1)
			told->apart = (unsigned char)(least < UINT8_MAX ?
				least : UINT8_MAX);
		return true;
	}
	return false;
}

char *
hs_text_new(struct span pattern, enum hs_part part, struct hs_told *ret_told)
{
	bool never = false, exact, ok;
	char *text = NULL;
	struct buf b, cut, lines;

	*ret_told = (struct hs_told){ HS_LEFT_OUT, 1, 1, 1 };
	buf_init(&lines, MAX_TEXT_BYTES);
	/* libhs reads up to the first NUL */
	if ((pattern.len > 0 && memchr(pattern.ptr, '\0', pattern.len) != NULL) ||
	    !anchor_lines(pattern, &lines) || lines.failed) {
		if (part == HS_EXACT_ONLY)
			ret_told->taken = HS_ELSEWHERE;
		buf_done(&lines);
		return NULL;
	}
	pattern = buf_span(&lines);
	buf_init(&b, MAX_TEXT_BYTES);
	exact = ok = exact_text(pattern, &b) &&
	    (part == HS_ALL || is_alike(pattern, &b));
	if (!exact && part != HS_EXACT_ONLY)
		ok = outline_text(pattern, part == HS_OUTLINES_PLAIN ?
			OUTLINE_PLAIN : OUTLINE_BLUR, &b, ret_told, &never);
	if (part == HS_OUTLINES_OTHER && !exact && ok &&
	    pattern.len <= MAX_DIRECT_BYTES && matches_any_script(b.ptr))
		ok = false;
	/* these texts are few */
	if (part == HS_ALL)
		*ret_told = (struct hs_told){ HS_LEFT_OUT, 1, 1, 1 };
	buf_init(&cut, MAX_TEXT_BYTES);
	if (exact && outline_cut_head(buf_span(&b), &cut))
		ret_told->once = 0; /* more than one place may have to be looked at */
	else {
		buf_reset(&cut);
		buf_add_span(&cut, buf_span(&b));
	}
	if (part != HS_ALL && exact != (part == HS_EXACT_ONLY))
		ret_told->taken = HS_ELSEWHERE;
	else if (ok && (text = strdup(cut.ptr)) != NULL)
		ret_told->taken = HS_TAKEN;
	else if (never)
		ret_told->taken = HS_NEVER;
	buf_done(&cut);
	buf_done(&b);
	buf_done(&lines);
	return text;
}

bool
hs_widths(const char *text, uint32_t *ret_least, uint32_t *ret_most)
{
	hs_compile_error_t *e = NULL;
	hs_expr_info_t *info = NULL;

	if (hs_expression_info(text, HS_FLAG_PREFILTER | HS_FLAG_ALLOWEMPTY,
		&info, &e) != HS_SUCCESS) {
		hs_free_compile_error(e);
		return false;
	}
	*ret_least = info->min_width;
	*ret_most = info->max_width;
	free(info);
	return true;
}
