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
	MESSAGE_NO_BODY = 1 << 5,	 /* no empty line ended the header */
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
	uint32_t hash;	      /* of the lower-cased name */
	uint32_t next;	      /* index of the next field of that name, or
				 FIELD_NONE */
};

#define FIELD_NONE UINT32_MAX
/* SpamAssassin's limits of what a rule sees of one field; .raw is whole */
#define FIELD_MAX_NAME_BYTES 256
#define FIELD_MAX_VALUE_BYTES 8192

struct message {
	struct arena *arena;
	struct span raw;	/* what is looked at: at most scan_bytes */
	size_t size_bytes;	/* of the whole message */
	size_t body_offset;	/* first byte behind the empty line */
	struct field *fields;	/* in order of appearance */
	size_t field_count;
	unsigned faults;	/* enum message_fault */
	struct span mbox_from;	/* a leading "From " line, passed over */
	struct message_limits limits;
	uint32_t *index;	/* hash table over fields, private */
	uint32_t index_mask;
	struct message_views *views; /* private to scoring/message/ */
};

/*
 * 0; -EINVAL when there is not one byte; -ENOMEM. Any bytes are a message: SMTP
 * carries them, so they must not be a way around the filter. A leading mbox
 * "From " line is passed over and is none of them. full_size_bytes >= raw.len
 * tells the size before the caller cut it off.
 */
int message_parse(struct arena *a, struct span raw, size_t full_size_bytes,
    const struct message_limits *limits, struct message **ret_message,
    struct error *err);

/* 0, or -EINVAL: no header field at all. Every delivery adds some, so a file
 * in a folder of labelled mail that has none (an index, a list of keys) is
 * judged when asked for, but nothing is taught or fitted by it. */
int message_require_fields(const struct message *m, struct error *err);

/* The n-th field of that name (case-insensitive), or NULL. */
struct field *message_find(const struct message *m, const char *name,
    size_t n);
/* The same with a length, for names that are not C strings. */
struct field *message_find_span(const struct message *m, struct span name,
    size_t n);
/* The next field of f's name, or NULL. */
struct field *message_next(const struct message *m, const struct field *f);
size_t message_count(const struct message *m, const char *name);

/* Unfolded (RFC 5322 2.2.3), white space at both ends stripped, at most
 * FIELD_MAX_VALUE_BYTES. ptr NULL: no memory. */
struct span field_unfolded(const struct message *m, struct field *f);
/* Unfolded, RFC 2047 words decoded to UTF-8 (but not in Received, Date,
 * Message-ID and the like, as in SpamAssassin); bytes that were not encoded
 * stay as they are when they are UTF-8, else they are taken for
 * Windows-1252. */
struct span field_decoded(const struct message *m, struct field *f);
/* SpamAssassin's :raw: the folds and the leading space kept, CR LF as LF, a
 * LF at the end if the field has one, at most FIELD_MAX_VALUE_BYTES. */
struct span field_raw(const struct message *m, const struct field *f);
/* RFC 2047 words and stray 8-bit bytes of any text, decoded as above. */
struct span text_decode_words(struct arena *a, struct span text);

/* First mailbox of an address field: SpamAssassin's :addr and :name. value
 * is the unfolded field, not decoded (encoded words may hide commas and
 * brackets that are no syntax); the name is decoded here. Empty with ptr
 * not NULL: there is none. */
struct span address_first_addr(struct arena *a, struct span value);
struct span address_first_name(struct arena *a, struct span value);

/* All of them, as SpamAssassin reads the field: faults, quotes and comments
 * in odd places included. */
struct address {
	struct span phrase;  /* display name or comment, not decoded; ptr NULL:
				none */
	struct span addr;    /* user@host; ptr NULL: none was understood */
	struct span user, host;
	bool invalid;	     /* host is no fully qualified name */
};
int address_parse_all(struct arena *a, struct span value,
    struct address **ret_list, size_t *ret_count);
/* A name for display: decoded, white space collapsed, 'quotes' removed. */
struct span address_phrase_decoded(struct arena *a, struct span phrase);

struct mailbox {
	struct span name, local, domain; /* name may be empty */
};
/* All mailboxes of an address list (RFC 5322 3.4, groups flattened). A
 * fault in the syntax sets *ret_malformed and keeps what was understood. */
int address_list_parse(struct arena *a, struct span value,
    struct mailbox **ret_list, size_t *ret_count, bool *ret_malformed);

#endif
