#include <stdint.h>

#include "base/ascii.h"
#include "scoring/message/decode.h"

/* value + 1 of each base64 digit; 0: none; 65: "=" */
static const uint8_t digits[256] = {
	['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
	19, 20, 21, 22, 23, 24, 25, 26,
	['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42,
	43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
	['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
	['+'] = 63, ['/'] = 64, ['='] = 65,
};

size_t
decode_base64(struct span in, char *out)
{
	size_t n = 0, end = in.len, count = 0;
	uint32_t acc = 0, pad = 0;
	unsigned held = 0;

	/* padding at the end is no data; in the middle it is zero bits, or
	 * ones (as in SpamAssassin) when the text is not clean base64 */
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];

		if (digits[c] != 0)
			count++;
		else if (c != ' ' && (c < '\t' || c > '\r'))
			pad = 63;
	}
	if (count % 4 != 0)
		pad = 63;
	while (end > 0 && digits[(unsigned char)in.ptr[end - 1]] % 65 == 0)
		end--;
	for (size_t i = 0; i < end; i++) {
		unsigned d = digits[(unsigned char)in.ptr[i]];

		if (d == 0)
			continue;
		acc = acc << 6 | (d == 65 ? pad : d - 1);
		if (++held == 4) {
			out[n++] = (char)(acc >> 16);
			out[n++] = (char)(acc >> 8);
			out[n++] = (char)acc;
			held = 0;
			acc = 0;
		}
	}
	if (held >= 2)
		out[n++] = (char)(acc >> (held == 2 ? 4 : 10));
	if (held == 3)
		out[n++] = (char)(acc >> 2);
	return n;
}

/* The length of a soft line break at i ("=", white space, line end); 0: none.
 * RFC 2045 6.7 (3): white space before a line end was added on the way. */
static size_t
soft_break(struct span in, size_t i)
{
	size_t k = i + 1;

	if (i >= in.len || in.ptr[i] != '=')
		return 0;
	while (k < in.len && (in.ptr[k] == ' ' || in.ptr[k] == '\t'))
		k++;
	if (k + 1 < in.len && in.ptr[k] == '\r' && in.ptr[k + 1] == '\n')
		return k + 2 - i;
	return k < in.len && in.ptr[k] == '\n' ? k + 1 - i : 0;
}

/* The next hex digit, perhaps behind a soft line break; *i moves behind it.
 * -1: none */
static int
next_hex(struct span in, size_t *i)
{
	size_t n;
	int v;

	while ((n = soft_break(in, *i)) != 0)
		*i += n;
	v = *i < in.len ? ascii_hex_value(in.ptr[*i]) : -1;
	*i += v >= 0;
	return v;
}

size_t
decode_qp(struct span in, bool word, char *out)
{
	size_t n = 0, i = 0;
	size_t blank = 0; /* white space at the end of out so far */

	while (i < in.len) {
		char c = in.ptr[i];

		if (c == '=') {
			size_t k = soft_break(in, i);
			int hi, lo;

			blank = 0;
			if (k != 0) {
				i += k;
				continue;
			}
			k = i + 1;
			/* some software cuts "=3D" in two */
			hi = next_hex(in, &k);
			lo = hi >= 0 ? next_hex(in, &k) : -1;
			if (lo >= 0) {
				out[n++] = (char)(hi << 4 | lo);
				i = k;
				continue;
			}
			out[n++] = c;
			i++;
			continue;
		}
		if (c == '\n' || (c == '\r' && i + 1 < in.len &&
		    in.ptr[i + 1] == '\n')) {
			n -= blank;
			blank = 0;
			if (c == '\r')
				out[n++] = in.ptr[i++];
			out[n++] = in.ptr[i++];
			continue;
		}
		if (c == '_' && word) {
			c = ' ';
			blank = 0;
		} else if (c == ' ' || c == '\t') {
			blank++;
		} else {
			blank = 0;
		}
		out[n++] = c;
		i++;
	}
	return n;
}
