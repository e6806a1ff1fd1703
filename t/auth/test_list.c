/*
 * A mailing list and dmarc_reject, from the bytes to the action: whoever writes
 * himself a List-Id and signs as its domain is no list that is known, so the
 * failure keeps its points; a list that earned its record is excused.
 */
#include "scoring/decide.h"
#include "scoring/gather.h"
#include "scoring/judge.h"
#include "t/auth/signer.h"
#include "t/scratch.h"
#include "t/tap.h"

#define T0 INT64_C(1700000000)

static const char rules_text[] =
    "header FAILS eval:spamscore_dmarc('fail', 'reject')\n"
    "tflags FAILS net\nscore FAILS 3.5\n";

struct rig {
	struct arena *arena;
	struct scoring_settings settings;
	struct ruleset *ruleset;
	struct gather_sources sources;
	struct buf listed, plain, zone, slow;
};

static struct error err;

static const struct row {
	const char *label;
	/* it bears a List-Id of the domain that signed it; its key comes */
	bool list, key;
	/* what is known of that domain; ham and spam */
	enum identity_kind kind;
	double ham, spam;
	bool known_only;
	enum action want;
	bool want_hit;
} rows[] = {
	{ "no list", false, true, IDENTITY_DKIM, 0, 0, false, ACTION_REJECT, true },
	{ "no list, of a good signer", false, true, IDENTITY_DKIM, 50, 0, false,
	    ACTION_REJECT, true },
	{ "a list nobody knows", true, true, IDENTITY_DKIM, 0, 0, false,
	    ACTION_ACCEPT, true },
	{ "the same where only known ones count", true, true, IDENTITY_DKIM, 0, 0, true,
	    ACTION_REJECT, true },
	{ "a list that is known", true, true, IDENTITY_DKIM, 50, 0, false,
	    ACTION_ACCEPT, false },
	{ "the same where only known ones count", true, true, IDENTITY_DKIM, 50, 0, true,
	    ACTION_ACCEPT, false },
	/* no rejection rests on a key that did not come, and no point where it
	 * might have taken it */
	{ "its key does not come", true, false, IDENTITY_DKIM, 50, 0, true,
	    ACTION_ACCEPT, false },
	{ "that of a list nobody knows neither", true, false, IDENTITY_DKIM, 0, 0,
	    true, ACTION_ACCEPT, true },
	{ "no list, and its key does not come", false, false, IDENTITY_DKIM, 0, 0,
	    false, ACTION_REJECT, true },
	{ "too little good mail", true, true, IDENTITY_DKIM, 5, 0, true,
	    ACTION_REJECT, true },
	{ "too much bad mail", true, true, IDENTITY_DKIM, 50, 10, true, ACTION_REJECT,
	    true },
	/* what it wrote itself says nothing about what it lets through */
	{ "known as an author alone", true, true, IDENTITY_DKIM_ALIGNED, 50, 0, true,
	    ACTION_REJECT, true },
	{ "known by its address alone", true, true, IDENTITY_NET, 50, 0, true,
	    ACTION_REJECT, true },
};

static struct auth_context *
context_for(struct rig *rig, bool key, struct dns **ret_dns)
{
	struct auth_context *c;

	if (dns_new_text(buf_span(key ? &rig->zone : &rig->slow), "zone", ret_dns,
		&err) != 0 ||
	    auth_context_new(&rig->settings, *ret_dns, &c, &err) != 0)
		abort();
	return c;
}

