/*
 * The evals of scoring/rules/eval/identity*.c, one table of messages a
 * family of questions; evidence that takes support away; hostile fields.
 */
#include "t/rules/rig.h"

static const char rules_text[] =
    "spamscore_brand paypal \"paypal\" \"pay pal team\" paypal.com\n"
    "spamscore_brand apple =\"apple\" apple.com\n"
    "spamscore_brand apple icloud.com\n"
    "spamscore_brand itau \"ita\xc3\xba\" itau.com.br\n"
    "header MALFORMED eval:identity_malformed()\n"
    "header BRAND eval:identity_brand('from_name', 'plain')\n"
    "header BRANDX eval:identity_brand('from_name', 'disguised')\n"
    "header AUTHOR eval:identity_brand_author()\n"
    "header MIXED eval:identity_mixed_script('from_name')\n"
    "header NAMEADDR eval:identity_name_address()\n"
    "header NAMEDOM eval:identity_name_domain()\n"
    "header DKIM eval:identity_related('from', 'dkim')\n"
    "header MFROM eval:identity_related('from', 'mail_from')\n"
    "header XREPLY eval:identity_unrelated('from', 'reply_to')\n"
    "header TLD eval:identity_tld_unknown('from')\n"
    "header LABEL eval:identity_single_label('from')\n"
    "header RANDOM eval:identity_random('from')\n"
    "header TWO eval:identity_mailboxes('from', 2)\n"
    "header SELF eval:identity_same_address('from', 'to')\n"
    "header GAP eval:identity_date_gap(-2, 2)\n"
    "header CLEAR eval:identity_entry('no_tls')\n"
    "header NAMELESS eval:identity_entry('nameless')\n"
    "header HELO eval:identity_match('entry_helo', '/^mail\\.example\\.org$/')\n"
    "header LOWER eval:identity_lower_names()\n";

struct row {
	const char *label, *message;
	const char *want; /* rules that hit, in the order of the file */
};

