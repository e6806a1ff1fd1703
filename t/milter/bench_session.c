/*
 * What one message costs the daemon besides libmilter's part: a session
 * driven in a loop, offline, with a state database in a temporary directory.
 * usage: bench_session RULES [MESSAGES [CONFIG]]
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "db/log.h"
#include "db/shadow.h"
#include "milter/log.h"
#include "milter/session.h"
#include "t/tap.h"

static int64_t
cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
one_message(struct server *server, unsigned n)
{
	static const struct netaddr client = { 4, { 192, 0, 2, 1 } };
	static const char *const fields[][2] = {
		{ "Received", " from c.example (c.example [192.0.2.1])\n"
		  "\tby mx.example (Postfix) with ESMTP id 1\n"
		  "\tfor <user@here.example>; Mon, 23 Nov 2026 14:00:00 +0000" },
		{ "From", " A. Author <a@example.net>" },
		{ "To", " <user@here.example>" },
		{ "Subject", " the subject of a message" },
		{ "Date", " Mon, 23 Nov 2026 14:00:00 +0000" },
		{ "Message-Id", " <1@example.net>" },
	};
	char line[128];
	struct session *s = session_new(server);
	struct outcome o;
	int len;

	if (s == NULL)
		abort();
	session_connect(s, &client, NULL, NULL, "mx.example");
	session_helo(s, "c.example", false);
	session_mail(s, "<a@example.net>", NULL, NULL);
	session_rcpt(s, "<user@here.example>");
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		session_header(s, fields[i][0], fields[i][1]);
	session_end_of_header(s);
	for (unsigned i = 0; i < 60; i++) {
		len = snprintf(line, sizeof(line),
		    "line %u of message %u, a few words of ordinary text that wrap\r\n",
		    i, n);
		session_body(s, line, (size_t)len);
	}
	session_judge(s, "QID", 1700000000 + n, &o);
	session_log(s);
	session_free(s);
}

/* What a set of scores as shadow adds to a message: to count its hits again,
 * and to write the row. Measured by itself: of two runs with and without it
 * the difference would drown in what else the machine does. */
static void
bench_shadow(const struct server *server, const char *dir, double message_us)
{
	enum { TIMES = 20000 };
	struct engine *engine = server->current->engine;
	const struct ruleset *rs = engine_ruleset(engine);
	static const char raw[] = "Received: from c.example (c.example "
	    "[192.0.2.1])\n\tby mx.example with ESMTP id 1; Mon, 23 Nov 2026 "
	    "14:00:00 +0000\nFrom: A <a@example.net>\nSubject: URGENT winner\n\n"
	    "Dear friend, click here http://192.0.2.9/ now, viagra\n";
	struct arena *a = arena_new(256 << 20);
	struct gather_sources sources = { .auth = server->current->auth };
	struct engine_request request = { .raw = SPAN_LIT(raw),
		.full_size_bytes = sizeof(raw) - 1, .sources = &sources,
		.now = 1700000000, .arena = a };
	struct shadow_options so = { .name = "all",
		.settings = engine_settings(engine), .ruleset = rs };
	struct engine_run run;
	struct shadow_verdict sv = { 0 };
	struct shadow_said said;
	struct shadow *shadow;
	struct judge_input in;
	char scores[96], id[16];
	int64_t start, judging, writing;
	struct error err;
	struct diags diags;
	double percent;
	FILE *f;

	snprintf(scores, sizeof(scores), "%s/scores.cf", dir);
	f = fopen(scores, "w");
	for (size_t i = 0; f != NULL && i < ruleset_count(rs); i++)
		if (!ruleset_rule(rs, i)->sub_rule)
			fprintf(f, "score %s %g\n", ruleset_rule(rs, i)->name,
			    0.5 + (double)(i % 7));
	if (f == NULL || fclose(f) != 0)
		abort();
	so.path = scores;
	diags_init(&diags, a);
	if (shadow_load(&so, &diags, &shadow, &err) != 0 ||
	    engine_judge(engine, &request, &run, &err) != 0) {
		tap_ok(false, "%s", err.text);
		return;
	}
	in = (struct judge_input){ .settings = so.settings, .ruleset = rs,
		.message = run.message, .envelope = run.envelope,
		.relays = run.relays, .evidence = run.evidence, .arena = a };
	start = cpu_us();
	for (unsigned i = 0; i < TIMES; i++)
		if (shadow_judge(shadow, &in, run.verdict, &sv) != 0)
			abort();
	judging = cpu_us() - start;
	for (unsigned i = 0; i < TIMES; i++) {
		struct log_entry e = { .id = id, .time = 1700000000,
			.record = SPAN_LIT("{}") };

		snprintf(id, sizeof(id), "b%u", i);
		store_log_put(server->store, &e);
		if (i % 5000 == 4999)
			store_flush(server->store, &err);
	}
	start = cpu_us();
	for (unsigned i = 0; i < TIMES; i++) {
		said = (struct shadow_said){ "all", shadow_hash(shadow),
			(int)run.verdict->action, (int)sv.action, sv.score };
		snprintf(id, sizeof(id), "b%u", i);
		store_shadow_put(server->store, id, &said, 1, 1700000000);
		if (i % 5000 == 4999)
			store_flush(server->store, &err);
	}
	writing = cpu_us() - start;
	percent = 100.0 * (double)(judging + writing) / TIMES / message_us;
	tap_ok(percent <= 2, "a shadow of %zu scores over %zu hits: %.2f us to "
	    "judge, %.2f us to write: %.2f %% of a message, at most 2 %%",
	    shadow_score_count(shadow), run.verdict->hit_count,
	    (double)judging / TIMES, (double)writing / TIMES, percent);
	shadow_free(shadow);
	arena_free(a);
}

