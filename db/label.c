#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "db/internal.h"
#include "db/lesson.h"
#include "db/query.h"

enum {
	MAX_USERS = 256,      /* whose labels on one identity are told apart */
	MAX_COUNTED = 5000,   /* newest labels on one identity that count */
	MAX_LABEL_IDENTITIES = 64,
};

/* How often each user has spoken about one identity lately. */
struct users {
	struct {
		char *name;
		double month, hour;
		int64_t at;
	} list[MAX_USERS];
	size_t count;
};

static void
users_done(struct users *u)
{
	for (size_t i = 0; i < u->count; i++)
		free(u->list[i].name);
	free(u);
}

/* This label's weight in the slow and the fast counts. */
static bool
users_weigh(struct users *u, const char *name, int64_t at, double *ret_slow,
    double *ret_fast)
{
	size_t i;

	for (i = 0; i < u->count; i++)
		if (strcmp(u->list[i].name, name) == 0)
			break;
	if (i == u->count) {
		/* beyond so many users nobody's labels gain weight */
		if (u->count == MAX_USERS) {
			*ret_slow = *ret_fast = 0;
			return true;
		}
		u->list[i].name = strdup(name);
		if (u->list[i].name == NULL)
			return false;
		u->list[i].month = u->list[i].hour = 0;
		u->list[i].at = at;
		u->count++;
	}
	u->list[i].month = u->list[i].month * counts_decay(at - u->list[i].at,
	    COUNTS_HALF_LIFE_SEC) + 1;
	u->list[i].hour = u->list[i].hour * counts_decay(at - u->list[i].at,
	    COUNTS_RECENT_HALF_LIFE_SEC) + 1;
	u->list[i].at = at;
	*ret_slow = 1 / sqrt(u->list[i].month);
	*ret_fast = exp2(1 - u->list[i].hour);
	return true;
}

/* The labels' part of one identity's record, from the labels alone. */
static int
labels_tally(sqlite3 *db, const void *identity, size_t n,
    struct tally *ret_tally)
{
	struct query q = query_begin(db,
	    /* the newest that count, then in an order that depends on nothing
	     * but the labels themselves */
	    "SELECT * FROM (SELECT l.seen,l.message,l.user,l.spam,l.weight,"
	    "l.ham_fed,l.spam_fed FROM label_identity i JOIN label l"
	    " ON l.message=i.message AND l.user=i.user WHERE i.identity=?1"
	    " ORDER BY l.seen DESC,l.message DESC,l.user DESC LIMIT ?2)"
	    " ORDER BY seen,message,user");
	unsigned char last[MESSAGE_IDENTITY_BYTES];
	struct users *users = calloc(1, sizeof(*users));
	bool any = false;

	memset(ret_tally, 0, sizeof(*ret_tally));
	if (users == NULL)
		q.rc = SQLITE_NOMEM;
	if (q.rc == SQLITE_OK) {
		sqlite3_bind_blob(q.st, 1, identity, (int)n, SQLITE_STATIC);
		sqlite3_bind_int(q.st, 2, MAX_COUNTED);
	}
	while (query_row(&q)) {
		int64_t seen = sqlite3_column_int64(q.st, 0);
		const void *message = sqlite3_column_blob(q.st, 1);
		const char *user = (const char *)sqlite3_column_text(q.st, 2);
		bool spam = sqlite3_column_int(q.st, 3) != 0;
		double weight = sqlite3_column_double(q.st, 4), slow, fast;

		if (message == NULL || user == NULL || sqlite3_column_bytes(q.st, 1)
		    != MESSAGE_IDENTITY_BYTES)
			continue;
		/* a person's word replaces what the filter thought itself */
		if (!any || memcmp(last, message, sizeof(last)) != 0)
			tally_add(ret_tally, -sqlite3_column_double(q.st, 5),
			    -sqlite3_column_double(q.st, 6), seen);
		memcpy(last, message, sizeof(last));
		any = true;
		if (!users_weigh(users, user, seen, &slow, &fast)) {
			q.rc = SQLITE_NOMEM;
			break;
		}
		tally_add_both(ret_tally, spam ? 0 : weight * slow,
		    spam ? weight * slow : 0, spam ? 0 : weight * fast,
		    spam ? weight * fast : 0, seen);
	}
	if (users != NULL)
		users_done(users);
	return query_end(&q);
}

