#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/escape.h"
#include "scoring/message/charset.h"
#include "scoring/message/regex.h"

static const char REPLACEMENT[] = "\xEF\xBF\xBD";

/* 0x80..0x9F of Windows-1252; 0: unassigned */
static const uint16_t w1252[32] = {
	0x20AC, 0, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
	0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017D, 0,
	0, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
	0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0, 0x017E, 0x0178,
};

bool
text_is_ascii(struct span s)
{
	size_t i = 0;

	for (; i + 8 <= s.len; i += 8) {
		uint64_t w;

		memcpy(&w, s.ptr + i, 8);
		if (w & 0x8080808080808080u)
			return false;
	}
	for (; i < s.len; i++)
		if (s.ptr[i] & 0x80)
			return false;
	return true;
}

static bool
is_noncharacter(uint32_t cp)
{
	return (cp & 0xFFFE) == 0xFFFE || (cp >= 0xFDD0 && cp <= 0xFDEF);
}

bool
text_is_utf8(struct span s)
{
	size_t i = 0;

	while (i < s.len) {
		uint32_t cp;
		size_t n, skip;
		uint64_t w;

		if (i + 8 <= s.len) {
			memcpy(&w, s.ptr + i, 8);
			if ((w & 0x8080808080808080u) == 0) {
				i += 8;
				continue;
			}
		}
		if ((s.ptr[i] & 0x80) == 0) {
			i++;
			continue;
		}
		n = utf8_decode(span_from(s, i), &cp, &skip);
		if (n == 0 || is_noncharacter(cp))
			return false;
		i += n;
	}
	return true;
}

static int
to_arena(struct arena *a, struct buf *b, struct span *ret_text)
{
	bool ok = !b->failed;

	if (ok) {
		*ret_text = arena_span(a, buf_span(b));
		ok = ret_text->ptr != NULL;
	}
	buf_done(b);
	return ok ? 0 : -ENOMEM;
}

/* Single bytes to UTF-8: high32 maps 0x80..0x9F, NULL: ISO 8859-1 */
static int
from_latin(struct arena *a, struct span in, const uint16_t *high32,
    struct span *ret_text)
{
	char *out;
	size_t n = 0;

	out = arena_bytes(a, in.len * 3 + 1);
	if (out == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		uint32_t cp = c;

		if (c < 0x80) {
			out[n++] = (char)c;
			continue;
		}
		if (c < 0xA0 && high32 != NULL) {
			cp = high32[c - 0x80];
			if (cp == 0)
				cp = 0xFFFD;
		}
		n += utf8_encode(cp, out + n);
	}
	*ret_text = span_of(out, n);
	return 0;
}

static int
from_utf8_lax(struct arena *a, struct span in, struct span *ret_text)
{
	struct buf b;

	buf_init(&b, in.len * 3 + 16);
	for (size_t i = 0; i < in.len;) {
		uint32_t cp;
		size_t skip, n = utf8_decode(span_from(in, i), &cp, &skip);

		if (n == 0 || is_noncharacter(cp)) {
			buf_add_str(&b, REPLACEMENT);
			i += n != 0 ? n : skip;
		} else {
			buf_add(&b, in.ptr + i, n);
			i += n;
		}
	}
	return to_arena(a, &b, ret_text);
}

/* 0; -EILSEQ when strict and the bytes are not of that charset; -ENOMEM;
 * -EINVAL: no such converter */
static int
from_iconv(struct arena *a, struct span in, const char *name, bool strict,
    struct span *ret_text)
{
	iconv_t cd = iconv_open("UTF-8", name);
	char *src = (char *)(uintptr_t)in.ptr;
	size_t left = in.len;
	struct buf b;
	int rc = 0;

	if (cd == (iconv_t)-1)
		return errno == ENOMEM ? -ENOMEM : -EINVAL;
	buf_init(&b, in.len * 6 + 64);
	for (bool flush = false; !b.failed;) {
		char chunk[4096], *out = chunk;
		size_t room = sizeof(chunk), got;

		got = iconv(cd, flush ? NULL : &src, flush ? NULL : &left,
		    &out, &room);
		buf_add(&b, chunk, sizeof(chunk) - room);
		if (got != (size_t)-1) {
			if (flush)
				break;
			flush = true;
		} else if (errno == E2BIG) {
			continue;
		} else if (flush) {
			break;
		} else {
			/* EILSEQ, or EINVAL at a cut sequence at the end */
			if (strict) {
				rc = -EILSEQ;
				break;
			}
			buf_add_str(&b, REPLACEMENT);
			if (left == 0)
				break;
			src++;
			left--;
		}
	}
	iconv_close(cd);
	if (rc != 0) {
		buf_done(&b);
		return rc;
	}
	return to_arena(a, &b, ret_text);
}

