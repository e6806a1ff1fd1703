/*
 * One pass over the pattern: each part is written to the outline as it is
 * read, and cut off again where it turns out that it cannot match.
 */
#include "scoring/rules/candidates.h"
#include "scoring/rules/outline.h"

enum {
	MAX_NEST = 200,
	MAX_KNOWN = 16, /* branches of one choice that are compared */
	MIN_ENTITY = 8, /* a shorter branch is simple as it is */
	LONG_REPEAT = 8, /* times */
	MAX_REPEAT = 65535, /* PCRE2's */
	TAIL_PIECES = 4, /* that end an outline and stand for all behind them */
};

struct reader {
	struct span s;
	size_t at;
	struct buf *out;
	unsigned modes, nest;
	/* the outline has nothing yet: at this depth what may be absent is left
	 * out; 0: that is over */
	unsigned lead;
	/* the outline is about to end: at this depth a few bytes are enough */
	unsigned tail;
	unsigned ends; /* see outline_make() */
	bool consumes; /* what was read last takes a byte of the text, or more */
	bool unclear; /* a construct whose parts are not looked at */
};

static const char any_high[] = "[\\x80-\\xff]";

bool
outline_text_plain(struct span text)
{
	unsigned char all = 0;

	for (size_t i = 0; i < text.len; i++)
		all |= (unsigned char)text.ptr[i];
	return all < 0x80 && (text.len < 2 ||
				 memmem(text.ptr, text.len, "&#", 2) == NULL);
}

static bool read_choice(struct reader *r, size_t *ret_branches);

static int
peek(const struct reader *r, size_t ahead)
{
	return r->at + ahead < r->s.len ?
	    (unsigned char)r->s.ptr[r->at + ahead] : -1;
}

static void
copy(struct reader *r, size_t n)
{
	if (n > r->s.len - r->at)
		n = r->s.len - r->at;
	buf_add(r->out, r->s.ptr + r->at, n);
	r->at += n;
}

static void
cut_back(struct reader *r, size_t len)
{
	if (r->out->len > len) {
		r->out->len = len;
		r->out->ptr[len] = '\0';
	}
}

