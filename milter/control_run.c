#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/escape.h"
#include "base/json.h"
#include "config.h"
#include "milter/control.h"
#include "scoring/feedback.h"

enum { MAX_KEYS = 64, MAX_USER = 200 };

static json_t *
failure(int code, const char *text)
{
	return json_pack("{s:s, s:i}", "error", text, "code", code);
}

/* What the caller shall exit with */
static json_t *
failure_of(int rc, const struct error *err)
{
	int code = rc == -ENOENT ? EX_NOINPUT :
	    rc == -EINVAL	 ? EX_DATAERR :
	    rc == -EDQUOT	 ? EX_TEMPFAIL :
	    rc == -ENOMEM	 ? EX_OSERR :
	    rc == -EIO || rc == -EBADMSG ? EX_IOERR :
	    rc == -EROFS || rc == -EACCES ? EX_NOPERM :
				   EX_TEMPFAIL;
	struct buf clean;
	json_t *answer;

	buf_init(&clean, 4096);
	escape_utf8(&clean, span_cstr(err->text));
	answer = failure(code, clean.ptr);
	buf_done(&clean);
	return answer;
}

static const char *
string_of(const json_t *request, const char *key)
{
	return json_string_value(json_object_get(request, key));
}

static int64_t
now_of(const json_t *request)
{
	const json_t *now = json_object_get(request, "now");

	return json_is_integer(now) ? json_integer_value(now) :
				      (int64_t)time(NULL);
}

static int64_t
int_of(const json_t *request, const char *key, int64_t otherwise)
{
	const json_t *j = json_object_get(request, key);

	return json_is_integer(j) ? json_integer_value(j) : otherwise;
}

static const char *const class_names[] = { [LABEL_NONE] = "none",
	[LABEL_HAM] = "ham", [LABEL_SPAM] = "spam" };

static json_t *
run_learn(const struct control_context *c, const json_t *request,
    struct span message, bool *ret_learned)
{
	const char *class = string_of(request, "class");
	struct feedback_request r = {
		.raw = message,
		.verdict_id = string_of(request, "id"),
		.user = string_of(request, "user"),
		.source = string_of(request, "source"),
		.now = now_of(request),
		.max_per_hour = c->label_rate,
	};
	struct feedback_result result;
	struct error err = { "" };
	int rc, k;

	for (k = 0; class != NULL && k < 3; k++)
		if (strcmp(class, class_names[k]) == 0)
			break;
	if (class == NULL || k == 3 || r.user == NULL || r.source == NULL ||
	    strlen(r.user) > MAX_USER || strlen(r.source) > MAX_USER)
		return failure(EX_PROTOCOL, "learn needs class, user and source");
	if (c->label_weight != NULL)
		r.weight = c->label_weight(c->weight_context, r.user);
	/* the filter's own; nobody else may count among it */
	if (strcmp(r.source, LABEL_AUTO) == 0)
		return failure(EX_DATAERR, "the source \"" LABEL_AUTO
		    "\" is the filter's own");
	r.class = (enum label_class)k;
	rc = feedback_learn(c->store, &r, &result, &err);
	if (rc != 0)
		return failure_of(rc, &err);
	if (result.label.changed && result.label.all_is == LABEL_HAM &&
	    result.label.authenticated && result.label.client.addr.family != 0 &&
	    c->good_client != NULL)
		c->good_client(c->good_context, &result.label.client.addr,
		    result.label.seen);
	*ret_learned |= result.taught || result.label.all_was !=
	    result.label.all_is;
	return json_pack("{s:b, s:b, s:b, s:s, s:s, s:b, s:b}", "ok", 1,
	    "changed", result.label.changed, "known", result.label.known, "was",
	    class_names[result.label.was], "is", class_names[result.label.is],
	    "taught", result.taught, "folded", result.label.folded);
}

static double
short_number(double d)
{
	return round(d * 1000) / 1000;
}

static json_t *
row_json(const struct reputation_row *row)
{
	char name[IDENTITY_KEY_BYTES + 32];

	snprintf(name, sizeof(name), "%s:%s", identity_kind_name(row->kind),
	    row->key);
	return json_pack("{s:o, s:f, s:f, s:f, s:f, s:f, s:I}", "identity",
	    json_text(name), "ham", short_number(row->ham), "spam",
	    short_number(row->spam), "recent_ham",
	    short_number(row->recent_ham), "recent_spam",
	    short_number(row->recent_spam), "spread",
	    short_number(row->spread), "last_seen",
	    (json_int_t)row->last_seen);
}

