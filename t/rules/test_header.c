#include "t/rules/rig.h"

static const char mail[] =
    "Return-Path: <bounce@list.example>\n"
    "Received: from mx.other.example (mx.other.example [192.0.2.7])\n"
    "\tby mail.ours.example (Postfix) with ESMTP id 4F1A2\n"
    "\tfor <me@ours.example>; Mon, 23 Nov 2020 10:00:00 +0000 (UTC)\n"
    "From: =?UTF-8?Q?J=C3=BCrgen?= \"Joe\" <joe@author.example>\n"
    "To: me@ours.example,\n"
    " Other <other@ours.example>\n"
    "Cc: third@ours.example\n"
    "Subject: =?UTF-8?B?RnJlZSBtb25leQ==?= for you\n"
    "X-Twice: one\n"
    "X-Twice: two\n"
    "X-Fold: a\n"
    "\tb\n"
    "X-Empty:\n"
    "Message-ID: <1@author.example>\n"
    "\n"
    "body\n";

static const struct {
	const char *label, *test;
	int want;
} rows[] = {
	{ "plain", "Subject =~ /Free money for you/", 1 },
	{ "decoded, so not raw", "Subject =~ /UTF-8/", 0 },
	{ "raw", "Subject:raw =~ /=\\?UTF-8\\?B\\?/", 1 },
	{ "raw keeps the leading space", "Subject:raw =~ /^ =/", 1 },
	{ "case", "Subject =~ /free MONEY/", 0 },
	{ "caseless", "Subject =~ /free MONEY/i", 1 },
	{ "name of the field in any case", "sUBJECT =~ /Free/", 1 },
	{ "negated miss", "Subject !~ /Free/", 0 },
	{ "negated hit", "Subject !~ /cheap/", 1 },
	{ "missing is empty", "X-None =~ /^$/", 1 },
	{ "missing, negated", "X-None !~ /./", 1 },
	{ "if-unset", "X-None =~ /^UNSET$/ [if-unset: UNSET]", 1 },
	{ "if-unset when set", "Subject =~ /UNSET/ [if-unset: UNSET]", 0 },
	{ "exists", "exists:X-Twice", 1 },
	{ "exists of an empty field", "exists:X-Empty", 1 },
	{ "exists not", "exists:X-None", 0 },
	{ "exists with a colon", "exists:X-Twice:", 1 },
	{ "several joined", "X-Twice =~ /one\\ntwo\\n/", 1 },
	{ "each line begins", "X-Twice =~ /^two/m", 1 },
	{ "first", "X-Twice:first =~ /two/", 0 },
	{ "last", "X-Twice:last =~ /one/", 0 },
	{ "unfolded", "X-Fold =~ /^a b$/", 1 },
	{ "folded in raw", "X-Fold:raw =~ /a\\n\\tb/", 1 },
	{ "addr", "From:addr =~ /^joe\\@author\\.example$/", 1 },
	{ "name", "From:name =~ /^J\\xc3\\xbcrgen/", 1 },
	{ "all addresses", "To:addr =~ /^me\\@ours\\.example\\nother\\@ours\\.example$/", 1 },
	{ "ToCc", "ToCc =~ /me\\@ours.*other\\@ours.*third\\@/s", 1 },
	{ "MESSAGEID", "MESSAGEID =~ /<1\\@author/", 1 },
	{ "EnvelopeFrom from Return-Path", "EnvelopeFrom =~ /^bounce\\@list\\.example$/", 1 },
	{ "EnvelopeFrom and its host", "EnvelopeFrom:addr:host =~ /^list\\.example$/", 1 },
	{ "host", "From:addr:host =~ /^author\\.example$/", 1 },
	{ "ALL", "ALL =~ /^From: J\\xc3\\xbcrgen.*^X-Fold: a b$/sm", 1 },
	{ "ALL raw", "ALL:raw =~ /^X-Fold: a\\n\\tb$/m", 1 },
	{ "relays", "X-Spam-Relays-Untrusted =~ /ip=192\\.0\\.2\\.7 rdns=mx\\.other\\.example/", 1 },
	{ "ip", "Received:ip =~ /^192\\.0\\.2\\.7$/", 1 },
	{ "revip", "Received:revip =~ /^7\\.2\\.0\\.192$/", 1 },
	{ "m{} delimiters", "Subject =~ m{^free}i", 1 },
	{ "x modifier", "Subject =~ /free \\s money/ix", 1 },
	{ "inline aa flag", "Subject =~ /(?aai)FREE/", 1 },
	{ "upper bound only", "Subject =~ /Fre{,3} m/", 1 },
	{ "Latin-1 case", "From:name =~ /J\\xe3\\xbcrgen/i", 1 },
	{ "escaped hash", "Subject =~ /\\#/", 0 },
};

static void
test_matching(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig g;
		char rules[300];

		snprintf(rules, sizeof(rules), "header A %s\n", rows[i].test);
		rig_load(&g, rules, false);
		if (g.load_result != 0)
			printf("# %s", rig_diags(&g, DIAG_ERROR));
		rig_run(&g, mail);
		tap_is_int(rig_result(&g, "A")->low, rows[i].want,
		    rows[i].label);
		rig_done(&g);
	}
}

