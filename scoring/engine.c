#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "config.h"
#include "scoring/auth/auth.h"
#include "scoring/engine.h"

/* Strings of the settings; the ruleset keeps its own memory. */
enum { SETTINGS_ARENA_BYTES = 64 << 20 };

struct engine {
	struct arena *arena;
	struct scoring_settings settings;
	struct ruleset *ruleset;
	struct thresholds untuned;
	const char *tuned; /* file; NULL: none */
	struct shadow_list shadows;
	char *model_path; /* NULL: none */
	struct model *model;
	pthread_mutex_t model_lock; /* of model, which is replaced in use */
};

const char *
engine_default_rules_dir(void)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	size_t len = strlen(BUILD_DIR);

	if (n > 0 && (size_t)n > len && strncmp(exe, BUILD_DIR, len) == 0 &&
	    exe[len] == '/')
		return RULES_DIR_SOURCE;
	return RULES_DIR;
}

static int
config_read(struct engine *e, const struct engine_options *o,
    const struct settings_room *rooms, size_t room_count, struct diags *diags,
    struct error *err)
{
	struct conf_lines lines;
	int r;

	if (o->config == NULL)
		return 0;
	r = conf_read(e->arena, o->config, CONF_MAX_FILE_BYTES, &lines, diags, err);
	if (r != 0) {
		diag_add(diags, DIAG_ERROR, o->config, 0, "%s", err->text);
		return r;
	}
	for (size_t i = 0; i < lines.count; i++)
		if (conf_apply(&lines.lines[i], rooms, room_count, e->arena,
			diags) == CONF_UNKNOWN &&
		    !(o->foreign_prefix != NULL &&
			span_istarts(lines.lines[i].key, o->foreign_prefix)))
			diag_add(diags, DIAG_ERROR, lines.lines[i].file,
			    lines.lines[i].number, "unknown setting \"%.*s\"",
			    SPAN_ARG(lines.lines[i].key));
	return 0;
}

/* The file of tuned scores, if there is one to be read. 0 or -ENOMEM. */
static int
tuned_path(struct engine *e, const struct engine_options *o,
    struct diags *diags)
{
	const char *dir;

	if (o->tuned != NULL) {
		e->tuned = strcmp(o->tuned, "none") == 0 ? NULL :
		    arena_strdup(e->arena, o->tuned);
		return 0;
	}
	if (o->rules_count != 0)
		return 0;
	dir = scoring_tuned_dir(&e->settings, e->arena);
	if (dir == NULL ||
	    (e->tuned = arena_printf(e->arena, "%s/" TUNED_FILE, dir)) == NULL)
		return -ENOMEM;
	/* no file is no fault; one that cannot be read is, and is told */
	if (access(e->tuned, R_OK) == 0)
		return 0;
	if (errno == EACCES && o->tuned_may_be_hidden)
		diag_add(diags, DIAG_WARNING, e->tuned, 0, "cannot be read: the "
		    "daemon's scores may be others than these");
	else if (errno != ENOENT && errno != ENOTDIR)
		return 0;
	e->tuned = NULL;
	return 0;
}

/* The rule files: the caller's, or the configured directory and additions */
static int
rules_load(struct engine *e, const struct engine_options *o,
    const struct settings_room *rooms, size_t room_count, struct diags *diags,
    struct error *err)
{
	const struct scoring_settings *s = &e->settings;
	struct ruleset_options ro = {
		.paths = o->rules,
		.path_count = o->rules_count,
		.rooms = rooms,
		.room_count = room_count,
		.keep_going = o->keep_going,
		.compiled_dir = o->no_databases ? NULL : s->compiled_dir,
	};
	struct tuned_thresholds tuned;
	struct settings_room tuned_room = { tuned_thresholds_table, &tuned };
	const char **paths;
	int r = tuned_path(e, o, diags);

	if (r != 0)
		return error_set(err, r, "out of memory");
	tuned_thresholds_init(&tuned);
	ro.tuned = e->tuned;
	ro.tuned_rooms = &tuned_room;
	ro.tuned_room_count = 1;

	if (o->rules_count == 0) {
		paths = ARENA_ARRAY(e->arena, s->rules.count + 1, const char *);
		if (paths == NULL)
			return error_set(err, -ENOMEM, "out of memory");
		paths[0] = s->rules_dir;
		for (size_t i = 0; i < s->rules.count; i++)
			paths[i + 1] = s->rules.items[i];
		ro.paths = paths;
		ro.path_count = s->rules.count + 1;
	}
	r = ruleset_load(&ro, diags, &e->ruleset, err);
	e->untuned = (struct thresholds){ s->tag_score, s->tempfail_score,
		s->reject_score };
	tuned_thresholds_apply(&tuned, &e->settings);
	return r;
}

