#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/conf.h"
#include "tune/file.h"
#include "tune/result.h"

#define FIRST_LINE "# spamscore-tuned 1"

bool
result_name_is_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > RESULT_MAX_NAME || isdigit((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isascii((unsigned char)name[i]) ||
		    (!isalnum((unsigned char)name[i]) && name[i] != '_'))
			return false;
	return true;
}

/* Scores are kept to 0.001; no locale comes near it */
static void
add_points(struct buf *out, double v)
{
	char text[64];
	size_t n = (size_t)snprintf(text, sizeof(text), "%.3f", v);

	while (n > 0 && text[n - 1] == '0')
		n--;
	if (n > 0 && text[n - 1] == '.')
		n--;
	buf_add(out, strcmp(text, "-0.000") == 0 ? "0" : text,
	    strcmp(text, "-0.000") == 0 ? 1 : n);
}

static void
add_time(struct buf *out, int64_t t)
{
	time_t when = (time_t)t;
	char text[64];
	struct tm tm;

	if (gmtime_r(&when, &tm) != NULL &&
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) != 0)
		buf_printf(out, "%s ", text);
	buf_printf(out, "(%" PRId64 ")", t);
}

/* One line, whatever is in it */
static void
add_line(struct buf *out, const char *key, const char *value)
{
	buf_printf(out, "# %s: ", key);
	for (; value != NULL && *value != '\0'; value++)
		buf_add_char(out, (unsigned char)*value < ' ' ? ' ' : *value);
	buf_add_char(out, '\n');
}

static void
add_entry(struct buf *out, const struct result_entry *e)
{
	buf_printf(out, "\n# %s: was ", e->name);
	add_points(out, e->old);
	buf_printf(out, "; %zu ham, %zu spam, S/O %.3f (%.3f .. %.3f): ", e->ham,
	    e->spam, e->so, e->so_low, e->so_high);
	for (const char *p = e->why; *p != '\0'; p++)
		buf_add_char(out, (unsigned char)*p < ' ' ? ' ' : *p);
	buf_printf(out, "\n# base %s ", e->name);
	add_points(out, e->base);
	buf_printf(out, "\nscore %s ", e->name);
	add_points(out, e->score);
	buf_add_char(out, '\n');
}

int
result_format(const struct result *r, struct buf *out, struct error *err)
{
	for (size_t i = 0; i < r->count; i++)
		if (!result_name_is_valid(r->entries[i].name) ||
		    (i > 0 && strcmp(r->entries[i - 1].name,
			r->entries[i].name) >= 0) ||
		    !isfinite(r->entries[i].score) ||
		    !isfinite(r->entries[i].base))
			return error_set(err, -EINVAL,
			    "entry %zu has no proper name, score or place", i);
	buf_add_str(out, FIRST_LINE "\n"
	    "# Written by spamscore tune; a later one replaces it.\n# made: ");
	add_time(out, r->made);
	buf_printf(out, "\n# ruleset: %s\n# seed: %" PRIu64 "\n"
	    "# fitted to: %zu ham, %zu spam\n# judged on: %zu ham, %zu spam\n",
	    r->ruleset, r->seed, r->fit_ham, r->fit_spam, r->held_ham,
	    r->held_spam);
	buf_printf(out, "# certified: %s, loss %.9g, confidence %.9g, lost %zu of "
	    "%zu\n", r->certified.holds ? "yes" : "no", r->certified.loss,
	    r->certified.confidence, r->certified.lost, r->certified.given);
	add_line(out, "certificate reject", r->certificate_reject);
	add_line(out, "certificate tag", r->certificate_tag);
	if (r->has_tag) {
		buf_add_str(out, "tag_score ");
		add_points(out, r->tag_score);
		buf_add_char(out, '\n');
	}
	if (r->has_reject) {
		buf_add_str(out, "reject_score ");
		add_points(out, r->reject_score);
		buf_add_char(out, '\n');
	}
	for (size_t i = 0; i < r->count; i++)
		add_entry(out, &r->entries[i]);
	return out->failed ? error_set(err, -ENOMEM, "out of memory") : 0;
}

