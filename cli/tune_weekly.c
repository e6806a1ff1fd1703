/*
 * What the timer does once a week: the gate of the candidate that has run as
 * shadow, a new tuning from the log, and one paragraph about both, to stdout
 * (the journal) or by mail.
 *
 * The tuning runs in a process of its own: what becomes of it changes nothing
 * but the candidate.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/escape.h"
#include "cli/state.h"
#include "cli/tune_release.h"
#include "tune/history.h"

enum {
	/* a candidate of which nothing can be told for so long gives way */
	WAIT_SEC = 28 * 86400,
	PARAGRAPH_BYTES = 64 * 1024,
	ANSWER_BYTES = 64 << 20,
	NAMED_RULES = 3,
	LINE_COLUMNS = 76,
};

#define SENDMAIL "/usr/sbin/sendmail"

struct week {
	const struct tune_options *o;
	struct arena *arena;
	struct buf text; /* the paragraph */
	const char *event; /* how it ended, for the history */
	bool changed;	 /* there is something for the daemon to take up */
};

static void
say_gate(struct week *w, const struct candidate *c, bool adopted)
{
	const struct gate_report *g = &c->gate;
	char day[32];

	buf_printf(&w->text, "The candidate of %s %s: %s. ",
	    release_day(c->result.made, day), adopted ? w->o->dry_run ?
		"would be adopted" : "was adopted" :
	    g->decision == GATE_WORSE ? "is dropped" : "stays on trial", g->why);
	if (g->ham + g->spam != 0)
		buf_printf(&w->text, "Of %zu good and %zu bad messages labelled "
		    "since, it would have missed %zu bad ones where the scores in "
		    "force missed %zu, and stopped %zu good ones where they "
		    "stopped %zu. ", g->ham, g->spam, g->spam_would_miss,
		    g->spam_missed, g->ham_would_stop, g->ham_stopped);
}

/* The gate of the last candidate. *ret_keep: it stays, nothing new is tuned. */
static int
judge_last(struct week *w, bool *ret_keep, const char **ret_dir)
{
	struct engine *e = NULL;
	struct candidate c;
	bool adopted = false;
	int code = cli_load_engine(&w->o->judge, &e);

	if (code != EX_OK)
		return code;
	code = candidate_judge(w->o, e, w->arena, &c);
	engine_free(e);
	*ret_dir = c.dir;
	if (code != EX_OK || !c.present)
		return code;
	if (c.gate.decision == GATE_ADOPT) {
		code = w->o->dry_run ? EX_OK : candidate_adopt(w->o, &c);
		if (code != EX_OK)
			return code;
		adopted = w->changed = true;
		w->event = "adopted";
	}
	say_gate(w, &c, adopted);
	*ret_keep = c.gate.decision == GATE_WAIT &&
	    time(NULL) - c.result.made < WAIT_SEC;
	return EX_OK;
}

/* All of a pipe; NULL: no memory. */
static char *
drain(struct arena *a, int fd)
{
	struct buf all;
	char chunk[16384], *text;
	ssize_t n;

	buf_init(&all, ANSWER_BYTES);
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n > 0)
			buf_add(&all, chunk, (size_t)n);
		else if (errno != EINTR)
			break;
	}
	text = all.failed ? NULL : arena_memdup(a, all.ptr, all.len);
	buf_done(&all);
	return text;
}

