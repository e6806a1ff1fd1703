#include <ctype.h>

#include "base/arena.h"
#include "base/ascii.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/escape.h"
#include "base/mbox.h"
#include "base/netaddr.h"
#include "t/tap.h"

static void
test_arena(void)
{
	struct arena *a = arena_new(100 * 1024);
	char *p = arena_alloc(a, 10), *q = arena_alloc(a, 50 * 1024), *r;

	tap_ok(p != NULL && q != NULL && p[9] == 0, "arena gives zeroed memory");
	r = arena_alloc(a, 16);
	tap_ok(r > p && r < p + 4096, "a large block leaves the small one in use");
	tap_ok(arena_alloc(a, 60 * 1024) == NULL, "the cap holds");
	tap_ok(arena_array(a, SIZE_MAX / 2, 3) == NULL, "overflow is refused");
	arena_reset(a);
	tap_is_int((long long)arena_used(a), 0, "reset forgets all");
	tap_ok(arena_alloc(a, 90 * 1024) != NULL, "room again after reset");
	arena_free(a);
}

static void
test_escape(void)
{
	static const struct {
		const char *label;
		struct span in;
		const char *want, *want_log;
	} rows[] = {
		{ "plain", SPAN_LIT("abc"), "abc", "abc" },
		{ "empty", SPAN_LIT(""), "", "\"\"" },
		{ "space", SPAN_LIT("a b"), "a b", "\"a b\"" },
		{ "quote", SPAN_LIT("a\"b"), "a\"b", "\"a\\\"b\"" },
		{ "line ends", SPAN_LIT("a\r\n\tb"), "a\\r\\n\\tb", "a\\r\\n\\tb" },
		{ "terminal", SPAN_LIT("\033[31m"), "\\x1b[31m", "\\x1b[31m" },
		{ "NUL", SPAN_LIT("a\0b"), "a\\x00b", "a\\x00b" },
		{ "bidi", SPAN_LIT("a\xE2\x80\xAE"), "a\\u{202e}", "a\\u{202e}" },
		{ "zero width", SPAN_LIT("\xE2\x80\x8B"), "\\u{200b}", "\\u{200b}" },
		{ "C1", SPAN_LIT("\xC2\x9B"), "\\u{9b}", "\\u{9b}" },
		{ "tag chars", SPAN_LIT("\xF3\xA0\x81\x81"), "\\u{e0041}", "\\u{e0041}" },
		{ "not UTF-8", SPAN_LIT("\xFFx"), "\\xffx", "\\xffx" },
		{ "umlaut stays", SPAN_LIT("\xC3\xA4"), "\xC3\xA4", "\xC3\xA4" },
		{ "surrogate", SPAN_LIT("\xED\xA0\x80"), "\\xed\\xa0\\x80", "\\xed\\xa0\\x80" },
	};
	struct buf b;

	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_reset(&b);
		escape_text(&b, rows[i].in, 0);
		tap_is_str(b.ptr, rows[i].want, rows[i].label);
		buf_reset(&b);
		escape_log_value(&b, rows[i].in, 0);
		tap_is_str(b.ptr, rows[i].want_log, rows[i].label);
	}
	buf_reset(&b);
	escape_text(&b, SPAN_LIT("abcdef"), 3);
	tap_is_str(b.ptr, "abc\xE2\x80\xA6", "cut with an ellipsis");
	buf_reset(&b);
	escape_utf8(&b, SPAN_LIT("a\xE1\x80z\xFF\0"));
	tap_is_str(b.ptr, "a\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD",
	    "U+FFFD for each maximal subpart");
	buf_done(&b);
	buf_init(&b, 4);
	buf_add_str(&b, "abc");
	buf_add_str(&b, "de");
	tap_ok(b.failed && b.len == 3, "a full buf fails and keeps what it had");
	buf_done(&b);
}

