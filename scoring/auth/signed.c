#include <errno.h>
#include <stdlib.h>

#include "scoring/auth/signed.h"

enum {
	MIN_KEY_BITS = 1024,	 /* RFC 8301 3.2 */
	MAX_KEY_BITS = 8192,	 /* 0.3 ms to verify; more is no one's */
	MAX_NAMES = 256,	 /* in h= */
};

struct signed_body {
	struct canon_body canon;
	EVP_MD_CTX *digest;
};

static struct outcome
failed(enum signed_result result, const char *why)
{
	return (struct outcome){ .result = result, .why = why };
}

bool
signed_key_name(const struct tags *t, char out[DNS_NAME_TEXT])
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

struct signed_body *
signed_body_new(const struct tags *t)
{
	struct signed_body *b = calloc(1, sizeof(*b));
	struct span c = tags_get(t, "c"), l = tags_get(t, "l");
	size_t slash = span_find(c, '/');
	int64_t limit = -1;
	bool relaxed = slash < c.len && span_iis(span_trim(span_from(c,
	    slash + 1)), "relaxed");

	if (b == NULL)
		return NULL;
	if (l.ptr != NULL && !tags_number(l, &limit))
		limit = 0;
	b->digest = EVP_MD_CTX_new();
	if (b->digest == NULL ||
	    EVP_DigestInit(b->digest, EVP_sha256()) != 1) {
		signed_body_free(b);
		return NULL;
	}
	canon_body_begin(&b->canon, b->digest, relaxed, limit);
	return b;
}

void
signed_body_add(struct signed_body *b, struct span piece)
{
	canon_body_add(&b->canon, piece);
}

void
signed_body_free(struct signed_body *b)
{
	if (b == NULL)
		return;
	EVP_MD_CTX_free(b->digest);
	free(b);
}

/* The key, good for sha256 and of that kind; why not */
static const char *
find_key(const struct dns_answer *ans, enum canon_key kind,
    struct dkim_key *ret)
{
	const char *why;
	const struct dns_record *record = dkim_key_record(ans, &why);

	if (record == NULL)
		return why;
	why = dkim_key_parse(record->data, ret);
	return why == NULL && ret->kind != kind ? "key of another kind" : why;
}

struct outcome
signed_verify_data(struct auth *x, const struct tags *t, struct span data)
{
	struct span a = tags_get(t, "a"), d = tags_get(t, "d"), p, b;
	enum canon_key kind = CANON_KEY_RSA;
	struct outcome out = { .result = SIGNED_KEY };
	const struct dns_answer *ans;
	char name[DNS_NAME_TEXT];
	struct dkim_key record;
	EVP_PKEY *key;

	if (span_iis(a, "ed25519-sha256"))
		kind = CANON_KEY_ED25519;
	else if (!span_iis(a, "rsa-sha256"))
		return failed(SIGNED_MALFORMED, "unknown algorithm");
	if (d.len == 0 || !signed_key_name(t, name))
		return failed(SIGNED_MALFORMED, "no valid key name");
	ans = dns_lookup(x->dns, name, DNS_TXT);
	out.secure = ans->secure;
	if (auth_check_of(ans->status).state != CHECK_DONE) {
		out.result = SIGNED_UNKNOWN;
		out.check = auth_check_of(ans->status);
		out.why = out.check.why;
		return out;
	}
	out.why = find_key(ans, kind, &record);
	if (out.why != NULL)
		return out;
	out.test = record.test;
	out.strict = record.strict;
	p = tags_squeeze(x->arena, record.p);
	b = tags_squeeze(x->arena, tags_get(t, "b"));
	if (p.ptr == NULL || b.ptr == NULL) {
		x->no_memory = true;
		return failed(SIGNED_BAD, "out of memory");
	}
	key = canon_key_decode(p, kind);
	if (key == NULL) {
		out.why = p.len == 0 ? "key revoked" : "key not usable";
		return out;
	}
	out.bits = (unsigned)EVP_PKEY_bits(key);
	if (kind == CANON_KEY_RSA && out.bits < MIN_KEY_BITS) {
		out.why = "key under 1024 bits";
	} else if (out.bits > MAX_KEY_BITS) {
		out.why = "key over 8192 bits";
	} else if (canon_verify(key, kind, data, b)) {
		out.result = SIGNED_PASS;
	} else {
		out.result = SIGNED_BAD;
		out.why = "signature did not verify";
	}
	EVP_PKEY_free(key);
	return out;
}

