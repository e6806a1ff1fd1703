/*
 * Outlines: what they leave out, and that they match wherever the pattern
 * does (on plain text, those for plain text), as often as they say.
 */
#include <stdio.h>

#include "scoring/rules/outline.h"
#include "t/rules/outline_check.h"
#include "t/tap.h"

static const struct {
	const char *pattern;
	unsigned modes;
	enum outline_result want;
	const char *want_text;
} cases[] = {
	{ "abc", OUTLINE_PLAIN, OUTLINE_MADE, "abc" },
	{ "(?i)a[b\\xe9\xc3]|\\xc3\\xa9", OUTLINE_PLAIN, OUTLINE_MADE, "(?i)a[b]" },
	{ "a\xc3?b", OUTLINE_PLAIN, OUTLINE_MADE, "ab" },
	{ "a\xc3{0,3}b", OUTLINE_PLAIN, OUTLINE_MADE, "ab" },
	{ "a\xc3{1,3}b", OUTLINE_PLAIN, OUTLINE_NEVER, NULL },
	{ "a(?:\\xc3|[\\x80-\\xff])+b|c", OUTLINE_PLAIN, OUTLINE_MADE, "c" },
	{ "a&#x?b|c&\\#|d&#?", OUTLINE_PLAIN, OUTLINE_MADE, "d&#?" },
	{ "a[^\\xe9]b[^x\\xe9]", OUTLINE_PLAIN, OUTLINE_MADE, "a(?s:.)b[^x]" },
	{ "[]\\xe9][^]a]", OUTLINE_PLAIN, OUTLINE_MADE, "[\\]][^\\]a]" },
	/* what is left does not take the place of what is left out */
	{ "[\\xe9^a][a\\xe0-\\xe2-z]", OUTLINE_PLAIN, OUTLINE_MADE,
	    "[\\^a][a\\-z]" },
	{ "[[\\xe9:alpha:]][!--]", OUTLINE_PLAIN, OUTLINE_MADE,
	    "[\\[:alpha:]][!-\\-]" },
	{ "[\\x70-\\xe9\\d[:alpha:]\\xe9]", OUTLINE_PLAIN, OUTLINE_MADE,
	    "[\\x70-\\xe9\\d[:alpha:]]" },
	{ "(?=\\xc3)a|b", OUTLINE_PLAIN, OUTLINE_MADE, "b" },
	{ "(?!\\xc3)a(?<!b)", OUTLINE_PLAIN, OUTLINE_MADE, "a" },
	{ "(?>a+)b++c*?", OUTLINE_PLAIN, OUTLINE_MADE, "a+b+c*" },
	{ "(?:a|a|(?:b)|b)", OUTLINE_PLAIN, OUTLINE_MADE, "(?:a|b)" },
	{ "(?:ab)(?:c|d)(?:e)?", 0, OUTLINE_MADE, "ab(?:c|d)(?:e)?" },
	{ "[a\\xc3]\\xe9[^\\xe9]", OUTLINE_BLUR, OUTLINE_MADE,
	    "[a\\x80-\\xff][\\x80-\\xff](?s:.)" },
	{ "\\xc3[\\xa0\\xa1]|\\xc4[\\xa0]|[\\xe1](?:\\xb8|\\xb9)", OUTLINE_BLUR,
	    OUTLINE_MADE, "[\\x80-\\xff][\\x80-\\xff]" },
	{ "a{2}b{0,5}c{1,9}d{3,}e?", OUTLINE_REPEATS, OUTLINE_MADE,
	    "a{2,}b*c+d{2,}e?" },
	{ "a{2}b{0,8}c{2,60}d{9}e{3,}", OUTLINE_LONG, OUTLINE_MADE,
	    "a{2}b{0,8}c{2,}d{8,}e{3,}" },
	{ "a{2}b{0,5}c{1,9}d+e?", OUTLINE_REPEATS | OUTLINE_ANY, OUTLINE_MADE,
	    "a*b*c+d+e?" },
	{ "a{2}", OUTLINE_REPEATS | OUTLINE_ONCE, OUTLINE_MADE, "a+" },
	/* no quantifiers */
	{ "a{12,b{x}", OUTLINE_LONG, OUTLINE_MADE, "a{12,b{x}" },
	{ "a{12,b{x}", OUTLINE_REPEATS, OUTLINE_MADE, "a{12,b{x}" },
	{ "\\xe9{0000000000}b", OUTLINE_PLAIN, OUTLINE_MADE, "b" },
	{ "a(?:$|\\W|\\z)b$", OUTLINE_ENDS, OUTLINE_MADE, "a(?:|\\W)b" },
	{ "(?:x?(?:y?z)w){5}", OUTLINE_PAIR, OUTLINE_MADE, "(?:zw)(?:x?y?z)" },
	{ "(?:x?(?:yz?|u)w){5}", OUTLINE_PAIR, OUTLINE_MADE,
	    "(?:(?:yz?|u)w)(?:x?(?:y|u))" },
	{ "(?:\\b(?:y?z)w){5}", OUTLINE_PAIR, OUTLINE_MADE,
	    "(?:\\by?zw)(?:\\by?z)" },
	{ "(?:x?(?:y?z){2}w){5}", OUTLINE_PAIR, OUTLINE_MADE,
	    "(?:(?:y?z){2}w)(?:x?(?:y?z){2})" },
	{ "(?:xw){5}", OUTLINE_PAIR | OUTLINE_ONCE, OUTLINE_MADE, "(?:xw)" },
	{ "(?:x|\\xe9w){5}", OUTLINE_PAIR | OUTLINE_ONCE | OUTLINE_PLAIN,
	    OUTLINE_MADE, "(?:x)" },
	{ "(a)\\1", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "a(?i)b", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "(?x)a b", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "(?<n>a)", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "(?|a|b)", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "(?(1)a|b)", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "\\Qa\\E", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "[\\Qa\\E]", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "\\x{e9}", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "a(b", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "a[b", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "a)b", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "a\\", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
	{ "(?", OUTLINE_PLAIN, OUTLINE_UNCLEAR, NULL },
};

/* NULL: it stays as it is */
static const struct { const char *outline, *want; } heads[] = {
	{ "(?i)\\b(?:the|your)(?:\\s\\w+)?\\s(?:agent|officer)\\b",
	    "(?i)(?:agent|officer)\\b" },
	{ "(?i)[a-z]+ of (?:mon(?:ey|ies)|(?:a|b)+ funds)",
	    "(?i) of (?:mon(?:ey|ies)|(?:a|b)+ funds)" },
	{ "(?i)[a-z]+ \\w+(?:mon(?:ey|ies)|(?:a|b)+ funds)",
	    "(?i)(?:mon(?:ey|ies)| funds)" },
	{ "(?:is|was) [0-9]{6}(?i:Beneficiary)x", "(?i:Beneficiary)x" },
	{ "a(?=b)\\w{2,}(?<!c)[%@]zebra", "(?<!c)[%@]zebra" },
	{ "\\d+(?:x|(?:y+ quota)*)", NULL },
	{ "[[:alpha:]]+[]^-]quartz{2}", "[]^-]quartz{2}" },
	/* of the group's repeats the last */
	{ "e(?:a+zebra|b+quartz){3}t", "(?:zebra|quartz)t" },
	{ "a*zebra|e", NULL },
	{ "zebra.*quartz", NULL },
	/* what is not understood */
	{ "(a+)zebra\\1", NULL },
	{ "(?>a+zebra|b)", NULL },
	{ "a+(?i)zebra", NULL },
	{ "(?x)a+zebra # that", NULL },
	{ "a+{2}zebra", NULL },
	{ "a+zebra{2}{3}", NULL },
	{ "a+zebra[[:x]y:]z]", NULL },
	{ "a+zebra\\Q[", NULL },
	{ "a+zebra\\x{7a}", NULL },
	{ "a+zebra(", NULL },
	{ "a+zebra[", NULL },
	{ "a+zebra)", NULL },
	{ "a+zebra\\", NULL },
};

static const char *const patterns[] = {
	"(?i)(?:[a4\\xe4]|\\xc3[\\xa4\\xa0]|&#(?:97|22[4-8]);)p(?:p|\\xc3\\xbe)le",
	"(?i)(?=[a\\xe4])(?!apple)(?:a|\\xc3\\xa4)pp(?:l|\\|)e",
	"(?:(?:my\\s)?(?:red\\s)?(?:apple|pear|plum?)(?:\\strees?)?[ ,:]{1,3}){3}",
	"(?i)(?:^|\\W)\\bap{2,4}le(?:$|\\W)",
	"[^\\xe4b]pple(?>[ ,]+)p",
	"(?:(?:an?\\s)?(?:apple\\s){1,2}){2}",
	"(?i)(?:my|an?) (?:\\w+ )?(?:pp|app)le\\b", "(?:[^x]*p|\\w+ a){2}pple",
};

/* repeats that take nothing of a text all end in one place */
static const char *const empty_repeats[] = {
	"(?:x?){5}", "(?:\\b){2}", "(?:^|x){3}", "(?:(?=x)y*){2}", "(?:){2}",
	"(?:(?:x|\\B)(?:y|)){4}", "(?:x{0,3}$){2}",
};

static const char *const texts[] = {
	"apple", "APPLE", "an 4pple", "my red apple, plum: red pear trees ",
	"\xc3\xa4ppl\xc3\xa4 \xc3\xa4pple", "\xe4pple, \xc4PPLE", "&#97;pple, p",
	"&#228;pple", "a\xc3\xbeple", "apple apple an apple apple ", "xpple p",
	"app|e", "apple,pear,plum", "an apple apple apple ", "my apple my plum",
	"appple\nx", "", "apples: plu, pear  apple ",
};

/* Every pattern under every mode over every text */
static void
test_superset(void)
{
	size_t hits = 0, checks = 0, lost = 0, cuts = 0;
	unsigned ends;
	struct buf b, c;

	buf_init(&b, 1 << 16);
	buf_init(&c, 1 << 16);
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		for (unsigned modes = 0; modes < 256; modes++) {
			enum outline_result r = outline_make(
			    span_cstr(patterns[i]), modes, &b, &ends);
			pcre2_code *whole = check_compile(span_cstr(patterns[i]));
			pcre2_code *outline = check_compile(buf_span(&b));
			pcre2_code *cut = outline_cut_head(buf_span(&b), &c) ?
			    check_compile(buf_span(&c)) : outline;

			cuts += cut != outline;
			if (r != OUTLINE_MADE || whole == NULL || outline == NULL ||
			    cut == NULL) {
				tap_ok(false, "pattern %zu, modes %u: %s", i,
				    modes, b.ptr);
				continue;
			}
			for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]);
			     k++) {
				if ((modes & OUTLINE_PLAIN) &&
				    !outline_text_plain(span_cstr(texts[k])))
					continue;
				checks++;
				if (check_matches(whole, span_cstr(texts[k])) != 1)
					continue;
				hits++;
				if (check_ends(outline, span_cstr(texts[k])) >=
					(int)ends &&
				    check_ends(cut, span_cstr(texts[k])) >=
					(int)ends)
					continue;
				lost++;
				printf("# %s (modes %u) misses \"%s\" (%u ends)\n",
				    b.ptr, modes, texts[k], ends);
			}
			pcre2_code_free(whole);
			if (cut != outline)
				pcre2_code_free(cut);
			pcre2_code_free(outline);
		}
	buf_done(&b);
	buf_done(&c);
	tap_ok(lost == 0 && hits > 300 && cuts > 100, "outlines match where %zu "
	    "of %zu patterns did, %zu of them without a head, %zu lost", hits,
	    checks, cuts, lost);
}

