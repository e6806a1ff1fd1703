/*
 * evaluate - how well would the filter do on this mail? A stream of labelled
 * messages is judged in order of arrival; each is scored before its label is
 * learned, by an empty model and an empty database that are thrown away.
 *
 * The same order gives the same figures: no clock, no random number and no
 * network enters (the time used is the one exception, and only reported).
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/random.h"
#include "cli/cli.h"
#include "cli/evaluate.h"
#include "cli/mail.h"
#include "cli/scratch.h"
#include "scoring/learn/model.h"

enum feedback { FEEDBACK_IMMEDIATE, FEEDBACK_DELAYED, FEEDBACK_PARTIAL,
	FEEDBACK_NONE };

enum { MAX_DELAY = 1000000 };

struct options {
	struct judge_options judge;
	const char *stream, *scores, *plot;
	bool no_rules;
	enum feedback feedback;
	size_t delay;	/* messages */
	double part;	/* of the labels that are given */
	double flip;	/* of the given labels that are wrong */
	size_t model_size_bytes; /* 0: the default */
};

/* What waits for its label */
struct waiting {
	bool spam, kept;
	char *packed;
	size_t packed_len;
	struct identity *ids; /* keys behind it in one block */
	size_t id_count;
	char *author;
	int64_t time;
};

struct evaluation {
	const struct options *o;
	struct scoring_settings settings; /* with --no-rules */
	struct runtime rt;		  /* without */
	struct message_limits limits;
	struct model_writer *writer;
	struct metrics_item *items, *learned;
	char **paths;
	size_t count, alloc, failed, not_messages;
	struct waiting *ring;
	size_t ring_size;
	size_t labelled;
	struct scratch scratch;
	int64_t cpu_us;
	bool progress;
};

static int64_t
cpu_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* A number in [0, 1) that depends on n and purpose alone */
static double
unit(uint64_t n, uint64_t purpose)
{
	uint64_t x = random_mix(n * RANDOM_STEP +
	    purpose * 0xD1B54A32D192ED03u);

	return (double)(x >> 11) / 9007199254740992.0;
}

/* "0.1" and "10%" are a tenth */
static bool
parse_part(const char *text, double *ret_part)
{
	struct span s = span_cstr(text);
	bool percent = s.len > 0 && s.ptr[s.len - 1] == '%';
	char *end;
	double v;

	if (percent)
		s.len--;
	if (s.len == 0 || s.len > 20 || strspn(text, "0123456789.") != s.len)
		return false;
	v = strtod(text, &end);
	if (end != s.ptr + s.len)
		return false;
	*ret_part = percent ? v / 100 : v;
	return *ret_part >= 0 && *ret_part <= 1;
}

static bool
parse_feedback(const char *text, struct options *o)
{
	int64_t n;

	if (strcmp(text, "immediate") == 0)
		o->feedback = FEEDBACK_IMMEDIATE;
	else if (strcmp(text, "none") == 0)
		o->feedback = FEEDBACK_NONE;
	else if (strncmp(text, "partial:", 8) == 0) {
		o->feedback = FEEDBACK_PARTIAL;
		return parse_part(text + 8, &o->part);
	} else if (strncmp(text, "delayed:", 8) == 0) {
		o->feedback = FEEDBACK_DELAYED;
		if (!conf_parse_int(span_cstr(text + 8), &n) || n < 0 ||
		    n > MAX_DELAY)
			return false;
		o->delay = (size_t)n;
	} else
		return false;
	return true;
}

static void
waiting_done(struct waiting *w)
{
	free(w->packed);
	free(w->ids);
	free(w->author);
	*w = (struct waiting){ 0 };
}

static bool
waiting_keep_ids(struct waiting *w, const struct identity *ids, size_t count)
{
	size_t bytes = count * sizeof(*ids);
	char *text;

	for (size_t i = 0; i < count; i++)
		bytes += strlen(ids[i].key) + 1;
	w->ids = malloc(bytes + 1);
	if (w->ids == NULL)
		return false;
	text = (char *)(w->ids + count);
	for (size_t i = 0; i < count; i++) {
		w->ids[i] = (struct identity){ ids[i].kind, text };
		text = stpcpy(text, ids[i].key) + 1;
	}
	w->id_count = count;
	return true;
}

