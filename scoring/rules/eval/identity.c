/*
 * identity - collects the identities of a message.
 *
 * Where DNS was asked, a claim that did not verify supports nobody: a DKIM
 * signature counts only when it passed, the envelope sender only when SPF
 * passed it (or its domain publishes nothing). Offline, claims stand as
 * they are written.
 */
#include <ctype.h>
#include <errno.h>

#include "scoring/message/date.h"
#include "scoring/rules/eval/identity.h"

/* Names within one organisation that hand mail on under several domains */
static const char *const same_house[] = {
	"outlook.com", "office365.com", "exchangelabs.com", "microsoft.com",
};

struct span
identity_lower(struct arena *a, struct span s)
{
	char *p = arena_memdup(a, s.ptr, s.len);

	if (p == NULL)
		return span_of(NULL, 0);
	for (size_t i = 0; i < s.len; i++)
		p[i] = (char)tolower((unsigned char)p[i]);
	return span_of(p, s.len);
}

bool
identity_host_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '.' || c == '_' ||
	    (unsigned char)c >= 0x80;
}

static int
add_domain(struct eval_context *ctx, struct identities *ids,
    enum who kind, struct span name)
{
	struct arena *a = eval_input(ctx)->arena;
	struct identity_domains *d = &ids->domains[kind];

	while (name.len > 0 && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || name.len > 253 || d->count >= WHO_MAX_DOMAINS)
		return 0;
	if (d->list == NULL) {
		d->list = ARENA_ARRAY(a, WHO_MAX_DOMAINS,
		    struct identity_domain);
		if (d->list == NULL)
			return -ENOMEM;
	}
	name = identity_lower(a, name);
	if (name.ptr == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < d->count; i++)
		if (span_eq(d->list[i].name, name))
			return 0;
	d->list[d->count++].name = name;
	return 0;
}

struct span
identity_org(struct eval_context *ctx, struct identity_domain *d)
{
	if (d->org.len == 0)
		d->org = eval_org_domain(ctx, d->name);
	if (d->org.len == 0)
		d->org = d->name;
	return d->org;
}

/* ---- mailboxes */

static int
add_mailbox(struct eval_context *ctx, struct identities *ids,
    struct identity_mailboxes *m, enum who kind, struct span part)
{
	struct arena *a = eval_input(ctx)->arena;
	struct identity_mailbox *box;
	struct span name = part, addr = span_of("", 0);
	size_t open = part.len, at;
	bool quoted = false;

	if (span_trim(part).len == 0 || m->count >= WHO_MAX_MAILBOXES)
		return 0;
	if (m->list == NULL) {
		m->list = ARENA_ARRAY(a, WHO_MAX_MAILBOXES,
		    struct identity_mailbox);
		if (m->list == NULL)
			return -ENOMEM;
	}
	for (size_t i = 0; i < part.len; i++)
		if (part.ptr[i] == '\\' && quoted)
			i++;
		else if (part.ptr[i] == '"')
			quoted = !quoted;
		else if (part.ptr[i] == '<' && !quoted)
			open = i;
	if (open < part.len) {
		size_t close = span_find(span_from(part, open), '>');

		name = span_of(part.ptr, open);
		addr = span_trim(span_of(part.ptr + open + 1,
		    close > 0 ? close - 1 : 0));
		if (open + 1 + addr.len > part.len)
			addr = span_trim(span_from(part, open + 1));
	} else {
		/* the word that holds an "@" */
		at = span_find(part, '@');
		if (at < part.len) {
			size_t from = at, to = at;

			while (from > 0 && !span_is_wsp(part.ptr[from - 1]) &&
			    part.ptr[from - 1] != '(')
				from--;
			while (to < part.len && !span_is_wsp(part.ptr[to]) &&
			    part.ptr[to] != ')')
				to++;
			addr = span_of(part.ptr + from, to - from);
			name = span_from(part, to);
		}
	}
	name = text_decode_words(a, span_trim(name));
	if (name.ptr == NULL)
		return -ENOMEM;
	while (name.len > 0 && (name.ptr[0] == '"' || name.ptr[0] == ' '))
		name = span_from(name, 1);
	while (name.len > 0 && (name.ptr[name.len - 1] == '"' ||
	    name.ptr[name.len - 1] == ' '))
		name.len--;
	box = &m->list[m->count++];
	box->name = name;
	box->addr = identity_lower(a, addr);
	if (box->addr.ptr == NULL)
		return -ENOMEM;
	at = box->addr.len;
	while (at > 0 && box->addr.ptr[at - 1] != '@')
		at--;
	if (at > 0) {
		box->local = span_of(box->addr.ptr, at - 1);
		box->domain = span_from(box->addr, at);
		while (box->domain.len > 0 &&
		    box->domain.ptr[box->domain.len - 1] == '.')
			box->domain.len--;
		return add_domain(ctx, ids, kind, box->domain);
	}
	box->local = box->addr;
	box->domain = span_of("", 0);
	return 0;
}

