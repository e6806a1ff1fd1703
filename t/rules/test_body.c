#include "t/rules/rig.h"

static const char mail[] =
    "From: a@author.example\n"
    "To: b@ours.example\n"
    "Subject: Your invoice\n"
    "MIME-Version: 1.0\n"
    "Content-Type: multipart/mixed; boundary=\"xx\"\n"
    "\n"
    "--xx\n"
    "Content-Type: text/plain; charset=utf-8\n"
    "Content-Transfer-Encoding: quoted-printable\n"
    "\n"
    "Dear customer, pay =\n"
    "now at http://pay.example.com/in?x=1\n"
    "\n"
    "Second paragraph: pay later, pay never.\n"
    "--xx\n"
    "Content-Type: text/html; charset=utf-8\n"
    "\n"
    "<html><body><p>Hidden <b>wo</b>rd</p>"
    "<a href=\"https://click.example.net/a\">here</a></body></html>\n"
    "--xx\n"
    "Content-Type: image/gif; name=\"a.gif\"\n"
    "Content-Transfer-Encoding: base64\n"
    "\n"
    "R0lGODlhAQABAAAAACw=\n"
    "--xx--\n";

static const struct {
	const char *label, *rule;
	unsigned want;
} rows[] = {
	{ "decoded and joined", "body X /pay now at/", 1 },
	{ "HTML rendered", "body X /Hidden word/", 1 },
	{ "markup is not seen", "body X /<b>/", 0 },
	{ "subject comes first", "body X /Your invoice/", 1 },
	{ "nosubject", "body X /Your invoice/\ntflags X nosubject", 0 },
	{ "multiple", "body X /\\bpay\\b/\ntflags X multiple", 4 },
	{ "maxhits", "body X /\\bpay\\b/\ntflags X multiple maxhits=2", 2 },
	{ "paragraph by paragraph", "body X /now.*Second/s", 0 },
	{ "rawbody has markup", "rawbody X /<b>wo<\\/b>/", 1 },
	{ "rawbody is decoded", "rawbody X /pay now/", 1 },
	{ "rawbody has no header", "rawbody X /Subject/", 0 },
	{ "full is pristine", "full X /pay =\\nnow/", 1 },
	{ "full has the header", "full X /^Subject: Your/m", 1 },
	{ "mimeheader", "mimeheader X Content-Type =~ /^image\\/gif/", 1 },
	{ "mimeheader of the root", "mimeheader X Subject =~ /invoice/", 1 },
	{ "mimeheader counts", "mimeheader X Content-Type =~ /m\\w/\ntflags X multiple", 2 },
	{ "mimeheader raw", "mimeheader X Content-Type:raw =~ /name=\"a\\.gif\"/", 1 },
	{ "mimeheader if-unset", "mimeheader X X-None =~ /no/ [if-unset: no]", 1 },
	{ "mimeheader range", "mimeheader X Content-Type =~ /plain/\ntflags X range=3-4", 0 },
	{ "mimeheader negated", "mimeheader X Content-Type !~ /video/", 1 },
	{ "mimeheader negated miss", "mimeheader X Content-Type !~ /image/", 0 },
	{ "mimeheader ALL", "mimeheader X ALL =~ /^Content-Transfer-Encoding: base64$/m", 1 },
	{ "uri in text", "uri X /^http:\\/\\/pay\\.example\\.com/", 1 },
	{ "uri in HTML", "uri X /click\\.example\\.net/", 1 },
	{ "uri is no text", "uri X /customer/", 0 },
	{ "redirector", "redirector_pattern m'^https?://pay\\.example\\.com/in\\?x=(.*)'\n"
			"uri X /^http:\\/\\/pay/", 1 },
	{ "capture", "body __C /(?<WHO>customer)/\n"
		     "body X /^Dear %{WHO}, /", 1 },
	{ "capture in a header", "header __C To:addr =~ /\\@(?<DOM>.*)/\n"
				 "header X From:addr =~ /%{DOM}/", 0 },
	{ "tag behind another text", "body __C /(?<WHO>customer)/\n"
		     "body X /no such thing %{WHO}/", 0 },
	{ "tag that must not follow", "body __C /(?<WHO>customer)/\n"
		     "body X /^Dear (?!%{WHO} )/", 1 },
	{ "tag that must not follow, and does", "body __C /(?<WHO>customer)/\n"
		     "body X /^Dear (?!%{WHO})/", 0 },
	{ "tag repeated", "body __C /(?<WHO>customer)/\n"
		     "body X /Dear %{WHO}+, (?<!none)/", 1 },
	{ "tag that is not there", "body X /%{NOSUCH}/", 0 },
	{ "tag is literal", "body __C /(?<DOT>in\\?x)/\nfull X /%{DOT}=1/", 1 },
	{ "replace", "replace_tag P [p\\xf0]\nreplace_rules X\nbody X /<P>ay n<P>?ow/", 1 },
	{ "replace with inter", "replace_tag N n\nreplace_tag O o\n"
		"replace_inter W1 .?\nreplace_rules X\nbody X /<inter W1><N><O>w/", 1 },
	{ "replace in a replacement", "replace_tag V v\nreplace_tag I <V>oi\n"
		"replace_rules X\nbody X /in<I>ce/", 1 },
	{ "replace with other ends", "replace_start [[\nreplace_end ]]\n"
		"replace_tag P [p\\xf0]\nreplace_tag N n\nreplace_rules X\n"
		"body X /[[P]]ay [[N]]<?ow/", 1 },
	{ "then < is none", "replace_start [[\nreplace_end ]]\n"
		"replace_tag P [p\\xf0]\nreplace_rules X\nbody X /<P>ay/", 0 },
	{ "not asked to replace", "replace_tag P p\nbody X /<P>ay/", 0 },
};