/* The label of one message arrives. */
static int
learn(struct evaluation *ev, struct waiting *w)
{
	struct error err;
	struct sample s;

	if (!w->kept)
		return EX_OK;
	if (sample_unpack(span_of(w->packed, w->packed_len), &s) != 0)
		return cli_fail(EX_SOFTWARE, "a sample does not unpack");
	model_writer_learn(ev->writer, &s, w->spam ? MODEL_SPAM : MODEL_HAM, 1, 0);
	ev->labelled++;
	if (w->id_count > 0 && ev->scratch.store != NULL) {
		store_reputation_add(ev->scratch.store, w->ids, w->id_count,
		    w->spam ? 0 : 1, w->spam ? 1 : 0, w->author, w->time);
		/* the next verdict must see it, or the figures would depend
		 * on how fast the disk is */
		if (store_flush(ev->scratch.store, &err) != 0)
			return cli_fail(EX_IOERR, "%s", err.text);
	}
	return EX_OK;
}

static int
feed(struct evaluation *ev, size_t index, struct waiting *w)
{
	const struct options *o = ev->o;
	int code = EX_OK;

	if (unit(index, 1) < o->flip)
		w->spam = !w->spam;
	switch (o->feedback) {
	case FEEDBACK_DELAYED:
		if (o->delay > 0) {
			struct waiting *slot = &ev->ring[index % o->delay];

			if (slot->kept)
				code = learn(ev, slot);
			waiting_done(slot);
			*slot = *w;
			*w = (struct waiting){ 0 };
			return code;
		}
		return learn(ev, w);
	case FEEDBACK_PARTIAL:
		return unit(index, 2) < o->part ? learn(ev, w) : EX_OK;
	case FEEDBACK_IMMEDIATE:
		return learn(ev, w);
	case FEEDBACK_NONE:
		break;
	}
	return EX_OK;
}

static int
keep(struct evaluation *ev, struct arena *a, const struct sample *s,
    bool spam, struct waiting *ret_waiting)
{
	struct span packed;

	if (ev->o->feedback == FEEDBACK_NONE)
		return EX_OK;
	if (sample_pack(s, a, &packed) != 0)
		return EX_OSERR;
	ret_waiting->packed = malloc(packed.len);
	if (ret_waiting->packed == NULL)
		return EX_OSERR;
	memcpy(ret_waiting->packed, packed.ptr, packed.len);
	ret_waiting->packed_len = packed.len;
	ret_waiting->spam = spam;
	ret_waiting->kept = true;
	return EX_OK;
}

static int
judge_with_rules(struct evaluation *ev, struct span raw, size_t full_size,
    struct arena *a, double *ret_score, struct sample_source *ret_source,
    struct waiting *ret_waiting, struct error *err)
{
	struct engine_request rq = { .raw = raw, .full_size_bytes = full_size,
		.sources = &ev->rt.sources, .arena = a,
		.model = model_writer_model(ev->writer) };
	struct identity *ids;
	struct engine_run run;
	struct message *m;
	size_t count;
	int r;

	/* once for its time, which the verdict's clock needs beforehand */
	r = message_parse(a, raw, full_size, &ev->limits, &m, err);
	if (r == 0) {
		rq.now = mail_time(m);
		r = engine_judge(ev->rt.engine, &rq, &run, err);
	}
	if (r == 0)
		r = gather_identities(ev->rt.auth, run.evidence, run.envelope,
		    run.message, a, &ids, &count);
	if (r != 0)
		return r;
	*ret_score = run.verdict->score;
	*ret_source = (struct sample_source){ .message = run.message,
		.delivered = true };
	ret_waiting->time = rq.now;
	return waiting_keep_ids(ret_waiting, ids, count) ? 0 : -ENOMEM;
}

static int
one(struct evaluation *ev, struct span raw, size_t full_size, bool spam,
    const char *path, struct arena *a, struct waiting *ret_waiting,
    struct error *err)
{
	struct sample_source source = { .delivered = true };
	struct model_prediction p;
	struct sample s;
	double score = 0;
	int r;

