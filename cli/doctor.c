/* doctor - is everything alive that works unseen? Training that died without
 * a word is the commonest fault of filters that learn. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "cli/doctor_host.h"
#include "cli/state.h"
#include "scoring/learn/model.h"

/* A source that taught before, and not for so long, is worth a look. */
enum { SILENT_SEC = 60 * 86400 };

static json_int_t
number(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static bool
tell_source(const struct doctor_options *d, const json_t *row)
{
	const char *why = json_string_value(json_object_get(row, "why"));
	json_int_t learned = number(row, "last_learned"),
		   failed = number(row, "last_failed");
	bool ill = why != NULL && *why != '\0',
	     silent = learned != 0 && time(NULL) - learned > SILENT_SEC;
	char when[32], fault[32], faults[80] = "";

	if (number(row, "failed") != 0)
		snprintf(faults, sizeof(faults), "; failed %lld times, last %s",
		    (long long)number(row, "failed"), state_time(failed, fault));
	return doctor_tell(d, "learning", ill ? DOCTOR_BAD : silent ?
	    DOCTOR_WARN : DOCTOR_OK, ill || silent ?
	    "journalctl -t dovecot -t spamscored --grep learn" : NULL,
	    "%s: %lld times, last %s%s%s%s%s",
	    json_string_value(json_object_get(row, "source")),
	    (long long)number(row, "learned"), state_time(learned, when),
	    silent ? " (silent for long)" : "", faults, ill ? ": " : "",
	    ill ? why : "");
}

static bool
tell_model(const struct doctor_options *d, const char *path)
{
	struct model_info info;
	struct error err;
	struct model *m;
	char fix[PATH_MAX + 64];
	int rc = model_open(path, &m, &err);

	if (rc == -ENOENT)
		return doctor_tell(d, "model", DOCTOR_OK, NULL, "none yet");
	snprintf(fix, sizeof(fix), "rm %s  # made anew from what was learned", path);
	if (rc != 0)
		return doctor_tell(d, "model", DOCTOR_BAD, fix, "%s", err.text);
	model_info(m, &info);
	model_unref(m);
	return doctor_tell(d, "model", DOCTOR_OK, NULL, "%llu good and %llu bad "
	    "messages learned%s", (unsigned long long)info.ham,
	    (unsigned long long)info.spam, info.ham < info.need ||
	    info.spam < info.need ? ", not enough yet to be used" : "");
}

static int
learning(const struct state_options *o, const struct doctor_options *d,
    bool *well)
{
	json_t *answer = NULL;
	const json_t *row;
	struct state s;
	size_t i;
	int code = state_open(&s, o, false);

	if (code == EX_OK)
		answer = state_ask(&s, json_pack("{s:s}", "op", "learning"),
		    span_of(NULL, 0), NULL, &code);
	if (answer != NULL) {
		const json_t *rows = json_object_get(answer, "rows");

		doctor_tell(d, "daemon", s.fd >= 0 ? DOCTOR_OK : DOCTOR_SKIP, NULL,
		    "%s", s.fd >= 0 ? "answers" : "does not run");
		json_array_foreach(rows, i, row)
			*well &= tell_source(d, row);
		if (json_array_size(rows) == 0)
			doctor_tell(d, "learning", DOCTOR_OK, NULL,
			    "nobody has taught anything yet");
		*well &= tell_model(d, s.model);
	}
	if (answer == NULL)
		*well &= doctor_tell(d, "daemon", DOCTOR_BAD, "spamscore db check",
		    "what it remembers cannot be read");
	json_decref(answer);
	return state_close(&s, code);
}

int
verb_doctor(int argc, char **argv)
{
	enum { OPT_LEARNING = 1, OPT_HOST, OPT_POSTCONF };
	static const struct option options[] = { STATE_LONG_OPTIONS,
		{ "learning", no_argument, NULL, OPT_LEARNING },
		{ "host", no_argument, NULL, OPT_HOST },
		{ "postconf", required_argument, NULL, OPT_POSTCONF }, { 0 } };
	struct state_options o = { 0 };
	struct doctor_options d = { .postconf = "postconf" };
	bool only_learning = false, only_host = false, well = true;
	int c, code = EX_OK;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == OPT_LEARNING)
			only_learning = true;
		else if (c == OPT_HOST)
			only_host = true;
		else if (c == OPT_POSTCONF)
			d.postconf = optarg;
		else if (!state_options_take(&o, c, optarg))
			return cli_usage("doctor");
	if (optind != argc)
		return cli_usage("doctor");
	d.config = o.config;
	d.json = o.json;
	if (only_learning || !only_host)
		code = learning(&o, &d, &well);
	/* a state that cannot be opened is one finding among others */
	if (only_host || !only_learning)
		well &= doctor_host(&d);
	if (code == EX_OK && !well)
		code = 1;
	return cli_finish(code);
}
