#include <stdlib.h>

#include "base/ascii.h"
#include "scoring/message/date.h"

enum { MAX_WORDS = 24, WORD_BYTES = 16 };

struct words {
	char text[MAX_WORDS][WORD_BYTES];
	size_t count;
};

/* Words between white space; a comma after a word or before one is space
 * too, as in "Mon,1 Jan". Longer words are of no use in a date. */
static void
split(struct span s, struct words *w)
{
	size_t n = 0;

	w->count = 0;
	for (size_t i = 0; i <= s.len; i++) {
		char c = i < s.len ? s.ptr[i] : ' ';

		if (c == ',' || ascii_is_space(c)) {
			if (n == 0)
				continue;
			w->text[w->count][n < WORD_BYTES ? n : 0] = '\0';
			n = 0;
			if (++w->count == MAX_WORDS)
				return;
		} else {
			if (n + 1 < WORD_BYTES)
				w->text[w->count][n] = c;
			n++;
		}
	}
}

static bool
number(const char *s, size_t min, size_t max, int *ret)
{
	size_t n = strlen(s);

	if (n < min || n > max || strspn(s, "0123456789") != n)
		return false;
	*ret = atoi(s);
	return true;
}

static int
month(const char *s)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	if (strlen(s) == 3)
		for (int i = 0; i < 12; i++)
			if (strncasecmp(s, names + 3 * i, 3) == 0)
				return i + 1;
	return 0;
}

/* hh:mm or hh:mm:ss */
static bool
clock_time(const char *s, int hms[3])
{
	int parts = 0;

	hms[0] = hms[1] = hms[2] = 0;
	for (const char *p = s;; p++) {
		size_t n = strspn(p, "0123456789");

		if (n == 0 || n > 2 || (parts > 0 && n != 2) || parts == 3)
			return false;
		for (size_t i = 0; i < n; i++)
			hms[parts] = hms[parts] * 10 + (p[i] - '0');
		parts++;
		p += n;
		if (*p == '\0')
			return parts >= 2;
		if (*p != ':')
			return false;
	}
}

static bool
blank(struct words *w, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++)
		w->text[i][0] = '\0';
	return true;
}

/* Day, month, year in one of the three orders that are in use; their words
 * are blanked: a month in capitals is no zone. */
static bool
find_date(struct words *w, int dmy[3])
{
	int hms[3];
	size_t i;

	for (i = 0; i + 2 < w->count; i++)
		if (number(w->text[i], 1, 9, &dmy[0]) &&
		    (dmy[1] = month(w->text[i + 1])) != 0 &&
		    number(w->text[i + 2], 4, 4, &dmy[2]))
			return blank(w, i, 3);
	for (i = 0; i + 3 < w->count; i++)
		if ((dmy[1] = month(w->text[i])) != 0 &&
		    number(w->text[i + 1], 1, 9, &dmy[0]) &&
		    clock_time(w->text[i + 2], hms) &&
		    number(w->text[i + 3], 4, 4, &dmy[2])) {
			/* the time stays */
			w->text[i][0] = w->text[i + 1][0] = w->text[i + 3][0] = '\0';
			return true;
		}
	for (i = 0; i + 2 < w->count; i++)
		if (number(w->text[i], 1, 9, &dmy[0]) &&
		    (dmy[1] = month(w->text[i + 1])) != 0 &&
		    number(w->text[i + 2], 2, 3, &dmy[2])) {
			/* RFC 5322 4.3 */
			dmy[2] += strlen(w->text[i + 2]) == 2 && dmy[2] < 50 ?
			    2000 : 1900;
			return blank(w, i, 3);
		}
	return false;
}

/* Length of the first run of two to four capitals within a word that nothing
 * continues, "-DST" included; 0: none */
