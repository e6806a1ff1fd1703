/*
 * Canonical forms of a URI: what a mail program or browser would make of it.
 * One URI can have several; each is matched by rules.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "base/buf.h"
#include "scoring/message/views.h"

enum {
	MAX_REDIRECTS = 20,	/* URIs found inside URIs, of one */
	MAX_FORMS = 200,	/* canonical forms of one */
};

struct forms {
	struct arena *arena;
	const struct uri_rules *rules;
	/* what is still to be read (and is itself a form), then the forms */
	struct span *uris, *forms;
	size_t uri_count, form_count;
	struct buf scratch;
	bool wide;
	bool failed;
};

static void
add_form(struct forms *f, struct span s)
{
	s = arena_span(f->arena, s);
	if (s.ptr == NULL)
		f->failed = true;
	else if (f->form_count < MAX_FORMS)
		f->forms[f->form_count++] = s;
}

static void
add_uri(struct forms *f, struct span s)
{
	s = arena_span(f->arena, s);
	if (s.ptr == NULL)
		f->failed = true;
	else if (f->uri_count < MAX_REDIRECTS)
		f->uris[f->uri_count++] = s;
}

static void
add_joined(struct forms *f, struct span proto, struct span host,
    struct span rest)
{
	struct buf b;

	buf_init(&b, (size_t)16 * URI_MAX_BYTES);
	buf_add_span(&b, proto);
	buf_add_span(&b, host);
	buf_add_span(&b, rest);
	add_form(f, buf_span(&b));
	buf_done(&b);
}

/* Line ends inside and white space around go. */
static struct span
tidy(struct arena *a, struct span s)
{
	char *out;
	size_t n = 0, start = 0;

	if (memchr(s.ptr, '\n', s.len) == NULL &&
	    memchr(s.ptr, '\r', s.len) == NULL) {
		while (s.len > 0 && ascii_is_space(s.ptr[0]))
			s = span_from(s, 1);
		while (s.len > 0 && ascii_is_space(s.ptr[s.len - 1]))
			s.len--;
		return s;
	}
	out = arena_bytes(a, s.len);
	if (out == NULL)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] != '\n')
			out[n++] = s.ptr[i];
	while (start < n && ascii_is_space(out[start]))
		start++;
	while (n > start && ascii_is_space(out[n - 1]))
		n--;
	s.ptr = out + start;
	s.len = 0;
	for (size_t i = start; i < n; i++)
		if (out[i] != '\r')
			out[start + s.len++] = out[i];
	return s;
}

/* %XX of printable characters decoded; what must not stand in a URI as
 * itself becomes %xx. */
static void
percent_decode(struct buf *out, struct span s, bool wide)
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

static bool
has_percent(struct span s)
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

	if (!has_percent(s))
		return s;
	buf_init(&b, (size_t)16 * URI_MAX_BYTES);
	percent_decode(&b, s, false);
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

static void
decode_references(struct buf *b, struct span s)
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

/* Length of "http:" or "https:", 0: neither */
static size_t
http_scheme(struct span s)
{
	if (span_istarts(s, "http:"))
		return 5;
	return span_istarts(s, "https:") ? 6 : 0;
}

static size_t
find_any(struct span s, const char *set)
{
	size_t i = 0;

	while (i < s.len && (s.ptr[i] == '\0' || strchr(set, s.ptr[i]) == NULL))
		i++;
	return i;
}

static bool
has_scheme(struct span s)
{
	size_t i = 0;

	while (i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '_' ||
	    (s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
	    ((s.ptr[i] | 0x20) >= 'a' && (s.ptr[i] | 0x20) <= 'z')))
		i++;
	return i > 0 && i < s.len && s.ptr[i] == ':';
}

/* Swaps slashes, supplies scheme and path, decodes. */
static struct span
normalize(struct forms *f, struct span uri)
{
	struct buf *b = &f->scratch;
	struct span s;
	size_t n = http_scheme(uri), host;

	buf_reset(b);
	if (n != 0) {
		size_t k = n;

		/* "http:www.example" and "http:/www.example" */
		while (k < uri.len && k < n + 2 &&
		    (uri.ptr[k] == '/' || uri.ptr[k] == '\\'))
			k++;
		buf_add(b, uri.ptr, n);
		buf_add_str(b, "//");
		n = k;
	}
	buf_add_span(b, span_from(uri, n));
	for (size_t i = 0; i < b->len; i++)
		if (b->ptr[i] == '\\')
			b->ptr[i] = '/';
	s = arena_span(f->arena, buf_span(b));
	if (s.ptr == NULL)
		return s;
	buf_reset(b);
	if (has_percent(s))
		percent_decode(b, s, f->wide);
	else
		buf_add_span(b, s);
	s = buf_span(b);
	if (!has_scheme(s)) {
		s = arena_span(f->arena, s);
		buf_reset(b);
		buf_add_str(b, s.len >= 4 && memcmp(s.ptr, "ftp.", 4) == 0 ?
		    "ftp://" : "http://");
		buf_add_span(b, s);
		s = buf_span(b);
	}
	n = http_scheme(s);
	if (n != 0 && s.len > n + 2 && s.ptr[n] == '/' && s.ptr[n + 1] == '/') {
		host = n + 2 + find_any(span_from(s, n + 2), "/?#");
		if (host > n + 2 && host < s.len && s.ptr[host] != '/') {
			/* "http://example?id" has an empty path */
			s = arena_span(f->arena, s);
			buf_reset(b);
			buf_add(b, s.ptr, host);
			buf_add_char(b, '/');
			buf_add_span(b, span_from(s, host));
			s = buf_span(b);
		}
	}
	s = arena_span(f->arena, s);
	if (s.ptr != NULL && memmem(s.ptr, s.len, "&#", 2) != NULL) {
		buf_reset(b);
		decode_references(b, s);
		s = arena_span(f->arena, buf_span(b));
	}
	return s;
}

