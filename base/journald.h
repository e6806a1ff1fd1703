/*
 * journald - does what is written to standard error go into the journal?
 *
 * Then a line may begin with its priority, "<3>", and needs no name of its
 * own. $JOURNAL_STREAM alone does not tell: every child inherits it, with
 * whatever standard error.
 */
#ifndef BASE_JOURNALD_H
#define BASE_JOURNALD_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static inline bool
journald_has_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
	    st.st_ino == ino;
}

#endif
