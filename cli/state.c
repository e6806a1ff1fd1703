#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/state.h"
#include "config.h"
#include "milter/settings.h"

bool
state_options_take(struct state_options *o, int option, const char *arg)
{
	switch (option) {
	case 2000:
		o->config = arg;
		return true;
	case 2001:
		o->db = arg;
		return true;
	case 2002:
		o->json = true;
		return true;
	default:
		return false;
	}
}

/* Settings of engine and daemon only: no rule is read for this. */
static int
read_settings(const struct state_options *o, struct milter_settings *ms,
    struct scoring_settings *ss, struct arena *a)
{
	struct settings_room rooms[2] = { { milter_settings_table, ms },
		{ scoring_settings_table, ss } };
	struct judge_options jo = { .config = o->config };
	const char *path = cli_config_path(&jo);
	struct conf_lines lines = { 0 };
	struct error err = { "out of memory" };
	struct diags diags;
	struct buf out;

	milter_settings_init(ms);
	diags_init(&diags, a);
	if (scoring_settings_init(ss, a) != 0)
		return cli_fail(EX_OSERR, "%s", err.text);
	if (path == NULL)
		return EX_OK;
	if (conf_read(a, path, CONF_MAX_FILE_BYTES, &lines, &diags, &err) != 0)
		return cli_fail(EX_CONFIG, "%s", err.text);
	for (size_t i = 0; i < lines.count; i++)
		conf_apply(&lines.lines[i], rooms, 2, a, &diags);
	if (diags.errors == 0)
		return EX_OK;
	buf_init(&out, 1 << 20);
	diags_format(&diags, DIAG_ERROR, &out);
	fwrite(out.ptr, 1, out.len, stderr);
	buf_done(&out);
	return EX_CONFIG;
}

/* Paths, and settings that stay until settings_done() */
static int
settings_read(struct state *s, const struct state_options *o)
{
	struct milter_settings ms;
	int code;

	*s = (struct state){ .fd = -1, .arena = arena_new(16 << 20) };
	if (s->arena == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	code = read_settings(o, &ms, &s->settings, s->arena);
	if (code == EX_OK) {
		snprintf(s->socket, sizeof(s->socket), "%s", ms.control_socket);
		snprintf(s->db, sizeof(s->db), "%s/spamscore.db", ms.state_dir);
		snprintf(s->model, sizeof(s->model), "%s/" MODEL_FILE,
		    ms.state_dir);
		s->feedback = feedback_model_of(&s->settings, s->model);
		if (o->db != NULL) {
			const char *slash = strrchr(o->db, '/');

			/* another database has a model of its own beside it */
			snprintf(s->db, sizeof(s->db), "%s", o->db);
			snprintf(s->model, sizeof(s->model), "%.*s" MODEL_FILE,
			    slash != NULL ? (int)(slash - o->db) + 1 : 0, o->db);
		}
	}
	milter_settings_done(&ms);
	return code;
}

static void
settings_done(struct state *s)
{
	if (s->arena != NULL)
		scoring_settings_done(&s->settings);
	arena_free(s->arena);
	s->arena = NULL;
}

int
state_paths(struct state *s, const struct state_options *o)
{
	int code = settings_read(s, o);

	settings_done(s);
	return code;
}

static double
label_weight(void *context, const char *user)
{
	return scoring_label_weight(context, user);
}

static void
print_fault(void *context, const char *text)
{
	(void)context;
	cli_fail(0, "%s", text);
}

int
state_open(struct state *s, const struct state_options *o, bool writes)
{
	struct store_options so = { .mode = writes ? STORE_WRITE : STORE_READ,
		.busy_ms = 2000, .fault = print_fault };
	struct error err;
	int rc, code = settings_read(s, o);

	if (code != EX_OK)
		return code;
	if (o->db == NULL && strcmp(s->socket, SETTINGS_NONE) != 0) {
		rc = control_connect(s->socket, &err);
		if (rc >= 0) {
			s->fd = rc;
			return EX_OK;
		}
		if (rc != -ENOENT && rc != -ECONNREFUSED)
			return cli_fail(rc == -EACCES ? EX_NOPERM : EX_UNAVAILABLE,
			    "%s", err.text);
	}
	so.path = s->db;
	rc = store_open(&so, &s->store, &err);
	if (rc != 0)
		return cli_fail(rc == -ENOENT ? EX_NOINPUT :
			rc == -EACCES	      ? EX_NOPERM :
			rc == -EBUSY	      ? EX_TEMPFAIL :
						EX_UNAVAILABLE, "%s", err.text);
	/* the command's user answers for the rate */
	s->context = (struct control_context){ .store = s->store,
		.model = s->feedback, .label_weight = label_weight,
		.weight_context = &s->settings };
	return EX_OK;
}

json_t *
state_ask(struct state *s, json_t *request, struct span message,
    const char *prefix, int *ret_code)
{
	json_t *answer = NULL, *fault;
	struct error err = { "out of memory" };
	bool learned = false;
	int rc = 0;

	*ret_code = EX_OSERR;
	if (request == NULL)
		rc = -ENOMEM;
	else if (s->fd >= 0)
		rc = control_ask(s->fd, request, message, &answer, &err);
	else
		answer = control_run(&s->context, request, message, &learned);
	json_decref(request);
	s->learned |= learned;
	if (rc != 0 || answer == NULL) {
		*ret_code = rc == -ENOMEM ? EX_OSERR : EX_UNAVAILABLE;
		cli_fail(*ret_code, "%s%s%s", prefix != NULL ? prefix : "",
		    prefix != NULL ? ": " : "", err.text);
		return NULL;
	}
	fault = json_object_get(answer, "error");
	if (fault == NULL) {
		*ret_code = EX_OK;
		return answer;
	}
	*ret_code = (int)json_integer_value(json_object_get(answer, "code"));
	if (*ret_code <= 0 || *ret_code > 255)
		*ret_code = EX_SOFTWARE;
	cli_fail(*ret_code, "%s%s%s", prefix != NULL ? prefix : "",
	    prefix != NULL ? ": " : "",
	    json_is_string(fault) ? json_string_value(fault) : "fault");
	json_decref(answer);
	return NULL;
}

int
state_close(struct state *s, int code)
{
	int trained = EX_OK;

	if (s->fd >= 0)
		close(s->fd);
	if (s->store != NULL && s->learned) {
		json_t *answer = state_ask(s, json_pack("{s:s}", "op", "train"),
		    span_of(NULL, 0), "training", &trained);

		json_decref(answer);
	}
	store_close(s->store);
	settings_done(s);
	return code != EX_OK ? code : trained;
}

void
state_print(const json_t *value)
{
	if (json_is_string(value))
		cli_print_text(span_of(json_string_value(value),
		    json_string_length(value)));
}

const char *
state_time(json_int_t t, char out[32])
{
	time_t when = (time_t)t;
	struct tm tm;

	if (t <= 0 || gmtime_r(&when, &tm) == NULL ||
	    strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return "never";
	return out;
}

bool
state_parse_time(const char *text, int64_t *ret_time)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S",
		"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M",
		"%Y-%m-%d" };
	int64_t ms;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = { 0 };
		const char *end = strptime(text, forms[i], &tm);

		if (end != NULL && *end == '\0') {
			*ret_time = timegm(&tm);
			return true;
		}
	}
	if (conf_parse_int(span_cstr(text), ret_time))
		return *ret_time >= 0;
	if (!conf_parse_duration(span_cstr(text), &ms) || ms < 0)
		return false;
	*ret_time = (int64_t)time(NULL) - ms / 1000;
	return true;
}
