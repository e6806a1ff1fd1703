#include <errno.h>

#include "base/buf.h"
#include "scoring/message/received.h"

/* A message does not pass more hosts than that; the rest is not looked at. */
enum { MAX_HOPS = 200, MAX_HOP_TEXT = 64 * 1024 };

struct walk {
	struct message *m;
	const struct relay_networks *nets;
	const struct netset *trusted, *internal;
	bool specified;	   /* networks were given: nothing is inferred */
	bool in_trusted, in_internal, found_msa;
	bool believed;	   /* no field of unknown form so far */
	bool fetch_counts; /* a fetch from a mailbox restarts the path */
	const char *next_sender;
	struct relays *out;
	size_t alloc;
};

static bool
in_set(const struct netset *set, const struct netaddr *ip)
{
	return ip->family != 0 && (netaddr_is_loopback(ip) ||
	    (set != NULL && netset_contains(set, ip)));
}

static void
walk_trust(struct walk *w, struct received_hop *hop)
{
	bool auth = hop->auth[0] != '\0';

	if (!w->in_trusted || w->found_msa)
		return;
	if (!w->specified) {
		if (!hop->ip_private && !auth)
			w->in_trusted = w->in_internal = false;
		return;
	}
	if (!auth && !in_set(w->trusted, &hop->ip)) {
		w->in_trusted = w->in_internal = false;
		return;
	}
	if (w->in_internal && !auth && !in_set(w->internal, &hop->ip))
		w->in_internal = false;
	if (in_set(w->nets->msa, &hop->ip)) {
		w->found_msa = true;
		hop->msa = true;
	}
}

static int
walk_add(struct walk *w, const struct received_hop *hop)
{
	struct relays *out = w->out;
	struct received_hop *h;

	if (out->count == w->alloc) {
		size_t n = w->alloc != 0 ? w->alloc * 2 : 8;
		struct received_hop *bigger = ARENA_ARRAY(w->m->arena, n,
		    struct received_hop);

		if (bigger == NULL)
			return -ENOMEM;
		if (out->count != 0)
			memcpy(bigger, out->hops, out->count * sizeof(*bigger));
		out->hops = bigger;
		w->alloc = n;
	}
	h = &out->hops[out->count];
	*h = *hop;
	if (w->next_sender != NULL && w->next_sender[0] != '\0')
		h->envfrom = w->next_sender;
	w->next_sender = NULL;
	walk_trust(w, h);
	h->trusted = w->in_trusted;
	h->internal = w->in_internal;
	if (h->trusted && w->believed && out->trusted_count == out->count)
		out->trusted_count++;
	if (h->internal && w->believed && out->internal_count == out->count)
		out->internal_count++;
	w->fetch_counts = w->in_trusted;
	if (w->in_trusted)
		out->last_trusted_field++;
	if (w->in_internal)
		out->last_internal_field++;
	out->count++;
	return 0;
}

static int
walk_received(struct walk *w)
{
	struct message *m = w->m;
	struct field *f = message_find(m, "Received", 0);

	for (size_t n = 0; f != NULL && n < MAX_HOPS;
	     f = message_next(m, f), n++) {
		struct span s = field_decoded(m, f);
		struct received_hop hop;
		int rc;

		if (s.ptr == NULL)
			return -ENOMEM;
		rc = received_parse(m->arena, s, &hop);
		if (rc != 0)
			return rc;
		hop.field_index = (size_t)(f - m->fields);
		if (hop.parsed && !hop.ignored) {
			rc = walk_add(w, &hop);
			if (rc != 0)
				return rc;
			continue;
		}
		if (!hop.parsed) {
			w->out->unparseable_count++;
			w->believed = false;
		}
		if (hop.fetched && w->fetch_counts)
			w->out->count = w->out->trusted_count =
			    w->out->internal_count = 0;
		w->next_sender = hop.sender_next ? hop.envfrom : NULL;
		if (w->in_trusted)
			w->out->last_trusted_field++;
		if (w->in_internal)
			w->out->last_internal_field++;
	}
	return 0;
}

/* The first address that stands in s, or an empty span */
static struct span
find_ip(struct span s)
{
	static const char chars[] = "0123456789abcdefABCDEF:.";
	struct netaddr addr;

	for (size_t i = 0; i < s.len;) {
		size_t n = 0;
		struct span word;

		while (i + n < s.len && s.ptr[i + n] != '\0' &&
		    strchr(chars, s.ptr[i + n]) != NULL)
			n++;
		word = span_of(s.ptr + i, n);
		while (word.len > 0 && word.ptr[word.len - 1] == '.')
			word.len--;
		if (word.len >= 2 && netaddr_parse(word, &addr))
			return word;
		i += n + 1;
	}
	return SPAN_LIT("");
}

