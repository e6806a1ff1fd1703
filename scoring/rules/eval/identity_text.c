/*
 * Texts compared as eyes do: Unicode normal forms through GLib, and a short
 * table of letters that look like Latin ones.
 */
#include <glib.h>

#include "scoring/rules/eval/identity.h"

/* Cyrillic, Greek, Armenian and phonetic letters drawn like Latin ones
 * (facts of Unicode's confusables, the ones seen in mail), by code point */
static const struct {
	gunichar from;
	char to;
} look_alikes[] = {
	{ 0x00DF, 'b' }, { 0x00F8, 'o' }, { 0x0131, 'i' }, { 0x0142, 'l' },
	{ 0x0261, 'g' }, { 0x0262, 'g' }, { 0x026A, 'i' }, { 0x0274, 'n' },
	{ 0x0280, 'r' }, { 0x0299, 'b' }, { 0x029C, 'h' }, { 0x029F, 'l' },
	{ 0x03B1, 'a' }, { 0x03B2, 'b' }, { 0x03B3, 'y' }, { 0x03B5, 'e' },
	{ 0x03B6, 'z' }, { 0x03B7, 'n' }, { 0x03B9, 'i' }, { 0x03BA, 'k' },
	{ 0x03BC, 'm' }, { 0x03BD, 'v' }, { 0x03BF, 'o' }, { 0x03C1, 'p' },
	{ 0x03C4, 't' }, { 0x03C5, 'u' }, { 0x03C7, 'x' }, { 0x03C9, 'w' },
	{ 0x03F2, 'c' }, { 0x03F3, 'j' }, { 0x0430, 'a' }, { 0x0432, 'b' },
	{ 0x0435, 'e' }, { 0x0437, '3' }, { 0x043A, 'k' }, { 0x043C, 'm' },
	{ 0x043D, 'h' }, { 0x043E, 'o' }, { 0x0440, 'p' }, { 0x0441, 'c' },
	{ 0x0442, 't' }, { 0x0443, 'y' }, { 0x0445, 'x' }, { 0x0455, 's' },
	{ 0x0456, 'i' }, { 0x0458, 'j' }, { 0x04BB, 'h' }, { 0x04CF, 'i' },
	{ 0x0501, 'd' }, { 0x050D, 'g' }, { 0x051B, 'q' }, { 0x051D, 'w' },
	{ 0x0570, 'h' }, { 0x0578, 'n' }, { 0x057D, 'u' }, { 0x0581, 'g' },
	{ 0x0585, 'o' }, { 0x1D00, 'a' }, { 0x1D04, 'c' }, { 0x1D05, 'd' },
	{ 0x1D07, 'e' }, { 0x1D0A, 'j' }, { 0x1D0B, 'k' }, { 0x1D0D, 'm' },
	{ 0x1D0F, 'o' }, { 0x1D18, 'p' }, { 0x1D1B, 't' }, { 0x1D1C, 'u' },
	{ 0x1D20, 'v' }, { 0x1D21, 'w' }, { 0x1D22, 'z' },
};

static gunichar
look_alike(gunichar c)
{
	size_t low = 0, high = G_N_ELEMENTS(look_alikes);

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (look_alikes[mid].from == c)
			return (gunichar)look_alikes[mid].to;
		if (look_alikes[mid].from < c)
			low = mid + 1;
		else
			high = mid;
	}
	return c;
}

static bool
invisible(gunichar c)
{
	return c == 0xAD || c == 0x34F || c == 0x180E ||
	    (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
	    (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

/* The accents that languages use; other marks are decoration */
static bool
accent(gunichar c)
{
	return (c >= 0x300 && c <= 0x304) || (c >= 0x306 && c <= 0x30C) ||
	    c == 0x327 || c == 0x328;
}

static bool
is_mark(gunichar c)
{
	GUnicodeType t = g_unichar_type(c);

	return t == G_UNICODE_NON_SPACING_MARK || t == G_UNICODE_ENCLOSING_MARK ||
	    t == G_UNICODE_SPACING_MARK;
}

/* What people write for a letter they may not write */
static gunichar
leet(gunichar c)
{
	switch (c) {
	case '0': return 'o';
	case '1': case '!': case '|': return 'i';
	case '3': return 'e';
	case '4': case '@': return 'a';
	case '5': case '$': return 's';
	case '7': return 't';
	case '8': return 'b';
	default: return c;
	}
}

struct words {
	char *ptr;
	size_t len, size;
};

static void
words_add(struct words *w, gunichar c)
{
	if (c < 0x80 && w->len + 1 < w->size)
		w->ptr[w->len++] = (char)c;
	else if (w->len + 6 < w->size)
		w->len += (size_t)g_unichar_to_utf8(c, w->ptr + w->len);
}

static void
words_gap(struct words *w)
{
	if (w->len > 0 && w->ptr[w->len - 1] != ' ' && w->len + 1 < w->size)
		w->ptr[w->len++] = ' ';
}

static bool
words_begin(struct words *w, struct arena *a, size_t size)
{
	*w = (struct words){ arena_bytes(a, size), 1, size };
	if (w->ptr != NULL)
		w->ptr[0] = ' ';
	return w->ptr != NULL;
}

static struct span
words_end(struct words *w)
{
	words_gap(w);
	return span_of(w->ptr, w->len);
}

static void
fold_plain(struct words *w, const char *text)
{
	gchar *s = g_utf8_normalize(text, -1, G_NORMALIZE_NFD);

	for (const gchar *p = s; p != NULL && *p != '\0'; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (accent(c))
			continue;
		if (g_unichar_isalnum(c) || is_mark(c) || invisible(c))
			words_add(w, g_unichar_tolower(c));
		else
			words_gap(w);
	}
	g_free(s);
}

static void
fold_skeleton(struct words *w, const char *text)
{
	gchar *s = g_utf8_normalize(text, -1, G_NORMALIZE_NFKD);

	for (const gchar *p = s; p != NULL && *p != '\0'; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (is_mark(c) || invisible(c))
			continue;
		c = leet(look_alike(g_unichar_tolower(c)));
		if (c == 'l') /* I, l and 1 are one letter to the eye */
			c = 'i';
		if (g_unichar_isalnum(c))
			words_add(w, c);
		else
			words_gap(w);
	}
	g_free(s);
}

/* The same for the usual case, without the normal forms of Unicode */
static void
fold_ascii(struct words *plain, struct words *skeleton, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = (char)g_ascii_tolower(text.ptr[i]);
		char k = (char)leet((gunichar)c);

		if (k == 'l')
			k = 'i';
		if (g_ascii_isalnum(c))
			words_add(plain, (gunichar)c);
		else
			words_gap(plain);
		if (g_ascii_isalnum(k))
			words_add(skeleton, (gunichar)k);
		else
			words_gap(skeleton);
	}
}

static bool
is_ascii(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] >= 0x80 || s.ptr[i] == '\0')
			return false;
	return true;
}

