/*
 * Candidate databases: the same hits with and without them, and a damaged,
 * stale or missing file means PCRE2, never another answer.
 */
#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "scoring/rules/candidates.h"
#include "t/rules/rig.h"

/* look-alikes of a letter in UTF-8, with some of which PCRE2's Latin-1 folding
 * has to do */
#define ALIKE "[\\xc3][\\xa8\\xa9\\xaa]|[\\xd0][\\x95\\xb5]|[\\xe1](?:[\\xba]" \
	"[\\x90-\\x99]|[\\xbb][\\x80-\\x87])|[\\xf0][\\x9d](?:[\\x90][\\x84\\x9e]|" \
	"[\\x91][\\x92\\xac]|[\\x92][\\x86\\xba]|[\\x93][\\x94\\xae])"
#define CHOICE "(?:home|full|post(?:al)?)?\\s?address(?:\\sline)?|(?:tele)?phone(?:\\s" \
	"number)?|(?:(?:city|state|province|country|region)(?:\\sor\\s|,\\s)?){1,3}|" \
	"(?:date\\sof\\s)?birth|occupation|nationality|employment|income|" \
	"(?:account|customer|member)\\s(?:number|code|name)|marital\\sstatus|" \
	"next\\sof\\skin|passport|identification|beneficiary|religion|gender"

static const char rules[] =
    "replace_tag A (?:[a4]|\\xc3\\xa4|\\xc3\\xa0|\\xce\\xb1|@{1,3})\n"
    "replace_rules FUZZY\n"
    /* too long for libhs as they are: look-alikes, and a repeated choice */
    "replace_tag E (?:[e3\\xe8]|" ALIKE "|" ALIKE "|&\\#(?:101|23[2-5]);)\n"
    "replace_tag L (?:[l1|]|" ALIKE "|" ALIKE "|\\|_)\n"
    "replace_rules ALIKE1 ALIKE2 ALIKE3\n"
    "body ALIKE1 /(?=<L>)(?!letter)<L><E>tt<E>r/i\n"
    "body ALIKE2 /(?:^|\\s)(?:the\\s<L><E>v<E><L>|wh<E><E><L>)\\s/i\n"
    /* no letter of it is ASCII only: libhs would find it in any script */
    "body ALIKE3 /<L><E><E><L>/i\n"
    "body FORM /(?:(?:your\\s)?(?:" CHOICE "|" CHOICE "|" CHOICE "|name)[\\s:,]{1,5}){3}/i\n"
    "body WORD /\\bcheap (?:pills|watches)\\b/i\n"
    "body LOOK /pay(?! nothing) now/\n"
    "body BACK /(\\w+) \\1/\n"
    "body FUZZY /ch<A>rity/i\n"
    "body COUNT /e/\ntflags COUNT multiple maxhits=40\n"
    "body LATIN /\\xc3\\x9cber/i\n"
    "body CLASS /[\\xc0-\\xc5]\\x9fx/i\n"
    "body EMPTY /^$|x*/\n"
    "body SAME1 /nothing/\nbody SAME2 /nothing/\n"
    "body NOSUBJ /subjectword/\ntflags NOSUBJ nosubject\n"
    "rawbody RAW /<b>bold<\\/b>/\n"
    "uri URI /example\\.com\\/[a-z]{3}$/\n"
    "full FULL /^X-Mark: \\w+$/m\n"
    /* texts are scanned together, and begin and end all the same */
    "body BEGIN /\\Aonce upon/\nbody END /the end\\z/\nbody LAST /over\\Z/\n"
    "body LINE /^alone$/\nbody NOLINE /(?-m)^alone$/\nbody ACROSS /end\\s+once/\n"
    "body TIMES /once/\ntflags TIMES multiple\n"
    /* begin with what is common: libhs is told of the rest */
    "body HEAD /\\b(?:the|your)(?:\\s\\w+)?\\s(?:agent|officer)\\b/i\n"
    "body HEADS /[a-z]+ (?:\\w+ quartz|(?:the )+beneficiary){2}/i\n"
    "tflags HEADS multiple\n"
    /* and of a long run not where it begins */
    "rawbody RUN /^[^\\r\\n]{120}/m\nrawbody RUNS /^[a-z]{120}$/m\n"
    /* headers that many rules look at, and one that few do */
    "header S1 Subject =~ /^a letter$/\nheader S2 Subject =~ /\\A[a-d]\\Z/\n"
    "header S3 Subject =~ /\\xc3\\x9c/i\nheader S4 Subject !~ /e/\n"
    "header S5 Subject =~ /^$|x*/\nheader S6 Subject =~ /word/\n"
    "header S7 Subject =~ /(.)\\1/\nheader S8 Subject =~ /n(?!one)/\n"
    "header S9 Subject =~ /o/\ntflags S9 multiple\nheader S10 exists:Subject\n"
    "header M1 X-Mark =~ /yes/\nheader M2 X-Mark =~ /no/ [if-unset: no]\n"
    "header M3 X-Mark !~ /yes/\nheader M4 X-Mark =~ /^/\nheader M5 X-Mark =~ /./\n"
    "header M6 X-Mark =~ /s$/\nheader M7 X-Mark =~ /e/\nheader M8 X-Mark =~ /^y/\n"
    "header M9 X-Mark =~ /\\S/\nheader M10 X-Mark =~ /^$/\nheader M11 exists:X-Mark\n"
    "header F1 From =~ /./\n"
    "meta BOTH WORD && RAW\n";

