/*
 * Who a message authenticated as: the identities that earn and spend
 * reputation for it. What is only claimed (a From without an aligned pass, a
 * HELO without FCrDNS) is nobody.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "scoring/gather.h"

enum {
	MAX_IDENTITIES = 16,
	MAX_OTHER_SIGNERS = 3, /* a spammer can sign for any number of domains */
	MAX_DOMAIN = 253,
};

struct list {
	struct identity *ids;
	size_t count;
	struct arena *arena;
	bool no_memory;
};

/* Lower case, printable, bounded; anything else is nobody's name. */
static bool
clean_key(const char *s, size_t n, char out[IDENTITY_KEY_BYTES])
{
	if (n == 0 || n >= IDENTITY_KEY_BYTES)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c <= 0x20 || c == 0x7F)
			return false;
		out[i] = c < 0x80 ? (char)tolower(c) : (char)c;
	}
	out[n] = '\0';
	return true;
}

static void
add_key(struct list *l, enum identity_kind kind, const char *s, size_t n)
{
	char key[IDENTITY_KEY_BYTES];

	if (l->count >= MAX_IDENTITIES || !clean_key(s, n, key))
		return;
	for (size_t i = 0; i < l->count; i++)
		if (l->ids[i].kind == kind && strcmp(l->ids[i].key, key) == 0)
			return;
	l->ids[l->count].kind = kind;
	l->ids[l->count].key = arena_strdup(l->arena, key);
	if (l->ids[l->count].key == NULL)
		l->no_memory = true;
	else
		l->count++;
}

/* The domain, then its organisational domain, to which it backs off. */
static void
add_domain(struct list *l, struct auth_context *auth, enum identity_kind kind,
    const char *domain)
{
	struct span d = span_cstr(domain);
	char org[256];

	if (d.len > 0 && d.ptr[d.len - 1] == '.')
		d.len--;
	if (d.len == 0 || d.len > MAX_DOMAIN)
		return;
	add_key(l, kind, d.ptr, d.len);
	if (auth != NULL && auth_organisational_domain(auth, d, org))
		add_key(l, kind, org, strlen(org));
}

static bool
same_organisation(struct auth_context *auth, struct span a, struct span b)
{
	char x[256], y[256];

	if (span_ieq(a, b))
		return true;
	return auth != NULL && auth_organisational_domain(auth, a, x) &&
	    auth_organisational_domain(auth, b, y) && strcmp(x, y) == 0;
}

static bool
dkim_passed(const struct dkim_evidence *d)
{
	return d->check.state == CHECK_DONE && d->result == AUTH_PASS &&
	    d->accountable && d->domain != NULL;
}

static bool
spf_passed(const struct spf_evidence *s)
{
	return s->check.state == CHECK_DONE && s->result == AUTH_PASS &&
	    s->domain != NULL;
}

/* The one author address; two From fields are nobody's. */
static struct span
author_of(struct message *m, struct arena *a)
{
	struct field *f = message_find(m, "From", 0);
	struct span decoded;

	if (f == NULL || message_count(m, "From") != 1)
		return span_of(NULL, 0);
	decoded = field_decoded(m, f);
	if (decoded.ptr == NULL)
		return span_of(NULL, 0);
	return address_first_addr(a, decoded);
}

static struct span
domain_of(struct span address)
{
	for (size_t i = address.len; i > 0; i--)
		if (address.ptr[i - 1] == '@')
			return span_from(address, i);
	return span_of(NULL, 0);
}

const char *
gather_author(struct auth_context *auth, const struct evidence *e,
    struct message *m, struct arena *a)
{
	struct span author = author_of(m, a), domain = domain_of(author);
	char key[IDENTITY_KEY_BYTES];
	bool aligned = false;

	if (domain.len == 0 || domain.len == author.len ||
	    !clean_key(author.ptr, author.len, key))
		return NULL;
	for (size_t i = 0; i < e->dkim_count && !aligned; i++)
		aligned = dkim_passed(&e->dkim[i]) && e->dkim[i].aligned;
	if (!aligned && spf_passed(&e->spf_mailfrom))
		aligned = same_organisation(auth, domain,
		    span_cstr(e->spf_mailfrom.domain));
	return aligned ? arena_strdup(a, key) : NULL;
}

static void
add_signers(struct list *l, struct auth_context *auth,
    const struct evidence *e, bool aligned)
{
	size_t taken = 0;

	for (size_t i = 0; i < e->dkim_count; i++) {
		const struct dkim_evidence *d = &e->dkim[i];

		if (!dkim_passed(d) || d->aligned != aligned ||
		    taken >= MAX_OTHER_SIGNERS)
			continue;
		add_domain(l, auth, aligned ? IDENTITY_DKIM_ALIGNED :
		    IDENTITY_DKIM, d->domain);
		taken++;
	}
}

