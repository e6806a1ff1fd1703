/*
 * identity - relations between the identities of a message (own words).
 *
 * Where DNS was asked, a claim that did not verify supports nobody: a DKIM
 * signature counts only when it passed, the envelope sender only when SPF
 * passed it (or its domain publishes nothing). Offline, claims stand as
 * they are written.
 */
#include <ctype.h>
#include <errno.h>
#include <libpsl.h>

#include "scoring/message/date.h"
#include "scoring/rules/eval/identity.h"

enum { HOUR_SEC = 3600 };

/* Names within one organisation that hand mail on under several domains */
static const char *const same_house[] = {
	"outlook.com", "office365.com", "exchangelabs.com", "microsoft.com",
};

/* Is this top level (or suffix) one that the public suffix list has? */
static bool
known_suffix(struct span suffix)
{
	const psl_ctx_t *psl = psl_builtin();
	char name[80];

	if (psl == NULL)
		return true;
	if (suffix.len == 0 || suffix.len >= sizeof(name))
		return false;
	for (size_t i = 0; i < suffix.len; i++)
		name[i] = (char)tolower((unsigned char)suffix.ptr[i]);
	name[suffix.len] = '\0';
	return psl_is_public_suffix2(psl, name,
	    PSL_TYPE_ANY | PSL_TYPE_NO_STAR_RULE);
}

static struct span
lower(struct arena *a, struct span s)
{
	char *p = arena_memdup(a, s.ptr, s.len);

	if (p == NULL)
		return span_of(NULL, 0);
	for (size_t i = 0; i < s.len; i++)
		p[i] = (char)tolower((unsigned char)p[i]);
	return span_of(p, s.len);
}

static bool
host_char(char c)
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
	name = lower(a, name);
	if (name.ptr == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < d->count; i++)
		if (span_eq(d->list[i].name, name))
			return 0;
	d->list[d->count].name = name;
	d->list[d->count].org = eval_org_domain(ctx, name);
	if (d->list[d->count].org.len == 0)
		d->list[d->count].org = name; /* an address, a bare label */
	d->count++;
	return 0;
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
	box->addr = lower(a, addr);
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
		if (!host_char(s.ptr[i]) && s.ptr[i] != '[' && s.ptr[i] != ']' &&
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
		while (i + n < v.len && host_char(v.ptr[i + n]))
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
		if (!host_char(name.ptr[i]))
			return false;
	return true;
}

