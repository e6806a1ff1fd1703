/*
 * engine - configuration, rules and model as one immutable snapshot, and the
 * three steps (gather, judge, explain) run in order over one message.
 *
 * The daemon, the command and the tuner all judge through here. An engine is
 * safe for any number of threads and has one owner, who frees it when no
 * message uses it any more (milter/snapshot.h counts those).
 */
#ifndef SCORING_ENGINE_H
#define SCORING_ENGINE_H

#include "scoring/auth/auth.h"
#include "scoring/autolearn.h"
#include "scoring/gather.h"
#include "scoring/judge.h"
#include "scoring/shadow.h"

struct engine;

/* the model's file in state_dir */
#define MODEL_FILE "model"
/* in tuned_dir: the scores in force, and the result of the last tuning */
#define TUNED_FILE "tuned.cf"
#define CANDIDATE_FILE "candidate.cf"

struct engine_options {
	const char *config;	     /* NULL: none */
	const char *const *rules;    /* files and directories; count 0: the
					configuration's rules_dir */
	size_t rules_count;
	const char *rules_dir;	     /* default of that setting; NULL: built in */
	bool no_databases;	     /* for so little mail that opening those of
					compiled_dir takes longer */
	const char *model;	     /* file; NULL: "model" in state_dir if it is
					there; "none": none */
	/* Score file that is read last. NULL: tuned.cf of tuned_dir if it is
	 * there and rules_count is 0, and candidate.cf beside it as a shadow;
	 * "none": neither. */
	const char *tuned;
	/* for a user who may not look into tuned_dir: a warning, and the
	 * scores are those without the file */
	bool tuned_may_be_hidden;
	/* further tables of settings (milter, ban) for the same files */
	const struct settings_room *rooms;
	size_t room_count;
	/* words of another program that shares the configuration file and
	 * checks them itself, by their prefix; NULL: none */
	const char *foreign_prefix;
	bool keep_going;	     /* lint */
};

/* Where the shipped rules are for the program that runs: a program below the
 * build tree takes the source's, any other the installed ones. */
const char *engine_default_rules_dir(void);

/* All errors go to diags. 0, -EINVAL, -ENOMEM, -errno. */
int engine_load(const struct engine_options *o, struct diags *diags,
    struct engine **ret_engine, struct error *err);
void engine_free(struct engine *e);

const struct scoring_settings *engine_settings(const struct engine *e);
const struct ruleset *engine_ruleset(const struct engine *e);
/* The thresholds as they are without the tuned file */
struct thresholds engine_untuned(const struct engine *e);
/* The tuned file that counts; NULL: none. */
const char *engine_tuned(const struct engine *e);
/* Sets that run as shadow. One that cannot be loaded is a warning and not
 * there (with keep_going its errors are errors). */
const struct shadow_list *engine_shadows(const struct engine *e);
/* The caller's reference, NULL: none. */
struct model *engine_model(struct engine *e);
/* Takes up the model file as it is now, for the messages that begin from
 * here on. 0; -errno: the old one stays. */
int engine_reload_model(struct engine *e, struct error *err);
void engine_limits(const struct engine *e, struct message_limits *ret_limits);

/* Fills what is missing in *env from the message: client, HELO and names
 * from the topmost Received outside trusted_networks, MAIL FROM from
 * Return-Path; sets source to ENVELOPE_MESSAGE (or NONE). */
int envelope_from_message(struct message *m, const struct relays *relays,
    struct arena *a, struct envelope *ret_envelope);

struct engine_run {
	struct message *message;
	const struct envelope *envelope; /* as judged: behind trusted relays */
	struct relays *relays;
	struct evidence *evidence;
	struct verdict *verdict;
};

struct engine_request {
	struct span raw;	  /* at least scan_size of it, or all */
	size_t full_size_bytes;
	const struct envelope *envelope; /* NULL: from the message */
	const struct gather_sources *sources;
	struct gather *gather;	  /* begun early, or NULL */
	int64_t now;		  /* unix seconds */
	const struct model *model; /* in place of the engine's; NULL: that */
	struct arena *arena;
};

/* Sets of scores that run as shadow are judged too. What goes wrong with
 * them leaves them out. 0; -EINVAL: not a message; -ENOMEM. */
int engine_judge(struct engine *e, const struct engine_request *request,
    struct engine_run *ret_run, struct error *err);
/* The shadows with rules of their own, over a message that was judged with
 * this engine; their verdicts are added to run's. 0 or -ENOMEM. */
int engine_judge_shadow_rules(struct engine *e, struct engine_run *run,
    struct arena *a);

/* May the filter teach itself a message that was judged with this engine?
 * Runs the rules again when it comes near. 0 or -ENOMEM. */
int engine_autolearn(struct engine *e, const struct engine_run *run,
    struct arena *a, struct autolearn *ret_autolearn);

#endif
