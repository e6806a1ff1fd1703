/*
 * The public RFC 7208 suite (203 cases with their zone data), explanations
 * included, straight through spf_check_host(). A zone becomes the text form
 * that --dns-data reads, so both are tested as one.
 */
#include <yaml.h>

#include "base/escape.h"
#include "scoring/auth/spf.h"
#include "t/tap.h"

static yaml_document_t *doc;

static yaml_node_t *
node(int index)
{
	return yaml_document_get_node(doc, index);
}

static const char *
scalar(const yaml_node_t *n)
{
	return n != NULL && n->type == YAML_SCALAR_NODE ?
	    (const char *)n->data.scalar.value : NULL;
}

static yaml_node_t *
get(const yaml_node_t *map, const char *key)
{
	if (map == NULL || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start;
	     p < map->data.mapping.pairs.top; p++)
		if (strcmp(scalar(node(p->key)), key) == 0)
			return node(p->value);
	return NULL;
}

/* Text as bytes: the suite writes bytes as \xHH, which YAML takes for code
 * points. Escaped for the file of answers. */
static void
put_bytes(struct buf *out, const yaml_node_t *n, bool name)
{
	struct span s = span_of((const char *)n->data.scalar.value,
	    n->data.scalar.length);

	while (s.len > 0) {
		uint32_t cp;
		size_t skip, len = utf8_decode(s, &cp, &skip);

		if (cp == '"' || cp == '\\')
			buf_printf(out, "\\%c", (char)cp);
		else if ((cp > 0x20 && cp < 0x7F) || (cp == ' ' && !name))
			buf_add_char(out, (char)cp);
		else
			buf_printf(out, "\\%03u", cp & 0xFF);
		s = span_from(s, len != 0 ? len : skip);
	}
}

static void
put_text(struct buf *out, const yaml_node_t *name, const yaml_node_t *value)
{
	put_bytes(out, name, true);
	buf_add_str(out, " TXT");
	if (value->type == YAML_SCALAR_NODE) {
		buf_add_str(out, " \"");
		put_bytes(out, value, false);
		buf_add_str(out, "\"");
	} else {
		for (yaml_node_item_t *i = value->data.sequence.items.start;
		     i < value->data.sequence.items.top; i++) {
			buf_add_str(out, " \"");
			put_bytes(out, node(*i), false);
			buf_add_str(out, "\"");
		}
		if (value->data.sequence.items.start ==
		    value->data.sequence.items.top)
			buf_add_str(out, " \"\"");
	}
	buf_add_char(out, '\n');
}

static void
put_owner(struct buf *out, const yaml_node_t *name, const yaml_node_t *list)
{
	bool has_txt = false, any = false;

	/* "SPF" stands for TXT too, unless TXT is given (or says NONE) */
	for (yaml_node_item_t *i = list->data.sequence.items.start;
	     i < list->data.sequence.items.top; i++)
		has_txt |= get(node(*i), "TXT") != NULL;
	for (yaml_node_item_t *i = list->data.sequence.items.start;
	     i < list->data.sequence.items.top; i++) {
		yaml_node_t *item = node(*i), *value;

		if (scalar(item) != NULL) {
			/* after given records: for the types without one */
			bool all = list->data.sequence.items.start + 1 ==
			    list->data.sequence.items.top;

			put_bytes(out, name, true);
			if (all)
				buf_printf(out, " %s\n", scalar(item));
			else if (has_txt && any)
				buf_printf(out, " EMPTY\n");
			else
				buf_printf(out, " %s TXT\n", scalar(item));
			continue;
		}
		if ((value = get(item, "SPF")) != NULL) {
			if (!has_txt)
				put_text(out, name, value);
		} else if ((value = get(item, "TXT")) != NULL) {
			if (scalar(value) != NULL &&
			    strcmp(scalar(value), "NONE") == 0) {
				put_bytes(out, name, true);
				buf_add_str(out, " EMPTY\n");
			} else {
				put_text(out, name, value);
				any = true;
			}
		} else if ((value = get(item, "MX")) != NULL) {
			put_bytes(out, name, true);
			buf_printf(out, " MX %s ", scalar(node(
			    value->data.sequence.items.start[0])));
			yaml_node_t *host = node(
			    value->data.sequence.items.start[1]);
			if (host->data.scalar.length == 0)
				buf_add_char(out, '.');
			put_bytes(out, host, true);
			buf_add_char(out, '\n');
		} else {
			static const char *const plain[] = { "A", "AAAA",
				"PTR", "CNAME" };

			for (size_t k = 0; k < 4; k++) {
				value = get(item, plain[k]);
				if (value == NULL)
					continue;
				put_bytes(out, name, true);
				buf_printf(out, " %s ", plain[k]);
				put_bytes(out, value, true);
				buf_add_char(out, '\n');
			}
		}
	}
}

