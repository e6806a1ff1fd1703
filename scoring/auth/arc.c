/*
 * ARC (RFC 8617): is the chain of seals whole, who sealed last, and what did
 * the hop before say it saw.
 *
 * All of the newest message signature and every seal are verified; older
 * message signatures are broken by design of mailing lists and not looked at
 * (5.2). Keys come from the message's session like all else.
 */
#include <errno.h>
#include <openssl/rsa.h>

#include "scoring/auth/arc.h"
#include "scoring/auth/auth_internal.h"
#include "scoring/auth/canon.h"

enum {
	ARC_MAX_SETS = 50,	 /* RFC 8617 4.2.1 */
	ARC_MIN_KEY_BITS = 1024, /* RFC 8301 3.2 */
	ARC_MAX_NAMES = 256,	 /* in h= */
};

enum part { AAR, AMS, AS };

static const char *const part_names[] = { "ARC-Authentication-Results",
	"ARC-Message-Signature", "ARC-Seal" };

struct set {
	size_t field[3];
	bool has[3];
	struct tags ams, as;
};

struct arc_run {
	struct set *sets; /* by instance, from 1; NULL: no ARC field at all */
	unsigned count;
	const char *fault;  /* of the structure */
	unsigned fault_at;
};

/* i= of one field. AAR is no tag list but begins with "i=N;" (4.1.1). */
static unsigned
instance_of(enum part part, struct span value, struct tags *t)
{
	struct span i;
	int64_t n;

	if (part == AAR) {
		size_t equals;

		value = span_trim(span_of(value.ptr, span_find(value, ';')));
		equals = span_find(value, '=');
		if (equals == value.len ||
		    !span_iis(span_trim(span_of(value.ptr, equals)), "i"))
			return 0;
		i = span_trim(span_from(value, equals + 1));
	} else {
		if (!tags_parse(value, t))
			return 0;
		i = tags_get(t, "i");
	}
	if (!tags_number(i, &n) || n < 1 || n > ARC_MAX_SETS)
		return 0;
	return (unsigned)n;
}

static void
fault(struct arc_run *run, const char *why, unsigned at)
{
	if (run->fault == NULL) {
		run->fault = why;
		run->fault_at = at;
	}
}

/* Sorts the fields into sets and checks their structure (5.2 step 3). */
static void
collect(struct message *m, struct arc_run *run)
{
	for (size_t i = 0; i < m->field_count; i++) {
		const struct field *f = &m->fields[i];
		struct tags t;
		unsigned n;

		for (unsigned part = 0; part < 3; part++) {
			struct set *s;

			if (!span_iis(f->name, part_names[part]))
				continue;
			n = instance_of(part, f->raw, &t);
			if (n == 0) {
				fault(run, "malformed field", 0);
				continue;
			}
			s = &run->sets[n];
			if (s->has[part]) {
				fault(run, "instance twice", n);
				continue;
			}
			s->has[part] = true;
			s->field[part] = i;
			if (part == AMS)
				s->ams = t;
			else if (part == AS)
				s->as = t;
			if (n > run->count)
				run->count = n;
		}
	}
	for (unsigned n = 1; n <= run->count; n++) {
		const struct set *s = &run->sets[n];
		struct span cv = tags_get(&s->as, "cv");

		if (!s->has[AAR] || !s->has[AMS] || !s->has[AS])
			fault(run, "incomplete set", n);
		else if (n == run->count && span_iis(cv, "fail"))
			fault(run, "sealed as failed", n);
		else if (!span_iis(cv, n == 1 ? "none" : "pass"))
			fault(run, "wrong cv=", n);
		else if (tags_get(&s->as, "h").ptr != NULL)
			fault(run, "h= in a seal", n);
	}
}

static bool
key_name(const struct tags *t, char out[DNS_NAME_TEXT])
{
	struct span d = tags_get(t, "d"), s = tags_get(t, "s");
	char domain[DNS_NAME_TEXT], text[3 * DNS_NAME_TEXT];

	if (d.len == 0 || s.len == 0 || s.len > 255 ||
	    !auth_domain_ascii(d, domain))
		return false;
	snprintf(text, sizeof(text), "%.*s._domainkey.%s", SPAN_ARG(s),
	    domain);
	return dns_name_canonical(span_cstr(text), out);
}

void
arc_begin(struct auth *x, struct message *m)
{
	struct arc_run *run = ARENA_NEW(x->arena, struct arc_run);
	char name[DNS_NAME_TEXT];

	if (run == NULL) {
		x->no_memory = true;
		return;
	}
	x->arc = run;
	/* room for all instances is large, and most messages have none */
	for (unsigned part = 0; part < 3 && run->sets == NULL; part++) {
		if (message_count(m, part_names[part]) == 0)
			continue;
		run->sets = ARENA_ARRAY(x->arena, ARC_MAX_SETS + 1, struct set);
		if (run->sets == NULL) {
			x->no_memory = true;
			return;
		}
	}
	collect(m, run);
	if (run->fault != NULL)
		return;
	for (unsigned n = 1; n <= run->count; n++)
		if (key_name(&run->sets[n].as, name))
			dns_start(x->dns, name, DNS_TXT);
	if (run->count > 0 && key_name(&run->sets[run->count].ams, name))
		dns_start(x->dns, name, DNS_TXT);
}

