/* shadow - rules and scores that are tried on live mail: which run, and
 * which verdicts they would have changed, both ways. */
#include <string.h>

#include "cli/state.h"

/* What a set would change, in messages; by label: nobody's word, ham, spam */
enum change { CHANGE_NONE, CHANGE_CATCH, CHANGE_LET, CHANGE_HARDER,
	CHANGE_SOFTER, CHANGES };
enum { LABELS = 3 };

struct tally {
	const char *set, *hash;
	json_int_t first, last;
	json_int_t changes[CHANGES][LABELS];
	json_int_t stopped[LABELS], would_stop[LABELS], all[LABELS];
};

static const char *const change_keys[] = { "same", "would_catch",
	"would_let_pass", "would_be_harder", "would_be_softer" };
static const char *const change_words[] = { "same", "would catch",
	"would let pass", "would be harder", "would be softer" };
static const char *const label_words[] = { "none", "ham", "spam" };

static const char *
string_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static json_int_t
int_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static int
rank_of(const char *action)
{
	for (int a = ACTION_ACCEPT; a <= ACTION_REJECT; a++)
		if (strcmp(action_name((enum action)a), action) == 0)
			return a;
	return ACTION_ACCEPT;
}

static enum change
change_of(int judged, int action)
{
	if (judged == action)
		return CHANGE_NONE;
	if (judged == ACTION_ACCEPT)
		return CHANGE_CATCH;
	if (action == ACTION_ACCEPT)
		return CHANGE_LET;
	return action > judged ? CHANGE_HARDER : CHANGE_SOFTER;
}

static void
tally_add(struct tally *t, const json_t *count)
{
	int judged = rank_of(string_of(count, "judged")),
	    action = rank_of(string_of(count, "action")), label = 0;
	json_int_t n = int_of(count, "count"), first = int_of(count, "first"),
		   last = int_of(count, "last");

	for (int k = 1; k < LABELS; k++)
		if (strcmp(string_of(count, "label"), label_words[k]) == 0)
			label = k;
	t->changes[change_of(judged, action)][label] += n;
	t->all[label] += n;
	t->stopped[label] += judged != ACTION_ACCEPT ? n : 0;
	t->would_stop[label] += action != ACTION_ACCEPT ? n : 0;
	if (t->first == 0 || first < t->first)
		t->first = first;
	if (last > t->last)
		t->last = last;
}

/* The tallies of all sets, in the order of the counts; caller frees. */
static struct tally *
tallies_make(const json_t *counts, size_t *ret_n)
{
	struct tally *list = calloc(json_array_size(counts) + 1, sizeof(*list));
	const json_t *c;
	size_t i, n = 0;

	if (list == NULL)
		return NULL;
	json_array_foreach(counts, i, c) {
		const char *set = string_of(c, "set"), *hash = string_of(c, "hash");

		/* they come in order of set and hash */
		if (n == 0 || strcmp(list[n - 1].set, set) != 0 ||
		    strcmp(list[n - 1].hash, hash) != 0) {
			list[n].set = set;
			list[n++].hash = hash;
		}
		tally_add(&list[n - 1], c);
	}
	*ret_n = n;
	return list;
}

static json_int_t
sum(const json_int_t v[LABELS])
{
	return v[0] + v[1] + v[2];
}

static void
print_tally(const struct tally *t)
{
	char first[32], last[32];

	printf("%s (%.12s): %lld verdicts, %s to %s\n", t->set, t->hash,
	    (long long)sum(t->all), state_time(t->first, first),
	    state_time(t->last, last));
	for (int k = CHANGE_CATCH; k < CHANGES; k++) {
		const json_int_t *c = t->changes[k];

		if (k > CHANGE_LET && sum(c) == 0)
			continue;
		printf("  %-16s %6lld", change_words[k], (long long)sum(c));
		if (c[1] + c[2] != 0)
			printf("   of these %lld spam and %lld ham by people's word",
			    (long long)c[2], (long long)c[1]);
		putchar('\n');
	}
	if (t->all[1] + t->all[2] == 0) {
		printf("  nobody has spoken of any of these messages yet\n");
		return;
	}
	printf("  of %lld labelled spam stops %lld, now %lld; of %lld labelled "
	    "ham stops %lld, now %lld\n", (long long)t->all[2],
	    (long long)t->would_stop[2], (long long)t->stopped[2],
	    (long long)t->all[1], (long long)t->would_stop[1],
	    (long long)t->stopped[1]);
}

static json_t *
by_label(const json_int_t v[LABELS])
{
	return json_pack("{s:I, s:I, s:I}", "none", v[0], "ham", v[1], "spam",
	    v[2]);
}

static json_t *
tally_json(const struct tally *t)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "kind", "set",
	    "set", t->set, "hash", t->hash, "verdicts", sum(t->all), "first",
	    t->first, "last", t->last);

	for (int k = CHANGE_CATCH; o != NULL && k < CHANGES; k++)
		json_object_set_new(o, change_keys[k], by_label(t->changes[k]));
	if (o != NULL) {
		json_object_set_new(o, "labelled", by_label(t->all));
		json_object_set_new(o, "stops", by_label(t->would_stop));
		json_object_set_new(o, "stops_now", by_label(t->stopped));
	}
	return o;
}

