/*
 * What is written in a URI by other means: %XX and character references.
 */
#include "base/ascii.h"
#include "scoring/message/uri_forms.h"

/* %XX of printable characters decoded; what must not stand in a URI as
 * itself becomes %xx. */
void
uri_percent_decode(struct buf *out, struct span s, bool wide)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		int hi, lo;

		if (c == '%' && i + 2 < s.len &&
		    (hi = ascii_hex_value(s.ptr[i + 1])) >= 0 &&
		    (lo = ascii_hex_value(s.ptr[i + 2])) >= 0) {
			int v = hi << 4 | lo;

			if (v > 0x20 && v < 0x7F)
				buf_add_char(out, (char)v);
			else
				buf_add(out, s.ptr + i, 3);
			i += 2;
		} else if (wide && c >= 0x80) {
			/* U+0080..U+00FF as one byte, others as they are */
			if ((c == 0xC2 || c == 0xC3) && i + 1 < s.len) {
				unsigned v = (c & 3u) << 6 |
				    ((unsigned char)s.ptr[++i] & 0x3F);

				buf_printf(out, "%%%02x", v);
			} else {
				buf_add_char(out, (char)c);
			}
		} else if (c <= 0x20 || c >= 0x7F || c == '"' || c == '%' ||
		    c == '<' || c == '>') {
			buf_add_char(out, '%');
			buf_add_char(out, hex[c >> 4]);
			buf_add_char(out, hex[c & 15]);
		} else {
			buf_add_char(out, (char)c);
		}
	}
}

bool
uri_has_percent(struct span s)
{
	for (size_t i = 0; i + 2 < s.len; i++)
		if (s.ptr[i] == '%' && ascii_hex_value(s.ptr[i + 1]) >= 0 &&
		    ascii_hex_value(s.ptr[i + 2]) >= 0)
			return true;
	return false;
}

struct span
uri_percent_decoded(struct arena *a, struct span s)
{
	struct buf b;
	struct span ret;

	if (!uri_has_percent(s))
		return s;
	buf_init(&b, (size_t)16 * URI_MAX_BYTES);
	uri_percent_decode(&b, s, false);
	ret = arena_span(a, buf_span(&b));
	buf_done(&b);
	return ret;
}

/* "&#65;" and "&#x41;" of printable characters, and the full stops of other
 * scripts; 0: none here. *ret_len is the length of the reference. */
static char
char_reference(struct span s, size_t *ret_len)
{
	size_t i = 2, digits;
	unsigned long n = 0;
	bool hex, zeros;

	if (s.len < 4 || s.ptr[0] != '&' || s.ptr[1] != '#')
		return 0;
	hex = (s.ptr[2] | 0x20) == 'x';
	i += hex;
	zeros = s.ptr[i] == '0';
	while (i < s.len && s.ptr[i] == '0')
		i++;
	for (digits = 0; i < s.len && digits < 6; i++, digits++) {
		int d = ascii_hex_value(s.ptr[i]);

		if (d < 0 || (!hex && d > 9))
			break;
		n = n * (hex ? 16 : 10) + (unsigned long)d;
	}
	if (digits == 0 || i >= s.len || s.ptr[i] != ';')
		return 0;
	*ret_len = i + 1;
	if (!zeros && (n == 0x3002 || n == 0xFF0E || n == 0xFF61 ||
	    (hex && n == 0x2E)))
		return '.';
	/* SpamAssassin knows &#x21; to &#x29; and &#x30; to &#x7e; only */
	if (hex && (s.ptr[2] == 'X' || digits != 2 || n == 0x20 ||
	    (n >= 0x2A && n <= 0x2F)))
		return 0;
	return n >= 33 && n <= 126 ? (char)n : 0;
}

void
uri_decode_references(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.len;) {
		size_t n;
		char c = s.ptr[i] == '&' ? char_reference(span_from(s, i), &n) : 0;

		if (c != 0) {
			buf_add_char(b, c);
			i += n;
		} else {
			buf_add_char(b, s.ptr[i++]);
		}
	}
}
