/*
 * compile - candidate databases of the rules, into a directory that the
 * daemon may read and not write. Run by a user of its own before the daemon
 * starts and when rules changed.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static int
compile(const struct judge_options *o, const char *dir, unsigned jobs)
{
	struct ruleset_compiled list[RULESET_COMPILED_KINDS];
	struct engine *engine = NULL;
	int code = cli_load_engine(o, &engine);

	if (code != EX_OK)
		return code;
	if (dir == NULL)
		dir = engine_settings(engine)->compiled_dir;
	if (dir == NULL) {
		engine_free(engine);
		return cli_fail(EX_USAGE,
		    "needs --dir, or compiled_dir in the configuration");
	}
	/* before the minute that compiling takes */
	if (access(dir, R_OK | X_OK) != 0) {
		code = errno;
		engine_free(engine);
		return cli_fail(EX_CANTCREAT, "cannot use directory \"%s\": %s",
		    dir, strerror(code));
	}
	ruleset_compile(engine_ruleset(engine), dir, jobs, list);
	for (size_t i = 0; i < RULESET_COMPILED_KINDS; i++) {
		const struct ruleset_compiled *c = &list[i];

		if (c->result == -ENOTSUP && strncmp(c->err.text, "no ", 3) == 0)
			continue;
		if (c->result != 0) {
			code = cli_fail(c->result == -ENOTSUP ? EX_UNAVAILABLE :
				    c->result == -ENOMEM      ? EX_OSERR :
								EX_CANTCREAT,
			    "%s rules: %s", c->type, c->err.text);
			continue;
		}
		printf("%s: %zu patterns%s, %s\n", c->type, c->patterns,
		    c->kept ? ", unchanged" : "", c->file);
	}
	engine_free(engine);
	return code;
}

int
verb_compile(int argc, char **argv)
{
	static const struct option options[] = { JUDGE_LONG_OPTIONS,
		{ "dir", required_argument, NULL, 'd' },
		{ "jobs", required_argument, NULL, 'j' }, { 0 } };
	const char *dir = NULL;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int64_t jobs = cpus > 0 ? cpus : 1;
	struct judge_options o;
	int c, code = judge_options_init(&o, argc);

	while (code == EX_OK &&
	    (c = getopt_long(argc, argv, "d:j:", options, NULL)) != -1) {
		if (c == 'd')
			dir = optarg;
		else if (c == 'j') {
			if (!conf_parse_int(span_cstr(optarg), &jobs) ||
			    jobs < 1 || jobs > 64)
				code = cli_fail(EX_USAGE,
				    "--jobs: not from 1 to 64: \"%s\"", optarg);
		} else if (judge_options_take(&o, c, optarg) != EX_OK)
			code = c == '?' ? cli_usage("compile") : EX_USAGE;
	}
	if (code == EX_OK && optind != argc)
		code = cli_usage("compile");
	if (code == EX_OK)
		code = cli_finish(compile(&o, dir, (unsigned)jobs));
	judge_options_done(&o);
	return code;
}
