#include "scoring/auth/key.h"

/* Is word one of a colon-separated list? */
static bool
list_has(struct span list, const char *word)
{
	while (list.len > 0) {
		struct span one = span_trim(span_of(list.ptr,
		    span_find(list, ':')));

		list = span_from(list, span_find(list, ':') + 1);
		if (span_iis(one, word))
			return true;
	}
	return false;
}

const char *
dkim_key_parse(struct span record, struct dkim_key *k)
{
	struct span v, kind, hashes, service, flags;

	*k = (struct dkim_key){ .kind = CANON_KEY_RSA };
	if (!tags_parse(record, &k->tags))
		return "key record is not valid";
	v = tags_get(&k->tags, "v");
	kind = tags_get(&k->tags, "k");
	hashes = tags_get(&k->tags, "h");
	service = tags_get(&k->tags, "s");
	flags = tags_get(&k->tags, "t");
	k->p = tags_get(&k->tags, "p");
	/* 3.6.1: v= is the first tag where it is there */
	if (v.ptr != NULL && (!span_is(v, "DKIM1") ||
		!span_is(k->tags.list[0].name, "v")))
		return "key record of another version";
	if (k->p.ptr == NULL)
		return "key record without p=";
	if (span_iis(kind, "ed25519"))
		k->kind = CANON_KEY_ED25519;
	else if (kind.ptr != NULL && !span_iis(kind, "rsa"))
		return "key of another kind";
	if (hashes.ptr != NULL && !list_has(hashes, "sha256"))
		return "key not for sha256";
	if (service.ptr != NULL && !list_has(service, "email") &&
	    !list_has(service, "*"))
		return "key not for mail";
	k->test = list_has(flags, "y");
	k->strict = list_has(flags, "s");
	return NULL;
}

const struct dns_record *
dkim_key_record(const struct dns_answer *ans, const char **ret_fault)
{
	const struct dns_record *key = NULL;
	struct tags t;

	*ret_fault = "no key for signature";
	for (size_t i = 0; i < ans->count; i++) {
		if (ans->count > 1 && (!tags_parse(ans->records[i].data, &t) ||
		    tags_get(&t, "p").ptr == NULL))
			continue;
		if (key != NULL) {
			*ret_fault = "several keys for signature";
			return NULL;
		}
		key = &ans->records[i];
	}
	return key;
}

void
dkim_key_reduce(struct buf *out, const struct tags *t)
{
	static const char *const names[] = { "v", "k", "h", "s", "g", "t", "p" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct span value = tags_get(t, names[i]);

		if (value.ptr == NULL)
			continue;
		buf_printf(out, "%s=", names[i]);
		/* space counts for nothing in base64 alone */
		for (size_t k = 0; k < value.len; k++)
			if (names[i][0] != 'p' || !span_is_wsp(value.ptr[k]))
				buf_add_char(out, value.ptr[k]);
		buf_add_char(out, ';');
	}
}
