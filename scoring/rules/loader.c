/*
 * The loader's side of eval functions: the tables of families, the calls
 * that rules make, and what families may ask for while they prepare.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "scoring/rules/internal.h"

enum { MAX_EVAL_ARGUMENTS = 64 };

static int
register_family(struct loader *l, const struct eval_family *f, size_t index)
{
	for (const struct eval_function *e = f->functions;
	     e != NULL && e->name != NULL; e++) {
		l->function_list[l->function_count] = (struct function_ref){
			.function = e, .family = f, .family_index = index };
		if (strmap_set(&l->functions, span_cstr(e->name),
			l->function_count++) != 0)
			return -ENOMEM;
	}
	for (const struct eval_directive *d = f->directives;
	     d != NULL && d->name != NULL; d++) {
		if (strmap_find(&l->directives, span_cstr(d->name)) != NULL)
			continue;
		l->directive_list[l->directive_count] =
		    (struct directive_lines){ .directive = d };
		if (strmap_set(&l->directives, span_cstr(d->name),
			l->directive_count++) != 0)
			return -ENOMEM;
	}
	return 0;
}

int
loader_init(struct loader *l)
{
	size_t functions = 0, directives = 0, families = 0;

	strmap_init(&l->skipped, l->arena);
	strmap_init(&l->directives, l->arena);
	strmap_init(&l->functions, l->arena);
	strmap_init(&l->replace_rules, l->arena);
	for (size_t i = 0; i < 4; i++)
		strmap_init(&l->replace[i], l->arena);
	l->replace_start = SPAN_LIT("<");
	l->replace_end = SPAN_LIT(">");
	for (; eval_families[families] != NULL; families++) {
		const struct eval_family *f = eval_families[families];

		for (size_t i = 0;
		     f->functions != NULL && f->functions[i].name != NULL; i++)
			functions++;
		for (size_t i = 0;
		     f->directives != NULL && f->directives[i].name != NULL; i++)
			directives++;
	}
	l->function_list = ARENA_ARRAY(l->arena, functions,
	    struct function_ref);
	l->directive_list = ARENA_ARRAY(l->arena, directives,
	    struct directive_lines);
	l->rs->family_states = ARENA_ARRAY(l->arena, families, void *);
	l->rs->family_count = families;
	if (l->function_list == NULL || l->directive_list == NULL ||
	    l->rs->family_states == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < families; i++)
		if (register_family(l, eval_families[i], i) != 0)
			return -ENOMEM;
	return 0;
}

static bool
is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '.' || c == ':' || c == '-';
}

/* 'text', "text" or a bare word; commas between. -1: syntax */
static long
split_arguments(struct arena *a, struct span s, struct span *args)
{
	size_t n = 0, end;

	for (s = span_trim(s); s.len > 0;) {
		if (n == MAX_EVAL_ARGUMENTS)
			return -1;
		if (s.ptr[0] == '\'' || s.ptr[0] == '"') {
			end = 1 + span_find(span_from(s, 1), s.ptr[0]);
			if (end == s.len)
				return -1;
			args[n] = arena_span(a, span_of(s.ptr + 1, end - 1));
			end++;
		} else {
			for (end = 0; end < s.len && is_bare(s.ptr[end]); end++)
				;
			if (end == 0)
				return -1;
			args[n] = arena_span(a, span_of(s.ptr, end));
		}
		if (args[n++].ptr == NULL)
			return -1;
		s = span_trim(span_from(s, end));
		if (s.len > 0) {
			if (s.ptr[0] != ',')
				return -1;
			s = span_trim(span_from(s, 1));
		}
	}
	return (long)n;
}

/* NULL, or what is wrong */
static const char *
check_arguments(struct arena *a, const char *letters, const struct span *args,
    size_t count)
{
	struct span text;
	bool optional = false;
	double number;
	size_t i = 0;

	for (; *letters != '\0' && *letters != '*'; letters++) {
		if (*letters == '|') {
			optional = true;
			continue;
		}
		if (i == count)
			return optional ? NULL : "too few arguments";
		if (*letters == 'n' && !conf_parse_points(args[i], &number))
			return "an argument is not a number";
		if (*letters == 'p' && pattern_strip(a, args[i], &text) != NULL)
			return "an argument is not a pattern";
		i++;
	}
	return i < count && *letters != '*' ? "too many arguments" : NULL;
}

struct eval_call *
loader_new_call(struct loader *l, const struct conf_line *line,
    struct rule_def *d, struct span function, enum eval_kind kind,
    struct span text, bool whole)
{
	struct span args[MAX_EVAL_ARGUMENTS];
	size_t *index = strmap_find(&l->functions, function);
	const struct function_ref *f;
	struct eval_call *call;
	const char *wrong;
	long n = 1;