	if (ev->o->no_rules)
		r = message_parse(a, raw, full_size, &ev->limits,
		    &source.message, err);
	else
		r = judge_with_rules(ev, raw, full_size, a, &score, &source,
		    ret_waiting, err);
	if (r == -EINVAL) {
		/* not a message, but it came and somebody labelled it: its
		 * bytes are all there is to judge by */
		s = (struct sample){ .view = { [SAMPLE_RAW] = { raw.ptr,
			raw.len < SAMPLE_RAW_BYTES ? raw.len :
			(size_t)SAMPLE_RAW_BYTES } } };
		ev->not_messages++;
		r = 0;
	} else if (r == 0)
		r = sample_make(&source, a, &s);
	if (r != 0)
		return EX_OSERR;
	if (model_predict_sample(model_writer_model(ev->writer), &s, 0, a,
		&p) != 0)
		return EX_OSERR;
	if (ev->count == ev->alloc) {
		size_t alloc = ev->alloc == 0 ? 4096 : ev->alloc * 2;
		void *items = reallocarray(ev->items, alloc, sizeof(*ev->items));
		void *learned, *paths;

		if (items != NULL)
			ev->items = items;
		learned = reallocarray(ev->learned, alloc, sizeof(*ev->learned));
		if (learned != NULL)
			ev->learned = learned;
		paths = reallocarray(ev->paths, alloc, sizeof(*ev->paths));
		if (paths != NULL)
			ev->paths = paths;
		if (items == NULL || learned == NULL || paths == NULL)
			return EX_OSERR;
		ev->alloc = alloc;
	}
	ev->paths[ev->count] = strdup(path);
	if (ev->paths[ev->count] == NULL)
		return EX_OSERR;
	ev->learned[ev->count] = (struct metrics_item){ p.log_odds, spam };
	ev->items[ev->count] = (struct metrics_item){
		ev->o->no_rules ? p.log_odds : score, spam };
	ev->count++;
	return keep(ev, a, &s, spam, ret_waiting);
}

static int
mail_run(struct evaluation *ev, const char *where, const struct mail *m,
    const char *shown, bool spam, struct arena *a, struct buf *raw)
{
	struct waiting w = { 0 };
	struct error err = { "out of memory" };
	size_t full_size;
	int64_t start;
	int code;

	buf_reset(raw);
	code = mail_read(m, ev->limits.scan_bytes, raw, &full_size, NULL, NULL,
	    &err);
	start = cpu_now_us();
	arena_reset(a);
	if (code == EX_OK)
		code = one(ev, buf_span(raw), full_size, spam, shown, a, &w, &err);
	if (code == EX_NOINPUT || code == EX_IOERR) {
		cli_fail(code, "%s: %s: %s", where, m->name, err.text);
		ev->failed++;
		code = EX_OK;
	} else if (code == EX_OK)
		code = feed(ev, ev->count - 1, &w);
	else
		cli_fail(code, "%s: %s", m->name, err.text);
	waiting_done(&w);
	ev->cpu_us += cpu_now_us() - start;
	if (ev->progress && ev->count % 200 == 0)
		fprintf(stderr, "\r%zu", ev->count);
	return code;
}

static int
line_run(struct evaluation *ev, const char *file, unsigned number, char *line,
    struct arena *a, struct buf *raw)
{
	char *tab = strchr(line, '\t'), path[PATH_MAX], shown[2 * PATH_MAX];
	char where[PATH_MAX + 16];
	const char *slash = strrchr(file, '/');
	struct mail_list mail = { 0 };
	int code;

	snprintf(where, sizeof(where), "%s:%u", file, number);
	if (tab != NULL)
		*tab = '\0';
	if (tab == NULL || tab[1] == '\0' || (strcmp(line, "ham") != 0 &&
	    strcmp(line, "spam") != 0))
		return cli_fail(EX_DATAERR, "%s: not \"ham\" or \"spam\", a "
		    "tab and a path", where);
	if (tab[1] == '/' || slash == NULL)
		snprintf(path, sizeof(path), "%s", tab + 1);
	else
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - file), file,
		    tab + 1);
	code = mail_list_add(&mail, path);
	for (size_t i = 0; i < mail.count && code == EX_OK; i++) {
		const struct mail *m = &mail.items[i];

		snprintf(shown, sizeof(shown), "%s%s", tab + 1,
		    m->name + strlen(path));
		code = mail_run(ev, where, m, shown, line[0] == 's', a, raw);
	}
	mail_list_done(&mail);
	return code;
}