static void
test_netaddr(void)
{
	static const struct {
		const char *net, *addr;
		int want; /* -1: the network does not parse */
	} rows[] = {
		{ "10.0.0.0/8", "10.255.0.1", 1 }, { "10.0.0.0/8", "11.0.0.1", 0 },
		{ "192.168.", "192.168.7.7", 1 }, { "192.168.1", "192.168.2.1", 0 },
		{ "127/8", "127.0.0.1", -1 }, { "192.0.2.1", "192.0.2.1", 1 },
		{ "192.0.2.1", "192.0.2.2", 0 }, { "0.0.0.0/0", "8.8.8.8", 1 },
		{ "0.0.0.0/0", "::1", 0 }, { "::/0", "2001:db8::1", 1 },
		{ "2001:db8::/32", "2001:db8:ffff::1", 1 },
		{ "[2001:db8::]/32", "2001:db9::1", 0 },
		{ "2001:db8::/33", "2001:db8:8000::1", 0 },
		{ "::ffff:192.0.2.0/120", "192.0.2.9", 1 },
		{ "192.0.2.0/24", "::ffff:192.0.2.9", 1 },
		{ "192.0.2.0/33", "", -1 }, { "192.0.2.256", "", -1 },
		{ "192.0.2.0/", "", -1 }, { "1.2.3.4.5", "", -1 }, { "", "", -1 },
		{ "::1/129", "", -1 }, { "example.org", "", -1 },
	};
	struct netaddr a;
	struct network n;
	struct netset set = { 0 };
	char text[NETADDR_TEXT], rev[80];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int got = -1;

		if (network_parse(span_cstr(rows[i].net), &n) &&
		    netaddr_parse(span_cstr(rows[i].addr), &a))
			got = network_contains(&n, &a);
		if (!tap_ok(got == rows[i].want, "%s holds %s", rows[i].net,
			rows[i].addr))
			printf("#  got: %d\n# want: %d\n", got, rows[i].want);
	}
	tap_ok(netaddr_parse(SPAN_LIT("[IPv6:2001:DB8::0:1]"), &a), "address literal");
	tap_is_str(netaddr_format(&a, text), "2001:db8::1", "RFC 5952 text");
	tap_is_str(netaddr_reverse(&a, true, rev),
	    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	    "ip6.arpa nibbles");
	netaddr_parse(SPAN_LIT("192.0.2.1"), &a);
	tap_is_str(netaddr_reverse(&a, true, rev), "1.2.0.192.in-addr.arpa",
	    "in-addr.arpa");
	network_parse(SPAN_LIT("192.0.2.1"), &n);
	n.excluded = true;
	netset_add(&set, &n);
	network_parse(SPAN_LIT("192.0.2.0/24"), &n);
	netset_add(&set, &n);
	tap_ok(!netset_contains(&set, &a), "an exclusion before its network holds");
	netaddr_parse(SPAN_LIT("192.0.2.2"), &a);
	tap_ok(netset_contains(&set, &a), "its neighbour is in the set");
	netset_done(&set);
}

struct room {
	bool b;
	int64_t size, duration, number;
	double points;
	const char *text;
	struct strings words;
	struct netset nets;
};