/* A start that needs more steps than others get for nothing is tried to its
 * end, and hides no match behind it, wherever it stands: where any byte, only
 * lines or only one byte can begin a match, few of them or many. */
static const struct {
	const char *rule;
	char fill, start;
	size_t lines; /* a line end every so many bytes; 0: none */
} costly[] = {
	{ "/a(?=hit(?:x|z|!){1,1000}z!)|hit/", 'x', 'a', 0 },
	{ "/^a(?=hit[xz!h]{1,1000}?(?:\\s|x|z|!){1,1000}z!)|^hit/m", 'x', 'a', 100 },
	{ "/^a(?=hit(?:x|z|!|\\s){1,1000}z!)|^hit/m", 'x', 'a', 7 },
	{ "/<(?=hit(?:x|z|!){1,1000}z!)|<hat/", 'x', '<', 0 },
	{ "/<(?=hit(?:<|z|!){1,1000}z!)|<hat/", '<', '<', 0 },
};

static void
costly_starts(size_t row)
{
	enum { BYTES = 3000 };
	static const size_t places[] = { 0, 1, 15, 16, 17, 18, 186, 187, 188, 189,
		190, 375, 376, 377, 1500, 2200 };
	char text[BYTES + 30], rules[200];
	bool line = costly[row].lines != 0;
	struct rig g;

	snprintf(rules, sizeof(rules), "rawbody M %s\ntflags M multiple\n",
	    costly[row].rule);
	rig_load(&g, rules, false);
	for (size_t i = 0; i < 2 * sizeof(places) / sizeof(places[0]); i++) {
		size_t n = (size_t)snprintf(text, sizeof(text), "Subject: x\n\n");
		char *at = text + n + places[i / 2];
		bool matches = i % 2 == 0;

		memset(text + n, costly[row].fill, BYTES);
		for (size_t k = 0; line && k < BYTES; k += costly[row].lines)
			text[n + k] = '\n';
		memcpy(text + n + BYTES, "\n", 2);
		if (line)
			at[-1] = '\n';
		at[0] = costly[row].start;
		memcpy(at + 1, "hit", 3);
		/* the repeat goes to its end first, and back from there */
		memcpy(at + 20, matches ? "z!" : "zx", 2);
		memcpy(text + n + BYTES - 4, line ? "\nhit" : "<hat", 4);
		if (costly[row].start == 'a' && !line)
			memcpy(text + n + BYTES - 3, "hit", 3);
		rig_run(&g, text);
		tap_ok(rig_result(&g, "M")->low == 1u + matches +
			(row == 0), "%s: a costly start at %zu that %s",
		    costly[row].rule, places[i / 2],
		    matches ? "matches" : "does not");
	}
	rig_done(&g);
}

int
main(void)
{
	struct rig g;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rig_load(&g, rows[i].rule, false);
		if (g.load_result != 0)
			printf("# %s", rig_diags(&g, DIAG_ERROR));
		rig_run(&g, mail);
		tap_is_int(rig_result(&g, "X")->low, rows[i].want,
		    rows[i].label);
		rig_done(&g);
	}
	rig_load(&g, "body X /customer/\nfull Y /R0lGOD/\nbody Z /pay now/\n",
	    false);
	rig_run(&g, mail);
	tap_ok(rig_offset(&g, "X") == (size_t)(strstr(mail, "customer") - mail),
	    "place of a match in the raw message");
	tap_ok(rig_offset(&g, "Y") == (size_t)(strstr(mail, "R0lGOD") - mail),
	    "place in full");
	tap_ok(rig_offset(&g, "Z") == NO_OFFSET &&
		rig_result(&g, "Z")->low == 1,
	    "no place for what stands nowhere so");
	rig_done(&g);
	for (size_t i = 0; i < sizeof(costly) / sizeof(costly[0]); i++)
		costly_starts(i);
	return tap_done();
}
