#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/mail.h"
#include "cli/state.h"
#include "scoring/explain.h"

static size_t
columns(void)
{
	struct winsize w;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 40)
		return w.ws_col;
	return 80;
}

static int
print(const struct judge_options *o, const struct engine_run *run)
{
	struct explain_input in = { run->message, run->envelope, run->evidence,
		run->verdict };
	struct explain_style style = { cli_color(o->color), columns() };
	struct buf out;
	int code = EX_OK;

	if (o->json)
		return cli_print_json(stdout, explain_json(&in));
	buf_init(&out, 64 << 20);
	explain_text(&in, &style, &out);
	if (out.failed)
		code = cli_fail(EX_OSERR, "out of memory");
	else
		fwrite(out.ptr, 1, out.len, stdout);
	buf_done(&out);
	return code;
}

static void
print_name(const char *name, bool behind_another)
{
	fputs(behind_another ? "\n" : "", stdout);
	cli_print_text(span_cstr(name));
	puts(":");
}

/* What is short PCRE2 has judged before the compiled databases, which are
 * megabytes, are read, checked and copied */
static bool
is_short(const char *path)
{
	enum { SHORT_BYTES = 12 << 10 };
	struct stat st;
	int r = strcmp(path, "-") == 0 ? fstat(STDIN_FILENO, &st) :
					 stat(path, &st);

	return r == 0 && S_ISREG(st.st_mode) && st.st_size <= SHORT_BYTES;
}

/* One message, or each of an mbox */
static int
explain_file(const struct judge_options *o, const char *path)
{
	struct mail_list mail = { 0 };
	struct arena *a = NULL;
	struct stat st;
	struct runtime rt;
	struct engine_run run;
	struct error err;
	struct buf raw;
	int code = runtime_open(o, &rt), each;
	bool stopped = false;

	if (code != EX_OK)
		return code;
	buf_init(&raw, (size_t)engine_settings(rt.engine)->scan_size);
	code = stat(path, &st) == 0 && S_ISDIR(st.st_mode) ?
	    cli_fail(EX_NOINPUT, "%s: is a directory", path) :
	    mail_list_add(&mail, path);
	if (code == EX_OK &&
	    (a = arena_new(cli_arena_bytes(rt.engine))) == NULL)
		code = cli_fail(EX_OSERR, "out of memory");
	for (size_t i = 0; i < mail.count && a != NULL; i++) {
		if (mail.count > 1 && !o->json)
			print_name(mail.items[i].name, i > 0);
		each = runtime_judge_mail(&rt, &mail.items[i], a, &raw, &run,
		    &err);
		if (each != EX_OK)
			cli_fail(each, "%s: %s", mail.items[i].name, err.text);
		else {
			each = print(o, &run);
			stopped |= run.verdict->action != ACTION_ACCEPT;
		}
		if (code == EX_OK)
			code = each;
		arena_reset(a);
	}
	if (code == EX_OK && o->exit_status && stopped)
		code = 1;
	mail_list_done(&mail);
	buf_done(&raw);
	arena_free(a);
	runtime_close(&rt);
	return cli_finish(code);
}

int
verb_explain(int argc, char **argv)
{
	static const struct option options[] = { JUDGE_LONG_OPTIONS,
		{ "id", required_argument, NULL, 1 }, { 0 } };
	struct judge_options o;
	const char *id = NULL;
	int c, code = judge_options_init(&o, argc);

	while (code == EX_OK &&
	    (c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == 1)
			id = optarg;
		else if (judge_options_take(&o, c, optarg) != EX_OK)
			code = c == '?' ? cli_usage("explain") : EX_USAGE;
	if (code == EX_OK && optind + (id == NULL) != argc)
		code = cli_usage("explain");
	if (code == EX_OK && id != NULL) {
		struct state_options so = { o.config, o.db, o.json };

		code = cli_show_verdict(&so, id);
	} else if (code == EX_OK) {
		o.no_databases = is_short(argv[optind]);
		code = explain_file(&o, argv[optind]);
	}
	judge_options_done(&o);
	return code;
}
