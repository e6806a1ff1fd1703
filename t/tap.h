/*
 * tap - the test protocol (TAP 12) for tests in C. A failure prints got and
 * want and the run goes on; tap_done() is main's last line.
 */
#ifndef T_TAP_H
#define T_TAP_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"

static unsigned tap_count, tap_failed;

static inline bool __attribute__((format(printf, 2, 3)))
tap_ok(bool ok, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %u - ", ok ? "" : "not ", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (!ok)
		tap_failed++;
	fflush(stdout);
	return ok;
}

static inline bool
tap_is_int(long long got, long long want, const char *label)
{
	bool ok = tap_ok(got == want, "%s", label);

	if (!ok)
		printf("#  got: %lld\n# want: %lld\n", got, want);
	return ok;
}

static inline bool
tap_is_double(double got, double want, const char *label)
{
	bool ok = tap_ok(fabs(got - want) <= 1e-9 * (1 + fabs(want)), "%s", label);

	if (!ok)
		printf("#  got: %.17g\n# want: %.17g\n", got, want);
	return ok;
}

static inline void
tap_dump(const char *word, const char *p, size_t n)
{
	printf("# %s: ", word);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '\n')
			printf("\\n\n#       ");
		else if (c < 0x20 || c >= 0x7F)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	putchar('\n');
}

static inline bool
tap_is_span(struct span got, struct span want, const char *label)
{
	bool ok = tap_ok(span_eq(got, want), "%s", label);

	if (!ok) {
		tap_dump(" got", got.ptr, got.len);
		tap_dump("want", want.ptr, want.len);
	}
	return ok;
}

static inline bool
tap_is_str(const char *got, const char *want, const char *label)
{
	if (got == NULL || want == NULL) {
		bool ok = tap_ok(got == want, "%s", label);

		if (!ok)
			printf("#  got: %s\n# want: %s\n", got ? got : "(null)",
			    want ? want : "(null)");
		return ok;
	}
	return tap_is_span(span_cstr(got), span_cstr(want), label);
}

/* A whole test file that cannot run here */
static inline int
tap_skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	return 0;
}

static inline void
tap_skip(const char *label, const char *why)
{
	printf("ok %u - %s # SKIP %s\n", ++tap_count, label, why);
}

static inline int
tap_done(void)
{
	printf("1..%u\n", tap_count);
	return tap_failed != 0;
}

#endif
