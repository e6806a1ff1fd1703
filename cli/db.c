/* db - the state database as a file: check, backup, export, import. */
#include <errno.h>
#include <string.h>

#include "cli/state.h"
#include "db/admin.h"

static void
print_finding(void *context, const char *text)
{
	(void)context;
	printf("%s\n", text);
}

static int
exit_code(int rc)
{
	return rc == 0 ? EX_OK :
	    rc == -ENOENT || rc == -ENOTDIR ? EX_NOINPUT :
	    rc == -EACCES || rc == -EROFS   ? EX_NOPERM :
	    rc == -EBADMSG || rc == -EINVAL ? EX_DATAERR :
	    rc == -ENOMEM		    ? EX_OSERR :
	    rc == -EBUSY || rc == -EAGAIN   ? EX_TEMPFAIL :
					      EX_IOERR;
}

static void
print_fault(void *context, const char *text)
{
	(void)context;
	cli_fail(0, "%s", text);
}

/* Takes the lock: a daemon that runs must be stopped first. */
static int
import(const char *db, const char *from)
{
	struct store_options so = { .path = db, .mode = STORE_WRITE,
		.fault = print_fault };
	FILE *in = strcmp(from, "-") == 0 ? stdin : fopen(from, "r");
	struct store *s = NULL;
	struct error err;
	size_t rows = 0;
	int rc;

	if (in == NULL)
		return cli_fail(EX_NOINPUT, "cannot read \"%s\": %s", from,
		    strerror(errno));
	rc = store_open(&so, &s, &err);
	if (rc == 0)
		rc = store_import(s, in, &rows, &err);
	store_close(s);
	if (in != stdin)
		fclose(in);
	if (rc != 0)
		return cli_fail(exit_code(rc), "%s", err.text);
	printf("%zu rows imported\n", rows);
	return cli_finish(EX_OK);
}

static int
run(const char *db, const char *verb, const char *file)
{
	struct error err = { "" };
	int rc;

	if (strcmp(verb, "import") == 0)
		return import(db, file);
	if (strcmp(verb, "check") == 0) {
		rc = store_check(db, print_finding, NULL, &err);
		if (rc == 0)
			printf("ok\n");
	} else if (strcmp(verb, "export") == 0) {
		rc = store_export(db, stdout, &err);
	} else {
		rc = store_backup(db, file, &err);
	}
	if (rc != 0)
		return cli_fail(exit_code(rc), "%s", err.text);
	return cli_finish(EX_OK);
}

int
verb_db(int argc, char **argv)
{
	static const struct option options[] = { STATE_LONG_OPTIONS, { 0 } };
	struct state_options o = { 0 };
	const char *verb;
	struct state s;
	bool file;
	int c, code;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!state_options_take(&o, c, optarg))
			return cli_usage("db");
	verb = optind < argc ? argv[optind++] : "";
	file = strcmp(verb, "backup") == 0 || strcmp(verb, "import") == 0;
	if ((!file && strcmp(verb, "check") != 0 &&
	    strcmp(verb, "export") != 0) || optind + file != argc)
		return cli_usage("db");
	code = state_paths(&s, &o);
	return code != EX_OK ? code : run(s.db, verb, file ? argv[optind] : NULL);
}
