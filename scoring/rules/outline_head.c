/*
 * The head of an outline is cut off where bytes behind it are rarer than those
 * it begins with.
 *
 * libhs looks for bytes that a match must have and runs an automaton from
 * there. Where a pattern begins with something common or of any length
 * ("\b(?:the|your)(?:\s\w+)?\s(?:agent|officer)"), such automata run over most
 * of a text, and a few of them cost more than all other patterns. Without the
 * head ("(?:agent|officer)") nothing runs until the rare bytes are there, and
 * what is found too much is a matter of a short look by PCRE2.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "scoring/rules/outline.h"

enum {
	MAX_PIECES = 20000, /* more: left as it is */
	MAX_NEST = 100,
	MAX_WAYS = 32, /* strings that a run of bytes may be */
	MAX_RUN = 16,  /* bytes of a run that are looked at */
	MAX_RUN_PIECES = 64,
	WORTH = 8,     /* a cut makes what is looked for so much rarer */
	NONE = 0,
};
/* Once in so many bytes of a text: libhs has nothing to do; PCRE2 has little to
 * look at; words that everybody uses */
static const double rare = 2e-6, rare_enough = 1e-4, frequent = 2e-3;

/* Of any mail: what letters alone would take for rare */
static const char *const frequent_words[] = {
	" that ", " this ", " with ", " have ", " from ", " your ", " will ",
	" you are", " for ", " the ", " and ", "e-mail", "email ", "please",
	"https://www.", "http://www.", "mailto:", ".com/", ".html", "<a href=",
	"<img src=", "<span style=", "<div style=", "<table width=", "<td ",
	"<p class=", "<br>", "</", "font-size:", "font-family:", "background",
	"color", "border", "padding", "margin", "align=", "height=", "target=",
	"text", "&nbsp;", "received: by ", "content-type",
};

enum kind { BYTE, GROUP, EMPTY, OTHER };

struct piece {
	struct span text; /* with its quantifier */
	enum kind kind;
	unsigned least, most; /* times; most 0: without end */
	double p;	      /* BYTE: that a byte of a text is one of it */
	unsigned ways;	      /* these bytes; letters count once if caseless */
	char byte;	      /* if it is one, in lower case; else '\0' */
	uint32_t choice, next;
};

struct branch {
	struct span text;
	uint32_t first, next; /* piece, branch */
	uint32_t cut;	      /* piece it begins with; NONE: as it is */
	bool inside;	      /* and that piece is cut inside */
	double best;
};

struct choice {
	uint32_t first; /* branch */
	double lead, best;
};

struct tree {
	struct span s;
	size_t at;
	struct piece *pieces;
	struct branch *branches;
	struct choice *choices;
	uint32_t piece_count, branch_count, choice_count; /* with [0] = NONE */
	unsigned nest;
	bool caseless, failed;
};

/* ---- reading */

static int
peek(const struct tree *t, size_t ahead)
{
	return t->at + ahead < t->s.len ?
	    (unsigned char)t->s.ptr[t->at + ahead] : -1;
}

/* How often a byte stands in what people write, roughly */
static double
byte_share(int c)
{
	static const unsigned char letters[] = { 62, 12, 26, 30, 98, 18, 16, 38,
		60, 2, 7, 34, 20, 56, 62, 17, 1, 50, 52, 74, 24, 9, 14, 3, 15, 1 };

	if (ascii_is_alpha((char)c))
		return letters[(c | 32) - 'a'] / 1000.0 *
		    (c & 32 ? 1 : 0.06);
	return c == ' ' ? 0.14 : c == '\n' ? 0.02 : ascii_is_digit((char)c) ? 0.01 :
	    c > 0x20 && c < 0x7f && strchr("<>\"=/.,-:;", c) != NULL ? 0.01 :
	    c >= 0x80 ? 0.005 : 0.002;
}

struct set { bool has[256]; };

static void
set_piece(const struct tree *t, struct piece *p, struct set *set)
{
	p->p = 0;
	p->ways = 0;
	p->byte = '\0';
	for (int c = 0; c < 256; c++) {
		if (t->caseless && ascii_is_alpha((char)c) && set->has[c ^ 32])
			set->has[c] = true;
		if (!set->has[c])
			continue;
		p->p += byte_share(c);
		if (!t->caseless || !ascii_is_alpha((char)c) || (c & 32))
			p->ways++;
		p->byte = (char)(ascii_is_alpha((char)c) ? c | 32 : c);
	}
	if (p->ways != 1)
		p->byte = set->has[' '] && p->ways <= 6 ? ' ' : '\0';
	if (p->p > 1)
		p->p = 1;
	p->kind = BYTE;
}

