/*
 * Outlines of hostile patterns. First byte: the modes; up to the line's end
 * the pattern; each line behind it is a text.
 *
 * Where PCRE2 takes both, the outline matches a text wherever the pattern
 * does, in as many places as it says, with its head and without, and what plain
 * text is said never to match it does not match.
 */
#include <stdint.h>
#include <stdlib.h>

#include "scoring/rules/outline.h"
#include "t/rules/outline_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	MAX_PATTERN_BYTES = 4096,
	MAX_TEXTS = 8,
	/* what one byte of a pattern may become: a byte above 0x7f the class of
	 * all of them, in each half of a pair */
	MAX_GROWTH = 24,
};

static void
check_text(const pcre2_code *whole, const pcre2_code *outline, int ends,
    struct span text)
{
	if (check_matches(whole, text) != 1)
		return;
	if (outline == NULL || check_matches(outline, text) == 0)
		abort();
	if (ends > 1) {
		int found = check_ends(outline, text);

		if (found != CHECK_UNKNOWN && found < ends)
			abort();
	}
}

/* Without its head; NULL: it has none that is cut off */
static pcre2_code *
cut_head(struct span pattern)
{
	pcre2_code *code = NULL;
	struct buf b;

	buf_init(&b, pattern.len);
	if (outline_cut_head(pattern, &b)) {
		code = check_compile(buf_span(&b));
		/* what is left of a pattern is one */
		if (code == NULL)
			abort();
	}
	if (b.failed)
		abort();
	buf_done(&b);
	return code;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of((const char *)data, size), pattern;
	pcre2_code *whole, *outline = NULL, *cut = NULL, *own_cut = NULL;
	enum outline_result result;
	unsigned modes, ends;
	struct buf b;

	if (size == 0)
		return 0;
	modes = data[0];
	rest = span_from(rest, 1);
	pattern = span_of(rest.ptr, span_find(rest, '\n'));
	rest = span_from(rest, pattern.len + 1);
	if (pattern.len > MAX_PATTERN_BYTES)
		return 0;
	buf_init(&b, 1 << 20);
	result = outline_make(pattern, modes, &b, &ends);
	if (b.len > MAX_GROWTH * pattern.len || ends == 0)
		abort();
	whole = check_compile(pattern);
	if (result == OUTLINE_MADE)
		outline = check_compile(buf_span(&b));
	if (outline != NULL)
		cut = cut_head(buf_span(&b));
	if (whole != NULL)
		own_cut = cut_head(pattern);
	for (int i = 0; whole != NULL && i < MAX_TEXTS && rest.len > 0; i++) {
		struct span text = span_of(rest.ptr, span_find(rest, '\n'));

		rest = span_from(rest, text.len + 1);
		if (text.len > CHECK_TEXT_BYTES)
			continue;
		if (own_cut != NULL)
			check_text(whole, own_cut, 1, text);
		if ((modes & OUTLINE_PLAIN) && !outline_text_plain(text))
			continue;
		/* an outline that PCRE2 refuses is of no use, but does no harm */
		if (outline != NULL || result == OUTLINE_NEVER)
			check_text(whole, outline, (int)ends, text);
		if (cut != NULL)
			check_text(whole, cut, (int)ends, text);
	}
	pcre2_code_free(whole);
	pcre2_code_free(outline);
	pcre2_code_free(cut);
	pcre2_code_free(own_cut);
	buf_done(&b);
	return 0;
}
