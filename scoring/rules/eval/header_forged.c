/*
 * HeaderEval, second half: mail that claims a large provider's address
 * without the Received fields that this provider writes.
 */
#include "scoring/rules/eval/probe.h"

#define IP "(?:(?:IPv6:)?[0-9a-fA-F]*:[0-9a-fA-F:.]+|\\d{1,3}(?:\\.\\d{1,3}){3})"

enum {
	AOL_RLY, AOL_VIA, AOL_ID, HM_PICKUP, HM_ORIGINATOR, AN_IP, HM_RCVD_1,
	HM_RCVD_2, HM_RCVD_3, HM_RCVD_4, HM_RCVD_5, HM_RCVD_6, HM_HELO, HM_FROM,
	EZMLM_CONTACT, EZMLM_DLTO, QMAIL_INVOKED, MSN_RCVD, MSN_TO, MSN_PICKUP,
	EUDORA_FROM, EUDORA_RCVD, YAHOO_FROM, YAHOO_RDNS, YAHOO_RDNS_FIRST,
	YAHOO_WEB, YAHOO_SONIC, YAHOO_SMTP, YAHOO_NNFMP, YAHOO_BULK, YAHOO_REPLY,
	YAHOO_STORY, JUNO_FROM, JUNO_RCVD, JUNO_COOKIE, GMAIL_FROM,
	GMAIL_10, GMAIL_2002, GMAIL_RCVD, GW05, LYRIS, CWT, IPLANET, PATTERNS
};

