/*
 * Net rules over hostile mail and hostile answers. First line: options of
 * HashBL; up to the line "." the answers, as --dns-data; then the message.
 *
 * What rules ask and what they look for when they run must be the same names,
 * and two runs must agree.
 */
#include <stdint.h>
#include <stdlib.h>

#include "scoring/gather.h"
#include "scoring/rules/eval/hashbl.h"
#include "t/rules/rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char rules[] =
    "util_rb_tld org net com example\n"
    "header L_ALL eval:check_rbl('all', 'l.example')\n"
    "header L_SUB eval:check_rbl_sub('all', '^127\\.0\\.[01]\\.[2-6]$')\n"
    "header L_TXT eval:check_rbl_txt('t', 'l.example', '(?i)dial-?up')\n"
    "header L_HOST eval:check_rbl_from_host('fh', 'l.example')\n"
    "header L_DOM eval:check_rbl_from_domain('fd', 'l.example')\n"
    "header L_ENV eval:check_rbl_envfrom('ef', 'l.example')\n"
    "header L_NS eval:check_rbl_ns_from('ns', 'l.example')\n"
    "header L_HDR eval:check_rbl_headers('h', 'l.example', '', 'X-Ip,From')\n"
    "header L_RCVD eval:check_rbl_rcvd('r', 'l.example')\n"
    "urirhssub U_RHS u.example. A 4\nbody U_RHS eval:check_uridnsbl('U_RHS')\n"
    "uridnssub U_NS u.example. A 127.0.0.2-127.0.0.9\n"
    "body U_NS eval:check_uridnsbl('U_NS')\n"
    "urinsrhsbl U_NSRHS u.example. A\nbody U_NSRHS eval:check_uridnsbl('U_NSRHS')\n"
    "urifullnsrhsbl U_FULL u.example. TXT\nbody U_FULL eval:check_uridnsbl('U_FULL')\n"
    "header __CAPTURE X-Id =~ /^id-(?<XID>\\S+)$/\n"
    "askdns Q_TAGS _XID_._AUTHORDOMAIN_._LASTEXTERNALREVIP_.q.example A\n"
    "askdns Q_TXT _DKIMDOMAIN_.q.example TXT /^v=/\n"
    "askdns Q_URI _URIDOMAINS_._HEADER(Subject)_.q.example A\n"
    "hashbl_ignore x@example.org\nhashbl_acl_a example.org !b.example\n"
    "hashbl_email_domain_alias a.example b.example\n"
    "header H_MAIL eval:check_hashbl_emails('h.example')\n"
    "header H_ALL eval:check_hashbl_emails('h.example', 'raw/case/nodot/max=4/shuffle', 'ALL/body')\n"
    "header H_ACL eval:check_hashbl_emails('h.example', 'md5/nouri', 'From/body', '', 'a')\n"
    "header H_URI eval:check_hashbl_uris('h.example')\n"
    "body H_RE eval:check_hashbl_bodyre('h.example', 'raw/num', '(\\S+@\\S*)')\n"
    "rawbody H_RAW eval:check_hashbl_bodyre('h.example', 'sha256', '(\\d*)')\n"
    "header H_TAG eval:check_hashbl_tag('h.example/TXT', 'raw/trim', 'URIHOSTS')\n"
    "body H_ATT eval:check_hashbl_attachments('h.example', 'sha256')\n";

static struct rig g;
static int64_t now = 1700000000; /* a day on with each input: lists recover */
static struct auth_context *context;

static void
prepare(void)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	buf_add_str(&text, rules);
	for (const char *p = rules; *p != '\0'; p = strchr(p, '\n') + 1) {
		char word[16], name[32];

		if (sscanf(p, "%15s %31s", word, name) == 2 && name[0] != '_' &&
		    strncmp(word, "uri", 3) != 0 && strncmp(word, "hashbl", 6) != 0 &&
		    strncmp(word, "util", 4) != 0)
			buf_printf(&text, "tflags %s net%s\nscore %s 1\n", name,
			    strcmp(name, "U_NS") == 0 ? " a ns" : "", name);
	}
	rig_load(&g, text.ptr, false);
	buf_done(&text);
	if (g.rs == NULL ||
	    auth_context_new(&g.settings, NULL, &context, &g.err) != 0) {
		rig_diags(&g, DIAG_WARNING);
		abort();
	}
	g.settings.message_steps = 1000000;
	netaddr_parse(SPAN_LIT("192.0.2.1"), &g.envelope.client_ip);
	g.envelope.source = ENVELOPE_SMTP;
	g.envelope.mail_from = "a@bounce.example.org";
}

/* auth_internal.h has it, which needs libopendkim's headers */
void auth_context_set_dns(struct auth_context *c, struct dns *dns);

static void
judge_message(struct span raw)
{
	struct message_limits limits = { 1 << 20, 1000, 20, 100, 200 };
	struct gather_sources sources = { .auth = context };
	struct arena *a = arena_new(256 << 20);
	struct rule_input in = { .settings = &g.settings,
		.envelope = &g.envelope, .arena = a, .score_set = 1,
		.learned = -1 };
	struct relays *relays;
	struct evidence *e;
	struct rule_run run, again;
	struct gather *gather;

	if (message_parse(a, raw, raw.len, &limits, &in.message, &g.err) != 0 ||
	    relays_parse(in.message, &g.settings.trusted_networks,
		&g.settings.internal_networks, NULL, &relays) != 0)
		goto out;
	gather = gather_new(&sources, &g.settings, a);
	if (gather == NULL || gather_finish(gather, &g.envelope, in.message,
	    relays, g.rs, now, &e, &g.err) != 0)
		abort();
	gather_free(gather);
	in.relays = relays;
	in.evidence = e;
	if (ruleset_run(g.rs, &in, &run) != 0 ||
	    ruleset_run(g.rs, &in, &again) != 0)
		goto out; /* out of memory */
	for (size_t i = 0; i < ruleset_count(g.rs); i++) {
		const struct rule_result *r = &run.results[i];

		if (r->why != NULL && strcmp(r->why, "not asked") == 0)
			__builtin_trap();
		if (r->low != again.results[i].low ||
		    r->high != again.results[i].high)
			__builtin_trap();
	}
out:
	arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { (const char *)data, size }, line, wrong;
	struct hashbl_options options;
	struct span zone = span_of("", 0);
	struct dns *dns;

	if (context == NULL)
		prepare();
	line = span_of(text.ptr, span_find(text, '\n'));
	text = span_from(text, line.len + 1);
	hashbl_options_parse(line, &options, &wrong);
	if (options.max == 0 || options.max > DNSQ_MAX_NAMES ||
	    (wrong.len > 0 && (wrong.ptr < line.ptr ||
		wrong.ptr + wrong.len > line.ptr + line.len)))
		__builtin_trap();
	for (size_t i = 0; i + 3 <= text.len; i++)
		if (memcmp(text.ptr + i, "\n.\n", 3) == 0) {
			zone = span_of(text.ptr, i + 1);
			text = span_from(text, i + 3);
			break;
		}
	if (dns_new_text(zone, "fuzz", &dns, NULL) != 0)
		return 0;
	auth_context_set_dns(context, dns);
	judge_message(text);
	auth_context_set_dns(context, NULL);
	dns_free(dns);
	now += 86400;
	return 0;
}