static int
add_entry(struct eval_context *ctx, struct identities *ids)
{
	const struct rule_input *in = eval_input(ctx);
	const struct relays *relays = in->relays;
	bool smtp = in->envelope->source == ENVELOPE_SMTP;
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

		if (h->ignored || !h->parsed)
			continue;
		if (h->ip.family != 0 && netaddr_is_private(&h->ip))
			continue;
		if (same_organisation(ctx, h->helo, h->by) ||
		    same_organisation(ctx, h->rdns, h->by))
			continue;
		if (!ids->has_entry_time && h->field_index < in->message->field_count) {
			f = &in->message->fields[h->field_index];
			v = field_unfolded(in->message, f);
			if (v.ptr == NULL)
				return -ENOMEM;
			for (size_t k = v.len; k > 0; k--)
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

/* ---- evals */

static const char *const kind_names[WHO_KINDS] = {
	"from", "reply_to", "sender", "to", "mail_from", "message_id", "dkim",
	"unsubscribe", "list", "entry_helo", "entry_rdns",
};

static enum who
kind_of(struct span name)
{
	enum who k = 0;

	while (k < WHO_KINDS && !span_is(name, kind_names[k]))
		k++;
	return k;
}

static int
prepare_kinds(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	for (size_t i = 0; i < call->arg_count; i++)
		if (kind_of(call->args[i]) == WHO_KINDS)
			eval_error(l, call->file, call->line,
			    "%s: no identity \"%.*s\"", call->function->name,
			    SPAN_ARG(call->args[i]));
	return 0;
}

static const struct identity_domain *
shared(const struct identity_domains *a, const struct identity_domains *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t k = 0; k < b->count; k++)
			if (span_eq(a->list[i].org, b->list[k].org))
				return &b->list[k];
	return NULL;
}

static int
run_related(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	enum who a = kind_of(call->args[0]), b = kind_of(call->args[1]);
	const struct identities *ids = identity_get(ctx);
	const struct identity_domain *d;

	if (ids == NULL)
		return -ENOMEM;
	if (ids->mail_from_disowned &&
	    (a == WHO_MAIL_FROM || b == WHO_MAIL_FROM))
		return 0;
	d = shared(&ids->domains[a], &ids->domains[b]);
	r->count = d != NULL;
	if (d != NULL)
		r->matched = d->name;
	return 0;
}

static int
run_unrelated(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	enum who a = kind_of(call->args[0]), b = kind_of(call->args[1]);
	const struct identities *ids = identity_get(ctx);

	if (ids == NULL)
		return -ENOMEM;
	if (ids->domains[a].count > 0 && ids->domains[b].count > 0 &&
	    shared(&ids->domains[a], &ids->domains[b]) == NULL) {
		r->count = 1;
		r->matched = ids->domains[b].list[0].name;
	}
	return 0;
}

/* Ends of names that mean "only here" (RFC 6762, 8375, 2606, and habit) */
static bool
local_name(struct span label)
{
	static const char *const words[] = {
		"local", "localdomain", "lan", "internal", "home", "intranet",
		"private", "corp", "invalid", "test", "example", "localhost",
		"arpa", "onion", "domain", "mail",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (span_iis(label, words[i]))
			return true;
	return false;
}

static struct span
last_label(struct span name)
{
	size_t at = name.len;

	while (at > 0 && name.ptr[at - 1] != '.')
		at--;
	return span_from(name, at);
}

static int
run_each(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r, bool (*test)(struct eval_context *, struct identity_domain *))
{
	const struct identities *ids = identity_get(ctx);
	const struct identity_domains *d;

	if (ids == NULL)
		return -ENOMEM;
	d = &ids->domains[kind_of(call->args[0])];
	for (size_t i = 0; i < d->count && r->count == 0; i++)
		if (test(ctx, &d->list[i])) {
			r->count = 1;
			r->matched = d->list[i].name;
		}
	return 0;
}

static bool
present(struct eval_context *ctx, struct identity_domain *d)
{
	(void)ctx;
	return d->name.len > 0;
}

/* Its top level exists nowhere and is no local convention. */
static bool
tld_unknown(struct eval_context *ctx, struct identity_domain *d)
{
	struct span tld = last_label(d->name);
	struct netaddr ip;

	if (tld.len == d->name.len || tld.len == 0 || tld.len > 63 ||
	    local_name(tld) || netaddr_parse(d->name, &ip))
		return false;
	for (size_t i = 0; i < tld.len; i++)
		if (!isalnum((unsigned char)tld.ptr[i]) && tld.ptr[i] != '-')
			return true;
	(void)ctx;
	return !known_suffix(tld);
}

static bool
single_label(struct eval_context *ctx, struct identity_domain *d)
{
	(void)ctx;
	return span_find(d->name, '.') == d->name.len;
}

static bool
random_name(struct eval_context *ctx, struct identity_domain *d)
{
	(void)ctx;
	return identity_random_label(span_of(d->org.ptr, span_find(d->org, '.')));
}

static int
run_present(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return run_each(ctx, call, r, present);
}

static int
run_tld_unknown(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return run_each(ctx, call, r, tld_unknown);
}

static int
run_single_label(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return run_each(ctx, call, r, single_label);
}

static int
run_random(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	return run_each(ctx, call, r, random_name);
}

static const struct identity_mailboxes *
boxes(const struct identities *ids, struct span name)
{
	switch (kind_of(name)) {
	case WHO_FROM: return &ids->from;
	case WHO_REPLY_TO: return &ids->reply_to;
	case WHO_SENDER: return &ids->sender;
	case WHO_TO: return &ids->to;
	default: return NULL;
	}
}

static int
prepare_boxes(struct eval_loader *l, void *state, struct eval_call *call)
{
	static const struct identities none;
	size_t names = span_is(span_cstr(call->function->name),
	    "identity_mailboxes") ? 1 : call->arg_count;

	(void)state;
	for (size_t i = 0; i < names; i++)
		if (boxes(&none, call->args[i]) == NULL)
			eval_error(l, call->file, call->line,
			    "%s: \"%.*s\" holds no mailboxes",
			    call->function->name, SPAN_ARG(call->args[i]));
	return 0;
}

static int
run_same_address(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);
	const struct identity_mailboxes *a, *b;

	if (ids == NULL)
		return -ENOMEM;
	a = boxes(ids, call->args[0]);
	b = boxes(ids, call->args[1]);
	for (size_t i = 0; i < a->count && r->count == 0; i++)
		for (size_t k = 0; k < b->count; k++)
			if (a->list[i].domain.len > 0 &&
			    span_eq(a->list[i].addr, b->list[k].addr)) {
				r->count = 1;
				r->matched = a->list[i].addr;
				break;
			}
	return 0;
}

static int
run_mailboxes(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);
	const struct identity_mailboxes *m;
	long long want = 0, count = 0;

	if (ids == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < call->args[1].len && want < 1000; i++)
		want = want * 10 + (call->args[1].ptr[i] - '0');
	m = boxes(ids, call->args[0]);
	for (size_t i = 0; i < m->count; i++)
		count += m->list[i].domain.len > 0;
	r->count = count >= want;
	return 0;
}