static void
check_row(struct rig *rig, const struct row *row)
{
	struct identity id = { row->kind, row->kind == IDENTITY_NET ?
		"192.0.2.0/24" : "list.example" };
	struct message_limits limits = { 1 << 20, 1000, 30, 500, 1000 };
	struct envelope env = { .source = ENVELOPE_SMTP,
		.helo = "mx.list.example", .mail_from = "b@list.example" };
	struct span raw = buf_span(row->list ? &rig->listed : &rig->plain);
	struct relays relays = { 0 };
	char path[120];
	struct store_options o = { .path = path, .mode = STORE_WRITE };
	struct judge_input in = { .settings = &rig->settings,
		.ruleset = rig->ruleset, .envelope = &env, .relays = &relays,
		.arena = rig->arena };
	struct evidence *e;
	struct message *m;
	struct gather *g;
	struct verdict *v;
	struct dns *dns;
	bool hit = false;

	printf("# %s\n", row->label);
	snprintf(path, sizeof(path), "%s/%td", scratch_dir, row - rows);
	if (store_open(&o, &rig->sources.store, &err) != 0)
		abort();
	store_reputation_add(rig->sources.store, &id, 1, row->ham, row->spam,
	    NULL, T0 - 100);
	store_flush(rig->sources.store, &err);
	rig->settings.dmarc_known_lists = row->known_only;
	rig->sources.auth = context_for(rig, row->key, &dns);
	netaddr_parse(SPAN_LIT("192.0.2.1"), &env.client_ip);
	g = gather_new(&rig->sources, &rig->settings, rig->arena);
	if (g == NULL || message_parse(rig->arena, raw, raw.len, &limits, &m,
		&err) != 0 || gather_finish(g, &env, m, &relays, rig->ruleset, T0,
		&e, &err) != 0)
		abort();
	gather_free(g);
	auth_context_free(rig->sources.auth);
	dns_free(dns);
	store_close(rig->sources.store);
	in.message = m;
	in.evidence = e;
	if (judge(&in, &v, &err) != 0)
		abort();
	for (size_t i = 0; i < v->hit_count; i++)
		hit |= strcmp(v->hits[i].rule, "FAILS") == 0;
	tap_is_str(auth_result_name(e->dmarc.result), row->key || row->want_hit ?
	    "fail" : "temperror", "DMARC");
	tap_is_str(action_name(v->action), action_name(row->want), "the action");
	tap_ok(hit == row->want_hit, "the points %s",
	    row->want_hit ? "stay" : "are not given");
	if (!hit)
		tap_is_str(e->dmarc.reason, !row->key ?
		    "what a mailing list's signature says did not finish" :
		    "the signature of a known mailing list explains it",
		    "and why is said");
}

/* What is not known because nobody could look */
static void
test_store_fault(void)
{
	struct scoring_settings s = { .dmarc_reject = true,
		.dmarc_known_lists = true };
	struct evidence e = { .dmarc = { .check = { CHECK_DONE, NULL },
		.result = AUTH_FAIL, .policy = "reject", .list = "list.example" } };
	struct envelope env = { .source = ENVELOPE_SMTP };
	struct deciding d;

	deciding_init(&d, &s, &e, &env);
	tap_ok(d.dmarc, "a list that is not known does not help");
	e.store = (struct check){ CHECK_UNKNOWN, "locked" };
	deciding_init(&d, &s, &e, &env);
	tap_ok(!d.dmarc, "no rejection because the database could not be read");
}

static void
sign(struct buf *out, const char *list_id, EVP_PKEY *key)
{
	static const char *const names[] = { "From", "Subject", NULL };
	struct buf body;

	buf_init(&body, 1 << 16);
	buf_init(out, 1 << 16);
	buf_printf(&body, "From: a@author.example\n%sSubject: x\n\nhello\n",
	    list_id);
	signer_message(out, buf_span(&body), "DKIM-Signature",
	    "v=1; a=rsa-sha256; c=relaxed/relaxed; d=list.example; s=k;", names,
	    true, -1, key, false);
	buf_add_span(out, buf_span(&body));
	buf_done(&body);
}

int
main(void)
{
	struct rig rig = { .arena = arena_new(512u << 20) };
	struct ruleset_options options = { .text = SPAN_LIT(rules_text),
		.text_name = "test.cf" };
	EVP_PKEY *key = signer_rsa(1024);
	struct diags diags;

	scratch_make();
	diags_init(&diags, rig.arena);
	scoring_settings_init(&rig.settings, rig.arena);
	rig.settings.dmarc_reject = true;
	buf_init(&rig.zone, 1 << 16);
	buf_init(&rig.slow, 1 << 16);
	buf_add_str(&rig.zone, "_dmarc.author.example TXT \"v=DMARC1; p=reject\"\n"
	    "author.example TXT \"v=spf1 -all\"\n");
	buf_add_span(&rig.slow, buf_span(&rig.zone));
	buf_add_str(&rig.slow, "k._domainkey.list.example TIMEOUT\n");
	signer_publish(&rig.zone, "k._domainkey.list.example", "", key);
	sign(&rig.listed, "List-Id: talk <talk.list.example>\n", key);
	sign(&rig.plain, "", key);
	if (ruleset_load(&options, &diags, &rig.ruleset, &err) != 0) {
		printf("Bail out! %s\n", err.text);
		return 1;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rig, &rows[i]);
	test_store_fault();
	ruleset_free(rig.ruleset);
	scoring_settings_done(&rig.settings);
	buf_done(&rig.listed);
	buf_done(&rig.plain);
	buf_done(&rig.zone);
	buf_done(&rig.slow);
	EVP_PKEY_free(key);
	arena_free(rig.arena);
	scratch_remove();
	return tap_done();
}
