/* learn, forget - what a person says about messages. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/mail.h"
#include "cli/state.h"

enum { LEARN_READ_BYTES = 1 << 20 }; /* of one message */

struct learning_run {
	struct state state;
	struct state_options options;
	const char *class, *user, *source;
	size_t done, changed, unknown, folded, failed;
	int code; /* of the first failure */
};

static json_t *
request_for(const struct learning_run *l)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "op", "learn", "class",
	    l->class, "user", l->user, "source", l->source);
}

static void
learn_one(struct learning_run *l, const char *name, json_t *request,
    struct span message)
{
	json_t *answer;
	int code;

	answer = state_ask(&l->state, request, message, name, &code);
	if (answer == NULL) {
		l->failed++;
		if (l->code == EX_OK)
			l->code = code;
		return;
	}
	l->done++;
	if (json_is_true(json_object_get(answer, "changed")))
		l->changed++;
	if (!json_is_true(json_object_get(answer, "known")))
		l->unknown++;
	if (json_is_true(json_object_get(answer, "folded")))
		l->folded++;
	if (l->options.json) {
		json_object_del(answer, "ok");
		json_object_set_new(answer, "path", json_text(name));
		cli_print_json(stdout, answer);
		return;
	}
	json_decref(answer);
}

static void
fail_one(struct learning_run *l, int code, const char *name, const char *why)
{
	cli_fail(code, "%s: %s", name, why);
	l->failed++;
	if (l->code == EX_OK)
		l->code = code;
}

static void
learn_path(struct learning_run *l, const char *path)
{
	struct mail_list mail = { 0 };
	struct error err = { "" };
	struct buf raw;
	size_t size;
	int code = mail_list_add(&mail, path);

	if (code != EX_OK) {
		l->failed++;
		l->code = l->code == EX_OK ? code : l->code;
	}
	buf_init(&raw, LEARN_READ_BYTES);
	for (size_t i = 0; i < mail.count; i++) {
		const struct mail *m = &mail.items[i];

		/* the beginning is enough */
		code = mail_read(m, raw.cap, &raw, &size, NULL, NULL, &err);
		if (code == EX_OK)
			learn_one(l, m->name, request_for(l), buf_span(&raw));
		else
			fail_one(l, code, m->name, err.text);
	}
	buf_done(&raw);
	mail_list_done(&mail);
}

static int
run(struct learning_run *l, const char *id, char **paths, int count)
{
	int code = state_open(&l->state, &l->options, true);

	if (code != EX_OK)
		return state_close(&l->state, code);
	if (id != NULL) {
		json_t *request = request_for(l);

		if (json_object_set_new(request, "id", json_string(id)) == 0)
			learn_one(l, id, request, span_of(NULL, 0));
	}
	for (int i = 0; i < count; i++)
		learn_path(l, paths[i]);
	code = state_close(&l->state, l->code);
	if (!l->options.json) {
		printf("%zu messages, %zu changed, %zu of unknown senders, "
		    "%zu failed\n", l->done, l->changed, l->unknown, l->failed);
		if (l->folded > 0)
			printf("%zu learned longer ago than learned_keep: the model "
			    "keeps what they taught\n", l->folded);
	}
	return cli_finish(code);
}

static const char *
login_name(void)
{
	struct passwd *pw = getpwuid(getuid());

	return pw != NULL ? pw->pw_name : "unknown";
}

static int
learn_or_forget(int argc, char **argv, bool forget)
{
	static const struct option options[] = {
		{ "spam", no_argument, NULL, 1 },
		{ "ham", no_argument, NULL, 2 },
		{ "id", required_argument, NULL, 3 },
		{ "user", required_argument, NULL, 4 },
		{ "source", required_argument, NULL, 5 },
		STATE_LONG_OPTIONS,
		{ 0 },
	};
	struct learning_run l = { .user = login_name(), .source = "command",
		.class = forget ? "none" : NULL };
	const char *id = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (state_options_take(&l.options, c, optarg))
			continue;
		if (c == 3)
			id = optarg;
		else if (c == 4)
			l.user = optarg;
		else if (c == 5)
			l.source = optarg;
		else if ((c == 1 || c == 2) && !forget && l.class == NULL)
			l.class = c == 1 ? "spam" : "ham";
		else
			return cli_usage(argv[0]);
	}
	if (l.class == NULL || (id == NULL && optind == argc) ||
	    (id != NULL && optind != argc))
		return cli_usage(argv[0]);
	return run(&l, id, argv + optind, argc - optind);
}

int
verb_learn(int argc, char **argv)
{
	return learn_or_forget(argc, argv, false);
}

int
verb_forget(int argc, char **argv)
{
	return learn_or_forget(argc, argv, true);
}
