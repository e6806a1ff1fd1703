#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/state.h"
#include "cli/tune_release.h"
#include "tune/file.h"
#include "tune/history.h"

enum { MAX_ROWS = 100000, SHOWN_EVENTS = 10 };

static int
release_code(int r)
{
	return r == 0		  ? EX_OK :
	    r == -ENOENT	  ? EX_NOINPUT :
	    r == -EBUSY		  ? EX_TEMPFAIL :
	    r == -EACCES || r == -EPERM || r == -EROFS ? EX_NOPERM :
	    r == -ENOMEM	  ? EX_OSERR :
	    r == -EINVAL	  ? EX_DATAERR :
				    EX_CANTCREAT;
}

const char *
release_day(int64_t t, char out[32])
{
	time_t when = (time_t)t;
	struct tm tm;

	if (gmtime_r(&when, &tm) == NULL ||
	    strftime(out, 32, "%Y-%m-%d", &tm) == 0)
		snprintf(out, 32, "?");
	return out;
}

const char *
daemon_reload(const char *config, int *ret_code)
{
	struct state_options o = { .config = config };
	json_t *answer;
	struct error err = { "" };
	struct state s;

	*ret_code = state_paths(&s, &o);
	if (*ret_code != EX_OK)
		return "the daemon was not told";
	s.fd = control_connect(s.socket, &err);
	if (s.fd == -ENOENT || s.fd == -ECONNREFUSED || s.fd == -EINVAL)
		return "no daemon runs here";
	if (s.fd < 0) {
		*ret_code = cli_fail(EX_UNAVAILABLE, "%s", err.text);
		return "the daemon was not told";
	}
	answer = state_ask(&s, json_pack("{s:s}", "op", "reload"),
	    span_of(NULL, 0), "reload", ret_code);
	json_decref(answer);
	close(s.fd);
	return *ret_code == EX_OK ? "the daemon has taken it up" :
				    "the daemon keeps what it had";
}

static bool
is_base(const struct result_entry *e, const struct rule *r)
{
	for (size_t i = 0; i < 4; i++)
		if (!result_stale(e, r->base_scores[i]))
			return true;
	return false;
}

int
tuned_check(const struct engine *e, struct arena *a, struct diags *diags,
    size_t *ret_entries, size_t *ret_stale)
{
	const struct ruleset *rs = engine_ruleset(e);
	const char *path = engine_tuned(e);
	struct result result;
	struct error err;
	struct diags own;
	int r;

	*ret_entries = *ret_stale = 0;
	if (path == NULL)
		return 0;
	diags_init(&own, a);
	r = result_read(path, a, &own, &result, &err);
	if (r == -ENOMEM)
		return r;
	if (r != 0) {
		diag_add(diags, DIAG_NOTE, path, own.first != NULL ?
			own.first->line : 0, "not as spamscore tune writes it: "
		    "what its scores are based on is not known");
		return 0;
	}
	*ret_entries = result.count;
	for (size_t i = 0; i < result.count; i++) {
		const struct result_entry *x = &result.entries[i];
		long k = ruleset_find(rs, x->name);

		if (k >= 0 && is_base(x, ruleset_rule(rs, (size_t)k)))
			continue;
		++*ret_stale;
		if (k < 0) /* the rules' loader has said that it is gone */
			continue;
		diag_add(diags, DIAG_WARNING, path, x->line, "\"%s\" was fitted "
		    "beside the score %g, which is %g now: tune again", x->name,
		    x->base, ruleset_rule(rs, (size_t)k)->base_scores[3]);
	}
	return 0;
}

/* What is adopted or comes back must load as the daemon would load it. */
static int
check_loads(void *context, const char *path, struct error *err)
{
	const struct tune_options *o = context;
	struct arena *a = arena_new(16 << 20);
	struct engine *e;
	struct diags diags;
	struct buf out;
	int r;

	if (a == NULL)
		return error_set(err, -ENOMEM, "out of memory");
	diags_init(&diags, a);
	r = cli_engine_load_tuned(&o->judge, path, &diags, &e, err);
	if (r == 0)
		engine_free(e);
	buf_init(&out, 1 << 20);
	diags_format(&diags, DIAG_ERROR, &out);
	fwrite(out.ptr, 1, out.len, stderr);
	buf_done(&out);
	arena_free(a);
	return r;
}