/* "\d" and its like. false: it is none */
static bool
add_kind(struct set *set, int c)
{
	for (int i = 0; i < 256; i++) {
		bool word = ascii_is_digit((char)i) || ascii_is_alpha((char)i) || i == '_';
		bool is = (c | 32) == 'd' ? ascii_is_digit((char)i) :
		    (c | 32) == 'w'	  ? word : ascii_is_space((char)i);

		set->has[i] = set->has[i] || is == ((c & 32) != 0);
	}
	return strchr("dDwWsS", c) != NULL;
}

/* A byte at ahead, raw or escaped: its length; 0: something else */
static size_t
one_byte(const struct tree *t, size_t ahead, int *ret_byte)
{
	int c = peek(t, ahead), d = peek(t, ahead + 1), high, low;
	const char *known;

	*ret_byte = c;
	if (c != '\\')
		return c < 0 ? 0 : 1;
	*ret_byte = d;
	if (d == 'x') {
		high = ascii_hex_value((char)peek(t, ahead + 2));
		low = ascii_hex_value((char)peek(t, ahead + 3));
		if (high < 0 || low < 0)
			return 0;
		*ret_byte = high << 4 | low;
		return 4;
	}
	known = d > 0 ? strchr("n\nr\rt\tf\fe\033a\a", d) : NULL;
	if (known != NULL && ascii_is_alpha((char)d))
		*ret_byte = known[1];
	return d < 0 || ascii_is_digit((char)d) ||
		(ascii_is_alpha((char)d) && known == NULL) ? 0 : 2;
}

static void
read_class(struct tree *t, struct piece *p)
{
	struct set set = { { false } };
	bool negated = peek(t, 1) == '^', first = true, any = false;
	int from, to;

	t->at += negated ? 2 : 1;
	for (; peek(t, 0) >= 0 && (first || peek(t, 0) != ']'); first = false) {
		size_t n = one_byte(t, 0, &from), m;

		if (peek(t, 0) == '[' && peek(t, 1) > 0 &&
		    strchr(":.=", peek(t, 1)) != NULL) {
			for (n = 2; ascii_is_alpha((char)peek(t, n)) || peek(t, n) == '^';)
				n++;
			if (peek(t, 1) != ':' || peek(t, n) != ':' ||
			    peek(t, n + 1) != ']') {
				t->failed = true;
				return;
			}
			t->at += n + 2;
			any = true;
			continue;
		}
		if (n == 0) {
			if (peek(t, 1) < 0 || !add_kind(&set, peek(t, 1))) {
				t->failed = true;
				return;
			}
			t->at += 2;
			continue;
		}
		to = from;
		t->at += n;
		if (peek(t, 0) == '-' && peek(t, 1) != ']' &&
		    (m = one_byte(t, 1, &to)) != 0)
			t->at += m + 1;
		for (int c = from; c <= to; c++)
			set.has[c] = true;
	}
	t->failed = t->failed || peek(t, 0) != ']';
	t->at++;
	if (any || negated)
		for (int c = 0; c < 256; c++)
			set.has[c] = any || !set.has[c];
	set_piece(t, p, &set);
}

static void
read_byte(struct tree *t, struct piece *p)
{
	struct set set = { { false } };
	int c = peek(t, 0), byte;
	size_t n;

	if (c == '^' || c == '$' || (c == '\\' && peek(t, 1) > 0 &&
					strchr("bBAzZ", peek(t, 1)) != NULL)) {
		p->kind = EMPTY;
		t->at += c == '\\' ? 2 : 1;
		return;
	}
	if (c == '.')
		p->kind = OTHER;
	if (c == '.' || (c == '\\' && peek(t, 1) > 0 &&
			    add_kind(&set, peek(t, 1)))) {
		t->at += c == '.' ? 1 : 2;
		if (c != '.')
			set_piece(t, p, &set);
		return;
	}
	memset(&set, 0, sizeof(set));
	n = one_byte(t, 0, &byte);
	t->failed = t->failed || n == 0;
	t->at += n;
	if (n != 0)
		set.has[byte] = true;
	set_piece(t, p, &set);
}

static unsigned
read_number(const struct tree *t, size_t *n)
{
	unsigned v = 0;

	for (; ascii_is_digit((char)peek(t, *n)); ++*n)
		v = v < 65536 ? v * 10 + (unsigned)(peek(t, *n) - '0') : v;
	return v;
}

