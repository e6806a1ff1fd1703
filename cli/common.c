#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "cli/cli.h"

int
cli_fail(int code, const char *fmt, ...)
{
	char text[1024];
	struct buf out;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_init(&out, 16384);
	escape_text(&out, span_cstr(text), 0);
	fprintf(stderr, "spamscore: %s\n", out.ptr);
	buf_done(&out);
	return code;
}

int
cli_print_json(FILE *out, json_t *object)
{
	/* scores are kept to 0.001 and stay far below 1e9: 12 digits print
	 * them as they were written */
	int r = object == NULL ? -2 :
	    json_dumpf(object, out, JSON_COMPACT | JSON_REAL_PRECISION(12));

	json_decref(object);
	if (r == -2)
		return cli_fail(EX_OSERR, "out of memory");
	if (r != 0 || putc('\n', out) == EOF)
		return cli_fail(EX_IOERR, "cannot write the result");
	return EX_OK;
}

bool
cli_color(const char *when)
{
	const char *no = getenv("NO_COLOR");

	if (strcmp(when, "always") == 0)
		return true;
	return strcmp(when, "auto") == 0 && (no == NULL || no[0] == '\0') &&
	    isatty(STDOUT_FILENO);
}

void
cli_print_text(struct span text)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	escape_text(&out, text, 0);
	fwrite(out.ptr, 1, out.len, stdout);
	buf_done(&out);
}

int
cli_finish(int code)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return cli_fail(EX_IOERR, "cannot write the result: %s",
		    strerror(errno));
	return code;
}
