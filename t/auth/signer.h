/*
 * signer - makes DKIM and ARC signatures for tests, with the canonical forms
 * of canon.c. (libopendkim, which shares no code with it, verifies the DKIM
 * ones; a chain made by another program stands in test_arc.c.)
 */
#ifndef T_AUTH_SIGNER_H
#define T_AUTH_SIGNER_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "scoring/auth/canon.h"
#include "scoring/message/message.h"
#include "t/tap.h"

static inline void
signer_base64(struct buf *out, const unsigned char *p, size_t n)
{
	char *text = malloc(n * 4 / 3 + 8);

	buf_add(out, text, (size_t)EVP_EncodeBlock((unsigned char *)text, p,
	    (int)n));
	free(text);
}

static inline EVP_PKEY *
signer_rsa(unsigned bits)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);
}

/* A private key in DER from data/: large ones take long to make */
static inline EVP_PKEY *
signer_read(const char *name)
{
	const char *source = getenv("SPAMSCORE_SOURCE");
	unsigned char der[8192];
	const unsigned char *p = der;
	EVP_PKEY *key = NULL;
	char path[4096];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/t/auth/data/%s",
	    source != NULL ? source : ".", name);
	f = fopen(path, "rb");
	if (f != NULL) {
		n = fread(der, 1, sizeof(der), f);
		fclose(f);
		key = d2i_AutoPrivateKey(NULL, &p, (long)n);
	}
	if (key == NULL) {
		printf("Bail out! cannot read %s\n", path);
		exit(1);
	}
	return key;
}

static inline EVP_PKEY *
signer_ed25519(void)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

/* NAME TXT "TAGS p=..." in the form of --dns-data */
static inline void
signer_publish(struct buf *zone, const char *name, const char *tags,
    EVP_PKEY *key)
{
	unsigned char raw[32], *der = NULL;
	size_t len = sizeof(raw);

	buf_printf(zone, "%s TXT \"%s p=", name, tags);
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) {
		EVP_PKEY_get_raw_public_key(key, raw, &len);
		signer_base64(zone, raw, len);
	} else {
		int n = i2d_PUBKEY(key, &der);

		signer_base64(zone, der, (size_t)n);
		OPENSSL_free(der);
	}
	buf_add_str(zone, "\"\n");
}

static inline void
signer_sign(struct buf *out, EVP_PKEY *key, struct span data, bool sha1)
{
	unsigned char sig[1024], hash[64];
	unsigned hash_len = 0;
	size_t len = sizeof(sig);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok;

	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
		ok = EVP_Digest(data.ptr, data.len, hash, &hash_len,
			 EVP_sha256(), NULL) == 1 &&
		    EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestSign(ctx, sig, &len, hash, hash_len) == 1;
	else
		ok = EVP_DigestSignInit(ctx, NULL,
			 sha1 ? EVP_sha1() : EVP_sha256(), NULL, key) == 1 &&
		    EVP_DigestSign(ctx, sig, &len,
			(const unsigned char *)data.ptr, data.len) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok) {
		printf("Bail out! cannot sign\n");
		exit(1);
	}
	signer_base64(out, sig, len);
}

static inline struct message *
signer_parse(struct arena *a, struct span text)
{
	struct message_limits limits = { 64 << 20, 10000, 20, 100, 100 };
	struct error err = { "" };
	struct message *m;

	if (message_parse(a, text, text.len, &limits, &m, &err) != 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	return m;
}

/* Signs names (bottom up), then the new field itself without b=. tags end
 * just before "bh=". Puts the whole field, with its line end, into out. */
static inline void
signer_message(struct buf *out, struct span text, const char *field_name,
    const char *tags, const char *const *names, bool relaxed,
    int64_t limit, EVP_PKEY *key, bool sha1)
{
	struct arena *a = arena_new(64 << 20);
	struct message *m = signer_parse(a, text);
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned char hash[64];
	unsigned hash_len = 0;
	struct buf value, data, b;
	bool ok;

	buf_init(&value, 1 << 16);
	buf_init(&data, 1 << 24);
	buf_init(&b, 1 << 16);
	EVP_DigestInit(digest, sha1 ? EVP_sha1() : EVP_sha256());
	canon_body(digest, span_from(m->raw, m->body_offset), relaxed, limit,
	    &ok);
	EVP_DigestFinal(digest, hash, &hash_len);
	EVP_MD_CTX_free(digest);
	buf_printf(&value, " %s h=", tags);
	for (size_t i = 0; names[i] != NULL; i++) {
		size_t nth = 0;
		struct field *f = NULL;

		buf_printf(&value, "%s%s", i > 0 ? ":" : "", names[i]);
		for (size_t k = 0; k < i; k++)
			nth += strcasecmp(names[k], names[i]) == 0;
		if (message_count(m, names[i]) > nth)
			f = message_find(m, names[i],
			    message_count(m, names[i]) - 1 - nth);
		if (f != NULL)
			canon_field(&data, f->name, f->raw, relaxed);
	}
	buf_add_str(&value, ";\n\tbh=");
	signer_base64(&value, hash, hash_len);
	buf_add_str(&value, "; b=");
	canon_field(&data, span_cstr(field_name), buf_span(&value), relaxed);
	signer_sign(&b, key, span_of(data.ptr, data.len - 2), sha1);
	buf_printf(out, "%s:", field_name);
	buf_add_span(out, buf_span(&value));
	buf_add_span(out, buf_span(&b));
	buf_add_char(out, '\n');
	buf_done(&value);
	buf_done(&data);
	buf_done(&b);
	arena_free(a);
}

#endif
