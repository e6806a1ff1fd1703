/* op "shadow": what shadows said of logged verdicts, counted and one by one. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sysexits.h>

#include "base/escape.h"
#include "base/json.h"
#include "db/shadow.h"
#include "milter/control.h"
#include "scoring/verdict.h"

enum { MAX_ROWS = 100000 };

static const char *const labels[] = { [LABEL_NONE] = "none",
	[LABEL_HAM] = "ham", [LABEL_SPAM] = "spam" };

static const char *
action_word(int action)
{
	return action >= ACTION_ACCEPT && action <= ACTION_REJECT ?
	    action_name((enum action)action) : "unknown";
}

static json_t *
points(double d)
{
	return json_real(round(d * 1000) / 1000);
}

static int
add_row(void *list, const struct shadow_row *row)
{
	char message[2 * MESSAGE_IDENTITY_BYTES + 1];

	for (size_t i = 0; i < MESSAGE_IDENTITY_BYTES; i++)
		snprintf(message + 2 * i, 3, "%02x", row->message[i]);
	return json_array_append_new(list, json_pack(
	    "{s:o, s:s, s:o, s:I, s:s, s:s, s:o, s:o, s:s, s:s, s:o}", "set",
	    json_text(row->said.set), "hash", row->said.hash, "id",
	    json_text(row->id), "time", (json_int_t)row->time, "judged",
	    action_word(row->said.judged), "action",
	    action_word(row->said.action), "score", points(row->score),
	    "shadow_score", points(row->said.score), "label",
	    labels[row->label], "message", message, "mail_from",
	    json_text(row->mail_from))) == 0 ? 0 : -ENOMEM;
}

static int
add_count(void *list, const struct shadow_count *c)
{
	return json_array_append_new(list, json_pack(
	    "{s:o, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "set",
	    json_text(c->set), "hash", c->hash, "judged",
	    action_word(c->judged), "action", action_word(c->action), "label",
	    labels[c->label], "count", (json_int_t)c->count, "first",
	    (json_int_t)c->first, "last", (json_int_t)c->last)) == 0 ?
	    0 : -ENOMEM;
}

static int64_t
int_of(const json_t *request, const char *key)
{
	return json_integer_value(json_object_get(request, key));
}

json_t *
control_run_shadow(const struct control_context *c, const json_t *request)
{
	int64_t limit = int_of(request, "limit");
	struct shadow_query q = {
		.set = json_string_value(json_object_get(request, "set")),
		.hash = json_string_value(json_object_get(request, "hash")),
		.since = int_of(request, "since"),
		.until = int_of(request, "until"),
		.differing = json_is_true(json_object_get(request, "differing")),
		.labelled = json_is_true(json_object_get(request, "labelled")),
		.limit = limit > 0 && limit <= MAX_ROWS ? (size_t)limit : 0,
	};
	json_t *counts = json_array(), *rows = json_array();
	struct error err = { "no memory" };
	int rc = counts == NULL || rows == NULL ? -ENOMEM :
	    store_shadow_counts(c->store, &q, add_count, counts, &err);

	if (rc == 0)
		rc = store_shadow_search(c->store, &q, add_row, rows, &err);
	if (rc == 0)
		return json_pack("{s:b, s:o, s:o}", "ok", 1, "counts", counts,
		    "rows", rows);
	json_decref(counts);
	json_decref(rows);
	return json_pack("{s:s, s:i}", "error", err.text, "code",
	    rc == -ENOMEM ? EX_OSERR : EX_TEMPFAIL);
}