struct reader {
	struct result r;
	struct arena *arena;
	struct diags *diags;
	const char *name;
	unsigned line;
	size_t alloc;
	/* of the entry that is being read */
	struct result_entry entry;
	bool has_about, has_base;
	unsigned seen; /* header lines */
	bool no_memory;
};

static void
fault(struct reader *d, const char *text)
{
	diag_add(d->diags, DIAG_ERROR, d->name, d->line, "%s", text);
}

static bool
take_number(struct span s, size_t *ret)
{
	int64_t v;

	if (!conf_parse_int(s, &v) || v < 0)
		return false;
	*ret = (size_t)v;
	return true;
}

/* "12 ham, 345 spam" */
static bool
take_counts(struct span s, size_t *ret_ham, size_t *ret_spam,
    struct span *ret_rest)
{
	struct span a = conf_next_word(&s), ham = conf_next_word(&s);
	struct span b = conf_next_word(&s), spam = conf_next_word(&s);

	*ret_rest = s;
	return take_number(a, ret_ham) && span_is(ham, "ham,") &&
	    take_number(b, ret_spam) && (span_is(spam, "spam") ||
	    span_is(spam, "spam,"));
}

/* A share above 0 and below 1, as %.9g writes it. */
static bool
take_fraction(struct span s, double *ret)
{
	char text[32], *end;

	if (s.len > 0 && s.ptr[s.len - 1] == ',')
		s.len--;
	if (s.len == 0 || s.len >= sizeof(text))
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	if (strspn(text, "0123456789.e-") != s.len)
		return false;
	*ret = strtod(text, &end);
	return *end == '\0' && *ret > 0 && *ret < 1;
}

/* "yes, loss 0.001, confidence 0.95, lost 2 of 3100" */
static bool
take_certified(struct span s, struct result_certified *c)
{
	struct span holds = conf_next_word(&s);

	c->holds = span_is(holds, "yes,");
	return (c->holds || span_is(holds, "no,")) &&
	    span_is(conf_next_word(&s), "loss") &&
	    take_fraction(conf_next_word(&s), &c->loss) &&
	    span_is(conf_next_word(&s), "confidence") &&
	    take_fraction(conf_next_word(&s), &c->confidence) &&
	    span_is(conf_next_word(&s), "lost") &&
	    take_number(conf_next_word(&s), &c->lost) &&
	    span_is(conf_next_word(&s), "of") &&
	    take_number(conf_next_word(&s), &c->given) &&
	    span_trim(s).len == 0 && c->lost <= c->given;
}

static const char *
keep(struct reader *d, struct span s)
{
	char *p = arena_memdup(d->arena, s.ptr, s.len);

	if (p == NULL)
		d->no_memory = true;
	return p;
}

static bool
take_made(struct reader *d, struct span s)
{
	size_t open = span_find(s, '('), close = span_find(s, ')');
	int64_t t;

	if (open >= close || !conf_parse_int(span_of(s.ptr + open + 1,
		close - open - 1), &t))
		return false;
	d->r.made = t;
	return true;
}