/* Brings one identity's record into line with the labels that stand. */
static int
recount(sqlite3 *db, const void *identity, size_t n)
{
	struct query q;
	struct counts c = { 0 };
	struct tally labels;
	unsigned char value[COUNTS_MAX_BYTES];
	int rc = labels_tally(db, identity, n, &labels);

	if (rc != SQLITE_OK)
		return rc;
	q = query_begin(db, "SELECT counts FROM reputation WHERE identity=?1");
	if (q.rc == SQLITE_OK)
		sqlite3_bind_blob(q.st, 1, identity, (int)n, SQLITE_STATIC);
	if (query_row(&q))
		counts_decode(sqlite3_column_blob(q.st, 0),
		    (size_t)sqlite3_column_bytes(q.st, 0), &c);
	rc = query_end(&q);
	if (rc != SQLITE_OK)
		return rc;
	c.labels = labels;
	if (c.labels.seconds == 0 && c.seen.seconds == 0) {
		q = query_begin(db, "DELETE FROM reputation WHERE identity=?1");
	} else {
		q = query_begin(db, "INSERT OR REPLACE INTO"
		    " reputation(identity,counts) VALUES(?1,?2)");
		if (q.rc == SQLITE_OK)
			sqlite3_bind_blob(q.st, 2, value,
			    (int)counts_encode(&c, value), SQLITE_STATIC);
	}
	if (q.rc == SQLITE_OK)
		sqlite3_bind_blob(q.st, 1, identity, (int)n, SQLITE_STATIC);
	return query_run(&q);
}

struct labelling {
	struct store *store;
	const struct label_request *request;
	struct label_result *result;
	label_also_fn *also;
	void *context;
	/* whom the message came from */
	char *identities[MAX_LABEL_IDENTITIES];
	size_t lengths[MAX_LABEL_IDENTITIES], count;
	int64_t seen;
	double ham_fed, spam_fed;
};

static int
add_identity(struct labelling *l, const void *stored, size_t n)
{
	char p[STORE_STORED_KEY];

	if (n == 0 || n > STORE_STORED_KEY || l->count == MAX_LABEL_IDENTITIES)
		return SQLITE_OK;
	/* a verdict may be older than the setting */
	n = identity_keyed(l->store, stored, n, p);
	for (size_t i = 0; i < l->count; i++)
		if (l->lengths[i] == n && memcmp(l->identities[i], p, n) == 0)
			return SQLITE_OK;
	l->identities[l->count] = malloc(n);
	if (l->identities[l->count] == NULL)
		return SQLITE_NOMEM;
	memcpy(l->identities[l->count], p, n);
	l->lengths[l->count++] = n;
	return SQLITE_OK;
}

/* A message can have been judged more than once (deferred, several copies):
 * the last verdict that counted it is what the label replaces. */
static int
find_verdict(sqlite3 *db, struct labelling *l)
{
	struct query q = query_begin(db, "SELECT time,ham,spam,identities"
	    " FROM verdict WHERE message=?1"
	    " ORDER BY (ham+spam>0) DESC,number DESC LIMIT 1");

	if (q.rc == SQLITE_OK)
		sqlite3_bind_blob(q.st, 1, l->request->message,
		    MESSAGE_IDENTITY_BYTES, SQLITE_STATIC);
	if (query_row(&q)) {
		const char *p = sqlite3_column_blob(q.st, 3);
		size_t left = (size_t)sqlite3_column_bytes(q.st, 3);

		l->seen = sqlite3_column_int64(q.st, 0);
		l->ham_fed = sqlite3_column_double(q.st, 1);
		l->spam_fed = sqlite3_column_double(q.st, 2);
		l->result->known = true;
		while (p != NULL && left > 0 && q.rc == SQLITE_OK) {
			size_t n = strnlen(p, left);

			q.rc = add_identity(l, p, n);
			n = n < left ? n + 1 : n;
			p += n;
			left -= n;
		}
	}
	return query_end(&q);
}