static size_t
capitals(const char *s, const char **ret_at)
{
	for (const char *p = s; *p != '\0';) {
		size_t word = 0, n;

		while (ascii_is_alnum(p[word]) || p[word] == '_')
			word++;
		n = strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
		if (n == word && n >= 2 && n <= 4) {
			*ret_at = p;
			return strncmp(p + n, "-DST", 4) == 0 &&
				!ascii_is_alnum(p[n + 4]) && p[n + 4] != '_' ?
			    n + 4 : n;
		}
		p += word > 0 ? word : 1;
	}
	return 0;
}

/* Minutes east of UTC */
static int
zone(const struct words *w)
{
	static const struct {
		const char *name;
		int hhmm;
	} zones[] = { { "NDT", -230 }, { "AST", -400 }, { "ADT", -300 },
		{ "NST", -330 }, { "EST", -500 }, { "EDT", -400 },
		{ "CST", -600 }, { "CDT", -500 }, { "MST", -700 },
		{ "MDT", -600 }, { "PST", -800 }, { "PDT", -700 },
		{ "HST", -1000 }, { "AKST", -900 }, { "AKDT", -800 },
		{ "HADT", -900 }, { "HAST", -1000 }, { "BST", 100 },
		{ "IST", 100 }, { "WEST", 100 }, { "CET", 100 },
		{ "CEST", 200 }, { "EET", 200 }, { "EEST", 300 },
		{ "MSK", 300 }, { "MSD", 400 }, { "MET", 100 }, { "MEZ", 100 },
		{ "MEST", 200 }, { "MESZ", 200 }, { "BRST", -200 },
		{ "BRT", -300 }, { "AEST", 1000 }, { "AEDT", 1100 },
		{ "ACST", 930 }, { "ACDT", 1030 } };
	const char *name;

	for (size_t i = 0; i < w->count; i++) {
		const char *s = w->text[i];
		int hhmm;

		if ((s[0] == '+' || s[0] == '-') && number(s + 1, 4, 4, &hhmm))
			return (s[0] == '-' ? -1 : 1) *
			    (hhmm / 100 * 60 + hhmm % 100);
	}
	/* the first word of capitals decides, "(PST)" as well as "PST" */
	for (size_t i = 0; i < w->count; i++) {
		size_t n = capitals(w->text[i], &name);

		for (size_t k = 0; n > 0 && k < sizeof(zones) / sizeof(zones[0]); k++)
			if (strlen(zones[k].name) == n &&
			    memcmp(name, zones[k].name, n) == 0)
				return zones[k].hhmm / 100 * 60 +
				    zones[k].hhmm % 100;
		if (n > 0)
			return 0;
	}
	return 0;
}

/* Days since 1970-01-01 of a proleptic Gregorian date */
static int64_t
days(int y, int m, int d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int
days_in_month(int y, int m)
{
	static const int n[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0) ? 29 :
									n[m - 1];
}

bool
date_parse(struct span s, int64_t *ret_unixtime)
{
	struct words w;
	int dmy[3], hms[3] = { 0, 0, 0 };

	split(s, &w);
	if (!find_date(&w, dmy))
		return false;
	for (size_t i = 0; i < w.count; i++)
		if (clock_time(w.text[i], hms))
			break;
	hms[0] = hms[0] > 23 ? 23 : hms[0];
	hms[1] = hms[1] > 59 ? 59 : hms[1];
	hms[2] = hms[2] > 59 ? 59 : hms[2];
	if (dmy[0] > days_in_month(dmy[2], dmy[1])) {
		dmy[0] = 1;
		if (++dmy[1] > 12) {
			dmy[1] = 1;
			dmy[2]++;
		}
	}
	dmy[2] = dmy[2] > 2037 ? 2037 : dmy[2] < 1970 ? 1970 : dmy[2];
	if (dmy[0] < 1)
		dmy[0] = 1;
	*ret_unixtime = days(dmy[2], dmy[1], dmy[0]) * 86400 + hms[0] * 3600 +
	    hms[1] * 60 + hms[2] - zone(&w) * 60;
	return true;
}