static void
test_hosts(void)
{
	static const struct {
		const char *text;
		bool want;
	} cases[] = {
		{ "mail.example.org", true }, { "mail.example.org.", true },
		{ "a.b", true }, { "1.2.3.de", true }, { "_x.example.org", true },
		{ "xn--mller-kva.example", true }, { "mail-1.example.org", true },
		{ "localhost", false }, { "", false }, { ".", false },
		{ "192.0.2.1", false }, { "999.1.1.1", false }, { "10.1", false },
		{ ".example.org", false }, { "a..b", false }, { "-a.b", false },
		{ "a-.b", false }, { "a b.c", false }, { "a.b/24", false },
		{ "*.example.org", false }, { "m\xC3\xBCller.example", false },
		{ "!mail.example.org", false },
	};
	static const struct setting table[] = {
		{ "allow", SETTING_HOSTS, 0, 0, 0, NULL, "" }, { 0 },
	};
	struct conf_hosts hosts = { 0 };
	struct settings_room rooms[] = { { table, &hosts } };
	struct arena *a = arena_new(1 << 20);
	struct conf_lines lines;
	struct diags diags;
	struct buf out;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tap_is_int(conf_is_host_name(span_cstr(cases[i].text)),
		    cases[i].want, cases[i].text);
	diags_init(&diags, a);
	conf_parse(a, "f", SPAN_LIT("allow 192.0.2.0/24 mail.example.org !10.1.0.0/99\n"
	    "allow mx.example.org 2001:db8::1\nallow nonsense\n"
	    "allow !mail.example.org\n"), &lines, &diags, NULL);
	for (size_t i = 0; i < lines.count; i++)
		conf_apply(&lines.lines[i], rooms, 1, a, &diags);
	tap_is_int((long long)hosts.nets.count, 2, "networks");
	tap_is_int((long long)hosts.names.count, 2, "and names");
	tap_is_str(hosts.names.items[1], "mx.example.org", "as written");
	buf_init(&out, 1 << 16);
	diags_format(&diags, DIAG_NOTE, &out);
	tap_is_str(out.ptr,
	    "f:1: allow: neither a network nor a host name: \"192.0.2.0/24 mail.example.org !10.1.0.0/99\"\n"
	    "f:3: allow: neither a network nor a host name: \"nonsense\"\n"
	    "f:4: allow: neither a network nor a host name: \"!mail.example.org\"\n",
	    "each fault with file and line");
	buf_done(&out);
	netset_done(&hosts.nets);
	arena_free(a);
}

static void
test_conf(void)
{
	static const struct setting table[] = {
		{ "bool", SETTING_BOOL, offsetof(struct room, b), 0, 0, NULL, "" },
		{ "size", SETTING_SIZE, offsetof(struct room, size), 0, 1 << 30, NULL, "" },
		{ "duration", SETTING_DURATION, offsetof(struct room, duration), 0, 1 << 30, NULL, "" },
		{ "number", SETTING_INT, offsetof(struct room, number), -10, 10, NULL, "" },
		{ "points", SETTING_POINTS, offsetof(struct room, points), 0, 0, NULL, "" },
		{ "text", SETTING_STRING, offsetof(struct room, text), 0, 0, NULL, "" },
		{ "words", SETTING_STRINGS, offsetof(struct room, words), 0, 0, NULL, "" },
		{ "nets", SETTING_NETS, offsetof(struct room, nets), 0, 0, NULL, "" },
		{ 0 },
	};
	static const char text[] = "# comment\n"
				   "bool yes # why\n"
				   "size 2k\r\n"
				   "  duration\t5m  \n"
				   "number -7\n"
				   "points 1.2345\n"
				   "text a \\# b\n"
				   "words one two\n"
				   "words three\n"
				   "nets 10.0.0.0/8 !10.1.0.0/16\n"
				   "number 11\n"
				   "bool maybe\n"
				   "unknown x\n"
				   "points 0x10\n"
				   "points nan\n"
				   "size\n";
	struct room room = { 0 };
	struct settings_room rooms[] = { { table, &room } };
	struct arena *a = arena_new(1 << 20);
	struct conf_lines lines;
	struct diags diags;
	struct buf out;
	size_t unknown = 0;

	diags_init(&diags, a);
	tap_is_int(conf_parse(a, "f.cf", span_cstr(text), &lines, &diags, NULL), 0,
	    "conf_parse");
	for (size_t i = 0; i < lines.count; i++)
		unknown += conf_apply(&lines.lines[i], rooms, 1, a, &diags) ==
		    CONF_UNKNOWN;
	tap_is_int((long long)unknown, 1, "one unknown word");
	tap_ok(room.b, "bool");
	tap_is_int(room.size, 2048, "size");
	tap_is_int(room.duration, 300000, "duration");
	tap_is_int(room.number, -7, "a value out of range changes nothing");
	tap_is_double(room.points, 1.235, "points are kept to 0.001");
	tap_is_str(room.text, "a # b", "\\# is no comment");
	tap_is_int((long long)room.words.count, 3, "words append");
	tap_is_int((long long)room.nets.count, 2, "networks append");
	buf_init(&out, 1 << 16);
	diags_format(&diags, DIAG_NOTE, &out);
	tap_is_str(out.ptr,
	    "f.cf:11: number: out of range: \"11\"\n"
	    "f.cf:12: bool: not yes or no: \"maybe\"\n"
	    "f.cf:14: points: not a number of points: \"0x10\"\n"
	    "f.cf:15: points: not a number of points: \"nan\"\n"
	    "f.cf:16: size: needs a value: \"\"\n",
	    "each fault with file and line");
	buf_done(&out);
	netset_done(&room.nets);
	arena_free(a);
}