static int
run_malformed(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);

	(void)call;
	if (ids == NULL)
		return -ENOMEM;
	r->count = ids->from_malformed;
	return 0;
}

/* Does host share an organisation with the author? */
static bool
of_author(struct eval_context *ctx, const struct identities *ids, struct span host)
{
	const struct identity_domains *d = &ids->domains[WHO_FROM];
	struct span name = lower(eval_input(ctx)->arena, host), org;

	if (name.ptr == NULL)
		return true;
	org = eval_org_domain(ctx, name);
	for (size_t i = 0; i < d->count; i++)
		if (span_eq(d->list[i].org, org) || span_eq(d->list[i].name, name))
			return true;
	return false;
}

/* user@host of another organisation inside the display name */
static int
run_name_address(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);

	(void)call;
	if (ids == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ids->from.count && i < 4; i++) {
		struct span n = ids->from.list[i].name;

		for (size_t k = 1; k < n.len && k < WHO_MAX_TEXT; k++) {
			size_t len = 0;
			struct span host;

			if (n.ptr[k] != '@' || !host_char(n.ptr[k - 1]))
				continue;
			while (k + 1 + len < n.len && host_char(n.ptr[k + 1 + len]))
				len++;
			host = span_of(n.ptr + k + 1, len);
			while (host.len > 0 && host.ptr[host.len - 1] == '.')
				host.len--;
			if (span_find(host, '.') < host.len &&
			    known_suffix(last_label(host)) &&
			    !of_author(ctx, ids, host)) {
				r->count = 1;
				r->matched = n;
			}
		}
	}
	return 0;
}

/* A bare domain name of another organisation inside the display name; only
 * under top levels that are no words ("Dr.Who", "Inc.Team") */
static int
run_name_domain(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	static const char *const tops[] = {
		"com", "net", "org", "info", "uk", "de", "fr", "es", "nl", "pl",
		"ch", "br", "ru", "eu", "gov", "edu", "biz", "io", "app",
	};
	const struct identities *ids = identity_get(ctx);

	(void)call;
	if (ids == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ids->from.count && i < 4; i++) {
		struct span n = ids->from.list[i].name;

		for (size_t k = 0; k < n.len && k < WHO_MAX_TEXT; k++) {
			size_t len = 0;
			struct span host;
			bool top = false;

			if (!host_char(n.ptr[k]))
				continue;
			while (k + len < n.len && host_char(n.ptr[k + len]))
				len++;
			host = span_of(n.ptr + k, len);
			while (host.len > 0 && host.ptr[host.len - 1] == '.')
				host.len--;
			for (size_t t = 0; t < sizeof(tops) / sizeof(tops[0]); t++)
				top = top || span_iis(last_label(host), tops[t]);
			if (top && span_find(host, '.') < host.len &&
			    host.ptr[0] != '.' &&
			    !(k > 0 && n.ptr[k - 1] == '@') &&
			    !(k + len < n.len && n.ptr[k + len] == '@') &&
			    !of_author(ctx, ids, host)) {
				r->count = 1;
				r->matched = host;
			}
			k += len;
		}
	}
	return 0;
}

static int
run_mixed(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);
	struct span where = span_of("", 0);

	if (ids == NULL)
		return -ENOMEM;
	if (span_is(call->args[0], "subject"))
		r->count = identity_mixed_script(ids->subject, &where);
	else
		for (size_t i = 0; i < ids->from.count && i < 4; i++)
			r->count |= identity_mixed_script(ids->from.list[i].name,
			    &where);
	r->matched = where;
	return 0;
}

