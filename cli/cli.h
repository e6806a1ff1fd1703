/*
 * cli - what the verbs of spamscore(1) share: the verb table, one way to
 * complain, options of all verbs that judge, and what they open.
 *
 * A verb gets argv with its own name as argv[0] and returns an exit code of
 * sysexits(3). stdout carries the result, stderr the chatter. Verbs are the
 * top floor: nothing but main.c knows them.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/diag.h"
#include "db/store.h"
#include "scoring/engine.h"

struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *synopsis; /* behind the name */
	const char *help;     /* one line */
};

int verb_evaluate(int argc, char **argv);
int verb_explain(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_compile(int argc, char **argv);
int verb_lint(int argc, char **argv);
int verb_rules(int argc, char **argv);
int verb_db(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_forget(int argc, char **argv);
int verb_learn(int argc, char **argv);
int verb_log(int argc, char **argv);
int verb_shadow(int argc, char **argv);
int verb_reputation(int argc, char **argv);
int verb_ban(int argc, char **argv);
int verb_tune(int argc, char **argv);

/* "spamscore: text" on stderr, escaped; returns code. */
int cli_fail(int code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The usage line of a verb on stderr; returns EX_USAGE. */
int cli_usage(const char *verb);
/* One JSON object and a line end, compact, UTF-8, stable key order. Takes
 * the reference. Returns EX_OK, EX_IOERR or EX_OSERR (no memory). */
int cli_print_json(FILE *out, json_t *object);
/* Is `when` (auto, always, never) met for stdout? NO_COLOR counts. */
bool cli_color(const char *when);
/* Text that may be mail's on stdout, escaped */
void cli_print_text(struct span text);
/* Flushes stdout: a full disk is an error, not silence. */
int cli_finish(int code);

/* Options of every verb that judges. Lists are NULL-terminated by count. */
struct judge_options {
	const char *config;
	const char **rules;
	size_t rules_count;
	const char *db;	      /* NULL: the configured one; "none" */
	bool offline;
	const char *dns_data;
	bool has_envelope;    /* any of the next five */
	const char *ip, *helo, *mail_from, *client_name;
	const char **rcpt_to;
	size_t rcpt_count;
	int64_t now;	      /* -1: the clock */
	bool json, exit_status;
	const char *color;    /* "auto" */
	const char *model;    /* NULL: the configured one; "none" */
	bool no_databases;    /* see struct engine_options */
};

/* Rows for getopt_long; a verb's own follow behind in its table. */
#define JUDGE_LONG_OPTIONS                                      \
	{ "json", no_argument, NULL, 1000 },                    \
	{ "config", required_argument, NULL, 1001 },            \
	{ "rules", required_argument, NULL, 1002 },             \
	{ "db", required_argument, NULL, 1003 },                \
	{ "offline", no_argument, NULL, 1004 },                 \
	{ "dns-data", required_argument, NULL, 1005 },          \
	{ "ip", required_argument, NULL, 1006 },                \
	{ "helo", required_argument, NULL, 1007 },              \
	{ "mail-from", required_argument, NULL, 1008 },         \
	{ "rcpt-to", required_argument, NULL, 1009 },           \
	{ "client-name", required_argument, NULL, 1010 },       \
	{ "now", required_argument, NULL, 1011 },               \
	{ "exit-status", no_argument, NULL, 1012 },             \
	{ "color", required_argument, NULL, 1013 },             \
	{ "model", required_argument, NULL, 1014 }

/* argc bounds the repeatable options. 0 or EX_OSERR. */
int judge_options_init(struct judge_options *o, int argc);
/* Takes one option of the rows above. EX_OK, or a complaint was printed and
 * the exit code is returned; -1: not one of them. */
int judge_options_take(struct judge_options *o, int option, const char *arg);
void judge_options_done(struct judge_options *o);

/* Everything a judging verb has open. */
struct runtime {
	struct engine *engine;
	struct dns *dns;
	struct auth_context *auth;
	struct store *store;
	struct gather_sources sources;
	struct envelope envelope;
	bool has_envelope;
	int64_t now; /* -1: the clock, at each message */
};

/* EX_OK, or a complaint was printed and the exit code is returned. */
int runtime_open(const struct judge_options *o, struct runtime *ret_runtime);
void runtime_close(struct runtime *rt);

/* The configuration file: o->config, else the installed one if it exists,
 * else NULL. */
const char *cli_config_path(const struct judge_options *o);
/* Loads configuration and rules; the daemon's words are known too, and
 * checked, but mean nothing here. As engine_load(). */
int cli_engine_load(const struct judge_options *o, bool keep_going,
    struct diags *diags, struct engine **ret_engine, struct error *err);
/* The same with a file of tuned scores in the place of that in force */
int cli_engine_load_tuned(const struct judge_options *o, const char *tuned,
    struct diags *diags, struct engine **ret_engine, struct error *err);
/* The same for a verb that judges: faults are printed to stderr and the
 * exit code is returned. */
int cli_load_engine(const struct judge_options *o, struct engine **ret_engine);

/* Most bytes an arena of one message may take, given scan_size. */
size_t cli_arena_bytes(const struct engine *e);

/* Judges one message (cli/mail.h) with what is open. EX_OK; EX_DATAERR: it is
 * none; others as mail_read. raw keeps the bytes that the run points into. */
struct mail;
int runtime_judge_mail(struct runtime *rt, const struct mail *m,
    struct arena *a, struct buf *raw, struct engine_run *ret_run,
    struct error *err);

#endif
