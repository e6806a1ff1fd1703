/* What the tests of this room share: limits and a parser for literals */
#ifndef T_MESSAGE_UTIL_H
#define T_MESSAGE_UTIL_H

#include "scoring/message/message.h"
#include "t/tap.h"

static const struct message_limits test_limits = {
	.scan_bytes = 512 * 1024, .max_fields = 1000, .max_mime_depth = 20,
	.max_mime_parts = 1000, .max_uris = 1000,
};

static inline struct message *
test_parse(struct arena *a, struct span raw)
{
	struct message *m = NULL;

	return message_parse(a, raw, raw.len, &test_limits, &m, NULL) == 0
	    ? m : NULL;
}

#endif
