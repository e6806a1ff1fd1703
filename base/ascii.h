/*
 * ascii - classes of bytes as protocols mean them, whatever the locale.
 *
 * Bytes above ASCII belong to none of them. <ctype.h> asks the locale and is
 * undefined for a negative char, and mail is full of both.
 */
#ifndef BASE_ASCII_H
#define BASE_ASCII_H

#include <stdbool.h>

#include "base/span.h"

static inline bool
ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
ascii_is_alnum(char c)
{
	return ascii_is_digit(c) || ascii_is_alpha(c);
}

/* Perl's \s: SP, TAB, LF, VT, FF, CR */
static inline bool
ascii_is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Nothing but such spaces; true of an empty span. */
static inline bool
ascii_is_blank(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_space(s.ptr[i]))
			return false;
	return true;
}

static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* -1: not a hexadecimal digit */
static inline int
ascii_hex_value(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