static bool
all_digits(const char *s, size_t min, size_t max)
{
	size_t n = strspn(s, "0123456789");

	return s[n] == '\0' && n >= min && n <= max;
}

/* "pre" followed by an optional one of sep; returns the rest or NULL */
static const char *
after(const char *s, const char *pre, const char *sep)
{
	size_t n = strlen(pre);

	if (strncmp(s, pre, n) != 0)
		return NULL;
	s += n;
	if (*s != '\0' && strchr(sep, *s) != NULL)
		s++;
	return s;
}

/* Names whose ASCII bytes always mean ASCII: such text needs no decoding. */
static bool
keeps_ascii(const char *n)
{
	const char *p;

	if (strcmp(n, "us-ascii") == 0 || strcmp(n, "ascii") == 0 ||
	    strcmp(n, "iso646-us") == 0 || strcmp(n, "utf8") == 0 ||
	    strcmp(n, "utf-8") == 0 || strcmp(n, "big5") == 0 ||
	    strcmp(n, "gbk") == 0 || strcmp(n, "ansi_x3.4-1968") == 0 ||
	    strcmp(n, "ansi_x3.4-1986") == 0 || strcmp(n, "iso8859") == 0 ||
	    strcmp(n, "iso-8859") == 0)
		return true;
	if ((p = after(n, "iso", "- ")) != NULL &&
	    strncmp(p, "8859-", 5) == 0 && all_digits(p + 5, 1, 2))
		return true;
	if (strncmp(n, "windows-", 8) == 0 && all_digits(n + 8, 4, 4))
		return true;
	if ((strncmp(n, "koi8-", 5) == 0 || strncmp(n, "euc-", 4) == 0)) {
		p = strchr(n, '-') + 1;
		return p[0] >= 'a' && p[0] <= 'z' && (p[1] == '\0' ||
		    (p[1] >= 'a' && p[1] <= 'z' && p[2] == '\0'));
	}
	p = after(n, "gb", "- ");
	return p != NULL && strncmp(p, "18030", 5) == 0;
}

/* What mail calls a charset, and what iconv calls it; "%s" is the first
 * group. The set is Perl's Encode's, so that the guessing goes on at the same
 * names. The first rows are the common ones, compared as they are. */
static const struct {
	const char *mail, *iconv;
} exact_names[] = {
	{ "us-ascii", "US-ASCII" }, { "ascii", "US-ASCII" },
	{ "gb2312", "EUC-CN" }, { "gbk", "CP936" }, { "gb18030", "CP936" },
	{ "gb-18030", "CP936" }, { "gb18030-2000", "CP936" },
	{ "gb18030-2005", "CP936" }, { "big5", "BIG5" },
	{ "ks_c_5601-1987", "CP949" }, { "euc-kr", "EUC-KR" },
	{ "iso-2022-jp", "ISO-2022-JP" }, { "iso-2022-jp-1", "ISO-2022-JP-1" },
	{ "iso-2022-kr", "ISO-2022-KR" }, { "koi8-r", "KOI8-R" },
	{ "koi8-u", "KOI8-U" }, { "viscii", "VISCII" },
	{ "macintosh", "MACINTOSH" }, { "macroman", "MACINTOSH" },
	{ "cyrillic", "ISO-8859-5" }, { "arabic", "ISO-8859-6" },
	{ "greek", "ISO-8859-7" }, { "hebrew", "ISO-8859-8" },
	{ "thai", "TIS-620" },
};

