/* doctor - is everything alive that works unseen? Training that died without
 * a word is the commonest fault of filters that learn. */
#include <errno.h>
#include <string.h>
#include <time.h>

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

int
verb_doctor(int argc, char **argv)
{
	static const struct option options[] = { STATE_LONG_OPTIONS, { 0 } };
	struct state_options o = { 0 };
	json_t *answer = NULL;
	struct state s;
	bool well = true;
	int c, code;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!state_options_take(&o, c, optarg))
			return cli_usage("doctor");
	if (optind != argc)
		return cli_usage("doctor");
	code = state_open(&s, &o, false);
	if (code == EX_OK)
		answer = state_ask(&s, json_pack("{s:s}", "op", "learning"),
		    span_of(NULL, 0), NULL, &code);
	if (answer != NULL && o.json)
		cli_print_json(stdout, json_incref(json_object_get(answer,
		    "rows")));
	else if (answer != NULL) {
		printf("daemon: %s\n", s.fd >= 0 ? "answers" : "does not run");
		well = print_answer(answer, &s);
	}
	json_decref(answer);
	code = state_close(&s, code);
	if (code == EX_OK && !well)
		code = 1;
	return cli_finish(code);
}
