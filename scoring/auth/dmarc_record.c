#include "scoring/auth/dmarc.h"

const char *
dmarc_policy_name(enum dmarc_policy p)
{
	switch (p) {
	case DMARC_NONE:
		return "none";
	case DMARC_QUARANTINE:
		return "quarantine";
	case DMARC_REJECT:
		return "reject";
	case DMARC_UNSET:
		break;
	}
	return NULL;
}

static bool
next_tag(struct span *rest, struct span *ret_name, struct span *ret_value)
{
	while (rest->len > 0) {
		size_t end = span_find(*rest, ';');
		struct span spec = span_of(rest->ptr, end);
		size_t equals = span_find(spec, '=');

		*rest = span_from(*rest, end + 1);
		*ret_name = span_trim(span_of(spec.ptr, equals));
		*ret_value = span_trim(span_from(spec, equals + 1));
		/* what is no tag is passed over: a fault behind v= and p=
		 * costs no more than that tag (6.3) */
		if (equals < spec.len && ret_name->len > 0)
			return true;
	}
	return false;
}

bool
dmarc_is_record(struct span text)
{
	struct span name, value;
	size_t end = span_find(text, ';');
	struct span first = span_of(text.ptr, end);

	/* no space before "v": the record begins with it (6.4) */
	return first.len != 0 && first.ptr[0] == 'v' &&
	    next_tag(&first, &name, &value) && span_is(name, "v") &&
	    span_is(value, "DMARC1");
}

static bool
policy_parse(struct span v, enum dmarc_policy *ret_policy)
{
	if (span_iis(v, "none"))
		*ret_policy = DMARC_NONE;
	else if (span_iis(v, "quarantine"))
		*ret_policy = DMARC_QUARANTINE;
	else if (span_iis(v, "reject"))
		*ret_policy = DMARC_REJECT;
	else
		return false;
	return true;
}

static bool
mentions_mailto(struct span v)
{
	for (; v.len >= 7; v = span_from(v, 1))
		if (span_istarts(v, "mailto:"))
			return true;
	return false;
}

bool
dmarc_record_parse(struct span text, struct dmarc_record *ret_record)
{
	struct dmarc_record r = { .pct = 100, .psd = 'u' };
	struct span name, value;
	bool rua = false, bad_policy = false, seen_p = false, seen_pct = false;

	if (!dmarc_is_record(text))
		return false;
	while (next_tag(&text, &name, &value)) {
		if (span_is(name, "p")) {
			if (!seen_p)
				bad_policy |= !policy_parse(value, &r.p);
			seen_p = true;
		} else if (span_is(name, "sp")) {
			if (r.sp == DMARC_UNSET)
				bad_policy |= !policy_parse(value, &r.sp);
		} else if (span_is(name, "np")) {
			policy_parse(value, &r.np);
		} else if (span_is(name, "rua")) {
			rua |= mentions_mailto(value);
		} else if (span_is(name, "adkim")) {
			r.strict_dkim = span_iis(value, "s");
		} else if (span_is(name, "aspf")) {
			r.strict_spf = span_iis(value, "s");
		} else if (span_is(name, "psd")) {
			if (span_iis(value, "y"))
				r.psd = 'y';
			else if (span_iis(value, "n"))
				r.psd = 'n';
		} else if (span_is(name, "t")) {
			r.testing = span_iis(value, "y");
		} else if (span_is(name, "pct") && !seen_pct) {
			unsigned v = 0;
			bool ok = value.len > 0 && value.len <= 3;

			seen_pct = true;
			for (size_t i = 0; ok && i < value.len; i++) {
				ok = value.ptr[i] >= '0' && value.ptr[i] <= '9';
				v = v * 10 + (unsigned)(value.ptr[i] - '0');
			}
			if (ok && v <= 100)
				r.pct = v;
		}
	}
	if (r.p == DMARC_UNSET || bad_policy) {
		/* 6.6.3: with a place for reports it counts as p=none */
		if (!rua)
			return false;
		r.p = DMARC_NONE;
		r.sp = DMARC_UNSET;
		r.np = DMARC_UNSET;
	}
	*ret_record = r;
	return true;
}