#define FOUR(s) s s s s
#define MANY(s) FOUR(FOUR(s))

static const char *const mails[] = {
	"Subject: subjectword\n\nCheap Pills, pay now, the the end.\n",
	"Subject: a\nX-Mark: yes\nContent-Type: text/html\n\n"
	"<p>cheap watches <b>bold</b> for ch4rity and nothing"
	"<a href=\"http://example.com/abc\">x</a>\n",
	"Subject: \xc3\xbc\n\nch\xc3\xa4rity \xe3\x9c" "ber \xc3\xbc" "ber \xe3\x9fx\n",
	"Subject: none\n\n",
	"Subject: a letter\n\nThe level is as high, but this l3tter is a 1etter\n\n"
	"and the 1eve| of wheels & wheel #2 fits\n",
	"Subject: b\nContent-Type: text/plain; charset=utf-8\n\n"
	"\xe2\x80\x9cthe l\xc3\xa9v\xd0\xb5l it has\xe2\x80\x9d\n\n"
	"a \xf0\x9d\x92\x86vil l\xf0\x9d\x92\x86tt\xe1\xba\x94r\n\n"
	"Le\xc3\xa9tter l\xc3\x89tt\xc3\x88r and \xc3\x89\n",
	"Subject: c\n\nthis l&#233;tter, the l&#101;ve|_ too &\n",
	"Subject: d\nContent-Type: text/plain; charset=iso-8859-1\n\n"
	"l\xe8tter L\xc8tt\xe8r\n",
	"Subject: e\n\nYour name: your home address, phone number\n\n"
	"name and address\n\nincome: birth, city, state or country \xc2\xa0\n",
	"Subject: f\n\nfull address:city:name, the name, your passport of\n",
	"Subject: g\nFrom: a@example.net\n\nonce upon a time\n\nalone\n\nand the end\n\n"
	"once more, and over\n",
	"Subject: h\nX-Mark: \n\nthe end of once upon\n\nnot alone\n\nThe End\n",
	"Subject: l\nContent-Type: text/plain; charset=utf-8\n\n"
	"\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 l\xc3\xa9\xd0\xb5l leel\n\nthe 133|\n",
	/* three in one text, and in three */
	"Subject: i\n\nincome, city: country, x\n",
	"Subject: j\n\nincome,\n\ncity:\n\ncountry, x\n",
	"Subject: the End\n\n\xc3\xa9 income, birth: Please fill in all of it gender: x\n\n"
	"once\n\nl\xc3\xa9tt\xc3\xa9r\n\nonce letter\n",
	"Subject: k\n\n" MANY("a\n\n") MANY("b\n\n") MANY("income,\n\n") MANY("once\n\n") "\xc3\xa9 once\n\nincome, city: country, x\n\n"
	MANY("alone\n\n"),
	"Subject: m\n\nagent, the big agent\n\nan officer\n\nYOUR OFFICER\n",
	"Subject: n\n\nno agent\n\na rose quartz the beneficiary a beneficiary\n\n"
	"by the the beneficiaryblue quartz\n",
	"Subject: o\n\n" MANY("eight by") "\n",
	"Subject: p\n\n1" MANY("eightbys") "\n" MANY("eightbys") "x\n",
	"Subject: q\n\n" FOUR(MANY("xx")) "\n" FOUR(MANY("y")) FOUR("yyyyyyyyyyyyyy") "\n",
};

enum { MAILS = sizeof(mails) / sizeof(mails[0]) };

static struct ruleset *
load(struct rig *g, const char *dir)
{
	struct ruleset_options o = { .text = span_cstr(rules),
		.text_name = "test", .compiled_dir = dir };
	struct ruleset *rs = NULL;

	ruleset_load(&o, &g->diags, &rs, &g->err);
	return rs;
}

