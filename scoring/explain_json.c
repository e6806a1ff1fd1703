#include <string.h>

#include "base/escape.h"
#include "scoring/explain.h"

/* json_object_set_new() frees the value when it fails, and takes NULL as a
 * failure, so one flag at the end tells it all. */
struct writer {
	bool failed;
	struct buf text;
};

static void
put(struct writer *w, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		w->failed = true;
}

static void
append(struct writer *w, json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) != 0)
		w->failed = true;
}

static json_t *
text_of(struct writer *w, struct span s)
{
	buf_reset(&w->text);
	escape_utf8(&w->text, s);
	if (w->text.failed)
		return NULL;
	/* it is UTF-8 now: jansson need not look again */
	return json_stringn_nocheck(w->text.ptr, w->text.len);
}

static void
put_span(struct writer *w, json_t *object, const char *key, struct span s)
{
	put(w, object, key, text_of(w, s));
}

static void
put_str(struct writer *w, json_t *object, const char *key, const char *s)
{
	put(w, object, key, s == NULL ? json_null() : text_of(w, span_cstr(s)));
}

static void
put_field(struct writer *w, json_t *object, const char *key,
    const struct message *m, const char *name)
{
	struct field *f = message_find(m, name, 0);
	struct span s;

	if (f == NULL) {
		put(w, object, key, json_null());
		return;
	}
	/* rules see bytes without a charset as Windows-1252; here they are
	 * shown as what they are: no UTF-8 */
	s = field_unfolded(m, f);
	if (memmem(s.ptr, s.len, "=?", 2) != NULL)
		s = field_decoded(m, f);
	put_span(w, object, key, span_trim(s));
}

/* The word of RFC 8601, or null for what was not run */
static void
put_result(struct writer *w, json_t *object, const struct check *c,
    enum auth_result r)
{
	if (c->state == CHECK_NOT_RUN)
		put(w, object, "result", json_null());
	else if (c->state == CHECK_UNKNOWN)
		put_str(w, object, "result", "temperror");
	else
		put_str(w, object, "result", auth_result_name(r));
}

static json_t *
message_json(struct writer *w, const struct message *m)
{
	json_t *o = json_object();

	put_field(w, o, "message_id", m, "Message-ID");
	put(w, o, "size_bytes", json_integer((json_int_t)m->size_bytes));
	put_field(w, o, "header_from", m, "From");
	put_field(w, o, "subject", m, "Subject");
	return o;
}

static json_t *
envelope_json(struct writer *w, const struct envelope *e)
{
	static const char *const sources[] = { [ENVELOPE_SMTP] = "smtp",
		[ENVELOPE_OPTIONS] = "options", [ENVELOPE_MESSAGE] = "message",
		[ENVELOPE_NONE] = "none" };
	json_t *o = json_object(), *rcpt = json_array();
	char ip[NETADDR_TEXT];

	put_str(w, o, "client_ip", e->client_ip.family == 0 ? NULL :
		netaddr_format(&e->client_ip, ip));
	put_str(w, o, "client_name", e->client_name);
	put_str(w, o, "helo", e->helo);
	put_str(w, o, "mail_from", e->mail_from);
	for (size_t i = 0; i < e->rcpt_count; i++)
		append(w, rcpt, text_of(w, span_cstr(e->rcpt_to[i])));
	put(w, o, "rcpt_to", rcpt);
	put_str(w, o, "source", sources[e->source]);
	return o;
}

static json_t *
parts_json(struct writer *w, const struct hit *h)
{
	json_t *list = json_array();

	for (size_t i = 0; i < h->part_count; i++) {
		const struct hit_part *p = &h->parts[i];
		json_t *o = json_object();

		put_str(w, o, "rule", p->rule);
		put(w, o, "count", json_integer(p->count));
		put_str(w, o, "target", p->target);
		put_span(w, o, "matched", p->matched);
		put(w, o, "offset", p->offset == NO_OFFSET ? json_null() :
			json_integer((json_int_t)p->offset));
		append(w, list, o);
	}
	return list;
}

