#include <string.h>

#include "milter/log.h"
#include "milter/report.h"

void
report_errors(const struct diags *diags)
{
	struct buf out;
	char *line, *rest;

	buf_init(&out, 1 << 20);
	diags_format(diags, DIAG_ERROR, &out);
	rest = out.ptr;
	while (out.len != 0 && (line = strsep(&rest, "\n")) != NULL)
		if (line[0] != '\0')
			log_write(LOG_ERR, "%s", line);
	buf_done(&out);
}

void
report_fault(const char *what, const char *text)
{
	struct buf line;

	buf_init(&line, LOG_LINE_BYTES);
	log_add(&line, "error", span_cstr(text), 0);
	log_write(LOG_WARNING, "fault=%s %s", what, line.ptr);
	buf_done(&line);
}

void
report_loaded(const struct snapshot *s, const struct diags *diags)
{
	const struct shadow_list *list = engine_shadows(s->engine);
	const char *compiled = s->scoring->compiled_dir;

	for (size_t i = 0; i < list->fault_count; i++)
		report_fault("shadow", list->faults[i]);
	/* the same for each database, most often: one is enough */
	for (const struct diag *d = diags->first; d != NULL && compiled != NULL;
	     d = d->next)
		if (d->level == DIAG_NOTE && strcmp(d->file, compiled) == 0) {
			report_fault("compiled", d->text);
			break;
		}
}
