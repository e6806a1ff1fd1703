#include <errno.h>

#include "base/ascii.h"
#include "base/buf.h"
#include "scoring/message/charset.h"
#include "scoring/message/decode.h"
#include "scoring/message/message.h"

/* At most FIELD_MAX_VALUE_BYTES, a CR LF counted as one */
static struct span
limited(struct span raw)
{
	size_t n = 0, i = 0;

	if (raw.len <= FIELD_MAX_VALUE_BYTES)
		return raw;
	for (; i < raw.len && n < FIELD_MAX_VALUE_BYTES; i++)
		n += raw.ptr[i] != '\r' || i + 1 >= raw.len ||
		    raw.ptr[i + 1] != '\n';
	return span_of(raw.ptr, i);
}

struct span
field_unfolded(const struct message *m, struct field *f)
{
	struct span raw;
	char *out;
	size_t n = 0;

	if (f->unfolded.ptr != NULL)
		return f->unfolded;
	raw = limited(f->raw);
	while (raw.len > 0 && ascii_is_space(raw.ptr[0])) {
		raw.ptr++;
		raw.len--;
	}
	while (raw.len > 0 && ascii_is_space(raw.ptr[raw.len - 1]))
		raw.len--;
	if (raw.len == 0 || memchr(raw.ptr, '\n', raw.len) == NULL) {
		f->unfolded = raw.len != 0 ? raw : SPAN_LIT("");
		return f->unfolded;
	}
	out = arena_bytes(m->arena, raw.len);
	if (out == NULL)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.ptr[i] != '\n') {
			out[n++] = raw.ptr[i];
			continue;
		}
		if (n > 0 && out[n - 1] == '\r')
			n--;
		while (i + 1 < raw.len &&
		    (raw.ptr[i + 1] == ' ' || raw.ptr[i + 1] == '\t'))
			i++;
		out[n++] = ' ';
	}
	f->unfolded = span_of(out, n);
	return f->unfolded;
}

struct span
field_raw(const struct message *m, const struct field *f)
{
	size_t len = limited(f->raw).len, n = 0;
	char *out;

	out = arena_bytes(m->arena, len + 1);
	if (out == NULL)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < len; i++)
		if (f->raw.ptr[i] != '\r' || i + 1 >= len ||
		    f->raw.ptr[i + 1] != '\n')
			out[n++] = f->raw.ptr[i];
	/* the message may end within the field */
	if (n < FIELD_MAX_VALUE_BYTES &&
	    f->raw.ptr + f->raw.len != m->raw.ptr + m->raw.len)
		out[n++] = '\n';
	return span_of(out, n);
}

/* "=?charset?B?text?=" at the start of s */
struct word {
	struct span charset, text;
	bool base64;
	size_t len;
};

