/*
 * DKIM (RFC 6376, 8301, 8463): libopendkim verifies, the policy is ours.
 *
 * One DKIM_LIB for all threads, so nothing that differs between messages may
 * be set in it: time is judged by us against the evidence's clock (the
 * library compares with time(), so it gets a clock drift that excuses all
 * that is real), and keys come through a callback that finds the message's
 * session in the DKIM handle. That way a timeout is one signature's
 * temperror, not the message's.
 */
#include <errno.h>
#include <stdlib.h>

#include "scoring/auth/signed.h"

enum {
	DKIM_MIN_KEY_BITS = 1024, /* RFC 8301 3.2 */
	/* The library says "future" when now < t - drift, in unsigned numbers,
	 * and "expired" when now >= x + drift: this fits every t= from 2001
	 * (before DKIM) to 2058 and every x= that such a one can have. */
	DKIM_CLOCK_DRIFT = 1000000000,
	/* The library's room for a key record is 1,023 bytes, and a key of
	 * more than about 5,900 bits does not fit whatever is left out. A
	 * signature is as long as its key: with more base64 than this (5,000
	 * bits) it is verified in signed.c. */
	OWN_SIGNATURE_CHARS = 834,
};

struct signature {
	size_t field_index;
	struct tags tags;
	bool valid;		/* tags parsed, d= and s= make a name */
	char key_name[DNS_NAME_TEXT];
	enum dns_status key_status;
	const char *key_fault;
	bool key_secure;
	const char *b;		/* squeezed, to tell signatures apart */
	bool large;		/* verified by us, see OWN_SIGNATURE_CHARS */
	struct signed_body *body; /* large, of a long message: so far */
};

struct dkim_run {
	struct auth *auth;
	struct signature *list;
	size_t count;
	DKIM *handle;		/* once the header was fed */
	size_t fed_bytes;	/* of the message: header, then body */
	char last;		/* byte of the body */
	bool no_memory;
};

static struct span
signature_value(struct message *m, size_t i)
{
	return m->fields[i].raw;
}

/* The first max_dkim_signatures of the message; the rest is not looked at */
static void
signatures_find(struct auth *x, struct message *m, struct dkim_run *run)
{
	size_t most = x->settings->max_dkim_signatures > 0 ?
	    (size_t)x->settings->max_dkim_signatures : 0;
	size_t n = message_count(m, "DKIM-Signature");

	if (n > most)
		n = most;
	run->auth = x;
	run->list = ARENA_ARRAY(x->arena, n, struct signature);
	if (run->list == NULL) {
		x->no_memory = true;
		return;
	}
	for (size_t i = 0; i < m->field_count && run->count < n; i++) {
		struct signature *sig = &run->list[run->count];
		struct span b;

		if (!span_iis(m->fields[i].name, "DKIM-Signature"))
			continue;
		run->count++;
		sig->field_index = i;
		sig->valid = tags_parse(signature_value(m, i), &sig->tags) &&
		    signed_key_name(&sig->tags, sig->key_name) &&
		    span_contains(tags_get(&sig->tags, "d"), SPAN_LIT("."));
		b = tags_get(&sig->tags, "b");
		b = tags_squeeze(x->arena, b);
		x->no_memory |= b.ptr == NULL;
		sig->b = b.ptr != NULL ? b.ptr : "";
		sig->large = sig->valid && b.len > OWN_SIGNATURE_CHARS;
	}
}

void
dkim_begin(struct auth *x, struct message *m)
{
	struct dkim_run *run;

	if (x->dkim != NULL) /* a long message was begun before */
		return;
	run = ARENA_NEW(x->arena, struct dkim_run);
	if (run == NULL) {
		x->no_memory = true;
		return;
	}
	x->dkim = run;
	signatures_find(x, m, run);
	for (size_t i = 0; i < run->count; i++)
		if (run->list[i].valid)
			dns_start(x->dns, run->list[i].key_name, DNS_TXT);
}