static void
read_quantifier(struct tree *t, struct piece *p)
{
	int c = peek(t, 0);
	size_t n = 1;

	p->least = p->most = 1;
	if (c == '{' && ascii_is_digit((char)peek(t, 1))) {
		unsigned least = read_number(t, &n), most = least;

		if (peek(t, n) == ',') {
			n++;
			most = read_number(t, &n);
		}
		if (peek(t, n) != '}')
			return;
		p->least = least;
		p->most = most;
		t->at += n + 1;
	} else if (c == '*' || c == '+' || c == '?') {
		p->least = c == '+';
		p->most = c == '?';
		t->at++;
	} else
		return;
	if (peek(t, 0) == '?' || peek(t, 0) == '+')
		t->at++;
}

static uint32_t read_choice(struct tree *t);

/* Every way to open a group that is understood; others fail. Of an atomic group
 * another branch might match without its head, and keep from matching the one
 * that does with it. */
static void
read_group(struct tree *t, struct piece *p)
{
	bool caseless = t->caseless, look = false, off = false;
	size_t n = 1;

	p->kind = GROUP;
	if (peek(t, 1) == '*')
		t->failed = true;
	if (peek(t, 1) == '?') {
		n = peek(t, 2) == '<' ? 3 : 2;
		look = peek(t, n) == '=' || peek(t, n) == '!';
		if (look)
			n++;
		else
			for (n = 2; peek(t, n) != ':'; n++) {
				off = off || peek(t, n) == '-';
				if (peek(t, n) <= 0 ||
				    strchr("imsn-", peek(t, n)) == NULL) {
					t->failed = true;
					return;
				}
				if (peek(t, n) == 'i')
					t->caseless = !off;
			}
		n += peek(t, n) == ':';
	}
	t->at += n;
	p->choice = read_choice(t);
	t->caseless = caseless;
	t->failed = t->failed || peek(t, 0) != ')';
	t->at++;
	if (look)
		p->kind = EMPTY;
}

static uint32_t
read_piece(struct tree *t)
{
	uint32_t i = t->piece_count;
	size_t start = t->at;
	struct piece p = { .least = 1, .most = 1 };
	int c = peek(t, 0);

	if (i == MAX_PIECES) {
		t->failed = true;
		return NONE;
	}
	t->piece_count++;
	read_quantifier(t, &p); /* there is nothing to repeat */
	t->failed = t->at != start;
	if (c == '(')
		read_group(t, &p);
	else if (c == '[')
		read_class(t, &p);
	else
		read_byte(t, &p);
	if (t->failed)
		return NONE;
	read_quantifier(t, &p);
	p.text = span_of(t->s.ptr + start, t->at - start);
	t->pieces[i] = p;
	return i;
}

/* ---- what is rare */

/*
 * How likely it is that bytes of a text are those that a match has from this
 * piece on, as far as they stand in a row; inside: a group there begins with
 * what is best of it.
 */
static double
run(const struct tree *t, uint32_t i, bool inside)
{
	double p[MAX_RUN + 1], all = 1, word;
	char bytes[MAX_RUN + 1];
	unsigned ways = 1;
	size_t n = 0;

	for (size_t count = 0; i != NONE && count < MAX_RUN_PIECES;
	     i = t->pieces[i].next, count++) {
		const struct piece *x = &t->pieces[i];
		const struct choice *c = &t->choices[x->choice];

		if (x->kind == EMPTY)
			continue;
		if (x->kind == BYTE && x->least == 0 && x->most == 1 &&
		    ways * 2 <= MAX_WAYS) {
			ways *= 2;
			continue;
		}
		if (x->kind == GROUP && x->least > 0)
			all = inside && n == 0 ? c->best : c->lead;
		if (x->kind != BYTE)
			break;
		for (unsigned k = 0; k < x->least && n < MAX_RUN &&
		     ways * x->ways <= MAX_WAYS; k++) {
			ways *= x->ways;
			p[n] = x->p;
			bytes[n++] = x->byte;
		}
		if (x->least == 0 || x->most != x->least || n == MAX_RUN ||
		    ways * x->ways > MAX_WAYS)
			break;
	}
	bytes[n] = '\0';
	p[n] = all;
	for (size_t k = 0; k < n; k++)
		all *= p[k];
	for (size_t k = 0; k < sizeof(frequent_words) / sizeof(*frequent_words);
	     k++) {
		size_t same = 0;
		const char *f = frequent_words[k], *from = strchr(f, bytes[0]);

		for (; n > 0 && bytes[0] != '\0' && from != NULL;
		     from = strchr(from + 1, bytes[0])) {
			for (same = 0; same < n && from[same] == bytes[same] &&
			     from[same] != '\0';)
				same++;
			if (same < n && from[same] != '\0')
				continue;
			word = frequent;
			for (size_t m = same; m <= n; m++)
				word *= p[m];
			if (word > all)
				all = word;
		}
	}
	return all;
}

