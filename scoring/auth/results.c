/* Authentication-Results (RFC 8601): writing ours, knowing who claims it. */
#include <ctype.h>

#include "base/buf.h"
#include "base/escape.h"
#include "scoring/auth/auth_internal.h"

enum { RESULTS_MAX_BYTES = 64 * 1024, RESULTS_MAX_VALUE = 512 };

static void
put_quoted(struct buf *out, struct span value)
{
	buf_add_char(out, '"');
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if (c < 0x20 || c == 0x7F)
			buf_add_char(out, '?');
		else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else
			buf_add_char(out, (char)c);
	}
	buf_add_char(out, '"');
}

/* A pvalue: as it is when it is a token (with "@", 2.2), else quoted.
 * Controls, which would end the field, become "?". */
static void
put_value(struct buf *out, const char *value)
{
	bool plain = value[0] != '\0', ascii = true;
	size_t n = strnlen(value, RESULTS_MAX_VALUE);
	struct buf visible;

	for (size_t i = 0; i < n; i++)
		ascii &= (unsigned char)value[i] < 0x80;
	if (!ascii) {
		/* bidi controls and bytes that are no UTF-8, made visible */
		buf_init(&visible, 8 * RESULTS_MAX_VALUE);
		escape_text(&visible, span_of(value, n), 0);
		put_quoted(out, buf_span(&visible));
		buf_done(&visible);
		return;
	}

	for (size_t i = 0; i < n; i++)
		plain &= isalnum((unsigned char)value[i]) ||
		    strchr("!#$%&'*+-.^_`{|}~@", value[i]) != NULL;
	if (plain) {
		buf_add(out, value, n);
		return;
	}
	put_quoted(out, span_of(value, n));
}

static void
put_property(struct buf *out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(out, " %s=", name);
	put_value(out, value);
}

static void
put_method(struct buf *out, const char *method, enum auth_result result,
    const char *reason)
{
	buf_printf(out, ";\n\t%s=%s", method, auth_result_name(result));
	if (reason != NULL) {
		buf_add_str(out, " reason=");
		put_value(out, reason);
	}
}

static bool
ran(const struct check *c)
{
	return c->state != CHECK_NOT_RUN;
}

static void
put_spf(struct buf *out, const struct evidence *e,
    const struct envelope *envelope)
{
	const struct spf_evidence *s = &e->spf_mailfrom;

	if (ran(&s->check)) {
		put_method(out, "spf", s->result, s->reason);
		/* the null reverse-path was checked as postmaster@HELO */
		if (envelope->mail_from != NULL &&
		    envelope->mail_from[0] != '\0')
			put_property(out, "smtp.mailfrom",
			    envelope->mail_from);
		else
			put_property(out, "smtp.helo", s->domain);
	}
	s = &e->spf_helo;
	if (ran(&s->check) && s->result != AUTH_NONE) {
		put_method(out, "spf", s->result, s->reason);
		put_property(out, "smtp.helo", s->domain);
	}
}

static void
put_dkim(struct buf *out, const struct dkim_evidence *d)
{
	char bits[16];

	if (!ran(&d->check))
		return;
	put_method(out, "dkim", d->result, d->reason);
	put_property(out, "header.d", d->domain);
	put_property(out, "header.i", d->identity);
	put_property(out, "header.s", d->selector);
	put_property(out, "header.a", d->algorithm);
	/* eight bytes of b= tell signatures apart (RFC 6008) */
	put_property(out, "header.b", d->signature_prefix);
	if (d->result == AUTH_POLICY && d->key_bits != 0) {
		snprintf(bits, sizeof(bits), "%u", d->key_bits);
		put_property(out, "policy.key-bits", bits);
	}
}

static void
put_dmarc(struct buf *out, const struct dmarc_evidence *d)
{
	if (!ran(&d->check))
		return;
	put_method(out, "dmarc", d->result, d->reason);
	put_property(out, "header.from", d->domain);
	put_property(out, "policy.dmarc", d->policy);
}

static void
put_arc(struct buf *out, const struct arc_evidence *a)
{
	char instance[16];

	if (!ran(&a->check) || a->result == AUTH_NONE)
		return;
	put_method(out, "arc", a->result, a->reason);
	snprintf(instance, sizeof(instance), "%u", a->instance);
	put_property(out, "policy.instance", instance);
	put_property(out, "policy.sealer", a->sealer);
}