static bool
word_parse(struct span s, struct word *ret_word)
{
	size_t i = 2, start;

	if (s.len < 8 || s.ptr[0] != '=' || s.ptr[1] != '?')
		return false;
	while (i < s.len && ((s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
	    (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') ||
	    (s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || s.ptr[i] == '*' ||
	    s.ptr[i] == '_' || s.ptr[i] == '-'))
		i++;
	ret_word->charset = span_of(s.ptr + 2, i - 2);
	if (i == 2 || i + 3 > s.len || s.ptr[i] != '?' || s.ptr[i + 2] != '?')
		return false;
	switch (s.ptr[i + 1] | 0x20) {
	case 'b':
		ret_word->base64 = true;
		break;
	case 'q':
		ret_word->base64 = false;
		break;
	default:
		return false;
	}
	start = i + 3;
	i = start + span_find(span_from(s, start), '?');
	if (i + 1 >= s.len || s.ptr[i + 1] != '=')
		return false;
	ret_word->text = span_of(s.ptr + start, i - start);
	ret_word->len = i + 2;
	return true;
}

struct words {
	struct arena *arena;
	struct buf out;
	struct span charset; /* of what is pending; empty: plain text */
	struct buf pending;  /* transfer-decoded, not yet converted */
};

/* RFC 2231 5: "charset*language" */
static int
words_flush(struct words *w)
{
	struct span text = buf_span(&w->pending), cs = w->charset;

	if (text.len == 0)
		return 0;
	cs.len = span_find(cs, '*');
	if (w->charset.len != 0) {
		int rc = charset_to_utf8(w->arena, text, cs, CHARSET_WORD,
		    &text);

		if (rc != 0)
			return rc;
	}
	buf_add_span(&w->out, text);
	buf_reset(&w->pending);
	return 0;
}

static int
words_add(struct words *w, struct span charset, struct span text)
{
	if (text.len == 0)
		return 0;
	/* a character may be cut in two by adjacent words of one charset,
	 * against RFC 2047 5: such words are joined before conversion */
	if (!span_ieq(charset, w->charset)) {
		int rc = words_flush(w);

		if (rc != 0)
			return rc;
		w->charset = charset;
	}
	buf_add_span(&w->pending, text);
	return 0;
}

static int
words_run(struct words *w, struct span s)
{
	char *scratch = arena_bytes(w->arena, s.len);
	size_t plain = 0, i = 0;
	int rc = 0;

	if (scratch == NULL)
		return -ENOMEM;
	while (i < s.len && rc == 0) {
		struct word word;
		size_t n, after;

		if (s.ptr[i] != '=' || !word_parse(span_from(s, i), &word)) {
			i++;
			continue;
		}
		rc = words_add(w, (struct span){ "", 0 },
		    span_of(s.ptr + plain, i - plain));
		n = word.base64 ? decode_base64(word.text, scratch)
		    : decode_qp(word.text, true, scratch);
		if (rc == 0)
			rc = words_add(w, word.charset, span_of(scratch, n));
		i += word.len;
		after = i;
		while (after < s.len && ascii_is_space(s.ptr[after]))
			after++;
		/* space between two words is no space (RFC 2047 6.2) */
		if (after > i && after < s.len &&
		    word_parse(span_from(s, after), &word))
			i = after;
		plain = i;
	}
	if (rc == 0)
		rc = words_add(w, (struct span){ "", 0 }, span_from(s, plain));
	return rc != 0 ? rc : words_flush(w);
}

static struct span
decode_words(struct arena *a, struct span s, bool words)
{
	struct words w = { .arena = a, .charset = { "", 0 } };
	struct span out = { NULL, 0 };

	if (!text_is_ascii(s) &&
	    charset_to_utf8(a, s, SPAN_LIT("utf-8"), CHARSET_BODY, &s) != 0)
		return out;
	if (!words || s.len < 8 || memmem(s.ptr, s.len, "=?", 2) == NULL)
		return s;
	buf_init(&w.out, s.len * 6 + 64);
	buf_init(&w.pending, s.len + 64);
	if (words_run(&w, s) == 0 && !w.out.failed && !w.pending.failed)
		out = arena_span(a, buf_span(&w.out));
	buf_done(&w.out);
	buf_done(&w.pending);
	return out;
}

struct span
text_decode_words(struct arena *a, struct span text)
{
	return decode_words(a, text, true);
}

/* Fields in which an encoded word means itself (SpamAssassin bug 6945) */
static bool
takes_words(struct span name)
{
	static const char *const plain[] = { "Received", "Message-ID", "Date",
		"Resent-Message-ID", "Resent-Date", "MIME-Version",
		"References", "In-Reply-To" };

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (span_iis(name, plain[i]))
			return false;
	return !span_istarts(name, "List-");
}

struct span
field_decoded(const struct message *m, struct field *f)
{
	struct span s;

	if (f->decoded.ptr != NULL)
		return f->decoded;
	s = field_unfolded(m, f);
	if (s.ptr != NULL)
		s = decode_words(m->arena, s, takes_words(f->name));
	f->decoded = s;
	return s;
}