	if (index == NULL) {
		loader_error(l, line, "%s: unknown eval function \"%.*s\"",
		    d->pub.name, SPAN_ARG(function));
		return NULL;
	}
	f = &l->function_list[*index];
	if (!(f->function->kinds & kind) &&
	    !(kind == EVAL_RAWBODY && (f->function->kinds & EVAL_BODY))) {
		loader_error(l, line, "%s: \"%s\" cannot be called in this "
		    "type of rule", d->pub.name, f->function->name);
		return NULL;
	}
	if (whole)
		args[0] = arena_span(l->arena, text);
	else
		n = split_arguments(l->arena, text, args);
	if (n < 0) {
		loader_error(l, line, "%s: cannot read the arguments of \"%s\"",
		    d->pub.name, f->function->name);
		return NULL;
	}
	wrong = check_arguments(l->arena, f->function->arguments, args,
	    (size_t)n);
	if (wrong != NULL) {
		loader_error(l, line, "%s: %s: %s", d->pub.name,
		    f->function->name, wrong);
		return NULL;
	}
	call = ARENA_NEW(l->arena, struct eval_call);
	if (call == NULL ||
	    (call->args = ARENA_ARRAY(l->arena, (size_t)n, struct span)) ==
		NULL) {
		l->oom = true;
		return NULL;
	}
	memcpy((struct span *)(uintptr_t)call->args, args,
	    (size_t)n * sizeof(args[0]));
	call->function = f->function;
	call->rule = d->pub.name;
	call->kind = kind;
	call->arg_count = (size_t)n;
	call->file = d->pub.file;
	call->line = d->pub.line;
	d->family = f->family;
	d->family_index = f->family_index;
	return call;
}

/* Only what the last definition of a rule calls is prepared. */
static int
collect_calls(struct loader *l)
{
	struct ruleset *rs = l->rs;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < rs->rule_count; i++) {
			struct rule_def *d = rs->rules[i];
			size_t *index;
			struct function_ref *f;

			if (d->kind != RULE_EVAL || d->call == NULL)
				continue;
			index = strmap_find(&l->functions,
			    span_cstr(d->call->function->name));
			if (index == NULL)
				continue;
			f = &l->function_list[*index];
			if (pass == 1)
				f->calls[f->count] = d->call;
			f->count++;
			d->call->tflags = d->pub.tflags;
			d->call->max_hits = d->pub.max_hits;
			d->call->tflags_text = d->tflags_text != NULL ?
			    d->tflags_text : "";
		}
		for (size_t i = 0; pass == 0 && i < l->function_count; i++) {
			struct function_ref *f = &l->function_list[i];

			f->calls = ARENA_ARRAY(l->arena, f->count,
			    struct eval_call *);
			if (f->calls == NULL)
				return -ENOMEM;
			f->count = 0;
		}
	}
	return 0;
}

int
loader_prepare(struct loader *l)
{
	struct ruleset *rs = l->rs;
	struct eval_loader el = { l };
	int r = collect_calls(l);

	for (size_t i = 0; r == 0 && i < rs->family_count; i++)
		if (eval_families[i]->load != NULL)
			r = eval_families[i]->load(&el, &rs->family_states[i]);
	for (size_t i = 0; r == 0 && i < rs->rule_count; i++) {
		struct rule_def *d = rs->rules[i];

		if (d->kind != RULE_EVAL || d->call == NULL ||
		    d->call->function->prepare == NULL)
			continue;
		l->failed_call = false;
		r = d->call->function->prepare(&el,
		    rs->family_states[d->family_index], d->call);
		if (l->failed_call)
			d->failed = true;
	}
	return r;
}

struct arena *
eval_arena(struct eval_loader *el)
{
	return el->loader->arena;
}

void
eval_lines(struct eval_loader *el, const char *directive,
    const struct eval_line **ret_lines, size_t *ret_count)
{
	struct loader *l = el->loader;
	size_t *index = strmap_find(&l->directives, span_cstr(directive));

	*ret_lines = index != NULL ? l->directive_list[*index].lines : NULL;
	*ret_count = index != NULL ? l->directive_list[*index].count : 0;
}

struct pattern *
eval_pattern(struct eval_loader *el, struct span text, bool delimiters,
    const char *file, unsigned line)
{
	struct loader *l = el->loader;
	struct error err = { "" };
	struct pattern *p;
	const char *wrong;
	int r;

	if (delimiters &&
	    (wrong = pattern_strip(l->arena, text, &text)) != NULL) {
		eval_error(el, file, line, "%s", wrong);
		return NULL;
	}
	r = pattern_add(l->rs->patterns, text, &p, &err);
	if (r == 0)
		r = pattern_compile(p, &err);
	if (r == -EINVAL)
		eval_error(el, file, line, "bad pattern: %s", err.text);
	else if (r != 0)
		l->oom = true;
	return r == 0 ? p : NULL;
}

static void
complain(struct loader *l, enum diag_level level, const char *file,
    unsigned line, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	diag_add(l->diags, level, file, line, "%s", text);
}

void
eval_error(struct eval_loader *el, const char *file, unsigned line,
    const char *fmt, ...)
{
	va_list ap;

	el->loader->failed_call = true;
	va_start(ap, fmt);
	complain(el->loader, DIAG_ERROR, file, line, fmt, ap);
	va_end(ap);
}

void
eval_warning(struct eval_loader *el, const char *file, unsigned line,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(el->loader, DIAG_WARNING, file, line, fmt, ap);
	va_end(ap);
}

void
eval_calls(struct eval_loader *el, const char *function,
    struct eval_call *const **ret_calls, size_t *ret_count)
{
	struct loader *l = el->loader;
	size_t *index = strmap_find(&l->functions, span_cstr(function));

	*ret_calls = index != NULL ? l->function_list[*index].calls : NULL;
	*ret_count = index != NULL ? l->function_list[*index].count : 0;
}
