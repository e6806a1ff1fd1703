#include <stdarg.h>
#include <stdio.h>

#include "base/diag.h"
#include "base/escape.h"

void
diags_init(struct diags *d, struct arena *a)
{
	*d = (struct diags){ .arena = a };
}

void
diag_add(struct diags *d, enum diag_level level, const char *file,
    unsigned line, const char *fmt, ...)
{
	char text[1024];
	struct diag *x;
	va_list ap;

	switch (level) {
	case DIAG_ERROR:
		d->errors++;
		break;
	case DIAG_WARNING:
		d->warnings++;
		break;
	case DIAG_NOTE:
		d->notes++;
		break;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	x = ARENA_NEW(d->arena, struct diag);
	if (x == NULL || (x->text = arena_strdup(d->arena, text)) == NULL ||
	    (x->file = arena_strdup(d->arena, file)) == NULL) {
		d->lost = true;
		return;
	}
	x->level = level;
	x->line = line;
	if (d->last != NULL)
		d->last->next = x;
	else
		d->first = x;
	d->last = x;
}

void
diags_format(const struct diags *d, enum diag_level at_least, struct buf *out)
{
	for (const struct diag *x = d->first; x != NULL; x = x->next) {
		if (x->level < at_least)
			continue;
		escape_text(out, span_cstr(x->file), 0);
		buf_printf(out, ":%u: %s", x->line,
		    x->level == DIAG_WARNING ? "warning: " :
		    x->level == DIAG_NOTE    ? "note: " :
					       "");
		escape_text(out, span_cstr(x->text), 0);
		buf_add_char(out, '\n');
	}
	if (d->lost)
		buf_add_str(out, "-:0: out of memory, some messages are missing\n");
}
