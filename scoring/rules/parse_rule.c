/*
 * Lines that define rules and what belongs to them: header, body, meta ...,
 * score, describe, tflags, priority, test.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "scoring/rules/internal.h"

static bool
is_name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (!first && c >= '0' && c <= '9');
}

bool
rule_name_valid(struct span name)
{
	if (name.len == 0 || name.len > MAX_RULE_NAME)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!is_name_char(name.ptr[i], i == 0))
			return false;
	return true;
}

struct rule_def *
loader_rule(struct loader *l, struct span name)
{
	struct ruleset *rs = l->rs;
	size_t *known = strmap_find(&rs->names, name);
	struct rule_def *d;

	if (known != NULL)
		return rs->rules[*known];
	if (rs->rule_count == MAX_RULES) {
		if (!l->too_many_rules)
			loader_error(l, l->line, "more than %d rules; from "
			    "here on new ones are left out", MAX_RULES);
		l->too_many_rules = true;
		return NULL;
	}
	if (rs->rule_count == l->rule_alloc) {
		size_t alloc = l->rule_alloc == 0 ? 256 : l->rule_alloc * 2;
		struct rule_def **list = ARENA_ARRAY(l->arena, alloc,
		    struct rule_def *);

		if (list == NULL)
			goto no_memory;
		if (rs->rule_count != 0)
			memcpy(list, rs->rules,
			    rs->rule_count * sizeof(*list));
		rs->rules = list;
		l->rule_alloc = alloc;
	}
	d = ARENA_NEW(l->arena, struct rule_def);
	if (d == NULL ||
	    (d->pub.name = arena_memdup(l->arena, name.ptr, name.len)) == NULL ||
	    strmap_set(&rs->names, name, rs->rule_count) != 0)
		goto no_memory;
	d->index = rs->rule_count;
	d->pub.describe = "";
	d->pub.type = "";
	d->pub.target = "";
	d->slot = NO_INDEX;
	d->range_max = 1000;
	d->pub.sub_rule = name.len >= 2 && name.ptr[0] == '_' &&
	    name.ptr[1] == '_';
	rs->rules[rs->rule_count++] = d;
	return d;
no_memory:
	l->oom = true;
	return NULL;
}

static const char *
keep(struct loader *l, struct span s)
{
	const char *p = arena_memdup(l->arena, s.ptr, s.len);

	if (p == NULL)
		l->oom = true;
	return p != NULL ? p : "";
}

/* A (re)definition begins: what the old one said is gone, its score and
 * flags stay. */
static struct rule_def *
begin_rule(struct loader *l, const struct conf_line *line, struct span name,
    enum rule_kind kind, const char *type)
{
	struct rule_def *d;

	if (!rule_name_valid(name)) {
		loader_error(l, line, name.len > MAX_RULE_NAME ?
			"rule name longer than 100 bytes: \"%.*s\"" :
			"not a rule name: \"%.*s\"", SPAN_ARG(name));
		return NULL;
	}
	d = loader_rule(l, name);
	if (d == NULL)
		return NULL;
	d->kind = kind;
	d->pub.type = type;
	d->pub.file = keep(l, span_cstr(line->file));
	d->pub.line = line->number;
	d->request = (struct span){ NULL, 0 };
	d->if_unset = (struct span){ NULL, 0 };
	d->perl = (struct span){ NULL, 0 };
	d->exists = d->negated = d->failed = false;
	d->call = NULL;
	return d;
}

/* "/re/i" to d->perl. false was reported; the rule then never runs. */
static bool
take_pattern(struct loader *l, const struct conf_line *line,
    struct rule_def *d, struct span text)
{
	const char *wrong = pattern_strip(l->arena, text, &d->perl);

	if (wrong == NULL)
		return true;
	loader_error(l, line, "%s: %s", d->pub.name, wrong);
	d->failed = true;
	return false;
}