/* What came of one signature */
struct outcome {
	bool ok;
	const char *why;
	struct check check; /* UNKNOWN: the key did not come */
};

static struct outcome
failed(const char *why)
{
	return (struct outcome){ false, why, { CHECK_DONE, NULL } };
}

static struct outcome
verify(struct auth *x, const struct tags *t, struct span data)
{
	struct span a = tags_get(t, "a"), k, p, b;
	enum canon_key kind = CANON_KEY_RSA;
	const struct dns_answer *ans;
	char name[DNS_NAME_TEXT];
	struct outcome out = failed("signature did not verify");
	struct tags record;
	EVP_PKEY *key;

	if (span_iis(a, "ed25519-sha256"))
		kind = CANON_KEY_ED25519;
	else if (!span_iis(a, "rsa-sha256"))
		return failed("unknown algorithm");
	if (!key_name(t, name))
		return failed("no valid key name");
	ans = dns_lookup(x->dns, name, DNS_TXT);
	if (auth_check_of(ans->status).state != CHECK_DONE) {
		out.check = auth_check_of(ans->status);
		return out;
	}
	if (ans->count != 1 || !tags_parse(ans->records[0].data, &record))
		return failed("no key for signature");
	k = tags_get(&record, "k");
	if (k.ptr != NULL &&
	    !span_iis(k, kind == CANON_KEY_RSA ? "rsa" : "ed25519"))
		return failed("key of another kind");
	p = tags_squeeze(x->arena, tags_get(&record, "p"));
	b = tags_squeeze(x->arena, tags_get(t, "b"));
	if (p.ptr == NULL || b.ptr == NULL) {
		x->no_memory = true;
		return out;
	}
	key = canon_key_decode(p, kind);
	if (key == NULL)
		return failed(p.len == 0 ? "key revoked" : "key not usable");
	if (kind == CANON_KEY_RSA && EVP_PKEY_bits(key) < ARC_MIN_KEY_BITS)
		out.why = "key under 1024 bits";
	else
		out.ok = canon_verify(key, kind, data, b);
	EVP_PKEY_free(key);
	return out;
}

/* One field of the set with its b= empty and without the last CRLF */
static void
put_unsigned(struct buf *out, const struct field *f, bool relaxed)
{
	struct buf value;

	buf_init(&value, f->raw.len + 1);
	canon_without_b(&value, f->raw);
	canon_field(out, f->name, buf_span(&value), relaxed);
	out->failed |= value.failed;
	buf_done(&value);
	if (out->len >= 2)
		out->len -= 2;
}

static struct outcome
check_seal(struct auth *x, struct message *m, const struct arc_run *run,
    unsigned instance)
{
	struct outcome out = failed("out of memory");
	struct buf data;

	buf_init(&data, m->body_offset * 2 + 4096);
	for (unsigned n = 1; n <= instance; n++)
		for (unsigned part = 0; part < 3; part++) {
			const struct field *f =
			    &m->fields[run->sets[n].field[part]];

			if (n == instance && part == AS)
				put_unsigned(&data, f, true);
			else
				canon_field(&data, f->name, f->raw, true);
		}
	if (data.failed)
		x->no_memory = true;
	else
		out = verify(x, &run->sets[instance].as, buf_span(&data));
	buf_done(&data);
	return out;
}

/* The fields of h=, each name from the bottom up (RFC 6376 5.4.2) */
static bool
put_signed_fields(struct buf *out, struct message *m, struct span h,
    bool relaxed)
{
	struct span names[ARC_MAX_NAMES];
	size_t next[ARC_MAX_NAMES], count = 0;

	while (h.len > 0) {
		size_t end = span_find(h, ':'), i, from = m->field_count;
		struct span name = span_trim(span_of(h.ptr, end));

		h = span_from(h, end + 1);
		if (name.len == 0 || count >= ARC_MAX_NAMES)
			return false;
		/* go on above the field that this name took before */
		for (i = count; i > 0; i--)
			if (span_ieq(names[i - 1], name)) {
				from = next[i - 1];
				break;
			}
		while (from > 0 && !span_ieq(m->fields[from - 1].name, name))
			from--;
		if (from > 0) {
			canon_field(out, m->fields[from - 1].name,
			    m->fields[from - 1].raw, relaxed);
			from--;
		}
		names[count] = name;
		next[count++] = from;
	}
	return true;
}

