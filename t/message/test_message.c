#include <errno.h>

#include "t/message/util.h"

static void
test_fields(void)
{
	static const struct {
		const char *label;
		struct span in;
		size_t want_fields;
		const char *want_name, *want_raw; /* of the last field */
		const char *want_body;
		unsigned want_faults;
	} rows[] = {
		{ "plain", SPAN_LIT("A: 1\nB: 2\n\nbody\n"), 2, "B", " 2", "body\n", 0 },
		{ "CRLF", SPAN_LIT("A: 1\r\nB: 2\r\n\r\nbody"), 2, "B", " 2", "body", 0 },
		{ "bare CR", SPAN_LIT("A: 1\rB: 2\r\rbody\r"), 2, "B", " 2", "body\n",
		    MESSAGE_BARE_CR },
		{ "mixed", SPAN_LIT("A: 1\r\nB: 2\n\r\nbody"), 2, "B", " 2", "body", 0 },
		{ "CR inside", SPAN_LIT("A: 1\rB: 2\n\nbody"), 1, "A", " 1\rB: 2", "body",
		    MESSAGE_BARE_CR },
		{ "fold", SPAN_LIT("A: 1\n 2\n\t3\n\n"), 1, "A", " 1\n 2\n\t3", "", 0 },
		{ "blank fold", SPAN_LIT("A: 1\n \nB:\n\n"), 2, "B", "", "", 0 },
		{ "no end", SPAN_LIT("A: 1\nB:x"), 2, "B", "x", "", MESSAGE_NO_BODY },
		{ "no final newline in a fold", SPAN_LIT("A: 1\n x"), 1, "A", " 1\n x", "",
		    MESSAGE_NO_BODY },
		{ "space before colon", SPAN_LIT("A \t: 1\n\n"), 1, "A", " 1", "", 0 },
		{ "no colon", SPAN_LIT("A: 1\nrubbish\n more\nB: 2\n\n"), 2, "B", " 2", "",
		    MESSAGE_NO_COLON },
		{ "space in a name counts as a bad line", SPAN_LIT("A B: 1\n\n"), 1, "A B",
		    " 1", "", 0 },
		{ "four bad lines end the header", SPAN_LIT("A: 1\nx\ny\nz\nw\nB: 2\n\n"), 1,
		    "A", " 1", "w\nB: 2\n\n", MESSAGE_NO_COLON | MESSAGE_NO_BODY },
		{ "a boundary ends the header", SPAN_LIT("A: 1\n--b\nB: 2\n\n"), 1, "A", " 1",
		    "--b\nB: 2\n\n", MESSAGE_NO_BODY },
		{ "mbox", SPAN_LIT("From a@b Mon\nA: 1\n\nx"), 1, "A", " 1", "x", 0 },
		{ "From : is a field", SPAN_LIT("From : a\n\n"), 1, "From", " a", "", 0 },
		{ "NUL", SPAN_LIT("A: 1\0002\n\n"), 1, "A", NULL, "", MESSAGE_NUL },
		{ "8 bit", SPAN_LIT("A: \xE4\n\n\xE4"), 1, "A", " \xE4", "\xE4",
		    MESSAGE_8BIT_HEADER },
		{ "8 bit in the body only", SPAN_LIT("A: a\n\n\xE4"), 1, "A", " a", "\xE4", 0 },
		{ "continuation first", SPAN_LIT(" x: y\nA: 1\n\n"), 1, "A", " 1", "", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(1 << 20);
		struct message *m = test_parse(a, rows[i].in);

		if (tap_ok(m != NULL, "%s: is a message", rows[i].label)) {
			const struct field *f = &m->fields[m->field_count - 1];

			tap_is_int((long long)m->field_count,
			    (long long)rows[i].want_fields, rows[i].label);
			tap_is_span(f->name, span_cstr(rows[i].want_name),
			    rows[i].label);
			if (rows[i].want_raw != NULL)
				tap_is_span(f->raw, span_cstr(rows[i].want_raw),
				    rows[i].label);
			tap_is_span(span_from(m->raw, m->body_offset),
			    span_cstr(rows[i].want_body), rows[i].label);
			tap_is_int(m->faults, rows[i].want_faults, rows[i].label);
			tap_ok(memcmp(m->raw.ptr + f->offset, f->name.ptr,
				f->name.len) == 0 &&
			    m->raw.ptr + f->value_offset == f->raw.ptr,
			    "%s: offsets", rows[i].label);
		}
		arena_free(a);
	}
}

static void
test_refused(void)
{
	static const struct span rows[] = { SPAN_LIT(""),
		SPAN_LIT("From a@example.org Mon Jan  1 12:34:56 2024"),
		SPAN_LIT("From a@example.org Mon Jan  1 12:34:56 2024\r\n") };
	struct arena *a = arena_new(1 << 20);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message *m = NULL;
		struct error err = { "" };

		tap_is_int(message_parse(a, rows[i], 0, &test_limits, &m, &err),
		    -EINVAL, "no message");
		tap_ok(err.text[0] != '\0' && strchr(err.text, '\n') == NULL,
		    "one line says why: %s", err.text);
	}
	arena_free(a);
}

