/*
 * check - judge many messages: threads take paths in order, results are
 * printed in order, so the output does not depend on the number of threads.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/mail.h"
#include "scoring/explain.h"

/* Results that wait for an earlier one to be printed; a slow message must
 * not let the others pile up without end. */
enum { WINDOW = 1024, MAX_JOBS = 256 };

struct work {
	struct runtime *rt;
	struct mail_list mail;
	size_t next, printed, failed;
	char *lines[WINDOW]; /* by index modulo WINDOW; NULL: not ready */
	bool no_memory, write_error, progress;
	pthread_mutex_t lock;
	pthread_cond_t room;
};

static json_t *
result_json(const char *path, int code, const struct engine_run *run,
    const struct error *err)
{
	json_t *o = json_object(), *rules;

	json_object_set_new(o, "path", json_text(path));
	if (code != EX_OK) {
		json_object_set_new(o, "error", json_text(err->text));
		return o;
	}
	json_object_set_new(o, "score", json_real(run->verdict->score));
	json_object_set_new(o, "action",
	    json_string(action_name(run->verdict->action)));
	rules = json_array();
	for (size_t i = 0; i < run->verdict->hit_count; i++)
		json_array_append_new(rules,
		    json_string(run->verdict->hits[i].rule));
	json_object_set_new(o, "rules", rules);
	return o;
}

/* With the lock held: everything that is next in order. */
static void
print_ready(struct work *w)
{
	while (w->printed < w->mail.count) {
		char **slot = &w->lines[w->printed % WINDOW];

		if (*slot == NULL)
			break;
		if (fputs(*slot, stdout) == EOF || putchar('\n') == EOF)
			w->write_error = true;
		free(*slot);
		*slot = NULL;
		w->printed++;
		if (w->progress && w->printed % 50 == 0)
			fprintf(stderr, "\r%zu of %zu", w->printed, w->mail.count);
	}
	pthread_cond_broadcast(&w->room);
}

static void *
worker(void *arg)
{
	struct work *w = arg;
	struct arena *a = arena_new(cli_arena_bytes(w->rt->engine));
	struct buf raw;

	buf_init(&raw, (size_t)engine_settings(w->rt->engine)->scan_size);
	pthread_mutex_lock(&w->lock);
	if (a == NULL)
		w->no_memory = true;
	while (!w->no_memory && !w->write_error && w->next < w->mail.count) {
		size_t i = w->next;
		struct engine_run run;
		struct error err;
		json_t *o;
		char *line;
		int code;

		if (i >= w->printed + WINDOW) {
			pthread_cond_wait(&w->room, &w->lock);
			continue;
		}
		w->next++;
		pthread_mutex_unlock(&w->lock);
		code = runtime_judge_mail(w->rt, &w->mail.items[i], a, &raw, &run,
		    &err);
		o = result_json(w->mail.items[i].name, code, &run, &err);
		line = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12));
		json_decref(o);
		arena_reset(a);
		pthread_mutex_lock(&w->lock);
		if (line == NULL)
			w->no_memory = true;
		w->failed += code != EX_OK;
		w->lines[i % WINDOW] = line;
		print_ready(w);
	}
	pthread_cond_broadcast(&w->room);
	pthread_mutex_unlock(&w->lock);
	buf_done(&raw);
	arena_free(a);
	return NULL;
}

static int
check(const struct judge_options *o, int64_t jobs, char **names, int count)
{
	struct runtime rt;
	struct work *w = calloc(1, sizeof(*w));
	pthread_t threads[MAX_JOBS];
	int64_t started = 0;
	int code = EX_OK;

	if (w == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	for (int i = 0; i < count && code == EX_OK; i++)
		code = mail_list_add(&w->mail, names[i]);
	if (code == EX_OK)
		code = runtime_open(o, &rt);
	if (code != EX_OK)
		goto out;
	w->rt = &rt;
	w->progress = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->room, NULL);
	for (; started + 1 < jobs; started++)
		if (pthread_create(&threads[started], NULL, worker, w) != 0)
			break; /* fewer threads give the same output */
	worker(w);
	for (int64_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	if (w->progress)
		fprintf(stderr, "\r%zu of %zu\n", w->printed, w->mail.count);
	if (w->no_memory)
		code = cli_fail(EX_OSERR, "out of memory");
	else if (w->write_error)
		code = cli_fail(EX_IOERR, "cannot write the result");
	else if (w->failed != 0)
		code = EX_DATAERR;
	for (size_t i = 0; i < WINDOW; i++)
		free(w->lines[i]);
	pthread_cond_destroy(&w->room);
	pthread_mutex_destroy(&w->lock);
	runtime_close(&rt);
out:
	mail_list_done(&w->mail);
	free(w);
	return code;
}

int
verb_check(int argc, char **argv)
{
	static const struct option options[] = { JUDGE_LONG_OPTIONS,
		{ "jobs", required_argument, NULL, 'j' }, { 0 } };
	struct judge_options o;
	int64_t jobs = 1;
	int c, code = judge_options_init(&o, argc);

	while (code == EX_OK &&
	    (c = getopt_long(argc, argv, "j:", options, NULL)) != -1) {
		if (c == 'j') {
			if (!conf_parse_int(span_cstr(optarg), &jobs) ||
			    jobs < 1 || jobs > MAX_JOBS)
				code = cli_fail(EX_USAGE,
				    "--jobs: not 1 to %d: \"%s\"", MAX_JOBS, optarg);
		} else if (judge_options_take(&o, c, optarg) != EX_OK)
			code = c == '?' ? cli_usage("check") : EX_USAGE;
	}
	if (code == EX_OK && optind == argc)
		code = cli_usage("check");
	if (code == EX_OK)
		code = cli_finish(check(&o, jobs, argv + optind, argc - optind));
	judge_options_done(&o);
	return code;
}