static json_t *
hit_json(struct writer *w, const struct hit *h)
{
	json_t *o = json_object();

	put_str(w, o, "rule", h->rule);
	put(w, o, "score", json_real(h->score));
	put(w, o, "count", json_integer(h->count));
	put_str(w, o, "type", h->type);
	put_str(w, o, "target", h->target);
	put_span(w, o, "matched", h->matched);
	put(w, o, "offset", h->offset == NO_OFFSET ? json_null() :
		json_integer((json_int_t)h->offset));
	put_str(w, o, "file", h->file);
	put(w, o, "line", json_integer(h->line));
	put_str(w, o, "describe", h->describe);
	if (strcmp(h->type, "meta") == 0)
		put(w, o, "parts", parts_json(w, h));
	return o;
}

static json_t *
spf_json(struct writer *w, const struct spf_evidence *s)
{
	json_t *o = json_object();

	put_result(w, o, &s->check, s->result);
	put_str(w, o, "domain", s->domain);
	put_str(w, o, "scope", s->scope);
	put_str(w, o, "explanation", s->explanation);
	put_str(w, o, "reason", s->reason);
	put(w, o, "dnssec", json_boolean(s->secure));
	return o;
}

static json_t *
dkim_json(struct writer *w, const struct dkim_evidence *d)
{
	json_t *o = json_object();

	put_result(w, o, &d->check, d->result);
	put_str(w, o, "domain", d->domain);
	put_str(w, o, "selector", d->selector);
	put_str(w, o, "reason", d->reason);
	put(w, o, "aligned", json_boolean(d->aligned));
	put(w, o, "dnssec", json_boolean(d->secure));
	return o;
}

static json_t *
auth_json(struct writer *w, const struct evidence *e)
{
	json_t *o = json_object(), *list = json_array(), *x;
	/* a null reverse-path is answered for by the HELO name (RFC 7208 2.4) */
	const struct spf_evidence *spf = e->spf_mailfrom.scope != NULL ||
		e->spf_helo.scope == NULL ? &e->spf_mailfrom : &e->spf_helo;

	put(w, o, "spf", spf_json(w, spf));
	put(w, o, "spf_helo", spf_json(w, &e->spf_helo));
	for (size_t i = 0; i < e->dkim_count; i++)
		append(w, list, dkim_json(w, &e->dkim[i]));
	put(w, o, "dkim", list);

	x = json_object();
	put_result(w, x, &e->iprev.check, e->iprev.result);
	put_str(w, x, "name", e->iprev.name);
	put(w, x, "dnssec", json_boolean(e->iprev.secure));
	put(w, o, "iprev", x);

	x = json_object();
	put_result(w, x, &e->dmarc.check, e->dmarc.result);
	put_str(w, x, "domain", e->dmarc.domain);
	put_str(w, x, "policy", e->dmarc.policy);
	put_str(w, x, "reason", e->dmarc.reason);
	put(w, x, "excused", json_boolean(e->dmarc.excused));
	put(w, x, "dnssec", json_boolean(e->dmarc.secure));
	put(w, o, "dmarc", x);

	x = json_object();
	put_result(w, x, &e->arc.check, e->arc.result);
	put(w, x, "instance", json_integer(e->arc.instance));
	put_str(w, x, "sealer", e->arc.sealer);
	put_str(w, x, "reason", e->arc.reason);
	put(w, o, "arc", x);

	x = json_object();
	put(w, x, "resolves", e->helo.check.state != CHECK_DONE ? json_null() :
		json_boolean(e->helo.resolves));
	put(w, x, "matches_client", e->helo.check.state != CHECK_DONE ?
		json_null() : json_boolean(e->helo.matches_client));
	put(w, x, "is_us", json_boolean(e->helo.is_us));
	put(w, x, "non_fqdn", json_boolean(e->helo.non_fqdn));
	put(w, x, "invalid", json_boolean(e->helo.invalid));
	put(w, x, "literal_mismatch", json_boolean(e->helo.literal_mismatch));
	put(w, o, "helo", x);
	return o;
}