static void
add_helo(struct list *l, struct auth_context *auth, const struct evidence *e,
    const struct envelope *envelope)
{
	const struct helo_evidence *h = &e->helo;

	if (envelope->helo == NULL || h->check.state != CHECK_DONE ||
	    !h->matches_client || h->is_us || h->literal ||
	    e->iprev.check.state != CHECK_DONE || e->iprev.result != AUTH_PASS ||
	    e->iprev.name == NULL ||
	    !same_organisation(auth, span_cstr(envelope->helo),
		span_cstr(e->iprev.name)))
		return;
	add_key(l, IDENTITY_HELO, envelope->helo, strlen(envelope->helo));
}

static void
add_client(struct list *l, const struct netaddr *ip)
{
	char text[NETADDR_TEXT];
	struct network n;

	/* our own networks are everybody's neighbours */
	if (ip->family == 0 || netaddr_is_private(ip) || netaddr_is_loopback(ip))
		return;
	if (ip->family == 4) {
		netaddr_format(ip, text);
	} else {
		n = network_of(ip, 64);
		network_format(&n, text);
	}
	add_key(l, IDENTITY_IP, text, strlen(text));
	n = network_of(ip, ip->family == 4 ? 24 : 48);
	network_format(&n, text);
	add_key(l, IDENTITY_NET, text, strlen(text));
}

int
gather_identities(struct auth_context *auth, const struct evidence *e,
    const struct envelope *envelope, struct message *m, struct arena *a,
    struct identity **ret_ids, size_t *ret_count)
{
	struct list l = { .arena = a };
	const char *author;

	l.ids = ARENA_ARRAY(a, MAX_IDENTITIES, struct identity);
	if (l.ids == NULL)
		return -ENOMEM;
	author = gather_author(auth, e, m, a);
	if (author != NULL)
		add_key(&l, IDENTITY_ADDRESS, author, strlen(author));
	add_signers(&l, auth, e, true);
	if (spf_passed(&e->spf_mailfrom))
		add_domain(&l, auth, IDENTITY_SPF, e->spf_mailfrom.domain);
	add_helo(&l, auth, e, envelope);
	add_client(&l, &envelope->client_ip);
	add_signers(&l, auth, e, false);
	if (l.no_memory)
		return -ENOMEM;
	*ret_ids = l.ids;
	*ret_count = l.count;
	return 0;
}

/* Lower case copy; a control character or '|' must not shift the parts. */
static char *
key_part(struct arena *a, const char *s)
{
	char *copy = arena_strdup(a, s != NULL ? s : "");

	for (char *p = copy; p != NULL && *p != '\0'; p++) {
		if ((unsigned char)*p < 0x80)
			*p = (char)tolower((unsigned char)*p);
		if (*p == '|' || (unsigned char)*p < 0x20)
			*p = '?';
	}
	return copy;
}

const char *
gather_greylist_key(const struct evidence *e, const struct envelope *envelope,
    struct arena *a)
{
	const char *domain = NULL, *recipient = NULL;
	char client[NETADDR_TEXT] = "-", *who, *to, *from;

	/* A retry may be for fewer recipients; the least in order is most
	 * often among them again. */
	for (size_t i = 0; i < envelope->rcpt_count; i++)
		if (recipient == NULL ||
		    strcasecmp(envelope->rcpt_to[i], recipient) < 0)
			recipient = envelope->rcpt_to[i];
	for (size_t i = 0; i < e->dkim_count && domain == NULL; i++)
		if (dkim_passed(&e->dkim[i]) && e->dkim[i].aligned)
			domain = e->dkim[i].domain;
	if (domain == NULL && spf_passed(&e->spf_mailfrom))
		domain = e->spf_mailfrom.domain;
	to = key_part(a, recipient);
	if (to == NULL)
		return NULL;
	if (domain != NULL) {
		who = key_part(a, domain);
		return who != NULL ? arena_printf(a, "d|%s|%s", who, to) : NULL;
	}
	if (envelope->client_ip.family != 0) {
		struct network n = network_of(&envelope->client_ip,
		    envelope->client_ip.family == 4 ? 24 : 64);

		network_format(&n, client);
	}
	from = key_part(a, envelope->mail_from);
	return from != NULL ? arena_printf(a, "c|%s|%s|%s", client, from, to) :
	    NULL;
}
