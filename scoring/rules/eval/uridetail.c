/*
 * URIDetail: `uri_detail NAME key =~ /re/ key !~ /re/ ...`. A rule hits when
 * one link meets all its conditions. Keys: raw, cleaned, type, text, host,
 * domain.
 */
#include <errno.h>

#include "scoring/message/body.h"
#include "scoring/rules/eval/probe.h"

enum key { KEY_RAW, KEY_CLEANED, KEY_TYPE, KEY_TEXT, KEY_HOST, KEY_DOMAIN, KEYS };

static const char *const key_names[KEYS] = { "raw", "cleaned", "type", "text",
	"host", "domain" };

enum { MAX_CONDITIONS = 16 };

struct condition {
	enum key key;
	bool negated;
	struct pattern *pattern;
};

struct conditions {
	struct condition list[MAX_CONDITIONS];
	size_t count;
};

/* "/…/flags" or "m{…}flags" at the head of *rest; empty: there is none */
static struct span
take_pattern(struct span *rest)
{
	struct span s = *rest, all;
	size_t i = s.len > 0 && s.ptr[0] == 'm' ? 1 : 0;
	char close;

	if (i >= s.len || (i == 0 && s.ptr[0] != '/'))
		return span_of("", 0);
	close = s.ptr[i] == '{' ? '}' : s.ptr[i] == '(' ? ')' :
	    s.ptr[i] == '[' ? ']' : s.ptr[i] == '<' ? '>' : s.ptr[i];
	for (i++; i < s.len; i++) {
		size_t end = i + 1;

		if (s.ptr[i] == '\\') {
			i++;
			continue;
		}
		if (s.ptr[i] != close)
			continue;
		while (end < s.len && s.ptr[end] >= 'a' && s.ptr[end] <= 'z')
			end++;
		/* a closing brace inside a pattern is followed by more of it */
		if (end < s.len && !span_is_wsp(s.ptr[end]))
			continue;
		all = span_of(s.ptr, end);
		*rest = span_trim(span_from(s, end));
		return all;
	}
	return span_of("", 0);
}

static int
prepare(struct eval_loader *l, void *state, struct eval_call *call)
{
	struct conditions *c = ARENA_NEW(eval_arena(l), struct conditions);
	struct span rest = span_trim(call->args[0]);

	(void)state;
	if (c == NULL)
		return -ENOMEM;
	while (rest.len > 0) {
		struct span word = conf_next_word(&rest), op, text;
		struct condition *x = &c->list[c->count];

		for (x->key = 0; x->key < KEYS &&
		     !span_is(word, key_names[x->key]); x->key++)
			;
		op = span_of(rest.ptr, rest.len < 2 ? rest.len : 2);
		x->negated = span_is(op, "!~");
		if (x->key == KEYS || (!x->negated && !span_is(op, "=~"))) {
			eval_error(l, call->file, call->line,
			    "%s: not a key and =~ or !~: \"%.*s\"", call->rule,
			    SPAN_ARG(word));
			return 0;
		}
		rest = span_trim(span_from(rest, 2));
		text = take_pattern(&rest);
		if (text.len == 0) {
			eval_error(l, call->file, call->line,
			    "%s: a pattern between delimiters is missing",
			    call->rule);
			return 0;
		}
		x->pattern = eval_pattern(l, text, true, call->file, call->line);
		if (x->pattern == NULL)
			return 0;
		if (++c->count == MAX_CONDITIONS && rest.len > 0) {
			eval_error(l, call->file, call->line,
			    "%s: more than %d conditions", call->rule,
			    MAX_CONDITIONS);
			return 0;
		}
	}
	if (c->count == 0)
		eval_error(l, call->file, call->line, "%s: no condition",
		    call->rule);
	else
		call->prepared = c;
	return 0;
}

/* Does any of these texts match? */
static bool
any(struct probe *p, const struct condition *x, const struct span *texts,
    size_t count)
{
	for (size_t i = 0; i < count && p->error == 0; i++) {
		int r = eval_match(p->ctx, x->pattern, texts[i], 0, NULL, 0);

		if (r < 0)
			p->error = r;
		if (r == 1)
			return true;
	}
	return false;
}

static bool
meets(struct probe *p, const struct condition *x, const struct uri *u)
{
	struct span types[32];
	size_t n = 0;

	switch (x->key) {
	case KEY_RAW:
		return any(p, x, &u->raw, 1) != x->negated;
	case KEY_CLEANED:
		return any(p, x, u->cleaned, u->cleaned_count) != x->negated;
	case KEY_TEXT:
		return any(p, x, u->anchors, u->anchor_count) != x->negated;
	case KEY_HOST:
		return any(p, x, u->hosts, u->host_count) != x->negated;
	case KEY_DOMAIN:
		return any(p, x, u->domains, u->host_count) != x->negated;
	case KEY_TYPE:
		for (unsigned bit = 0; bit < 32; bit++)
			if ((u->types >> bit & 1) != 0)
				types[n++] = span_cstr(uri_type_name(
				    (enum uri_type)(1u << bit)));
		return any(p, x, types, n) != x->negated;
	case KEYS:
		break;
	}
	return false;
}

static int
run(struct eval_context *ctx, const struct eval_call *call,
    struct eval_result *r)
{
	const struct conditions *c = call->prepared;
	struct probe p = { ctx, NULL, 0 };
	const struct uris *uris;

	if (c == NULL)
		return 0;
	if (eval_uris(ctx, &uris) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < uris->count && p.error == 0; i++) {
		size_t k = 0;

		while (k < c->count && meets(&p, &c->list[k], &uris->items[i]))
			k++;
		if (k == c->count && p.error == 0) {
			r->matched = uris->items[i].raw;
			return probe_end(&p, r, true);
		}
	}
	return probe_end(&p, r, false);
}

static const struct eval_function functions[] = {
	{ "spamscore_uri_detail", EVAL_ANY, "s", run, prepare, NULL },
	{ 0 },
};

static const struct eval_directive directives[] = {
	{ "uri_detail", DIRECTIVE_RULE, "spamscore_uri_detail" },
	{ 0 },
};

const struct eval_family eval_uridetail = {
	"Mail::SpamAssassin::Plugin::URIDetail", functions, directives, NULL, NULL,
};