static int
shadows_load(struct engine *e, const struct engine_options *o,
    struct diags *diags, struct error *err)
{
	struct shadow_options so = { .settings = &e->settings,
		.ruleset = e->ruleset };
	const char *dir = scoring_tuned_dir(&e->settings, e->arena);
	const char *candidate = NULL;

	if (o->rules_count == 0 && o->tuned == NULL && dir != NULL)
		candidate = arena_printf(e->arena, "%s/" CANDIDATE_FILE, dir);
	if (dir == NULL || shadow_list_load(&e->shadows, &so, candidate,
		&e->untuned, o->keep_going, e->arena, diags) != 0)
		return error_set(err, -ENOMEM, "out of memory for shadows");
	return 0;
}

static int
model_path(const struct engine *e, const struct engine_options *o,
    char **ret_path)
{
	*ret_path = NULL;
	if (o->model != NULL && strcmp(o->model, "none") == 0)
		return 0;
	*ret_path = o->model != NULL ? arena_strdup(e->arena, o->model) :
	    arena_printf(e->arena, "%s/" MODEL_FILE, e->settings.state_dir);
	return *ret_path != NULL ? 0 : -ENOMEM;
}

static int
model_load(struct engine *e, const struct engine_options *o,
    struct diags *diags, struct error *err)
{
	int r = model_path(e, o, &e->model_path);

	if (r != 0)
		return error_set(err, r, "out of memory");
	if (e->model_path == NULL)
		return 0;
	r = model_open(e->model_path, &e->model, err);
	if (r == 0 || r == -ENOENT)
		return 0;
	/* what was learned is a help, never a condition; what was named must
	 * work */
	if (o->model != NULL)
		return r;
	diag_add(diags, DIAG_WARNING, e->model_path, 0, "%s", err->text);
	return 0;
}

int
engine_reload_model(struct engine *e, struct error *err)
{
	struct model *fresh, *old;
	int r;

	if (e->model_path == NULL)
		return error_set(err, -EINVAL, "no model is configured");
	r = model_open(e->model_path, &fresh, err);
	if (r != 0)
		return r;
	pthread_mutex_lock(&e->model_lock);
	old = e->model;
	e->model = fresh;
	pthread_mutex_unlock(&e->model_lock);
	if (old != NULL)
		model_unref(old);
	return 0;
}

int
engine_load(const struct engine_options *o, struct diags *diags,
    struct engine **ret_engine, struct error *err)
{
	struct engine *e = calloc(1, sizeof(*e));
	struct settings_room *rooms;
	size_t errors_before = diags->errors;
	int r = -ENOMEM;

	error_set(err, 0, "out of memory");
	if (e == NULL)
		return -ENOMEM;
	pthread_mutex_init(&e->model_lock, NULL);
	e->arena = arena_new(SETTINGS_ARENA_BYTES);
	if (e->arena == NULL || scoring_settings_init(&e->settings, e->arena) != 0)
		goto fail;
	if (o->rules_dir != NULL)
		e->settings.rules_dir = o->rules_dir;
	rooms = ARENA_ARRAY(e->arena, o->room_count + 1, struct settings_room);
	if (rooms == NULL)
		goto fail;
	rooms[0] = (struct settings_room){ scoring_settings_table, &e->settings };
	for (size_t i = 0; i < o->room_count; i++)
		rooms[i + 1] = o->rooms[i];

	r = config_read(e, o, rooms, o->room_count + 1, diags, err);
	if (r == 0)
		r = rules_load(e, o, rooms, o->room_count + 1, diags, err);
	if (r == 0) {
		const char *file = o->config != NULL ? o->config : "settings";

		scoring_settings_check(&e->settings, file, diags);
		auth_settings_check(&e->settings, file, o->keep_going, diags);
	}
	if (r == 0 && !o->keep_going && diags->errors != errors_before)
		r = error_set(err, -EINVAL, "%zu errors in configuration or rules",
		    diags->errors - errors_before);
	if (r == 0)
		r = shadows_load(e, o, diags, err);
	if (r == 0)
		r = model_load(e, o, diags, err);
	if (r == 0) {
		*ret_engine = e;
		return 0;
	}
fail:
	engine_free(e);
	return r;
}

void
engine_free(struct engine *e)
{
	if (e == NULL)
		return;
	shadow_list_done(&e->shadows);
	ruleset_free(e->ruleset);
	if (e->model != NULL)
		model_unref(e->model);
	scoring_settings_done(&e->settings);
	arena_free(e->arena);
	free(e);
}