static const char *const texts[PATTERNS] = {
	[AOL_RLY] = "/ rly-[a-z][a-z]\\d\\d\\./i",
	[AOL_VIA] = "/\\/AOL-\\d+\\.\\d+\\.\\d+\\)/",
	[AOL_ID] = "/ESMTP id (?:RELAY|MAILRELAY|MAILIN)/",
	[HM_PICKUP] = "/from mail pickup service by hotmail\\.com with Microsoft SMTPSVC;/",
	[HM_ORIGINATOR] = "/hotmail\\.com|msonline-outlook/",
	[AN_IP] = "/" IP "/",
	[HM_RCVD_1] = "/from (?:\\S*\\.)?hotmail.com \\(\\S+\\.hotmail(?:\\.msn)?\\.com[ \\)]/",
	[HM_RCVD_2] = "/from \\S*\\.outbound\\.protection\\.outlook\\.com \\(\\S+\\.outbound\\.protection\\.outlook\\.com[ \\)]/",
	[HM_RCVD_3] = "/from \\S*\\.(?:eur|nam)prd\\d+\\.prod\\.outlook\\.com \\(" IP "\\)/",
	[HM_RCVD_4] = "/from \\S*\\.hotmail.com \\(\\[" IP "\\][ \\):]/",
	[HM_RCVD_5] = "/from \\S+ by \\S+\\.hotmail(?:\\.msn)?\\.com with HTTP;/",
	[HM_RCVD_6] = "/from \\[66\\.218.\\S+\\] by \\S+\\.yahoo\\.com/",
	[HM_HELO] = "/(?:from |HELO |helo=)\\S*hotmail\\.com\\b/",
	[HM_FROM] = "/\\bhotmail\\.com$/i",
	[EZMLM_CONTACT] = "/^contact \\S+\\@\\S+; run by ezmlm$/m",
	[EZMLM_DLTO] = "/^mailing list \\S+\\@\\S+/m",
	[QMAIL_INVOKED] = "/qmail \\d+ invoked (?:from network|by .{3,20})\\); \\d+ ... \\d+/",
	[MSN_RCVD] = "/from groups\\.msn\\.com \\(\\S+\\.msn\\.com /",
	[MSN_TO] = "/<(\\S+)\\@groups\\.msn\\.com>/i",
	[MSN_PICKUP] = "/from mail pickup service by ((?:p\\d\\d\\.)groups\\.msn\\.com)\\b/",
	[EUDORA_FROM] = "/\\beudoramail\\.com$/i",
	[EUDORA_RCVD] = "/by \\S*whowhere.com;/",
	[YAHOO_FROM] = "/\\byahoo\\.com$/i",
	[YAHOO_RDNS] = "/ rdns=\\S+\\.yahoo\\.com /",
	[YAHOO_RDNS_FIRST] = "/^[^\\]]+ rdns=\\S+\\.yahoo\\.com /",
	[YAHOO_WEB] = "/by web\\S+\\.mail\\S*\\.yahoo\\.com via HTTP/",
	[YAHOO_SONIC] = "/by sonic\\S+\\.consmr\\.mail\\S*\\.yahoo\\.com with HTTP/",
	[YAHOO_SMTP] = "/by smtp\\S+\\.yahoo\\.com with SMTP/",
	[YAHOO_NNFMP] = "/from \\[" IP "\\] by \\S+\\.(?:groups|scd|dcn)\\.yahoo\\.com with NNFMP/",
	[YAHOO_BULK] = "/\\bmailer\\d+\\.bulk\\.scd\\.yahoo\\.com\\b/",
	[YAHOO_REPLY] = "/\\@reply\\.yahoo\\.com$/i",
	[YAHOO_STORY] = "/by \\w+\\.\\w+\\.yahoo\\.com \\(\\d+\\.\\d+\\.\\d+\\/\\d+\\.\\d+\\.\\d+\\)(?: with ESMTP)? id \\w+/",
	[JUNO_FROM] = "/\\bjuno\\.com$/i",
	[JUNO_RCVD] = "/from.*\\b(?:juno|untd)\\.com.*[\\[\\(]" IP "[\\]\\)].*by/",
	[JUNO_COOKIE] = "/ cookie\\.(?:juno|untd)\\.com /",
	[GMAIL_FROM] = "/\\bgmail\\.com$/i",
	[GMAIL_10] = "/by 10\\.\\S+ with SMTP id \\S+/",
	[GMAIL_2002] = "/by 2002:a\\d\\d:\\w+:\\S+ with SMTP id \\S+/",
	[GMAIL_RCVD] = "/by smtp\\.googlemail\\.com with ESMTPSA id \\S+/",
	[GW05] = "/\\nfrom\\s(\\S+)\\sby\\s(\\S+)\\swith\\sESMTP;\\s+\\S\\S\\S,\\s+\\d+\\s+\\S\\S\\S\\s+\\d{4}\\s+\\d\\d:\\d\\d:\\d\\d\\s+[-+]*\\d{4}\\n$/s",
	[LYRIS] = "/<mailto:(?:leave-\\S+|\\S+-unsubscribe)\\@\\S+>$/i",
	[CWT] = "/\\/CWT\\/DCE\\)/",
	[IPLANET] = "/iPlanet Messaging Server/",
};

static int
load(struct eval_loader *l, void **ret_state)
{
	return probe_load(l, texts, PATTERNS, ret_state);
}

/* Lists that take Received fields away: then nothing follows from them */
static bool
received_removed(struct probe *p)
{
	struct span received = probe_get(p, "Received");

	if (probe_hit(p, EZMLM_CONTACT, probe_get(p, "Mailing-List")) &&
	    probe_hit(p, EZMLM_DLTO, probe_get(p, "Delivered-To")) &&
	    probe_hit(p, QMAIL_INVOKED, received))
		return true;
	return received.len == 0 || probe_hit(p, MSN_RCVD, received);
}

static int
run_received_removed(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);

	(void)call;
	return probe_end(&p, r, received_removed(&p));
}

static int
run_aol(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct span s = probe_squeeze(&p, probe_get(&p, "Received"));

	(void)call;
	return probe_end(&p, r, probe_hit(&p, AOL_RLY, s) &&
		!probe_hit(&p, AOL_VIA, s) && !probe_hit(&p, AOL_ID, s));
}

