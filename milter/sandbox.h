/*
 * sandbox - what the daemon takes from itself once its socket is open and
 * its user is nobody special: files outside a list (Landlock), writing
 * anywhere but where its state and sockets are, running programs, and every
 * system call that mail, DNS and SQLite do not need (seccomp).
 *
 * Called on the only thread, before any other exists: both are inherited.
 * A system call that is not in the list fails with EPERM; the process is not
 * killed, since a message would pay for it. Memory that is both writable and
 * executable stays allowed: PCRE2 compiles rules into it.
 */
#ifndef MILTER_SANDBOX_H
#define MILTER_SANDBOX_H

#include <stddef.h>

#include "base/error.h"

struct sandbox_paths {
	/* what does not exist is passed over; NULL entries, too */
	const char *const *read;
	size_t read_count;
	const char *const *write; /* directories */
	size_t write_count;
};

/* *ret_landlock: the kernel's ABI of Landlock, 0 if it has none, which is no
 * failure. 0, or -errno: do not go on. Does nothing under a sanitizer. */
int sandbox_enter(const struct sandbox_paths *paths, int *ret_landlock,
    struct error *err);

#endif
