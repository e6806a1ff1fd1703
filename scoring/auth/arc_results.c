#include <errno.h>

#include "base/buf.h"
#include "scoring/auth/arc.h"

/* Without comments and folds; quoted strings lose their quotes, and what
 * would end a token in them becomes "?". */
static void
flatten(struct buf *out, struct span s)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if ((depth > 0 || quoted) && c == '\\' && i + 1 < s.len) {
			c = s.ptr[++i];
			if (depth == 0)
				buf_add_char(out,
				    c == ';' || span_is_wsp(c) ? '?' : c);
			continue;
		}
		if (depth == 0 && c == '"') {
			quoted = !quoted;
			continue;
		}
		if (!quoted && c == '(') {
			depth++;
			continue;
		}
		if (!quoted && c == ')' && depth > 0) {
			depth--;
			buf_add_char(out, ' ');
			continue;
		}
		if (depth > 0)
			continue;
		if (span_is_wsp(c))
			c = quoted ? '?' : ' ';
		else if (c == ';' && quoted)
			c = '?';
		buf_add_char(out, c);
	}
}

static bool
result_of(struct span word, enum auth_result *ret_result)
{
	for (int r = AUTH_NONE; r <= AUTH_PERMERROR; r++)
		if (span_iis(word, auth_result_name(r))) {
			*ret_result = r;
			return true;
		}
	return false;
}

/* The next "name=value"; space around "=" is allowed. */
static bool
next_pair(struct span *rest, struct span *ret_name, struct span *ret_value)
{
	size_t equals = span_find(*rest, '='), end;
	struct span name = span_trim(span_of(rest->ptr, equals));

	if (equals == rest->len)
		return false;
	/* only the last word before "=" is the name */
	for (size_t i = name.len; i > 0; i--)
		if (span_is_wsp(name.ptr[i - 1])) {
			name = span_from(name, i);
			break;
		}
	*rest = span_trim(span_from(*rest, equals + 1));
	for (end = 0; end < rest->len && !span_is_wsp(rest->ptr[end]); end++)
		;
	*ret_name = name;
	*ret_value = span_of(rest->ptr, end);
	*rest = span_from(*rest, end);
	return true;
}

/* The domain that a method is about, by its own property */
static bool
is_identifier(struct span method, struct span property)
{
	if (span_iis(method, "spf"))
		return span_iis(property, "smtp.mailfrom") ||
		    span_iis(property, "smtp.helo");
	if (span_iis(method, "dkim"))
		return span_iis(property, "header.d") ||
		    span_iis(property, "header.i");
	if (span_iis(method, "dmarc"))
		return span_iis(property, "header.from");
	return false;
}

static int
parse_method(struct arena *a, struct span text, struct sealed_result *r,
    bool *ret_used)
{
	struct span name, value, method;

	*ret_used = false;
	*r = (struct sealed_result){ 0 };
	if (!next_pair(&text, &method, &value) || method.len == 0)
		return 0;
	method.len = span_find(method, '/'); /* method version */
	if (!result_of(value, &r->result))
		return 0;
	r->method = arena_memdup(a, method.ptr, method.len);
	if (r->method == NULL)
		return -ENOMEM;
	while (next_pair(&text, &name, &value)) {
		if (!is_identifier(method, name) || r->domain != NULL)
			continue;
		for (size_t i = value.len; i > 0; i--)
			if (value.ptr[i - 1] == '@') {
				value = span_from(value, i);
				break;
			}
		r->domain = arena_memdup(a, value.ptr, value.len);
		if (r->domain == NULL)
			return -ENOMEM;
	}
	*ret_used = true;
	return 0;
}

int
arc_results_parse(struct arena *a, struct span field_body,
    struct sealed_result **ret_results, size_t *ret_count)
{
	struct sealed_result *list = ARENA_ARRAY(a, ARC_MAX_RESULTS,
	    struct sealed_result);
	size_t n = 0, skip = 2; /* "i=N" and the authserv-id */
	struct span rest;
	struct buf flat;
	int rc = 0;

	if (list == NULL)
		return -ENOMEM;
	buf_init(&flat, field_body.len + 16);
	flatten(&flat, field_body);
	rest = buf_span(&flat);
	while (rc == 0 && rest.len > 0 && n < ARC_MAX_RESULTS) {
		size_t end = span_find(rest, ';');
		struct span part = span_of(rest.ptr, end);
		bool used;

		rest = span_from(rest, end + 1);
		if (skip > 0) {
			skip--;
			continue;
		}
		rc = parse_method(a, part, &list[n], &used);
		n += rc == 0 && used;
	}
	buf_done(&flat);
	*ret_results = list;
	*ret_count = n;
	return rc;
}