static struct {
	struct regex mail;
	const char *iconv;
} name_forms[] = {
#define FORM(text, name) { { text, 0, NULL }, name }
	FORM("\\biso[-_]?8859[-_](\\d{1,2})$", "ISO-8859-%s"),
	FORM("\\biso8859(\\d{1,2})$", "ISO-8859-%s"),
	FORM("\\b(?:cp|ibm|ms|windows)[-_ ]?(\\d{2,4})$", "CP%s"),
	FORM("^(?:unicode-1-1-)?utf-?7$", "UTF-7"),
	FORM("^utf-?(16|32)-?be$", "UTF-%sBE"),
	FORM("^utf-?(16|32)-?le$", "UTF-%sLE"),
	FORM("^utf-?(16|32)$", "UTF-%s"),
	FORM("^ucs-?2-?le$", "UTF-16LE"),
	FORM("^(?:ucs-?2-?(?:be)?|iso-10646-1)$", "UTF-16BE"),
	FORM("\\b(?:iso[-_]?)?646(?:[-_]?us)?$", "US-ASCII"),
	FORM("\\bansi[-_]?x3\\.4[-_]?1968$", "US-ASCII"),
	FORM("\\b(?:iso[-_]?)?latin[-_]?([1-4])$", "ISO-8859-%s"),
	FORM("\\b(?:iso[-_]?)?latin[-_]?5$", "ISO-8859-9"),
	FORM("\\b(?:iso[-_]?)?latin[-_]?9$", "ISO-8859-15"),
	FORM("\\bwinlatin2$", "CP1250"), FORM("\\bwincyrillic$", "CP1251"),
	FORM("\\bwinlatin1$", "CP1252"), FORM("\\bwingreek$", "CP1253"),
	FORM("\\bwinturkish$", "CP1254"), FORM("\\bwinhebrew$", "CP1255"),
	FORM("\\bwinarabic$", "CP1256"), FORM("\\bwinbaltic$", "CP1257"),
	FORM("\\bwinvietnamese$", "CP1258"),
	FORM("\\btis-?620\\b", "TIS-620"),
	FORM("^(?:x[_-])?mac[_-]?roman$", "MACINTOSH"),
	FORM("^(?:x[_-])?mac[_-]?cyrillic$", "MAC-CYRILLIC"),
	FORM("\\bkoi8[\\s_-]*r$", "KOI8-R"), FORM("\\bkoi8[\\s_-]*u$", "KOI8-U"),
	FORM("\\beuc.*cn$", "EUC-CN"), FORM("\\bcn.*euc$", "EUC-CN"),
	FORM("\\bgb[-_ ]?2312(?!-?raw)", "EUC-CN"),
	FORM("\\bshift.*jis$", "SHIFT_JIS"), FORM("\\bsjis$", "SHIFT_JIS"),
	FORM("\\beuc.*jp$", "EUC-JP"), FORM("\\bjp.*euc$", "EUC-JP"),
	FORM("\\bujis$", "EUC-JP"), FORM("\\bwindows-31j$", "CP932"),
	FORM("\\bjis$", "ISO-2022-JP"),
	FORM("\\beuc.*kr$", "EUC-KR"), FORM("\\bkr.*euc$", "EUC-KR"),
	FORM("(?:x-)?uhc$", "CP949"), FORM("\\bks_c_5601-1987$", "CP949"),
	FORM("\\b(?:big-?5|big5-?et(?:en)?|tca[-_]?big5)$", "BIG5"),
	FORM("\\b(?:big5-?hk(?:scs)?|hk(?:scs)?[-_]?big5)$", "BIG5-HKSCS"),
#undef FORM
};

static const char *
iconv_name(const char *n, char out[32])
{
	struct span g[2];

	for (size_t i = 0; i < sizeof(exact_names) / sizeof(exact_names[0]); i++)
		if (strcmp(n, exact_names[i].mail) == 0)
			return exact_names[i].iconv;
	for (size_t i = 0; i < sizeof(name_forms) / sizeof(name_forms[0]); i++) {
		if (!regex_match(&name_forms[i].mail, span_cstr(n), 0, g, 2))
			continue;
		if (strstr(name_forms[i].iconv, "%s") == NULL)
			return name_forms[i].iconv;
		snprintf(out, 32, "%.*s%.*s%s",
		    (int)strcspn(name_forms[i].iconv, "%"),
		    name_forms[i].iconv, SPAN_ARG(g[1]),
		    strchr(name_forms[i].iconv, '%') + 2);
		return out;
	}
	return NULL;
}

