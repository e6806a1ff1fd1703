#include <errno.h>

#include "scoring/message/charset.h"
#include "scoring/message/decode.h"
#include "scoring/message/views.h"

static bool
is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z') || c == '_';
}

static size_t
squash_crlf(char *p, size_t len)
{
	char *cr = len != 0 ? memchr(p, '\r', len) : NULL;
	size_t n;

	if (cr == NULL)
		return len;
	n = (size_t)(cr - p);
	for (size_t i = n; i < len; i++)
		if (p[i] != '\r' || i + 1 >= len || p[i + 1] != '\n')
			p[n++] = p[i];
	return n;
}

static bool
is_text_or_message(struct span type)
{
	return span_istarts(type, "text/") || span_istarts(type, "message/");
}

int
part_decoded(struct part *p, struct span *ret_bytes)
{
	struct span enc;
	char *out;
	size_t n;

	if (p->is_decoded || !p->leaf) {
		*ret_bytes = p->decoded;
		return 0;
	}
	enc = part_header(p, "content-transfer-encoding");
	if (span_iis(enc, "quoted-printable") || span_iis(enc, "base64")) {
		out = arena_bytes(p->message->arena, p->raw.len);
		if (out == NULL)
			return -ENOMEM;
		if (span_iis(enc, "base64")) {
			n = decode_base64(p->raw, out);
			if (is_text_or_message(p->type))
				n = squash_crlf(out, n);
		} else {
			n = squash_crlf(out, decode_qp(p->raw, false, out));
		}
		p->decoded = span_of(out, n);
	} else {
		p->decoded = p->raw;
	}
	p->is_decoded = true;
	*ret_bytes = p->decoded;
	return 0;
}

/* ".htm", ".html", ".shtml" at the end of a file name */
static bool
is_html_name(struct span s)
{
	if (s.len > 0 && (s.ptr[s.len - 1] | 0x20) == 'l' &&
	    s.len >= 4 && (s.ptr[s.len - 2] | 0x20) == 'm')
		s.len--;
	if (s.len < 4 || strncasecmp(s.ptr + s.len - 3, "htm", 3) != 0)
		return false;
	s.len -= 3;
	if ((s.ptr[s.len - 1] | 0x20) == 's')
		s.len--;
	return s.len > 0 && s.ptr[s.len - 1] == '.';
}

bool
part_is_text(const struct part *p)
{
	return is_html_name(p->name) ||
	    (p->type.len >= 4 && memcmp(p->type.ptr, "text", 4) == 0 &&
	    (p->type.len == 4 || !is_word(p->type.ptr[4]))) ||
	    (p->type.len >= 7 && memcmp(p->type.ptr, "message", 7) == 0 &&
	    (p->type.len == 7 || !is_word(p->type.ptr[7])));
}

int
part_render(struct part *p)
{
	struct rendering r = { .invisible = SPAN_LIT("") };
	bool html = is_html_name(p->name) || span_is(p->type, "text/html");
	struct span bytes, text;
	bool wide;
	int rc;

	if (p->is_rendered)
		return 0;
	p->is_rendered = true;
	p->rendered = p->visible = p->invisible = SPAN_LIT("");
	if (!p->leaf || (!html && !span_is(p->type, "text/plain")))
		return 0;
	rc = part_decoded(p, &bytes);
	if (rc != 0)
		return rc;
	rc = charset_to_utf8(p->message->arena, bytes,
	    p->charset.ptr != NULL ? p->charset : SPAN_LIT("us-ascii"),
	    CHARSET_BODY, &text);
	if (rc != 0)
		return rc;
	wide = text.ptr != bytes.ptr || !text_is_ascii(text);
	p->is_text = true;
	if (html && bytes.len != 0) {
		rc = html_render(p->message->arena, text, wide, bytes.len, &r,
		    &p->html);
		if (rc != 0)
			return rc;
		p->rendered = r.text;
		p->visible = r.visible;
		p->invisible = r.invisible;
		p->rendered_wide = r.wide;
		p->visible_wide = r.visible_wide;
		p->invisible_wide = r.invisible_wide;
	} else {
		p->rendered = p->visible = text;
		p->rendered_wide = p->visible_wide = wide;
	}
	return 0;
}
