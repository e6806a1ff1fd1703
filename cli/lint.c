#include <errno.h>
#include <string.h>

#include "ban/policy.h"
#include "cli/cli.h"
#include "cli/tune_release.h"

/* The ban helper reads the same file: its words are checked here too. */
static void
lint_ban_words(const char *path, struct arena *a, struct diags *diags)
{
	struct conf_lines lines;
	struct ban_policy policy;
	struct diags again;

	/* faults of the file itself were reported by the engine */
	diags_init(&again, a);
	if (path == NULL || conf_read(a, path, CONF_MAX_FILE_BYTES, &lines,
		&again, NULL) != 0)
		return;
	if (ban_policy_parse(a, &lines, &policy, diags) != 0)
		diag_add(diags, DIAG_ERROR, path, 0, "out of memory");
	ban_policy_done(&policy);
}

static int
lint(const struct judge_options *o, bool verbose)
{
	struct arena *a = arena_new(256 << 20);
	struct engine *engine = NULL;
	struct error err = { "" };
	struct diags diags;
	size_t entries, stale;
	struct buf out;
	int r;

	if (a == NULL)
		return cli_fail(EX_OSERR, "out of memory");
	diags_init(&diags, a);
	r = cli_engine_load(o, true, &diags, &engine, &err);
	if (r == 0 && tuned_check(engine, a, &diags, &entries, &stale) != 0)
		r = error_set(&err, -ENOMEM, "out of memory");
	if (r != -ENOMEM)
		lint_ban_words(cli_config_path(o), a, &diags);
	engine_free(engine);
	buf_init(&out, 512u << 20);
	diags_format(&diags, verbose ? DIAG_NOTE : DIAG_WARNING, &out);
	fwrite(out.ptr, 1, out.len, stdout);
	buf_done(&out);
	arena_free(a);
	if (r == -ENOMEM)
		return cli_fail(EX_OSERR, "%s", err.text);
	if (r != 0 && diags.errors == 0)
		return cli_fail(EX_CONFIG, "%s", err.text);
	return diags.errors != 0 || diags.lost ? EX_CONFIG : EX_OK;
}

int
verb_lint(int argc, char **argv)
{
	static const struct option options[] = { JUDGE_LONG_OPTIONS,
		{ "verbose", no_argument, NULL, 'v' }, { 0 } };
	struct judge_options o;
	bool verbose = false;
	int c, code = judge_options_init(&o, argc);

	while (code == EX_OK &&
	    (c = getopt_long(argc, argv, "v", options, NULL)) != -1) {
		if (c == 'v')
			verbose = true;
		else if (judge_options_take(&o, c, optarg) != EX_OK)
			code = c == '?' ? cli_usage("lint") : EX_USAGE;
	}
	if (code == EX_OK && optind != argc)
		code = cli_usage("lint");
	if (code == EX_OK)
		code = cli_finish(lint(&o, verbose));
	judge_options_done(&o);
	return code;
}