/* Which of ours is that one of the library's? */
static struct signature *
signature_of(struct dkim_run *run, DKIM_SIGINFO *info)
{
	const u_char *value = dkim_sig_gettagvalue(info, false,
	    (u_char *)(uintptr_t)"b");
	struct span b;

	if (value == NULL)
		return NULL;
	b = tags_squeeze(run->auth->arena, span_cstr((const char *)value));
	if (b.ptr == NULL) {
		run->no_memory = true;
		return NULL;
	}
	for (size_t i = 0; i < run->count; i++)
		if (run->list[i].valid && strcmp(run->list[i].b, b.ptr) == 0)
			return &run->list[i];
	return NULL;
}

/* Into the library's buffer; what does not fit without its notes and unknown
 * tags. False: not even then. */
static bool
copy_record(struct span record, unsigned char *buf, size_t size)
{
	struct tags tags;
	struct buf less;
	bool fits;

	if (record.len < size) {
		memcpy(buf, record.ptr, record.len);
		buf[record.len] = '\0';
		return true;
	}
	if (!tags_parse(record, &tags))
		return false;
	buf_init(&less, size - 1);
	dkim_key_reduce(&less, &tags);
	fits = !less.failed;
	if (fits)
		memcpy(buf, less.ptr, less.len + 1);
	buf_done(&less);
	return fits;
}

static DKIM_CBSTAT
key_lookup(DKIM *dkim, DKIM_SIGINFO *info, unsigned char *buf, size_t size)
{
	struct dkim_run *run = dkim_get_user_context(dkim);
	struct signature *sig = signature_of(run, info);
	const struct dns_answer *ans;
	const struct dns_record *key;

	if (sig == NULL)
		return DKIM_CBSTAT_NOTFOUND;
	ans = dns_lookup(run->auth->dns, sig->key_name, DNS_TXT);
	sig->key_status = ans->status;
	sig->key_secure = ans->secure;
	if (ans->status != DNS_FOUND)
		return DKIM_CBSTAT_NOTFOUND;
	key = dkim_key_record(ans, &sig->key_fault);
	if (key == NULL)
		return DKIM_CBSTAT_NOTFOUND;
	if (sig->large || memchr(key->data.ptr, '\0', key->data.len) != NULL ||
	    !copy_record(key->data, buf, size)) {
		sig->key_fault = "key record is not valid";
		return DKIM_CBSTAT_NOTFOUND;
	}
	return DKIM_CBSTAT_CONTINUE;
}

/* The library must never ask DNS behind our back. */
static int
no_query(void *service, int type, unsigned char *query, unsigned char *buf,
    size_t size, void **handle)
{
	(void)service, (void)type, (void)query, (void)buf, (void)size;
	*handle = NULL;
	return DKIM_DNS_ERROR;
}

int
dkim_context_new(struct auth_context *c, struct error *err)
{
	uint64_t drift = DKIM_CLOCK_DRIFT;
	/* no key is asked for before the end of the message: the header of a
	 * long one is fed while its body still comes */
	u_int flags = DKIM_LIBFLAGS_DELAYSIGPROC;
	u_int min_bits = DKIM_MIN_KEY_BITS;

	c->dkim = dkim_init(NULL, NULL);
	if (c->dkim == NULL)
		return error_set(err, -ENOMEM, "cannot start libopendkim");
	if (dkim_options(c->dkim, DKIM_OP_SETOPT, DKIM_OPTS_FLAGS, &flags,
		sizeof(flags)) != DKIM_STAT_OK ||
	    dkim_options(c->dkim, DKIM_OP_SETOPT, DKIM_OPTS_CLOCKDRIFT, &drift,
		sizeof(drift)) != DKIM_STAT_OK ||
	    dkim_options(c->dkim, DKIM_OP_SETOPT, DKIM_OPTS_MINKEYBITS,
		&min_bits, sizeof(min_bits)) != DKIM_STAT_OK ||
	    dkim_set_key_lookup(c->dkim, key_lookup) != DKIM_STAT_OK)
		return error_set(err, -EINVAL, "cannot set up libopendkim");
	dkim_dns_set_query_start(c->dkim, no_query);
	return 0;
}