static const struct row from_rows[] = {
	{ "an ordinary author", "From: Anna <a@example.org>\n\n", "" },
	{ "a quoted comma", "From: \"Berg, Anna\" <a@example.org>\n\n", "" },
	{ "a bare address", "From: a@example.org\n\n", "" },
	{ "a comment", "From: a@example.org (Berg, Anna)\n\n", "" },
	{ "an address as the name", "From: a@example.org <a@example.org>\n\n", "" },
	{ "an escaped quote", "From: \"A \\\" B, C\" <a@example.org>\n\n", "" },
	{ "an encoded comma", "From: =?utf-8?q?Berg=2C_Anna?= <a@example.org>\n\n", "" },
	{ "a bare comma", "From: Berg, Anna <a@example.org>\n\n", "MALFORMED" },
	{ "debris", "From: Team ,_<a@example.org>\n\n", "MALFORMED" },
	{ "an empty address", "From: \"Team\" <>\n\n", "MALFORMED" },
	{ "text behind", "From: Team <a@example.org>x\n\n", "MALFORMED" },
	{ "a bracket too many", "From: Team <<a@example.org>\n\n", "MALFORMED" },
	{ "no bracket's end", "From: Team <a@example.org\n\n", "MALFORMED" },
	{ "a dot at the end", "From: Team <a@example.org.>\n\n", "MALFORMED" },
	{ "no address at all", "From: Team\n\n", "MALFORMED" },
	{ "two authors", "From: a@example.org, b@example.org\n\n", "TWO" },
	{ "a brand elsewhere", "From: PayPal <a@example.org>\n\n", "BRAND" },
	{ "a brand at home", "From: PayPal <a@mail.paypal.com>\n\n", "AUTHOR" },
	{ "a domain that only ends alike", "From: PayPal <a@notpaypal.com>\n\n", "BRAND" },
	{ "a phrase", "From: Your Pay-Pal Team <a@example.org>\n\n", "BRAND" },
	{ "half a phrase", "From: Pay Palace <a@example.org>\n\n", "" },
	{ "inside a word", "From: Paypaloma <a@example.org>\n\n", "" },
	{ "a whole name", "From: Apple <a@example.org>\n\n", "BRAND" },
	{ "not the whole name", "From: Apple Tree Dental <a@example.org>\n\n", "" },
	{ "a later line's domain", "From: Apple <a@icloud.com>\n\n", "AUTHOR" },
	{ "an accent is no disguise", "From: Itau <a@example.org>\n\n", "BRAND" },
	{ "Cyrillic", "From: P\xd0\xb0yP\xd0\xb0l <a@example.org>\n\n", "BRANDX MIXED" },
	{ "digits", "From: PayPa1 <a@example.org>\n\n", "BRANDX" },
	{ "a capital I", "From: PaypaI <a@example.org>\n\n", "BRANDX" },
	{ "mathematics", "From: \xf0\x9d\x90\x8f\xf0\x9d\x90\x9a\xf0\x9d\x90\xb2pal <a@example.org>\n\n", "BRANDX" },
	{ "struck out", "From: P\xcc\xb6""a\xcc\xb6ypal <a@example.org>\n\n", "BRANDX" },
	{ "zero width", "From: Pay\xe2\x80\x8bpal <a@example.org>\n\n", "BRANDX" },
	{ "Cyrillic alone is no mixture", "From: \xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0 Berg <a@example.org>\n\n", "" },
	{ "broken UTF-8", "From: Pay\xff\xc3pal <a@example.org>\n\n", "" },
	{ "another's address as name", "From: \"b@example.com\" <a@example.org>\n\n", "NAMEADDR" },
	{ "another's domain as name", "From: \"bank.com\" <a@example.org>\n\n", "NAMEDOM" },
	{ "no domain", "From: \"St.Anna Dr.Who\" <a@example.org>\n\n", "" },
	{ "unknown top level", "From: a@b.qxzyv\n\n", "TLD" },
	{ "a local top level", "From: a@b.local\n\n", "" },
	{ "a bare host", "From: root@web01\n\n", "LABEL" },
	{ "digits and letters in turn", "From: a@x1y2z3w4.com\n\n", "RANDOM" },
	{ "consonants", "From: a@hhpbqzmyfw.com\n\n", "RANDOM" },
	{ "an A-label is not random", "From: a@xn--b1c2d3e4.com\n\n", "" },
	{ "to oneself", "From: a@example.org\nTo: B <A@Example.ORG>\n\n", "SELF" },
	{ "replies elsewhere", "From: a@example.org\nReply-To: b@example.com\n\n", "XREPLY" },
	{ "replies within", "From: a@x.example.org\nReply-To: b@y.example.org\n\n", "" },
	{ "public suffixes are no relation", "From: a@one.co.uk\nReply-To: b@two.co.uk\n\n", "XREPLY" },
	{ "lower case", "from: a@example.org\nDate: x\n\n", "LOWER" },
	{ "all in lower case", "from: a@example.org\ndate: x\n\n", "" },
};

#define POSTFIX(clause, with) \
	"Received: from mail.example.org (" clause ") by mx.example.net (Postfix)\n" \
	"\twith " with " id 4X; Mon, 2 Mar 2026 10:00:00 +0000\nFrom: a@example.com\n"

