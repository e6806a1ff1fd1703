/*
 * failure - the one table from "this message could not be scored" to what
 * the SMTP client is told. spamscored(8) and README.md show this table;
 * t/milter checks that the manual page and the table agree.
 *
 * Two things no daemon can answer for itself: when it does not run or dies,
 * Postfix applies milter_default_action.
 */
#ifndef MILTER_FAILURE_H
#define MILTER_FAILURE_H

enum on_failure { ON_FAILURE_ACCEPT, ON_FAILURE_TEMPFAIL }; /* the setting */

enum failure {
	FAILURE_NONE,
	FAILURE_MEMORY,	  /* no memory, or message_memory is reached */
	FAILURE_MESSAGE,  /* the bytes are no message */
	FAILURE_INTERNAL, /* the engine gave up for another reason */
	FAILURE_EDIT,	  /* the MTA did not take a header edit */
	FAILURE_STOPPING, /* a message begun after SIGTERM */
	FAILURE_COUNT,
};

enum failure_reply { REPLY_ACCEPT, REPLY_TEMPFAIL };

struct failure_row {
	enum failure failure;
	const char *word;    /* in the log: failure=WORD */
	const char *meaning; /* in the manual */
	const char *xcode;   /* enhanced status code of a tempfail (RFC 3463) */
	enum failure_reply when_accept, when_tempfail;
};

/* Never NULL for a failure of the enum other than FAILURE_NONE. */
const struct failure_row *failure_row(enum failure f);
enum failure_reply failure_reply(enum failure f, enum on_failure setting);

#endif