static int
stream_run(struct evaluation *ev)
{
	const char *name = ev->o->stream;
	FILE *f = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	struct arena *a = arena_new(ev->limits.scan_bytes * 16 + (64u << 20));
	unsigned number = 0;
	size_t size = 0;
	char *line = NULL;
	struct buf raw;
	ssize_t n;
	int code = EX_OK;

	buf_init(&raw, ev->limits.scan_bytes);
	if (f == NULL)
		code = cli_fail(EX_NOINPUT, "cannot open \"%s\": %s", name,
		    strerror(errno));
	else if (a == NULL)
		code = cli_fail(EX_OSERR, "out of memory");
	while (code == EX_OK && (n = getline(&line, &size, f)) > 0) {
		number++;
		while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			line[--n] = '\0';
		if (n > 0)
			code = line_run(ev, name, number, line, a, &raw);
	}
	if (ev->progress)
		fprintf(stderr, "\r%*s\r", 20, "");
	if (code == EX_OK && ferror(f))
		code = cli_fail(EX_IOERR, "cannot read \"%s\"", name);
	if (f != NULL && f != stdin)
		fclose(f);
	free(line);
	buf_done(&raw);
	arena_free(a);
	return code;
}

/* --no-rules: limits and the model's settings are all that counts */
static int
settings_open(struct evaluation *ev, struct arena *a)
{
	const char *path = cli_config_path(&ev->o->judge);
	struct settings_room room = { scoring_settings_table, &ev->settings };
	struct conf_lines lines = { 0 };
	struct diags diags;
	struct error err;
	struct buf out;
	int r = 0;

	diags_init(&diags, a);
	if (scoring_settings_init(&ev->settings, a) != 0)
		return cli_fail(EX_OSERR, "out of memory");
	if (path != NULL)
		r = conf_read(a, path, CONF_MAX_FILE_BYTES, &lines, &diags, &err);
	if (r != 0)
		return cli_fail(EX_CONFIG, "%s", err.text);
	for (size_t i = 0; i < lines.count; i++)
		conf_apply(&lines.lines[i], &room, 1, a, &diags);
	if (diags.errors > 0) {
		buf_init(&out, 1 << 20);
		diags_format(&diags, DIAG_ERROR, &out);
		fwrite(out.ptr, 1, out.len, stderr);
		buf_done(&out);
		return EX_CONFIG;
	}
	ev->limits = (struct message_limits){
		.scan_bytes = (size_t)ev->settings.scan_size,
		.max_fields = (size_t)ev->settings.max_fields,
		.max_mime_depth = (unsigned)ev->settings.max_mime_depth,
		.max_mime_parts = (unsigned)ev->settings.max_mime_parts,
		.max_uris = (unsigned)ev->settings.max_uris,
	};
	return EX_OK;
}

static int
rules_open(struct evaluation *ev)
{
	struct judge_options o = ev->o->judge;
	int code;

	/* the answers come from the file or not at all: figures must be the
	 * same tomorrow */
	o.db = "none";
	o.model = "none";
	o.offline = true;
	code = runtime_open(&o, &ev->rt);
	if (code != EX_OK)
		return code;
	engine_limits(ev->rt.engine, &ev->limits);
	code = scratch_open(&ev->scratch, "evaluate");
	if (code != EX_OK)
		return code;
	ev->rt.sources.store = ev->scratch.store;
	ev->rt.sources.store_why = NULL;
	return EX_OK;
}

static int
report(struct evaluation *ev)
{
	const struct options *o = ev->o;
	struct evaluate_report r = {
		.items = ev->items, .learned = ev->learned, .paths = ev->paths,
		.count = ev->count, .labelled = ev->labelled,
		.not_messages = ev->not_messages, .cpu_us = ev->cpu_us,
		.threshold = o->no_rules ? 0 :
		    engine_settings(ev->rt.engine)->tag_score,
	};

	model_info(model_writer_model(ev->writer), &r.info);
	return evaluate_report(&r, o->judge.json, o->scores, o->plot);
}

