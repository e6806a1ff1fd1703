/*
 * HashBL: its lines and options, and what a rule's call names.
 */
#include <errno.h>

#include "scoring/rules/eval/addrlist.h"
#include "scoring/rules/eval/hashbl.h"
#include "scoring/rules/eval/tagvalues.h"

enum { MAX_QUERIES = 10 };

static const char default_email_options[] =
    "sha1/notag/noquote/max=10/shuffle";
static const char default_options[] = "sha1/max=10/shuffle";

static unsigned
option_flag(struct span word)
{
	static const struct {
		const char *name;
		unsigned flag;
	} words[] = { { "case", HASHBL_CASE }, { "shuffle", HASHBL_SHUFFLE },
		{ "num", HASHBL_NUM }, { "nodot", HASHBL_NODOT },
		{ "notag", HASHBL_NOTAG }, { "nouri", HASHBL_NOURI },
		{ "noquote", HASHBL_NOQUOTE }, { "user", HASHBL_USER },
		{ "host", HASHBL_HOST }, { "domain", HASHBL_DOMAIN },
		{ "ip", HASHBL_IP }, { "ipv4", HASHBL_IPV4 },
		{ "ipv6", HASHBL_IPV6 }, { "revip", HASHBL_REVIP },
		{ "fqdn", HASHBL_FQDN }, { "tld", HASHBL_TLD },
		{ "trim", HASHBL_TRIM | HASHBL_FQDN | HASHBL_TLD } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (span_iis(word, words[i].name))
			return words[i].flag;
	return 0;
}

void
hashbl_options_parse(struct span text, struct hashbl_options *o,
    struct span *ret_wrong)
{
	bool md5 = false, sha1 = false, sha256 = false;

	*ret_wrong = span_of("", 0);
	*o = (struct hashbl_options){ .max = MAX_QUERIES };
	while (text.len > 0) {
		struct span word = span_trim(span_of(text.ptr, span_find(text, '/')));
		struct span key = span_trim(span_of(word.ptr, span_find(word, '=')));
		struct span value = span_trim(span_from(word, span_find(word, '=') + 1));
		int64_t number = 0;
		unsigned flag = option_flag(key);
		bool sized = span_iis(key, "max") || span_iis(key, "minsize") ||
		    span_iis(key, "maxsize");

		text = span_from(text, span_find(text, '/') + 1);
		if (sized && (!conf_parse_int(value, &number) || number < 0)) {
			*ret_wrong = ret_wrong->len == 0 ? word : *ret_wrong;
			number = 0;
		}
		if (span_iis(key, "max"))
			o->max = number == 0 ? MAX_QUERIES : number > DNSQ_MAX_NAMES ?
			    DNSQ_MAX_NAMES : (size_t)number;
		else if (span_iis(key, "minsize"))
			o->min_size = (uint64_t)number;
		else if (span_iis(key, "maxsize"))
			o->max_size = (uint64_t)number;
		else if (span_iis(key, "md5"))
			md5 = true;
		else if (span_iis(key, "sha1"))
			sha1 = true;
		else if (span_iis(key, "sha256"))
			sha256 = true;
		else if (flag != 0)
			o->flags |= flag;
		else if (!span_iis(key, "raw") && ret_wrong->len == 0)
			*ret_wrong = word;
	}
	/* several: this order, as there; none is raw */
	o->algorithm = sha256 ? HASHBL_SHA256 : sha1 ? HASHBL_SHA1 :
	    md5 ? HASHBL_MD5 : HASHBL_RAW;
}

/* The common arguments: list, options and, at index filter, the subtest */
static int
prepare(struct eval_loader *l, struct eval_call *call, const char *standard,
    size_t filter, struct hashbl_query **ret_query)
{
	struct hashbl_query *q = ARENA_NEW(eval_arena(l), struct hashbl_query);
	struct span zone = call->args[0], options = span_cstr(standard), wrong;
	struct span subtest = SPAN_LIT("^127\\.");
	char *copy;

	*ret_query = NULL;
	if (q == NULL)
		return -ENOMEM;
	q->type = DNS_A;
	for (size_t i = zone.len; i-- > 0;)
		if (zone.ptr[i] == '/') {
			q->type = dnsq_type(span_from(zone, i + 1));
			zone.len = i;
			break;
		}
	while (zone.len > 0 && zone.ptr[zone.len - 1] == '.')
		zone.len--;
	q->zone = copy = arena_memdup(eval_arena(l), zone.ptr, zone.len);
	if (copy == NULL)
		return -ENOMEM;
	if (call->arg_count > 1 && call->args[1].len > 0)
		options = call->args[1];
	if (call->arg_count > filter && call->args[filter].len > 0)
		subtest = call->args[filter];
	q->filter.kind = DNS_FILTER_REGEX;
	q->filter.pattern = eval_pattern(l, subtest, false, call->file,
	    call->line);
	hashbl_options_parse(options, &q->options, &wrong);
	if (wrong.len > 0)
		eval_warning(l, call->file, call->line,
		    "%s: not an option of HashBL: \"%.*s\"", call->rule,
		    SPAN_ARG(wrong));
	if (zone.len == 0 || (q->type != DNS_A && q->type != DNS_TXT))
		eval_error(l, call->file, call->line,
		    "%s: not a list with /A or /TXT: \"%s\"", call->rule,
		    call->args[0].ptr);
	else if (q->filter.pattern != NULL)
		*ret_query = q;
	call->prepared = *ret_query;
	return 0;
}

int
hashbl_prepare_emails(struct eval_loader *l, void *state, struct eval_call *call)
{
	const struct hashbl *h = state;
	struct hashbl_query *q;

	if (prepare(l, call, default_email_options, 3, &q) != 0)
		return -ENOMEM;
	if (q == NULL)
		return 0;
	q->headers = call->arg_count > 2 && call->args[2].len > 0 ?
	    call->args[2].ptr : "ALLFROM/Reply-To/body";
	if (call->arg_count > 4 && call->args[4].len > 0) {
		q->acl = call->args[4];
		if (!span_is(q->acl, "all") &&
		    strmap_find(&h->acl_names, q->acl) == NULL) {
			eval_warning(l, call->file, call->line,
			    "%s: not run: no hashbl_acl_%s", call->rule,
			    q->acl.ptr);
			call->prepared = NULL;
		}
	}
	return 0;
}

int
hashbl_prepare_hashed(struct eval_loader *l, void *state, struct eval_call *call)
{
	struct hashbl_query *q;

	(void)state;
	if (prepare(l, call, default_options, 2, &q) != 0)
		return -ENOMEM;
	if (q != NULL && q->options.algorithm == HASHBL_RAW) {
		eval_warning(l, call->file, call->line,
		    "%s: not run: needs one of md5, sha1, sha256", call->rule);
		call->prepared = NULL;
	}
	return 0;
}

int
hashbl_prepare_bodyre(struct eval_loader *l, void *state, struct eval_call *call)
{
	struct hashbl_query *q;

	(void)state;
	if (prepare(l, call, default_options, 3, &q) != 0)
		return -ENOMEM;
	if (q != NULL)
		q->pattern = eval_pattern(l, call->args[2], false, call->file,
		    call->line);
	return 0;
}

int
hashbl_prepare_tag(struct eval_loader *l, void *state, struct eval_call *call)
{
	struct span tag = call->args[2];
	struct hashbl_query *q;
	char *copy;

	(void)state;
	if (prepare(l, call, default_options, 3, &q) != 0)
		return -ENOMEM;
	if (tag.len > 2 && tag.ptr[0] == '_' && tag.ptr[tag.len - 1] == '_')
		tag = span_of(tag.ptr + 1, tag.len - 2);
	copy = arena_memdup(eval_arena(l), tag.ptr, tag.len);
	if (copy == NULL)
		return -ENOMEM;
	for (char *p = copy; *p != '\0'; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
	if (q != NULL)
		q->tag = span_of(copy, tag.len);
	if (!tag_is_builtin(span_of(copy, tag.len)))
		eval_asks_with_captures(l);
	return 0;
}

static int
load_words(struct eval_loader *l, const char *directive, struct strmap *map)
{
	const struct eval_line *lines;
	size_t count;

	strmap_init(map, eval_arena(l));
	eval_lines(l, directive, &lines, &count);
	for (size_t i = 0; i < count; i++)
		for (struct span rest = lines[i].value; rest.len > 0;) {
			struct span w = addr_lower(eval_arena(l),
			    conf_next_word(&rest));

			if (w.ptr == NULL || strmap_set(map, w, 1) != 0)
				return -ENOMEM;
		}
	return 0;
}

static int
load_aliases(struct eval_loader *l, struct hashbl *h)
{
	const struct eval_line *lines;
	size_t count;

	strmap_init(&h->aliases, eval_arena(l));
	eval_lines(l, "hashbl_email_domain_alias", &lines, &count);
	h->alias_targets = ARENA_ARRAY(eval_arena(l), count, struct span);
	if (h->alias_targets == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct span rest = lines[i].value;

		h->alias_targets[i] = addr_lower(eval_arena(l),
		    conf_next_word(&rest));
		if (rest.len == 0 || span_find(lines[i].value, '@') <
			lines[i].value.len)
			eval_error(l, lines[i].file, lines[i].line,
			    "hashbl_email_domain_alias: needs two domains");
		while (rest.len > 0) {
			struct span w = addr_lower(eval_arena(l),
			    conf_next_word(&rest));

			if (w.ptr == NULL || strmap_set(&h->aliases, w, i) != 0)
				return -ENOMEM;
		}
	}
	return h->alias_targets == NULL ? -ENOMEM : 0;
}

/* "NAME domain !domain ...", from the line hashbl_acl_NAME. An exclusion
 * stands whatever else is said. */
static int
load_acls(struct eval_loader *l, struct hashbl *h)
{
	const struct eval_line *lines;
	size_t count;

	strmap_init(&h->acl_names, eval_arena(l));
	strmap_init(&h->acl, eval_arena(l));
	eval_lines(l, "hashbl_acl", &lines, &count);
	for (size_t i = 0; i < count; i++) {
		struct span rest = lines[i].value;
		struct span name = addr_lower(eval_arena(l), conf_next_word(&rest));

		if (name.ptr == NULL || strmap_set(&h->acl_names, name, 1) != 0)
			return -ENOMEM;
		while (rest.len > 0) {
			struct span w = addr_lower(eval_arena(l),
			    conf_next_word(&rest));
			bool excluded = w.len > 1 && w.ptr[0] == '!';
			const size_t *known;
			char *key;

			w = span_from(w, excluded);
			key = arena_printf(eval_arena(l), "%.*s %.*s",
			    SPAN_ARG(name), SPAN_ARG(w));
			if (w.ptr == NULL || key == NULL)
				return -ENOMEM;
			known = strmap_find(&h->acl, span_cstr(key));
			if ((known == NULL || excluded) &&
			    strmap_set(&h->acl, span_cstr(key), !excluded) != 0)
				return -ENOMEM;
		}
	}
	return 0;
}

int
hashbl_load(struct eval_loader *l, void **ret_state)
{
	struct hashbl *h = ARENA_NEW(eval_arena(l), struct hashbl);
	int r;

	if (h == NULL)
		return -ENOMEM;
	*ret_state = h;
	r = load_words(l, "hashbl_ignore", &h->ignore);
	if (r == 0)
		r = load_aliases(l, h);
	if (r == 0)
		r = load_acls(l, h);
	return r == 0 && !hashbl_mail_load(l, h) ? -ENOMEM : r;
}