/* in the C locale, which a test runs in, ctype agrees about ASCII */
static void
test_ascii(void)
{
	unsigned differ = 0, high = 0;

	for (int c = 0; c < 128; c++) {
		char b = (char)c;

		differ += ascii_is_digit(b) != (isdigit(c) != 0);
		differ += ascii_is_alpha(b) != (isalpha(c) != 0);
		differ += ascii_is_alnum(b) != (isalnum(c) != 0);
		differ += ascii_is_space(b) != (isspace(c) != 0);
		differ += ascii_lower(b) != tolower(c);
		differ += (ascii_hex_value(b) >= 0) != (isxdigit(c) != 0);
	}
	for (int c = 128; c < 256; c++) {
		char b = (char)c;

		high += ascii_is_alnum(b) || ascii_is_space(b) ||
		    ascii_hex_value(b) >= 0 || ascii_lower(b) != b;
	}
	tap_is_int(differ, 0, "the classes of ASCII");
	tap_is_int(high, 0, "bytes above it belong to none");
	tap_is_int(ascii_hex_value('f') * 16 + ascii_hex_value('A'), 250,
	    "hexadecimal digits");
	tap_ok(ascii_is_blank(SPAN_LIT(" \t\r\n\v\f")) &&
	    ascii_is_blank(SPAN_LIT("")) &&
	    !ascii_is_blank(span_of(" \0", 2)), "blank");
}

#define LINE "From a@b Mon Jan  1 12:34:56 2024\n" /* 34 bytes */

static void
test_mbox(void)
{
	static const struct {
		const char *label, *text, *want;
	} rows[] = {
		{ "one message", LINE "Subject: x\n\nbody\n", "" },
		{ "two", LINE "\n" LINE "\n", " 35" },
		{ "CRLF, blanks, no end", LINE " \t\r\nFrom 12:34", " 38" },
		{ "the line before is not empty", LINE "x\n" LINE "\n" LINE, " 71" },
		{ "a sentence", LINE "\nFrom ten to 1:30 or so\n\nFrom ten:30\n", "" },
		{ "a header field", LINE "\nFrom: 12:34:56\n", "" },
		{ "the time is in the line, not across its end", LINE "\nFrom 12\n:34\n", "" },
		{ "no room for a time", LINE "\nFrom 1:34\n\nFrom 12:3\n", "" },
		{ "no mbox", "Subject: x\n\n" LINE, "none" },
		{ "no time in the first line", "From a\n\n" LINE, "none" },
		{ "cut in its first word", "Fro", "none" },
		{ "an empty line first", "\n" LINE, "none" },
		{ "nothing", "", "none" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].text), n = 0;
		char got[200] = "";
		struct mbox m;

		mbox_init(&m);
		for (size_t k = 0; k <= len; k++)
			if (mbox_next(&m, k < len ? rows[i].text[k] : EOF))
				n += (size_t)snprintf(got + n, sizeof(got) - n,
				    " %zu", m.begin);
		if (m.none)
			snprintf(got + n, sizeof(got) - n, "none");
		tap_ok(strcmp(got, rows[i].want) == 0 && m.at == len,
		    "mbox: %s: \"%s\"", rows[i].label, got);
	}
}

static void
test_clock(void)
{
	int64_t before = clock_us();
	struct timespec t = clock_deadline(2999);
	int64_t until = t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;

	tap_ok(until >= before + 2999000 && until <= clock_us() + 2999000 &&
	    t.tv_nsec >= 0 && t.tv_nsec < 1000000000,
	    "a deadline is that far away");
}

int
main(void)
{
	test_ascii();
	test_mbox();
	test_clock();
	test_arena();
	test_escape();
	test_netaddr();
	test_conf();
	test_hosts();
	return tap_done();
}