struct adoption {
	const struct tune_options *o;
	struct span bytes;
};

/* What the gate has judged, and not what came in between. */
static int
check_candidate(void *context, const char *path, struct error *err)
{
	const struct adoption *a = context;
	struct buf now;
	int r;

	buf_init(&now, RESULT_MAX_BYTES);
	r = file_read(path, &now, err);
	if (r == 0 && !span_eq(buf_span(&now), a->bytes))
		r = error_set(err, -EBUSY, "there is another candidate now");
	buf_done(&now);
	return r != 0 ? r : check_loads((void *)(uintptr_t)a->o, path, err);
}

/* ---- the gate */

static uint64_t
hash_text(const char *s)
{
	uint64_t h = UINT64_C(0xCBF29CE484222325); /* FNV-1a */

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001B3);
	return h;
}

static const char *
text_of(const json_t *row, const char *key)
{
	const char *s = json_string_value(json_object_get(row, key));

	return s != NULL ? s : "";
}

/* Mail of one domain moves as one: a mailing has many addresses. */
static uint64_t
sender_of(const json_t *row)
{
	const char *from = text_of(row, "mail_from");
	const char *at = strrchr(from, '@');

	/* no sender (bounces): each message for itself; a keyed address has
	 * no domain to see */
	if (at == NULL)
		return hash_text(text_of(row, from[0] == '\0' ? "id" :
							       "mail_from"));
	return hash_text(at + 1);
}

static int
message_cmp(const void *a, const void *b)
{
	return strcmp(text_of(*(json_t *const *)a, "message"),
	    text_of(*(json_t *const *)b, "message"));
}

/* The rows as the gate wants them; of several verdicts on one message, as
 * after a deferral, the latest counts. */
static int
judge_rows(const json_t *rows, double reject, const struct gate_options *go,
    struct gate_report *ret_report, struct error *err)
{
	size_t n = json_array_size(rows), count = 0;
	struct gate_message *messages = calloc(n + 1, sizeof(*messages));
	const json_t **sorted = calloc(n + 1, sizeof(*sorted));
	int r = -ENOMEM;

	if (messages == NULL || sorted == NULL) {
		error_set(err, r, "out of memory");
		goto out;
	}
	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(rows, i);
	qsort(sorted, n, sizeof(*sorted), message_cmp);
	for (size_t i = 0; i < n; i++) {
		const json_t *row = sorted[i], *next;
		double score;

		for (; i + 1 < n && message_cmp(&sorted[i], &sorted[i + 1]) == 0;
		     i++) {
			next = sorted[i + 1];
			if (json_integer_value(json_object_get(next, "time")) >
			    json_integer_value(json_object_get(row, "time")))
				row = next;
		}
		score = json_number_value(json_object_get(row, "shadow_score"));
		messages[count++] = (struct gate_message){
			.spam = strcmp(text_of(row, "label"), "spam") == 0,
			.stopped = strcmp(text_of(row, "judged"), "accept") != 0,
			.would_stop = strcmp(text_of(row, "action"), "accept") != 0,
			.would_reject = score >= reject,
			.sender = sender_of(row),
		};
	}
	r = gate_decide(messages, count, go, ret_report, err);
out:
	free(messages);
	free(sorted);
	return r;
}

/* Only what was judged beside the scores that are in force now compares with
 * them: from the last change on. */
static int64_t
compare_since(const struct candidate *c, struct arena *a)
{
	static const char *const changes[] = { "adopted", "rolled-back" };
	int64_t since = c->result.made + 1;
	struct history_event *list;
	struct error err;
	size_t n;

	for (size_t i = 0; i < 2; i++)
		if (history_events(c->dir, changes[i], 1, a, &list, &n, &err) ==
		    0 && n > 0 && list[0].time >= since)
			since = list[0].time + 1;
	return since;
}

static int
ask_gate(const struct tune_options *o, const struct engine *e,
    struct arena *a, struct candidate *c)
{
	struct state_options so = { .config = o->judge.config,
		.db = o->judge.db };
	struct gate_options go = { c->result.certified,
		(double)engine_settings(e)->tune_ham_cost, o->seed };
	double reject = c->result.has_reject ? c->result.reject_score :
	    engine_untuned(e).reject;
	json_t *answer = NULL;
	struct error err;
	struct state s;
	int code = state_paths(&s, &so);