/* Cuts " [if-unset: TEXT]" off the end */
static struct span
take_if_unset(struct loader *l, struct span *s)
{
	static const char word[] = "[if-unset:";
	const char *at = NULL, *p;
	struct span value;

	if (s->len < sizeof(word) || s->ptr[s->len - 1] != ']')
		return (struct span){ NULL, 0 };
	for (size_t from = 0;
	     from < s->len && (p = memmem(s->ptr + from, s->len - from, word,
				   sizeof(word) - 1)) != NULL;
	     from = (size_t)(p - s->ptr) + 1)
		if (at == NULL && p > s->ptr && span_is_wsp(p[-1]))
			at = p;
	if (at == NULL)
		return (struct span){ NULL, 0 };
	value = span_of(at + sizeof(word) - 1,
	    (size_t)(s->ptr + s->len - 1 - at) - (sizeof(word) - 1));
	if (value.len == 0 || !span_is_wsp(value.ptr[0]))
		return (struct span){ NULL, 0 };
	while (value.len > 0 && span_is_wsp(value.ptr[0]))
		value = span_from(value, 1);
	if (value.len == 0)
		return (struct span){ NULL, 0 };
	*s = span_trim(span_of(s->ptr, (size_t)(at - s->ptr)));
	value = arena_span(l->arena, value);
	if (value.ptr == NULL)
		l->oom = true;
	return value;
}

static bool
modifiers_known(struct span request, bool mime)
{
	static const char *const words[] = { "raw", "addr", "name", "host",
		"domain", "ip", "revip", "first", "last" };
	size_t at = span_find(request, ':');

	while (at < request.len) {
		struct span word = span_from(request, at + 1);
		bool known = false;

		word.len = span_find(word, ':');
		for (size_t i = 0; i < (mime ? 1 : sizeof(words) / sizeof(words[0]));
		     i++)
			known = known || span_is(word, words[i]);
		if (!known)
			return false;
		at += 1 + word.len;
	}
	return true;
}

static bool
header_name_valid(struct span s)
{
	s.len = span_find(s, ':');
	for (size_t i = 0; i < s.len; i++)
		if (!is_name_char(s.ptr[i], false) && s.ptr[i] != '-' &&
		    s.ptr[i] != '.')
			return false;
	return s.len > 0;
}

/* `NAME Header[:modifier] =~ /re/ [if-unset: x]`, or, of header rules,
 * `exists:Header` */
static void
parse_header_test(struct loader *l, const struct conf_line *line,
    struct rule_def *d, struct span value)
{
	size_t n = 0;
	struct span request;

	d->failed = true; /* until all of it was understood */
	if (d->kind == RULE_HEADER && value.len >= 7 &&
	    memcmp(value.ptr, "exists:", 7) == 0) {
		request = span_from(value, 7);
		d->exists = true;
	} else {
		while (n < value.len && !span_is_wsp(value.ptr[n]) &&
		    value.ptr[n] != '=' && value.ptr[n] != '!')
			n++;
		request = span_of(value.ptr, n);
		value = span_trim(span_from(value, n));
		if (value.len < 2 || value.ptr[1] != '~' ||
		    (value.ptr[0] != '=' && value.ptr[0] != '!')) {
			loader_error(l, line, "%s: not \"Header =~ /pattern/\"%s",
			    d->pub.name, d->kind == RULE_HEADER ?
				" and not exists:" : "");
			return;
		}
		d->negated = value.ptr[0] == '!';
		value = span_trim(span_from(value, 2));
		d->if_unset = take_if_unset(l, &value);
		if (!take_pattern(l, line, d, value))
			return;
	}
	if (request.len > 0 && request.ptr[request.len - 1] == ':')
		request.len--;
	if (!header_name_valid(request) && d->kind == RULE_HEADER) {
		loader_error(l, line, "%s: not a header name: \"%.*s\"",
		    d->pub.name, SPAN_ARG(request));
		return;
	}
	if (!modifiers_known(request, d->kind == RULE_MIMEHEADER)) {
		loader_error(l, line, "%s: unknown modifier in \"%.*s\"",
		    d->pub.name, SPAN_ARG(request));
		return;
	}
	d->pub.target = keep(l, request);
	d->request = span_cstr(d->pub.target);
	d->failed = false;
}

