/* log - verdicts that were given: search, show again, erase. */
#include <string.h>

#include "base/escape.h"
#include "cli/state.h"

static double
number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static void
print_entry(const json_t *e)
{
	char when[32];

	printf("%s  %-8s %7.1f  ", state_time(json_integer_value(
	    json_object_get(e, "time")), when), json_string_value(
	    json_object_get(e, "action")), number(e, "score"));
	state_print(json_object_get(e, "id"));
	printf("  ");
	state_print(json_object_get(e, "queue_id"));
	printf("  <");
	state_print(json_object_get(e, "mail_from"));
	printf(">\n");
}

static int
print_rows(const struct state_options *o, const json_t *rows)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
		if (o->json)
			cli_print_json(stdout, json_incref((json_t *)row));
		else
			print_entry(row);
	return cli_finish(EX_OK);
}

/* "name: value" of all that is not null, one level of names joined by dots */
static void
print_flat(const char *prefix, const json_t *value)
{
	const char *key;
	json_t *v;
	size_t i;
	char name[200];

	if (json_is_object(value)) {
		json_object_foreach((json_t *)value, key, v) {
			snprintf(name, sizeof(name), "%s%s%s", prefix,
			    prefix[0] != '\0' ? "." : "", key);
			print_flat(name, v);
		}
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, v)
			print_flat(prefix, v);
	} else if (json_is_string(value)) {
		printf("  %s: ", prefix);
		state_print(value);
		putchar('\n');
	} else if (json_is_real(value)) {
		printf("  %s: %.3f\n", prefix, json_real_value(value));
	} else if (json_is_integer(value)) {
		printf("  %s: %lld\n", prefix,
		    (long long)json_integer_value(value));
	} else if (json_is_boolean(value)) {
		printf("  %s: %s\n", prefix, json_is_true(value) ? "yes" : "no");
	}
}

static void
print_parts(const json_t *parts)
{
	const json_t *p;
	size_t i;

	json_array_foreach(parts, i, p) {
		printf("%42s", "");
		state_print(json_object_get(p, "rule"));
		printf(": ");
		state_print(json_object_get(p, "target"));
		printf(": \"");
		state_print(json_object_get(p, "matched"));
		printf("\"\n");
	}
}

static void
print_hits(const json_t *hits)
{
	const json_t *h;
	size_t i;

	printf("\n%7s  %-32s %s\n", "points", "rule", "what matched");
	json_array_foreach(hits, i, h) {
		const json_t *file = json_object_get(h, "file");

		printf("%7.3f  %-32s ", number(h, "score"),
		    json_string_value(json_object_get(h, "rule")));
		state_print(json_object_get(h, "target"));
		printf(": \"");
		state_print(json_object_get(h, "matched"));
		putchar('"');
		if (json_is_integer(json_object_get(h, "offset")))
			printf(" at %lld", (long long)json_integer_value(
			    json_object_get(h, "offset")));
		printf("\n%42s", "");
		if (json_is_string(file)) {
			state_print(file);
			printf(":%lld  ", (long long)json_integer_value(
			    json_object_get(h, "line")));
		}
		state_print(json_object_get(h, "describe"));
		putchar('\n');
		/* one part alone is the meta's own text */
		if (json_array_size(json_object_get(h, "parts")) > 1)
			print_parts(json_object_get(h, "parts"));
	}
}

/* The stored verdict, whole: the same object that --explain --json printed,
 * laid out for reading. */
static int
print_stored(const json_t *answer, bool json)
{
	static const char *const parts[] = { "message", "envelope", "auth",
		"dnsbl", "reputation", "not_run", "thresholds", "flip", "shadow" };
	const json_t *entry = json_object_get(answer, "entry"),
		     *record = json_object_get(answer, "record"), *part;

	if (json)
		return cli_print_json(stdout, json_incref((json_t *)record));
	print_entry(entry);
	print_hits(json_object_get(record, "hits"));
	printf("%7.3f  total, from %.3f to %.3f\n", number(record, "score"),
	    number(record, "score_low"), number(record, "score_high"));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		part = json_object_get(record, parts[i]);
		if (json_object_size(part) == 0 && json_array_size(part) == 0)
			continue;
		printf("\n%s\n", parts[i]);
		print_flat("", part);
	}
	return cli_finish(EX_OK);
}

static int
ask(const struct state_options *o, json_t *request, bool writes,
    json_t **ret_answer)
{
	struct state s;
	int code = state_open(&s, o, writes);

	*ret_answer = NULL;
	if (code == EX_OK)
		*ret_answer = state_ask(&s, request, span_of(NULL, 0), NULL,
		    &code);
	else
		json_decref(request);
	return state_close(&s, code);
}

int
cli_show_verdict(const struct state_options *o, const char *id)
{
	json_t *answer;
	int code = ask(o, json_pack("{s:s, s:s}", "op", "log-get", "id", id),
	    false, &answer);

	if (answer != NULL)
		code = print_stored(answer, o->json);
	json_decref(answer);
	return code;
}

static int
erase(const struct state_options *o, const char *address)
{
	json_t *answer;
	int code = ask(o, json_pack("{s:s, s:s}", "op", "log-erase", "address",
	    address), true, &answer);

	if (answer != NULL)
		printf("%lld verdicts erased\n", (long long)json_integer_value(
		    json_object_get(answer, "erased")));
	json_decref(answer);
	return answer != NULL ? cli_finish(EX_OK) : code;
}

int
verb_log(int argc, char **argv)
{
	static const struct option options[] = { STATE_LONG_OPTIONS,
		{ "since", required_argument, NULL, 1 },
		{ "until", required_argument, NULL, 2 },
		{ "action", required_argument, NULL, 3 },
		{ "from", required_argument, NULL, 4 },
		{ "limit", required_argument, NULL, 5 },
		{ "address", required_argument, NULL, 6 },
		{ "id", required_argument, NULL, 7 }, { 0 } };
	struct state_options o = { 0 };
	int64_t since = 0, until = 0, limit = 100;
	const char *action = NULL, *from = NULL, *address = NULL, *id = NULL;
	json_t *answer;
	int c, code;
	bool erasing;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (state_options_take(&o, c, optarg))
			continue;
		if (c == 3)
			action = optarg;
		else if (c == 4)
			from = optarg;
		else if (c == 6)
			address = optarg;
		else if (c == 7)
			id = optarg;
		else if (!(c == 1 && state_parse_time(optarg, &since)) &&
		    !(c == 2 && state_parse_time(optarg, &until)) &&
		    !(c == 5 && conf_parse_int(span_cstr(optarg), &limit) &&
			limit > 0))
			return c == '?' ? cli_usage("log") :
					  cli_fail(EX_USAGE, "not a time or "
					      "number: \"%s\"", optarg);
	}
	erasing = optind < argc && strcmp(argv[optind], "erase") == 0;
	if (optind + erasing != argc || erasing != (address != NULL))
		return cli_usage("log");
	if (erasing)
		return erase(&o, address);
	if (id != NULL)
		return cli_show_verdict(&o, id);
	code = ask(&o, json_pack("{s:s, s:I, s:I, s:I, s:s?, s:s?}", "op", "log",
	    "since", (json_int_t)since, "until", (json_int_t)until, "limit",
	    (json_int_t)limit, "action", action, "from", from), false, &answer);
	if (answer != NULL)
		code = print_rows(&o, json_object_get(answer, "rows"));
	json_decref(answer);
	return code;
}
