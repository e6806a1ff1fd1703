#include "t/rules/rig.h"

/* ONE and TWO hit once and twice, NONE never, U is unknown in 0..1 */
static const char base[] =
    "header ONE Subject =~ /one/\n"
    "header TWO Subject =~ /t/\ntflags TWO multiple\n"
    "header NONE Subject =~ /none/\n"
    "header U X-Endless =~ /(a+)+$/\n"
    "header ZERO Subject =~ /one/\nscore ZERO 0\n"
    "meta DEAD ONE\nscore DEAD 0\n"
    "meta IDLE NONE\nscore IDLE 0\n"
    "header NET eval:check_for_spf_pass()\ntflags NET net\n"
    "header ALSO eval:check_for_spf_fail()\n"
    "header __M_A Subject =~ /one/\nheader __M_B Subject =~ /t/\n";

static const struct {
	const char *expression;
	unsigned low, high;
} rows[] = {
	{ "ONE", 1, 1 }, { "TWO", 2, 2 }, { "NONE", 0, 0 }, { "U", 0, 1 },
	{ "ONE && TWO", 2, 2 }, { "TWO && ONE", 1, 1 }, { "NONE || TWO", 2, 2 },
	{ "ONE + TWO", 3, 3 }, { "ONE + TWO > 2", 1, 1 }, { "ONE + TWO > 3", 0, 0 },
	{ "TWO - ONE", 1, 1 }, { "ONE -1", 0, 0 }, { "TWO * TWO", 4, 4 },
	{ "TWO / 4", 1, 1 }, { "ONE / NONE", 0, 0 }, { "!NONE", 1, 1 },
	{ "!!TWO", 1, 1 }, { "! ONE || TWO == 2", 1, 1 }, { "TWO >= 2", 1, 1 },
	{ "TWO <= 1", 0, 0 }, { "TWO != 2", 0, 0 }, { "ONE ^ TWO", 3, 3 },
	{ "ONE ? TWO : NONE", 2, 2 }, { "NONE ? TWO : ONE", 1, 1 },
	{ "-ONE", 1, 1 }, { "ONE < TWO && TWO < 3", 1, 1 },
	{ "NONE && ONE || TWO", 2, 2 }, { "ONE || NONE && NONE", 1, 1 },
	{ "(ONE || NONE) && NONE", 0, 0 }, { "()", 0, 0 }, { "1", 1, 1 },
	/* a part that is 0 decides only where && joins it to all the rest */
	{ "!(ONE && NONE)", 1, 1 }, { "(ONE && NONE) + TWO", 2, 2 },
	{ "(NONE && ONE) < 1", 1, 1 }, { "-(ONE && NONE) + 1", 1, 1 },
	{ "NONE ? NONE && ONE : TWO", 2, 2 }, { "(ONE && NONE || TWO) && ONE", 1, 1 },
	{ "ONE && (TWO && NONE)", 0, 0 }, { "!NONE && TWO", 2, 2 },
	{ "0.5", 1, 1 }, { "ZERO", 0, 0 }, { "!ZERO", 1, 1 },
	{ "rules_matching(__M_*)", 2, 2 }, { "rules_matching(X*) + ONE", 1, 1 },
	{ "UNDEFINED || ONE", 1, 1 }, { "local_tests_only", 1, 1 },
	/* unknown parts: only where they matter */
	{ "U || ONE", 1, 1 }, { "ONE || U", 1, 1 }, { "U && NONE", 0, 0 },
	{ "NONE && U", 0, 0 }, { "!U", 0, 1 }, { "U + ONE", 1, 2 },
	{ "U + TWO > 1", 1, 1 }, { "U + TWO > 2", 0, 1 }, { "U > 1", 0, 0 },
	{ "U ? ONE : TWO", 1, 2 }, { "U == U", 0, 1 }, { "U * NONE", 0, 0 },
	/* what was chosen not to run counts 0 */
	{ "NET || ALSO", 0, 0 }, { "!NET", 1, 1 }, { "!ALSO", 1, 1 },
	/* a meta with score 0 that is true is never ready in SpamAssassin */
	{ "DEAD", 0, 0 }, { "!DEAD", 0, 0 }, { "ONE || DEAD", 0, 0 },
	{ "!IDLE", 1, 1 },
};