void
signed_put_field(struct buf *out, const struct field *f, bool relaxed)
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

/* The fields of h=, each name from the bottom up (RFC 6376 5.4.2) */
static bool
put_signed_fields(struct buf *out, struct message *m, struct span h,
    bool relaxed)
{
	struct span names[MAX_NAMES];
	size_t next[MAX_NAMES], count = 0;

	while (h.len > 0) {
		size_t end = span_find(h, ':'), i, from = m->field_count;
		struct span name = span_trim(span_of(h.ptr, end));

		h = span_from(h, end + 1);
		if (name.len == 0 || count >= MAX_NAMES)
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
check_body(struct auth *x, const struct tags *t, struct signed_body *b)
{
	unsigned char want[64], hash[EVP_MAX_MD_SIZE];
	unsigned hash_len = 0;
	struct outcome out = { .result = SIGNED_PASS };
	struct span bh = tags_squeeze(x->arena, tags_get(t, "bh"));
	size_t len = 0, total = canon_body_end(&b->canon);

	out.uncovered = b->canon.limit >= 0 && total > (size_t)b->canon.limit;
	if (b->canon.failed ||
	    EVP_DigestFinal(b->digest, hash, &hash_len) != 1) {
		x->no_memory = true;
		return failed(SIGNED_BAD, "out of memory");
	}
	if (!canon_base64(bh, want, sizeof(want), &len) || len != 32)
		return failed(SIGNED_MALFORMED, "malformed body hash");
	/* RFC 6376 3.5: l= must not be longer than the body */
	if ((b->canon.limit >= 0 && total < (size_t)b->canon.limit) ||
	    hash_len != len || memcmp(hash, want, len) != 0)
		return failed(SIGNED_BODY, "body hash did not verify");
	return out;
}

struct outcome
signed_verify(struct auth *x, struct message *m, const struct tags *t,
    size_t field_index, struct signed_body *body)
{
	struct span c = tags_get(t, "c"), h = tags_get(t, "h"),
		    l = tags_get(t, "l");
	bool relaxed = span_istarts(c, "relaxed"), uncovered;
	struct signed_body *own = NULL;
	struct outcome out;
	struct buf data;
	int64_t number;

	if (h.len == 0 || (l.ptr != NULL && !tags_number(l, &number)))
		return failed(SIGNED_MALFORMED, "malformed message signature");
	if (body == NULL) {
		own = body = signed_body_new(t);
		if (own == NULL) {
			x->no_memory = true;
			return failed(SIGNED_BAD, "out of memory");
		}
		signed_body_add(own, span_from(m->raw, m->body_offset));
	}
	out = check_body(x, t, body);
	uncovered = out.uncovered;
	signed_body_free(own);
	if (out.result != SIGNED_PASS)
		return out;
	buf_init(&data, m->body_offset * 4 + 65536);
	if (!put_signed_fields(&data, m, h, relaxed)) {
		out = failed(SIGNED_MALFORMED, "malformed message signature");
	} else {
		signed_put_field(&data, &m->fields[field_index], relaxed);
		if (data.failed)
			out = failed(SIGNED_MALFORMED, "too many signed fields");
		else
			out = signed_verify_data(x, t, buf_span(&data));
	}
	out.uncovered = uncovered;
	buf_done(&data);
	return out;
}