static bool
same_hits(struct rig *g, struct ruleset *a, struct ruleset *b)
{
	bool same = true;

	for (size_t i = 0; i < MAILS; i++) {
		struct rule_result first[128];
		size_t n = ruleset_count(a);

		g->rs = a;
		rig_run(g, mails[i]);
		memcpy(first, g->run.results, n * sizeof(first[0]));
		g->rs = b;
		rig_run(g, mails[i]);
		for (size_t k = 0; k < n; k++)
			if (first[k].low != g->run.results[k].low ||
			    !span_eq(first[k].matched,
				g->run.results[k].matched)) {
				printf("# %s on mail %zu: %u and %u\n",
				    ruleset_rule(a, k)->name, i, first[k].low,
				    g->run.results[k].low);
				same = false;
			}
	}
	return same;
}

/* Changes a byte, or cuts, every file in dir. */
static void
damage(const char *dir, long at, bool cut)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		char path[600];
		FILE *f;
		int c;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (cut) {
			if (truncate(path, at) != 0)
				printf("# cannot cut %s\n", path);
			continue;
		}
		f = fopen(path, "r+b");
		if (f == NULL)
			continue;
		fseek(f, at, SEEK_SET);
		c = getc(f);
		fseek(f, at, SEEK_SET);
		putc(c ^ 0x40, f);
		fclose(f);
	}
	if (d != NULL)
		closedir(d);
}

static void
clear(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		char path[600];

		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlink(path);
	}
	if (d != NULL)
		closedir(d);
}

int
main(void)
{
	struct ruleset_compiled list[RULESET_COMPILED_KINDS];
	char dir[] = "/tmp/spamscore-compiled-XXXXXX";
	struct ruleset *plain, *fast;
	size_t kept = 0;
	struct rig g;

	if (mkdtemp(dir) == NULL)
		return tap_skip_all("cannot make a directory");
	rig_load(&g, "", false);
	ruleset_free(g.rs);
	g.rs = NULL;
	plain = load(&g, NULL);
	tap_ok(plain != NULL, "rules load");
	ruleset_compile(plain, dir, 2, list);
	if (list[1].result == -ENOTSUP) {
		clear(dir);
		rmdir(dir);
		return tap_skip_all("built without libhs");
	}
	for (size_t i = 0; i < RULESET_COMPILED_KINDS; i++)
		tap_ok(list[i].result == 0 && list[i].patterns > 0,
		    "%s: %zu patterns, %zu left out %s", list[i].type,
		    list[i].patterns, list[i].left_out, list[i].err.text);
	tap_ok(list[HS_OTHER_BODY].left_out > list[HS_PLAIN_BODY].left_out,
	    "what any script matches is left to PCRE2, but in plain text");
	fast = load(&g, dir);
	tap_is_int((long long)g.diags.notes, 0, "all databases are used");
	tap_ok(same_hits(&g, plain, fast), "the same hits");
	ruleset_free(fast);
	ruleset_compile(plain, dir, 1, list);
	for (size_t i = 0; i < RULESET_COMPILED_KINDS; i++)
		kept += list[i].kept;
	tap_ok(kept == RULESET_COMPILED_KINDS,
	    "what is there and right is kept");
	for (long at = 0; at < 400; at += 57) {
		g.diags.notes = 0;
		damage(dir, at, false);
		fast = load(&g, dir);
		tap_ok(g.diags.notes == RULESET_COMPILED_KINDS && same_hits(&g, plain, fast),
		    "byte %ld changed: not used, the same hits", at);
		ruleset_free(fast);
		damage(dir, at, false);
	}
	damage(dir, 300, true);
	g.diags.notes = 0;
	fast = load(&g, dir);
	tap_ok(g.diags.notes == RULESET_COMPILED_KINDS && same_hits(&g, plain, fast),
	    "cut short: not used");
	ruleset_free(fast);
	ruleset_compile(plain, dir, 2, list);
	tap_ok(list[0].result == 0 && !list[0].kept, "compiled again");
	clear(dir);
	g.diags.notes = 0;
	fast = load(&g, dir);
	tap_ok(g.diags.notes == RULESET_COMPILED_KINDS && same_hits(&g, plain, fast), "not there");
	ruleset_free(fast);
	ruleset_free(plain);
	g.rs = NULL;
	rmdir(dir);
	ruleset_compile(g.rs = load(&g, NULL), dir, 1, list);
	tap_ok(list[0].result == -ENOENT && list[0].err.text[0] != '\0',
	    "a directory that is not there is an error");
	rig_done(&g);
	return tap_done();
}