const struct scoring_settings *
engine_settings(const struct engine *e)
{
	return &e->settings;
}

const struct ruleset *
engine_ruleset(const struct engine *e)
{
	return e->ruleset;
}

struct thresholds
engine_untuned(const struct engine *e)
{
	return e->untuned;
}

const char *
engine_tuned(const struct engine *e)
{
	return e->tuned;
}

const struct shadow_list *
engine_shadows(const struct engine *e)
{
	return &e->shadows;
}

struct model *
engine_model(struct engine *e)
{
	struct model *m;

	pthread_mutex_lock(&e->model_lock);
	m = e->model != NULL ? model_ref(e->model) : NULL;
	pthread_mutex_unlock(&e->model_lock);
	return m;
}

void
engine_limits(const struct engine *e, struct message_limits *ret_limits)
{
	*ret_limits = (struct message_limits){
		.scan_bytes = (size_t)e->settings.scan_size,
		.max_fields = (size_t)e->settings.max_fields,
		.max_mime_depth = (unsigned)e->settings.max_mime_depth,
		.max_mime_parts = (unsigned)e->settings.max_mime_parts,
		.max_uris = (unsigned)e->settings.max_uris,
	};
}

/* Where the hop that is to be judged stands, or count: there is none */
static size_t
judged_hop(const struct relays *relays)
{
	size_t i = relays->trusted_count;

	while (i < relays->count && relays->hops[i].ignored)
		i++;
	return i;
}

/* An address literal has lost its brackets to SpamAssassin's pseudo-headers,
 * where "[" ends a hop: "!192.0.2.1!" was "[192.0.2.1]". NULL: no memory. */
static const char *
helo_of_hop(struct arena *a, const char *helo)
{
	size_t n = strlen(helo);
	struct netaddr ip;
	char *literal;

	if (n < 3 || helo[0] != '!' || helo[n - 1] != '!' ||
	    !netaddr_parse(span_of(helo + 1, n - 2), &ip))
		return helo;
	literal = arena_strdup(a, helo);
	if (literal != NULL) {
		literal[0] = '[';
		literal[n - 1] = ']';
	}
	return literal;
}

/* 0 or -ENOMEM */
static int
envelope_take_hop(struct envelope *env, const struct relays *relays,
    struct arena *a)
{
	size_t i = judged_hop(relays);

	if (i >= relays->count || !relays->hops[i].parsed)
		return 0;
	env->client_ip = relays->hops[i].ip;
	env->client_name = relays->hops[i].rdns != NULL &&
		relays->hops[i].rdns[0] != '\0' ? relays->hops[i].rdns : NULL;
	env->reverse_name = env->client_name;
	env->helo = NULL;
	if (relays->hops[i].helo == NULL || relays->hops[i].helo[0] == '\0')
		return 0;
	env->helo = helo_of_hop(a, relays->hops[i].helo);
	return env->helo != NULL ? 0 : -ENOMEM;
}

int
envelope_from_message(struct message *m, const struct relays *relays,
    struct arena *a, struct envelope *ret_envelope)
{
	struct envelope env = { .source = ENVELOPE_NONE };
	struct field *path = message_find(m, "Return-Path", 0);

	if (envelope_take_hop(&env, relays, a) != 0)
		return -ENOMEM;
	if (path != NULL) {
		struct span v = span_trim(field_unfolded(m, path));
		size_t open = span_find(v, '<');

		if (open < v.len) {
			v = span_from(v, open + 1);
			v.len = span_find(v, '>');
		}
		env.mail_from = arena_memdup(a, v.ptr, v.len);
		if (env.mail_from == NULL)
			return -ENOMEM;
	}
	if (env.mail_from != NULL || env.client_ip.family != 0)
		env.source = ENVELOPE_MESSAGE;
	*ret_envelope = env;
	return 0;
}

/* The SMTP client as the hop that the MTA has not yet written; false when
 * the message's first Received is that hop already (a stored message) or no
 * client is known. */
static bool
first_hop_make(struct message *m, const struct envelope *env, struct arena *a,
    struct received_hop *ret_hop)
{
	struct field *f = message_find(m, "Received", 0);
	struct received_hop top = { 0 };