static void
print_row(const json_t *row)
{
	char when[32];

	printf("%s  ", state_time(int_of(row, "time"), when));
	state_print(json_object_get(row, "id"));
	printf("  %s: %s -> %s  %.1f -> %.1f  %-4s  <", string_of(row, "set"),
	    string_of(row, "judged"), string_of(row, "action"),
	    json_number_value(json_object_get(row, "score")),
	    json_number_value(json_object_get(row, "shadow_score")),
	    string_of(row, "label"));
	state_print(json_object_get(row, "mail_from"));
	printf(">\n");
}

static int
print_report(const json_t *answer, bool json)
{
	const json_t *rows = json_object_get(answer, "rows"), *row;
	struct tally *list;
	size_t i, n = 0;
	int code = EX_OK;

	list = tallies_make(json_object_get(answer, "counts"), &n);
	if (list == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	for (i = 0; code == EX_OK && i < n; i++)
		if (json)
			code = cli_print_json(stdout, tally_json(&list[i]));
		else
			print_tally(&list[i]);
	if (n == 0 && !json)
		printf("no set has run as shadow in this time\n");
	if (json_array_size(rows) != 0 && !json)
		putchar('\n');
	json_array_foreach(rows, i, row) {
		if (json) {
			json_object_set_new((json_t *)row, "kind",
			    json_string("verdict"));
			code = cli_print_json(stdout, json_incref((json_t *)row));
		} else
			print_row(row);
		if (code != EX_OK)
			break;
	}
	free(list);
	return cli_finish(code);
}

static int
report(const struct state_options *o, json_t *request)
{
	json_t *answer = NULL;
	struct state s;
	int code = state_open(&s, o, false);

	if (code == EX_OK)
		answer = state_ask(&s, request, span_of(NULL, 0), NULL, &code);
	else
		json_decref(request);
	if (answer != NULL)
		code = print_report(answer, o->json);
	json_decref(answer);
	return state_close(&s, code);
}

static int
print_set(const struct shadow *s, bool json)
{
	const char *kind = shadow_kind(s) == SHADOW_SCORES ? "scores" : "rules";

	if (json)
		return cli_print_json(stdout, json_pack(
		    "{s:s, s:s, s:s, s:s, s:I, s:I}", "name", shadow_name(s),
		    "kind", kind, "file", shadow_path(s), "hash",
		    shadow_hash(s), "scores",
		    (json_int_t)shadow_score_count(s), "rules",
		    (json_int_t)shadow_rule_count(s)));
	printf("%-20s %-6s %5zu scores %5zu rules  %.12s  %s\n", shadow_name(s),
	    kind, shadow_score_count(s), shadow_rule_count(s), shadow_hash(s),
	    shadow_path(s));
	return EX_OK;
}

/* As the daemon would load them now. */
static int
list(const struct state_options *o)
{
	struct judge_options judge = { .config = o->config };
	const struct shadow_list *l;
	struct engine *engine;
	int code = cli_load_engine(&judge, &engine);

	if (code != EX_OK)
		return code;
	l = engine_shadows(engine);
	for (size_t i = 0; code == EX_OK && i < l->count; i++)
		code = print_set(l->sets[i], o->json);
	for (size_t i = 0; i < l->fault_count; i++)
		code = cli_fail(EX_CONFIG, "%s", l->faults[i]);
	if (l->count == 0 && l->fault_count == 0 && !o->json)
		printf("nothing runs as shadow\n");
	engine_free(engine);
	return cli_finish(code);
}

int
verb_shadow(int argc, char **argv)
{
	static const struct option options[] = { STATE_LONG_OPTIONS,
		{ "since", required_argument, NULL, 1 },
		{ "until", required_argument, NULL, 2 },
		{ "set", required_argument, NULL, 3 },
		{ "limit", required_argument, NULL, 4 }, { 0 } };
	struct state_options o = { 0 };
	int64_t since = 0, until = 0, limit = 100;
	const char *set = NULL, *what;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (state_options_take(&o, c, optarg))
			continue;
		if (c == 3)
			set = optarg;
		else if (!(c == 1 && state_parse_time(optarg, &since)) &&
		    !(c == 2 && state_parse_time(optarg, &until)) &&
		    !(c == 4 && conf_parse_int(span_cstr(optarg), &limit) &&
			limit > 0 && limit <= 100000))
			return c == '?' ? cli_usage("shadow") :
					  cli_fail(EX_USAGE, "not a time or "
					      "number: \"%s\"", optarg);
	}
	what = optind + 1 == argc ? argv[optind] : "";
	if (strcmp(what, "list") == 0)
		return list(&o);
	if (strcmp(what, "report") != 0)
		return cli_usage("shadow");
	return report(&o, json_pack("{s:s, s:b, s:I, s:I, s:I, s:s?}", "op",
	    "shadow", "differing", 1, "since", (json_int_t)since, "until",
	    (json_int_t)until, "limit", (json_int_t)limit, "set", set));
}
