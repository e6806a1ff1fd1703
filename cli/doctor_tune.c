/* doctor: the tuning of scores - when it ran last and how that ended, whether
 * the candidate waits for ever, whether tuned scores have lost their base. */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor_host.h"
#include "cli/tune_release.h"
#include "tune/history.h"

enum {
	DAY_SEC = 86400,
	LATE_DAYS = 15,	     /* two runs of the timer were missed */
	WAITING_DAYS = 42,   /* the weekly run gives up before */
	EVENT_BYTES = 120,   /* of a sentence: the history has all of it */
};

static void
check_last(struct host *h, const char *dir)
{
	struct history_event *last;
	char when[32];
	struct error err;
	int64_t days;
	size_t n;
	int r = history_events(dir, NULL, 1, h->arena, &last, &n, &err);

	if (r != 0) {
		TELL(h, "tuning", r == -EACCES ? DOCTOR_SKIP : DOCTOR_BAD, NULL,
		    "%s", err.text);
		return;
	}
	if (n == 0) {
		TELL(h, "tuning", DOCTOR_OK, NULL, "scores were never tuned here "
		    "(systemctl enable --now spamscore-tune.timer)");
		return;
	}
	days = (time(NULL) - last->time) / DAY_SEC;
	if (strcmp(last->event, "failed") == 0)
		TELL(h, "tuning", DOCTOR_BAD,
		    "journalctl -u spamscore-tune -n 20",
		    "the last tuning, %s, failed: %.*s",
		    release_day(last->time, when), EVENT_BYTES, last->text);
	else if (days > LATE_DAYS)
		TELL(h, "tuning", DOCTOR_WARN,
		    "systemctl enable --now spamscore-tune.timer",
		    "nothing happened for %lld days", (long long)days);
	else
		TELL(h, "tuning", DOCTOR_OK, NULL, "%s, %s: %.*s",
		    release_day(last->time, when), last->event, EVENT_BYTES,
		    last->text);
}

static void
check_candidate(struct host *h, const char *dir)
{
	const char *path = arena_printf(h->arena, "%s/" CANDIDATE_FILE, dir);
	struct result result;
	struct diags diags;
	struct error err;
	int64_t days;
	int r;

	if (path == NULL || access(path, F_OK) != 0)
		return;
	diags_init(&diags, h->arena);
	r = result_read(path, h->arena, &diags, &result, &err);
	if (r != 0) {
		TELL(h, "tuning", DOCTOR_BAD, "spamscore tune --from-log",
		    "the candidate does not run as shadow: %s", err.text);
		return;
	}
	days = (time(NULL) - result.made) / DAY_SEC;
	TELL(h, "tuning", days > WAITING_DAYS ? DOCTOR_WARN : DOCTOR_OK,
	    days > WAITING_DAYS ? "spamscore tune --adopt --dry-run" : NULL,
	    "a candidate of %zu scores runs as shadow for %lld days",
	    result.count, (long long)days);
}

static void
check_bases(struct host *h, const char *dir)
{
	struct judge_options o = { .config = h->config };
	size_t entries = 0, stale = 0;
	const char *path = arena_printf(h->arena, "%s/" TUNED_FILE, dir);
	struct engine *e;
	struct diags diags;
	struct error err;
	int r;

	if (path == NULL || access(path, R_OK) != 0)
		return;
	diags_init(&diags, h->arena);
	r = cli_engine_load(&o, false, &diags, &e, &err);
	if (r == 0) {
		r = tuned_check(e, h->arena, &diags, &entries, &stale);
		engine_free(e);
	}
	if (r != 0) {
		/* rules that are wrong by themselves are told by lint */
		for (const struct diag *d = diags.first; d != NULL; d = d->next)
			if (d->level == DIAG_ERROR && strcmp(d->file, path) == 0) {
				TELL(h, "tuning", DOCTOR_BAD,
				    "spamscore tune --rollback", "%s:%u: %s",
				    d->file, d->line, d->text);
				return;
			}
		return;
	}
	if (stale != 0)
		TELL(h, "tuning", DOCTOR_WARN, "spamscore tune --from-log",
		    "%zu of %zu tuned scores are based on what has changed since",
		    stale, entries);
	else
		TELL(h, "tuning", DOCTOR_OK, NULL, "%zu tuned scores in force",
		    entries);
}

void
doctor_check_tuning(struct host *h)
{
	const char *dir = scoring_tuned_dir(&h->scoring, h->arena);

	if (dir == NULL)
		return;
	check_last(h, dir);
	check_candidate(h, dir);
	check_bases(h, dir);
}
