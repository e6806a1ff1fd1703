/*
 * escape - text from mail made safe for a terminal, a log line, a header or
 * a JSON string.
 *
 * Hostile text carries terminal controls, line breaks that forge log lines,
 * bidi overrides and zero-width characters that hide what is written. Every
 * such character becomes visible: \n \r \t \\ or \xHH for bytes, \u{HHHH}
 * for Unicode format characters (Cf), line and paragraph separators, private
 * use and noncharacters. Bytes that are not UTF-8 become \xHH.
 */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* Appends s, escaped; after max_bytes of output it stops and adds "…"
 * (0: no limit). A space, a quote and an equals sign stay as they are. */
void escape_text(struct buf *out, struct span s, size_t max_bytes);

/* The same for a value in a key=value log line: quoted with "" and \" when
 * it is empty or holds a space, a quote or an equals sign. */
void escape_log_value(struct buf *out, struct span s, size_t max_bytes);

/* Valid UTF-8 for JSON: each ill-formed sequence becomes U+FFFD (Unicode
 * 3.9, maximal subparts), NUL becomes U+FFFD too; all else is kept, since
 * the JSON writer escapes controls itself. */
void escape_utf8(struct buf *out, struct span s);

/* Decodes one code point. Returns its bytes (1..4), or 0 with *ret_cp set to
 * 0xFFFD and *ret_skip bytes to pass over. s.len must not be 0. */
size_t utf8_decode(struct span s, uint32_t *ret_cp, size_t *ret_skip);
/* cp as UTF-8 into out[4]; returns the length */
size_t utf8_encode(uint32_t cp, char out[4]);

#endif
