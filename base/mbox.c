#include <stdio.h>

#include "base/mbox.h"

void
mbox_init(struct mbox *m)
{
	*m = (struct mbox){ .blank_before = true };
}

static bool
is_digit(uint64_t bytes, unsigned place)
{
	unsigned c = bytes >> 8 * place & 0xFF;

	return c >= '0' && c <= '9';
}

/* The last five bytes are "12:34" */
static bool
is_time(uint64_t bytes)
{
	return is_digit(bytes, 4) && is_digit(bytes, 3) &&
	    (bytes >> 16 & 0xFF) == ':' && is_digit(bytes, 1) &&
	    is_digit(bytes, 0);
}

static void
byte(struct mbox *m, unsigned char c)
{
	size_t column = m->at++ - m->line_at;

	if (column < 5) {
		m->from = (column == 0 || m->from) && c == "From "[column];
		m->none = m->none || (m->line_at == 0 && !m->from);
	} else {
		m->last = m->last << 8 | c;
		m->time = m->time || (column >= 9 && is_time(m->last));
	}
	m->text = m->text || (c != ' ' && c != '\t' && c != '\r');
}

bool
mbox_next(struct mbox *m, int c)
{
	bool is, begins;

	if (c != '\n' && c != EOF) {
		byte(m, (unsigned char)c);
		return false;
	}
	is = m->at - m->line_at >= 5 && m->from && m->time;
	begins = is && m->line_at > 0 && m->blank_before && !m->none;
	if (begins)
		m->begin = m->line_at;
	m->none = m->none || (m->line_at == 0 && !is);
	m->blank_before = !m->text;
	m->at += c != EOF;
	m->line_at = m->at;
	m->from = m->time = m->text = false;
	m->last = 0;
	return begins;
}
