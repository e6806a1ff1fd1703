/*
 * conf - the one line grammar of configuration and rule files, and tables of
 * settings in it.
 *
 * The grammar is SpamAssassin's (Mail::SpamAssassin::Conf): a line is a word
 * and a value; "#" starts a comment unless "\#"; leading and trailing space
 * does not count; there is no continuation. Bytes above 0x7F are allowed, a
 * NUL is an error. The caller interprets words; words that are plain
 * settings are looked up in tables, one table a room.
 *
 * Nothing is printed; every fault goes to a struct diags with file and line.
 * Everything that is handed out lives in the caller's arena.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/error.h"
#include "base/netaddr.h"
#include "base/span.h"

/* Largest file that is read, in bytes: a rule set of 50 MB is a mistake. */
#define CONF_MAX_FILE_BYTES (16u * 1024 * 1024)

struct conf_line {
	const char *file;
	unsigned number;
	struct span key;   /* first word, "" never */
	struct span value; /* the rest, trimmed; may be empty */
};

struct conf_lines {
	struct conf_line *lines;
	size_t count;
};

/* Reads a regular file. 0, or a negative errno with a text in err. */
int conf_read(struct arena *a, const char *path, size_t max_bytes,
    struct conf_lines *ret_lines, struct diags *diags, struct error *err);
/* The same from memory; file is the name used in messages. */
int conf_parse(struct arena *a, const char *file, struct span text,
    struct conf_lines *ret_lines, struct diags *diags, struct error *err);

/* The next word of *rest, and *rest behind it. Empty when there is none. */
struct span conf_next_word(struct span *rest);

enum setting_type {
	SETTING_BOOL,     /* bool: yes no on off true false 1 0 */
	SETTING_INT,      /* int64_t, min..max */
	SETTING_SIZE,     /* int64_t bytes: 512k, 2M, 1G (powers of 1024) */
	SETTING_DURATION, /* int64_t milliseconds: 500ms 10s 5m 1h 2d 1w;
			     a bare number is seconds */
	SETTING_POINTS,   /* double, kept to 0.001 */
	SETTING_STRING,   /* const char *, the whole value */
	SETTING_STRINGS,  /* struct strings, words, each line appends */
	SETTING_NETS,     /* struct netset, words, "!net" excludes, appends */
	SETTING_HOSTS,    /* struct conf_hosts: as SETTING_NETS, and host names */
	SETTING_ENUM,     /* int, one of choices */
};

struct strings {
	const char **items;
	size_t count, alloc;
};

struct conf_hosts {
	struct netset nets;
	struct strings names;
};

struct setting_choice {
	const char *name; /* NULL ends the table */
	int value;
};

struct setting {
	const char *name; /* NULL ends the table */
	enum setting_type type;
	size_t offset; /* into the room's struct */
	int64_t min, max;
	const struct setting_choice *choices;
	const char *help; /* one line for the manual */
};

/* A room's table and the struct that it fills (defaults already in place) */
struct settings_room {
	const struct setting *table;
	void *target;
};

enum conf_result { CONF_UNKNOWN, CONF_DONE, CONF_BAD };

/* Applies one line to every room that knows its word. CONF_BAD was reported.
 * A value that does not parse leaves the setting as it was. */
enum conf_result conf_apply(const struct conf_line *line,
    const struct settings_room *rooms, size_t n_rooms, struct arena *a,
    struct diags *diags);

/* Could this be the name of a host in DNS (RFC 1123 2.1)? Letters, digits,
 * hyphens and underscores in two labels at least, the last not a number. */
bool conf_is_host_name(struct span s);
bool conf_parse_bool(struct span s, bool *ret_value);
bool conf_parse_int(struct span s, int64_t *ret_value);
bool conf_parse_size(struct span s, int64_t *ret_bytes);
bool conf_parse_duration(struct span s, int64_t *ret_ms);
/* Locale-independent decimal, rounded to 0.001; no inf, nan or hex. */
bool conf_parse_points(struct span s, double *ret_points);

/* 0 or -ENOMEM; the text is copied into a, the array grows in a */
int strings_add(struct strings *list, struct arena *a, struct span text);

#endif