static int
add_row(void *context, const struct reputation_row *row)
{
	return json_array_append_new(context, row_json(row)) == 0 ? 0 : -ENOMEM;
}

static json_t *
rows_answer(int rc, json_t *rows, const struct error *err)
{
	if (rc == 0)
		return json_pack("{s:b, s:o}", "ok", 1, "rows", rows);
	json_decref(rows);
	return failure_of(rc, err);
}

static bool
parse_identity(const char *text, struct identity *ret_identity)
{
	for (int k = 0; k < IDENTITY_KINDS; k++) {
		const char *name = identity_kind_name((enum identity_kind)k);
		size_t n = strlen(name);

		if (strncmp(text, name, n) == 0 && text[n] == ':' &&
		    text[n + 1] != '\0') {
			ret_identity->kind = (enum identity_kind)k;
			ret_identity->key = text + n + 1;
			return true;
		}
	}
	return false;
}

static json_t *
run_reputation(const struct control_context *c, const json_t *request)
{
	struct identity ids[MAX_KEYS];
	struct arena *a;
	struct reputation_row *rows;
	struct error err = { "no memory" };
	const json_t *keys = json_object_get(request, "keys"), *key;
	json_t *list;
	size_t count = 0, i;
	int rc;

	json_array_foreach(keys, i, key) {
		const char *text = json_string_value(key);

		if (text == NULL || count == MAX_KEYS ||
		    !parse_identity(text, &ids[count]))
			return failure(EX_DATAERR, "an identity is kind:key, as "
			    "in dkim:example.org");
		count++;
	}
	a = arena_new(4 << 20);
	list = json_array();
	rc = a == NULL || list == NULL ? -ENOMEM :
	    store_reputation_get(c->store, ids, count, now_of(request), a, &rows,
		&err);
	for (i = 0; rc == 0 && i < count; i++)
		rc = add_row(list, &rows[i]);
	arena_free(a);
	return rows_answer(rc, list, &err);
}

static json_t *
run_reputation_list(const struct control_context *c, const json_t *request)
{
	struct error err = { "no memory" };
	json_t *list = json_array();
	int64_t limit = int_of(request, "limit", 0);
	int rc = store_reputation_list(c->store, string_of(request, "pattern"),
	    limit > 0 ? (size_t)limit : 0, now_of(request), add_row, list, &err);

	return rows_answer(rc, list, &err);
}

static json_t *
entry_json(const struct log_entry *e)
{
	const char *action = e->action >= ACTION_ACCEPT &&
	    e->action <= ACTION_REJECT ? action_name((enum action)e->action) :
					 "unknown";

	return json_pack("{s:o, s:I, s:s, s:f, s:o, s:o}", "id",
	    json_text(e->id), "time", (json_int_t)e->time, "action", action,
	    "score", short_number(e->score), "mail_from",
	    json_text(e->mail_from), "queue_id", json_text(e->queue_id));
}

static int
add_entry(void *context, const struct log_entry *e)
{
	return json_array_append_new(context, entry_json(e)) == 0 ? 0 : -ENOMEM;
}

static json_t *
run_log(const struct control_context *c, const json_t *request)
{
	const char *action = string_of(request, "action");
	struct log_query q = {
		.since = int_of(request, "since", 0),
		.until = int_of(request, "until", 0),
		.action = -1,
		.from = string_of(request, "from"),
	};
	int64_t limit = int_of(request, "limit", 0);
	struct error err = { "no memory" };
	json_t *list;

	for (int k = ACTION_ACCEPT; action != NULL && k <= ACTION_REJECT; k++)
		if (strcmp(action, action_name((enum action)k)) == 0)
			q.action = k;
	if (action != NULL && q.action < 0)
		return failure(EX_USAGE,
		    "an action is accept, tag, tempfail or reject");
	q.limit = limit > 0 && limit < 100000 ? (size_t)limit : 0;
	list = json_array();
	return rows_answer(store_log_search(c->store, &q, add_entry, list, &err),
	    list, &err);
}