static struct outcome
check_message(struct auth *x, struct message *m, const struct arc_run *run,
    int64_t now)
{
	const struct set *s = &run->sets[run->count];
	struct span c = tags_get(&s->ams, "c"), h = tags_get(&s->ams, "h");
	struct span bh, l = tags_get(&s->ams, "l"), at = tags_get(&s->ams, "x");
	bool relaxed_header = span_istarts(c, "relaxed"), relaxed_body = false;
	size_t slash = span_find(c, '/'), len = 0;
	unsigned char want[64], hash[EVP_MAX_MD_SIZE];
	unsigned hash_len = 0;
	EVP_MD_CTX *digest;
	struct outcome out = failed("out of memory");
	int64_t limit = -1, expires;
	struct buf data;
	bool ok = false;

	if (slash < c.len)
		relaxed_body = span_iis(span_trim(span_from(c, slash + 1)),
		    "relaxed");
	if (h.len == 0 || (l.ptr != NULL && !tags_number(l, &limit)))
		return failed("malformed message signature");
	if (at.ptr != NULL && tags_number(at, &expires) && now > expires)
		return failed("message signature expired");
	bh = tags_squeeze(x->arena, tags_get(&s->ams, "bh"));
	if (!canon_base64(bh, want, sizeof(want), &len) || len != 32)
		return failed("malformed body hash");
	digest = EVP_MD_CTX_new();
	if (digest == NULL || EVP_DigestInit(digest, EVP_sha256()) != 1) {
		EVP_MD_CTX_free(digest);
		x->no_memory = true;
		return out;
	}
	canon_body(digest, span_from(m->raw, m->body_offset), relaxed_body,
	    limit, &ok);
	ok = ok && EVP_DigestFinal(digest, hash, &hash_len) == 1;
	EVP_MD_CTX_free(digest);
	if (!ok || hash_len != len || memcmp(hash, want, len) != 0)
		return failed("body hash did not verify");
	buf_init(&data, m->body_offset * 4 + 65536);
	if (!put_signed_fields(&data, m, h, relaxed_header)) {
		out = failed("malformed message signature");
	} else {
		put_unsigned(&data, &m->fields[s->field[AMS]], relaxed_header);
		if (data.failed)
			out = failed("too many signed fields");
		else
			out = verify(x, &s->ams, buf_span(&data));
	}
	buf_done(&data);
	return out;
}

static bool
trusts(const struct auth *x, const char *sealer)
{
	const struct strings *list = &x->settings->arc_trusted_sealers;
	char name[DNS_NAME_TEXT];

	for (size_t i = 0; i < list->count; i++)
		if (auth_domain_ascii(span_cstr(list->items[i]), name) &&
		    strcmp(name, sealer) == 0)
			return true;
	return false;
}

int
arc_finish(struct auth *x, struct message *m, struct evidence *e)
{
	struct arc_evidence *a = &e->arc;
	const struct arc_run *run = x->arc;
	char sealer[DNS_NAME_TEXT];
	struct outcome out;

	if (run == NULL)
		return -ENOMEM;
	a->check = (struct check){ CHECK_DONE, NULL };
	a->result = AUTH_NONE;
	if (run->count == 0 && run->fault == NULL)
		return 0;
	if (dns_session_offline(x->dns) || (m->faults & MESSAGE_TRUNCATED)) {
		a->check = (struct check){ CHECK_NOT_RUN,
			dns_session_offline(x->dns) ? "offline" :
			"message over scan_size" };
		return 0;
	}
	a->instance = run->count;
	if (run->count > 0 && auth_domain_ascii(
	    tags_get(&run->sets[run->count].as, "d"), sealer)) {
		a->sealer = arena_strdup(x->arena, sealer);
		if (a->sealer == NULL)
			return -ENOMEM;
	}
	a->result = AUTH_FAIL;
	if (run->fault != NULL) {
		a->reason = run->fault;
		a->instance = run->fault_at;
		return 0;
	}
	out = check_message(x, m, run, e->now);
	for (unsigned n = run->count; out.ok && n >= 1; n--) {
		out = check_seal(x, m, run, n);
		if (!out.ok)
			a->instance = n;
	}
	if (x->no_memory)
		return -ENOMEM;
	if (!out.ok) {
		a->reason = out.why;
		if (out.check.state == CHECK_UNKNOWN) {
			a->result = AUTH_TEMPERROR;
			a->check = out.check;
			a->reason = out.check.why;
		}
		return 0;
	}
	a->result = AUTH_PASS;
	a->trusted = a->sealer != NULL && trusts(x, a->sealer);
	if (!a->trusted)
		return 0;
	return arc_results_parse(x->arena,
	    m->fields[run->sets[run->count].field[AAR]].raw, &a->sealed,
	    &a->sealed_count);
}