/* Identities of a label that stands already: the log may have forgotten. */
static int
find_labelled(sqlite3 *db, struct labelling *l)
{
	struct query q = query_begin(db, "SELECT identity FROM label_identity"
	    " WHERE message=?1 AND user=?2");

	if (q.rc == SQLITE_OK) {
		sqlite3_bind_blob(q.st, 1, l->request->message,
		    MESSAGE_IDENTITY_BYTES, SQLITE_STATIC);
		sqlite3_bind_text(q.st, 2, l->request->user, -1, SQLITE_STATIC);
	}
	while (query_row(&q)) {
		int rc = add_identity(l, sqlite3_column_blob(q.st, 0),
		    (size_t)sqlite3_column_bytes(q.st, 0));

		if (rc != SQLITE_OK)
			q.rc = rc;
	}
	return query_end(&q);
}

/* This user's word, and what all users together say: the majority, and the
 * last who spoke where there is none. */
static int
words(sqlite3 *db, const struct label_request *request, enum label_class *own,
    enum label_class *all)
{
	struct query q = query_begin(db, "SELECT user,spam FROM label"
	    " WHERE message=?1 ORDER BY time,user");
	enum label_class last = LABEL_NONE;
	int balance = 0;

	*own = LABEL_NONE;
	if (q.rc == SQLITE_OK)
		sqlite3_bind_blob(q.st, 1, request->message,
		    MESSAGE_IDENTITY_BYTES, SQLITE_STATIC);
	while (query_row(&q)) {
		const char *user = (const char *)sqlite3_column_text(q.st, 0);

		last = sqlite3_column_int(q.st, 1) != 0 ? LABEL_SPAM : LABEL_HAM;
		balance += last == LABEL_SPAM ? 1 : -1;
		if (user != NULL && strcmp(user, request->user) == 0)
			*own = last;
	}
	*all = balance > 0 ? LABEL_SPAM : balance < 0 ? LABEL_HAM : last;
	return query_end(&q);
}

static int
delete_label(sqlite3 *db, const struct label_request *r)
{
	static const char *const statements[] = {
		"DELETE FROM label WHERE message=?1 AND user=?2",
		"DELETE FROM label_identity WHERE message=?1 AND user=?2",
	};
	int rc = SQLITE_OK;

	for (int i = 0; i < 2 && rc == SQLITE_OK; i++) {
		struct query q = query_begin(db, statements[i]);

		if (q.rc == SQLITE_OK) {
			sqlite3_bind_blob(q.st, 1, r->message,
			    MESSAGE_IDENTITY_BYTES, SQLITE_STATIC);
			sqlite3_bind_text(q.st, 2, r->user, -1, SQLITE_STATIC);
		}
		rc = query_run(&q);
	}
	return rc;
}

static int
insert_label(sqlite3 *db, const struct labelling *l)
{
	const struct label_request *r = l->request;
	struct query q = query_begin(db, "INSERT INTO label VALUES"
	    "(?1,?2,?3,?4,?5,?6,?7,?8,?9)");
	int rc;

	if (q.rc == SQLITE_OK) {
		sqlite3_bind_blob(q.st, 1, r->message, MESSAGE_IDENTITY_BYTES,
		    SQLITE_STATIC);
		sqlite3_bind_text(q.st, 2, r->user, -1, SQLITE_STATIC);
		sqlite3_bind_int(q.st, 3, r->class == LABEL_SPAM);
		sqlite3_bind_double(q.st, 4, r->weight);
		sqlite3_bind_text(q.st, 5, r->source, -1, SQLITE_STATIC);
		sqlite3_bind_int64(q.st, 6, r->now);
		sqlite3_bind_int64(q.st, 7, l->seen);
		sqlite3_bind_double(q.st, 8, l->ham_fed);
		sqlite3_bind_double(q.st, 9, l->spam_fed);
	}
	rc = query_run(&q);
	for (size_t i = 0; i < l->count && rc == SQLITE_OK; i++) {
		q = query_begin(db, "INSERT INTO label_identity VALUES(?1,?2,?3)");
		if (q.rc == SQLITE_OK) {
			sqlite3_bind_blob(q.st, 1, l->identities[i],
			    (int)l->lengths[i], SQLITE_STATIC);
			sqlite3_bind_blob(q.st, 2, r->message,
			    MESSAGE_IDENTITY_BYTES, SQLITE_STATIC);
			sqlite3_bind_text(q.st, 3, r->user, -1, SQLITE_STATIC);
		}
		rc = query_run(&q);
	}
	return rc;
}