/* A header line behind "# "; false: it is none */
static bool
take_header(struct reader *d, struct span s)
{
	static const char *const keys[] = { "made:", "ruleset:", "seed:",
		"fitted to:", "judged on:", "certificate reject:",
		"certificate tag:", "certified:" };
	struct span rest;
	size_t n, seed = 0;
	bool ok = true;
	unsigned k;

	for (k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		if (s.len >= strlen(keys[k]) &&
		    memcmp(s.ptr, keys[k], strlen(keys[k])) == 0)
			break;
	if (k == sizeof(keys) / sizeof(keys[0]))
		return false;
	n = strlen(keys[k]);
	s = span_trim(span_from(s, n));
	if ((d->seen & 1u << k) != 0 || d->r.count > 0)
		fault(d, "this line of the header stands twice or too late");
	d->seen |= 1u << k;
	switch (k) {
	case 0:
		ok = take_made(d, s);
		break;
	case 1:
		ok = s.len == 64;
		d->r.ruleset = keep(d, s);
		break;
	case 2:
		ok = take_number(s, &seed);
		d->r.seed = seed;
		break;
	case 3:
		ok = take_counts(s, &d->r.fit_ham, &d->r.fit_spam, &rest);
		break;
	case 4:
		ok = take_counts(s, &d->r.held_ham, &d->r.held_spam, &rest);
		break;
	case 5:
		d->r.certificate_reject = keep(d, s);
		break;
	case 6:
		d->r.certificate_tag = keep(d, s);
		break;
	case 7:
		ok = take_certified(s, &d->r.certified);
		break;
	}
	if (!ok)
		fault(d, "this line of the header does not parse");
	return true;
}

static bool
take_share(struct span s, const char *before, const char *behind, double *ret)
{
	size_t a = strlen(before), b = strlen(behind);

	if (s.len < a + b || memcmp(s.ptr, before, a) != 0 ||
	    memcmp(s.ptr + s.len - b, behind, b) != 0)
		return false;
	return conf_parse_points(span_of(s.ptr + a, s.len - a - b), ret) &&
	    *ret >= 0 && *ret <= 1;
}

/* "was OLD; 12 ham, 345 spam, S/O 0.981 (0.950 .. 0.990): why" */
static bool
take_about(struct reader *d, struct span s)
{
	struct result_entry *e = &d->entry;
	struct span was = conf_next_word(&s), old = conf_next_word(&s);

	if (!span_is(was, "was") || old.len < 2 ||
	    old.ptr[old.len - 1] != ';' ||
	    !conf_parse_points(span_of(old.ptr, old.len - 1), &e->old) ||
	    !take_counts(s, &e->ham, &e->spam, &s) ||
	    !span_is(conf_next_word(&s), "S/O") ||
	    !take_share(conf_next_word(&s), "", "", &e->so) ||
	    !take_share(conf_next_word(&s), "(", "", &e->so_low) ||
	    !span_is(conf_next_word(&s), "..") ||
	    !take_share(conf_next_word(&s), "", "):", &e->so_high))
		return false;
	e->why = keep(d, span_trim(s));
	return true;
}

static const char *
take_name(struct reader *d, struct span s)
{
	const char *name = keep(d, s);

	/* a NUL would cut it short */
	if (name == NULL || strlen(name) != s.len || !result_name_is_valid(name)) {
		fault(d, "this is no name of a rule");
		return NULL;
	}
	return name;
}

static void
comment(struct reader *d, struct span s)
{
	struct span word = conf_next_word(&s), rest = s;
	const char *name;

	if (span_is(word, "base")) {
		struct span of = conf_next_word(&rest);

		if (!d->has_about || d->has_base ||
		    !span_is(of, d->entry.name) ||
		    !conf_parse_points(span_trim(rest), &d->entry.base))
			fault(d, "this base does not belong to what stands above");
		d->has_base = true;
		return;
	}
	if (word.len < 2 || word.ptr[word.len - 1] != ':') {
		fault(d, "this comment is not one of spamscore tune");
		return;
	}
	name = take_name(d, span_of(word.ptr, word.len - 1));
	if (d->has_about)
		fault(d, "the rule above has no score");
	d->entry = (struct result_entry){ .name = name };
	d->has_about = name != NULL;
	d->has_base = false;
	if (name != NULL && !take_about(d, rest))
		fault(d, "what was found of this rule does not parse");
}

static void
score_line(struct reader *d, struct span s)
{
	struct span name = conf_next_word(&s);
	struct result_entry *e = &d->entry;

	if (!d->has_about || !d->has_base || !span_is(name, e->name)) {
		fault(d, "this score does not belong to what stands above");
		return;
	}
	d->has_about = d->has_base = false;
	if (!conf_parse_points(span_trim(s), &e->score)) {
		fault(d, "this is no score");
		return;
	}
	/* in order, so that a long file cannot make the search for what stands
	 * twice a long one */
	if (d->r.count > 0 &&
	    strcmp(d->r.entries[d->r.count - 1].name, e->name) >= 0) {
		fault(d, "this rule stands twice or out of order");
		return;
	}
	if (d->r.count == d->alloc) {
		size_t alloc = d->alloc == 0 ? 256 : d->alloc * 2;
		struct result_entry *p = ARENA_ARRAY(d->arena, alloc,
		    struct result_entry);

		if (p == NULL) {
			d->no_memory = true;
			return;
		}
		if (d->r.count > 0)
			memcpy(p, d->r.entries, d->r.count * sizeof(*p));
		d->r.entries = p;
		d->alloc = alloc;
	}
	e->line = d->line;
	d->r.entries[d->r.count++] = *e;
}

static void
threshold_line(struct reader *d, struct span s, bool *has, double *value)
{
	if (*has || d->r.count > 0)
		fault(d, "a threshold that stands twice or too late");
	else if (!conf_parse_points(span_trim(s), value) || *value <= 0)
		fault(d, "this is no threshold");
	*has = true;
}

static void
line(struct reader *d, struct span s)
{
	struct span word;

	if (memchr(s.ptr != NULL ? s.ptr : "", '\0', s.len) != NULL) {
		fault(d, "a NUL");
		return;
	}
	s = span_trim(s);
	if (s.len == 0)
		return;
	if (s.ptr[0] == '#') {
		s = span_trim(span_from(s, 1));
		if (!span_istarts(s, "Written by") && !take_header(d, s))
			comment(d, s);
		return;
	}
	word = conf_next_word(&s);
	if (span_is(word, "score"))
		score_line(d, s);
	else if (span_is(word, "tag_score"))
		threshold_line(d, s, &d->r.has_tag, &d->r.tag_score);
	else if (span_is(word, "reject_score"))
		threshold_line(d, s, &d->r.has_reject, &d->r.reject_score);
	else
		fault(d, "only scores and thresholds stand in such a file");
}

int
result_parse(struct span text, const char *name, struct arena *a,
    struct diags *diags, struct result *ret_result, struct error *err)
{
	struct reader d = { .arena = a, .diags = diags, .name = name };
	size_t before = diags->errors;

	for (size_t at = 0; at < text.len && !d.no_memory;) {
		struct span s = span_from(text, at);

		s.len = span_find(s, '\n');
		at += s.len + 1;
		d.line++;
		if (d.line > 1)
			line(&d, s);
		else if (!span_is(span_trim(s), FIRST_LINE))
			fault(&d, "the first line is not \"" FIRST_LINE "\"");
	}
	if (d.line == 0 || d.seen != 255)
		fault(&d, "the header is not complete");
	if (d.has_about)
		fault(&d, "the last rule has no score");
	if (d.no_memory || diags->lost)
		return error_set(err, -ENOMEM, "out of memory");
	if (diags->errors != before)
		return error_set(err, -EINVAL, "%zu errors in \"%s\"",
		    diags->errors - before, name);
	*ret_result = d.r;
	return 0;
}

int
result_read(const char *path, struct arena *a, struct diags *diags,
    struct result *ret_result, struct error *err)
{
	const char *name = arena_strdup(a, path);
	struct buf text;
	int r;

	if (name == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	buf_init(&text, RESULT_MAX_BYTES);
	r = file_read(path, &text, err);
	if (r == 0)
		r = result_parse(buf_span(&text), name, a, diags, ret_result, err);
	buf_done(&text);
	return r;
}

bool
result_stale(const struct result_entry *e, double shipped)
{
	return fabs(e->base - shipped) > 0.0005;
}