static const struct row entry_rows[] = {
	{ "named, with TLS", POSTFIX("mail.example.org [198.51.100.7]", "ESMTPS") "\n", "HELO" },
	{ "in the clear", POSTFIX("mail.example.org [198.51.100.7]", "ESMTP") "\n", "CLEAR HELO" },
	{ "no name", POSTFIX("unknown [198.51.100.7]", "ESMTPS") "\n", "NAMELESS HELO" },
	{ "the house's own hop is passed over",
	    "Received: from in.example.net (in.example.net [192.0.2.1]) by mx.example.net (Postfix)\n"
	    "\twith ESMTP id 1; Mon, 2 Mar 2026 10:00:09 +0000\n"
	    POSTFIX("mail.example.org [198.51.100.7]", "ESMTPS") "\n", "HELO" },
	{ "a private hop is passed over",
	    "Received: from x (x [192.168.1.1]) by y.example.com (Postfix)\n"
	    "\twith ESMTP id 1; Mon, 2 Mar 2026 10:00:09 +0000\n"
	    POSTFIX("mail.example.org [198.51.100.7]", "ESMTPS") "\n", "HELO" },
	{ "an MTA that looks no name up",
	    "Received: from mail.example.org ([198.51.100.7]:55226 \"EHLO mail.example.org\")\n"
	    "\tby mx.example.net with ESMTP id S1; Mon, 2 Mar 2026 10:00:00 +0000\n"
	    "From: a@example.com\n\n", "CLEAR HELO" },
	{ "dated as it came", POSTFIX("mail.example.org [198.51.100.7]", "ESMTPS")
	    "Date: Mon, 2 Mar 2026 11:30:00 +0000\n\n", "GAP HELO" },
	{ "dated three hours off", POSTFIX("mail.example.org [198.51.100.7]", "ESMTPS")
	    "Date: Mon, 2 Mar 2026 13:00:00 +0000\n\n", "HELO" },
};

static const char *
hits(struct rig *g)
{
	struct buf b;
	char *p;

	buf_init(&b, 4096);
	for (size_t i = 0; i < ruleset_count(g->rs); i++)
		if (g->run.results[i].low > 0)
			buf_printf(&b, "%s%s", b.len > 0 ? " " : "",
			    ruleset_rule(g->rs, i)->name);
	p = arena_memdup(g->arena, b.ptr, b.len);
	buf_done(&b);
	return p;
}

static void
check_rows(struct rig *g, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (tap_ok(rig_run(g, rows[i].message), "%s: runs", rows[i].label))
			tap_is_str(hits(g), rows[i].want, rows[i].label);
}

static bool
hit(struct rig *g, const char *rule)
{
	return rig_result(g, rule)->low > 0;
}

/* A milter knows the client before any Received field tells of it */
static void
test_smtp(struct rig *g)
{
	g->envelope.source = ENVELOPE_SMTP;
	g->evidence.now = 1772445600; /* Mon, 2 Mar 2026 10:00:00 +0000 */
	rig_run(g, "From: a@example.org\nDate: Mon, 2 Mar 2026 10:30:00 +0000\n\n");
	tap_is_str(hits(g), "GAP", "the clock is that of the connection");
	g->envelope.source = ENVELOPE_MESSAGE;
}

/* What DNS said takes support away, or leaves it */
static void
test_evidence(struct rig *g)
{
	static const char message[] = "DKIM-Signature: v=1; s=x; d=Example.ORG; b=\n"
	    "From: a@mail.example.org\n\n";
	struct dkim_evidence dkim = { .domain = "example.org" };

	g->envelope.mail_from = "bounce@news.example.org";
	rig_run(g, message);
	tap_ok(hit(g, "DKIM") && hit(g, "MFROM"), "offline both claims support");
	g->evidence.dkim = &dkim;
	g->evidence.dkim_count = 1;
	dkim.check = (struct check){ CHECK_DONE, NULL };
	dkim.result = AUTH_FAIL;
	rig_run(g, message);
	tap_ok(!hit(g, "DKIM"), "a signature that fails supports nobody");
	dkim.result = AUTH_PASS;
	rig_run(g, message);
	tap_ok(hit(g, "DKIM"), "one that passes does");
	dkim.check = (struct check){ CHECK_UNKNOWN, "timeout" };
	dkim.result = AUTH_TEMPERROR;
	rig_run(g, message);
	tap_ok(hit(g, "DKIM"), "one that could not be checked is not held against it");
	g->evidence.dkim_count = 0;
	g->evidence.spf_mailfrom.check = (struct check){ CHECK_DONE, NULL };
	g->evidence.spf_mailfrom.result = AUTH_SOFTFAIL;
	rig_run(g, message);
	tap_ok(!hit(g, "MFROM"), "an envelope sender that SPF disowns supports nobody");
	g->evidence.spf_mailfrom.result = AUTH_PASS;
	rig_run(g, message);
	tap_ok(hit(g, "MFROM"), "one that passes does");
	g->evidence.spf_mailfrom = (struct spf_evidence){ 0 };
	g->envelope.mail_from = NULL;
}