static bool
one_of(const yaml_node_t *want, const char *got)
{
	if (scalar(want) != NULL)
		return strcmp(scalar(want), got) == 0;
	for (yaml_node_item_t *i = want->data.sequence.items.start;
	     i < want->data.sequence.items.top; i++)
		if (strcmp(scalar(node(*i)), got) == 0)
			return true;
	return false;
}

static bool
run_case(struct dns *dns, const char *label, const yaml_node_t *test)
{
	const char *sender = scalar(get(test, "mailfrom"));
	const char *helo = scalar(get(test, "helo"));
	const char *want = scalar(get(test, "explanation"));
	struct spf_query q = { .helo = helo, .now = 1 };
	struct spf_evidence e = { 0 };
	struct arena *a = arena_new(64 << 20);
	struct dns_session *s = dns_session_new(dns, 10000, 200);
	const char *at = sender != NULL ? strrchr(sender, '@') : NULL;
	const char *explanation;
	bool ok;

	netaddr_parse(span_cstr(scalar(get(test, "host"))), &q.ip);
	if (at != NULL) {
		q.sender_local = span_of(sender, (size_t)(at - sender));
		q.domain = at + 1;
	} else {
		q.domain = helo;
	}
	q.sender_domain = span_cstr(q.domain);
	spf_check_host(&q, s, a, &e);
	explanation = e.explanation != NULL ? e.explanation : "DEFAULT";
	ok = one_of(get(test, "result"), auth_result_name(e.result)) &&
	    (want == NULL || strcmp(want, explanation) == 0);
	if (!tap_ok(ok, "%s", label))
		printf("#  got: %s (%s) \"%s\"\n# want: %s \"%s\"\n",
		    auth_result_name(e.result), e.reason ? e.reason : "",
		    explanation, scalar(get(test, "result")) ?
		    scalar(get(test, "result")) : "(several)",
		    want != NULL ? want : "");
	dns_session_free(s);
	arena_free(a);
	return ok;
}

static unsigned passed, total;

static void
run_document(void)
{
	yaml_node_t *root = yaml_document_get_root_node(doc);
	yaml_node_t *zone = get(root, "zonedata"), *tests = get(root, "tests");
	struct error err = { "" };
	struct dns *dns = NULL;
	struct buf text;

	buf_init(&text, 1 << 20);
	for (yaml_node_pair_t *p = zone->data.mapping.pairs.start;
	     p < zone->data.mapping.pairs.top; p++)
		put_owner(&text, node(p->key), node(p->value));
	if (dns_new_text(buf_span(&text), "zone", &dns, &err) != 0) {
		tap_ok(false, "zone is read: %s", err.text);
		return;
	}
	for (yaml_node_pair_t *p = tests->data.mapping.pairs.start;
	     p < tests->data.mapping.pairs.top; p++) {
		total++;
		passed += run_case(dns, scalar(node(p->key)), node(p->value));
	}
	dns_free(dns);
	buf_done(&text);
}

int
main(void)
{
	const char *shared = getenv("SPAMSCORE_SHARED");
	char path[4096];
	yaml_parser_t parser;
	FILE *f;

	snprintf(path, sizeof(path), "%s/conformance/rfc7208-tests.yml",
	    shared != NULL ? shared : "../shared");
	f = fopen(path, "rb");
	if (f == NULL)
		return tap_skip_all("no conformance/rfc7208-tests.yml");
	yaml_parser_initialize(&parser);
	yaml_parser_set_input_file(&parser, f);
	for (;;) {
		yaml_document_t document;

		if (!yaml_parser_load(&parser, &document)) {
			tap_ok(false, "YAML: %s", parser.problem);
			break;
		}
		doc = &document;
		if (yaml_document_get_root_node(doc) == NULL) {
			yaml_document_delete(doc);
			break;
		}
		run_document();
		yaml_document_delete(doc);
	}
	yaml_parser_delete(&parser);
	fclose(f);
	printf("# RFC 7208 suite: %u of %u\n", passed, total);
	tap_ok(total == 203 && passed == total, "all 203 cases");
	return tap_done();
}