struct span
auth_results_format(struct arena *a, const char *authserv_id,
    const struct evidence *e, const struct envelope *envelope)
{
	char ip[NETADDR_TEXT];
	struct span result = { NULL, 0 };
	struct buf out;
	size_t head;

	buf_init(&out, RESULTS_MAX_BYTES);
	put_value(&out, authserv_id);
	head = out.len;
	put_spf(&out, e, envelope);
	for (size_t i = 0; i < e->dkim_count; i++)
		put_dkim(&out, &e->dkim[i]);
	put_dmarc(&out, &e->dmarc);
	put_arc(&out, &e->arc);
	if (ran(&e->iprev.check)) {
		put_method(&out, "iprev", e->iprev.result, NULL);
		if (envelope->client_ip.family != 0)
			put_property(&out, "policy.iprev",
			    netaddr_format(&envelope->client_ip, ip));
	}
	if (out.len == head)
		buf_add_str(&out, "; none");
	if (!out.failed)
		result = arena_span(a, buf_span(&out));
	buf_done(&out);
	return result;
}

/* Behind comments (nested, with quoted pairs) and folds */
static struct span
skip_cfws(struct span s)
{
	unsigned depth = 0;

	while (s.len > 0) {
		char c = s.ptr[0];

		if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (c == '\\' && depth > 0 && s.len > 1)
			s = span_from(s, 1);
		else if (depth == 0 && (unsigned char)c > ' ' && c != 0x7F)
			break;
		s = span_from(s, 1);
	}
	return s;
}

/* The same name, in any spelling of it that DNS takes for one? */
static bool
is_name(struct span id, const char *authserv_id)
{
	char ours[DNS_NAME_TEXT], theirs[DNS_NAME_TEXT];

	return span_iis(id, authserv_id) ||
	    (auth_domain_ascii(id, theirs) &&
		auth_domain_ascii(span_cstr(authserv_id), ours) &&
		strcmp(ours, theirs) == 0);
}

/* What a careless reader may see as the authserv-id: everything up to the
 * first ";" without comments, quotes, space and controls; *ret_first gets
 * what stands before the first space or comment behind the name. */
static void
read_id(struct span s, struct buf *all, size_t *ret_first)
{
	bool quoted = false;

	*ret_first = SIZE_MAX;
	for (s = skip_cfws(s); s.len > 0; s = span_from(s, 1)) {
		unsigned char c = (unsigned char)s.ptr[0];

		if (c == '"') {
			quoted = !quoted;
			continue;
		}
		if (c == '\\' && s.len > 1) {
			s = span_from(s, 1);
			c = (unsigned char)s.ptr[0];
		} else if (!quoted && c == ';') {
			return;
		} else if (!quoted && (c == '(' || span_is_wsp((char)c) ||
			c == '=' || c == '/')) {
			if (*ret_first == SIZE_MAX)
				*ret_first = all->len;
			if (c == '(') {
				s = skip_cfws(s);
				/* the loop steps over one byte */
				s = span_of(s.ptr - 1, s.len + 1);
			}
			if (c == '(' || span_is_wsp((char)c))
				continue;
		}
		/* what a reader may drop must not hide the name */
		if (c > ' ' && c != 0x7F)
			buf_add_char(all, (char)c);
	}
}

static bool
claims(struct span field_body, const char *authserv_id)
{
	struct span all, version;
	size_t first;
	struct buf b;
	bool found;

	buf_init(&b, 4096);
	read_id(field_body, &b, &first);
	all = version = buf_span(&b);
	/* "name 1", the version run together with the name */
	while (version.len > 0 && isdigit((unsigned char)
	    version.ptr[version.len - 1]))
		version.len--;
	found = is_name(all, authserv_id) || is_name(version, authserv_id) ||
	    (first < all.len && is_name(span_of(all.ptr, first), authserv_id));
	buf_done(&b);
	return found;
}

bool
auth_results_claims(struct span field_body, const char *authserv_id)
{
	struct span head = span_of(field_body.ptr,
	    field_body.len < 4096 ? field_body.len : 4096);
	struct arena *a;
	bool found = claims(field_body, authserv_id);

	/* encoded words have no place here, but some readers decode any field */
	if (found || memmem(head.ptr, head.len, "=?", 2) == NULL)
		return found;
	a = arena_new(1 << 20);
	if (a == NULL)
		return true; /* rather one field too few */
	head = text_decode_words(a, head);
	found = head.ptr == NULL || claims(head, authserv_id);
	arena_free(a);
	return found;
}