static void
test_hostile(struct rig *g)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_printf(&b, "From: ");
	for (int i = 0; i < 5000; i++)
		buf_printf(&b, "x <a%d@d%d.example.org>, (((\"\\", i, i);
	buf_printf(&b, "\nTo: ");
	for (int i = 0; i < 20000; i++)
		buf_printf(&b, "<,;@.");
	buf_printf(&b, "\nSubject: ");
	for (int i = 0; i < 3000; i++) /* the longest compatibility form */
		buf_printf(&b, "\xef\xb7\xba");
	buf_printf(&b, "\nList-Unsubscribe: ");
	for (int i = 0; i < 20000; i++)
		buf_printf(&b, "://@");
	buf_printf(&b, "\n\n");
	tap_ok(rig_run_span(g, span_of(b.ptr, b.len)), "many and long fields");
	buf_done(&b);
	tap_ok(rig_run_span(g, SPAN_LIT("From: P\0ayPal <a\0@b\0.c>\nMessage-ID: @\n\n")),
	    "NULs");
}

struct bad {
	const char *line, *want;
};

static void
test_errors(void)
{
	static const struct bad rows[] = {
		{ "spamscore_brand", "spamscore_brand: a name is missing" },
		{ "spamscore_brand \"x\" a.com", "spamscore_brand: a name is missing" },
		{ "spamscore_brand x \"y", "spamscore_brand: quote is not closed" },
		{ "spamscore_brand x \"y\" com", "spamscore_brand: \"com\" is no domain" },
		{ "spamscore_brand x \"--\" a.com", "spamscore_brand: phrase without letters" },
		{ "spamscore_brand x", "spamscore_brand: neither phrase nor domain" },
		{ "header A eval:identity_brand('body', 'plain')", "identity_brand: unknown text or form" },
		{ "header A eval:identity_related('from', 'moon')", "identity_related: no identity \"moon\"" },
		{ "header A eval:identity_mailboxes('dkim', 2)", "identity_mailboxes: \"dkim\" holds no mailboxes" },
		{ "header A eval:identity_date_gap(2, 1)", "identity_date_gap: two numbers of hours, the smaller first" },
		{ "header A eval:identity_entry('x')", "identity_entry: \"nameless\" or \"no_tls\"" },
		{ "header A eval:identity_mixed_script('to')", "identity_mixed_script: \"subject\" or \"from_name\"" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig g;

		rig_load(&g, rows[i].line, true);
		if (!tap_ok(strstr(rig_diags(&g, DIAG_ERROR), rows[i].want) != NULL &&
			strncmp(rig_diags(&g, DIAG_ERROR), "test:1: ", 8) == 0,
			"%s", rows[i].line))
			tap_dump("got", rig_diags(&g, DIAG_ERROR),
			    strlen(rig_diags(&g, DIAG_ERROR)));
		rig_done(&g);
	}
}

int
main(void)
{
	struct rig g;

	rig_load(&g, rules_text, false);
	if (!tap_ok(g.rs != NULL, "the rules load")) {
		printf("# %s", rig_diags(&g, DIAG_ERROR));
		return tap_done();
	}
	g.envelope.source = ENVELOPE_MESSAGE;
	check_rows(&g, from_rows, sizeof(from_rows) / sizeof(from_rows[0]));
	check_rows(&g, entry_rows, sizeof(entry_rows) / sizeof(entry_rows[0]));
	test_smtp(&g);
	test_evidence(&g);
	test_hostile(&g);
	rig_done(&g);
	test_errors();
	return tap_done();
}
