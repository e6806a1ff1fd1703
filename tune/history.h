/*
 * history - which scores are in force, and which were before them: the files
 * of tuned_dir.
 *
 *   tuned.cf         in force; not there: the scores as shipped
 *   candidate.cf     the last result of tuning, which runs as shadow
 *   history/NNNN.cf  what was in force before, the highest last; an empty
 *                    one stands for "no tuned.cf"
 *   history/undone.cf what the last rollback took out of force
 *   history/log      what was done, a line each
 *
 * What is in force changes by one rename(2) or unlink(2), nothing is copied:
 * a kill, a power cut or a full disk at any moment leaves either the old
 * scores or the new ones, byte for byte, and an earlier set comes back as the
 * very file that it was. One at a time works here (a lock that dies with its
 * holder). What was begun and not finished is put right by the next call.
 */
#ifndef TUNE_HISTORY_H
#define TUNE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "tune/file.h"

enum { HISTORY_MAX = 100 }; /* sets that are kept; the oldest go */

/* candidate.cf takes the place of tuned.cf, if check says so. 0; -ENOENT: no
 * candidate; -EBUSY: somebody else is at it; what check said; -errno. On any
 * failure what is in force stays. */
int history_adopt(const char *dir, file_check *check, void *context,
    struct error *err);
/* The scores before take the place of tuned.cf. -ENOENT: there are none. */
int history_rollback(const char *dir, file_check *check, void *context,
    struct error *err);

struct history_entry {
	unsigned number;
	bool none; /* the scores as shipped */
	const char *path;
};
/* Oldest first; what is in force is not among them. 0 or -errno. */
int history_list(const char *dir, struct arena *a,
    struct history_entry **ret_list, size_t *ret_count, struct error *err);

/* One line into the log; text is one line of our own making. */
int history_note(const char *dir, int64_t now, const char *event,
    const char *text, struct error *err);
struct history_event {
	int64_t time;
	const char *event, *text;
};
/* The last ones, oldest first, at most `most`; event: only those, NULL: all.
 * A log that is not there has none. 0 or -errno. */
int history_events(const char *dir, const char *event, size_t most,
    struct arena *a, struct history_event **ret_list, size_t *ret_count,
    struct error *err);

/* A lock on dir that other tunings respect; close(2) gives it back. The
 * descriptor, or -EBUSY, -errno. */
int history_lock(const char *dir, struct error *err);

#endif