	if (env->client_ip.family == 0)
		return false;
	if (env->source != ENVELOPE_SMTP && f != NULL &&
	    received_parse(a, field_unfolded(m, f), &top) == 0 && top.parsed &&
	    netaddr_eq(&top.ip, &env->client_ip))
		return false;
	*ret_hop = (struct received_hop){
		.ip = env->client_ip,
		.rdns = env->client_name != NULL ? env->client_name : "",
		.helo = env->helo != NULL ? env->helo : "",
		.by = "",
		.ident = "",
		.envfrom = env->mail_from != NULL ? env->mail_from : "",
		.id = env->queue_id != NULL ? env->queue_id : "",
		.auth = env->auth_login != NULL ? "SASL" : "",
		.with = "ESMTP",
		.parsed = true,
		.field_index = NO_OFFSET,
	};
	return true;
}

/* The envelope that is judged: behind a trusted relay, the hop before it. */
static int
envelope_make(struct engine *e, const struct engine_request *rq,
    struct message *m, struct relays **ret_relays,
    const struct envelope **ret_envelope)
{
	struct envelope *env = ARENA_NEW(rq->arena, struct envelope);
	const struct scoring_settings *s = &e->settings;
	struct received_hop first;
	int r;

	if (env == NULL)
		return -ENOMEM;
	if (rq->envelope == NULL) {
		r = relays_parse(m, &s->trusted_networks, &s->internal_networks,
		    NULL, ret_relays);
		if (r == 0)
			r = envelope_from_message(m, *ret_relays, rq->arena, env);
	} else {
		*env = *rq->envelope;
		r = relays_parse(m, &s->trusted_networks, &s->internal_networks,
		    first_hop_make(m, env, rq->arena, &first) ? &first : NULL,
		    ret_relays);
		if (r == 0 && netset_contains(&s->trusted_networks, &env->client_ip))
			r = envelope_take_hop(env, *ret_relays, rq->arena);
	}
	*ret_envelope = env;
	return r;
}

int
engine_judge(struct engine *e, const struct engine_request *rq,
    struct engine_run *ret_run, struct error *err)
{
	struct engine_run run = { 0 };
	struct message_limits limits;
	struct gather *own = NULL, *g = rq->gather;
	struct model *model;
	int64_t start = clock_us(), parsed, gathered, done;
	int r;

	engine_limits(e, &limits);
	r = message_parse(rq->arena, rq->raw, rq->full_size_bytes, &limits,
	    &run.message, err);
	if (r != 0)
		return r;
	r = envelope_make(e, rq, run.message, &run.relays, &run.envelope);
	if (r != 0)
		return error_set(err, r, "out of memory for the envelope");
	parsed = clock_us();
	if (g == NULL)
		g = own = gather_new(rq->sources, &e->settings, rq->arena);
	if (g == NULL)
		return error_set(err, -ENOMEM, "out of memory for lookups");
	r = gather_finish(g, run.envelope, run.message, run.relays, e->ruleset,
	    rq->now, &run.evidence, err);
	gather_free(own);
	if (r != 0)
		return r;
	gathered = clock_us();
	model = engine_model(e);
	struct judge_input in = {
		.settings = &e->settings,
		.ruleset = e->ruleset,
		.model = rq->model != NULL ? rq->model : model,
		.message = run.message,
		.envelope = run.envelope,
		.relays = run.relays,
		.evidence = run.evidence,
		.arena = rq->arena,
	};
	r = judge(&in, &run.verdict, err);
	if (model != NULL)
		model_unref(model);
	if (r != 0)
		return r;
	if (shadow_list_judge(&e->shadows, SHADOW_SCORES, &in, run.verdict) != 0)
		run.verdict->shadow_count = 0;
	done = clock_us();
	run.verdict->timing_us.parse = parsed - start;
	run.verdict->timing_us.gather = gathered - parsed;
	run.verdict->timing_us.rules = done - gathered;
	run.verdict->timing_us.total = done - start;
	*ret_run = run;
	return 0;
}

/* A message that was judged, once more without the model */
static struct judge_input
input_again(const struct engine *e, const struct engine_run *run,
    struct arena *a)
{
	return (struct judge_input){
		.settings = &e->settings,
		.ruleset = e->ruleset,
		.message = run->message,
		.envelope = run->envelope,
		.relays = run->relays,
		.evidence = run->evidence,
		.arena = a,
	};
}

int
engine_autolearn(struct engine *e, const struct engine_run *run,
    struct arena *a, struct autolearn *ret_autolearn)
{
	struct judge_input in = input_again(e, run, a);

	return autolearn_judge(&in, run->verdict, ret_autolearn);
}

int
engine_judge_shadow_rules(struct engine *e, struct engine_run *run,
    struct arena *a)
{
	struct judge_input in = input_again(e, run, a);

	return shadow_list_judge(&e->shadows, SHADOW_RULES, &in, run->verdict);
}