static int
over_rate(sqlite3 *db, const struct label_request *r, bool *ret_over)
{
	struct query q = query_begin(db,
	    "SELECT count(*) FROM label WHERE user=?1 AND time>?2");

	*ret_over = false;
	if (q.rc == SQLITE_OK) {
		sqlite3_bind_text(q.st, 1, r->user, -1, SQLITE_STATIC);
		sqlite3_bind_int64(q.st, 2, r->now - 3600);
	}
	if (query_row(&q))
		*ret_over = sqlite3_column_int64(q.st, 0) >= r->max_per_hour;
	return query_end(&q);
}

int
learning_note(sqlite3 *db, const char *source, int64_t now)
{
	struct query q = query_begin(db, "INSERT INTO"
	    " learning(source,learned,last_learned) VALUES(?1,1,?2)"
	    " ON CONFLICT(source) DO UPDATE SET learned=learned+1,"
	    "last_learned=max(last_learned,?2),why=''");

	if (q.rc == SQLITE_OK) {
		sqlite3_bind_text(q.st, 1, source, -1, SQLITE_STATIC);
		sqlite3_bind_int64(q.st, 2, now);
	}
	return query_run(&q);
}

/* What the identities say about the client; their first letter is the kind
 * (db/reputation.c). */
static void
note_client(struct labelling *l)
{
	for (size_t i = 0; i < l->count; i++) {
		struct span key = span_of(l->identities[i], l->lengths[i]);

		if (key.ptr[0] == 'i')
			network_parse(span_from(key, 1), &l->result->client);
		else if (key.ptr[0] == 'd' || key.ptr[0] == 's')
			l->result->authenticated = true;
	}
	l->result->seen = l->seen;
}

static int
change_label(sqlite3 *db, struct labelling *l)
{
	const struct label_request *r = l->request;
	int rc = find_verdict(db, l);

	if (rc == SQLITE_OK && l->result->known)
		note_client(l);
	if (rc == SQLITE_OK)
		rc = find_labelled(db, l);
	if (rc == SQLITE_OK)
		rc = delete_label(db, r);
	if (rc == SQLITE_OK && r->class != LABEL_NONE)
		rc = insert_label(db, l);
	for (size_t i = 0; i < l->count && rc == SQLITE_OK; i++)
		rc = recount(db, l->identities[i], l->lengths[i]);
	return rc;
}

static int
label_call(struct store *s, sqlite3 *db, void *context, struct error *err)
{
	struct labelling *l = context;
	const struct label_request *r = l->request;
	struct label_result *result = l->result;
	bool over = false;
	int rc;

	(void)s;
	l->seen = r->now;
	rc = words(db, r, &result->was, &result->all_was);
	if (rc == SQLITE_OK && result->was != r->class) {
		if (r->class != LABEL_NONE && r->max_per_hour > 0) {
			rc = over_rate(db, r, &over);
			if (over)
				return error_set(err, -EDQUOT,
				    "too many labels from this user in an hour");
		}
		result->changed = true;
		if (rc == SQLITE_OK)
			rc = change_label(db, l);
	}
	/* what the filter taught itself has no label; forgetting it is a change
	 * all the same */
	if (rc == SQLITE_OK && r->class == LABEL_NONE && !result->changed &&
	    result->all_was == LABEL_NONE)
		rc = lesson_is_auto(db, r, &result->changed);
	if (rc == SQLITE_OK)
		rc = words(db, r, &result->is, &result->all_is);
	if (rc == SQLITE_OK && result->changed)
		rc = lesson_change(db, r, result->all_is, &result->folded,
		    &result->lesson);
	if (rc == SQLITE_OK)
		rc = learning_note(db, r->source, r->now);
	if (rc != SQLITE_OK)
		return store_error(err, db, rc, "cannot store the label");
	return l->also != NULL && result->changed ?
	    l->also(l->context, result, err) : 0;
}

