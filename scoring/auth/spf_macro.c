/* Macro-strings: checking and expansion (RFC 7208 7). libspf2 never sees one:
 * its expansion carries an open CVE (2023-42118). */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

#include "base/ascii.h"
#include "scoring/auth/dns.h"
#include "scoring/auth/spf.h"
#include "scoring/auth/spf_record.h"

static const char letters[] = "slodiphv";
static const char exp_letters[] = "slodiphvcrt";
static const char delimiters[] = ".-+,/_=";

struct macro {
	char letter; /* lower case; 0: a literal, in `literal` */
	const char *literal;
	bool url_escape, reverse;
	unsigned parts; /* 0: all */
	bool delimiter[128];
};

/* Parses the macro-expand at text[*i] (a '%'), moves *i behind it. */
static bool
macro_parse(struct span text, size_t *i, const char *allowed,
    struct macro *ret_macro)
{
	struct macro m = { 0 };
	size_t k = *i + 1, digits = 0;
	bool any = false;

	if (k >= text.len)
		return false;
	switch (text.ptr[k]) {
	case '%':
		m.literal = "%";
		break;
	case '_':
		m.literal = " ";
		break;
	case '-':
		m.literal = "%20";
		break;
	case '{':
		break;
	default:
		return false;
	}
	k++;
	if (m.literal != NULL) {
		*i = k;
		*ret_macro = m;
		return true;
	}
	if (k >= text.len)
		return false;
	m.letter = (char)tolower((unsigned char)text.ptr[k]);
	m.url_escape = text.ptr[k] != m.letter;
	if (m.letter == '\0' || strchr(allowed, m.letter) == NULL)
		return false;
	for (k++; k < text.len && isdigit((unsigned char)text.ptr[k]); k++) {
		if (++digits > 3)
			return false;
		m.parts = m.parts * 10 + (unsigned)(text.ptr[k] - '0');
	}
	if (digits > 0 && m.parts == 0)
		return false;
	if (k < text.len && (text.ptr[k] == 'r' || text.ptr[k] == 'R')) {
		m.reverse = true;
		k++;
	}
	for (; k < text.len && text.ptr[k] != '}'; k++) {
		char c = text.ptr[k];

		if (c == '\0' || strchr(delimiters, c) == NULL)
			return false;
		m.delimiter[(unsigned char)c] = true;
		any = true;
	}
	if (k >= text.len)
		return false;
	if (!any)
		m.delimiter['.'] = true;
	*i = k + 1;
	*ret_macro = m;
	return true;
}

/* "." toplabel [ "." ] at the end of a run of literals */
static bool
ends_in_toplabel(struct span s)
{
	size_t start;
	bool alpha = false, dash = false;

	if (s.len > 0 && s.ptr[s.len - 1] == '.')
		s.len--;
	for (start = s.len; start > 0 && (ascii_is_alnum(s.ptr[start - 1]) ||
	     s.ptr[start - 1] == '-'); start--) {
		alpha |= !isdigit((unsigned char)s.ptr[start - 1]);
		dash |= s.ptr[start - 1] == '-';
	}
	if (start == 0 || start == s.len || s.ptr[start - 1] != '.')
		return false;
	if (s.ptr[start] == '-' || s.ptr[s.len - 1] == '-')
		return false;
	return alpha || dash;
}

bool
spf_macro_check(struct span text, enum spf_text kind)
{
	const char *allowed = kind == SPF_EXPLANATION ? exp_letters : letters;
	size_t literals = 0; /* where the last run of literals began */
	struct macro m;

	for (size_t i = 0; i < text.len;) {
		char c = text.ptr[i];

		if (c == '%') {
			if (!macro_parse(text, &i, allowed, &m))
				return false;
			literals = i;
		} else if ((c >= 0x21 && c <= 0x7E) ||
		    (c == ' ' && kind == SPF_EXPLANATION)) {
			i++;
		} else {
			return false;
		}
	}
	if (kind != SPF_DOMAIN_SPEC)
		return true;
	if (text.len == 0)
		return false;
	return literals == text.len || /* ends in a macro-expand */
	    ends_in_toplabel(span_from(text, literals));
}

static void
ip_dotted(const struct netaddr *ip, struct buf *out)
{
	if (ip->family != 6) {
		buf_printf(out, "%u.%u.%u.%u", ip->bytes[0], ip->bytes[1],
		    ip->bytes[2], ip->bytes[3]);
		return;
	}
	for (unsigned i = 0; i < 32; i++)
		buf_printf(out, "%s%X", i == 0 ? "" : ".",
		    ip->bytes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 0xF);
}

