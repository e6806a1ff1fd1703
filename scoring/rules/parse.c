/*
 * Rule files line by line: conditionals, includes, and who gets the rest.
 * (Mail::SpamAssassin::Conf::Parser, parse())
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include "scoring/message/charset.h"
#include "scoring/rules/internal.h"

enum { MAX_IF_DEPTH = 100 };

struct condition {
	unsigned line;
	bool outer_skip; /* what it was around the if */
	bool skip;
};

struct file_state {
	struct condition stack[MAX_IF_DEPTH];
	unsigned depth;
};

void
loader_error(struct loader *l, const struct conf_line *line, const char *fmt,
    ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diag_add(l->diags, DIAG_ERROR, line->file, line->number, "%s", text);
}

void
loader_note(struct loader *l, enum diag_level level,
    const struct conf_line *line, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	diag_add(l->diags, level, line->file, line->number, "%s", text);
}

/* Lower case, dashes as underscores */
static struct span
normal_key(struct loader *l, struct span key)
{
	char *copy = arena_memdup(l->arena, key.ptr, key.len);

	if (copy == NULL) {
		l->oom = true;
		return SPAN_LIT("");
	}
	for (size_t i = 0; i < key.len; i++) {
		if (copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] + ('a' - 'A'));
		else if (copy[i] == '-')
			copy[i] = '_';
	}
	return span_of(copy, key.len);
}

static bool
needs_normal(struct span key)
{
	for (size_t i = 0; i < key.len; i++)
		if ((key.ptr[i] >= 'A' && key.ptr[i] <= 'Z') || key.ptr[i] == '-')
			return true;
	return false;
}

static int
parse_include(struct loader *l, const struct conf_line *line)
{
	char *path;

	if (line->value.len == 0) {
		loader_error(l, line, "include: needs a file name");
		return 0;
	}
	if (l->options->paths == NULL) {
		loader_error(l, line, "include: not allowed here");
		return 0;
	}
	if (l->depth >= MAX_INCLUDE_DEPTH) {
		loader_error(l, line, "include: nested more than %d deep, "
		    "perhaps a file includes itself", MAX_INCLUDE_DEPTH);
		return 0;
	}
	if (line->value.ptr[0] == '/')
		path = arena_memdup(l->arena, line->value.ptr, line->value.len);
	else {
		const char *slash = strrchr(line->file, '/');
		int dir_len = slash != NULL ? (int)(slash - line->file + 1) : 0;

		path = arena_printf(l->arena, "%.*s%.*s", dir_len, line->file,
		    SPAN_ARG(line->value));
	}
	if (path == NULL)
		return -ENOMEM;
	return parse_path(l, path, line);
}

/* Words that steer what is read; true when the line was one of them. */
static bool
parse_control(struct loader *l, struct file_state *f,
    const struct conf_line *line, bool *skip)
{
	struct condition *c;
	bool plugin = span_is(line->key, "ifplugin");
	int r;

	if (plugin || span_is(line->key, "if")) {
		if (line->value.len == 0) {
			loader_error(l, line, "%.*s: needs a condition",
			    SPAN_ARG(line->key));
			return true;
		}
		if (f->depth >= MAX_IF_DEPTH) {
			loader_error(l, line, "if: nested too deep");
			return true;
		}
		r = parse_condition(l, line, line->value, plugin);
		c = &f->stack[f->depth++];
		*c = (struct condition){ line->number, *skip,
			*skip || r <= 0 };
		*skip = c->skip;
		return true;
	}
	if (span_is(line->key, "else") || span_is(line->key, "endif")) {
		bool is_else = span_is(line->key, "else");

		if (line->value.len != 0)
			loader_error(l, line, "%.*s: must stand alone",
			    SPAN_ARG(line->key));
		else if (f->depth == 0)
			loader_error(l, line, "%.*s: without an if",
			    SPAN_ARG(line->key));
		else if (is_else) {
			c = &f->stack[f->depth - 1];
			c->skip = c->outer_skip || !c->skip;
			*skip = c->skip;
		} else {
			c = &f->stack[--f->depth];
			*skip = c->outer_skip;
		}
		return true;
	}
	return false;
}