/* Which end the zero bytes of UTF-16 text are on; NULL: cannot tell */
static const char *
guess_utf16(struct span s)
{
	size_t le = 0, be = 0;
	uint64_t even = 0, odd = 0;

	if (s.len >= 2 && ((s.ptr[0] == '\xFF' && s.ptr[1] == '\xFE') ||
	    (s.ptr[0] == '\xFE' && s.ptr[1] == '\xFF')))
		return NULL;
	for (size_t i = 0; i + 1 < s.len; i += 2) {
		unsigned char a = (unsigned char)s.ptr[i];
		unsigned char b = (unsigned char)s.ptr[i + 1];

		even += (uint64_t)(a >> 4) + (a & 15);
		odd += (uint64_t)(b >> 4) + (b & 15);
		le += a == 0x20 && b == 0;
		be += a == 0 && b == 0x20;
	}
	le += even > odd * 4;
	be += odd * 4 > even;
	if (le == be)
		return NULL;
	return le > be ? "UTF-16LE" : "UTF-16BE";
}

int
charset_to_utf8(struct arena *a, struct span in, struct span charset,
    enum charset_use use, struct span *ret_text)
{
	bool ascii = text_is_ascii(in);
	char name[32], mapped[32];
	const char *converter;
	int rc = -EILSEQ;

	*ret_text = in;
	if (in.len > SIZE_MAX / 8)
		return -ENOMEM;
	if (charset.len >= sizeof(name))
		charset.len = 0; /* no charset is called so */
	for (size_t i = 0; i < charset.len; i++) {
		char c = charset.ptr[i];

		name[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
		if (c == '\0')
			charset.len = i;
	}
	name[charset.len] = '\0';
	if (ascii && keeps_ascii(name))
		return 0;
	if (!ascii && use == CHARSET_BODY && text_is_utf8(in))
		return 0;

	if (use == CHARSET_BODY &&
	    (strcmp(name, "us-ascii") == 0 || strcmp(name, "ascii") == 0)) {
		; /* it is not, as just seen */
	} else if (strncmp(name, "utf-16", 6) == 0 ||
	    strncmp(name, "utf16", 5) == 0 || strncmp(name, "utf 16", 6) == 0) {
		converter = guess_utf16(in);
		if (converter != NULL && use == CHARSET_WORD)
			return 0;
		if (converter != NULL)
			rc = from_iconv(a, in, converter, true, ret_text);
	} else if (strcmp(name, "utf-8") == 0 || strcmp(name, "utf8") == 0) {
		if (use == CHARSET_WORD)
			return from_utf8_lax(a, in, ret_text);
	} else if (strcmp(name, "iso-8859-1") == 0 ||
	    strcmp(name, "iso8859-1") == 0 ||
	    strcmp(name, "windows-1252") == 0 || strcmp(name, "cp1252") == 0) {
		return from_latin(a, in, w1252, ret_text);
	} else if (strcmp(name, "latin1") == 0 ||
	    strcmp(name, "iso_8859-1") == 0) {
		return from_latin(a, in, NULL, ret_text);
	} else {
		converter = iconv_name(name, mapped);
		if (converter != NULL)
			rc = from_iconv(a, in, converter, use == CHARSET_BODY,
			    ret_text);
	}
	if (rc == 0 || rc == -ENOMEM)
		return rc;
	*ret_text = in;
	if (ascii)
		return 0;
	return from_latin(a, in, w1252, ret_text);
}

size_t
utf8_space(const char *p, const char *end)
{
	unsigned char c = (unsigned char)*p;
	size_t n = (size_t)(end - p);

	if (c < 0x80)
		return c == ' ' || (c >= 0x09 && c <= 0x0D);
	if (c == 0xC2 && n >= 2)
		return p[1] == '\x85' || p[1] == '\xA0' ? 2 : 0;
	if (n < 3)
		return 0;
	if (c == 0xE1)
		return p[1] == '\x9A' && p[2] == '\x80' ? 3 : 0;
	if (c == 0xE2 && p[1] == '\x80')
		return ((unsigned char)p[2] <= 0x8A || p[2] == '\xA8' ||
		    p[2] == '\xA9' || p[2] == '\xAF') ? 3 : 0;
	if (c == 0xE2 && p[1] == '\x81')
		return p[2] == '\x9F' ? 3 : 0;
	if (c == 0xE3)
		return p[1] == '\x80' && p[2] == '\x80' ? 3 : 0;
	return 0;
}