/* SMTP carries bytes without a header: they are a message, or they would not
 * be judged */
static void
test_headerless(void)
{
	static const struct {
		struct span raw;
		size_t body_offset;
		size_t fields;
	} rows[] = {
		{ SPAN_LIT("\n"), 1, 0 },
		{ SPAN_LIT("\r\n"), 2, 0 },
		{ SPAN_LIT("\nbody\n"), 1, 0 },
		{ SPAN_LIT("\r\nbody: x\r\n"), 2, 0 },
		{ SPAN_LIT("no field here\n\nA: 1\n"), 15, 0 },
		/* so many lines may be broken fields, then it is the body */
		{ SPAN_LIT("a\nb\nc\nd\nA: 1\n\n"), 6, 0 },
		{ SPAN_LIT("a\nb\nc\nA: 1\n\nd"), 12, 1 },
		{ SPAN_LIT("--a\n\nd"), 0, 0 },
		{ SPAN_LIT("\0\0\0"), 3, 0 },
		{ SPAN_LIT("From a b\nbody"), 13, 0 },
		{ SPAN_LIT("From a b\n\n"), 10, 0 },
	};
	struct arena *a = arena_new(1 << 20);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message *m = NULL;
		struct error err = { "" };

		tap_is_int(message_parse(a, rows[i].raw, 0, &test_limits, &m,
			&err), 0, "bytes without a header are a message");
		if (m == NULL)
			continue;
		tap_is_int((long long)m->field_count, (long long)rows[i].fields,
		    "its fields");
		tap_is_int((long long)m->body_offset,
		    (long long)rows[i].body_offset, "its body");
		tap_is_int(message_require_fields(m, &err),
		    rows[i].fields != 0 ? 0 : -EINVAL, "nothing to learn from");
	}
	arena_free(a);
}

static void
test_find(void)
{
	struct arena *a = arena_new(1 << 20);
	struct message *m = test_parse(a, SPAN_LIT(
	    "to: 1\nFrom: 2\nTO: 3\nCc: 4\nTo: 5\n\n"));
	struct field *f = message_find(m, "To", 0);

	tap_is_int((long long)message_count(m, "tO"), 3, "three To");
	tap_is_span(f->raw, SPAN_LIT(" 1"), "first");
	f = message_next(m, f);
	tap_is_span(f->raw, SPAN_LIT(" 3"), "second");
	tap_is_span(message_find(m, "to", 2)->raw, SPAN_LIT(" 5"), "third");
	tap_ok(message_find(m, "to", 3) == NULL, "no fourth");
	tap_ok(message_find(m, "Subject", 0) == NULL, "none of that name");
	tap_ok(message_find(m, "", 0) == NULL, "no name");
	arena_free(a);
}

static void
test_limit(void)
{
	struct arena *a = arena_new(1 << 20);
	struct message_limits l = test_limits;
	struct message *m;

	l.max_fields = 2;
	tap_is_int(message_parse(a, SPAN_LIT("A: 1\nB: 2\nC: 3\n x\n\nbody"), 0, &l,
	    &m, NULL), 0, "more fields than max_fields");
	tap_is_int((long long)m->field_count, 2, "two are kept");
	tap_is_span(m->fields[1].raw, SPAN_LIT(" 2"), "the fold is not its own");
	tap_is_int(m->faults, MESSAGE_TOO_MANY_FIELDS, "noted");
	tap_is_span(span_from(m->raw, m->body_offset), SPAN_LIT("body"),
	    "the body is found");
	l.scan_bytes = 8;
	tap_is_int(message_parse(a, SPAN_LIT("A: 1\nB: 2\n\nbody"), 100, &l, &m,
	    NULL), 0, "scan_bytes");
	tap_is_int((long long)m->size_bytes, 100, "the whole size is told");
	tap_ok(m->faults & MESSAGE_TRUNCATED, "truncated");
	tap_is_span(m->fields[1].raw, SPAN_LIT(" "), "nothing behind the cut");
	arena_free(a);
}

