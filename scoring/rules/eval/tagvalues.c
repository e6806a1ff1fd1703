#include <errno.h>

#include "scoring/rules/eval/tagvalues.h"
#include "scoring/rules/eval/urihosts.h"

static const char *const names[] = { "AUTHORDOMAIN", "DKIMDOMAIN",
	"DKIMIDENTITY", "DKIMSELECTOR", "FIRSTTRUSTEDIP", "FIRSTTRUSTEDREVIP",
	"LASTEXTERNALHELO", "LASTEXTERNALIP", "LASTEXTERNALRDNS",
	"LASTEXTERNALREVIP", "SENDERDOMAIN", "URIDOMAINS", "URIHOSTS" };

bool
tag_is_builtin(struct span name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is(name, names[i]))
			return true;
	return span_istarts(name, "HEADER(");
}

static void
add(struct tag_values *v, struct span s)
{
	for (size_t i = 0; i < v->count; i++)
		if (span_eq(v->list[i], s))
			return;
	if (s.len > 0 && v->count < TAG_VALUES)
		v->list[v->count++] = s;
}

/* One tag of each DKIM-Signature, as written */
static void
add_signature_tags(const struct message *m, const char *tag,
    struct tag_values *v)
{
	struct field *f = message_find(m, "DKIM-Signature", 0);

	for (size_t i = 0; f != NULL && i < TAG_VALUES;
	     f = message_next(m, f), i++) {
		struct span rest = field_unfolded(m, f);

		while (rest.len > 0) {
			struct span one = span_of(rest.ptr, span_find(rest, ';'));
			size_t eq = span_find(one, '=');

			rest = span_from(rest, one.len + 1);
			if (span_is(span_trim(span_of(one.ptr, eq)), tag))
				add(v, span_trim(span_from(one, eq + 1)));
		}
	}
}

static void
add_dkim(struct eval_context *ctx, struct span name, bool good_only,
    struct tag_values *v)
{
	const struct evidence *e = eval_input(ctx)->evidence;
	char tag = span_is(name, "DKIMDOMAIN") ? 'd' :
	    span_is(name, "DKIMSELECTOR")      ? 's' : 'i';

	if (!good_only) {
		add_signature_tags(eval_input(ctx)->message,
		    (const char[]){ tag, '\0' }, v);
		return;
	}
	for (size_t i = 0; i < e->dkim_count; i++) {
		const struct dkim_evidence *d = &e->dkim[i];
		const char *s = tag == 'd' ? d->domain :
		    tag == 's' ? d->selector : d->identity;

		if (d->check.state == CHECK_DONE && d->result == AUTH_PASS &&
		    s != NULL)
			add(v, span_cstr(s));
	}
}

static int
add_address(struct arena *a, const struct netaddr *ip, bool reversed,
    struct tag_values *v)
{
	char text[80], plain[NETADDR_TEXT];
	char *copy;

	if (ip->family == 0)
		return 0;
	copy = arena_strdup(a, reversed ? netaddr_reverse(ip, false, text) :
					  netaddr_format(ip, plain));
	if (copy == NULL)
		return -ENOMEM;
	add(v, span_cstr(copy));
	return 0;
}

/* LASTEXTERNAL...: the first relay that is not ours; FIRSTTRUSTED...: the
 * last one that we trust */
static int
add_relay(struct eval_context *ctx, struct span name, struct tag_values *v)
{
	const struct relays *relays = eval_input(ctx)->relays;
	struct arena *a = eval_input(ctx)->arena;
	bool external = span_istarts(name, "LAST");
	const struct received_hop *found = NULL;
	struct span what = span_from(name,
	    strlen(external ? "LASTEXTERNAL" : "FIRSTTRUSTED"));

	for (size_t i = 0; relays != NULL && i < relays->count; i++) {
		const struct received_hop *hop = &relays->hops[i];

		if (hop->ignored || !hop->parsed ||
		    (external ? hop->internal || found != NULL : !hop->trusted))
			continue;
		found = hop;
	}
	if (found == NULL)
		return 0;
	if (span_is(what, "IP") || span_is(what, "REVIP"))
		return add_address(a, &found->ip, span_is(what, "REVIP"), v);
	add(v, span_cstr(span_is(what, "RDNS") ? found->rdns : found->helo));
	return 0;
}

static int
add_uris(struct eval_context *ctx, bool domains, struct tag_values *v)
{
	const struct uri_host *hosts;
	size_t count;

	if (uri_hosts(ctx, &hosts, &count) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		add(v, domains ? hosts[i].domain : hosts[i].host);
	return 0;
}

static int
add_list(struct eval_context *ctx, const char *request, struct tag_values *v)
{
	const struct span *list;
	size_t count;

	if (eval_get_list(ctx, request, &list, &count) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		add(v, span_trim(list[i]));
	return 0;
}

int
tag_values_get(struct eval_context *ctx, struct span name, bool good_only,
    struct tag_values *v)
{
	struct arena *a = eval_input(ctx)->arena;
	const struct span *list;
	size_t count;

	v->count = 0;
	if (span_istarts(name, "DKIM"))
		add_dkim(ctx, name, good_only, v);
	else if (span_is(name, "AUTHORDOMAIN"))
		return add_list(ctx, "From:addr:host", v);
	else if (span_is(name, "SENDERDOMAIN"))
		return add_list(ctx, "EnvelopeFrom:first:addr:host", v);
	else if (span_istarts(name, "LASTEXTERNAL") ||
	    span_istarts(name, "FIRSTTRUSTED"))
		return add_relay(ctx, name, v);
	else if (span_is(name, "URIHOSTS") || span_is(name, "URIDOMAINS"))
		return add_uris(ctx, span_is(name, "URIDOMAINS"), v);
	else if (span_istarts(name, "HEADER(") &&
	    name.ptr[name.len - 1] == ')') {
		char *request = arena_memdup(a, name.ptr + 7, name.len - 8);

		return request != NULL ? add_list(ctx, request, v) : -ENOMEM;
	} else if (eval_captured(ctx, name, &list, &count)) {
		for (size_t i = 0; i < count; i++)
			add(v, list[i]);
	}
	return 0;
}