/* Splits at commas and semicolons outside quotes, brackets, comments. */
static int
add_mailboxes(struct eval_context *ctx, struct identities *ids,
    struct identity_mailboxes *m, enum who kind, const char *field)
{
	const struct message *msg = eval_input(ctx)->message;

	for (size_t n = 0; n < WHO_MAX_FIELDS; n++) {
		struct field *f = message_find(msg, field, n);
		struct span v;
		size_t start = 0, depth = 0;
		bool quoted = false, angle = false;
		int r;

		if (f == NULL)
			break;
		v = field_unfolded(msg, f);
		if (v.ptr == NULL)
			return -ENOMEM;
		for (size_t i = 0; i < v.len; i++) {
			char c = v.ptr[i];

			if (c == '\\' && (quoted || depth > 0))
				i++;
			else if (c == '"' && depth == 0)
				quoted = !quoted;
			else if (quoted)
				continue;
			else if (c == '(')
				depth++;
			else if (c == ')' && depth > 0)
				depth--;
			else if (c == '<')
				angle = true;
			else if (c == '>')
				angle = false;
			else if ((c == ',' || c == ';') && !angle && depth == 0) {
				r = add_mailbox(ctx, ids, m, kind,
				    span_of(v.ptr + start, i - start));
				if (r != 0)
					return r;
				start = i + 1;
			}
		}
		r = add_mailbox(ctx, ids, m, kind, span_from(v, start));
		if (r != 0)
			return r;
	}
	return 0;
}

static bool
addr_spec(struct span s)
{
	size_t at = span_find(s, '@');

	s = span_trim(s);
	at = span_find(s, '@');
	if (at == 0 || at + 1 >= s.len)
		return false;
	for (size_t i = 0; i < at; i++)
		if (span_is_wsp(s.ptr[i]) && s.ptr[0] != '"')
			return false;
	for (size_t i = at + 1; i < s.len; i++)
		if (!identity_host_char(s.ptr[i]) && s.ptr[i] != '[' && s.ptr[i] != ']' &&
		    s.ptr[i] != ':')
			return false;
	return s.ptr[s.len - 1] != '.' && s.ptr[s.len - 1] != '-';
}

/*
 * Faults that no mail program makes, whatever the name: text behind the
 * bracket, an empty or nested bracket, a comma that is no separator, an
 * address that is none. An unquoted "." or "@" in a name is not one: many
 * do it.
 */
static bool
malformed(struct span v)
{
	size_t part = 0, addresses = 0, depth = 0, open = 0;
	bool quoted = false, angle = false, closed = false;

	v = span_trim(v);
	if (v.len == 0)
		return false;
	for (size_t i = 0; i <= v.len; i++) {
		char c = i < v.len ? v.ptr[i] : ',';

		if (i < v.len && c == '\\' && (quoted || depth > 0)) {
			i++;
		} else if (c == '"' && depth == 0 && !angle) {
			quoted = !quoted;
		} else if (quoted && i < v.len) {
			continue;
		} else if (c == '(' && !angle) {
			depth++;
		} else if (c == ')' && depth > 0) {
			depth--;
		} else if (depth > 0 && i < v.len) {
			continue;
		} else if (c == '<') {
			if (angle || closed)
				return true;
			angle = true;
			open = i;
		} else if (c == '>' && angle) {
			if (!addr_spec(span_of(v.ptr + open + 1, i - open - 1)))
				return true;
			angle = false;
			closed = true;
			addresses++;
		} else if ((c == ',' || c == ';') && !angle) {
			struct span s = span_trim(span_of(v.ptr + part, i - part));

			if (s.len > 0 && !closed) {
				if (!addr_spec(s) && span_find(s, '@') == s.len)
					return true; /* a name without address */
				addresses++;
			}
			part = i + 1;
			closed = false;
		} else if (closed && !span_is_wsp(c)) {
			return true;
		}
	}
	return angle || addresses == 0;
}