static enum conf_result
parse_setting(struct loader *l, const struct conf_line *line)
{
	return conf_apply(line, l->options->rooms, l->options->room_count,
	    l->arena, l->diags);
}

/* The tuned file is written by a program that reads mail: whatever went
 * wrong there, no rule and no other setting comes in by this way. */
static int
parse_tuned_line(struct loader *l, const struct conf_line *line)
{
	const struct ruleset_options *o = l->options;
	enum conf_result r;

	if (span_is(line->key, "score"))
		parse_rule_line(l, line);
	else {
		r = conf_apply(line, o->tuned_rooms, o->tuned_room_count,
		    l->arena, l->diags);
		if (r == CONF_UNKNOWN)
			loader_error(l, line, "\"%.*s\" may not stand in a file "
			    "of scores", SPAN_ARG(line->key));
	}
	return l->oom ? -ENOMEM : 0;
}

static int
parse_line(struct loader *l, struct conf_line *line, bool *skip_file)
{
	enum conf_result r;

	if (l->scores_only)
		return parse_tuned_line(l, line);
	if (span_is(line->key, "include"))
		return parse_include(l, line);
	if (span_is(line->key, "require_version")) {
		if (!span_is(line->value, "@@VERSION@@") &&
		    !span_is(line->value, "4.000001")) {
			loader_error(l, line, "require_version: this is "
			    "version 4.000001 of the language; the rest of "
			    "the file is not read");
			*skip_file = true;
		}
		return 0;
	}
	r = parse_rule_line(l, line);
	if (r == CONF_UNKNOWN)
		r = parse_replace_line(l, line);
	if (r == CONF_UNKNOWN)
		r = parse_setting(l, line);
	if (r == CONF_UNKNOWN)
		r = parse_list_line(l, line);
	if (r == CONF_UNKNOWN)
		loader_error(l, line, "unknown word \"%.*s\"",
		    SPAN_ARG(line->key));
	return l->oom ? -ENOMEM : 0;
}

/* Latin-1 in rules is good SpamAssassin, and matches the bytes that are
 * written; in an editor or a description it is not what it looks like. */
static void
check_encoding(struct loader *l, const struct conf_line *line, bool *told)
{
	if (*told || (text_is_utf8(line->value) && text_is_utf8(line->key)))
		return;
	*told = true;
	loader_note(l, DIAG_WARNING, line,
	    "not UTF-8: from here on bytes are taken as they are");
}

/* What a false conditional hides is remembered, so that a meta over it is
 * not called a mistake. */
static void
skip_line(struct loader *l, const struct conf_line *line)
{
	static const char *const words[] = { "header", "body", "rawbody", "uri",
		"full", "meta", "mimeheader", "uri_detail", "askdns" };
	struct span rest = line->value, name = conf_next_word(&rest);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (span_is(line->key, words[i]) && rule_name_valid(name) &&
		    strmap_set(&l->skipped, name, 1) != 0)
			l->oom = true;
}

static int
parse_lines(struct loader *l, const struct conf_lines *lines)
{
	struct file_state f = { .depth = 0 };
	bool skip = false, encoding_told = false;

	for (size_t i = 0; i < lines->count; i++) {
		struct conf_line line = lines->lines[i];
		bool skip_file = false;
		int r;

		l->line = &line;
		if (needs_normal(line.key))
			line.key = normal_key(l, line.key);
		/* `lang de describe ...`; ours is English, SpamAssassin's
		 * default in the C locale */
		if (span_is(line.key, "lang")) {
			struct span rest = line.value;
			struct span lang = conf_next_word(&rest);

			if (skip || lang.len > 5 ||
			    strncasecmp("en_US", lang.ptr, lang.len) != 0)
				continue;
			line.key = normal_key(l, conf_next_word(&rest));
			line.value = rest;
			if (line.key.len == 0)
				continue;
		}
		if (parse_control(l, &f, &line, &skip))
			continue;
		if (skip) {
			skip_line(l, &line);
			continue;
		}
		check_encoding(l, &line, &encoding_told);
		r = parse_line(l, &line, &skip_file);
		if (r != 0)
			return r;
		if (skip_file)
			skip = true;
	}
	while (f.depth > 0 && lines->count > 0) {
		f.depth--;
		diag_add(l->diags, DIAG_ERROR, lines->lines[0].file,
		    f.stack[f.depth].line, "if: without an endif");
	}
	return 0;
}