struct identity_folded
identity_fold(struct arena *a, struct span text)
{
	struct identity_folded f = { { NULL, 0 }, { NULL, 0 } };
	struct words plain, skeleton;
	gchar *valid;
	/* a compatibility form may grow: U+FDFA is the longest, 18 letters */
	size_t n = text.len < WHO_MAX_TEXT ? text.len : WHO_MAX_TEXT;

	if (!words_begin(&plain, a, 4 * n + 16) ||
	    !words_begin(&skeleton, a, 8 * n + 16))
		return f;
	if (is_ascii(span_of(text.ptr, n))) {
		fold_ascii(&plain, &skeleton, span_of(text.ptr, n));
		f.plain = words_end(&plain);
		f.skeleton = words_end(&skeleton);
		return f;
	}
	valid = g_utf8_make_valid(text.ptr != NULL ? text.ptr : "", (gssize)n);
	fold_plain(&plain, valid);
	fold_skeleton(&skeleton, valid);
	g_free(valid);
	f.plain = words_end(&plain);
	f.skeleton = words_end(&skeleton);
	return f;
}

enum script { NONE, LATIN, OTHER };

static enum script
script_of(gunichar c)
{
	if (!g_unichar_isalpha(c))
		return NONE;
	switch (g_unichar_get_script(c)) {
	case G_UNICODE_SCRIPT_LATIN:
		return c < 0x250 ? LATIN : NONE;
	case G_UNICODE_SCRIPT_CYRILLIC:
	case G_UNICODE_SCRIPT_GREEK:
	case G_UNICODE_SCRIPT_ARMENIAN:
	case G_UNICODE_SCRIPT_CHEROKEE:
		return c == 0xB5 || c == 0x2126 ? NONE : OTHER; /* micro, ohm */
	default:
		return NONE;
	}
}

bool
identity_mixed_script(struct span text, struct span *ret_where)
{
	enum script last = NONE;
	const char *end, *word = text.ptr;

	if (text.len > WHO_MAX_TEXT)
		text.len = WHO_MAX_TEXT;
	end = text.ptr + text.len;
	for (const char *p = text.ptr; p < end;) {
		gunichar c = g_utf8_get_char_validated(p, end - p);
		enum script s;

		if (c == (gunichar)-1 || c == (gunichar)-2) {
			p++;
			last = NONE;
			continue;
		}
		s = script_of(c);
		if (s == NONE && !is_mark(c)) {
			last = NONE;
			word = p + g_unichar_to_utf8(c, NULL);
		} else if (s != NONE) {
			if (last != NONE && last != s) {
				*ret_where = span_of(word,
				    (size_t)(p - word + g_unichar_to_utf8(c, NULL)));
				return true;
			}
			last = s;
		}
		p += g_unichar_to_utf8(c, NULL);
	}
	return false;
}

bool
identity_random_label(struct span label)
{
	size_t turns = 0, consonants = 0;
	char last = 0;

	if (span_istarts(label, "xn--"))
		return false;
	for (size_t i = 0; i < label.len; i++) {
		char c = label.ptr[i];
		char kind = c >= '0' && c <= '9' ? '0' : c >= 'a' && c <= 'z' ? 'a' : 0;

		turns += last != 0 && kind != 0 && kind != last;
		last = kind;
		if (kind == 'a' && strchr("aeiouy", c) == NULL)
			consonants++;
		else
			consonants = 0;
		if (turns >= 4 || consonants >= 6)
			return true;
	}
	return false;
}
