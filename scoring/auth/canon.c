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

struct body_writer {
	EVP_MD_CTX *digest;
	int64_t limit;
	size_t total;
	bool ok;
};

static void
body_put(struct body_writer *w, const char *p, size_t n)
{
	size_t take = n;

	if (w->limit >= 0) {
		size_t left = (size_t)w->limit > w->total ?
		    (size_t)w->limit - w->total : 0;

		take = n < left ? n : left;
	}
	w->total += n;
	if (take > 0 && EVP_DigestUpdate(w->digest, p, take) != 1)
		w->ok = false;
}

static void
put_line(struct body_writer *w, struct span line, bool relaxed)
{
	size_t start = 0;

	if (!relaxed) {
		body_put(w, line.ptr, line.len);
		body_put(w, "\r\n", 2);
		return;
	}
	while (line.len > 0 && is_space(line.ptr[line.len - 1]))
		line.len--;
	for (size_t i = 0; i < line.len;) {
		if (!is_space(line.ptr[i])) {
			i++;
			continue;
		}
		body_put(w, line.ptr + start, i - start);
		body_put(w, " ", 1);
		while (i < line.len && is_space(line.ptr[i]))
			i++;
		start = i;
	}
	body_put(w, line.ptr + start, line.len - start);
	body_put(w, "\r\n", 2);
}

size_t
canon_body(EVP_MD_CTX *digest, struct span body, bool relaxed, int64_t limit,
    bool *ret_ok)
{
	struct body_writer w = { digest, limit, 0, true };
	size_t empty = 0; /* lines that only count if another follows */

	while (body.len > 0) {
		size_t end = span_find(body, '\n');
		struct span line = span_of(body.ptr, end);
		bool blank = true;

		body = span_from(body, end + 1);
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		for (size_t i = 0; i < line.len && blank; i++)
			blank = relaxed && is_space(line.ptr[i]);
		if (blank) {
			empty++;
			continue;
		}
		for (; empty > 0; empty--)
			body_put(&w, "\r\n", 2);
		put_line(&w, line, relaxed);
	}
	if (w.total == 0 && !relaxed)
		body_put(&w, "\r\n", 2);
	*ret_ok = w.ok;
	return w.total;
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