static void
find_cut(struct tree *t, struct branch *b)
{
	double lead = run(t, b->first, false);

	b->best = lead;
	for (uint32_t i = b->first; i != NONE && b->best > rare;
	     i = t->pieces[i].next) {
		const struct piece *x = &t->pieces[i];

		for (int inside = 0; inside < 2; inside++) {
			double p = run(t, i, inside);

			if ((inside && (x->kind != GROUP || x->least == 0)) ||
			    p * (i == b->cut ? 1 : 2) > b->best || p * WORTH > lead)
				continue;
			b->best = p;
			b->cut = i;
			b->inside = inside;
			if (p <= rare)
				break;
		}
	}
}

static uint32_t
read_branch(struct tree *t)
{
	uint32_t i = t->branch_count, *link;
	size_t start = t->at;
	struct branch b = { .first = NONE };

	if (i == MAX_PIECES) {
		t->failed = true;
		return NONE;
	}
	t->branch_count++;
	link = &b.first;
	while (!t->failed && peek(t, 0) >= 0 && peek(t, 0) != '|' &&
	    peek(t, 0) != ')') {
		*link = read_piece(t);
		link = &t->pieces[*link].next;
	}
	b.text = span_of(t->s.ptr + start, t->at - start);
	if (!t->failed)
		find_cut(t, &b);
	t->branches[i] = b;
	return i;
}

static uint32_t
read_choice(struct tree *t)
{
	uint32_t i = t->choice_count, *link;
	struct choice c = { .first = NONE };

	if (i == MAX_PIECES || ++t->nest > MAX_NEST) {
		t->failed = true;
		return NONE;
	}
	t->choice_count++;
	link = &c.first;
	for (;;) {
		*link = read_branch(t);
		if (t->failed)
			return NONE;
		c.lead += run(t, t->branches[*link].first, false);
		c.best += t->branches[*link].best;
		link = &t->branches[*link].next;
		if (peek(t, 0) != '|')
			break;
		t->at++;
	}
	t->nest--;
	t->choices[i] = c;
	return i;
}

/* ---- writing */

static void write_choice(const struct tree *t, uint32_t choice, struct buf *out);

static void
write_branch(const struct tree *t, const struct branch *b, struct buf *out)
{
	const struct piece *p = &t->pieces[b->cut];
	const char *from = b->text.ptr, *end = b->text.ptr + b->text.len;

	if (b->cut != NONE)
		from = p->text.ptr;
	if (b->cut != NONE && b->inside) {
		const char *first =
		    t->branches[t->choices[p->choice].first].text.ptr;

		/* of repeats the last one */
		buf_add(out, from, (size_t)(first - from));
		write_choice(t, p->choice, out);
		buf_add_char(out, ')');
		from = p->text.ptr + p->text.len;
	}
	buf_add(out, from, (size_t)(end - from));
}

static void
write_choice(const struct tree *t, uint32_t choice, struct buf *out)
{
	for (uint32_t b = t->choices[choice].first; b != NONE;
	     b = t->branches[b].next) {
		if (b != t->choices[choice].first)
			buf_add_char(out, '|');
		write_branch(t, &t->branches[b], out);
	}
}

/* "(?i)" and the like, which hold for all that follows */
static void
read_flags(struct tree *t)
{
	size_t n = 2;

	while (peek(t, 0) == '(' && peek(t, 1) == '?') {
		for (n = 2; peek(t, n) > 0 && strchr("ims", peek(t, n)) != NULL;
		     n++)
			t->caseless = t->caseless || peek(t, n) == 'i';
		if (n == 2 || peek(t, n) != ')')
			return;
		t->at += n + 1;
	}
}

bool
outline_cut_head(struct span outline, struct buf *out)
{
	struct tree t = { .s = outline };
	uint32_t all = NONE;

	buf_reset(out);
	t.pieces = calloc(MAX_PIECES, sizeof(*t.pieces));
	t.branches = calloc(MAX_PIECES, sizeof(*t.branches));
	t.choices = calloc(MAX_PIECES, sizeof(*t.choices));
	t.piece_count = t.branch_count = t.choice_count = 1;
	if (t.pieces != NULL && t.branches != NULL && t.choices != NULL) {
		read_flags(&t);
		buf_add(out, outline.ptr, t.at);
		all = read_choice(&t);
		if (t.failed || t.at < outline.len ||
		    t.choices[all].best > rare_enough)
			all = NONE;
		else
			write_choice(&t, all, out);
	}
	free(t.pieces);
	free(t.branches);
	free(t.choices);
	return all != NONE && !out->failed &&
	    !span_eq(buf_span(out), outline);
}
