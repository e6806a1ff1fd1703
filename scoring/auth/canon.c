#include <openssl/x509.h>

#include "scoring/auth/canon.h"

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
}

static void
put_crlf(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\n' && (i == 0 || s.ptr[i - 1] != '\r'))
			buf_add_char(out, '\r');
		buf_add_char(out, s.ptr[i]);
	}
}

void
canon_field(struct buf *out, struct span name, struct span value, bool relaxed)
{
	bool space = false, any = false;

	if (!relaxed) {
		buf_add_span(out, name);
		buf_add_char(out, ':');
		put_crlf(out, value);
		buf_add(out, "\r\n", 2);
		return;
	}
	while (name.len > 0 && is_space(name.ptr[name.len - 1]))
		name.len--;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		buf_add_char(out, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
	}
	buf_add_char(out, ':');
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\r' || c == '\n')
			continue;
		if (is_space(c)) {
			space = true;
			continue;
		}
		if (space && any)
			buf_add_char(out, ' ');
		space = false;
		any = true;
		buf_add_char(out, c);
	}
	buf_add(out, "\r\n", 2);
}

void
canon_without_b(struct buf *out, struct span value)
{
	while (value.len > 0) {
		size_t end = span_find(value, ';');
		struct span spec = span_of(value.ptr, end);
		size_t equals = span_find(spec, '=');

		if (equals < spec.len &&
		    span_is(span_trim(span_of(spec.ptr, equals)), "b"))
			buf_add(out, spec.ptr, equals + 1);
		else
			buf_add_span(out, spec);
		if (end < value.len)
			buf_add_char(out, ';');
		value = span_from(value, end + 1);
	}
}

void
canon_body_begin(struct canon_body *c, EVP_MD_CTX *digest, bool relaxed,
    int64_t limit)
{
	*c = (struct canon_body){ .digest = digest, .relaxed = relaxed,
		.limit = limit };
}

static void
body_put(struct canon_body *c, const char *p, size_t n)
{
	size_t take = n;

	if (c->limit >= 0) {
		size_t left = (size_t)c->limit > c->total ?
		    (size_t)c->limit - c->total : 0;

		take = n < left ? n : left;
	}
	c->total += n;
	if (take > 0 && EVP_DigestUpdate(c->digest, p, take) != 1)
		c->failed = true;
}

/* Bytes that count, after what was held back before them */
static void
put_ink(struct canon_body *c, const char *p, size_t n)
{
	for (; c->empty > 0; c->empty--)
		body_put(c, "\r\n", 2);
	if (c->space)
		body_put(c, " ", 1);
	if (c->cr)
		body_put(c, "\r", 1);
	c->space = c->cr = false;
	c->inked = true;
	body_put(c, p, n);
}

static void
end_line(struct canon_body *c)
{
	if (c->inked)
		body_put(c, "\r\n", 2);
	else
		c->empty++;
	c->begun = c->inked = c->space = c->cr = false;
}

void
canon_body_add(struct canon_body *c, struct span s)
{
	size_t i = 0;

	while (i < s.len) {
		size_t start = i;

		while (i < s.len && s.ptr[i] != '\n' && s.ptr[i] != '\r' &&
		    (!c->relaxed || !is_space(s.ptr[i])))
			i++;
		if (i > start) {
			c->begun = true;
			put_ink(c, s.ptr + start, i - start);
			continue;
		}
		i++;
		if (s.ptr[start] == '\n') {
			end_line(c);
			continue;
		}
		c->begun = true;
		if (c->cr) /* a CR that ends no line is a byte like others */
			put_ink(c, "", 0);
		if (s.ptr[start] == '\r')
			c->cr = true;
		else
			c->space = true;
	}
}

size_t
canon_body_end(struct canon_body *c)
{
	if (c->begun)
		end_line(c);
	if (c->total == 0 && !c->relaxed)
		body_put(c, "\r\n", 2);
	return c->total;
}

size_t
canon_body(EVP_MD_CTX *digest, struct span body, bool relaxed, int64_t limit,
    bool *ret_ok)
{
	struct canon_body c;
	size_t total;

	canon_body_begin(&c, digest, relaxed, limit);
	canon_body_add(&c, body);
	total = canon_body_end(&c);
	*ret_ok = !c.failed;
	return total;
}

bool
canon_base64(struct span text, unsigned char *out, size_t max,
    size_t *ret_len)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0, pad = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		int v = c >= 'A' && c <= 'Z' ? c - 'A' :
		    c >= 'a' && c <= 'z' ? c - 'a' + 26 :
		    c >= '0' && c <= '9' ? c - '0' + 52 :
		    c == '+' ? 62 : c == '/' ? 63 : -1;

		if (c == '=' && i + 2 >= text.len) {
			pad++;
			continue;
		}
		if (v < 0 || pad > 0)
			return false;
		bits = bits << 6 | (unsigned)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			if (n >= max)
				return false;
			out[n++] = (unsigned char)(bits >> have);
		}
	}
	*ret_len = n;
	return n > 0;
}

EVP_PKEY *
canon_key_decode(struct span base64, enum canon_key kind)
{
	unsigned char der[2048];
	const unsigned char *p = der;
	EVP_PKEY *key;
	size_t len;

	if (!canon_base64(base64, der, sizeof(der), &len))
		return NULL;
	if (kind == CANON_KEY_ED25519)
		return len == 32 ? EVP_PKEY_new_raw_public_key(
		    EVP_PKEY_ED25519, NULL, der, len) : NULL;
	key = d2i_PUBKEY(NULL, &p, (long)len);
	if (key == NULL) { /* RFC 6376 3.6.1 names this form too */
		p = der;
		key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)len);
	}
	if (key != NULL && EVP_PKEY_base_id(key) != EVP_PKEY_RSA) {
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

bool
canon_verify(EVP_PKEY *key, enum canon_key kind, struct span data,
    struct span base64)
{
	unsigned char sig[1024], hash[EVP_MAX_MD_SIZE];
	unsigned hash_len = 0;
	EVP_MD_CTX *ctx;
	size_t len;
	bool ok;

	if (!canon_base64(base64, sig, sizeof(sig), &len) ||
	    (ctx = EVP_MD_CTX_new()) == NULL)
		return false;
	if (kind == CANON_KEY_ED25519)
		/* RFC 8463 3: the signature is over the hash */
		ok = EVP_Digest(data.ptr, data.len, hash, &hash_len,
			 EVP_sha256(), NULL) == 1 &&
		    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestVerify(ctx, sig, len, hash, hash_len) == 1;
	else
		ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL,
			 key) == 1 &&
		    EVP_DigestVerify(ctx, sig, len,
			(const unsigned char *)data.ptr, data.len) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}
