/*
 * tune - from labelled mail to scores: collect, clean, fit, choose
 * thresholds, certify, compare, write. Until the last step nothing is
 * changed, and that step replaces one file at once, after it was loaded as
 * the daemon would load it: whatever goes wrong, the scores in force stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/escape.h"
#include "cli/tune_release.h"
#include "tune/file.h"
#include "tune/fromlog.h"
#include "tune/history.h"

enum { MAX_JOBS = 256 };

/* A rule by itself stays so far below tag_score. */
static const double MARGIN = 0.5;
/* Of the ham, what is only judged, when more than is needed is there */
static const double HELD_OUT = 0.3;

static bool
parse_percent(const char *text, double *ret_share)
{
	struct span s = span_cstr(text);
	char *end;
	double v;

	if (s.len > 0 && s.ptr[s.len - 1] == '%')
		s.len--;
	if (s.len == 0 || s.len > 20 || strspn(text, "0123456789.") < s.len)
		return false;
	v = strtod(text, &end);
	if (end != s.ptr + s.len || !(v > 0) || !(v < 100))
		return false;
	*ret_share = v / 100;
	return true;
}

static int
check_class(size_t ham, size_t spam)
{
	if (ham > 0 && spam > 0)
		return EX_OK;
	if (ham + spam == 0)
		return cli_fail(EX_DATAERR, "there are no labelled messages");
	return cli_fail(EX_DATAERR, "there is no %s among the messages: both "
	    "kinds are needed", ham > 0 ? "spam" : "ham");
}

static int
clean_step(struct tuning *t)
{
	struct clean_options o = { HELD_OUT,
		certify_needed(t->o->max_ham_loss, t->o->confidence) };

	tune_set_order(&t->set);
	if (clean_run(&t->set, &o, &t->clean) != 0)
		return cli_fail(EX_OSERR, "out of memory");
	if (check_class(t->clean.ham, t->clean.spam) != EX_OK)
		return EX_DATAERR;
	if (!t->o->judge.json)
		tune_print_clean(t);
	return EX_OK;
}