int
main(int argc, char **argv)
{
	enum { WARM = 20 };
	unsigned messages = argc > 2 ? (unsigned)atoi(argv[2]) : 2000;
	struct snapshot_options so = { .rules = (const char *const *)&argv[1],
		.rules_count = 1, .offline = true,
		.config = argc > 3 ? argv[3] : NULL };
	struct store_options store = { .mode = STORE_WRITE, .max_queue = 10000,
		.busy_ms = 200 };
	struct arena *a = arena_new(64 << 20);
	struct server server = { .host = "mx.example" };
	char dir[] = "/tmp/spamscore-bench-XXXXXX", path[64], command[64];
	struct error err;
	struct diags diags;
	int64_t start, took;
	FILE *null;

	if (argc < 2 || a == NULL || mkdtemp(dir) == NULL)
		return tap_skip_all("usage: bench_session RULES [MESSAGES [CONFIG]]");
	snprintf(path, sizeof(path), "%s/db", dir);
	store.path = path;
	pthread_mutex_init(&server.lock, NULL);
	diags_init(&diags, a);
	if (snapshot_load(&so, NULL, &diags, &server.current, &err) != 0 ||
	    store_open(&store, &server.store, &err) != 0) {
		tap_ok(false, "%s", err.text);
		return tap_done();
	}
	/* the log line is made and written, to nowhere */
	null = freopen("/dev/null", "w", stderr);
	if (null == NULL)
		return tap_skip_all("no /dev/null");
	log_to_stderr(true);
	for (unsigned i = 0; i < WARM; i++)
		one_message(&server, i);
	start = cpu_us();
	for (unsigned i = 0; i < messages; i++)
		one_message(&server, WARM + i);
	store_flush(server.store, &err);
	took = cpu_us() - start;
	tap_ok(took > 0, "%u messages of 4 kB: %.1f us of processor time each",
	    messages, (double)took / messages);
	if (so.config == NULL)
		bench_shadow(&server, dir, (double)took / messages);
	store_close(server.store);
	snapshot_unref(server.current);
	arena_free(a);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		printf("# cannot remove %s\n", dir);
	return tap_done();
}