static json_t *
dnsbl_json(struct writer *w, const struct evidence *e)
{
	json_t *list = json_array();

	for (size_t i = 0; i < e->dnsxl_count; i++) {
		json_t *o = json_object();

		put_str(w, o, "list", e->dnsxl[i].list);
		put_str(w, o, "query", e->dnsxl[i].query);
		put_str(w, o, "result", e->dnsxl[i].check.state == CHECK_DONE ?
			(e->dnsxl[i].result != NULL ? e->dnsxl[i].result : "none") :
			e->dnsxl[i].check.why);
		append(w, list, o);
	}
	return list;
}

static json_t *
open_json(struct writer *w, const struct verdict *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->open_count; i++) {
		json_t *o = json_object();

		put_str(w, o, "test", v->open[i].test);
		put_str(w, o, "why", v->open[i].why);
		put(w, o, "unknown", json_boolean(v->open[i].unknown));
		append(w, list, o);
	}
	return list;
}

static json_t *
verdict_json(struct writer *w, const struct explain_input *in)
{
	const struct verdict *v = in->verdict;
	json_t *o = json_object(), *x, *list;

	put(w, o, "message", message_json(w, in->message));
	put(w, o, "envelope", envelope_json(w, in->envelope));
	put(w, o, "score", json_real(v->score));
	put(w, o, "score_low", json_real(v->score_low));
	put(w, o, "score_high", json_real(v->score_high));
	x = json_object();
	put(w, x, "tag", json_real(v->thresholds.tag));
	put(w, x, "tempfail", json_real(v->thresholds.tempfail));
	put(w, x, "reject", json_real(v->thresholds.reject));
	put(w, o, "thresholds", x);
	put_str(w, o, "action", action_name(v->action));
	put_str(w, o, "action_reason", v->action_reason);
	put(w, o, "truncated", json_boolean(v->truncated));

	list = json_array();
	for (size_t i = 0; i < v->hit_count; i++)
		append(w, list, hit_json(w, &v->hits[i]));
	put(w, o, "hits", list);
	put(w, o, "auth", auth_json(w, in->evidence));
	put(w, o, "dnsbl", dnsbl_json(w, in->evidence));

	list = json_array();
	for (size_t i = 0; i < v->reputation_count; i++) {
		const struct reputation_term *t = &v->reputation[i];

		x = json_object();
		put_str(w, x, "identity", t->identity);
		put(w, x, "ham", json_real(t->ham));
		put(w, x, "spam", json_real(t->spam));
		put(w, x, "score", json_real(t->score));
		put(w, x, "last_seen", json_integer(t->last_seen));
		append(w, list, x);
	}
	put(w, o, "reputation", list);
	put(w, o, "not_run", open_json(w, v));

	list = json_array();
	for (size_t i = 0; i < v->flip_count; i++) {
		json_t *names = json_array();

		x = json_object();
		for (size_t k = 0; k < v->flips[i].count; k++)
			append(w, names, text_of(w, span_cstr(v->flips[i].rules[k])));
		put(w, x, "rules", names);
		put_str(w, x, "action", action_name(v->flips[i].action));
		append(w, list, x);
	}
	put(w, o, "flip", list);

	list = json_array();
	for (size_t i = 0; i < v->shadow_count; i++) {
		const struct shadow_verdict *s = &v->shadows[i];

		x = json_object();
		put_str(w, x, "name", s->name);
		put(w, x, "score", json_real(s->score));
		put_str(w, x, "action", action_name(s->action));
		put_str(w, x, "fault", s->fault);
		append(w, list, x);
	}
	put(w, o, "shadow", list);

	x = json_object();
	put(w, x, "parse", json_integer(v->timing_us.parse));
	put(w, x, "gather", json_integer(v->timing_us.gather));
	put(w, x, "rules", json_integer(v->timing_us.rules));
	put(w, x, "total", json_integer(v->timing_us.total));
	put(w, o, "timing_us", x);
	return o;
}

json_t *
explain_json(const struct explain_input *in)
{
	struct writer w = { .failed = false };
	json_t *o;

	buf_init(&w.text, 64 << 20);
	o = verdict_json(&w, in);
	buf_done(&w.text);
	if (!w.failed)
		return o;
	json_decref(o);
	return NULL;
}