/* ---- other fields */

static int
add_message_id(struct eval_context *ctx, struct identities *ids)
{
	const struct message *m = eval_input(ctx)->message;
	struct field *f = message_find(m, "Message-ID", 0);
	struct span v;
	size_t at;

	if (f == NULL)
		return 0;
	v = field_unfolded(m, f);
	if (v.ptr == NULL)
		return -ENOMEM;
	v = span_trim(v);
	for (at = v.len; at > 0 && v.ptr[at - 1] != '@'; at--)
		;
	if (at == 0)
		return 0;
	v = span_from(v, at);
	v.len = span_find(v, '>');
	v = span_trim(v);
	if (v.len > 1 && v.ptr[0] == '[' && v.ptr[v.len - 1] == ']')
		v = span_of(v.ptr + 1, v.len - 2);
	return add_domain(ctx, ids, WHO_MESSAGE_ID, v);
}

/* The d= tag of a tag list (RFC 6376 3.2) */
static struct span
sdid(struct span v)
{
	while (v.len > 0) {
		size_t n = span_find(v, ';');
		struct span tag = span_trim(span_of(v.ptr, n));

		if (tag.len > 1 && (tag.ptr[0] == 'd' || tag.ptr[0] == 'D')) {
			struct span rest = span_trim(span_from(tag, 1));

			if (rest.len > 1 && rest.ptr[0] == '=')
				return span_trim(span_from(rest, 1));
		}
		v = span_from(v, n + 1);
	}
	return span_of("", 0);
}

static bool
disproved(const struct evidence *e, struct span domain)
{
	bool failed = false;

	for (size_t i = 0; i < e->dkim_count; i++) {
		const struct dkim_evidence *d = &e->dkim[i];

		if (d->domain == NULL || !span_ieq(span_cstr(d->domain), domain))
			continue;
		if (d->check.state != CHECK_DONE || d->result == AUTH_PASS)
			return false;
		failed = true;
	}
	return failed;
}

static int
add_signers(struct eval_context *ctx, struct identities *ids)
{
	const struct message *m = eval_input(ctx)->message;
	int r = 0;

	for (size_t n = 0; r == 0 && n < WHO_MAX_FIELDS; n++) {
		struct field *f = message_find(m, "DKIM-Signature", n);
		struct span v;

		if (f == NULL)
			break;
		v = field_unfolded(m, f);
		if (v.ptr == NULL)
			return -ENOMEM;
		v = sdid(v);
		if (!disproved(eval_input(ctx)->evidence, v))
			r = add_domain(ctx, ids, WHO_DKIM, v);
	}
	return r;
}

/* Hosts behind "://" and "mailto:...@" */
static int
add_hosts(struct eval_context *ctx, struct identities *ids,
    enum who kind, const char *field)
{
	const struct message *m = eval_input(ctx)->message;
	struct field *f = message_find(m, field, 0);
	struct span v;
	int r = 0;

	if (f == NULL)
		return 0;
	v = field_unfolded(m, f);
	if (v.ptr != NULL)
		v = text_decode_words(m->arena, v);
	if (v.ptr == NULL)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < v.len; i++) {
		size_t n = 0;

		if (v.ptr[i] == '@')
			i++;
		else if (i + 3 < v.len && memcmp(v.ptr + i, "://", 3) == 0)
			i += 3;
		else
			continue;
		while (i + n < v.len && identity_host_char(v.ptr[i + n]))
			n++;
		if (n > 0 && !(i + n < v.len && v.ptr[i + n] == '@'))
			r = add_domain(ctx, ids, kind, span_of(v.ptr + i, n));
	}
	return r;
}