static void
read_mail(struct forms *f, struct span s)
{
	size_t at = span_find(s, '@'), n;
	struct span t;

	if (at > 0 && at + 1 < s.len) {
		struct span host = span_from(s, at + 1);

		n = span_find(host, '?');
		if (n > 0 && n < host.len)
			add_form(f, span_of(s.ptr, at + 1 + n));
		n = find_any(host, "?&");
		if (n > 0 && n < host.len && host.ptr[n] == '&')
			add_form(f, span_of(s.ptr, at + 1 + n));
	}
	if (memmem(s.ptr, s.len, "%20", 3) != NULL) {
		t = span_istarts(s, "mailto:") ? span_from(s, 7) : s;
		while (t.len >= 3 && memcmp(t.ptr, "%20", 3) == 0)
			t = span_from(t, 3);
		at = span_find(t, '@');
		if (at > 0 && at < t.len) {
			n = find_any(span_from(t, at + 1), "?&%");
			if (n > 0)
				add_joined(f, SPAN_LIT("mailto:"),
				    span_of(t.ptr, at + 1 + n), SPAN_LIT(""));
		}
	}
	/* mailto:"Name"%20<user@host> */
	n = find_any(s, "?&");
	for (size_t i = n; i-- > 0;) {
		if (s.ptr[i] != '<')
			continue;
		t = span_from(s, i + 1);
		at = find_any(t, "@>");
		if (at == 0 || at >= t.len || t.ptr[at] != '@')
			continue;
		n = span_find(span_from(t, at + 1), '>');
		if (n > 0 && at + 1 + n < t.len) {
			add_joined(f, SPAN_LIT("mailto:"),
			    span_of(t.ptr, at + 1 + n), SPAN_LIT(""));
			return;
		}
	}
}

/* "http://host:80/path" and its pieces */
struct web {
	struct span proto, auth, host, rest, port;
};

static bool
split_web(struct span s, struct web *w)
{
	size_t n = http_scheme(s), k;
	struct span t;

	if (n == 0 || s.len < n + 3 || s.ptr[n] != '/' || s.ptr[n + 1] != '/' ||
	    memchr(s.ptr + n, '\n', s.len - n) != NULL)
		return false;
	w->proto = span_of(s.ptr, n + 2);
	t = span_from(s, n + 2);
	w->auth = span_of(t.ptr, 0);
	k = find_any(t, "@/?#");
	if (k + 1 < t.len && t.ptr[k] == '@' &&
	    strchr("/?#:", t.ptr[k + 1]) == NULL) {
		w->auth = span_of(t.ptr, k + 1);
		t = span_from(t, k + 1);
	}
	k = find_any(t, "/?#:");
	if (k == 0)
		return false;
	w->host = span_of(t.ptr, k);
	w->rest = span_from(t, k);
	w->port = span_of(w->rest.ptr, 0);
	if (w->rest.len != 0 && w->rest.ptr[0] == ':') {
		k = 1;
		while (k < w->rest.len && w->rest.ptr[k] >= '0' &&
		    w->rest.ptr[k] <= '9')
			k++;
		w->port = span_of(w->rest.ptr + 1, k - 1);
	}
	return true;
}

static bool
is_word(char c)
{
	return (c >= '0' && c <= '9') || c == '_' ||
	    ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* A form without the port when that is the scheme's own */
static void
drop_port(struct forms *f, const struct web *w)
{
	const char *own = span_is(w->proto, "http://") ? "80" : "443";
	size_t n = strlen(own) + 1;

	if (w->port.len < n - 1 || memcmp(w->port.ptr, own, n - 1) != 0 ||
	    (n < w->rest.len && is_word(w->rest.ptr[n])))
		return;
	add_joined(f, w->proto, w->host, span_from(w->rest, n));
}

/* A URI inside the URI: where a redirector leads */
static void
find_redirect(struct forms *f, const struct web *w)
{
	struct buf b;
	struct span whole, target;
	bool found = false;

	if (f->rules != NULL && f->rules->redirect != NULL) {
		buf_init(&b, (size_t)16 * URI_MAX_BYTES);
		buf_add_span(&b, w->proto);
		buf_add_span(&b, w->host);
		buf_add_span(&b, w->rest);
		whole = arena_span(f->arena, buf_span(&b));
		buf_done(&b);
		if (whole.ptr == NULL) {
			f->failed = true;
			return;
		}
		found = f->rules->redirect(f->rules->ctx, whole, &target);
		if (found)
			add_uri(f, target);
	}
	for (size_t i = 0; !found && i + 5 < w->rest.len; i++) {
		size_t n;

		target = span_from(w->rest, i);
		n = http_scheme(target);
		if (n == 0)
			continue;
		target.len = find_any(target, "&#");
		found = target.len > n;
		if (found && memchr(target.ptr, '.', target.len) != NULL)
			add_uri(f, target);
	}
}

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
	add_joined(f, w->proto, span_cstr(text), w->rest);
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
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	return s.len != 0;
}