void
dkim_context_free(struct auth_context *c)
{
	if (c->dkim != NULL)
		dkim_close(c->dkim);
	c->dkim = NULL;
}

/* Line ends as on the wire: the message may have come with bare LF. before
 * is the byte in front of s. */
static void
add_crlf(struct buf *out, struct span s, char before)
{
	size_t start = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] != '\n' ||
		    (i > 0 ? s.ptr[i - 1] : before) == '\r')
			continue;
		buf_add(out, s.ptr + start, i - start);
		buf_add(out, "\r\n", 2);
		start = i + 1;
	}
	buf_add_span(out, span_from(s, start));
}

static bool
is_ours(const struct dkim_run *run, size_t field_index)
{
	for (size_t i = 0; i < run->count; i++)
		if (run->list[i].field_index == field_index)
			return true;
	return false;
}

static void
feed_header(struct dkim_run *run, struct message *m)
{
	struct buf line;

	buf_init(&line, m->body_offset * 2 + 16);
	for (size_t i = 0; i < m->field_count; i++) {
		const struct field *f = &m->fields[i];

		/* signatures over the limit would be canonicalised too */
		if (span_iis(f->name, "DKIM-Signature") && !is_ours(run, i))
			continue;
		buf_reset(&line);
		buf_add_span(&line, f->name);
		buf_add_char(&line, ':');
		add_crlf(&line, f->raw, ':');
		/* a field that the library takes for none is in no hash */
		if (!line.failed && line.len != 0)
			dkim_header(run->handle, (u_char *)line.ptr, line.len);
	}
	dkim_eoh(run->handle);
	run->fed_bytes = m->body_offset;
	buf_done(&line);
}

static void
feed_body(struct dkim_run *run, struct span body)
{
	struct buf chunk;

	for (size_t i = 0; i < run->count; i++)
		if (run->list[i].body != NULL)
			signed_body_add(run->list[i].body, body);
	buf_init(&chunk, 2 * 65536);
	while (body.len > 0) {
		size_t n = body.len < 65536 ? body.len : 65536;

		buf_reset(&chunk);
		add_crlf(&chunk, span_of(body.ptr, n), run->last);
		run->no_memory |= chunk.failed;
		dkim_body(run->handle, (u_char *)chunk.ptr, chunk.len);
		run->last = body.ptr[n - 1];
		run->fed_bytes += n;
		body = span_from(body, n);
	}
	buf_done(&chunk);
}

/* Header and body as far as they are in m. False: no memory. */
static bool
feed(struct auth *x, struct dkim_run *run, struct message *m)
{
	DKIM_STAT status;

	run->handle = dkim_verify(x->context->dkim, (const u_char *)"message",
	    NULL, &status);
	if (run->handle == NULL)
		return false;
	dkim_set_user_context(run->handle, run);
	feed_header(run, m);
	feed_body(run, span_from(m->raw, m->body_offset));
	return true;
}

void
dkim_overflow(struct auth *x, struct message *m)
{
	if (x->dkim != NULL || (m->faults & MESSAGE_NO_BODY))
		return;
	dkim_begin(x, m);
	if (x->dkim == NULL || x->dkim->count == 0)
		return;
	for (size_t i = 0; i < x->dkim->count; i++) {
		struct signature *sig = &x->dkim->list[i];

		if (sig->large) {
			sig->body = signed_body_new(&sig->tags);
			x->no_memory |= sig->body == NULL;
		}
	}
	if (!feed(x, x->dkim, m))
		x->no_memory = true;
}

void
dkim_more(struct auth *x, struct span body)
{
	if (x->dkim != NULL && x->dkim->handle != NULL)
		feed_body(x->dkim, body);
}

void
dkim_drop(struct auth *x)
{
	if (x->dkim != NULL && x->dkim->handle != NULL)
		dkim_free(x->dkim->handle);
	for (size_t i = 0; x->dkim != NULL && i < x->dkim->count; i++)
		signed_body_free(x->dkim->list[i].body);
	x->dkim = NULL;
}