int
parse_text(struct loader *l, const char *name, struct span text)
{
	struct conf_lines lines;
	struct arena *a;
	int r;

	EVP_DigestUpdate(l->sha, name, strlen(name) + 1);
	EVP_DigestUpdate(l->sha, text.ptr != NULL ? text.ptr : "", text.len);
	/* the array of lines goes, what is kept of them is copied */
	a = arena_new(FILE_ARENA_BYTES);
	if (a == NULL)
		return -ENOMEM;
	r = conf_parse(a, name, text, &lines, l->diags, l->err);
	if (r == 0)
		r = parse_lines(l, &lines);
	arena_free(a);
	return r;
}

/* What is wrong with a whole file stands where it was included, or else in
 * its first line. */
static void
path_error(struct loader *l, const struct conf_line *from, const char *path,
    const char *what)
{
	if (from != NULL)
		loader_error(l, from, "include: %s", what);
	else
		diag_add(l->diags, DIAG_ERROR, path, 1, "%s", what);
}

/* A file that cannot be read is an error of its own; the others go on. */
static int
parse_file(struct loader *l, const char *path, const struct conf_line *from)
{
	struct error err = { "" };
	struct conf_lines lines;
	struct arena *a;
	char text[64];
	int r;

	if (++l->files > MAX_FILES) {
		snprintf(text, sizeof(text), "more than %d files", MAX_FILES);
		if (l->files == MAX_FILES + 1)
			path_error(l, from, path, text);
		return 0;
	}
	a = arena_new(FILE_ARENA_BYTES);
	if (a == NULL)
		return -ENOMEM;
	r = conf_read(a, path, CONF_MAX_FILE_BYTES, &lines, l->diags, &err);
	if (r != 0) {
		path_error(l, from, path, err.text);
		arena_free(a);
		return 0;
	}
	/* what was read is what counts, so the lines are hashed: comments and
	 * spaces may change without a new compilation */
	EVP_DigestUpdate(l->sha, path, strlen(path) + 1);
	for (size_t i = 0; i < lines.count; i++) {
		const struct conf_line *x = &lines.lines[i];

		EVP_DigestUpdate(l->sha, x->key.ptr, x->key.len);
		EVP_DigestUpdate(l->sha, " ", 1);
		EVP_DigestUpdate(l->sha, x->value.ptr, x->value.len);
		EVP_DigestUpdate(l->sha, "\n", 1);
	}
	l->depth++;
	r = parse_lines(l, &lines);
	l->depth--;
	arena_free(a);
	return r;
}

static int
is_rule_file(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 3 && d->d_name[0] != '.' &&
	    strcmp(d->d_name + n - 3, ".cf") == 0;
}

static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
parse_directory(struct loader *l, const char *path,
    const struct conf_line *from)
{
	struct dirent **names;
	int n = scandir(path, &names, is_rule_file, by_bytes), r = 0;

	if (n < 0) {
		path_error(l, from, path, strerror(errno));
		return 0;
	}
	for (int i = 0; i < n; i++) {
		char *file = arena_printf(l->arena, "%s/%s", path,
		    names[i]->d_name);

		if (r == 0)
			r = file == NULL ? -ENOMEM : parse_file(l, file, NULL);
		free(names[i]);
	}
	free(names);
	return r;
}

int
parse_path(struct loader *l, const char *path, const struct conf_line *from)
{
	struct stat st;
	char text[512];

	if (stat(path, &st) != 0) {
		snprintf(text, sizeof(text), "cannot open \"%s\": %s", path,
		    strerror(errno));
		path_error(l, from, path, text);
		return 0;
	}
	return S_ISDIR(st.st_mode) ? parse_directory(l, path, from) :
				     parse_file(l, path, from);
}

int
parse_tuned(struct loader *l, const char *path)
{
	int r;

	for (size_t i = 0; i < l->rs->rule_count; i++) {
		struct rule_def *d = l->rs->rules[i];

		d->base_has_score = d->has_score;
		memcpy(d->pub.base_scores, d->pub.scores,
		    sizeof(d->pub.scores));
	}
	l->scores_only = true;
	r = parse_file(l, path, NULL);
	l->scores_only = false;
	return r;
}