static int
fit_step(struct tuning *t)
{
	struct scores_options o = { .ham_cost = t->ham_cost,
		.tag = t->thresholds_before.tag, .margin = MARGIN,
		.min_hits = t->min_hits, .seed = t->o->seed };
	size_t n = t->set.rule_count + 1;
	struct error err;
	int r;

	t->rules = calloc(n, sizeof(*t->rules));
	t->before = calloc(n, sizeof(*t->before));
	t->after = calloc(n, sizeof(*t->after));
	if (t->rules == NULL || t->before == NULL || t->after == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	for (size_t j = 0; j < t->set.rule_count; j++)
		t->before[j] = t->set.rules[j].current;
	r = scores_fit(&t->set, &o, t->after, t->rules, &t->fit, &err);
	if (r == 0 && !t->o->judge.json)
		tune_print_fit(t);
	if (!t->o->judge.json)
		tune_print_doubted(t);
	if (r != 0)
		return cli_fail(r == -ENODATA ? EX_DATAERR : EX_OSERR, "%s",
		    err.text);
	return EX_OK;
}

/* reject_score follows the certificate, but never below what is configured;
 * tag_score was chosen with the scores, and gets the bound that holds. */
static int
certify_step(struct tuning *t)
{
	const struct tune_options *o = t->o;
	double *ham, tag = t->fit.tag;
	char bound[16];
	size_t n, lost = 0;

	if (compare_held_ham(&t->set, t->after, &ham, &n) != 0)
		return cli_fail(EX_OSERR, "out of memory");
	t->reject = certify_threshold(ham, n, o->max_ham_loss, o->confidence,
	    t->thresholds_before.reject);
	while (lost < n && ham[n - 1 - lost] >= tag)
		lost++;
	t->tag = (struct certificate){ .holds = false, .threshold = tag,
		.given = n, .bound = n > 0 ?
		    certify_upper_bound(lost, n, o->confidence) : 1 };
	while (t->reject_lost < n && ham[n - 1 - t->reject_lost] >=
	    round(t->reject.threshold * 1000) / 1000)
		t->reject_lost++;
	free(ham);
	t->thresholds_after = t->thresholds_before;
	t->thresholds_after.tag = tag;
	t->thresholds_after.reject = round(t->reject.threshold * 1000) / 1000;
	compare_certificate_text(&t->reject, o->max_ham_loss, o->confidence,
	    t->reject_text, sizeof(t->reject_text));
	snprintf(t->tag_text, sizeof(t->tag_text), "at most %s %% of good mail "
	    "reaches %.12g (confidence %.4g %%, %zu of %zu did)",
	    compare_percent(t->tag.bound, bound), tag, 100 * o->confidence,
	    lost, n);
	if (!o->judge.json)
		tune_print_certificate(t);
	return EX_OK;
}

static int
compare_step(struct tuning *t)
{
	struct compare_options o = { TUNE_HELD_OUT, t->ham_cost,
		t->o->confidence, t->o->seed };
	struct compare_side before = { t->before, t->thresholds_before.tag };
	struct compare_side after = { t->after, t->thresholds_after.tag };

	if (compare_run(&t->set, &o, &before, &after, &t->compare) != 0)
		return cli_fail(EX_OSERR, "out of memory");
	if (!t->o->judge.json)
		tune_print_compare(t);
	return EX_OK;
}

static int
entry_cmp(const void *a, const void *b)
{
	return strcmp(((const struct result_entry *)a)->name,
	    ((const struct result_entry *)b)->name);
}

/* What differs from the scores as shipped, whether it moved today or is kept
 * from an earlier tuning: a later file replaces the earlier one whole. */
static int
result_make(struct tuning *t, const struct engine *e, struct arena *a)
{
	struct result *r = &t->result;

	*r = (struct result){
		.made = t->o->judge.now >= 0 ? t->o->judge.now :
		    (int64_t)time(NULL),
		.ruleset = ruleset_hash(engine_ruleset(e)), .seed = t->o->seed,
		.fit_ham = t->fit.ham, .fit_spam = t->fit.spam,
		.held_ham = t->clean.held_ham, .held_spam = t->clean.held_spam,
		.certified = { t->reject.holds, t->o->max_ham_loss,
		    t->o->confidence, t->reject_lost, t->reject.given },
		.certificate_reject = t->reject_text,
		.certificate_tag = t->tag_text,
		.has_tag = t->thresholds_after.tag != engine_untuned(e).tag,
		.tag_score = t->thresholds_after.tag,
		.has_reject = t->thresholds_after.reject != engine_untuned(e).reject,
		.reject_score = t->thresholds_after.reject,
		.entries = ARENA_ARRAY(a, t->set.rule_count + 1,
		    struct result_entry),
	};
	if (r->entries == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	for (size_t j = 0; j < t->set.rule_count; j++) {
		const struct tune_rule *rule = &t->set.rules[j];
		const struct scores_rule *x = &t->rules[j];
		char why[256];

		if (fabs(t->after[j] - rule->shipped) < 0.0005)
			continue;
		r->entries[r->count++] = (struct result_entry){
			.name = rule->name, .base = rule->shipped,
			.old = rule->current, .score = t->after[j],
			.ham = x->ham, .spam = x->spam, .so = x->so,
			.so_low = x->so_low, .so_high = x->so_high,
			.why = arena_strdup(a, tune_why(t, j, why, sizeof(why))),
		};
		if (r->entries[r->count - 1].why == NULL)
			return cli_fail(EX_OSERR, "out of memory");
	}
	qsort(r->entries, r->count, sizeof(*r->entries), entry_cmp);
	return EX_OK;
}

struct lint {
	const struct tune_options *o;
	struct arena *arena;
};

/* Is the file what its reader takes, and do the rules load with it? */
static int
lint(void *context, const char *path, struct error *err)
{
	struct lint *l = context;
	struct result again;
	struct engine *engine;
	struct diags diags;
	int r;

	diags_init(&diags, l->arena);
	r = result_read(path, l->arena, &diags, &again, err);
	if (r != 0)
		return r;
	r = cli_engine_load_tuned(&l->o->judge, path, &diags, &engine, err);
	if (r == 0)
		engine_free(engine);
	return r;
}

static int
write_step(struct tuning *t, struct arena *a)
{
	struct lint context = { t->o, a };
	struct error err;
	struct buf text;
	int r, lock = -1;

	buf_init(&text, RESULT_MAX_BYTES);
	r = result_format(&t->result, &text, &err);
	/* not while a candidate is being adopted */
	if (r == 0 && t->o->output == NULL && !t->o->dry_run &&
	    (lock = history_lock(dirname(arena_strdup(a, t->path)), &err)) < 0)
		r = lock;
	if (r == 0 && !t->o->dry_run)
		r = file_replace_checked(t->path, buf_span(&text), 0644, lint,
		    &context, &err);
	if (lock >= 0)
		close(lock);
	buf_done(&text);
	if (r != 0)
		return cli_fail(r == -ENOMEM ? EX_OSERR : r == -EBUSY ?
			EX_TEMPFAIL : r == -EINVAL ?
			EX_SOFTWARE : r == -EACCES || r == -EROFS ? EX_NOPERM :
			EX_CANTCREAT, "%s; the scores in force are unchanged",
		    err.text);
	if (t->o->judge.json)
		return tune_print_json(t);
	tune_print_result(t);
	return EX_OK;
}

/* The directory of results, made if it is not there */
static int
directory_make(const char *dir)
{
	struct stat st;
	int fd, r;

	if (mkdir(dir, 0755) == 0) {
		/* root's would be closed to the timer's user */
		fd = geteuid() == 0 ? open(dir, O_RDONLY | O_DIRECTORY |
			O_NOFOLLOW | O_CLOEXEC) : -1;
		r = fd == -1 || fstatat(fd, "..", &st, 0) != 0 ? 0 :
		    fchown(fd, st.st_uid, st.st_gid);
		if (r != 0)
			cli_fail(0, "cannot give away \"%s\": %s", dir,
			    strerror(errno));
		if (fd != -1)
			close(fd);
		return EX_OK;
	}
	if (errno == EEXIST)
		return EX_OK;
	return cli_fail(errno == EACCES ? EX_NOPERM : EX_CANTCREAT,
	    "cannot make \"%s\": %s", dir, strerror(errno));
}

/* The log that is in use, read beside the daemon */
static int
collect_log(const struct tune_options *o, struct runtime *rt,
    bool learned, struct tune_set *set)
{
	const struct scoring_settings *s = engine_settings(rt->engine);
	const struct ruleset *rs = engine_ruleset(rt->engine);
	struct store_options so = { .path = o->judge.db, .mode = STORE_READ,
		.busy_ms = 2000 };
	struct store *store = NULL;
	char path[PATH_MAX];
	struct error err;
	int r;

	if (so.path == NULL) {
		snprintf(path, sizeof(path), "%s/spamscore.db", s->state_dir);
		so.path = path;
	}
	r = store_open(&so, &store, &err);
	if (r != 0)
		return cli_fail(r == -ENOENT ? EX_NOINPUT : r == -EACCES ?
			EX_NOPERM : EX_UNAVAILABLE, "%s", err.text);
	/* the score set that live mail is judged by */
	if (tune_set_init(set, rs, learned ? 3 : 1) != 0)
		r = error_set(&err, -ENOMEM, "out of memory");
	else
		r = fromlog_collect(store, rs, 0, learned, set, &err);
	store_close(store);
	if (r == 0)
		return EX_OK;
	tune_set_done(set);
	return cli_fail(r == -ENOMEM ? EX_OSERR : r == -E2BIG ? EX_DATAERR :
		EX_TEMPFAIL, "%s", err.text);
}

static int
tune_with(const struct tune_options *o, struct runtime *rt, struct arena *a)
{
	const struct scoring_settings *s = engine_settings(rt->engine);
	struct tuning t = { .o = o, .ham_cost = (double)s->tune_ham_cost,
		.min_hits = (unsigned)s->tune_min_hits,
		.thresholds_before = { s->tag_score, s->tempfail_score,
		    s->reject_score } };
	const char *dir = scoring_tuned_dir(s, a);
	const char *model = o->judge.model == NULL ?
	    arena_printf(a, "%s/" MODEL_FILE, s->state_dir) :
	    strcmp(o->judge.model, "none") == 0 ? NULL : o->judge.model;
	const char *cache = o->cache == NULL ? arena_printf(a, "%s/hits.cache",
	    dir != NULL ? dir : "") :
	    strcmp(o->cache, "none") == 0 ? NULL : o->cache;
	struct error err;
	struct collection *from = NULL;
	bool learned = tune_model_is_active(model);
	int code = EX_OK;

	if (dir == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	t.path = o->output != NULL ? o->output :
	    arena_printf(a, "%s/" CANDIDATE_FILE, dir);
	if (o->output == NULL && !o->dry_run)
		code = directory_make(dir);
	else if (o->cache == NULL && access(dir, W_OK) != 0)
		cache = NULL; /* somebody's own folders: leaves no trace */
	if (code == EX_OK)
		code = o->from_log ? collect_log(o, rt, learned, &t.set) :
		    tune_collect(o, rt, cache, (rt->dns != NULL ? 1 : 0) +
			(learned ? 2 : 0), &t.set, &t.from_cache, &from);
	if (code != EX_OK)
		return code;
	if (!o->judge.json)
		tune_print_collect(&t);
	code = clean_step(&t);
	if (code == EX_OK && learned && from != NULL)
		code = tune_terms(o, rt, from, &t.set);
	tune_collection_free(from);
	if (code == EX_OK)
		code = fit_step(&t);
	if (code == EX_OK)
		code = certify_step(&t);
	if (code == EX_OK)
		code = compare_step(&t);
	if (code == EX_OK)
		code = result_make(&t, rt->engine, a);
	if (code == EX_OK && o->plot != NULL &&
	    tune_plot(&t, o->plot, &err) != 0)
		code = cli_fail(EX_CANTCREAT, "%s", err.text);
	if (code == EX_OK)
		code = write_step(&t, a);
	tune_set_done(&t.set);
	free(t.rules);
	free(t.before);
	free(t.after);
	return code;
}

static int
tune(const struct tune_options *o)
{
	struct judge_options judge = o->judge;
	struct arena *a = arena_new(256 << 20);
	struct runtime rt;
	int code;

	if (a == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	/* what was learned and remembered from these labels must not judge
	 * them; tune_terms() enters what others say */
	judge.db = "none";
	judge.model = "none";
	/* the log holds the answers of its day */
	judge.offline |= o->from_log;
	code = runtime_open(&judge, &rt);
	if (code == EX_OK) {
		code = tune_with(o, &rt, a);
		runtime_close(&rt);
	}
	arena_free(a);
	return cli_finish(code);
}

/* --ham and --spam take all words up to the next option. */
static size_t
take_paths(int argc, char **argv, const char **list, size_t count)
{
	list[count++] = optarg;
	while (optind < argc && (argv[optind][0] != '-' ||
	    argv[optind][1] == '\0'))
		list[count++] = argv[optind++];
	return count;
}

static int
option_take(struct tune_options *o, int c, int argc, char **argv)
{
	int64_t n;
	int code;

	switch (c) {
	case 1:
		o->ham_count = take_paths(argc, argv, o->ham, o->ham_count);
		return EX_OK;
	case 2:
		o->spam_count = take_paths(argc, argv, o->spam, o->spam_count);
		return EX_OK;
	case 3:
		o->from_log = true;
		return EX_OK;
	case 4:
		o->output = optarg;
		return EX_OK;
	case 5:
		return parse_percent(optarg, &o->max_ham_loss) ? EX_OK :
		    cli_fail(EX_USAGE, "--max-ham-loss: not a percentage above "
			"0 and below 100: \"%s\"", optarg);
	case 6:
		return parse_percent(optarg, &o->confidence) ? EX_OK :
		    cli_fail(EX_USAGE, "--confidence: not a percentage above 0 "
			"and below 100: \"%s\"", optarg);
	case 7:
		if (!conf_parse_int(span_cstr(optarg), &n) || n < 0)
			return cli_fail(EX_USAGE, "--seed: not a number: \"%s\"",
			    optarg);
		o->seed = (uint64_t)n;
		return EX_OK;
	case 'j':
		if (!conf_parse_int(span_cstr(optarg), &o->jobs) ||
		    o->jobs < 1 || o->jobs > MAX_JOBS)
			return cli_fail(EX_USAGE, "--jobs: not 1 to %d: \"%s\"",
			    MAX_JOBS, optarg);
		return EX_OK;
	case 9:
		o->cache = optarg;
		return EX_OK;
	case 10:
		o->plot = optarg;
		return EX_OK;
	case 11:
		o->dry_run = true;
		return EX_OK;
	default:
		code = judge_options_take(&o->judge, c, optarg);
		return code == -1 ? cli_usage("tune") : code;
	}
}

/* It runs as shadow from now on. */
static int
candidate_announce(const struct tune_options *o)
{
	int code;
	const char *how = daemon_reload(o->judge.config, &code);

	if (!o->judge.json)
		printf("candidate: %s\n", how);
	return cli_finish(code);
}

/* What is done with results; false: the option is not about that. */
static bool
release_take(struct release_options *r, int c)
{
	if (c > 20 + RELEASE_NONE && c <= 20 + RELEASE_WEEKLY)
		r->what = (enum release)(c - 20);
	else if (c == 30)
		r->force = true;
	else if (c == 32)
		r->sendmail = optarg;
	else
		return false;
	return true;
}

int
verb_tune(int argc, char **argv)
{
	static const struct option options[] = { JUDGE_LONG_OPTIONS,
		{ "ham", required_argument, NULL, 1 },
		{ "spam", required_argument, NULL, 2 },
		{ "from-log", no_argument, NULL, 3 },
		{ "output", required_argument, NULL, 4 },
		{ "max-ham-loss", required_argument, NULL, 5 },
		{ "confidence", required_argument, NULL, 6 },
		{ "seed", required_argument, NULL, 7 },
		{ "jobs", required_argument, NULL, 'j' },
		{ "cache", required_argument, NULL, 9 },
		{ "plot", required_argument, NULL, 10 },
		{ "adopt", no_argument, NULL, 20 + RELEASE_ADOPT },
		{ "rollback", no_argument, NULL, 20 + RELEASE_ROLLBACK },
		{ "history", no_argument, NULL, 20 + RELEASE_HISTORY },
		{ "weekly", no_argument, NULL, 20 + RELEASE_WEEKLY },
		{ "force", no_argument, NULL, 30 },
		{ "dry-run", no_argument, NULL, 11 },
		{ "sendmail", required_argument, NULL, 32 }, { 0 } };
	struct release_options release = { .tune = tune };
	struct tune_options o = { .jobs = 1, .max_ham_loss = 0.001,
		.confidence = 0.95, .seed = 1 };
	int c, code = judge_options_init(&o.judge, argc);

	o.ham = calloc((size_t)argc + 1, sizeof(*o.ham));
	o.spam = calloc((size_t)argc + 1, sizeof(*o.spam));
	if (code == EX_OK && (o.ham == NULL || o.spam == NULL))
		code = cli_fail(EX_OSERR, "out of memory");
	while (code == EX_OK &&
	    (c = getopt_long(argc, argv, "j:", options, NULL)) != -1)
		if (!release_take(&release, c))
			code = option_take(&o, c, argc, argv);
	if (code == EX_OK && release.what != RELEASE_NONE) {
		code = optind != argc || o.ham_count + o.spam_count > 0 ?
		    cli_usage("tune") : tune_release(&o, &release);
		goto out;
	}
	if (code == EX_OK && (optind != argc ||
	    o.from_log == (o.ham_count + o.spam_count > 0)))
		code = cli_usage("tune");
	if (code == EX_OK && !o.from_log)
		code = check_class(o.ham_count, o.spam_count);
	if (code == EX_OK)
		code = tune(&o);
	if (code == EX_OK && o.output == NULL && !o.dry_run)
		code = candidate_announce(&o);
out:
	free(o.ham);
	free(o.spam);
	judge_options_done(&o.judge);
	return code;
}