static void
set(struct dkim_evidence *d, enum auth_result result, const char *reason)
{
	d->result = result;
	d->reason = reason;
}

/* Does l= end before the (canonical) body does? The library's own count is of
 * the body before canonicalisation. */
static bool
leaves_uncovered(const struct tags *t, const struct message *m)
{
	struct span body = span_from(m->raw, m->body_offset);
	struct span l = tags_get(t, "l"), c = tags_get(t, "c");
	size_t slash = span_find(c, '/');
	bool relaxed = slash < c.len &&
	    span_iis(span_trim(span_from(c, slash + 1)), "relaxed");
	int64_t limit;
	bool ok;

	if (l.ptr == NULL)
		return false;
	/* of a long body only a part is here: no one puts l= behind that */
	if (!tags_number(l, &limit) || (m->faults & MESSAGE_TRUNCATED))
		return true;
	return canon_body(NULL, body, relaxed, 0, &ok) > (size_t)limit;
}

/* What the library found out about the signature itself */
static void
verdict_of(DKIM_SIGINFO *info, struct signature *sig,
    const struct message *m, struct dkim_evidence *d)
{
	unsigned flags = dkim_sig_getflags(info);
	int error = dkim_sig_geterror(info);
	unsigned bits = 0;

	if (dkim_sig_getkeysize(info, &bits) == DKIM_STAT_OK)
		d->key_bits = bits;
	d->secure = sig->key_secure;
	d->test_key = (flags & DKIM_SIGFLAG_TESTKEY) != 0;
	d->body_uncovered = leaves_uncovered(&sig->tags, m);
	if (dns_status_is_temporary(sig->key_status)) {
		set(d, AUTH_TEMPERROR, dns_status_name(sig->key_status));
		d->check = auth_check_of(sig->key_status);
	} else if (sig->key_fault != NULL &&
	    error == DKIM_SIGERROR_NOKEY) {
		set(d, AUTH_PERMERROR, sig->key_fault);
	} else if (error == DKIM_SIGERROR_NOKEY) {
		set(d, AUTH_PERMERROR, "no key for signature");
	} else if (error == DKIM_SIGERROR_KEYTOOSMALL) {
		set(d, AUTH_POLICY, "key under 1024 bits");
	} else if (dkim_sig_getbh(info) == DKIM_SIGBH_MISMATCH) {
		set(d, AUTH_FAIL, "body hash did not verify");
	} else if ((flags & DKIM_SIGFLAG_PASSED) != 0 &&
	    dkim_sig_getbh(info) == DKIM_SIGBH_MATCH &&
	    error == DKIM_SIGERROR_OK) {
		set(d, AUTH_PASS, NULL);
	} else if (error == DKIM_SIGERROR_BADSIG || error == DKIM_SIGERROR_OK) {
		set(d, AUTH_FAIL, "signature did not verify");
	} else {
		set(d, AUTH_PERMERROR, dkim_sig_geterrorstr(error));
	}
}

/* Is name at or below domain? */
static bool
is_below(struct span name, struct span domain)
{
	return name.len >= domain.len && domain.len > 0 &&
	    span_ieq(span_from(name, name.len - domain.len), domain) &&
	    (name.len == domain.len ||
		name.ptr[name.len - domain.len - 1] == '.');
}

/* RFC 6376 6.1.1, for what the library did not look at. NULL: well formed */
static const char *
fault_of_tags(const struct tags *t)
{
	static const char *const needed[] = { "v", "a", "b", "bh", "d", "h", "s" };
	struct span d = tags_get(t, "d"), i = tags_get(t, "i"),
		    h = tags_get(t, "h"), q = tags_get(t, "q");
	bool from = false;

	for (size_t k = 0; k < sizeof(needed) / sizeof(needed[0]); k++)
		if (tags_get(t, needed[k]).len == 0)
			return "malformed signature";
	if (!span_is(tags_get(t, "v"), "1") ||
	    (q.ptr != NULL && !span_istarts(q, "dns/txt")))
		return "malformed signature";
	if (i.ptr != NULL && !is_below(span_from(i, span_find(i, '@') + 1), d))
		return "i= is not of d=";
	while (h.len > 0) {
		from |= span_iis(span_trim(span_of(h.ptr, span_find(h, ':'))),
		    "from");
		h = span_from(h, span_find(h, ':') + 1);
	}
	return from ? NULL : "From is not signed";
}