static int
add_list_id(struct eval_context *ctx, struct identities *ids)
{
	const struct message *m = eval_input(ctx)->message;
	struct field *f = message_find(m, "List-Id", 0);
	struct span v;
	size_t open;

	if (f == NULL)
		return 0;
	v = field_unfolded(m, f);
	if (v.ptr == NULL)
		return -ENOMEM;
	open = span_find(v, '<');
	if (open >= v.len)
		return 0;
	v = span_from(v, open + 1);
	v.len = span_find(v, '>');
	return add_domain(ctx, ids, WHO_LIST, span_trim(v));
}

static int
add_mail_from(struct eval_context *ctx, struct identities *ids)
{
	const struct envelope *env = eval_input(ctx)->envelope;
	const struct spf_evidence *spf = &eval_input(ctx)->evidence->spf_mailfrom;
	const char *at = env->mail_from != NULL ? strrchr(env->mail_from, '@') : NULL;

	if (spf->check.state == CHECK_DONE)
		ids->mail_from_disowned = spf->result == AUTH_FAIL ||
		    spf->result == AUTH_SOFTFAIL || spf->result == AUTH_PERMERROR;
	return at != NULL ?
	    add_domain(ctx, ids, WHO_MAIL_FROM, span_cstr(at + 1)) : 0;
}

/* ---- the hop into the receiving organisation */

static bool
is_house(struct span org)
{
	for (size_t i = 0; i < sizeof(same_house) / sizeof(same_house[0]); i++)
		if (span_is(org, same_house[i]))
			return true;
	return false;
}

static bool
same_organisation(struct eval_context *ctx, const char *from, const char *by)
{
	struct span f, b;

	if (from == NULL || by == NULL || *from == '\0' || *by == '\0')
		return false;
	f = eval_org_domain(ctx, span_cstr(from));
	b = eval_org_domain(ctx, span_cstr(by));
	return f.len > 0 && (span_ieq(f, b) || (is_house(f) && is_house(b)));
}

static bool
host_name(const char *s)
{
	struct span name = span_cstr(s);
	struct netaddr ip;

	if (name.len == 0 || name.ptr[0] == '[' || netaddr_parse(name, &ip) ||
	    span_find(name, '.') == name.len)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!identity_host_char(name.ptr[i]))
			return false;
	return true;
}

static bool
contains(struct span s, const char *word)
{
	return s.len > 0 && memmem(s.ptr, s.len, word, strlen(word)) != NULL;
}

/* What the hop's own field says; other MTAs say neither. */
static void
read_entry_field(struct identities *ids, struct span v)
{
	/* Postfix, sendmail, qmail */
	ids->entry_nameless = contains(v, "(unknown [") ||
	    contains(v, "from unknown (HELO") || contains(v, "(may be forged)");
	/* sendmail's ([192.0.2.1]); others write a port there and look no
	 * name up */
	for (size_t i = 0; !ids->entry_nameless && i + 3 < v.len; i++)
		if (v.ptr[i] == ' ' && v.ptr[i + 1] == '(' &&
		    v.ptr[i + 2] == '[') {
			size_t n = i + 3 + span_find(span_from(v, i + 3), ']');

			ids->entry_nameless = n + 1 < v.len &&
			    v.ptr[n + 1] == ')' &&
			    isdigit((unsigned char)v.ptr[i + 3]);
		}
	ids->entry_no_tls = (contains(v, " with ESMTP ") ||
	    contains(v, " with SMTP ") || contains(v, " with esmtp ") ||
	    contains(v, " with smtp ") ||
	    contains(v, " with Microsoft SMTP Server id ")) &&
	    !contains(v, "TLS") && !contains(v, "cipher") &&
	    !contains(v, "SSL") && !contains(v, "HTTPS");
}