static void
test_results(void)
{
	const struct rule_result *r;
	struct rig g;

	rig_load(&g,
	    "header COUNT X-Twice =~ /o/\n"
	    "tflags COUNT multiple\n"
	    "header MAX ALL =~ /e/\n"
	    "tflags MAX multiple maxhits=3\n"
	    "header __SUB Subject =~ /for (you)/\n"
	    "header EXACT X-Twice =~ /two/\n"
	    "header DECODED Subject =~ /money/\n"
	    "header OFF Subject =~ /money/\nscore OFF 0\n"
	    "header SETS Subject =~ /money/\nscore SETS 0 1 0 2\n"
	    "header EMPTY Subject =~ /(?:)/\ntflags EMPTY multiple maxhits=4\n",
	    false);
	tap_ok(rig_run(&g, mail), "runs");
	tap_is_int(rig_result(&g, "COUNT")->low, 2, "multiple counts");
	tap_is_int(rig_result(&g, "MAX")->low, 3, "maxhits stops");
	tap_is_int(rig_result(&g, "EMPTY")->low, 4, "empty matches move on");
	tap_is_int(rig_result(&g, "OFF")->low, 0, "score 0 switches off");
	tap_is_int(rig_result(&g, "SETS")->low, 0, "off in score set 0");
	r = rig_result(&g, "__SUB");
	tap_is_span(r->matched, SPAN_LIT("for you"), "matched text");
	tap_ok(rig_offset(&g, "EXACT") == (size_t)(strstr(mail, "two") - mail),
	    "offset of the match itself");
	tap_ok(rig_offset(&g, "DECODED") == (size_t)(strstr(mail, " =?UTF-8?B") - mail) ||
		rig_offset(&g, "DECODED") == (size_t)(strstr(mail, "=?UTF-8?B") - mail),
	    "offset of the field when it was encoded");
	tap_ok(g.run.steps > 0 && !g.run.budget_spent, "steps are counted");
	g.score_set = 1;
	rig_run(&g, mail);
	tap_is_int(rig_result(&g, "SETS")->low, 1, "on in score set 1");
	rig_done(&g);
}

/* A pattern without end becomes unknown, by steps, the same each time. */
static void
test_limits(void)
{
	char big[8000];
	struct rig g;
	uint64_t steps;

	memset(big, 'a', sizeof(big));
	memcpy(big, "Subject: ", 9);
	strcpy(big + sizeof(big) - 8, "!\n\nx\n");
	rig_load(&g,
	    "header ENDLESS Subject =~ /(a+)+$/\n"
	    "header FINE Subject =~ /b!/\n"
	    "meta BOTH ENDLESS && FINE\n"
	    "meta EITHER ENDLESS || FINE\n"
	    "meta NEITHER !ENDLESS\n"
	    "meta MORE ENDLESS + FINE > 1\n", false);
	tap_ok(rig_run(&g, big), "an endless pattern comes back");
	tap_ok(rig_result(&g, "ENDLESS")->low == 0 &&
		rig_result(&g, "ENDLESS")->high == 1, "as unknown");
	tap_is_str(rig_result(&g, "ENDLESS")->why, "match limit", "and why");
	tap_is_int(rig_result(&g, "FINE")->low, 0, "a plain miss");
	tap_ok(rig_result(&g, "BOTH")->high == 0, "false part decides &&");
	tap_ok(rig_result(&g, "NEITHER")->low == 0 &&
		rig_result(&g, "NEITHER")->high == 1, "! of unknown is unknown");
	tap_is_str(rig_result(&g, "NEITHER")->why, "match limit",
	    "a meta says why");
	steps = g.run.steps;
	tap_ok(steps > 1000, "the steps are charged");
	rig_run(&g, big);
	tap_ok(g.run.steps == steps, "the same message costs the same steps");
	g.settings.message_steps = 3000;
	rig_run(&g, big);
	tap_ok(g.run.budget_spent && rig_result(&g, "ENDLESS")->high == 1,
	    "a spent budget leaves unknowns");
	rig_done(&g);
}

static void
test_hostile_messages(void)
{
	static const char nul[] = "Subject: a\0b\nFrom: \0\xff\n\n\0";
	struct rig g;

	rig_load(&g,
	    "header NUL Subject =~ /a\\0b/\n"
	    "header HIGH From =~ /[\\x80-\\xff]/\n"
	    "header ADDR From:addr =~ /./\n"
	    "header ALLRAW ALL:raw =~ /b$/m\n", false);
	tap_ok(rig_run_span(&g, span_of(nul, sizeof(nul) - 1)), "NULs");
	tap_is_int(rig_result(&g, "NUL")->low, 1, "a NUL matches");
	tap_is_int(rig_result(&g, "HIGH")->low, 1, "a stray byte matches");
	tap_is_int(rig_result(&g, "ALLRAW")->low, 1, "raw header with NULs");
	for (size_t n = 1; n < sizeof(mail) - 1; n++)
		if (!rig_run_span(&g, span_of(mail, n)) && g.err.text[0] == '\0')
			tap_ok(false, "cut at %zu", n);
	rig_done(&g);
}

int
main(void)
{
	test_matching();
	test_results();
	test_limits();
	test_hostile_messages();
	return tap_done();
}
