/*
 * canon - canonical forms of fields and bodies (RFC 6376 3.4), and signature
 * checks with OpenSSL, for ARC. Input may have LF or CRLF line ends. Any
 * thread.
 */
#ifndef SCORING_AUTH_CANON_H
#define SCORING_AUTH_CANON_H

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/span.h"

/* name ":" value CRLF, appended; value is the raw text behind the colon. */
void canon_field(struct buf *out, struct span name, struct span value,
    bool relaxed);
/* Removes the value of b= (and only that) from a tag list. */
void canon_without_b(struct buf *out, struct span value);
/* The canonical body, in pieces cut anywhere */
struct canon_body {
	EVP_MD_CTX *digest;
	bool relaxed;
	int64_t limit;	   /* bytes that are fed at most; negative: all */
	size_t total;	   /* bytes so far, those over the limit too */
	size_t empty;	   /* lines that only count if another follows */
	bool begun, inked; /* the line has bytes, has bytes that count */
	bool space, cr;	   /* what may yet turn out to end the line */
	bool failed;	   /* of the digest */
};
void canon_body_begin(struct canon_body *c, EVP_MD_CTX *digest, bool relaxed,
    int64_t limit);
void canon_body_add(struct canon_body *c, struct span piece);
/* Returns the bytes of the whole canonical body. */
size_t canon_body_end(struct canon_body *c);
/* All at once. False through *ret_ok on a failure of the digest. */
size_t canon_body(EVP_MD_CTX *digest, struct span body, bool relaxed,
    int64_t limit, bool *ret_ok);

enum canon_key { CANON_KEY_RSA, CANON_KEY_ED25519 };
/* DER or raw key from the text of p=. NULL: no key of that kind. */
EVP_PKEY *canon_key_decode(struct span base64, enum canon_key kind);
/* True: sig (base64, no space) is over the SHA-256 of data by key. */
bool canon_verify(EVP_PKEY *key, enum canon_key kind, struct span data,
    struct span base64);
/* Decodes base64 without space. False: it is none, or more than max. */
bool canon_base64(struct span text, unsigned char *out, size_t max,
    size_t *ret_len);

#endif