static bool
msn_groups(struct probe *p)
{
	struct span list[2], server[2], id;
	struct span received = probe_get(p, "Received");
	char *want;

	if (!probe_groups(p, MSN_TO, probe_get(p, "To"), list, 2) ||
	    !probe_groups(p, MSN_PICKUP, received, server, 2))
		return false;
	id = probe_get(p, "Message-Id");
	if (id.len == 0 || id.ptr[0] != '<')
		return false;
	if (span_is(list[1], "notifications")) {
		want = arena_printf(eval_input(p->ctx)->arena, "@%.*s>",
		    SPAN_ARG(server[1]));
		return want != NULL && span_contains(id, span_cstr(want));
	}
	want = arena_printf(eval_input(p->ctx)->arena, "<%.*s-",
	    SPAN_ARG(list[1]));
	if (want == NULL || !span_contains(id, span_cstr(want)) ||
	    !span_contains(id, SPAN_LIT("@groups.msn.com>")))
		return false;
	want = arena_printf(eval_input(p->ctx)->arena,
	    "%.*s-bounce@groups.msn.com", SPAN_ARG(list[1]));
	return want != NULL &&
	    span_contains(probe_get(p, "EnvelopeFrom:addr"), span_cstr(want));
}

static int
run_msn(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);

	(void)call;
	return probe_end(&p, r, msn_groups(&p));
}

enum hotmail { HOTMAIL_FINE, HOTMAIL_HELO_FORGED, HOTMAIL_NO_RECEIVED };

static enum hotmail
hotmail(struct probe *p)
{
	struct span s = probe_squeeze(p, probe_get(p, "Received"));
	bool ip, originator;

	if (probe_hit(p, HM_PICKUP, s) || msn_groups(p))
		return HOTMAIL_FINE;
	ip = probe_hit(p, AN_IP, probe_get(p, "X-Originating-Ip"));
	originator = probe_hit(p, HM_ORIGINATOR, probe_get(p, "X-OriginatorOrg"));
	if (received_removed(p) || (ip && probe_hit(p, HM_RCVD_1, s)) ||
	    (originator && (probe_hit(p, HM_RCVD_2, s) ||
				probe_hit(p, HM_RCVD_3, s))) ||
	    (ip && (probe_hit(p, HM_RCVD_4, s) || probe_hit(p, HM_RCVD_5, s) ||
			probe_hit(p, HM_RCVD_6, s))))
		return HOTMAIL_FINE;
	if (probe_hit(p, HM_HELO, s))
		return HOTMAIL_HELO_FORGED;
	return probe_hit(p, HM_FROM, probe_get(p, "From:addr")) ?
	    HOTMAIL_NO_RECEIVED : HOTMAIL_FINE;
}

static int
run_hotmail_forged(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);

	(void)call;
	return probe_end(&p, r, hotmail(&p) == HOTMAIL_HELO_FORGED);
}

static int
run_hotmail_none(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);

	(void)call;
	return probe_end(&p, r, hotmail(&p) == HOTMAIL_NO_RECEIVED);
}

static int
run_eudora(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	bool hit = false;

	(void)call;
	if (probe_hit(&p, EUDORA_FROM, probe_get(&p, "From:addr")) &&
	    !received_removed(&p))
		hit = !(probe_hit(&p, EUDORA_RCVD,
			    probe_squeeze(&p, probe_get(&p, "Received"))) &&
		    probe_hit(&p, AN_IP, probe_get(&p, "X-Sender-Ip")));
	return probe_end(&p, r, hit);
}

static bool
yahoo_forged(struct probe *p)
{
	static const unsigned fine[] = { YAHOO_WEB, YAHOO_SONIC, YAHOO_SMTP,
		YAHOO_NNFMP, YAHOO_STORY };
	struct span from = probe_get(p, "From:addr"), s;

	if (!probe_hit(p, YAHOO_FROM, from))
		return false;
	s = probe_get(p, "Received");
	if (probe_get(p, "Resent-From").len != 0 &&
	    probe_get(p, "Resent-To").len != 0 &&
	    probe_get(p, "X-Received").len != 0)
		s = probe_get(p, "X-Received");
	s = probe_squeeze(p, s);
	if (received_removed(p) ||
	    probe_hit(p, YAHOO_RDNS, probe_get(p, "X-Spam-Relays-Trusted")) ||
	    probe_hit(p, YAHOO_RDNS_FIRST,
		probe_get(p, "X-Spam-Relays-Untrusted")))
		return false;
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (probe_hit(p, fine[i], s))
			return false;
	return !(probe_hit(p, YAHOO_BULK, s) && probe_hit(p, YAHOO_REPLY, from));
}