static int
prepare_mixed(struct eval_loader *l, void *state, struct eval_call *call)
{
	(void)state;
	if (!span_is(call->args[0], "subject") &&
	    !span_is(call->args[0], "from_name"))
		eval_error(l, call->file, call->line,
		    "identity_mixed_script: \"subject\" or \"from_name\"");
	return 0;
}

/* A whole number of hours, "inf" or "-inf" */
static bool
hours(struct span s, int64_t *ret)
{
	bool minus = s.len > 0 && s.ptr[0] == '-';
	int64_t n = 0;

	if (minus)
		s = span_from(s, 1);
	if (span_is(s, "inf")) {
		*ret = minus ? INT64_MIN : INT64_MAX;
		return true;
	}
	if (s.len == 0 || s.len > 9)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		n = n * 10 + (s.ptr[i] - '0');
	}
	*ret = (minus ? -n : n) * HOUR_SEC;
	return true;
}

static int
prepare_gap(struct eval_loader *l, void *state, struct eval_call *call)
{
	int64_t a, b;

	(void)state;
	if (!hours(call->args[0], &a) || !hours(call->args[1], &b) || a >= b)
		eval_error(l, call->file, call->line,
		    "identity_date_gap: two numbers of hours, the smaller first");
	return 0;
}

static int
run_gap(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);
	const struct message *m = eval_input(ctx)->message;
	struct field *f = message_find(m, "Date", 0);
	int64_t low, high, date, gap;
	struct span v;

	if (ids == NULL)
		return -ENOMEM;
	if (f == NULL || !ids->has_entry_time || !hours(call->args[0], &low) ||
	    !hours(call->args[1], &high))
		return 0;
	v = field_unfolded(m, f);
	if (v.ptr == NULL)
		return -ENOMEM;
	if (!date_parse(v, &date) ||
	    __builtin_sub_overflow(date, ids->entry_time, &gap))
		return 0;
	if (gap >= low && gap < high) {
		r->count = 1;
		r->matched = v;
		r->offset = f->value_offset;
		r->target = "Date";
	}
	return 0;
}

static int
run_relayed(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct identities *ids = identity_get(ctx);

	(void)call;
	if (ids == NULL)
		return -ENOMEM;
	r->count = ids->relayed;
	return 0;
}

static const struct eval_function functions[] = {
	{ "identity_related", EVAL_HEADER, "ss", run_related, prepare_kinds, NULL },
	{ "identity_unrelated", EVAL_HEADER, "ss", run_unrelated, prepare_kinds, NULL },
	{ "identity_present", EVAL_HEADER, "s", run_present, prepare_kinds, NULL },
	{ "identity_tld_unknown", EVAL_HEADER, "s", run_tld_unknown, prepare_kinds, NULL },
	{ "identity_single_label", EVAL_HEADER, "s", run_single_label, prepare_kinds, NULL },
	{ "identity_random", EVAL_HEADER, "s", run_random, prepare_kinds, NULL },
	{ "identity_same_address", EVAL_HEADER, "ss", run_same_address, prepare_boxes, NULL },
	{ "identity_mailboxes", EVAL_HEADER, "sn", run_mailboxes, prepare_boxes, NULL },
	{ "identity_malformed", EVAL_HEADER, "", run_malformed, NULL, NULL },
	{ "identity_name_address", EVAL_HEADER, "", run_name_address, NULL, NULL },
	{ "identity_name_domain", EVAL_HEADER, "", run_name_domain, NULL, NULL },
	{ "identity_mixed_script", EVAL_HEADER, "s", run_mixed, prepare_mixed, NULL },
	{ "identity_date_gap", EVAL_HEADER, "ss", run_gap, prepare_gap, NULL },
	{ "identity_relayed", EVAL_HEADER, "", run_relayed, NULL, NULL },
	{ "identity_brand", EVAL_HEADER, "ss", identity_run_brand, identity_prepare_brand, NULL },
	{ "identity_brand_author", EVAL_HEADER, "", identity_run_brand_author, NULL, NULL },
	{ 0 },
};

static const struct eval_directive directives[] = {
	{ "spamscore_brand", DIRECTIVE_LINES, NULL },
	{ 0 },
};

static const char *const features[] = { "has_identity", NULL };

const struct eval_family eval_identity = {
	"Mail::SpamAssassin::Plugin::Spamscore", functions, directives, features,
	identity_load_brands,
};