/* Tunes in a child; its JSON, and what it complained of. An exit code. */
static int
tune_apart(struct week *w, int (*tune)(const struct tune_options *),
    json_t **ret_json, const char **ret_complaint)
{
	struct tune_options o = *w->o;
	int out[2], errors, status;
	char *text;
	pid_t pid;

	*ret_json = NULL;
	*ret_complaint = "";
	o.judge.json = true;
	o.from_log = true;
	o.output = NULL;
	errors = memfd_create("complaint", MFD_CLOEXEC);
	if (errors == -1 || pipe(out) == -1)
		return cli_fail(EX_OSERR, "cannot begin: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid == -1)
		return cli_fail(EX_OSERR, "cannot begin: %s", strerror(errno));
	if (pid == 0) {
		close(out[0]);
		if (dup2(out[1], STDOUT_FILENO) == -1 ||
		    dup2(errors, STDERR_FILENO) == -1)
			_exit(EX_OSERR);
		status = tune(&o);
		fflush(NULL);
		_exit(status);
	}
	close(out[1]);
	text = drain(w->arena, out[0]);
	close(out[0]);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (text != NULL)
		*ret_json = json_loads(text, 0, NULL);
	if (lseek(errors, 0, SEEK_SET) == 0) {
		text = drain(w->arena, errors);
		if (text != NULL)
			*ret_complaint = text;
	}
	close(errors);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

static double
number_at(const json_t *o, const char *a, const char *b, const char *c,
    const char *d)
{
	o = json_object_get(json_object_get(o, a), b);
	return json_number_value(d == NULL ? json_object_get(o, c) :
	    json_object_get(json_object_get(o, c), d));
}

static int
move_cmp(const void *a, const void *b)
{
	double move[2];

	for (int i = 0; i < 2; i++) {
		const json_t *r = *(const json_t *const *)(i == 0 ? a : b);

		move[i] = json_number_value(json_object_get(r, "score")) -
		    json_number_value(json_object_get(r, "old"));
		move[i] = move[i] < 0 ? -move[i] : move[i];
	}
	return move[0] < move[1] ? 1 : move[0] > move[1] ? -1 : 0;
}

static void
say_moves(struct week *w, const json_t *rules)
{
	size_t n = json_array_size(rules);
	const json_t **sorted = ARENA_ARRAY(w->arena, n + 1, const json_t *);

	if (sorted == NULL || n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(rules, i);
	qsort(sorted, n, sizeof(*sorted), move_cmp);
	buf_add_str(&w->text, ", most of all");
	for (size_t i = 0; i < n && i < NAMED_RULES; i++) {
		const char *name = json_string_value(
		    json_object_get(sorted[i], "rule"));

		buf_printf(&w->text, "%s %s (%g to %g)", i > 0 ? "," : "",
		    name != NULL ? name : "?",
		    json_number_value(json_object_get(sorted[i], "old")),
		    json_number_value(json_object_get(sorted[i], "score")));
	}
}

static void
say_tuning(struct week *w, const json_t *t)
{
	const json_t *certificate = json_object_get(json_object_get(t,
	    "certificate"), "reject");
	const char *sentence = json_string_value(
	    json_object_get(certificate, "text"));
	const json_t *fit = json_object_get(t, "fit");
	size_t doubted = json_array_size(json_object_get(fit, "suspects")) +
	    json_array_size(json_object_get(fit, "held_suspects"));

	buf_printf(&w->text, "A new candidate was tuned on %.0f good and %.0f bad "
	    "messages: %.0f scores moved", json_number_value(json_object_get(
		json_object_get(t, "clean"), "ham")),
	    json_number_value(json_object_get(json_object_get(t, "clean"),
		"spam")),
	    json_number_value(json_object_get(fit, "moved")));
	say_moves(w, json_object_get(t, "rules"));
	buf_printf(&w->text, ". On the mail held out it misses %.3g %% of spam "
	    "instead of %.3g %% and stops %.3g %% of good mail instead of %.3g "
	    "%%. The certificate: %s. %s",
	    100 * number_at(t, "compare", "after", "spam_missed", "share"),
	    100 * number_at(t, "compare", "before", "spam_missed", "share"),
	    100 * number_at(t, "compare", "after", "ham_lost", "share"),
	    100 * number_at(t, "compare", "before", "ham_lost", "share"),
	    sentence != NULL ? sentence : "none", w->o->dry_run ?
		"It was not written." : "It runs as shadow now; spamscore shadow "
		"report shows what it would change.");
	if (doubted > 0)
		buf_printf(&w->text, " %zu labels look wrong: spamscore tune "
		    "--from-log --dry-run names them.", doubted);
}

/* The first line, without the program's name */
static struct span
first_line(const char *complaint)
{
	struct span s = span_cstr(complaint);

	s.len = span_find(s, '\n');
	if (span_istarts(s, "spamscore: "))
		s = span_from(s, 11);
	return s;
}

static int
tune_anew(struct week *w, const struct release_options *r)
{
	const char *complaint;
	json_t *answer;
	int code = tune_apart(w, r->tune, &answer, &complaint);
	struct span why = first_line(complaint);

	if (code == EX_OK && answer != NULL) {
		say_tuning(w, answer);
		w->changed = true;
		if (strcmp(w->event, "adopted") != 0)
			w->event = "tuned";
	} else {
		buf_add_str(&w->text, "Nothing new was tuned: ");
		buf_add_span(&w->text, why.len > 0 ? why :
			SPAN_LIT("it ended without a word"));
		buf_add_str(&w->text, ". The scores in force are unchanged by that.");
		/* too little labelled mail is how a server begins, no fault */
		if (code == EX_DATAERR)
			code = EX_OK;
		else {
			w->event = "failed";
			code = code == EX_OK ? EX_SOFTWARE : code;
		}
	}
	json_decref(answer);
	return code;
}

/* Escaped, and in lines that mail can carry */
static void
wrap(const struct buf *text, struct buf *out)
{
	struct buf clean;
	size_t column = 0;
	struct span rest;

	buf_init(&clean, PARAGRAPH_BYTES);
	escape_text(&clean, buf_span(text), 0);
	rest = buf_span(&clean);
	while (rest.len > 0) {
		size_t n = span_find(rest, ' ');

		if (column > 0 && column + 1 + n > LINE_COLUMNS) {
			buf_add_char(out, '\n');
			column = 0;
		}
		if (column > 0)
			buf_add_char(out, ' ');
		buf_add(out, rest.ptr, n);
		column += n + (column > 0);
		rest = span_from(rest, n + 1);
	}
	buf_add_char(out, '\n');
	buf_done(&clean);
}

/* No shell, no address that could be an option. */
static int
mail_send(const char *program, const char *to, const char *subject,
    const struct buf *body)
{
	const char *argv[] = { program, "-i", "--", to, NULL };
	int in[2], status;
	FILE *f;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) == -1 || (pid = fork()) == -1)
		return cli_fail(EX_OSERR, "cannot send mail: %s", strerror(errno));
	if (pid == 0) {
		dup2(in[0], STDIN_FILENO);
		execv(program, (char *const *)(uintptr_t)argv);
		_exit(EX_UNAVAILABLE);
	}
	close(in[0]);
	f = fdopen(in[1], "w");
	if (f != NULL) {
		fprintf(f, "To: %s\nSubject: spamscore: %s\nAuto-Submitted: "
		    "auto-generated\nContent-Type: text/plain; charset=utf-8\n\n"
		    "%s", to, subject, body->ptr);
		fclose(f);
	}
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (f == NULL || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return cli_fail(EX_UNAVAILABLE, "\"%s\" did not take the report",
		    program);
	return EX_OK;
}

static const char *
report_address(struct week *w)
{
	struct engine *e;
	const char *to;

	if (cli_load_engine(&w->o->judge, &e) != EX_OK)
		return NULL;
	to = engine_settings(e)->tune_report_to;
	to = to != NULL ? arena_strdup(w->arena, to) : NULL;
	engine_free(e);
	return to;
}

static int
tell(struct week *w, const struct release_options *r)
{
	const char *to = report_address(w);
	struct buf out;
	int code = EX_OK;

	buf_init(&out, PARAGRAPH_BYTES);
	wrap(&w->text, &out);
	if (to == NULL || w->o->dry_run)
		fwrite(out.ptr, 1, out.len, stdout);
	else
		code = mail_send(r->sendmail != NULL ? r->sendmail : SENDMAIL, to,
		    w->event, &out);
	buf_done(&out);
	return code;
}

int
tune_weekly(const struct tune_options *o, const struct release_options *r)
{
	struct week w = { .o = o, .event = "waits",
		.arena = arena_new(256 << 20) };
	const char *dir = NULL, *how;
	bool keep = false;
	struct error err;
	int code, told = EX_OK, mailed;

	if (w.arena == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	buf_init(&w.text, PARAGRAPH_BYTES);
	code = judge_last(&w, &keep, &dir);
	if (code == EX_OK && !keep)
		code = tune_anew(&w, r);
	else if (code != EX_OK) {
		w.event = "failed";
		buf_add_str(&w.text, "The candidate could not be judged. The scores "
		    "in force are unchanged.");
	}
	if (w.changed && !o->dry_run) {
		how = daemon_reload(o->judge.config, &told);
		if (told != EX_OK)
			buf_printf(&w.text, " But %s.", how);
	}
	if (dir != NULL && !o->dry_run && history_note(dir, time(NULL), w.event, w.text.ptr,
		&err) != 0)
		cli_fail(0, "%s", err.text);
	mailed = tell(&w, r);
	buf_done(&w.text);
	arena_free(w.arena);
	return cli_finish(code != EX_OK ? code : told != EX_OK ? told : mailed);
}
