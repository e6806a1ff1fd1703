#include <stdio.h>

#include "base/escape.h"

size_t
utf8_decode(struct span s, uint32_t *ret_cp, size_t *ret_skip)
{
	const unsigned char *p = (const unsigned char *)s.ptr;
	unsigned char lo = 0x80, hi = 0xBF;
	uint32_t cp;
	size_t need, i;

	*ret_cp = 0xFFFD;
	*ret_skip = 1;
	if (p[0] < 0x80) {
		*ret_cp = p[0];
		return 1;
	}
	if (p[0] >= 0xC2 && p[0] <= 0xDF) {
		need = 1;
		cp = p[0] & 0x1F;
	} else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
		need = 2;
		cp = p[0] & 0x0F;
		if (p[0] == 0xE0)
			lo = 0xA0;
		else if (p[0] == 0xED)
			hi = 0x9F; /* surrogates */
	} else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
		need = 3;
		cp = p[0] & 0x07;
		if (p[0] == 0xF0)
			lo = 0x90;
		else if (p[0] == 0xF4)
			hi = 0x8F;
	} else
		return 0;
	for (i = 1; i <= need; i++) {
		if (i >= s.len || p[i] < lo || p[i] > hi) {
			*ret_skip = i;
			return 0;
		}
		cp = cp << 6 | (p[i] & 0x3F);
		lo = 0x80;
		hi = 0xBF;
	}
	*ret_cp = cp;
	return need + 1;
}

size_t
utf8_encode(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xC0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3F));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xE0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
		out[2] = (char)(0x80 | (cp & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
	out[3] = (char)(0x80 | (cp & 0x3F));
	return 4;
}

/* Characters that a terminal or reader acts on or cannot show: C1 controls,
 * Unicode Cf (bidi, zero width, tags), Zl, Zp, fillers, variation selectors,
 * private use, noncharacters. */
static bool
is_hidden(uint32_t c)
{
	return (c >= 0x7F && c <= 0x9F) || c == 0xAD || c == 0x34F ||
	    (c >= 0x600 && c <= 0x605) || c == 0x61C || c == 0x6DD || c == 0x70F ||
	    c == 0x8E2 || c == 0x890 || c == 0x891 || c == 0x115F || c == 0x1160 ||
	    c == 0x17B4 || c == 0x17B5 || (c >= 0x180B && c <= 0x180F) ||
	    (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
	    (c >= 0x2060 && c <= 0x206F) || c == 0x3164 ||
	    (c >= 0xE000 && c <= 0xF8FF) || (c >= 0xFE00 && c <= 0xFE0F) ||
	    c == 0xFEFF || c == 0xFFA0 || (c >= 0xFFF0 && c <= 0xFFFB) ||
	    c == 0x110BD || c == 0x110CD || (c >= 0x13430 && c <= 0x1343F) ||
	    (c >= 0x1BCA0 && c <= 0x1BCA3) || (c >= 0x1D173 && c <= 0x1D17A) ||
	    c >= 0xE0000 || (c & 0xFFFE) == 0xFFFE;
}

static void
escape_into(struct buf *out, struct span s, size_t max_bytes, bool quote)
{
	size_t start = out->len, i = 0;

	while (i < s.len && !out->failed) {
		char tmp[16];
		size_t n, skip;
		uint32_t cp;

		n = utf8_decode(span_from(s, i), &cp, &skip);
		if (n == 0) {
			n = 1;
			snprintf(tmp, sizeof(tmp), "\\x%02x",
			    (unsigned char)s.ptr[i]);
		} else if (cp == '\n')
			strcpy(tmp, "\\n");
		else if (cp == '\r')
			strcpy(tmp, "\\r");
		else if (cp == '\t')
			strcpy(tmp, "\\t");
		else if (cp == '\\')
			strcpy(tmp, "\\\\");
		else if (cp == '"' && quote)
			strcpy(tmp, "\\\"");
		else if (cp < 0x20 || cp == 0x7F)
			snprintf(tmp, sizeof(tmp), "\\x%02x", (unsigned)cp);
		else if (is_hidden(cp))
			snprintf(tmp, sizeof(tmp), "\\u{%x}", (unsigned)cp);
		else {
			memcpy(tmp, s.ptr + i, n);
			tmp[n] = '\0';
		}
		if (max_bytes != 0 && out->len - start + strlen(tmp) > max_bytes) {
			buf_add_str(out, "\xE2\x80\xA6");
			return;
		}
		buf_add_str(out, tmp);
		i += n;
	}
}

void
escape_text(struct buf *out, struct span s, size_t max_bytes)
{
	escape_into(out, s, max_bytes, false);
}

void
escape_log_value(struct buf *out, struct span s, size_t max_bytes)
{
	bool quote = s.len == 0 || span_find(s, ' ') < s.len ||
	    span_find(s, '"') < s.len || span_find(s, '=') < s.len;

	if (quote)
		buf_add_char(out, '"');
	escape_into(out, s, max_bytes, quote);
	if (quote)
		buf_add_char(out, '"');
}

void
escape_utf8(struct buf *out, struct span s)
{
	size_t i = 0;

	while (i < s.len && !out->failed) {
		size_t n, skip, run = i;
		uint32_t cp;

		/* most text is ASCII: as one piece, not byte by byte */
		while (run < s.len && (unsigned char)s.ptr[run] - 1u < 0x7F)
			run++;
		if (run > i) {
			buf_add(out, s.ptr + i, run - i);
			i = run;
			continue;
		}
		n = utf8_decode(span_from(s, i), &cp, &skip);
		if (n == 0 || cp == 0) {
			buf_add_str(out, "\xEF\xBF\xBD");
			i += n != 0 ? n : skip;
		} else {
			buf_add(out, s.ptr + i, n);
			i += n;
		}
	}
}