/* The macro's value before transformers. False: p is not to be had here. */
static bool
macro_value(const struct spf_macros *m, char letter, struct buf *out)
{
	char text[NETADDR_TEXT];

	switch (letter) {
	case 's':
		buf_add_span(out, m->sender_local);
		buf_add_char(out, '@');
		buf_add_span(out, m->sender_domain);
		break;
	case 'l':
		buf_add_span(out, m->sender_local);
		break;
	case 'o':
		buf_add_span(out, m->sender_domain);
		break;
	case 'd':
		buf_add_span(out, m->domain);
		break;
	case 'i':
		ip_dotted(&m->ip, out);
		break;
	case 'p':
		if (m->validated_name == NULL)
			return false;
		m->validated_name(m->arg, m->domain, out);
		break;
	case 'v':
		buf_add_str(out, m->ip.family == 6 ? "ip6" : "in-addr");
		break;
	case 'h':
		buf_add_span(out, m->helo);
		break;
	case 'c':
		buf_add_str(out, netaddr_format(&m->ip, text));
		break;
	case 'r':
		if (m->receiver.len != 0)
			buf_add_span(out, m->receiver);
		else
			buf_add_str(out, "unknown");
		break;
	case 't':
		buf_printf(out, "%lld", (long long)m->now);
		break;
	}
	return true;
}

static void
add_escaped(struct buf *out, struct span s, bool url_escape)
{
	if (!url_escape) {
		buf_add_span(out, s);
		return;
	}
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (ascii_is_alnum(c) || (c != '\0' && strchr("-._~", c) != NULL))
			buf_add_char(out, c);
		else
			buf_printf(out, "%%%02X", (unsigned char)c);
	}
}

static bool
is_delimiter(const struct macro *m, char c)
{
	return (unsigned char)c < 128 && m->delimiter[(unsigned char)c];
}

/* Splits at the delimiters, reverses, keeps the right-hand parts, joins by
 * dots. Works from the list of part ends, so nothing is moved. */
static void
transform(const struct macro *m, struct span value, struct buf *out)
{
	size_t count = 1, skip, seen = 0;
	bool dots_only = true;

	for (size_t i = 0; i < value.len; i++)
		count += is_delimiter(m, value.ptr[i]);
	for (const char *d = delimiters + 1; *d != '\0'; d++)
		dots_only &= !m->delimiter[(unsigned char)*d];
	if (dots_only && !m->reverse && (m->parts == 0 || m->parts >= count)) {
		add_escaped(out, value, m->url_escape);
		return;
	}
	skip = m->parts != 0 && m->parts < count ? count - m->parts : 0;
	if (!m->reverse) {
		size_t start = 0;

		for (size_t i = 0; i <= value.len; i++) {
			if (i < value.len && !is_delimiter(m, value.ptr[i]))
				continue;
			if (seen++ >= skip) {
				if (seen - 1 > skip)
					buf_add_char(out, '.');
				add_escaped(out, span_of(value.ptr + start,
				    i - start), m->url_escape);
			}
			start = i + 1;
		}
		return;
	}
	for (size_t end = value.len, i = value.len;; i--) {
		if (i > 0 && !is_delimiter(m, value.ptr[i - 1]))
			continue;
		if (seen++ >= skip) {
			if (seen - 1 > skip)
				buf_add_char(out, '.');
			add_escaped(out, span_of(value.ptr + i, end - i),
			    m->url_escape);
		}
		if (i == 0)
			break;
		end = i - 1;
	}
}

bool
spf_macro_expand(const struct spf_macros *m, struct span text,
    struct buf *out)
{
	struct buf value;
	bool ok = true;

	buf_init(&value, 4096);
	for (size_t i = 0; ok && i < text.len;) {
		struct macro macro;

		if (text.ptr[i] != '%') {
			buf_add_char(out, text.ptr[i++]);
			continue;
		}
		if (!macro_parse(text, &i, exp_letters, &macro)) {
			ok = false;
		} else if (macro.literal != NULL) {
			buf_add_str(out, macro.literal);
		} else {
			buf_reset(&value);
			ok = macro_value(m, macro.letter, &value) &&
			    !value.failed;
			if (ok)
				transform(&macro, buf_span(&value), out);
		}
	}
	buf_done(&value);
	return ok && !out->failed;
}

bool
spf_macro_expand_name(const struct spf_macros *m, struct span text,
    char *out_name, bool *ret_invalid)
{
	struct buf out;
	struct span name;
	bool ok;

	*ret_invalid = false;
	buf_init(&out, 16 * 1024);
	if (!spf_macro_expand(m, text, &out)) {
		/* too long for any name is no name */
		*ret_invalid = out.failed;
		buf_done(&out);
		return false;
	}
	name = buf_span(&out);
	if (name.len > 0 && name.ptr[name.len - 1] == '.')
		name.len--;
	while (name.len > 253) {
		size_t dot = span_find(name, '.');

		if (dot == name.len)
			break;
		name = span_from(name, dot + 1);
	}
	ok = name.len > 0 && dns_name_from_bytes(name, out_name);
	*ret_invalid = !ok;
	buf_done(&out);
	return ok;
}

struct spf_macros
spf_query_macros(const struct spf_query *q)
{
	return (struct spf_macros){
		.sender_local = q->sender_local.len != 0 ? q->sender_local :
		    SPAN_LIT("postmaster"),
		.sender_domain = q->sender_domain,
		.ip = q->ip,
		.helo = span_cstr(q->helo != NULL ? q->helo : "unknown"),
		.receiver = span_cstr(q->receiver),
		.now = q->now,
	};
}
