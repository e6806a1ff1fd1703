/*
 * Hosts of URIs that are addresses in disguise, and hosts that are one word.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "scoring/message/uri_forms.h"

static void
add_ip(struct forms *f, const struct web *w, uint64_t n)
{
	char text[24], hex[20];
	unsigned long v;

	/* of more than 32 bits the first are taken */
	snprintf(hex, sizeof(hex), "%08llx", (unsigned long long)n);
	hex[8] = '\0';
	v = strtoul(hex, NULL, 16);
	snprintf(text, sizeof(text), "%lu.%lu.%lu.%lu", v >> 24 & 255,
	    v >> 16 & 255, v >> 8 & 255, v & 255);
	forms_add_joined(f, w->proto, span_cstr(text), w->rest);
}

/* One number of an address, decimal, octal or hexadecimal; false: none */
static bool
read_octet(struct span s, uint64_t *ret_value)
{
	bool hex = s.len > 2 && s.ptr[0] == '0' && (s.ptr[1] | 0x20) == 'x';
	bool octal = !hex && s.len > 1 && s.ptr[0] == '0';
	size_t zeros = 0;
	uint64_t n = 0;

	if (s.len == 0)
		return false;
	for (size_t i = hex ? 2 : 0; i < s.len; i++) {
		int d = ascii_hex_value(s.ptr[i]);

		if (d < 0 || (!hex && d > 9))
			return false;
		if (n < UINT64_MAX / 16 - 16)
			n = n * (hex ? 16 : 10) + (uint64_t)d;
	}
	if (octal) {
		while (zeros + 1 < s.len && s.ptr[zeros] == '0')
			zeros++;
		s = span_from(s, zeros);
		/* up to 377, or two digits from 4 to 7 on */
		if (s.len <= (s.ptr[0] <= '3' ? 3u : 2u)) {
			uint64_t o = 0;
			size_t i = 0;

			for (; i < s.len && s.ptr[i] < '8'; i++)
				o = o * 8 + (uint64_t)(s.ptr[i] - '0');
			if (i == s.len)
				n = o;
		}
	}
	*ret_value = n;
	return true;
}

static bool
is_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_digit(s.ptr[i]))
			return false;
	return s.len != 0;
}

/* named: the host in lower case, as DNS knows it */
void
forms_read_host(struct forms *f, const struct web *w, struct span named)
{
	struct span h = w->host, rest = h, part[4];
	uint64_t v[4];
	int n = 0;
	char text[100];

	while (n < 4) {
		size_t k = n < 3 ? span_find(rest, '.') : rest.len;

		part[n] = span_of(rest.ptr, k);
		if (!read_octet(part[n], &v[n]) || (n < 3 && k == rest.len))
			break;
		rest = span_from(rest, k + 1);
		n++;
	}
	if (n == 4) {
		size_t at = 0;

		/* SpamAssassin drops a zero altogether: "127...1" */
		for (int i = 0; i < 4; i++) {
			if (v[i] != 0)
				at += (size_t)snprintf(text + at,
				    sizeof(text) - at, "%llu",
				    (unsigned long long)v[i]);
			if (i < 3)
				text[at++] = '.';
		}
		text[at] = '\0';
		forms_add_joined(f, w->proto, span_cstr(text), w->rest);
	} else if (h.len > 2 && h.ptr[0] == '0' && (h.ptr[1] | 0x20) == 'x' &&
	    read_octet(h, &v[0])) {
		uint64_t low = 0;
		size_t from = h.len > 10 ? h.len - 8 : 2;

		/* the last eight digits count */
		for (size_t i = from; i < h.len; i++)
			low = low << 4 | (uint64_t)ascii_hex_value(h.ptr[i]);
		add_ip(f, w, low);
	} else if (is_digits(h)) {
		uint64_t dec = 0;

		for (size_t i = 0; i < h.len; i++)
			if (__builtin_mul_overflow(dec, 10, &dec) ||
			    __builtin_add_overflow(dec,
				(uint64_t)(h.ptr[i] - '0'), &dec))
				dec = UINT64_MAX;
		add_ip(f, w, dec);
	} else if (span_is(w->proto, "http://") && w->auth.len == 0 &&
	    !span_is(named, "localhost") &&
	    (w->port.len == 0 || span_is(w->port, "80"))) {
		struct span word = named;

		/* browsers try www.word.com */
		if (word.len > 4 && memcmp(word.ptr, "www.", 4) == 0)
			word = span_from(word, 4);
		if (word.len != 0 && memchr(word.ptr, '.', word.len) == NULL &&
		    !domain_is_valid(named, f->rules)) {
			struct buf b;

			buf_init(&b, (size_t)2 * URI_MAX_BYTES);
			buf_add_str(&b, "www.");
			buf_add_span(&b, word);
			buf_add_str(&b, ".com");
			forms_add_joined(f, w->proto, buf_span(&b), w->rest);
			buf_done(&b);
		}
	}
}
