/*
 * charset - text of any declared charset to UTF-8, guessed as SpamAssassin
 * guesses (Message/Node.pm, normalize_charset on, no detector installed).
 *
 * What is ASCII, or UTF-8 whatever was declared, stays; then the declared
 * charset is tried, then Windows-1252, which takes any bytes. Nothing fails
 * but memory. Names come from mail: only names of a known form reach iconv.
 */
#ifndef SCORING_MESSAGE_CHARSET_H
#define SCORING_MESSAGE_CHARSET_H

#include "base/arena.h"
#include "base/span.h"

bool text_is_ascii(struct span s);
/* Well-formed, without surrogates and noncharacters (Unicode 3.9, 23.7) */
bool text_is_utf8(struct span s);

enum charset_use {
	CHARSET_BODY,	/* a part: what is UTF-8 is UTF-8 */
	CHARSET_WORD,	/* an RFC 2047 word: the declared charset is meant;
			   what it cannot be becomes U+FFFD */
};

/* 0 or -ENOMEM. *ret_text may be in itself. */
int charset_to_utf8(struct arena *a, struct span in, struct span charset,
    enum charset_use use, struct span *ret_text);

/* Unicode White_Space at p (a UTF-8 sequence), its length; 0: none */
size_t utf8_space(const char *p, const char *end);

#endif