int
main(void)
{
	unsigned ends;
	struct buf b;

	buf_init(&b, 1 << 16);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum outline_result r = outline_make(
		    span_cstr(cases[i].pattern), cases[i].modes, &b, &ends);

		tap_is_int((long long)r, (long long)cases[i].want, cases[i].pattern);
		if (cases[i].want_text != NULL)
			tap_is_str(b.ptr, cases[i].want_text, cases[i].pattern);
		/* the pairs are all of five repeats */
		if (cases[i].modes & OUTLINE_PAIR)
			tap_is_int(ends, cases[i].modes & OUTLINE_ONCE ? 5 : 4,
			    "places where matches end");
	}
	for (size_t i = 0; i < sizeof(empty_repeats) / sizeof(empty_repeats[0]);
	     i++)
		for (unsigned mode = OUTLINE_PAIR; mode <= OUTLINE_ONCE;
		     mode *= 2) {
			outline_make(span_cstr(empty_repeats[i]), mode, &b, &ends);
			tap_is_int(ends, 1, empty_repeats[i]);
		}
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		bool cut = outline_cut_head(span_cstr(heads[i].outline), &b);

		if (heads[i].want == NULL)
			tap_ok(!cut, "%s stays", heads[i].outline);
		else
			tap_is_str(cut ? b.ptr : "as it is", heads[i].want,
			    heads[i].outline);
	}
	buf_done(&b);
	tap_ok(outline_text_plain(SPAN_LIT("a & #b")), "plain text");
	tap_ok(outline_text_plain((struct span){ NULL, 0 }), "no text is plain");
	tap_ok(!outline_text_plain(SPAN_LIT("a&#b")), "an entity is not plain");
	tap_ok(!outline_text_plain(SPAN_LIT("a\x80")), "a high byte is not plain");
	test_superset();
	return tap_done();
}
