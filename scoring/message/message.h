/*
 * message - one received message: raw bytes, fields with their places, and
 * views of it that are made on demand.
 *
 * The raw bytes are borrowed and must outlive the message; everything else
 * belongs to the arena. Input is never written to. Nothing here knows rules,
 * DNS or scores. A struct message is used by one thread at a time (views are
 * cached in it). Limits are in message_limits; reaching one is noted in
 * `faults` and the rest is not looked at, never an error. Line ends may be
 * LF, CRLF or bare CR mixed; NULs and invalid UTF-8 are data.
 *
 * RFC 5322 (fields), RFC 2045-2047, 2231 (MIME), RFC 6532 (UTF-8 headers).
 */
#ifndef SCORING_MESSAGE_MESSAGE_H
#define SCORING_MESSAGE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"

struct message_limits {
	size_t scan_bytes; /* of the raw message; the rest only counts */
	size_t max_fields;
	unsigned max_mime_depth;
	unsigned max_mime_parts;
	unsigned max_uris;
};

enum message_fault {
	MESSAGE_TRUNCATED = 1 << 0,	 /* longer than scan_bytes */
	MESSAGE_NUL = 1 << 1,
	MESSAGE_BARE_CR = 1 << 2,
	MESSAGE_NO_COLON = 1 << 3,	 /* a header line without a colon */
	MESSAGE_TOO_MANY_FIELDS = 1 << 4,
	MESSAGE_NO_BODY = 1 << 5,	 /* the header never ended */
	MESSAGE_MIME_TOO_DEEP = 1 << 6,
	MESSAGE_TOO_MANY_PARTS = 1 << 7,
	MESSAGE_TOO_MANY_URIS = 1 << 8,
	MESSAGE_8BIT_HEADER = 1 << 9,
};

struct field {
	struct span name;    /* as written, without the colon */
	struct span raw;     /* behind the colon, folds and leading space kept,
				the last line end not */
	size_t offset;	     /* of name, in the raw message */
	size_t value_offset; /* of raw, in the raw message */
	struct span unfolded; /* cached; ptr NULL until asked for */
	struct span decoded;  /* cached */
};

struct message {
	struct arena *arena;
	struct span raw;	/* what is looked at: at most scan_bytes */
	size_t size_bytes;	/* of the whole message */
	size_t body_offset;	/* first byte behind the empty line */
	struct field *fields;	/* in order of appearance */
	size_t field_count;
	unsigned faults;	/* enum message_fault */
	struct message_limits limits;
	struct message_views *views; /* private to scoring/message/ */
};

/*
 * 0; -EINVAL when the bytes are no message (empty, or no line that could be
 * a header field before the first empty line); -ENOMEM. A leading mbox
 * "From " line is passed over. full_size_bytes >= raw.len tells the size
 * before the caller cut it off.
 */
int message_parse(struct arena *a, struct span raw, size_t full_size_bytes,
    const struct message_limits *limits, struct message **ret_message,
    struct error *err);

/* The n-th field of that name (case-insensitive), or NULL. */
struct field *message_find(const struct message *m, const char *name,
    size_t n);
size_t message_count(const struct message *m, const char *name);

/* Unfolded (RFC 5322 2.2.3), leading space stripped. ptr NULL: no memory. */
struct span field_unfolded(const struct message *m, struct field *f);
/* Unfolded, RFC 2047 words decoded to UTF-8; bytes that were not encoded
 * stay as they are. */
struct span field_decoded(const struct message *m, struct field *f);

/* First mailbox of an address field: SpamAssassin's :addr and :name. */
struct span address_first_addr(struct arena *a, struct span decoded);
struct span address_first_name(struct arena *a, struct span decoded);

struct mailbox {
	struct span name, local, domain; /* name may be empty */
};
/* All mailboxes of an address list (RFC 5322 3.4, groups flattened). A
 * fault in the syntax sets *ret_malformed and keeps what was understood. */
int address_list_parse(struct arena *a, struct span value,
    struct mailbox **ret_list, size_t *ret_count, bool *ret_malformed);

#endif