static void
evaluation_done(struct evaluation *ev)
{
	for (size_t i = 0; i < ev->count; i++)
		free(ev->paths[i]);
	for (size_t i = 0; i < ev->ring_size; i++)
		waiting_done(&ev->ring[i]);
	free(ev->paths);
	free(ev->items);
	free(ev->learned);
	free(ev->ring);
	model_writer_free(ev->writer);
	if (!ev->o->no_rules)
		runtime_close(&ev->rt);
	scratch_close(&ev->scratch);
}

static int
evaluate(const struct options *o)
{
	struct evaluation *ev = calloc(1, sizeof(*ev));
	struct arena *a = arena_new(16 << 20);
	const struct scoring_settings *settings;
	struct model_options mo;
	struct error err;
	int code = EX_OK;

	if (ev == NULL || a == NULL) {
		free(ev);
		arena_free(a);
		return cli_fail(EX_OSERR, "out of memory");
	}
	ev->o = o;
	ev->progress = isatty(STDERR_FILENO) && !o->judge.json;
	ev->ring_size = o->delay;
	ev->ring = calloc(o->delay + 1, sizeof(*ev->ring));
	if (ev->ring == NULL)
		code = cli_fail(EX_OSERR, "out of memory");
	if (code == EX_OK)
		code = o->no_rules ? settings_open(ev, a) : rules_open(ev);
	if (code == EX_OK) {
		settings = o->no_rules ? &ev->settings :
		    engine_settings(ev->rt.engine);
		mo = (struct model_options){ o->model_size_bytes != 0 ?
		    o->model_size_bytes : (size_t)settings->learned_size,
		    (unsigned)settings->learned_need };
		if (model_writer_new(&mo, &ev->writer, &err) != 0)
			code = cli_fail(EX_USAGE, "%s", err.text);
	}
	if (code == EX_OK)
		code = stream_run(ev);
	if (code == EX_OK)
		code = report(ev);
	if (code == EX_OK && ev->failed > 0)
		code = EX_DATAERR;
	evaluation_done(ev);
	if (o->no_rules)
		scoring_settings_done(&ev->settings);
	free(ev);
	arena_free(a);
	return cli_finish(code);
}

int
verb_evaluate(int argc, char **argv)
{
	static const struct option options[] = { JUDGE_LONG_OPTIONS,
		{ "stream", required_argument, NULL, 1 },
		{ "feedback", required_argument, NULL, 2 },
		{ "no-rules", no_argument, NULL, 3 },
		{ "scores", required_argument, NULL, 4 },
		{ "plot", required_argument, NULL, 5 },
		{ "flip-labels", required_argument, NULL, 6 },
		{ "model-size", required_argument, NULL, 7 },
		{ 0 } };
	struct options o = { .part = 1 };
	int64_t size;
	int c, code = judge_options_init(&o.judge, argc);

	while (code == EX_OK &&
	    (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 1:
			o.stream = optarg;
			break;
		case 2:
			if (!parse_feedback(optarg, &o))
				code = cli_fail(EX_USAGE, "--feedback: not immediate, "
				    "delayed:N, partial:P or none: \"%s\"", optarg);
			break;
		case 3:
			o.no_rules = true;
			break;
		case 4:
			o.scores = optarg;
			break;
		case 5:
			o.plot = optarg;
			break;
		case 6:
			if (!parse_part(optarg, &o.flip))
				code = cli_fail(EX_USAGE, "--flip-labels: not a "
				    "share from 0 to 1: \"%s\"", optarg);
			break;
		case 7:
			if (!conf_parse_size(span_cstr(optarg), &size) || size < 1)
				code = cli_fail(EX_USAGE,
				    "--model-size: not a size: \"%s\"", optarg);
			else
				o.model_size_bytes = (size_t)size;
			break;
		default:
			code = judge_options_take(&o.judge, c, optarg);
			if (code == -1)
				code = cli_usage("evaluate");
		}
	}
	if (code == EX_OK && (optind != argc || o.stream == NULL))
		code = cli_usage("evaluate");
	if (code == EX_OK)
		code = evaluate(&o);
	judge_options_done(&o.judge);
	return code;
}