static json_t *
run_log_get(const struct control_context *c, const json_t *request)
{
	const char *id = string_of(request, "id");
	struct arena *a = arena_new(4 << 20);
	struct error err = { "no memory" };
	struct log_entry e;
	json_t *answer = NULL, *record;
	int rc;

	rc = a == NULL ? -ENOMEM :
	    id == NULL ? error_set(&err, -EINVAL, "which verdict?") :
			 store_log_get(c->store, id, a, &e, &err);
	if (rc == 0) {
		record = json_loadb(e.record.ptr, e.record.len, 0, NULL);
		answer = json_pack("{s:b, s:o, s:o}", "ok", 1, "entry",
		    entry_json(&e), "record",
		    record != NULL ? record : json_null());
	}
	arena_free(a);
	return rc == 0 ? answer : failure_of(rc, &err);
}

static json_t *
run_log_erase(const struct control_context *c, const json_t *request)
{
	const char *address = string_of(request, "address");
	struct error err = { "" };
	size_t count = 0;
	int rc = address == NULL || address[0] == '\0' ?
	    error_set(&err, -EINVAL, "which address?") :
	    store_log_erase(c->store, address, &count, &err);

	return rc != 0 ? failure_of(rc, &err) :
			 json_pack("{s:b, s:I}", "ok", 1, "erased",
			     (json_int_t)count);
}

static json_t *
run_learning(const struct control_context *c)
{
	struct arena *a = arena_new(4 << 20);
	struct error err = { "no memory" };
	struct learning *list;
	json_t *rows = json_array();
	size_t count;
	int rc = a == NULL ? -ENOMEM :
	    store_learning_list(c->store, a, &list, &count, &err);

	for (size_t i = 0; rc == 0 && i < count; i++)
		if (json_array_append_new(rows, json_pack(
			"{s:o, s:I, s:I, s:I, s:I, s:o}", "source",
			json_text(list[i].source), "learned",
			(json_int_t)list[i].learned, "last_learned",
			(json_int_t)list[i].last_learned, "failed",
			(json_int_t)list[i].failed, "last_failed",
			(json_int_t)list[i].last_failed, "why",
			json_text(list[i].why))) != 0)
			rc = -ENOMEM;
	arena_free(a);
	return rows_answer(rc, rows, &err);
}

static json_t *
run_train(const struct control_context *c, const json_t *request)
{
	struct error err = { "" };
	bool changed = false;
	int rc = c->model.path == NULL ?
	    error_set(&err, -EINVAL, "no model is configured") :
	    feedback_train(c->store, &c->model, now_of(request), &changed, &err);

	if (rc != 0)
		return failure_of(rc, &err);
	if (changed && c->model_changed != NULL)
		c->model_changed(c->changed_context);
	return json_pack("{s:b, s:b}", "ok", 1, "trained", changed);
}

static json_t *
run_reload(const struct control_context *c)
{
	struct error err = { "" };
	int rc = c->reload != NULL ? c->reload(c->reload_context, &err) : 0;

	if (rc == -EINVAL)
		return failure(EX_CONFIG, err.text);
	if (rc != 0)
		return failure_of(rc, &err);
	return json_pack("{s:b, s:b}", "ok", 1, "reloaded", c->reload != NULL);
}

json_t *
control_run(const struct control_context *c, const json_t *request,
    struct span message, bool *ret_learned)
{
	const char *op = string_of(request, "op");
	bool learned = false;
	json_t *answer;

	if (op == NULL)
		return failure(EX_PROTOCOL, "a request needs op");
	if (strcmp(op, "ping") == 0)
		return json_pack("{s:b, s:s}", "ok", 1, "version",
		    SPAMSCORE_VERSION);
	if (strcmp(op, "reload") == 0)
		return run_reload(c);
	if (c->store == NULL)
		return failure(EX_UNAVAILABLE, "the state database is not open");
	if (strcmp(op, "learn") == 0)
		answer = run_learn(c, request, message, &learned);
	else if (strcmp(op, "reputation") == 0)
		answer = run_reputation(c, request);
	else if (strcmp(op, "reputation-list") == 0)
		answer = run_reputation_list(c, request);
	else if (strcmp(op, "log") == 0)
		answer = run_log(c, request);
	else if (strcmp(op, "log-get") == 0)
		answer = run_log_get(c, request);
	else if (strcmp(op, "log-erase") == 0)
		answer = run_log_erase(c, request);
	else if (strcmp(op, "learning") == 0)
		answer = run_learning(c);
	else if (strcmp(op, "train") == 0)
		answer = run_train(c, request);
	else if (strcmp(op, "shadow") == 0)
		answer = control_run_shadow(c, request);
	else
		answer = failure(EX_PROTOCOL, "unknown op");
	if (ret_learned != NULL)
		*ret_learned = learned;
	return answer;
}