static void
test_decoded(void)
{
	static const struct {
		const char *label;
		struct span in;
		const char *want;
	} rows[] = {
		{ "plain", SPAN_LIT("S: abc \n\n"), "abc" },
		{ "fold", SPAN_LIT("S: a\r\n \t b\r\n\r\n"), "a b" },
		{ "Q", SPAN_LIT("S: =?utf-8?Q?a_=C3=A4?= b\n\n"), "a \xC3\xA4 b" },
		{ "B", SPAN_LIT("S: =?UTF-8?b?w6Q=?=\n\n"), "\xC3\xA4" },
		{ "B without padding", SPAN_LIT("S: =?UTF-8?B?w6Q?=\n\n"), "\xC3\xA4" },
		{ "two words", SPAN_LIT("S: =?utf-8?Q?a?=\n =?utf-8?Q?b?= c\n\n"), "ab c" },
		{ "a character in two words", SPAN_LIT(
		    "S: =?utf-8?Q?=C3?= =?utf-8?Q?=A4?=\n\n"), "\xC3\xA4" },
		{ "latin1", SPAN_LIT("S: =?iso-8859-1?Q?=E4=80?=\n\n"),
		    "\xC3\xA4\xE2\x82\xAC" },
		{ "language", SPAN_LIT("S: =?iso-8859-1*de?Q?=E4?=\n\n"), "\xC3\xA4" },
		{ "koi8-r", SPAN_LIT("S: =?koi8-r?B?8NLJ18XU?=\n\n"),
		    "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82" },
		{ "iso-2022-jp", SPAN_LIT("S: =?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=\n\n"),
		    "\xE6\x97\xA5\xE6\x9C\xAC" },
		{ "gb2312", SPAN_LIT("S: =?gb2312?B?1tC5+g==?=\n\n"),
		    "\xE4\xB8\xAD\xE5\x9B\xBD" },
		{ "no such charset", SPAN_LIT("S: =?nonsense?Q?a=E4?=\n\n"), "a\xC3\xA4" },
		{ "iconv's own words", SPAN_LIT("S: =?utf-8//IGNORE?Q?a?=\n\n"),
		    "=?utf-8//IGNORE?Q?a?=" },
		{ "bad UTF-8", SPAN_LIT("S: =?utf-8?Q?a=FFb?=\n\n"), "a\xEF\xBF\xBD" "b" },
		{ "raw UTF-8", SPAN_LIT("S: \xC3\xA4\n\n"), "\xC3\xA4" },
		{ "raw 8 bit", SPAN_LIT("S: \xE4\x80\n\n"), "\xC3\xA4\xE2\x82\xAC" },
		{ "not a word", SPAN_LIT("S: =?utf-8?X?a?= =?\n\n"), "=?utf-8?X?a?= =?" },
		{ "unended", SPAN_LIT("S: =?utf-8?Q?abc\n\n"), "=?utf-8?Q?abc" },
		{ "inside text", SPAN_LIT("S: a=?utf-8?Q?b?=c\n\n"), "abc" },
		{ "not in Message-ID", SPAN_LIT("Message-ID: =?utf-8?Q?a?=\n\n"),
		    "=?utf-8?Q?a?=" },
		{ "empty", SPAN_LIT("S:\n\n"), "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(1 << 20);
		struct message *m = test_parse(a, rows[i].in);

		tap_is_span(field_decoded(m, &m->fields[0]),
		    span_cstr(rows[i].want), rows[i].label);
		arena_free(a);
	}
}

static void
test_raw(void)
{
	struct arena *a = arena_new(1 << 20);
	struct message *m = test_parse(a, SPAN_LIT("S:  a\r\n b\r\n\r\n"));

	tap_is_span(field_raw(m, &m->fields[0]), SPAN_LIT("  a\n b\n"), ":raw");
	arena_free(a);
}

static void
test_address(void)
{
	static const struct {
		const char *in, *want_addr, *want_name;
	} rows[] = {
		{ "a@example.org", "a@example.org", "" },
		{ "Joe <a@example.org>", "a@example.org", "Joe" },
		{ "\"Joe, the \\\"Man\\\"\" <a@example.org>", "a@example.org",
		    "Joe, the \"Man\"" },
		{ "'Joe' <a@example.org>", "a@example.org", "Joe" },
		{ "a@example.org (Joe)", "a@example.org", "Joe" },
		{ "<a@example.org>", "a@example.org", "" },
		{ "\"a@example.org\"<a@example.org>", "a@example.org", "" },
		{ "\"b@example.com\" <a@example.org>", "a@example.org", "b@example.com" },
		{ "=?utf-8?Q?=C3=A4?= <a@example.org>", "a@example.org", "\xC3\xA4" },
		{ "\"a@example.org\"", "a@example.org", "" },
		{ "Joe", "", "Joe" },
		{ "Joe <>", "", "Joe" },
		{ "a@example.org, b@example.org", "a@example.org", "" },
		{ "undisclosed-recipients:;", "", "" },
		{ "Group: Joe <a@example.org>, b@example.org;", "a@example.org", "Joe" },
		{ "\"unended <a@example.org>", "a@example.org", "" },
		{ "\"John Q.\" (x) <a@example.org>", "a@example.org", "John Q." },
		{ "<a@example.org> <b@example.org>", "a@example.org", "" },
		{ "", "", "" },
		{ "Joe  \t Doe <a@example.org>", "a@example.org", "Joe Doe" },
		{ "\"a\\\\\" <a@example.org>", "a@example.org", "a" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(1 << 20);

		tap_is_span(address_first_addr(a, span_cstr(rows[i].in)),
		    span_cstr(rows[i].want_addr), rows[i].in);
		tap_is_span(address_first_name(a, span_cstr(rows[i].in)),
		    span_cstr(rows[i].want_name), rows[i].in);
		arena_free(a);
	}
}

static void
test_address_list(void)
{
	struct arena *a = arena_new(1 << 20);
	struct mailbox *list;
	size_t n;
	bool bad;

	address_list_parse(a, SPAN_LIT("A <a@example.org>, \"b, c\" <b@example.org>,"
	    " c@example.org"), &list, &n, &bad);
	tap_is_int((long long)n, 3, "three mailboxes");
	tap_ok(!bad, "well-formed");
	tap_is_span(list[1].name, SPAN_LIT("b, c"), "quoted name");
	tap_is_span(list[2].local, SPAN_LIT("c"), "local part");
	tap_is_span(list[2].domain, SPAN_LIT("example.org"), "domain");
	address_list_parse(a, SPAN_LIT("A <a@example.org>, rubbish"), &list, &n, &bad);
	tap_is_int((long long)n, 1, "one is kept");
	tap_ok(bad, "malformed");
	address_list_parse(a, SPAN_LIT(""), &list, &n, &bad);
	tap_ok(n == 0 && !bad, "empty");
	arena_free(a);
}

/* Whatever the cut, the fields seen are a prefix of the whole's. */
static void
test_cut(void)
{
	struct span raw = SPAN_LIT("Received: from a\r\n\tby b\r\nSubject: =?utf-8?Q?"
	    "=C3=A4?=\r\nFrom: \"x\" <a@example.org>\r\n\r\nbody\r\n");
	bool same = true;

	for (size_t cut = 1; cut <= raw.len; cut++) {
		struct arena *a = arena_new(1 << 20);
		char *copy = malloc(cut);
		struct message *m;

		memcpy(copy, raw.ptr, cut);
		m = test_parse(a, span_of(copy, cut));
		for (size_t i = 0; m != NULL && i < m->field_count; i++) {
			const struct field *f = &m->fields[i];

			same = same && f->value_offset + f->raw.len <= cut &&
			    memcmp(raw.ptr + f->value_offset, f->raw.ptr,
			    f->raw.len) == 0;
			field_decoded(m, &m->fields[i]);
			address_first_name(a, f->raw);
		}
		free(copy);
		arena_free(a);
	}
	tap_ok(same, "cut at every byte");
}

int
main(void)
{
	test_fields();
	test_refused();
	test_headerless();
	test_find();
	test_limit();
	test_decoded();
	test_raw();
	test_address();
	test_address_list();
	test_cut();
	return tap_done();
}