/* A signature that the library cannot hold the key of */
static void
verdict_of_large(struct auth *x, struct message *m, struct signature *sig,
    struct dkim_evidence *d)
{
	const char *fault = fault_of_tags(&sig->tags);
	struct span auid = tags_get(&sig->tags, "i");
	struct outcome out;

	if (fault != NULL) {
		set(d, AUTH_PERMERROR, fault);
		return;
	}
	out = signed_verify(x, m, &sig->tags, sig->field_index, sig->body);
	if (out.result == SIGNED_PASS && out.strict && auid.ptr != NULL &&
	    !span_ieq(span_from(auid, span_find(auid, '@') + 1),
		tags_get(&sig->tags, "d"))) {
		out.result = SIGNED_KEY;
		out.why = "i= is not d= itself";
	}
	d->key_bits = out.bits;
	d->secure = out.secure;
	d->test_key = out.test;
	d->body_uncovered = out.uncovered;
	switch (out.result) {
	case SIGNED_PASS:
		set(d, AUTH_PASS, NULL);
		break;
	case SIGNED_BODY:
	case SIGNED_BAD:
		set(d, AUTH_FAIL, out.why);
		break;
	case SIGNED_KEY:
	case SIGNED_MALFORMED:
		set(d, AUTH_PERMERROR, out.why);
		break;
	case SIGNED_UNKNOWN:
		d->check = out.check;
		set(d, out.check.state == CHECK_UNKNOWN ? AUTH_TEMPERROR :
							  AUTH_NONE, out.why);
		break;
	}
}

/* RFC 6376 8.15: a second field above the signed one is what a reader sees,
 * and a second Content-Type another body. NULL: none */
static const char *
added_field(const struct tags *t, const struct message *m)
{
	static const struct {
		const char *name, *why;
	} single[] = {
		{ "Subject", "a Subject is not signed" },
		{ "To", "a To is not signed" },
		{ "Cc", "a Cc is not signed" },
		{ "Date", "a Date is not signed" },
		{ "Reply-To", "a Reply-To is not signed" },
		{ "Sender", "a Sender is not signed" },
		{ "MIME-Version", "a MIME-Version is not signed" },
		{ "Content-Type", "a Content-Type is not signed" },
		{ "Content-Transfer-Encoding",
		    "a Content-Transfer-Encoding is not signed" },
	};

	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
		struct span h = tags_get(t, "h");
		size_t signed_count = 0;

		if (message_count(m, single[i].name) < 2)
			continue;
		for (; h.len > 0; h = span_from(h, span_find(h, ':') + 1))
			signed_count += span_iis(span_trim(span_of(h.ptr,
			    span_find(h, ':'))), single[i].name);
		if (signed_count > 0 &&
		    signed_count < message_count(m, single[i].name))
			return single[i].why;
	}
	return NULL;
}

/* And our policy on top of that. */
static void
policy_of(struct signature *sig, const struct message *m, int64_t now,
    const char *from_fault, struct dkim_evidence *d)
{
	struct span x = tags_get(&sig->tags, "x");
	int64_t expires;

	if (d->algorithm != NULL && strcasecmp(d->algorithm, "rsa-sha1") == 0 &&
	    d->result != AUTH_TEMPERROR) {
		set(d, AUTH_POLICY, "rsa-sha1 is no longer valid");
		return;
	}
	if (d->test_key && (d->result == AUTH_PASS || d->result == AUTH_FAIL)) {
		/* RFC 6376 3.6.1: treat as unsigned */
		set(d, AUTH_NEUTRAL, "test key");
		return;
	}
	if (d->result != AUTH_PASS)
		return;
	if (x.ptr != NULL && tags_number(x, &expires) && now > expires) {
		set(d, AUTH_FAIL, "signature expired");
		return;
	}
	if (from_fault != NULL) {
		set(d, AUTH_POLICY, from_fault);
		return;
	}
	d->reason = d->body_uncovered ? "l= leaves body text unsigned" :
					added_field(&sig->tags, m);
	d->accountable = d->reason == NULL;
}