int
store_label(struct store *s, const struct label_request *request,
    label_also_fn *also, void *context, struct label_result *ret_result,
    struct error *err)
{
	struct labelling l = { .store = s, .request = request,
		.result = ret_result, .also = also, .context = context };
	int rc;

	static const unsigned char none[MESSAGE_IDENTITY_BYTES];

	memset(ret_result, 0, sizeof(*ret_result));
	if (request->user == NULL || request->source == NULL ||
	    !isfinite(request->weight) || request->weight < 0 ||
	    request->weight > 1 ||
	    memcmp(request->message, none, sizeof(none)) == 0)
		return error_set(err, -EINVAL, "a label without message, user or weight");
	rc = store_call(s, label_call, &l, err);
	for (size_t i = 0; i < l.count; i++)
		free(l.identities[i]);
	if (rc < 0)
		memset(ret_result, 0, sizeof(*ret_result));
	return rc;
}

int
store_label_find(struct store *s, const char *verdict_id,
    unsigned char ret_message[MESSAGE_IDENTITY_BYTES], struct error *err)
{
	struct arena *a = arena_new(4 << 20);
	struct log_entry e;
	int rc = a == NULL ? error_set(err, -ENOMEM, "no memory") :
	    store_log_get(s, verdict_id, a, &e, err);

	if (rc == 0)
		memcpy(ret_message, e.message, MESSAGE_IDENTITY_BYTES);
	arena_free(a);
	return rc;
}

struct failed {
	const char *source, *why;
	int64_t now;
};

static int
failed_call(struct store *s, sqlite3 *db, void *context, struct error *err)
{
	struct failed *f = context;
	struct query q = query_begin(db, "INSERT INTO"
	    " learning(source,failed,last_failed,why) VALUES(?1,1,?2,?3)"
	    " ON CONFLICT(source) DO UPDATE SET failed=failed+1,"
	    "last_failed=?2,why=?3");
	int rc;

	(void)s;
	if (q.rc == SQLITE_OK) {
		sqlite3_bind_text(q.st, 1, f->source, -1, SQLITE_STATIC);
		sqlite3_bind_int64(q.st, 2, f->now);
		sqlite3_bind_text(q.st, 3, f->why, -1, SQLITE_STATIC);
	}
	rc = query_run(&q);
	return rc == SQLITE_OK ? 0 : store_error(err, db, rc, "cannot note");
}

void
store_learning_failed(struct store *s, const char *source, const char *why,
    int64_t now)
{
	struct failed f = { source, why, now };
	struct error err;

	store_call(s, failed_call, &f, &err);
}

int
store_learning_list(struct store *s, struct arena *a,
    struct learning **ret_list, size_t *ret_count, struct error *err)
{
	enum { MAX_SOURCES = 100 };
	struct learning *list = ARENA_ARRAY(a, MAX_SOURCES, struct learning);
	struct reader *r;
	struct query q;
	size_t n = 0;
	int code, rc = reader_acquire(s, &r, err);

	if (rc != 0)
		return rc;
	q = query_begin(r->db, "SELECT source,why,learned,last_learned,failed,"
	    "last_failed FROM learning ORDER BY source LIMIT 100");
	while (list != NULL && n < MAX_SOURCES && query_row(&q)) {
		struct learning *l = &list[n++];

		l->source = arena_memdup(a, sqlite3_column_text(q.st, 0),
		    (size_t)sqlite3_column_bytes(q.st, 0));
		l->why = arena_memdup(a, sqlite3_column_text(q.st, 1),
		    (size_t)sqlite3_column_bytes(q.st, 1));
		l->learned = sqlite3_column_int64(q.st, 2);
		l->last_learned = sqlite3_column_int64(q.st, 3);
		l->failed = sqlite3_column_int64(q.st, 4);
		l->last_failed = sqlite3_column_int64(q.st, 5);
		if (l->source == NULL || l->why == NULL)
			list = NULL;
	}
	code = query_end(&q);
	rc = reader_release(s, r, code, err);
	if (rc == 0 && list == NULL)
		rc = error_set(err, -ENOMEM, "no memory");
	if (rc == 0) {
		*ret_list = list;
		*ret_count = n;
	}
	return rc;
}
