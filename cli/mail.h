/*
 * mail - where messages lie: files, directories, Maildirs, mboxes, stdin;
 * how one is read; and when it came. Every verb that takes PATHs finds its
 * messages here.
 */
#ifndef CLI_MAIL_H
#define CLI_MAIL_H

#include "cli/cli.h"
#include "scoring/message/message.h"

/* One message */
struct mail {
	char *name;	/* its path; "PATH:N": the N-th of an mbox; "-" */
	char *path;	/* what to open, when that is not the name; or NULL */
	size_t offset, length; /* within the file; length 0: all of it */
};

struct mail_list {
	struct mail *items;
	size_t count, alloc;
	int stdin_fd;	/* where "-" was kept; 0: it was not asked for */
};

/*
 * Adds the messages of a path, in order:
 *  - of a directory those of the files in it, recursively, in C-locale order.
 *    Names that begin with a dot are left out (Maildir++ keeps other folders
 *    there); of a Maildir, cur and new are read. Symbolic links inside a
 *    directory are followed to files only, and what is neither file nor
 *    directory (a FIFO, a socket) is passed over;
 *  - of an mbox (the file begins with "From " and a time of day) each message:
 *    such a line behind an empty one begins the next;
 *  - of "-" the message or the mbox that stdin holds.
 * What cannot be opened stays in the list and becomes an error when it is
 * read. EX_OK, or a complaint was printed: no memory, stdin too large.
 */
int mail_list_add(struct mail_list *l, const char *path);
void mail_list_done(struct mail_list *l);

/* Reads at most max_bytes of a message into *ret_buf (the caller's,
 * initialised) and its whole size. What lies behind max_bytes goes to rest in
 * pieces, if it is not NULL; *ret_buf is complete by then. EX_OK, or an exit
 * code with a text in err: EX_NOINPUT, EX_IOERR, EX_OSERR. Any thread. */
typedef void mail_rest(void *arg, const char *p, size_t n);
int mail_read(const struct mail *m, size_t max_bytes, struct buf *ret_buf,
    size_t *ret_full_size, mail_rest *rest, void *arg, struct error *err);

/* The message's own time: when its last hop took it, else its Date; 0: it
 * tells none. */
int64_t mail_time(struct message *m);

#endif