static int
walk_origins(struct walk *w)
{
	for (size_t i = 0; i < w->nets->origin_field_count; i++) {
		struct field *f = message_find(w->m,
		    w->nets->origin_fields[i], 0), *last = NULL;
		struct received_hop hop;
		struct span ip;
		char text[NETADDR_TEXT];
		int rc;

		for (; f != NULL; f = message_next(w->m, f))
			last = f;
		if (last == NULL)
			continue;
		ip = find_ip(field_decoded(w->m, last));
		if (ip.len == 0)
			continue;
		memset(&hop, 0, sizeof(hop));
		hop.rdns = hop.helo = hop.by = hop.ident = hop.envfrom = hop.id =
		    hop.auth = hop.with = "";
		hop.parsed = hop.rdns_not_in_headers = true;
		hop.field_index = SIZE_MAX;
		netaddr_parse(ip, &hop.ip);
		/* a mapped address is written as the IPv4 one it is */
		hop.ip_text = hop.ip.family == 4 ?
		    arena_strdup(w->m->arena, netaddr_format(&hop.ip, text)) :
		    arena_printf(w->m->arena, "%.*s", SPAN_ARG(ip));
		if (hop.ip_text == NULL)
			return -ENOMEM;
		hop.ip_private = received_ip_is_private(&hop.ip);
		rc = walk_add(w, &hop);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static void
add_text(struct buf *b, const struct received_hop *h)
{
	if (b->len != 0)
		buf_add_char(b, ' ');
	buf_printf(b, "[ ip=%s rdns=%s helo=%s by=%s ident=%s envfrom=%s intl=%d "
	    "id=%s auth=%s msa=%d ]", h->ip_text, h->rdns, h->helo, h->by,
	    h->ident, strcmp(h->envfrom, "0") == 0 ? "" : h->envfrom, h->internal,
	    h->id, h->auth, h->msa);
}

static int
texts_make(struct walk *w)
{
	struct relays *out = w->out;
	struct span *where[4] = { &out->text_untrusted, &out->text_trusted,
		&out->text_external, &out->text_internal };
	int rc = 0;

	for (int k = 0; k < 4; k++) {
		struct buf b;

		buf_init(&b, MAX_HOPS * (size_t)MAX_HOP_TEXT);
		for (size_t i = 0; i < out->count; i++) {
			const struct received_hop *h = &out->hops[i];

			if ((k < 2 ? h->trusted : h->internal) == (k & 1))
				add_text(&b, h);
		}
		*where[k] = arena_span(w->m->arena, buf_span(&b));
		if (b.failed || where[k]->ptr == NULL)
			rc = -ENOMEM;
		buf_done(&b);
	}
	return rc;
}

static bool
is_given(const struct netset *set)
{
	return set != NULL && set->count != 0;
}

static const char *
or_empty(const char *s)
{
	return s != NULL ? s : "";
}

int
relays_parse_nets(struct message *m, const struct relay_networks *nets,
    const struct received_hop *first_hop, struct relays **ret_relays)
{
	struct walk w = { .m = m, .nets = nets, .in_trusted = true,
		.in_internal = true, .believed = true, .fetch_counts = true };
	int rc = 0;

	w.specified = is_given(nets->trusted) || is_given(nets->internal);
	w.trusted = is_given(nets->trusted) ? nets->trusted : nets->internal;
	w.internal = is_given(nets->internal) ? nets->internal : nets->trusted;
	w.out = ARENA_NEW(m->arena, struct relays);
	if (w.out == NULL)
		return -ENOMEM;
	w.out->last_trusted_field = w.out->last_internal_field = -1;
	if (first_hop != NULL) {
		struct received_hop hop = *first_hop;
		char text[NETADDR_TEXT];

		hop.rdns = or_empty(hop.rdns);
		hop.helo = or_empty(hop.helo);
		hop.by = or_empty(hop.by);
		hop.ident = or_empty(hop.ident);
		hop.envfrom = or_empty(hop.envfrom);
		hop.id = or_empty(hop.id);
		hop.auth = or_empty(hop.auth);
		hop.with = or_empty(hop.with);
		if (hop.ip_text == NULL)
			hop.ip_text = hop.ip.family != 0 ? arena_strdup(m->arena,
			    netaddr_format(&hop.ip, text)) : "";
		if (hop.ip_text == NULL)
			return -ENOMEM;
		hop.ip_private = received_ip_is_private(&hop.ip);
		hop.parsed = true;
		hop.no_reverse_dns = hop.rdns[0] == '\0';
		hop.field_index = SIZE_MAX;
		rc = walk_add(&w, &hop);
		/* it has no field to count */
		w.out->last_trusted_field = w.out->last_internal_field = -1;
	}
	if (rc == 0)
		rc = walk_received(&w);
	if (rc == 0)
		rc = walk_origins(&w);
	if (rc == 0)
		rc = texts_make(&w);
	if (rc == 0)
		*ret_relays = w.out;
	return rc;
}

int
relays_parse(struct message *m, const struct netset *trusted,
    const struct netset *internal, const struct received_hop *first_hop,
    struct relays **ret_relays)
{
	static const char *const origins[] = { "X-Yahoo-Post-IP",
		"X-Originating-IP", "X-Apparently-From", "X-SenderIP", "X-AOL-IP",
		"X-MS-Exchange-CrossTenant-OriginalAttributedTenantConnectingIp" };
	struct relay_networks nets = { .trusted = trusted, .internal = internal,
		.origin_fields = origins,
		.origin_field_count = sizeof(origins) / sizeof(origins[0]) };

	return relays_parse_nets(m, &nets, first_hop, ret_relays);
}