static void
parse_eval(struct loader *l, const struct conf_line *line, struct rule_def *d,
    struct span value, enum eval_kind kind)
{
	size_t n = span_find(value, '(');
	struct span name = span_trim(span_of(value.ptr, n)), args;

	d->failed = true;
	if (n == value.len || value.ptr[value.len - 1] != ')' ||
	    !rule_name_valid(name)) {
		loader_error(l, line, "%s: not eval:function(arguments)",
		    d->pub.name);
		return;
	}
	args = span_of(value.ptr + n + 1, value.len - n - 2);
	d->pub.target = keep(l, value);
	d->call = loader_new_call(l, line, d, name, kind, args, false);
	d->failed = d->call == NULL;
}

void
parse_directive_rule(struct loader *l, const struct conf_line *line,
    const char *function)
{
	struct span rest = line->value, name = conf_next_word(&rest);
	struct rule_def *d;

	if (rest.len == 0) {
		loader_error(l, line, "%.*s: needs a rule name and a test",
		    SPAN_ARG(line->key));
		return;
	}
	d = begin_rule(l, line, name, RULE_EVAL, "eval");
	if (d == NULL)
		return;
	d->pub.target = keep(l, rest);
	d->call = loader_new_call(l, line, d, span_cstr(function), EVAL_URI,
	    rest, true);
	d->failed = d->call == NULL;
}

static const struct rule_word {
	const char *word;
	enum rule_kind kind;
	enum eval_kind eval;
} rule_words[] = {
	{ "header", RULE_HEADER, EVAL_HEADER },
	{ "body", RULE_BODY, EVAL_BODY },
	{ "rawbody", RULE_RAWBODY, EVAL_RAWBODY },
	{ "uri", RULE_URI, 0 },
	{ "full", RULE_FULL, EVAL_FULL },
	{ "mimeheader", RULE_MIMEHEADER, 0 },
	{ "meta", RULE_META, 0 },
};

static void
parse_rule(struct loader *l, const struct conf_line *line,
    const struct rule_word *w)
{
	struct span value = line->value, name = conf_next_word(&value);
	bool is_eval = false;
	struct rule_def *d;

	if (value.len == 0) {
		loader_error(l, line, "%s: needs a name and a test", w->word);
		return;
	}
	if (w->eval != 0 && span_istarts(value, "eval:")) {
		is_eval = true;
		value = span_trim(span_from(value, 5));
	} else if (w->kind == RULE_HEADER && span_istarts(value, "rbleval:")) {
		is_eval = true;
		value = span_trim(span_from(value, 8));
	}
	d = begin_rule(l, line, name, is_eval ? RULE_EVAL : w->kind,
	    is_eval ? "eval" : w->word);
	if (d == NULL)
		return;
	if (is_eval) {
		parse_eval(l, line, d, value, w->eval);
	} else if (w->kind == RULE_META) {
		d->pub.target = keep(l, value);
		d->meta_text = span_cstr(d->pub.target);
	} else if (w->kind == RULE_HEADER || w->kind == RULE_MIMEHEADER) {
		parse_header_test(l, line, d, value);
	} else {
		d->pub.target = w->word;
		take_pattern(l, line, d, value);
	}
}

