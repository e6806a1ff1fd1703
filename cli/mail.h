/*
 * mail - where messages lie: files, directories, Maildirs, mboxes; and when
 * a message came.
 */
#ifndef CLI_MAIL_H
#define CLI_MAIL_H

#include "cli/cli.h"
#include "scoring/message/message.h"

struct paths {
	char **items;
	size_t count, alloc;
};

/* Files as they are named, directories recursively in C-locale order; what
 * cannot be opened stays in the list and becomes an error when it is read.
 * Symbolic links inside a directory are followed only to files. false: no
 * memory. */
bool paths_walk(struct paths *p, const char *path);
void paths_done(struct paths *p);

/* One message inside a file */
struct mail_part {
	size_t offset, length;
};
/* Where the messages of an mbox begin and end: "From " behind an empty line,
 * with a time of day in it. One part, all of it, for any other file. The
 * list is the caller's to free; NULL: no memory. */
struct mail_part *mail_parts(struct span text, size_t *ret_count);

/* The message's own time: when its last hop took it, else its Date; 0: it
 * tells none. */
int64_t mail_time(struct message *m);

#endif