	/* where no daemon has run yet nothing can have been labelled since */
	if (code == EX_OK && access(s.db, F_OK) != 0 && errno == ENOENT)
		return judge_rows(NULL, reject, &go, &c->gate, &err) == 0 ? EX_OK :
		    cli_fail(EX_OSERR, "%s", err.text);
	if (code == EX_OK)
		code = state_open(&s, &so, false);
	if (code == EX_OK)
		answer = state_ask(&s, json_pack("{s:s, s:s, s:s, s:I, s:b, s:I}",
		    "op", "shadow", "set", SHADOW_CANDIDATE, "hash", c->hash,
		    "since", (json_int_t)compare_since(c, a), "labelled", 1,
		    "limit", (json_int_t)MAX_ROWS), span_of(NULL, 0), NULL, &code);
	if (answer != NULL && judge_rows(json_object_get(answer, "rows"), reject,
		&go, &c->gate, &err) != 0)
		code = cli_fail(EX_OSERR, "%s", err.text);
	json_decref(answer);
	return state_close(&s, code);
}

int
candidate_judge(const struct tune_options *o, const struct engine *e,
    struct arena *a, struct candidate *c)
{
	const struct shadow_list *list = engine_shadows(e);
	const struct shadow *found = NULL;
	struct error err;
	struct diags diags;
	struct buf text;
	const char *path;
	int r;

	*c = (struct candidate){ .dir = scoring_tuned_dir(engine_settings(e), a) };
	/* it may be the engine's, which the caller lets go of */
	if (c->dir == NULL || (c->dir = arena_strdup(a, c->dir)) == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(shadow_name(list->sets[i]), SHADOW_CANDIDATE) == 0)
			found = list->sets[i];
	if (found == NULL) {
		path = arena_printf(a, "%s/" CANDIDATE_FILE, c->dir);
		/* faults of other shadows are not ours */
		if (path != NULL && access(path, F_OK) != 0)
			return EX_OK;
		for (size_t i = 0; i < list->fault_count; i++)
			cli_fail(0, "%s", list->faults[i]);
		return cli_fail(EX_DATAERR, "the candidate does not run as shadow");
	}
	diags_init(&diags, a);
	buf_init(&text, RESULT_MAX_BYTES);
	r = file_read(shadow_path(found), &text, &err);
	c->bytes = arena_span(a, buf_span(&text));
	buf_done(&text);
	if (r == 0)
		r = result_parse(c->bytes, CANDIDATE_FILE, a, &diags, &c->result,
		    &err);
	if (r != 0)
		return cli_fail(EX_DATAERR, "%s%s%s", diags.first != NULL ?
			diags.first->text : err.text, diags.first != NULL ? ": " :
			"", diags.first != NULL ? err.text : "");
	c->present = true;
	c->hash = arena_strdup(a, shadow_hash(found));
	return c->hash != NULL ? ask_gate(o, e, a, c) :
				 cli_fail(EX_OSERR, "out of memory");
}

int
candidate_adopt(const struct tune_options *o, const struct candidate *c)
{
	char day[32], text[400];
	struct error err;
	struct adoption adoption = { o, c->bytes };
	int r = history_adopt(c->dir, check_candidate, &adoption, &err);

	if (r != 0)
		return cli_fail(release_code(r),
		    "%s; the scores in force are unchanged", err.text);
	snprintf(text, sizeof(text), "the candidate of %s: %s",
	    release_day(c->result.made, day), c->gate.why);
	/* a diary; that it cannot be written changes nothing */
	if (history_note(c->dir, time(NULL), "adopted", text, &err) != 0)
		cli_fail(0, "%s", err.text);
	return EX_OK;
}

static json_t *
gate_json(const struct candidate *c, bool adopted)
{
	const struct gate_report *g = &c->gate;

	return json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
	    "s:I, s:I, s:f, s:f}", "decision", gate_word(g->decision), "why",
	    g->why, "adopted", adopted, "made", (json_int_t)c->result.made,
	    "ham", (json_int_t)g->ham, "spam", (json_int_t)g->spam,
	    "ham_stopped", (json_int_t)g->ham_stopped, "ham_would_stop",
	    (json_int_t)g->ham_would_stop, "ham_would_reject",
	    (json_int_t)g->ham_would_reject, "spam_missed",
	    (json_int_t)g->spam_missed, "spam_would_miss",
	    (json_int_t)g->spam_would_miss, "differing",
	    (json_int_t)g->differing, "better", g->better, "bound", g->bound);
}

