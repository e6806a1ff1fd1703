/*
 * decode - transfer encodings as SpamAssassin undoes them: forgiving, since
 * what a mail program shows counts, not what RFC 2045 allows.
 */
#ifndef SCORING_MESSAGE_DECODE_H
#define SCORING_MESSAGE_DECODE_H

#include "base/arena.h"
#include "base/span.h"

/* Both write at most in.len bytes to out, and return how many. out may not
 * overlap in. */
size_t decode_base64(struct span in, char *out);
/* word: an RFC 2047 word, in which "_" is a space */
size_t decode_qp(struct span in, bool word, char *out);

#endif
