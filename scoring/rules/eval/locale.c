#include <errno.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/locale.h"
#include "scoring/rules/eval/probe.h"

/* Charsets beyond the Latin and Unicode ones, which always pass */
static const struct {
	const char *language, *charsets;
} of_language[] = {
	{ "ja", " EUCJP JISX020119760 JISX020819830 JISX020819900 JISX020819970 "
		"JISX021219900 JISX021320001 JISX021320002 SHIFT_JIS SHIFTJIS "
		"ISO2022JP SJIS JIS7 JISX0201 JISX0208 JISX0212 " },
	{ "ko", " EUCKR KSC56011987 " },
	{ "ru", " KOI8R KOI8U KOI8T ISOIR111 CP1251 GEORGIANPS PT154 CP866 " },
	{ "ka", " KOI8R KOI8U KOI8T ISOIR111 CP1251 GEORGIANPS PT154 CP866 " },
	{ "tg", " KOI8R KOI8U KOI8T ISOIR111 CP1251 GEORGIANPS PT154 CP866 " },
	{ "be", " KOI8R KOI8U KOI8T ISOIR111 CP1251 GEORGIANPS PT154 CP866 " },
	{ "uk", " KOI8R KOI8U KOI8T ISOIR111 CP1251 GEORGIANPS PT154 CP866 " },
	{ "bg", " KOI8R KOI8U KOI8T ISOIR111 CP1251 GEORGIANPS PT154 CP866 " },
	{ "th", " TIS620 " },
	{ "zh", " GB1988 GB2312 GB231219800 GB18030 GBK BIG5HKSCS BIG5 EUCTW "
		"ISO2022CN " },
};

void
locale_load(struct eval_loader *l, struct locale *ret)
{
	const struct eval_line *lines;
	size_t count;

	*ret = (struct locale){ .all = true };
	eval_lines(l, "ok_locales", &lines, &count);
	if (count == 0)
		return;
	ret->words = lines[count - 1].value;
	ret->all = false;
	for (struct span rest = ret->words; rest.len > 0;)
		ret->all |= span_is(conf_next_word(&rest), "all");
}

bool
locale_charset_ok(const struct locale *locale, struct span charset)
{
	static const char *const fine[] = { "ISO8859", "ISO10646", "UTF", "UCS",
		"CP125", "WINDOWS", "UNICODE11UTF" };
	static const char *const fine_whole[] = { "USASCII", "ASCII", "IBM852",
		"XUNKNOWN", "ISO" };
	char name[66] = " ";
	size_t n = 1;

	if (locale->all)
		return true;
	for (size_t i = 0; i < charset.len && n + 2 < sizeof(name); i++) {
		char c = charset.ptr[i];

		if (c >= 'a' && c <= 'z')
			c -= 'a' - 'A';
		if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
			name[n++] = c;
	}
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (strncmp(name + 1, fine[i], strlen(fine[i])) == 0)
			return true;
	for (size_t i = 0; i < sizeof(fine_whole) / sizeof(fine_whole[0]); i++)
		if (strcmp(name + 1, fine_whole[i]) == 0)
			return true;
	name[n] = ' ';
	for (struct span rest = locale->words; rest.len > 0;) {
		struct span w = conf_next_word(&rest);

		for (size_t i = 0; i < sizeof(of_language) / sizeof(of_language[0]); i++)
			if (span_istarts(w, of_language[i].language) &&
			    strstr(of_language[i].charsets, name) != NULL)
				return true;
	}
	return false;
}

/* ---- the functions that ask for nothing else */

enum { ENCODED_WORD, CT_QUOTED, CT_APOSTROPHE, CT_BARE, PATTERNS };

static const char *const texts[PATTERNS] = {
	[ENCODED_WORD] = "/=\\?(.+?)\\?.\\?.*?\\?=/",
	[CT_QUOTED] = "/charset=\"([^\"]+)\"/i",
	[CT_APOSTROPHE] = "/charset='([^']+)'/i",
	[CT_BARE] = "/charset=(\\S+)/i",
};

struct faraway {
	struct pattern **patterns;
	struct locale locale;
};

static int
load(struct eval_loader *l, void **ret_state)
{
	struct faraway *s = ARENA_NEW(eval_arena(l), struct faraway);
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

static int
run_headers(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	static const char *const fields[] = { "From:raw", "Subject:raw" };
	const struct faraway *s = eval_state(ctx);
	struct probe p = { ctx, s->patterns, 0 };
	bool hit = false;

	(void)call;
	for (size_t i = 0; i < 2 && !s->locale.all && !hit; i++) {
		struct span v = probe_get(&p, fields[i]), g[2];

		while (!hit && probe_groups(&p, ENCODED_WORD, v, g, 2)) {
			hit = !locale_charset_ok(&s->locale, g[1]);
			v = span_from(v, (size_t)(g[0].ptr - v.ptr) + g[0].len);
		}
	}
	return probe_end(&p, r, hit);
}

/* Some charsets contain ASCII: only a text that is mostly not counts. */
static bool
mostly_high(const struct texts *body)
{
	size_t high = 0, low = 0;

	for (size_t i = 0; i < body->count; i++)
		for (size_t k = 0; k < body->items[i].len; k++)
			if ((unsigned char)body->items[i].ptr[k] >= 0x80)
				high++;
			else
				low++;
	return low <= high && high > 3;
}

static int
run_body(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct faraway *s = eval_state(ctx);
	struct probe p = { ctx, s->patterns, 0 };
	const struct texts *body;
	struct span type, g[2];
	bool hit = false;

	(void)call;
	if (!s->locale.all) {
		type = probe_get(&p, "Content-Type");
		if ((probe_groups(&p, CT_QUOTED, type, g, 2) ||
			probe_groups(&p, CT_APOSTROPHE, type, g, 2) ||
			probe_groups(&p, CT_BARE, type, g, 2)) &&
		    !locale_charset_ok(&s->locale, g[1])) {
			if (body_rendered(eval_input(ctx)->message, &body) != 0)
				return -ENOMEM;
			hit = mostly_high(body);
		}
	}
	return probe_end(&p, r, hit);
}

/* html_charset_faraway: SpamAssassin 4.0 notes the charsets of <meta> and
 * never hands them on, so that nothing is ever found */
static const struct eval_function functions[] = {
	{ "check_for_faraway_charset_in_headers", EVAL_HEADER, "", run_headers, NULL, NULL },
	{ "check_for_faraway_charset", EVAL_BODY | EVAL_RAWBODY, "", run_body, NULL, NULL },
	{ "html_charset_faraway", EVAL_BODY | EVAL_RAWBODY, "", probe_never, NULL, NULL },
	{ 0 },
};

static const struct eval_directive directives[] = {
	{ "ok_locales", DIRECTIVE_LINES, NULL },
	{ 0 },
};

const struct eval_family eval_locale = {
	"Mail::SpamAssassin::Plugin::HeaderEval", functions, directives, NULL, load,
};
