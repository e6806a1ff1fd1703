/*
 * rules - where the time goes: runs the rules alone over files and prints
 * what each rule took.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/mail.h"

enum { DEFAULT_SLOWEST = 20 };

struct timing {
	const struct engine *engine;
	uint64_t *nanoseconds;
	size_t *hits;
	size_t messages, failed;
};

static int
time_mail(struct timing *t, const struct mail *m, struct arena *a,
    struct buf *raw)
{
	const struct scoring_settings *s = engine_settings(t->engine);
	const struct ruleset *rs = engine_ruleset(t->engine);
	struct evidence evidence = { .now = (int64_t)time(NULL),
		.dns = { CHECK_NOT_RUN, "offline" } };
	struct envelope envelope = { .source = ENVELOPE_NONE };
	struct rule_input in = { .settings = s, .envelope = &envelope,
		.evidence = &evidence, .arena = a, .learned = -1,
		.nanoseconds = t->nanoseconds };
	struct message_limits limits;
	struct relays *relays;
	struct rule_run run;
	struct error err = { "" };
	size_t size;
	int r;

	engine_limits(t->engine, &limits);
	r = mail_read(m, (size_t)s->scan_size, raw, &size, NULL, NULL, &err);
	if (r == EX_OK && message_parse(a, buf_span(raw), size, &limits,
			      &in.message, &err) != 0)
		r = EX_DATAERR;
	if (r != EX_OK) {
		t->failed++;
		cli_fail(r, "%s: %s", m->name, err.text);
		return EX_OK;
	}
	if (relays_parse(in.message, &s->trusted_networks,
		&s->internal_networks, NULL, &relays) != 0)
		return EX_OSERR;
	in.relays = relays;
	if (ruleset_run(rs, &in, &run) != 0)
		return EX_OSERR;
	t->messages++;
	for (size_t i = 0; i < ruleset_count(rs); i++)
		t->hits[i] += run.results[i].low > 0;
	return EX_OK;
}

static int
by_time(const void *pa, const void *pb, void *context)
{
	const struct timing *t = context;
	uint64_t a = t->nanoseconds[*(const size_t *)pa];
	uint64_t b = t->nanoseconds[*(const size_t *)pb];

	if (a != b)
		return a < b ? 1 : -1;
	return *(const size_t *)pa < *(const size_t *)pb ? -1 : 1;
}

static int
print_slowest(struct timing *t, size_t count, bool json)
{
	const struct ruleset *rs = engine_ruleset(t->engine);
	size_t n = ruleset_count(rs), *order = calloc(n + 1, sizeof(*order));
	uint64_t total = 0;
	int code = EX_OK;

	if (order == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	for (size_t i = 0; i < n; i++) {
		order[i] = i;
		total += t->nanoseconds[i];
	}
	qsort_r(order, n, sizeof(*order), by_time, t);
	if (!json)
		printf("%10s %6s %7s  %-10s %s\n", "us/message", "share",
		    "hits", "type", "rule");
	for (size_t i = 0; i < n && i < count && code == EX_OK; i++) {
		const struct rule *r = ruleset_rule(rs, order[i]);
		double us = (double)t->nanoseconds[order[i]] / 1000 /
		    (double)(t->messages != 0 ? t->messages : 1);
		double share = total != 0 ?
		    (double)t->nanoseconds[order[i]] / (double)total : 0;

		if (json)
			code = cli_print_json(stdout,
			    json_pack("{s:s, s:s, s:f, s:f, s:I, s:s, s:i}",
				"rule", r->name, "type", r->type,
				"us_per_message", us, "share", share, "hits",
				(json_int_t)t->hits[order[i]], "file", r->file,
				"line", (int)r->line));
		else
			printf("%10.2f %5.1f%% %7zu  %-10s %s (%s:%u)\n", us,
			    share * 100, t->hits[order[i]], r->type, r->name,
			    r->file, r->line);
	}
	if (!json)
		printf("%10.2f        %7s  all %zu rules over %zu messages\n",
		    (double)total / 1000 /
			(double)(t->messages != 0 ? t->messages : 1),
		    "", n, t->messages);
	free(order);
	return code;
}

static int
slowest(const struct judge_options *o, size_t count, char **names,
    size_t name_count)
{
	struct engine *engine = NULL;
	struct timing t = { 0 };
	struct mail_list mail = { 0 };
	struct arena *a = NULL;
	struct buf raw;
	int code = cli_load_engine(o, &engine);

	if (code != EX_OK)
		return code;
	t.engine = engine;
	t.nanoseconds = calloc(ruleset_count(engine_ruleset(engine)) + 1,
	    sizeof(*t.nanoseconds));
	t.hits = calloc(ruleset_count(engine_ruleset(engine)) + 1,
	    sizeof(*t.hits));
	a = arena_new(cli_arena_bytes(engine));
	buf_init(&raw, (size_t)engine_settings(engine)->scan_size);
	if (t.nanoseconds == NULL || t.hits == NULL || a == NULL)
		code = cli_fail(EX_OSERR, "out of memory");
	for (size_t i = 0; i < name_count && code == EX_OK; i++)
		code = mail_list_add(&mail, names[i]);
	for (size_t i = 0; i < mail.count && code == EX_OK; i++) {
		code = time_mail(&t, &mail.items[i], a, &raw);
		arena_reset(a);
		if (code != EX_OK)
			cli_fail(code, "out of memory");
	}
	if (code == EX_OK)
		code = print_slowest(&t, count, o->json);
	if (code == EX_OK && t.failed != 0)
		code = EX_DATAERR;
	buf_done(&raw);
	mail_list_done(&mail);
	free(t.nanoseconds);
	free(t.hits);
	arena_free(a);
	engine_free(engine);
	return code;
}

int
verb_rules(int argc, char **argv)
{
	static const struct option options[] = { JUDGE_LONG_OPTIONS,
		{ "slowest", no_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'n' }, { 0 } };
	int64_t count = DEFAULT_SLOWEST;
	struct judge_options o;
	bool want = false;
	int c, code = judge_options_init(&o, argc);

	while (code == EX_OK &&
	    (c = getopt_long(argc, argv, "n:", options, NULL)) != -1) {
		if (c == 's')
			want = true;
		else if (c == 'n') {
			if (!conf_parse_int(span_cstr(optarg), &count) ||
			    count < 1)
				code = cli_fail(EX_USAGE,
				    "--count: not a number: \"%s\"", optarg);
		} else if (judge_options_take(&o, c, optarg) != EX_OK)
			code = c == '?' ? cli_usage("rules") : EX_USAGE;
	}
	if (code == EX_OK && (!want || optind == argc))
		code = cli_usage("rules");
	if (code == EX_OK)
		code = cli_finish(slowest(&o, (size_t)count, argv + optind,
		    (size_t)(argc - optind)));
	judge_options_done(&o);
	return code;
}
