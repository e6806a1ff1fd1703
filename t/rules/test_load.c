#include <errno.h>

#include "t/rules/rig.h"

static const struct {
	const char *label, *rules, *want; /* all errors, "" none */
} errors[] = {
	{ "mimeheader has no exists", "mimeheader A exists:Content-Type\n",
	    "test:1: A: not \"Header =~ /pattern/\"\n" },
	{ "nothing", "", "" },
	{ "comment and spaces", "  # x\n\n \t\n", "" },
	{ "unknown word", "frobnicate 1\n", "test:1: unknown word \"frobnicate\"\n" },
	{ "every error in one pass",
	    "header A Subject =~ /(/\nbogus\nbody B /x/q\nmeta C (A\n",
	    "test:2: unknown word \"bogus\"\n"
	    "test:3: B: unknown regexp modifier\n"
	    "test:1: A: bad pattern: missing closing parenthesis at offset 1, near \"\"\n"
	    "test:4: C: missing \")\"\n" },
	{ "one bad pattern twice", "body A /x(/\nbody B /y/\nbody C /x(/\n",
	    "test:1: A: bad pattern: missing closing parenthesis at offset 2, near \"\"\n"
	    "test:3: C: bad pattern: missing closing parenthesis at offset 2, near \"\"\n" },
	{ "rule name", "header 1A Subject =~ /x/\n", "test:1: not a rule name: \"1A\"\n" },
	{ "no test", "header A\n", "test:1: header: needs a name and a test\n" },
	{ "no operator", "header A Subject /x/\n",
	    "test:1: A: not \"Header =~ /pattern/\" and not exists:\n" },
	{ "modifier", "header A Subject:foo =~ /x/\n",
	    "test:1: A: unknown modifier in \"Subject:foo\"\n" },
	{ "delimiters", "header A Subject =~ x\n", "test:1: A: missing regexp delimiters\n" },
	{ "unquoted delimiter", "header A Subject =~ /a/b/\n",
	    "test:1: A: unquoted delimiter found\n" },
	{ "code", "header A Subject =~ /(?{ die })/\n",
	    "test:1: A: code in a pattern is not allowed\n" },
	{ "score not a number", "score A x\n", "test:1: score: not a number: \"x\"\n" },
	{ "score count", "score A 1 2\n", "test:1: score: needs a rule and one or four numbers\n" },
	{ "relative score", "score A (1)\n", "test:1: score: \"A\" has no score to add to\n" },
	{ "endif alone", "endif\n", "test:1: endif: without an if\n" },
	{ "if open", "if 1\nheader A Subject =~ /x/\n", "test:1: if: without an endif\n" },
	{ "if nonsense", "if foo\nbogus\nendif\n", "test:1: if: unknown word \"foo\"\n" },
	{ "meta loop", "meta A B\nmeta B C\nmeta C A\n",
	    "test:3: C: depends on itself through \"A\"\n" },
	{ "meta of itself", "meta A !A\n", "test:1: A: depends on itself through \"A\"\n" },
	{ "meta single &", "meta A B & C\n", "test:1: A: unexpected \"& C\"\n" },
	{ "eval unknown", "header A eval:no_such_thing()\n",
	    "test:1: A: unknown eval function \"no_such_thing\"\n" },
	{ "eval arguments", "header A eval:spamscore_helo()\n",
	    "test:1: A: spamscore_helo: too few arguments\n" },
	{ "eval too many", "header A eval:check_for_spf_pass('x')\n",
	    "test:1: A: check_for_spf_pass: too many arguments\n" },
	{ "eval syntax", "header A eval:spamscore_helo('x)\n",
	    "test:1: A: cannot read the arguments of \"spamscore_helo\"\n" },
	{ "eval word", "header A eval:spamscore_helo('x')\n", "test:1: A: unknown word: \"x\"\n" },
	{ "eval kind", "body A eval:check_for_spf_pass()\n",
	    "test:1: A: \"check_for_spf_pass\" cannot be called in this type of rule\n" },
	{ "NUL is told apart", "bogus\xff\n", "test:1: unknown word \"bogus\\xff\"\n" },
	{ "test line", "test A maybe x\n", "test:1: test: not \"test RULE ok|fail text\"\n" },
	{ "include from text", "include other.cf\n", "test:1: include: not allowed here\n" },
	{ "inert words", "report_safe 0\nadd_header all X y\nuse_bayes 1\n", "" },
	{ "dashes and case", "Report-Safe 0\nHEADER A Subject =~ /x/\n", "" },
	{ "other language", "lang de bogus 1\nlang en describe A text\n", "" },
	{ "missing part is a warning", "meta A B || C\n", "" },
	{ "skipped", "if 0\nbogus\nelse\nheader A Subject =~ /x/\nendif\n", "" },
	{ "nested skip", "if 0\nif 1\nbogus\nelse\nbogus\nendif\nelse\nendif\n", "" },
	{ "version", "require_version 3.0\nbogus\n",
	    "test:1: require_version: this is version 4.000001 of the language; the rest of the file is not read\n" },
};