static void
parse_score(struct loader *l, const struct conf_line *line)
{
	struct span rest = line->value, name = conf_next_word(&rest);
	double points[4] = { 0 };
	bool relative = false;
	struct rule_def *d;
	size_t n = 0;

	if (!rule_name_valid(name)) {
		loader_error(l, line, "score: not a rule name: \"%.*s\"",
		    SPAN_ARG(name));
		return;
	}
	while (rest.len > 0) {
		struct span w = conf_next_word(&rest);

		if (w.len > 2 && w.ptr[0] == '(' && w.ptr[w.len - 1] == ')') {
			relative = true;
			w = span_of(w.ptr + 1, w.len - 2);
		}
		if (n == 4 || !conf_parse_points(w, &points[n])) {
			loader_error(l, line, n == 4 ?
				"score: more than four numbers" :
				"score: not a number: \"%.*s\"", SPAN_ARG(w));
			return;
		}
		n++;
	}
	if (n != 1 && n != 4) {
		loader_error(l, line, "score: needs a rule and one or four "
		    "numbers");
		return;
	}
	d = loader_rule(l, name);
	if (d == NULL)
		return;
	if (d->pub.file == NULL) { /* it may never be defined */
		d->pub.file = keep(l, span_cstr(line->file));
		d->pub.line = line->number;
	}
	if (l->scores_only) {
		/* a file of scores alone has no rules to compare with */
		if (d->kind == RULE_NONE && l->options->path_count != 0)
			loader_note(l, DIAG_WARNING, line,
			    "there is no rule \"%s\" any more", d->pub.name);
		d->tuned = true;
	}
	if (relative && !d->has_score) {
		loader_error(l, line, "score: \"%s\" has no score to add to",
		    d->pub.name);
		return;
	}
	for (size_t i = 0; i < 4; i++) {
		double v = points[n == 1 ? 0 : i];

		if (relative)
			v += d->pub.scores[i];
		d->pub.scores[i] = round(v * 1000) / 1000;
	}
	d->has_score = true;
}

static bool
parse_limit(struct span s, const char *word, unsigned *ret_value)
{
	size_t n = strlen(word);
	int64_t v;

	if (s.len <= n || memcmp(s.ptr, word, n) != 0 ||
	    !conf_parse_int(span_from(s, n), &v) || v < 0)
		return false;
	*ret_value = v > MAX_HITS ? MAX_HITS : (unsigned)v;
	return true;
}

/* range=N, N-, -N, N-M */
static void
parse_range(struct rule_def *d, struct span s)
{
	size_t dash = span_find(s, '-');
	int64_t low = 0, high = 1000;

	if (dash > 0)
		conf_parse_int(span_of(s.ptr, dash), &low);
	if (dash == s.len)
		high = low;
	else if (dash + 1 < s.len)
		conf_parse_int(span_from(s, dash + 1), &high);
	if (low >= 0 && low <= high && high <= 1000000) {
		d->range_min = (unsigned)low;
		d->range_max = (unsigned)high;
	}
}

static void
parse_tflags(struct loader *l, const struct conf_line *line)
{
	static const struct {
		const char *word;
		unsigned flag;
	} flags[] = { { "net", RULE_NET }, { "nice", RULE_NICE },
		{ "learn", RULE_LEARN }, { "userconf", RULE_USERCONF },
		{ "noautolearn", RULE_NOAUTOLEARN },
		{ "multiple", RULE_MULTIPLE }, { "nosubject", RULE_NOSUBJECT },
		{ "publish", RULE_PUBLISH },
		{ "spamscore_reject", RULE_REJECT },
		/* known, and nothing to do here */
		{ "nopublish", 0 }, { "autolearn_force", 0 }, { "nolog", 0 },
		{ "noawl", 0 }, { "ips_only", RULE_IPS_ONLY },
		{ "domains_only", RULE_DOMAINS_ONLY },
		{ "a", 0 }, { "ns", 0 }, { "notrim", RULE_NOTRIM }, { "dnsbl", 0 } };
	struct span rest = line->value, name = conf_next_word(&rest);
	struct rule_def *d;

	if (!rule_name_valid(name) || rest.len == 0) {
		loader_error(l, line, "tflags: needs a rule and flags");
		return;
	}
	d = loader_rule(l, name);
	if (d == NULL)
		return;
	/* a later line replaces the earlier one, as in SpamAssassin */
	d->pub.tflags = 0;
	d->pub.max_hits = 0;
	d->concat = false;
	d->tflags_text = keep(l, rest);
	while (rest.len > 0) {
		struct span w = conf_next_word(&rest);
		bool known = false;

		for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
			if (span_is(w, flags[i].word)) {
				d->pub.tflags |= flags[i].flag;
				known = true;
			}
		if (known || parse_limit(w, "maxhits=", &d->pub.max_hits))
			continue;
		if (span_istarts(w, "range="))
			parse_range(d, span_from(w, 6));
		else if (span_is(w, "concat"))
			d->concat = true;
		else
			loader_note(l, DIAG_NOTE, line,
			    "tflags: no effect here: \"%.*s\"", SPAN_ARG(w));
	}
}

