/* Tag lists, DMARC records, keys, and Authentication-Results fields. */
#include <stdint.h>

#include "scoring/auth/arc.h"
#include "scoring/auth/auth.h"
#include "scoring/auth/canon.h"
#include "scoring/auth/dmarc.h"
#include "scoring/auth/key.h"
#include "scoring/auth/spf_record.h"
#include "scoring/auth/tags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { (const char *)data, size };
	struct arena *a = arena_new(16 << 20);
	struct sealed_result *list;
	struct dmarc_record dmarc;
	struct spf_record spf;
	struct dkim_key key;
	struct tags tags;
	size_t n;
	struct buf out;

	if (a == NULL)
		return 0;
	if (tags_parse(text, &tags))
		for (size_t i = 0; i < tags.count; i++) {
			struct span v = tags_squeeze(a, tags.list[i].value);
			int64_t number;

			tags_number(v, &number);
			EVP_PKEY_free(canon_key_decode(v, CANON_KEY_RSA));
			EVP_PKEY_free(canon_key_decode(v, CANON_KEY_ED25519));
		}
	if (dkim_key_parse(text, &key) == NULL) {
		struct dkim_key less;

		/* the reduced record is the same key */
		buf_init(&out, size + 64);
		dkim_key_reduce(&out, &key.tags);
		if (out.failed || dkim_key_parse(buf_span(&out), &less) != NULL ||
		    less.kind != key.kind || less.test != key.test ||
		    less.strict != key.strict || !span_eq(less.p,
			tags_squeeze(a, key.p)))
			__builtin_trap();
		buf_done(&out);
	}
	if (dmarc_record_parse(text, &dmarc) && dmarc.pct > 100)
		__builtin_trap();
	spf_record_parse(a, text, &spf);
	arc_results_parse(a, text, &list, &n);
	auth_results_claims(text, "mx.example.net");
	buf_init(&out, 4 * size + 64);
	canon_without_b(&out, text);
	if (out.len > size)
		__builtin_trap();
	canon_field(&out, SPAN_LIT("X"), text, true);
	canon_field(&out, SPAN_LIT("X"), text, false);
	buf_done(&out);
	arena_free(a);
	return 0;
}
