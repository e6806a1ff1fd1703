/*
 * state - how verbs reach what the filter remembers: through the daemon's
 * control socket, or on the files themselves, under their lock, when no
 * daemon runs. The verb does not see the difference.
 */
#ifndef CLI_STATE_H
#define CLI_STATE_H

#include <jansson.h>

#include "cli/cli.h"
#include "milter/control.h"

struct state_options {
	const char *config; /* NULL: the installed one */
	const char *db;	    /* NULL: the daemon, else the configured file */
	bool json;
};

/* Rows for getopt_long, taken by state_options_take() */
#define STATE_LONG_OPTIONS                         \
	{ "config", required_argument, NULL, 2000 }, \
	{ "db", required_argument, NULL, 2001 },     \
	{ "json", no_argument, NULL, 2002 }

bool state_options_take(struct state_options *o, int option, const char *arg);

/* writes: what the verb asks for changes something. */
struct state {
	int fd; /* of the control socket; -1: the files */
	struct store *store;
	struct control_context context;
	char db[4096], model[4096], socket[4096];
	struct feedback_model feedback; /* .path is model */
	struct arena *arena;		/* of the settings */
	struct scoring_settings settings;
	bool learned;
};

/* EX_OK, or a complaint was printed. */
int state_open(struct state *s, const struct state_options *o, bool writes);
/* The answer without a fault (the caller's reference), or a complaint was
 * printed and *ret_code is its exit code. Takes the request. prefix: of the
 * complaint, may be NULL. */
json_t *state_ask(struct state *s, json_t *request, struct span message,
    const char *prefix, int *ret_code);
/* Trains the model, if the files were taught directly. */
int state_close(struct state *s, int code);

/* Only the paths; for verbs that work on the file. EX_OK or a complaint. */
int state_paths(struct state *s, const struct state_options *o);

/* Text from a JSON string, escaped, on stdout */
void state_print(const json_t *value);
/* "2026-11-23 14:08:56" in UTC, or "never" */
const char *state_time(json_int_t t, char out[32]);
/* A unix time, "YYYY-MM-DD[THH:MM[:SS]]" in UTC, or a duration ago ("2d"). */
bool state_parse_time(const char *text, int64_t *ret_time);

/* A stored verdict again, whole; EX_OK or a complaint was printed. */
int cli_show_verdict(const struct state_options *o, const char *id);

#endif