static bool
is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static int
hex_value(int c)
{
	return is_digit(c)	     ? c - '0' :
	    c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A byte above 0x7f stands there. true: the outline has it */
static bool
write_high(struct reader *r)
{
	if (r->modes & OUTLINE_PLAIN)
		return false;
	buf_add_str(r->out, any_high);
	return true;
}

/* One byte of a class at the reader, raw or escaped: its length; 0 when it is
 * more than one byte ("\d") or not known. */
static size_t
class_byte(const struct reader *r, size_t ahead, int *ret_byte)
{
	int c = peek(r, ahead), d = peek(r, ahead + 1), high, low;

	if (c != '\\') {
		*ret_byte = c;
		return c >= 0 && !(c == '[' && (d == ':' || d == '.' || d == '=')) ?
		    1 : 0;
	}
	if (d == 'x') {
		high = hex_value(peek(r, ahead + 2));
		low = hex_value(peek(r, ahead + 3));
		if (high < 0 || low < 0)
			return 0;
		*ret_byte = high << 4 | low;
		return 4;
	}
	if (is_digit(d) || (d >= 'a' && d <= 'z') || (d >= 'A' && d <= 'Z')) {
		*ret_byte = '\n'; /* or another control character */
		return strchr("nrtfea", d) != NULL ? 2 : 0;
	}
	*ret_byte = d;
	return d < 0 ? 0 : 2;
}

/* "[:alpha:]", "\d": members of a kind */
static void
copy_class_kind(struct reader *r)
{
	int c = peek(r, 1);

	if (peek(r, 0) == '[') {
		const char *end = memmem(r->s.ptr + r->at + 2,
		    r->s.len - r->at > 2 ? r->s.len - r->at - 2 : 0, ":]", 2);

		if (c != ':' || end == NULL)
			r->unclear = true;
		else
			copy(r, (size_t)(end - r->s.ptr) - r->at);
	} else if (c < 0 || is_digit(c) || strchr("QEpPNRXxco", c) != NULL)
		r->unclear = true; /* longer than two characters */
	copy(r, 2);
}

/* n bytes that name a member. What means something only by its place keeps its
 * place's meaning where members around it are left out: "[\xff^a]". */
static void
copy_member(struct reader *r, size_t n)
{
	int c = peek(r, 0);

	if (n > 0 && (c == '^' || c == '-' || c == '[' || c == ']'))
		buf_add_char(r->out, '\\');
	copy(r, n);
}

/* A class: its members above 0x7f are left out or become all such bytes. */
static bool
read_class(struct reader *r)
{
	bool negated = peek(r, 1) == '^', first = true, any = false, high = false;
	size_t start = r->out->len;

	copy(r, negated ? 2 : 1);
	for (; peek(r, 0) >= 0 && (first || peek(r, 0) != ']'); first = false) {
		int from = 0, to = 0;
		size_t n = class_byte(r, 0, &from), m = 0;

		if (n > 0 && peek(r, n) == '-' && peek(r, n + 1) != ']') {
			m = class_byte(r, n + 1, &to);
			if (m > 0)
				m++;
			else
				r->unclear = true;
		}
		if (n == 0) {
			copy_class_kind(r);
			any = true;
		} else if (from >= 0x80) {
			r->at += n + m;
			high = true;
		} else {
			copy_member(r, n);
			if (m > 0) {
				copy(r, 1);
				copy_member(r, m - 1);
			}
			any = true;
			high = high || (m > 0 && to >= 0x80);
		}
	}
	if (peek(r, 0) != ']') {
		r->unclear = true;
		return true;
	}
	if (high && !negated && !(r->modes & OUTLINE_PLAIN)) {
		buf_add_str(r->out, "\\x80-\\xff");
		any = true;
	}
	copy(r, 1);
	if (any)
		return true;
	cut_back(r, start);
	if (negated)
		buf_add_str(r->out, "(?s:.)");
	return negated;
}

static bool
read_escape(struct reader *r)
{
	int c = peek(r, 1), high = hex_value(peek(r, 2));

	if (c == 'x' && high >= 0 && hex_value(peek(r, 3)) >= 0) {
		if (high < 8) {
			copy(r, 4);
			return true;
		}
		r->at += 4;
		return write_high(r);
	}
	/* references count groups, which are no longer all there; the others
	 * reach further than two characters, or may */
	if (c < 0 || is_digit(c) || strchr("xkgQEpPXocK", c) != NULL)
		r->unclear = true;
	if ((r->modes & OUTLINE_ENDS) && (c == 'z' || c == 'Z'))
		r->at += 2;
	else
		copy(r, 2);
	return true;
}

/* "(?i)", "(?s-i:": the length with what ends it, which is ':' or ')'; 0: it
 * is no such thing */
static size_t
flags_length(const struct reader *r, int *ret_end)
{
	size_t n = 2;

	while (peek(r, n) > 0 && strchr("imsn^-", peek(r, n)) != NULL)
		n++;
	*ret_end = peek(r, n);
	return *ret_end == ':' || *ret_end == ')' ? n + 1 : 0;
}

/* Digits, of which PCRE2 takes any number if leading ones are zeros. What it
 * refuses as too large only has to stay so. */
static unsigned
read_number(const struct reader *r, size_t *n)
{
	unsigned v = 0;

	for (; is_digit(peek(r, *n)); ++*n)
		if (v < MAX_REPEAT)
			v = v * 10 + (unsigned)(peek(r, *n) - '0');
	return v;
}

/* A quantifier at the reader: its length, or 0; most is 0 without end */
static size_t
quantifier(const struct reader *r, unsigned *ret_least, unsigned *ret_most)
{
	int c = peek(r, 0);
	size_t n = 1;

	*ret_least = c == '+';
	*ret_most = c == '?';
	if (c != '{')
		return c == '*' || c == '+' || c == '?' ? 1 : 0;
	if (!is_digit(peek(r, 1)))
		return 0;
	*ret_most = *ret_least = read_number(r, &n);
	if (peek(r, n) == ',') {
		n++;
		*ret_most = read_number(r, &n);
	}
	return peek(r, n) == '}' ? n + 1 : 0;
}

static bool
is_lookaround(const struct reader *r, size_t *ret_n, bool *ret_negative)
{
	size_t n = peek(r, 2) == '<' ? 3 : 2;

	*ret_n = n + 1;
	*ret_negative = peek(r, n) == '!';
	return peek(r, n) == '=' || peek(r, n) == '!';
}

static bool
read_group(struct reader *r)
{
	size_t start = r->out->len, n = 1, branches, inner;
	bool negative = false, look = false, bare = false, possible;
	bool lead = r->lead != 0 && r->lead == r->nest;
	bool tail = r->tail != 0 && r->tail == r->nest;
	unsigned least, most;
	int end;

	if (peek(r, 1) == '*')
		r->unclear = true;
	else if (peek(r, 1) == '?') {
		look = is_lookaround(r, &n, &negative);
		if (peek(r, 2) == '>') {
			n = 3;
			bare = true;
		} else if (!look && (n = flags_length(r, &end)) == 0) {
			n = 2;
			r->unclear = true;
		} else if (!look && end == ')') {
			/* holds in the branches behind it too, so that the
			 * one with it must not go away */
			r->unclear = true;
		} else
			bare = n == 3;
	}
	if (bare)
		buf_add_str(r->out, "(?:");
	else
		buf_add(r->out, r->s.ptr + r->at, n);
	r->at += n;
	inner = r->out->len;
	if (lead)
		r->lead = r->nest + 1;
	if (tail)
		r->tail = r->nest + 1;
	possible = read_choice(r, &branches);
	if (lead)
		r->lead = r->nest;
	if (tail)
		r->tail = r->nest;
	if (peek(r, 0) != ')')
		r->unclear = true;
	copy(r, 1);
	if (look)
		r->consumes = false;
	if (!possible || look) {
		cut_back(r, start);
		return negative || (look && possible);
	}
	/* one branch needs no brackets */
	if (bare && branches == 1 && quantifier(r, &least, &most) == 0 &&
	    !r->out->failed && !r->unclear) {
		size_t len = r->out->len - inner - 1;

		memmove(r->out->ptr + start, r->out->ptr + inner, len);
		cut_back(r, start + len);
	}
	return true;
}

/* "&#" at the reader that must stand there */
static bool
is_entity(const struct reader *r)
{
	struct reader behind = *r;
	unsigned least, most;
	size_t n = peek(r, 1) == '\\' ? 2 : 1;

	if (peek(r, 0) != '&' || peek(r, n) != '#')
		return false;
	behind.at += n + 1;
	return quantifier(&behind, &least, &most) == 0 || least > 0;
}

static bool
read_atom(struct reader *r)
{
	int c = peek(r, 0);

	r->consumes = c != '^' && c != '$' &&
	    (c != '\\' || memchr("bBAzZG", peek(r, 1), 6) == NULL);
	if (c == '[')
		return read_class(r);
	if (c == '(')
		return read_group(r);
	if (c == '\\')
		return read_escape(r);
	if (c >= 0x80) {
		r->at++;
		return write_high(r);
	}
	if ((r->modes & OUTLINE_PLAIN) && is_entity(r)) {
		r->at++;
		return false;
	}
	if (c == '$' && (r->modes & OUTLINE_ENDS))
		r->at++;
	else
		copy(r, 1);
	return true;
}

/*
 * Where repeats are not counted, high bytes are not either: what was written
 * from start on, if it is some of them, becomes any number of them, and
 * nothing behind any number of them.
 */
static bool
merge_high(struct reader *r, size_t start, bool optional)
{
	static const unsigned modes = OUTLINE_BLUR | OUTLINE_REPEATS;
	const size_t n = sizeof(any_high) - 1;
	size_t len = r->out->len - start;
	char *p = r->out->ptr;

	if ((r->modes & modes) != modes || r->out->failed || len < n ||
	    memcmp(p + start, any_high, n) != 0 ||
	    (len != n && (len != n + 1 || p[start + n] != '+')))
		return false;
	cut_back(r, start);
	if (optional)
		buf_printf(r->out, "%s*", any_high);
	else if (start < n + 1 || p[start - 1] != '+' ||
	    memcmp(p + start - n - 1, any_high, n) != 0)
		buf_printf(r->out, "%s+", any_high);
	return true;
}

/* libhs counts with states, which is not worth it for long */
static bool
is_long(const struct reader *r, unsigned least, unsigned most)
{
	return (r->modes & OUTLINE_LONG) && peek(r, 0) == '{' &&
	    (least > LONG_REPEAT || most > LONG_REPEAT);
}

/* The quantifier behind what was written from start on */
static void
write_quantifier(struct reader *r, size_t start, size_t n, unsigned least,
    unsigned most)
{
	if (merge_high(r, start, n > 0 && least == 0))
		r->at += n;
	else if (n == 0)
		return; /* a brace that begins no quantifier is an atom to come */
	else if (is_long(r, least, most)) {
		buf_printf(r->out, "{%u,}", least > LONG_REPEAT ? LONG_REPEAT :
								  least);
		r->at += n;
	} else if (!(r->modes & OUTLINE_REPEATS) || peek(r, 0) != '{' || most == 1)
		copy(r, n);
	else {
		buf_add_str(r->out, least == 0 ||
			    (least > 1 && (r->modes & OUTLINE_ANY)) ? "*" :
			least == 1 || (r->modes & OUTLINE_ONCE) ? "+" : "{2,}");
		r->at += n;
	}
	/* lazy or possessive: the same texts, or fewer */
	if (n > 0 && (peek(r, 0) == '?' || peek(r, 0) == '+'))
		r->at++;
}

/* An atom and its quantifier. false: it must be there and cannot match */
static bool
read_piece(struct reader *r, bool *ret_optional)
{
	size_t start = r->out->len, at = r->at, n;
	bool lead = r->lead == r->nest, tail = r->tail == r->nest;
	bool there = read_atom(r), nothing;
	unsigned least, most;

	n = quantifier(r, &least, &most);
	/* only what comes first or last may be less than it is */
	if ((lead && n > 0 && least > 1) || (tail && n > 0 && least != 1)) {
		cut_back(r, start);
		r->at = at;
		r->lead = r->tail = 0;
		there = read_atom(r);
		if (tail)
			r->tail = r->nest;
	}
	if (n > 0 && least == 0)
		r->consumes = false;
	nothing = !there || r->out->len == start ||
	    (lead && n > 0 && least == 0);
	write_quantifier(r, start, n, least, most);
	*ret_optional = nothing || (n > 0 && least == 0);
	if (nothing)
		cut_back(r, start);
	else if (lead)
		r->lead = 0;
	return there || (n > 0 && least == 0);
}

/* false: it cannot match, and what was written is to go */
static bool
read_sequence(struct reader *r)
{
	bool possible = true, over = false, consumes = false;
	bool tail = r->tail != 0 && r->tail == r->nest;
	size_t needed = r->out->len, pieces = 0;

	while (peek(r, 0) >= 0 && peek(r, 0) != '|' && peek(r, 0) != ')') {
		size_t start = r->out->len;
		bool group = peek(r, 0) == '(', optional;

		if (!read_piece(r, &optional))
			possible = false;
		consumes = consumes || r->consumes;
		if (over)
			cut_back(r, start);
		else if (tail && !optional) {
			needed = r->out->len;
			over = group || ++pieces == TAIL_PIECES;
		}
	}
	if (tail)
		cut_back(r, needed);
	r->consumes = consumes;
	return possible;
}

/* "&#" and a choice of hundreds of numbers: only its length matters. */
static void
shorten_entity(struct reader *r, size_t start)
{
	const char *branch = r->out->ptr + start;
	size_t n = r->out->len - start;
	uint32_t least, most;

	if (r->out->failed || n < MIN_ENTITY ||
	    (memcmp(branch, "&#", 2) != 0 && memcmp(branch, "&\\#", 3) != 0) ||
	    !hs_widths(branch, &least, &most) || least < 2 ||
	    most == UINT32_MAX)
		return;
	cut_back(r, start);
	if (r->modes & OUTLINE_REPEATS)
		buf_add_str(r->out, "&#(?s:.*)");
	else
		buf_printf(r->out, "&#(?s:.{%u,%u})", least - 2, most - 2);
}

/* false: no branch can match */
static bool
read_choice(struct reader *r, size_t *ret_branches)
{
	struct { size_t start, len; } known[MAX_KNOWN];
	size_t count = 0;
	bool lead, consumes = true;

	if (++r->nest > MAX_NEST) {
		r->unclear = true;
		r->at = r->s.len;
		*ret_branches = 0;
		return true;
	}
	lead = r->lead == r->nest;
	for (;;) {
		size_t before = r->out->len, start, len, i = 0;
		bool possible;

		if (count > 0)
			buf_add_char(r->out, '|');
		start = r->out->len;
		r->lead = lead ? r->nest : 0;
		possible = read_sequence(r);
		consumes = consumes && (r->consumes || !possible);
		if (possible && (r->modes & OUTLINE_BLUR))
			shorten_entity(r, start);
		len = r->out->len - start;
		while (possible && i < count && i < MAX_KNOWN &&
		    (known[i].len != len || memcmp(r->out->ptr + known[i].start,
						r->out->ptr + start, len) != 0))
			i++;
		if (!possible || i < (count < MAX_KNOWN ? count : MAX_KNOWN))
			cut_back(r, before);
		else {
			if (count < MAX_KNOWN) {
				known[count].start = start;
				known[count].len = len;
			}
			count++;
		}
		if (peek(r, 0) != '|')
			break;
		r->at++;
	}
	r->nest--;
	r->consumes = consumes;
	*ret_branches = count;
	return count > 0;
}

/*
 * "(?:A?BC){5}" and nothing more: a match has BCA?B in it. Of the first B,
 * too, what may be absent from its beginning is left out, and of the last all
 * but its beginning.
 */
static bool
write_pair(struct reader *r)
{
	struct reader copy = *r;
	size_t start = r->out->len, n;
	unsigned least, most;

	copy.lead = 1;
	if (peek(r, 0) != '(' || peek(r, 1) != '?' || peek(r, 2) != ':' ||
	    !read_group(&copy) || copy.unclear ||
	    (n = quantifier(&copy, &least, &most)) == 0 || least < 2 ||
	    copy.at + n != copy.s.len ||
	    !copy.consumes /* all repeats may end in one place */) {
		cut_back(r, start);
		return false;
	}
	if (!(r->modes & OUTLINE_ONCE)) {
		r->tail = 1;
		read_group(r);
	}
	/* each B (each two) of a match has an end of its own */
	r->ends = r->modes & OUTLINE_ONCE ? least : least - 1;
	r->at = r->s.len;
	return true;
}

enum outline_result
outline_make(struct span pattern, unsigned modes, struct buf *out,
    unsigned *ret_ends)
{
	struct reader r = { .s = pattern, .out = out, .modes = modes, .ends = 1 };
	size_t n, branches;
	bool possible;
	int end;

	buf_reset(out);
	while (peek(&r, 0) == '(' && peek(&r, 1) == '?' &&
	    (n = flags_length(&r, &end)) != 0 && end == ')')
		copy(&r, n);
	possible = ((modes & (OUTLINE_PAIR | OUTLINE_ONCE)) && write_pair(&r)) ||
	    read_choice(&r, &branches);
	*ret_ends = r.ends;
	if (r.at < r.s.len || r.unclear || out->failed)
		return OUTLINE_UNCLEAR;
	return possible ? OUTLINE_MADE : OUTLINE_NEVER;
}