static void
test_errors(void)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct rig g;

		rig_load(&g, errors[i].rules, false);
		tap_is_str(rig_diags(&g, DIAG_ERROR), errors[i].want,
		    errors[i].label);
		tap_ok((g.load_result != 0) == (errors[i].want[0] != '\0'),
		    "%s: refused when there are errors", errors[i].label);
		rig_done(&g);
	}
}

static void
test_conditions(void)
{
	static const struct {
		const char *condition;
		bool want;
	} rows[] = {
		{ "if 1", true }, { "if 0", false }, { "if !0", true },
		{ "if (version >= 4.000000)", true },
		{ "if (version < 4.000000)", false },
		{ "if version >= 3.004002 && 1", true },
		{ "if (version >= 5.000000) || (version >= 4.000001)", true },
		{ "if (perl_version >= 5.010000)", true },
		{ "ifplugin Mail::SpamAssassin::Plugin::DKIM", true },
		{ "ifplugin Mail::SpamAssassin::Plugin::Spamscore", true },
		{ "ifplugin Mail::SpamAssassin::Plugin::Shortcircuit", false },
		{ "if plugin(Mail::SpamAssassin::Plugin::SPF)", true },
		{ "if !plugin(Mail::SpamAssassin::Plugin::SPF)", false },
		{ "if !plugin ( Mail::SpamAssassin::Plugin::AWL )", true },
		{ "if can(Mail::SpamAssassin::Conf::feature_bug6558_free)", true },
		{ "if !(can(Mail::SpamAssassin::Conf::feature_bug6558_free))", false },
		{ "if has(Mail::SpamAssassin::Plugin::DKIM::has_arc)", true },
		{ "if can(Mail::SpamAssassin::Plugin::DKIM::check_dkim_valid)", true },
		{ "if can(Mail::SpamAssassin::Plugin::DKIM::no_such)", false },
		{ "if can(Other::thing)", false },
		{ "if (1 + 1 == 2) && !(2 * 3 < 6)", true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig g;
		char rules[300];

		snprintf(rules, sizeof(rules),
		    "%s\nheader YES Subject =~ /x/\nelse\n"
		    "header NO Subject =~ /x/\nendif\n", rows[i].condition);
		rig_load(&g, rules, false);
		tap_ok(g.rs != NULL &&
			ruleset_find(g.rs, rows[i].want ? "YES" : "NO") >= 0 &&
			ruleset_find(g.rs, rows[i].want ? "NO" : "YES") < 0,
		    "%s", rows[i].condition);
		rig_done(&g);
	}
}

static const struct rule *
rule(struct rig *g, const char *name)
{
	static const struct rule none;
	long i = g->rs != NULL ? ruleset_find(g->rs, name) : -1;

	return i >= 0 ? ruleset_rule(g->rs, (size_t)i) : &none;
}

static void
test_attributes(void)
{
	struct rig g;

	rig_load(&g,
	    "score A 1.5\n"
	    "header A Subject =~ /x/\n"
	    "describe A What A means\n"
	    "tflags A nice net multiple maxhits=7 publish\n"
	    "test A ok x marks it\n"
	    "test A fail nothing\n"
	    "test A ok another x\n"
	    "header B Subject =~ /y/\nscore B 1 2 3 4\nscore B (0.5)\n"
	    "header T_C Subject =~ /y/\n"
	    "header D Subject =~ /y/\n"
	    "header E Subject =~ /y/\ntflags E nice\n"
	    "header __F Subject =~ /y/\n"
	    "header R Subject =~ /y/\nheader R exists:To\n"
	    "tflags R spamscore_reject\n"
	    "meta M A + B\nscore NOWHERE 5\n", false);
	tap_is_int(g.load_result, 0, "loads");
	tap_is_int((long long)ruleset_count(g.rs), 8,
	    "what only has a score is no rule");
	tap_is_double(rule(&g, "A")->scores[3], 1.5, "score before the rule");
	tap_is_str(rule(&g, "A")->describe, "What A means", "describe");
	tap_is_int(rule(&g, "A")->tflags,
	    RULE_NICE | RULE_NET | RULE_MULTIPLE | RULE_PUBLISH, "tflags");
	tap_is_int(rule(&g, "A")->max_hits, 7, "maxhits");
	tap_is_int((long long)rule(&g, "A")->test_hit_count, 2, "tests that hit");
	tap_is_str(rule(&g, "A")->test_hit[1], "another x", "in order");
	tap_is_str(rule(&g, "A")->test_miss[0], "nothing", "test that misses");
	tap_is_int(rule(&g, "A")->line, 2, "line");
	tap_is_str(rule(&g, "A")->file, "test", "file");
	tap_is_str(rule(&g, "A")->type, "header", "type");
	tap_is_str(rule(&g, "A")->target, "Subject", "target");
	tap_is_double(rule(&g, "B")->scores[1], 2.5, "relative score");
	tap_is_double(rule(&g, "B")->scores[3], 4.5, "in each set");
	tap_is_double(rule(&g, "T_C")->scores[0], 0.01, "T_ default");
	tap_is_double(rule(&g, "D")->scores[0], 1, "default");
	tap_is_double(rule(&g, "E")->scores[0], -1, "nice default");
	tap_ok(rule(&g, "__F")->sub_rule && rule(&g, "__F")->scores[0] == 0,
	    "sub-rule");
	tap_is_str(rule(&g, "R")->target, "To", "the last definition counts");
	tap_is_int(rule(&g, "R")->tflags, RULE_REJECT, "spamscore_reject");
	tap_is_str(rule(&g, "M")->target, "A + B", "meta's target");
	tap_ok(strlen(ruleset_hash(g.rs)) == 64, "a hash");
	rig_done(&g);
}

static void
test_keep_going(void)
{
	struct rig g;

	rig_load(&g, "header A Subject =~ /(/\nheader B Subject =~ /x/\n"
		     "meta C A || B\nbogus\n", true);
	tap_is_int(g.load_result, 0, "lint loads what is right");
	tap_is_int((long long)g.diags.errors, 2, "and tells what is wrong");
	tap_ok(ruleset_find(g.rs, "A") < 0 && ruleset_find(g.rs, "B") >= 0 &&
		ruleset_find(g.rs, "C") >= 0, "the good ones are there");
	rig_run(&g, "Subject: x\n\n");
	tap_is_int(rig_result(&g, "C")->low, 1, "and work");
	rig_done(&g);
}

static void
test_settings(void)
{
	struct scoring_settings s;
	struct arena *a = arena_new(1 << 20);
	struct settings_room room = { scoring_settings_table, &s };
	struct ruleset_options o = { .rooms = &room, .room_count = 1,
		.text = SPAN_LIT("tag_score 4.5\nrequired-score 6\n"
				 "trusted_networks 192.0.2.0/24\n"
				 "scan_size 5 apples\n"),
		.text_name = "test", .keep_going = true };
	struct ruleset *rs = NULL;
	struct diags d;

	diags_init(&d, a);
	scoring_settings_init(&s, a);
	ruleset_load(&o, &d, &rs, NULL);
	tap_is_double(s.tag_score, 6, "settings go to their rooms");
	tap_is_int((long long)s.trusted_networks.count, 1, "networks too");
	tap_ok(d.errors == 1 && d.first->line == 4, "a bad one is an error");
	ruleset_free(rs);
	scoring_settings_done(&s);
	arena_free(a);
}

/* A large, a deep and a long file: refused or loaded, in bounded time. */
static void
test_hostile_files(void)
{
	struct ruleset_options o = { .text_name = "test" };
	struct arena *a = arena_new(512 << 20);
	struct ruleset *rs = NULL;
	struct error err;
	struct diags d;
	struct buf b;

	diags_init(&d, a);
	buf_init(&b, 64 << 20);
	for (int i = 0; i < 30000; i++)
		buf_printf(&b, "meta M%d M%d\n", i, i + 1);
	buf_add_str(&b, "header M30000 Subject =~ /x/\n");
	o.text = buf_span(&b);
	tap_is_int(ruleset_load(&o, &d, &rs, &err), 0, "a chain of 30,000 metas");
	ruleset_free(rs);
	buf_reset(&b);
	buf_add_str(&b, "meta A ");
	for (int i = 0; i < 100000; i++)
		buf_add_char(&b, '(');
	o.text = buf_span(&b);
	tap_is_int(ruleset_load(&o, &d, &rs, &err), -EINVAL, "100,000 parentheses");
	buf_reset(&b);
	buf_add_str(&b, "header A Subject =~ /");
	for (int i = 0; i < 100000; i++)
		buf_add_char(&b, '(');
	buf_add_str(&b, "/\n");
	o.text = buf_span(&b);
	tap_is_int(ruleset_load(&o, &d, &rs, &err), -EINVAL, "and in a pattern");
	buf_reset(&b);
	while (b.len < 17 << 20)
		buf_add_str(&b, "header A Subject =~ /aaaaaaaaaaaaaaaaaaaaaaaaa/ \n");
	o.text = buf_span(&b);
	tap_is_int(ruleset_load(&o, &d, &rs, &err), 0,
	    "350,000 definitions of one rule");
	ruleset_free(rs);
	buf_done(&b);
	arena_free(a);
}

int
main(void)
{
	test_errors();
	test_conditions();
	test_attributes();
	test_keep_going();
	test_settings();
	test_hostile_files();
	return tap_done();
}