static const char *
copy_tag(struct auth *x, const struct tags *t, const char *name)
{
	struct span v = tags_get(t, name);
	const char *copy;

	if (v.ptr == NULL)
		return NULL;
	v = tags_squeeze(x->arena, v);
	copy = v.ptr;
	x->no_memory |= copy == NULL;
	return copy;
}

static void
describe(struct auth *x, struct signature *sig, struct dkim_evidence *d)
{
	char domain[DNS_NAME_TEXT];

	d->field_index = sig->field_index;
	if (!tags_number(tags_get(&sig->tags, "t"), &d->signed_at))
		d->signed_at = 0;
	d->check = (struct check){ CHECK_DONE, NULL };
	d->selector = copy_tag(x, &sig->tags, "s");
	d->identity = copy_tag(x, &sig->tags, "i");
	d->algorithm = copy_tag(x, &sig->tags, "a");
	d->signature_prefix = arena_memdup(x->arena, sig->b,
	    strnlen(sig->b, 8));
	x->no_memory |= d->signature_prefix == NULL;
	if (auth_domain_ascii(tags_get(&sig->tags, "d"), domain)) {
		d->domain = arena_strdup(x->arena, domain);
		x->no_memory |= d->domain == NULL;
	}
	set(d, AUTH_PERMERROR, "malformed signature");
}

int
dkim_finish(struct auth *x, struct message *m, struct evidence *e)
{
	struct dkim_run *run = x->dkim;
	const char *fault;
	DKIM_SIGINFO **infos = NULL;
	int info_count = 0;

	if (run == NULL)
		return -ENOMEM;
	e->dkim = ARENA_ARRAY(x->arena, run->count, struct dkim_evidence);
	if (e->dkim == NULL)
		return -ENOMEM;
	e->dkim_count = run->count;
	for (size_t i = 0; i < run->count; i++)
		describe(x, &run->list[i], &e->dkim[i]);
	if (run->count == 0)
		return x->no_memory ? -ENOMEM : 0;
	if (dns_session_offline(x->dns) || ((m->faults & MESSAGE_TRUNCATED) &&
	    (run->handle == NULL || run->fed_bytes != m->size_bytes))) {
		for (size_t i = 0; i < run->count; i++) {
			e->dkim[i].check = (struct check){ CHECK_NOT_RUN,
				dns_session_offline(x->dns) ? "offline" :
				"message over scan_size" };
			set(&e->dkim[i], AUTH_NONE, NULL);
		}
		return x->no_memory ? -ENOMEM : 0;
	}
	/* RFC 6376 8.15 */
	fault = auth_author_fault(x, m, NULL);
	if (run->handle == NULL && !feed(x, run, m))
		return -ENOMEM;
	dkim_eom(run->handle, NULL);
	if (dkim_getsiglist(run->handle, &infos, &info_count) != DKIM_STAT_OK)
		info_count = 0;
	for (int i = 0; i < info_count; i++) {
		struct signature *sig = signature_of(run, infos[i]);
		struct dkim_evidence *d;

		if (sig == NULL)
			continue;
		if (sig->large)
			continue;
		d = &e->dkim[sig - run->list];
		verdict_of(infos[i], sig, m, d);
		policy_of(sig, m, e->now, fault, d);
	}
	for (size_t i = 0; i < run->count; i++)
		if (run->list[i].large) {
			verdict_of_large(x, m, &run->list[i], &e->dkim[i]);
			policy_of(&run->list[i], m, e->now, fault,
			    &e->dkim[i]);
		}
	dkim_free(run->handle);
	run->handle = NULL;
	return run->no_memory || x->no_memory ? -ENOMEM : 0;
}
