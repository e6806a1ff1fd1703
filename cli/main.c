#include <signal.h>
#include <string.h>

#include "cli/cli.h"
#include "config.h"

static const struct verb verbs[] = {
	{ "explain", verb_explain, "[options] FILE|-",
	    "show every point of the verdict on a message" },
	{ "check", verb_check, "[options] [--jobs N] PATH...",
	    "judge files, mailboxes and directories, one JSON line a message" },
	{ "evaluate", verb_evaluate,
	    "--stream ORDER [--feedback immediate|delayed:N|partial:P|none]\n"
	    "       [--no-rules] [--scores FILE] [--plot F.svg] [options]",
	    "how well would it do on a stream of labelled mail" },
	{ "ban", verb_ban, "add|del|list|check|show|history|status|flush|confirm|ping\n"
	    "       [--scope mail|host|both] [--time T] [--reason R] [--label L]\n"
	    "       [--own] [--limit N] [--json] [--socket F] [ADDR[/LEN]]",
	    "look at and change bans through the ban helper" },
	{ "learn", verb_learn, "--spam|--ham [--user U] [--source S] [--config F] "
	    "[--db F] [--json]\n       PATH...|--id VERDICT",
	    "say what messages are, for reputation and model" },
	{ "forget", verb_forget, "[--user U] [--source S] [--config F] [--db F] "
	    "[--json] PATH...|--id VERDICT",
	    "take back what was said of messages" },
	{ "log", verb_log, "[--since T] [--until T] [--action A] [--from A] "
	    "[--limit N] [--json]\n       [--config F] [--db F] [--id VERDICT | "
	    "erase --address A]",
	    "search the verdict log, show a verdict again, erase" },
	{ "reputation", verb_reputation, "[--config F] [--db F] [--now T] [--json] "
	    "show KIND:KEY... | [--limit N] list [PATTERN]",
	    "what is remembered of senders" },
	{ "shadow", verb_shadow, "list | report [--since T] [--until T] [--set NAME] "
	    "[--limit N]\n       [--config F] [--db F] [--json]",
	    "what would rules and scores do that are only tried" },
	{ "db", verb_db, "[--config F] [--db F] check | backup FILE | export | "
	    "import FILE|-", "look after the state database" },
	{ "doctor", verb_doctor, "[--learning] [--host] [--postconf COMMAND]\n"
	    "       [--config F] [--db F] [--json]",
	    "is the whole host well, and what mends what is not" },
	{ "compile", verb_compile,
	    "[--dir D] [--jobs N] [--config F] [--rules DIR|FILE]...",
	    "build the databases that make body rules fast" },
	{ "rules", verb_rules, "--slowest [--count N] [--rules DIR|FILE]... PATH...",
	    "which rules take the time" },
	{ "tune", verb_tune, "--ham PATH... --spam PATH... | --from-log\n"
	    "       [--output FILE] [--max-ham-loss PERCENT] [--confidence PERCENT]\n"
	    "       [--seed N] [--jobs N] [--cache FILE|none] [--plot F.svg] [options]\n"
	    "       --adopt [--force] | --rollback | --history | --weekly [--sendmail F]\n"
	    "       [--dry-run] [--json] [--config F] [--db F]",
	    "fit the rules' scores to this server's mail" },
	{ "lint", verb_lint, "[--verbose] [--config F] [--rules DIR|FILE]...",
	    "report every error in configuration and rules" },
};

enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

int
cli_usage(const char *verb)
{
	for (size_t i = 0; i < VERBS; i++)
		if (strcmp(verbs[i].name, verb) == 0)
			fprintf(stderr, "usage: spamscore %s %s\n", verb,
			    verbs[i].synopsis);
	return EX_USAGE;
}

static int
run_verb(const struct verb *v, int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		printf("usage: spamscore %s %s\n\n%s.\nSee spamscore(1).\n",
		    v->name, v->synopsis, v->help);
		return cli_finish(EX_OK);
	}
	return v->run(argc, argv);
}

static int
help(void)
{
	printf("usage: spamscore --explain [options] FILE|-\n"
	       "       spamscore VERB [options] ...\n\n");
	for (size_t i = 0; i < VERBS; i++)
		printf("  %-11s %s\n", verbs[i].name, verbs[i].help);
	printf("\nOptions of verbs that judge:\n"
	       "  --json --config F --rules DIR|FILE --db F|none --offline\n"
	       "  --dns-data F --ip A --helo N --mail-from A --rcpt-to A\n"
	       "  --client-name N --now UNIXTIME --exit-status\n"
	       "  --color auto|always|never --model F|none\n\n"
	       "  --version, --help\n\nSee spamscore(1).\n");
	return cli_finish(EX_OK);
}

int
main(int argc, char **argv)
{
	/* a reader that goes away is an error on write, not a silent death */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		fprintf(stderr, "usage: spamscore --explain [options] FILE|-\n"
				"       spamscore VERB ..., spamscore --help\n");
		return EX_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
		return help();
	if (strcmp(argv[1], "--version") == 0) {
		printf("spamscore %s\n", SPAMSCORE_VERSION);
		return cli_finish(EX_OK);
	}
	for (size_t i = 0; i < VERBS; i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return run_verb(&verbs[i], argc - 1, argv + 1);
	/* --explain is an option by its looks and a verb by its work: it may
	 * stand anywhere among the options */
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--explain") != 0)
			continue;
		memmove(argv + i, argv + i + 1,
		    (size_t)(argc - i) * sizeof(*argv));
		return verb_explain(argc - 1, argv);
	}
	return cli_fail(EX_USAGE, "unknown verb \"%s\", see spamscore --help",
	    argv[1]);
}