static void
print_gate(const struct candidate *c)
{
	const struct gate_report *g = &c->gate;
	char day[32];

	printf("candidate of %s: %zu scores\n", release_day(c->result.made, day),
	    c->result.count);
	printf("  labelled since: %zu ham, %zu spam\n", g->ham, g->spam);
	printf("  ham stopped: %zu, now %zu; spam missed: %zu, now %zu\n",
	    g->ham_would_stop, g->ham_stopped, g->spam_would_miss,
	    g->spam_missed);
	printf("  gate: %s: %s\n", gate_word(g->decision), g->why);
}

static int
adopt(const struct tune_options *o, const struct release_options *r,
    const struct engine *e, struct arena *a)
{
	struct candidate c;
	bool go;
	int code = candidate_judge(o, e, a, &c), told = EX_OK;
	const char *how;

	if (code != EX_OK)
		return code;
	if (!c.present)
		return cli_fail(EX_NOINPUT, "there is no candidate in \"%s\"",
		    c.dir);
	if (!o->judge.json)
		print_gate(&c);
	go = (c.gate.decision == GATE_ADOPT || r->force) && !o->dry_run;
	if (go)
		code = candidate_adopt(o, &c);
	if (code != EX_OK)
		return code;
	if (o->judge.json)
		code = cli_print_json(stdout, gate_json(&c, go));
	if (!go)
		return code != EX_OK || o->dry_run ? code : EX_TEMPFAIL;
	how = daemon_reload(o->judge.config, &told);
	if (!o->judge.json)
		printf("adopted; %s\n", how);
	return code != EX_OK ? code : told;
}

static int
rollback_json(const struct history_entry *to, bool done)
{
	return cli_print_json(stdout, json_pack("{s:b, s:b, s:I}", "rolled_back",
	    done, "shipped", to->none, "number", (json_int_t)to->number));
}

static int
rollback(const struct tune_options *o, const char *dir, struct arena *a)
{
	struct history_entry *list;
	struct error err;
	const char *how;
	size_t n;
	int rc = history_list(dir, a, &list, &n, &err), told = EX_OK;

	if (rc == 0 && n == 0)
		rc = error_set(&err, -ENOENT, "there are no earlier scores in "
		    "\"%s\"", dir);
	if (rc == 0 && !o->dry_run)
		rc = history_rollback(dir, check_loads, (void *)(uintptr_t)o, &err);
	if (rc != 0)
		return cli_fail(release_code(rc),
		    "%s; the scores in force are unchanged", err.text);
	if (o->dry_run && !o->judge.json)
		printf("would return to %s\n", list[n - 1].none ?
			"the scores as shipped" : list[n - 1].path);
	if (o->dry_run)
		return o->judge.json ? rollback_json(&list[n - 1], false) : EX_OK;
	if (history_note(dir, time(NULL), "rolled-back", list[n - 1].none ?
		"to the scores as shipped" : "to the scores before", &err) != 0)
		cli_fail(0, "%s", err.text);
	how = daemon_reload(o->judge.config, &told);
	if (o->judge.json)
		rc = rollback_json(&list[n - 1], true);
	else
		printf("%s are in force again; %s\n", list[n - 1].none ?
			"the scores as shipped" : "the scores before", how);
	return rc != EX_OK ? rc : told;
}

/* ---- history */

static int
print_set(const struct tune_options *o, const char *what, const char *path,
    struct arena *a)
{
	struct result result = { 0 };
	bool known = false;
	struct error err;
	struct diags diags;
	char day[32];

