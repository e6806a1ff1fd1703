/* reputation - what is remembered of senders. */
#include <string.h>

#include "cli/state.h"

static double
number(const json_t *row, const char *key)
{
	return json_number_value(json_object_get(row, key));
}

static int
print_rows(const struct state_options *o, const json_t *rows)
{
	const json_t *row;
	char when[32];
	size_t i;

	if (!o->json && json_array_size(rows) > 0)
		printf("%10s %10s %8s %8s %7s  %-19s  %s\n", "ham", "spam",
		    "ham/1h", "spam/1h", "authors", "last seen (UTC)",
		    "identity");
	json_array_foreach(rows, i, row) {
		if (o->json) {
			cli_print_json(stdout, json_incref((json_t *)row));
			continue;
		}
		printf("%10.2f %10.2f %8.2f %8.2f %7.0f  %-19s  ",
		    number(row, "ham"), number(row, "spam"),
		    number(row, "recent_ham"), number(row, "recent_spam"),
		    number(row, "spread"), state_time(json_integer_value(
		    json_object_get(row, "last_seen")), when));
		state_print(json_object_get(row, "identity"));
		putchar('\n');
	}
	return cli_finish(EX_OK);
}

static int
ask(const struct state_options *o, json_t *request)
{
	struct state s;
	json_t *answer = NULL;
	int code = state_open(&s, o, false);

	if (code == EX_OK)
		answer = state_ask(&s, request, span_of(NULL, 0), NULL, &code);
	else
		json_decref(request);
	code = state_close(&s, code);
	if (answer != NULL)
		code = print_rows(o, json_object_get(answer, "rows"));
	json_decref(answer);
	return code;
}

int
verb_reputation(int argc, char **argv)
{
	static const struct option options[] = { STATE_LONG_OPTIONS,
		{ "limit", required_argument, NULL, 1 },
		{ "now", required_argument, NULL, 2 }, { 0 } };
	struct state_options o = { 0 };
	int64_t limit = 100, now = -1;
	json_t *request, *keys;
	const char *verb;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!state_options_take(&o, c, optarg) &&
		    !(c == 1 && conf_parse_int(span_cstr(optarg), &limit) &&
			limit > 0) &&
		    !(c == 2 && conf_parse_int(span_cstr(optarg), &now) &&
			now >= 0))
			return cli_usage("reputation");
	verb = optind < argc ? argv[optind++] : "";
	if (strcmp(verb, "list") == 0 && optind + 1 >= argc) {
		request = json_pack("{s:s, s:I, s:s?}", "op", "reputation-list",
		    "limit", (json_int_t)limit, "pattern",
		    optind < argc ? argv[optind] : NULL);
	} else if (strcmp(verb, "show") == 0 && optind < argc) {
		keys = json_array();
		for (; optind < argc; optind++)
			json_array_append_new(keys, json_string(argv[optind]));
		request = json_pack("{s:s, s:o}", "op", "reputation", "keys",
		    keys);
	} else {
		return cli_usage("reputation");
	}
	if (request == NULL)
		return cli_fail(EX_DATAERR, "identities are UTF-8");
	if (now >= 0)
		json_object_set_new(request, "now", json_integer(now));
	return ask(&o, request);
}
