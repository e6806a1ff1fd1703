/* doctor - is everything alive that works unseen? Training that died without
 * a word is the commonest fault of filters that learn. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "cli/doctor_host.h"
#include "cli/state.h"
#include "scoring/learn/model.h"

/* A source that taught before, and not for so long, is worth a look. */
enum { SILENT_SEC = 60 * 86400 };

static json_int_t
number(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static bool
print_source(const json_t *row)
{
	json_int_t learned = number(row, "last_learned"),
		   failed = number(row, "last_failed");
	bool ill = json_string_length(json_object_get(row, "why")) != 0;
	char when[32];

	printf("learning from ");
	state_print(json_object_get(row, "source"));
	printf(": %lld times, last %s", (long long)number(row, "learned"),
	    state_time(learned, when));
	if (learned != 0 && time(NULL) - learned > SILENT_SEC)
		printf(" (silent for long)");
	if (number(row, "failed") != 0) {
		printf("; failed %lld times, last %s%s",
		    (long long)number(row, "failed"), state_time(failed, when),
		    ill ? ": " : "");
		state_print(json_object_get(row, "why"));
	}
	printf(ill ? "  <-- FAILS\n" : "\n");
	return !ill;
}

static bool
print_model(const char *path)
{
	struct model_info info;
	struct error err;
	struct model *m;
	int rc = model_open(path, &m, &err);

	if (rc != 0) {
		printf("model: none (%s)\n", err.text);
		return rc == -ENOENT;
	}
	model_info(m, &info);
	printf("model: %llu good and %llu bad messages learned%s\n",
	    (unsigned long long)info.ham, (unsigned long long)info.spam,
	    info.ham < info.need || info.spam < info.need ?
	    ", not enough yet to be used" : "");
	model_unref(m);
	return true;
}

static bool
print_answer(const json_t *answer, const struct state *s)
{
	const json_t *rows = json_object_get(answer, "rows"), *row;
	bool well = true;
	size_t i;

	json_array_foreach(rows, i, row)
		well &= print_source(row);
	if (json_array_size(rows) == 0)
		printf("learning: nobody has taught anything yet\n");
	return print_model(s->model) && well;
}

/* A source's row as a finding, like all the others. */
static bool
print_source_json(const struct doctor_options *d, const json_t *row)
{
	const char *why = json_string_value(json_object_get(row, "why"));
	json_int_t learned = number(row, "last_learned");
	bool silent = learned != 0 && time(NULL) - learned > SILENT_SEC;
	char when[32];

	return doctor_tell(d, "learning", why != NULL && *why != '\0' ?
	    DOCTOR_BAD : silent ? DOCTOR_WARN : DOCTOR_OK, NULL,
	    "%s: %lld times, last %s%s%s",
	    json_string_value(json_object_get(row, "source")),
	    (long long)number(row, "learned"), state_time(learned, when),
	    why != NULL && *why != '\0' ? ": " : "", why != NULL ? why : "");
}

static int
learning(const struct state_options *o, const struct doctor_options *d,
    bool *well)
{
	json_t *answer = NULL;
	const json_t *row;
	struct state s;
	size_t i;
	int code = state_open(&s, o, false);

	if (code == EX_OK)
		answer = state_ask(&s, json_pack("{s:s}", "op", "learning"),
		    span_of(NULL, 0), NULL, &code);
	if (answer != NULL && o->json) {
		doctor_tell(d, "daemon", s.fd >= 0 ? DOCTOR_OK : DOCTOR_SKIP, NULL,
		    "%s", s.fd >= 0 ? "answers" : "does not run");
		json_array_foreach(json_object_get(answer, "rows"), i, row)
			*well &= print_source_json(d, row);
	} else if (answer != NULL) {
		printf("daemon: %s\n", s.fd >= 0 ? "answers" : "does not run");
		*well &= print_answer(answer, &s);
	}
	json_decref(answer);
	return state_close(&s, code);
}

int
verb_doctor(int argc, char **argv)
{
	enum { OPT_LEARNING = 1, OPT_HOST, OPT_POSTCONF };
	static const struct option options[] = { STATE_LONG_OPTIONS,
		{ "learning", no_argument, NULL, OPT_LEARNING },
		{ "host", no_argument, NULL, OPT_HOST },
		{ "postconf", required_argument, NULL, OPT_POSTCONF }, { 0 } };
	struct state_options o = { 0 };
	struct doctor_options d = { .postconf = "postconf -n" };
	bool only_learning = false, only_host = false, well = true;
	int c, code = EX_OK;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == OPT_LEARNING)
			only_learning = true;
		else if (c == OPT_HOST)
			only_host = true;
		else if (c == OPT_POSTCONF)
			d.postconf = optarg;
		else if (!state_options_take(&o, c, optarg))
			return cli_usage("doctor");
	if (optind != argc)
		return cli_usage("doctor");
	d.config = o.config;
	d.json = o.json;
	if (only_learning || !only_host)
		code = learning(&o, &d, &well);
	/* a state that cannot be opened is one finding among others */
	if (only_host || !only_learning)
		well &= doctor_host(&d);
	if (code == EX_OK && !well)
		code = 1;
	return cli_finish(code);
}
