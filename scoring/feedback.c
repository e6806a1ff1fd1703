#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "scoring/feedback.h"
#include "scoring/learn/model.h"

enum {
	IDENTITY_BODY_BYTES = 2048,
	LEARN_SCAN_BYTES = 1 << 20, /* of a message that is taught */
	LEARN_ARENA_BYTES = 128 << 20,
};

/* The body's beginning without line ends and spaces: mailboxes add and take
 * them, quoted lines ("From ") gain a '>' only in mbox. */
static void
digest_body(EVP_MD_CTX *ctx, struct span body)
{
	char kept[IDENTITY_BODY_BYTES];
	size_t n = 0;

	for (size_t i = 0; i < body.len && n < sizeof(kept); i++)
		if (!span_is_wsp(body.ptr[i]))
			kept[n++] = body.ptr[i];
	EVP_DigestUpdate(ctx, kept, n);
}

int
feedback_message_identity(struct message *m,
    unsigned char ret_identity[MESSAGE_IDENTITY_BYTES])
{
	static const char *const names[] = { "Message-ID", "Date", "From",
		"Subject" };
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned len = 0;
	int rc = 0;

	if (ctx == NULL)
		return -ENOMEM;
	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && rc == 0; i++) {
		struct field *f = message_find(m, names[i], 0);
		struct span value = f != NULL ? f->raw : span_of("", 0);

		/* folds may change on the way, so no white space counts */
		for (size_t k = 0; k < value.len; k++)
			if (!span_is_wsp(value.ptr[k]))
				EVP_DigestUpdate(ctx, value.ptr + k, 1);
		EVP_DigestUpdate(ctx, "", 1);
	}
	digest_body(ctx, span_from(m->raw, m->body_offset));
	EVP_DigestFinal_ex(ctx, digest, &len);
	EVP_MD_CTX_free(ctx);
	memcpy(ret_identity, digest, MESSAGE_IDENTITY_BYTES);
	return rc;
}

static int
learn_raw(struct store *s, const struct feedback_request *request,
    struct label_request *label, struct feedback_result *result,
    struct error *err)
{
	const struct message_limits limits = { LEARN_SCAN_BYTES, 10000, 50, 1000,
		1000 };
	struct arena *a = arena_new(LEARN_ARENA_BYTES);
	struct sample_source source = { .delivered = true };
	struct span raw = request->raw;
	struct sample sample;
	struct message *m;
	int rc;

	if (a == NULL)
		return error_set(err, -ENOMEM, "no memory");
	if (raw.len > LEARN_SCAN_BYTES)
		raw.len = LEARN_SCAN_BYTES;
	rc = message_parse(a, raw, request->raw.len, &limits, &m, err);
	if (rc == 0)
		rc = message_require_fields(m, err);
	if (rc == 0)
		rc = feedback_message_identity(m, label->message);
	if (rc == 0) {
		source.message = m;
		rc = sample_make(&source, a, &sample);
	}
	if (rc == 0)
		rc = sample_pack(&sample, a, &label->sample);
	if (rc == -ENOMEM)
		error_set(err, rc, "no memory");
	if (rc == 0)
		rc = store_label(s, label, NULL, NULL, &result->label, err);
	arena_free(a);
	return rc;
}

int
feedback_learn(struct store *s, const struct feedback_request *request,
    struct feedback_result *ret_result, struct error *err)
{
	struct label_request label = { .class = request->class,
		.user = request->user, .source = request->source, .weight = request->weight > 0 ? request->weight : 1,
		.now = request->now, .max_per_hour = request->max_per_hour };
	int rc;

	memset(ret_result, 0, sizeof(*ret_result));
	if (request->verdict_id == NULL) {
		rc = learn_raw(s, request, &label, ret_result, err);
	} else {
		rc = store_label_find(s, request->verdict_id, label.message, err);
		if (rc == 0)
			rc = store_label(s, &label, NULL, NULL,
			    &ret_result->label, err);
	}
	ret_result->taught = rc == 0 && ret_result->label.lesson;
	/* training that dies silently is the commonest fault of filters */
	if (rc != 0)
		store_learning_failed(s, request->source, err->text,
		    request->now);
	return rc;
}
