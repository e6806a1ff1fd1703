/*
 * What our ruleset finds: a line a message, "path score RULE=count ...",
 * sub-rules included, as theirs.pl prints. Offline, score set 0. Arguments:
 * [-n] [-c compiled_dir] rules...; paths on stdin. With -n no hits
 * are named, and no clock is read within a run.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/conf.h"
#include "scoring/message/body.h"
#include "scoring/rules/ruleset.h"

static double
cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The bytes hold until the next call. */
static struct span
read_file(const char *path)
{
	static char bytes[4 << 20];
	int f = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 1;

	while (f != -1 && n > 0 && len < sizeof(bytes)) {
		n = read(f, bytes + len, sizeof(bytes) - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (f == -1 || n < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	close(f);
	return span_of(bytes, len);
}

/* Where a message's time goes, in seconds; printed at the end */
static const char *const phase_names[] = { "header", "body", "uri", "rawbody",
	"full", "mimeheader", "eval", "meta" };
static double parse_time, render_time;
static uint64_t phases[RULE_PHASES];

struct rules {
	struct ruleset *rs;
	struct scoring_settings settings;
	struct arena *arena;
	bool names;
};

static void
run_file(struct rules *g, const char *path)
{
	struct message_limits limits = { (size_t)g->settings.scan_size,
		(size_t)g->settings.max_fields,
		(unsigned)g->settings.max_mime_depth,
		(unsigned)g->settings.max_mime_parts,
		(unsigned)g->settings.max_uris };
	struct envelope envelope = { .source = ENVELOPE_NONE };
	struct evidence evidence = { .now = time(NULL),
		.dns = { CHECK_NOT_RUN, "offline" } };
	struct rule_input in = { .settings = &g->settings,
		.envelope = &envelope, .evidence = &evidence,
		.arena = g->arena, .learned = -1 };
	struct relays *relays;
	struct rule_run run;
	struct error err = { "" };
	double score = 0;
	const struct texts *texts;
	const struct html *html;
	double start;
	struct span raw = read_file(path);

	arena_reset(g->arena);
	start = cpu();
	if (message_parse(g->arena, raw, raw.len, &limits,
		&in.message, &err) != 0 ||
	    relays_parse(in.message, &g->settings.trusted_networks,
		&g->settings.internal_networks, NULL, &relays) != 0) {
		printf("%s\terror\t%s\n", path, err.text);
		return;
	}
	in.relays = relays;
	in.phases = g->names ? phases : NULL;
	parse_time += cpu() - start;
	start = cpu();
	if (body_rendered(in.message, &texts) != 0 ||
	    body_raw(in.message, &texts) != 0 ||
	    body_html(in.message, &html) != 0)
		exit(1);
	render_time += cpu() - start;
	if (ruleset_run(g->rs, &in, &run) != 0) {
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	for (size_t i = 0; i < ruleset_count(g->rs); i++)
		if (run.results[i].low > 0)
			score += ruleset_rule(g->rs, i)->scores[0];
	printf("%s\t%.3f\t", path, score);
	for (size_t i = 0; g->names && i < ruleset_count(g->rs); i++)
		if (run.results[i].low > 0)
			printf("%s=%u ", ruleset_rule(g->rs, i)->name,
			    run.results[i].low);
		else if (run.results[i].high > 0)
			printf("?%s=%u ", ruleset_rule(g->rs, i)->name,
			    run.results[i].high);
	putchar('\n');
}

int
main(int argc, char **argv)
{
	struct ruleset_options o = { .keep_going = true };
	struct rules g = { .arena = arena_new(1 << 30), .names = true };
	struct arena *a = arena_new(64 << 20);
	struct settings_room room = { scoring_settings_table, &g.settings };
	struct diags diags;
	struct error err;
	char line[4096];
	double start;

	if (argc > 1 && strcmp(argv[1], "-n") == 0) {
		g.names = false;
		argv++;
		argc--;
	}
	if (argc > 3 && strcmp(argv[1], "-c") == 0) {
		o.compiled_dir = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc < 2 || a == NULL || g.arena == NULL)
		return 64;
	diags_init(&diags, a);
	scoring_settings_init(&g.settings, a);
	o.rooms = &room;
	o.room_count = 1;
	o.paths = (const char *const *)argv + 1;
	o.path_count = (size_t)argc - 1;
	if (ruleset_load(&o, &diags, &g.rs, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 1 << 16); /* a peer waits for each line */
	start = cpu();
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		run_file(&g, line);
	}
	start = cpu() - start;
	fprintf(stderr, "parse %.3f decode and render %.3f", parse_time,
	    render_time);
	for (int i = 0; g.names && i < RULE_PHASES; i++)
		fprintf(stderr, " %s %.3f", phase_names[i],
		    (double)phases[i] / 1e9);
	fprintf(stderr, "\ncpu %.3f\n", start);
	ruleset_free(g.rs);
	scoring_settings_done(&g.settings);
	arena_free(g.arena);
	arena_free(a);
	return 0;
}