static int
add_text(struct loader *l, const char *const **list, size_t *count,
    struct span text)
{
	/* few a rule: the copy is cheap */
	const char **bigger = ARENA_ARRAY(l->arena, *count + 1, const char *);
	const char *copy = arena_memdup(l->arena, text.ptr, text.len);

	if (bigger == NULL || copy == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < *count; i++)
		bigger[i] = (*list)[i];
	bigger[(*count)++] = copy;
	*list = bigger;
	return 0;
}

/* `test NAME ok|fail text` */
static void
parse_test(struct loader *l, const struct conf_line *line)
{
	struct span rest = line->value, name = conf_next_word(&rest);
	struct span word = conf_next_word(&rest);
	bool ok = span_is(word, "ok");
	struct rule_def *d;

	if (!rule_name_valid(name) || (!ok && !span_is(word, "fail")) ||
	    rest.len == 0) {
		loader_error(l, line, "test: not \"test RULE ok|fail text\"");
		return;
	}
	d = loader_rule(l, name);
	if (d == NULL)
		return;
	if ((ok ? add_text(l, &d->pub.test_hit, &d->pub.test_hit_count, rest) :
		  add_text(l, &d->pub.test_miss, &d->pub.test_miss_count,
		      rest)) != 0)
		l->oom = true;
}

static void
parse_describe(struct loader *l, const struct conf_line *line)
{
	struct span rest = line->value, name = conf_next_word(&rest);
	struct rule_def *d;

	if (!rule_name_valid(name) || rest.len == 0) {
		loader_error(l, line, "describe: needs a rule and a text");
		return;
	}
	d = loader_rule(l, name);
	if (d != NULL)
		d->pub.describe = keep(l, rest);
}

static void
parse_priority(struct loader *l, const struct conf_line *line)
{
	struct span rest = line->value, name = conf_next_word(&rest);
	struct rule_def *d;
	int64_t v;

	if (!rule_name_valid(name) || !conf_parse_int(rest, &v) ||
	    v < -1000000 || v > 1000000) {
		loader_error(l, line, "priority: needs a rule and a number");
		return;
	}
	d = loader_rule(l, name);
	if (d != NULL)
		d->priority = (int)v;
}

enum conf_result
parse_rule_line(struct loader *l, const struct conf_line *line)
{
	static const struct {
		const char *word;
		void (*parse)(struct loader *l, const struct conf_line *line);
	} others[] = { { "score", parse_score }, { "describe", parse_describe },
		{ "tflags", parse_tflags }, { "priority", parse_priority },
		{ "test", parse_test } };

	for (size_t i = 0; i < sizeof(rule_words) / sizeof(rule_words[0]); i++)
		if (span_is(line->key, rule_words[i].word)) {
			parse_rule(l, line, &rule_words[i]);
			return CONF_DONE;
		}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (span_is(line->key, others[i].word)) {
			others[i].parse(l, line);
			return CONF_DONE;
		}
	return CONF_UNKNOWN;
}