	diags_init(&diags, a);
	if (path != NULL)
		known = result_read(path, a, &diags, &result, &err) == 0;
	if (o->judge.json)
		return cli_print_json(stdout, json_pack(
		    "{s:s, s:s, s:s?, s:o, s:o, s:s?}", "kind", "set", "set", what,
		    "file", path, "made", known ?
			json_integer((json_int_t)result.made) : json_null(),
		    "scores", known ? json_integer((json_int_t)result.count) :
			json_null(), "certificate", result.certificate_reject));
	if (path == NULL)
		printf("%-10s the scores as shipped\n", what);
	else if (!known)
		printf("%-10s %s: not as spamscore tune writes it\n", what, path);
	else
		printf("%-10s %s, %zu scores; %s\n", what,
		    release_day(result.made, day), result.count,
		    result.certificate_reject);
	return EX_OK;
}

static int
print_events(const struct tune_options *o, const char *dir, struct arena *a)
{
	struct history_event *events;
	struct error err;
	char when[32];
	size_t n;
	int code = EX_OK, r = history_events(dir, NULL, SHOWN_EVENTS, a, &events,
	    &n, &err);

	if (r != 0)
		return cli_fail(EX_IOERR, "%s", err.text);
	if (n > 0 && !o->judge.json)
		putchar('\n');
	for (size_t i = 0; code == EX_OK && i < n; i++)
		if (o->judge.json) {
			code = cli_print_json(stdout, json_pack(
			    "{s:s, s:I, s:s, s:s}", "kind", "event", "time",
			    (json_int_t)events[i].time, "event", events[i].event,
			    "text", events[i].text));
		} else {
			printf("%s  %s: ", state_time(events[i].time, when),
			    events[i].event);
			cli_print_text(span_cstr(events[i].text));
			putchar('\n');
		}
	return code;
}

static int
print_stale(const struct tune_options *o, const struct engine *e,
    struct arena *a)
{
	size_t entries, stale;
	struct diags diags;
	struct buf out;
	int code = EX_OK;

	diags_init(&diags, a);
	if (tuned_check(e, a, &diags, &entries, &stale) != 0)
		return cli_fail(EX_OSERR, "out of memory");
	if (o->judge.json)
		return cli_print_json(stdout, json_pack("{s:s, s:I, s:I}", "kind",
		    "bases", "scores", (json_int_t)entries, "stale",
		    (json_int_t)stale));
	if (stale == 0)
		return code;
	printf("\n%zu of %zu tuned scores are based on rules or scores that have "
	    "changed since:\n", stale, entries);
	buf_init(&out, 1 << 20);
	diags_format(&diags, DIAG_WARNING, &out);
	fwrite(out.ptr, 1, out.len, stdout);
	buf_done(&out);
	return code;
}

static int
history(const struct tune_options *o, const struct engine *e, const char *dir,
    struct arena *a)
{
	const char *candidate = arena_printf(a, "%s/" CANDIDATE_FILE, dir);
	struct history_entry *list;
	struct error err;
	size_t n;
	int code, r = history_list(dir, a, &list, &n, &err);

	if (r != 0 || candidate == NULL)
		return cli_fail(release_code(r), "%s", err.text);
	code = print_set(o, "in force", engine_tuned(e), a);
	if (code == EX_OK && access(candidate, F_OK) == 0)
		code = print_set(o, "candidate", candidate, a);
	for (size_t i = n; code == EX_OK && i > 0; i--) {
		char number[16];

		snprintf(number, sizeof(number), "%04u", list[i - 1].number);
		code = print_set(o, number, list[i - 1].none ? NULL :
			list[i - 1].path, a);
	}
	if (code == EX_OK)
		code = print_events(o, dir, a);
	return code == EX_OK ? print_stale(o, e, a) : code;
}

int
tune_release(const struct tune_options *o, const struct release_options *r)
{
	struct arena *a = arena_new(64 << 20);
	struct engine *e = NULL;
	const char *dir;
	int code;

	if (a == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	if (r->what == RELEASE_WEEKLY) {
		arena_free(a);
		return tune_weekly(o, r);
	}
	code = cli_load_engine(&o->judge, &e);
	if (code == EX_OK) {
		dir = scoring_tuned_dir(engine_settings(e), a);
		code = dir == NULL ? cli_fail(EX_OSERR, "out of memory") :
		    r->what == RELEASE_ADOPT ? adopt(o, r, e, a) :
		    r->what == RELEASE_ROLLBACK ? rollback(o, dir, a) :
						  history(o, e, dir, a);
		engine_free(e);
	}
	arena_free(a);
	return cli_finish(code);
}