/* More parts than a word of memory has bits */
static void
many_parts(const char *mail)
{
	enum { PARTS = 70 };
	char rules[8000];
	size_t n = 0;
	struct rig g;

	for (int i = 0; i < PARTS; i++)
		n += (size_t)snprintf(rules + n, sizeof(rules) - n,
		    "header H%d Subject =~ /%s/\n", i, i < PARTS - 1 ? "one" : "none");
	for (int k = 0; k < 3; k++) {
		n += (size_t)snprintf(rules + n, sizeof(rules) - n, "meta M%d H0", k);
		for (int i = 1; i < PARTS - (k == 0); i++)
			n += (size_t)snprintf(rules + n, sizeof(rules) - n, " %s H%d",
			    k == 2 && i == PARTS - 1 ? "||" : "&&", i);
		n += (size_t)snprintf(rules + n, sizeof(rules) - n, "\n");
	}
	rig_load(&g, rules, false);
	rig_run(&g, mail);
	tap_ok(rig_result(&g, "M0")->low == 1 && rig_result(&g, "M1")->high == 0 &&
		rig_result(&g, "M2")->low == 1, "metas of %d parts", PARTS);
	rig_done(&g);
}

int
main(void)
{
	char mail[4000];
	struct rig g;

	memset(mail, 'a', sizeof(mail));
	memcpy(mail, "Subject: one t t\nX-Endless: ", 27);
	memcpy(mail + sizeof(mail) - 5, "!\n\n", 4);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char rules[2000];
		const struct rule_result *r;

		snprintf(rules, sizeof(rules), "%smeta X %s\n", base,
		    rows[i].expression);
		rig_load(&g, rules, false);
		if (g.load_result != 0)
			printf("# %s", rig_diags(&g, DIAG_ERROR));
		g.settings.match_limit = 2000;
		rig_run(&g, mail);
		r = rig_result(&g, "X");
		if (!tap_ok(r->low == rows[i].low && r->high == rows[i].high,
			"%s", rows[i].expression))
			printf("#  got: %u..%u\n# want: %u..%u\n", r->low,
			    r->high, rows[i].low, rows[i].high);
		rig_done(&g);
	}
	/* unknown only: the reason travels up */
	rig_load(&g, "header U X-Endless =~ /(a+)+$/\nmeta M U || 0\nmeta N M && 1\n",
	    false);
	g.settings.match_limit = 2000;
	rig_run(&g, mail);
	tap_is_str(rig_result(&g, "N")->why, "match limit", "reason of a meta");
	rig_done(&g);
	/* a check that did not finish, against one that was not begun */
	rig_load(&g, "header F eval:check_for_spf_fail()\n"
		     "meta NOT !F\nheader P eval:check_for_spf_pass()\n", false);
	g.score_set = 1;
	g.evidence.spf_mailfrom.check =
	    (struct check){ CHECK_UNKNOWN, "timeout" };
	rig_run(&g, mail);
	tap_ok(rig_result(&g, "F")->high == 1 && rig_result(&g, "NOT")->low == 0 &&
		rig_result(&g, "NOT")->high == 1, "timeout is unknown");
	tap_is_str(rig_result(&g, "NOT")->why, "timeout", "and says so");
	g.evidence.spf_mailfrom.check.state = CHECK_NOT_RUN;
	g.evidence.spf_mailfrom.check.why = "offline";
	rig_run(&g, mail);
	tap_ok(rig_result(&g, "F")->not_run && rig_result(&g, "NOT")->low == 1,
	    "not run counts 0");
	g.evidence.spf_mailfrom.check.state = CHECK_DONE;
	g.evidence.spf_mailfrom.result = AUTH_FAIL;
	g.evidence.spf_mailfrom.domain = "example.org";
	rig_run(&g, mail);
	tap_ok(rig_result(&g, "F")->low == 1 && rig_result(&g, "P")->low == 0,
	    "an answer");
	tap_is_span(rig_result(&g, "F")->matched, SPAN_LIT("example.org"),
	    "with its domain");
	rig_done(&g);
	/* a loop through which a rule of score 0 makes the one wait for the other */
	rig_load(&g, "header X Subject =~ /./\nmeta D X\nscore D 0\n"
		     "meta A B || D\nmeta B A && X\nmeta C X\n", true);
	rig_run(&g, mail);
	tap_ok(rig_result(&g, "A")->low == 0 && rig_result(&g, "B")->low == 0 &&
		rig_result(&g, "C")->low == 1, "a loop of metas comes to an end");
	rig_done(&g);
	many_parts(mail);
	return tap_done();
}
