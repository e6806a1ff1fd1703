/*
 * error - the text of an expected failure, filled by the callee for the
 * caller to log once. Library rooms return a negative errno-style code and
 * write one line here: lower case, no full stop, what failed first, the
 * subject in quotes; text from mail is escaped by error_set's callers.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stddef.h>

struct error {
	char text[512];
};

/* Formats into err (which may be NULL) and returns code, so that a function
 * can end in `return error_set(err, -EINVAL, ...)`. */
int error_set(struct error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
