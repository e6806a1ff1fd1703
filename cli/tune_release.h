/*
 * tune_release - from a candidate to scores in force and back: the gate over
 * what the shadow said of labelled mail, adoption, rollback, history, and
 * which tuned scores have lost their base. cli/tune_weekly.c does what the
 * timer wants on top of it.
 */
#ifndef CLI_TUNE_RELEASE_H
#define CLI_TUNE_RELEASE_H

#include "cli/tune.h"
#include "tune/gate.h"

enum release {
	RELEASE_NONE,
	RELEASE_ADOPT,
	RELEASE_ROLLBACK,
	RELEASE_HISTORY,
	RELEASE_WEEKLY,
};

struct release_options {
	enum release what;
	bool force;   /* whatever the gate says */
	const char *sendmail; /* the program; NULL: the installed one */
	/* tunes from the log, as `spamscore tune --from-log --json` */
	int (*tune)(const struct tune_options *o);
};

/* An exit code; o->dry_run: nothing is changed */
int tune_release(const struct tune_options *o, const struct release_options *r);

/* What is known of the candidate that runs as shadow. Strings belong to a. */
struct candidate {
	const char *dir;
	bool present;
	const char *hash;
	struct span bytes; /* of the file: it alone may be adopted */
	struct result result;
	struct gate_report gate;
};
/* Reads the candidate and asks the gate. EX_OK, also when there is none; or a
 * complaint was printed. */
int candidate_judge(const struct tune_options *o, const struct engine *e,
    struct arena *a, struct candidate *ret_candidate);
/* Puts it in force, tells the daemon, notes it. EX_OK or a complaint. */
int candidate_adopt(const struct tune_options *o, const struct candidate *c);
int tune_weekly(const struct tune_options *o, const struct release_options *r);

/* Entries of the tuned file that were fitted beside scores that are not
 * shipped any more, or to rules that are gone: a warning each. A file that
 * spamscore tune did not write says nothing of its bases: a note. 0, -ENOMEM */
int tuned_check(const struct engine *e, struct arena *a, struct diags *diags,
    size_t *ret_entries, size_t *ret_stale);

/* The daemon takes up scores and candidate. A phrase for people; what went
 * wrong was printed and *ret_code is set. */
const char *daemon_reload(const char *config, int *ret_code);

/* "2026-11-16", UTC */
const char *release_day(int64_t t, char out[32]);

#endif