/* Hosts that are addresses in disguise, and hosts that are one word */
static void
read_host(struct forms *f, const struct web *w, struct span named)
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
		add_joined(f, w->proto, span_cstr(text), w->rest);
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
			add_joined(f, w->proto, buf_span(&b), w->rest);
			buf_done(&b);
		}
	}
}

static bool
is_alnum(char c)
{
	return is_word(c) && c != '_';
}

static void
read_web(struct forms *f, struct web *w)
{
	struct span h, named;
	char *copy = arena_memdup(f->arena, w->host.ptr, w->host.len), *low;
	size_t n = 0;

	low = arena_memdup(f->arena, w->host.ptr, w->host.len);
	if (copy == NULL || low == NULL) {
		f->failed = true;
		return;
	}
	if (w->port.len != 0)
		drop_port(f, w);
	for (size_t i = 0; i < w->host.len; i++) {
		if (low[i] >= 'A' && low[i] <= 'Z')
			low[i] = (char)(low[i] | 0x20);
		if ((unsigned char)copy[i] > 0x20)
			copy[n++] = copy[i];
	}
	named = span_of(low, w->host.len);
	if (n != w->host.len) {
		w->host = span_of(copy, n);
		add_joined(f, w->proto, w->host, w->rest);
	}
	find_redirect(f, w);
	h = w->host;
	n = span_find(h, '@');
	if (n > 0 && n < h.len) {
		h = span_from(h, n + 1);
		w->host = h;
		add_joined(f, w->proto, h, w->rest);
	}
	/* text around it: "see http://example.org!!" */
	for (n = h.len; n > 0 && !is_alnum(h.ptr[n - 1]);)
		n--;
	if (n != h.len) {
		w->host.len = n;
		add_joined(f, w->proto, w->host, w->rest);
	}
	read_host(f, w, named);
}

static void
read_uri(struct forms *f, struct span uri)
{
	struct span s;
	struct web w;
	size_t n;

	if (uri.len <= 1 || uri.ptr[0] == '#' || uri.ptr[0] == '?' ||
	    uri.ptr[0] == '&' || (uri.ptr[0] == '/' && uri.ptr[1] != '/'))
		return;
	n = find_any(uri, ":@");
	if (span_istarts(uri, "mailto:") || (n < uri.len && uri.ptr[n] == '@')) {
		read_mail(f, uri);
		return;
	}
	s = normalize(f, uri);
	if (s.ptr == NULL) {
		f->failed = true;
		return;
	}
	if (!span_eq(s, uri))
		add_form(f, s);
	if (split_web(s, &w))
		read_web(f, &w);
}

int
uri_canonicalize(struct arena *a, struct span uri, bool wide,
    const struct uri_rules *rules, struct span **ret_list, size_t *ret_count)
{
	struct forms f = { .arena = a, .rules = rules, .wide = wide };
	struct span *list;
	size_t n = 0;

	f.uris = ARENA_ARRAY(a, MAX_REDIRECTS, struct span);
	f.forms = calloc(MAX_FORMS, sizeof(*f.forms));
	if (f.uris == NULL || f.forms == NULL) {
		free(f.forms);
		return -ENOMEM;
	}
	buf_init(&f.scratch, (size_t)16 * URI_MAX_BYTES);
	f.uris[f.uri_count++] = uri;
	for (size_t i = 0; i < f.uri_count && !f.failed; i++) {
		f.uris[i] = tidy(a, f.uris[i]);
		if (f.uris[i].ptr == NULL)
			f.failed = true;
		else
			read_uri(&f, f.uris[i]);
	}
	list = ARENA_ARRAY(a, f.uri_count + f.form_count, struct span);
	f.failed = f.failed || f.scratch.failed || list == NULL;
	for (size_t i = 0; !f.failed && i < f.uri_count + f.form_count; i++) {
		struct span s = i < f.uri_count ? f.uris[i]
		    : f.forms[i - f.uri_count];
		size_t k = 0;

		if (s.len > URI_MAX_BYTES)
			s.len = URI_MAX_BYTES;
		while (k < n && !span_eq(list[k], s))
			k++;
		if (k == n)
			list[n++] = s;
	}
	buf_done(&f.scratch);
	free(f.forms);
	*ret_list = list;
	*ret_count = n;
	return f.failed ? -ENOMEM : 0;
}