static int
run_yahoo(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);

	(void)call;
	return probe_end(&p, r, yahoo_forged(&p));
}

static bool
juno_forged(struct probe *p)
{
	struct span mailer, s;

	if (!probe_hit(p, JUNO_FROM, probe_get(p, "From:addr")) ||
	    received_removed(p))
		return false;
	mailer = probe_get(p, "X-Mailer");
	s = probe_get(p, "Received");
	/* without X-Originating-IP no form is Juno's */
	if (probe_get(p, "X-Originating-IP").len == 0)
		return true;
	return (!probe_hit(p, JUNO_RCVD, s) && !probe_hit(p, JUNO_COOKIE, s)) ||
	    !span_contains(mailer, SPAN_LIT("Juno "));
}

static int
run_juno(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);

	(void)call;
	return probe_end(&p, r, juno_forged(&p));
}

static int
run_gmail(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	enum { STATE_BYTES = 60 };
	struct probe p = probe_begin(ctx);
	bool hit = false;

	(void)call;
	if (probe_hit(&p, GMAIL_FROM, probe_get(&p, "From:addr"))) {
		struct span x = probe_get(&p, "X-Received");

		hit = !probe_hit(&p, GMAIL_10, x) &&
		    !probe_hit(&p, GMAIL_2002, x) &&
		    !probe_hit(&p, GMAIL_RCVD, probe_get(&p, "Received")) &&
		    !(probe_get(&p, "X-Gm-Message-State").len >= STATE_BYTES &&
			probe_get(&p, "X-Google-Smtp-Source").len >= STATE_BYTES);
	}
	return probe_end(&p, r, hit);
}

static int
run_gw05(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct span g[3];

	(void)call;
	return probe_end(&p, r, probe_groups(&p, GW05, probe_get(&p, "Received"),
		g, 3) && span_find(g[2], '.') == g[2].len);
}

static int
run_messageid_not_usable(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	struct probe p = probe_begin(ctx);
	struct span received = probe_get(&p, "Received");

	(void)call;
	return probe_end(&p, r,
	    probe_hit(&p, LYRIS, probe_get(&p, "List-Unsubscribe")) ||
		received_removed(&p) || probe_hit(&p, CWT, received) ||
		probe_hit(&p, IPLANET, received));
}

static const struct eval_function functions[] = {
	{ "check_for_fake_aol_relay_in_rcvd", EVAL_HEADER, "", run_aol, NULL, NULL },
	{ "check_for_forged_hotmail_received_headers", EVAL_HEADER, "", run_hotmail_forged, NULL, NULL },
	{ "check_for_no_hotmail_received_headers", EVAL_HEADER, "", run_hotmail_none, NULL, NULL },
	{ "check_for_msn_groups_headers", EVAL_HEADER, "", run_msn, NULL, NULL },
	{ "check_for_forged_eudoramail_received_headers", EVAL_HEADER, "", run_eudora, NULL, NULL },
	{ "check_for_forged_yahoo_received_headers", EVAL_HEADER, "", run_yahoo, NULL, NULL },
	{ "check_for_forged_juno_received_headers", EVAL_HEADER, "", run_juno, NULL, NULL },
	{ "check_for_forged_gmail_received_headers", EVAL_HEADER, "", run_gmail, NULL, NULL },
	{ "check_for_forged_gw05_received_headers", EVAL_HEADER, "", run_gw05, NULL, NULL },
	{ "check_messageid_not_usable", EVAL_HEADER, "", run_messageid_not_usable, NULL, NULL },
	{ "gated_through_received_hdr_remover", EVAL_HEADER, "", run_received_removed, NULL, NULL },
	{ 0 },
};

const struct eval_family eval_header_forged = {
	"Mail::SpamAssassin::Plugin::HeaderEval", functions, NULL, NULL, load,
};
