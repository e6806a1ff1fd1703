#include <assert.h>
#include <stddef.h>

#include "milter/failure.h"

static const struct failure_row table[] = {
	{ FAILURE_MEMORY, "memory",
	    "no memory, or the message needs more than message_memory", "4.3.1",
	    REPLY_ACCEPT, REPLY_TEMPFAIL },
	{ FAILURE_MESSAGE, "message", "the bytes received are no message",
	    "4.6.0", REPLY_ACCEPT, REPLY_TEMPFAIL },
	{ FAILURE_INTERNAL, "internal", "the engine could not reach a verdict",
	    "4.3.0", REPLY_ACCEPT, REPLY_TEMPFAIL },
	{ FAILURE_EDIT, "edit", "the MTA did not take a change of the header",
	    "4.3.0", REPLY_ACCEPT, REPLY_TEMPFAIL },
	{ FAILURE_STOPPING, "stopping", "the message began while spamscored stops",
	    "4.3.2", REPLY_ACCEPT, REPLY_TEMPFAIL },
};

const struct failure_row *
failure_row(enum failure f)
{
	assert(f > FAILURE_NONE && f < FAILURE_COUNT);
	static_assert(sizeof(table) / sizeof(table[0]) == FAILURE_COUNT - 1,
	    "a row for each failure");
	return &table[f - 1];
}

enum failure_reply
failure_reply(enum failure f, enum on_failure setting)
{
	const struct failure_row *row = failure_row(f);

	return setting == ON_FAILURE_ACCEPT ? row->when_accept :
					      row->when_tempfail;
}