static int
add_entry(struct eval_context *ctx, struct identities *ids)
{
	const struct rule_input *in = eval_input(ctx);
	const struct relays *relays = in->relays;
	/* the client is known, though no Received field tells of it yet */
	bool smtp = in->envelope->source == ENVELOPE_SMTP ||
	    (in->envelope->source == ENVELOPE_OPTIONS &&
		in->envelope->client_ip.family != 0);
	int r;

	ids->relayed = smtp || message_find(in->message, "Received", 0) != NULL;
	if (smtp) {
		ids->entry_time = in->evidence->now;
		ids->has_entry_time = ids->entry_time > 0;
	}
	for (size_t i = 0; relays != NULL && i < relays->count; i++) {
		const struct received_hop *h = &relays->hops[i];
		struct field *f;
		struct span v;

		/* a relay of ours hands on what others handed in */
		if (h->ignored || !h->parsed || h->trusted)
			continue;
		if (h->ip.family != 0 && netaddr_is_private(&h->ip))
			continue;
		if (same_organisation(ctx, h->helo, h->by) ||
		    same_organisation(ctx, h->rdns, h->by))
			continue;
		if (i == 0 && smtp) {
			ids->entry_nameless = h->rdns == NULL || *h->rdns == '\0';
			ids->entry_no_tls = in->envelope->source ==
			    ENVELOPE_SMTP && !in->envelope->tls;
		} else if (h->field_index < in->message->field_count) {
			f = &in->message->fields[h->field_index];
			v = field_unfolded(in->message, f);
			if (v.ptr == NULL)
				return -ENOMEM;
			read_entry_field(ids, v);
			for (size_t k = v.len; !ids->has_entry_time && k > 0; k--)
				if (v.ptr[k - 1] == ';') {
					ids->has_entry_time = date_parse(
					    span_from(v, k), &ids->entry_time);
					break;
				}
		}
		if (h->helo != NULL && host_name(h->helo)) {
			r = add_domain(ctx, ids, WHO_ENTRY_HELO,
			    span_cstr(h->helo));
			if (r != 0)
				return r;
		}
		if (h->rdns != NULL && host_name(h->rdns)) {
			r = add_domain(ctx, ids, WHO_ENTRY_RDNS,
			    span_cstr(h->rdns));
			if (r != 0)
				return r;
		}
		break;
	}
	return 0;
}

struct identities *
identity_get(struct eval_context *ctx)
{
	void **cache = eval_cache(ctx);
	const struct message *m = eval_input(ctx)->message;
	struct identities *ids = *cache;
	struct field *f;

	if (ids != NULL)
		return ids;
	ids = ARENA_NEW(eval_input(ctx)->arena, struct identities);
	if (ids == NULL)
		return NULL;
	if (add_mailboxes(ctx, ids, &ids->from, WHO_FROM, "From") != 0 ||
	    add_mailboxes(ctx, ids, &ids->reply_to, WHO_REPLY_TO,
		"Reply-To") != 0 ||
	    add_mailboxes(ctx, ids, &ids->sender, WHO_SENDER, "Sender") != 0 ||
	    add_mailboxes(ctx, ids, &ids->to, WHO_TO, "To") != 0 ||
	    add_mailboxes(ctx, ids, &ids->to, WHO_TO, "Cc") != 0 ||
	    add_message_id(ctx, ids) != 0 || add_signers(ctx, ids) != 0 ||
	    add_hosts(ctx, ids, WHO_UNSUBSCRIBE, "List-Unsubscribe") != 0 ||
	    add_list_id(ctx, ids) != 0 || add_mail_from(ctx, ids) != 0 ||
	    add_entry(ctx, ids) != 0)
		return NULL;
	f = message_find(m, "From", 0);
	if (f != NULL) {
		struct span v = field_unfolded(m, f);

		if (v.ptr == NULL)
			return NULL;
		ids->from_malformed = malformed(v);
	}
	f = message_find(m, "Subject", 0);
	ids->subject = f != NULL ? field_decoded(m, f) : span_of("", 0);
	if (ids->subject.ptr == NULL)
		return NULL;
	*cache = ids;
	return ids;
}

