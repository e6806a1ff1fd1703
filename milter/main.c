#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "config.h"
#include "milter/daemon.h"

static const char help[] =
    "usage: spamscored [options]\n"
    "  --config FILE     configuration (default " CONFIG_FILE ")\n"
    "  --foreground      stay in the foreground, log to stderr\n"
    "  --syslog          with --foreground: log to syslog all the same\n"
    "  --rules PATH      rule file or directory, repeatable: replaces all others\n"
    "  --offline         ask no DNS\n"
    "  --dns-data FILE   answer all DNS from FILE, and from nothing else\n"
    "  --check           load configuration and rules, report, and exit\n"
    "  --version, --help\n";

static int
check(const struct snapshot_options *o)
{
	struct arena *a = arena_new(64 << 20);
	struct snapshot *s = NULL;
	struct error err;
	struct diags diags;
	struct buf out;
	int r;

	if (a == NULL)
		return EX_OSERR;
	diags_init(&diags, a);
	r = snapshot_load(o, NULL, &diags, &s, &err);
	buf_init(&out, 16 << 20);
	diags_format(&diags, DIAG_WARNING, &out);
	fwrite(out.ptr, 1, out.len, stdout);
	buf_done(&out);
	if (r != 0)
		fprintf(stderr, "spamscored: %s\n", err.text);
	snapshot_unref(s);
	arena_free(a);
	if (fflush(stdout) == EOF)
		return EX_IOERR;
	return r == 0 ? EX_OK : EX_CONFIG;
}

int
main(int argc, char **argv)
{
	enum { CONFIG = 1, FOREGROUND, SYSLOG, RULES, OFFLINE, DNS_DATA, CHECK,
		VERSION, HELP };
	static const struct option table[] = {
		{ "config", required_argument, NULL, CONFIG },
		{ "foreground", no_argument, NULL, FOREGROUND },
		{ "syslog", no_argument, NULL, SYSLOG },
		{ "rules", required_argument, NULL, RULES },
		{ "offline", no_argument, NULL, OFFLINE },
		{ "dns-data", required_argument, NULL, DNS_DATA },
		{ "check", no_argument, NULL, CHECK },
		{ "version", no_argument, NULL, VERSION },
		{ "help", no_argument, NULL, HELP },
		{ NULL, 0, NULL, 0 },
	};
	struct daemon_options o = { .load.rules_dir = engine_default_rules_dir() };
	const char **rules = calloc((size_t)argc + 1, sizeof(*rules));
	bool only_check = false;
	int c, code;

	if (rules == NULL)
		return EX_OSERR;
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case CONFIG:
			o.load.config = optarg;
			break;
		case FOREGROUND:
			o.foreground = true;
			break;
		case SYSLOG:
			o.syslog = true;
			break;
		case RULES:
			rules[o.load.rules_count++] = optarg;
			break;
		case OFFLINE:
			o.load.offline = true;
			break;
		case DNS_DATA:
			o.load.dns_data = optarg;
			break;
		case CHECK:
			only_check = true;
			break;
		case VERSION:
			puts("spamscored " SPAMSCORE_VERSION);
			free(rules);
			return EX_OK;
		case HELP:
			fputs(help, stdout);
			free(rules);
			return EX_OK;
		default:
			free(rules);
			return EX_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "spamscored: unexpected argument\n%s", help);
		free(rules);
		return EX_USAGE;
	}
	/* the daemon changes its directory, and SIGHUP reads the file again */
	if (o.load.config == NULL && access(CONFIG_FILE, F_OK) == 0)
		o.load.config = CONFIG_FILE;
	if (!o.foreground && !only_check && o.load.config != NULL &&
	    o.load.config[0] != '/') {
		fprintf(stderr, "spamscored: --config needs an absolute path\n");
		free(rules);
		return EX_USAGE;
	}
	o.load.rules = rules;
	code = only_check ? check(&o.load) : daemon_run(&o);
	free(rules);
	return code;
}
