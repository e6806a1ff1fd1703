/*
 * A database of each earlier version is brought up to this one: all that was in
 * it is still there and means the same, a copy of it as it was lies beside, and
 * the result is the very schema that a new file gets. Whatever stops it half way
 * (a kill, no room, a step that fails) leaves the old version whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "db/admin.h"
#include "db/schema.h"
#include "db/shadow.h"
#include "t/scratch.h"
#include "t/tap.h"

#define T0 INT64_C(1700000000)
#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

enum { MAIL = 40 };

static char donor[96], made[96], path[96];
static char said[2000];
static struct arena *arena;
static struct error err;

static void
hear(void *context, const char *text)
{
	(void)context;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
}

static struct store *
open_store(const char *file, enum store_mode mode)
{
	struct store_options o = { .path = file, .mode = mode, .fault = hear,
		.busy_ms = 5000 };
	struct store *s = NULL;

	said[0] = '\0';
	if (store_open(&o, &s, &err) != 0)
		printf("# %s\n", err.text);
	return s;
}

static sqlite3 *
open_file(const char *file)
{
	sqlite3 *db;

	if (sqlite3_open(file, &db) != SQLITE_OK)
		abort();
	return db;
}

static void
must(sqlite3 *db, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) == SQLITE_OK)
		return;
	printf("Bail out! %s: %s\n", sql, why);
	exit(1);
}

/* All rows of a query as text */
static const char *
rows(const char *file, const char *sql, struct buf *out)
{
	sqlite3 *db = open_file(file);
	sqlite3_stmt *st;

	buf_reset(out);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) {
		buf_printf(out, "%s", sqlite3_errmsg(db));
	} else {
		while (sqlite3_step(st) == SQLITE_ROW) {
			for (int i = 0; i < sqlite3_column_count(st); i++)
				buf_printf(out, "%s%s", i > 0 ? "|" : "",
				    (const char *)sqlite3_column_text(st, i));
			buf_printf(out, "\n");
		}
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	return out->ptr;
}

static int
number(const char *file, const char *sql)
{
	struct buf out;
	int n;

	buf_init(&out, 1 << 20);
	n = atoi(rows(file, sql, &out));
	buf_done(&out);
	return n;
}

static void
message_of(int i, unsigned char out[MESSAGE_IDENTITY_BYTES])
{
	memset(out, i, MESSAGE_IDENTITY_BYTES);
}

static void
say(struct store *s, int i, enum label_class class, const char *user)
{
	struct label_request r = { .class = class, .user = user,
		.source = "test", .weight = 1, .now = T0 + i,
		.sample = SPAN_LIT("what the model may know of it") };
	struct label_result result;

	message_of(i, r.message);
	if (store_label(s, &r, NULL, NULL, &result, &err) != 0)
		tap_ok(false, "label %d: %s", i, err.text);
}

/* Something in every table, by the doors that write it */
static void
donor_make(void)
{
	struct store *s = open_store(donor, STORE_WRITE);
	struct shadow_said shadow = { "candidate", HASH, 1, 2, 7.5 };

	store_sample_limit(s, 86400);
	for (int i = 1; i <= MAIL; i++) {
		struct identity ids[2] = { { IDENTITY_DKIM_ALIGNED, NULL },
			{ IDENTITY_NET, "192.0.2.0/24" } };
		const char *addresses[1] = { "ann@example.org" };
		char domain[40], id[20];
		struct log_entry e = { .time = T0 + i, .action = 1,
			.score = 6.5, .mail_from = "ann@example.org",
			.queue_id = "4XYZ", .ids = ids, .id_count = 2,
			.ham = 0.2, .addresses = addresses, .address_count = 1,
			.record = SPAN_LIT("{\"score\":6.5}") };

		snprintf(domain, sizeof(domain), "d%d.example", i % 7);
		snprintf(id, sizeof(id), "v%d", i);
		ids[0].key = domain;
		e.id = id;
		message_of(i, e.message);
		store_reputation_add(s, ids, 2, 0.2, 0, "ann@example.org", T0 + i);
		store_log_put(s, &e);
		store_shadow_put(s, id, &shadow, 1, T0 + i);
		store_sample_put(s, e.message, SPAN_LIT("a sample"), T0 + i);
		store_greylist_put(s, domain, i % 2 == 0, T0 + i);
		store_correspondent_add(s, "me", domain, T0 + i);
	}
	store_flush(s, &err);
	for (int i = 1; i <= MAIL / 2; i++)
		say(s, i, i % 2 ? LABEL_SPAM : LABEL_HAM, i % 3 ? "ann" : "bob");
	say(s, 5, LABEL_NONE, "ann");
	store_learning_failed(s, "imap", "no room", T0);
	store_close(s);
}

static void
copy(const char *from, const char *to, const char *tail)
{
	char command[300];

	snprintf(command, sizeof(command), "cp %s%s %s%s", from, tail, to, tail);
	if (system(command) != 0)
		abort();
}

/* The tables of the old file, filled with what the donor has in them */
static void
fill(sqlite3 *db)
{
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(db, "SELECT name,(SELECT group_concat(name)"
	    " FROM pragma_table_info(m.name)) FROM main.sqlite_master m"
	    " WHERE type='table' AND name NOT LIKE 'sqlite_%'", -1, &st, NULL) !=
	    SQLITE_OK)
		abort();
	while (sqlite3_step(st) == SQLITE_ROW) {
		const char *table = (const char *)sqlite3_column_text(st, 0);
		const char *columns = (const char *)sqlite3_column_text(st, 1);
		char sql[600];

		/* once one row: the last that was taken back */
		if (strcmp(columns, "one,event") == 0 &&
		    strcmp(table, "lesson_gone") == 0)
			snprintf(sql, sizeof(sql), "INSERT INTO main.lesson_gone"
			    " SELECT 1,max(event) FROM donor.lesson_gone");
		else
			snprintf(sql, sizeof(sql), "INSERT INTO main.%s(%s)"
			    " SELECT %s FROM donor.%s", table, columns, columns,
			    table);
		must(db, sql);
	}
	sqlite3_finalize(st);
}

/* What a daemon of that version leaves when it is killed: part of it is still
 * in the WAL. */
static void
old_make(int version)
{
	static const char *const tails[] = { "", "-wal" };
	char sql[200];
	sqlite3 *db;

	snprintf(sql, sizeof(sql), "rm -f %s* %s*", made, path);
	if (system(sql) != 0)
		abort();
	db = open_file(made);
	must(db, "PRAGMA journal_mode=WAL;PRAGMA wal_autocheckpoint=0");
	for (int v = 0; v < version; v++)
		must(db, schema_steps[v]);
	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", version);
	must(db, sql);
	must(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	snprintf(sql, sizeof(sql), "ATTACH '%s' AS donor", donor);
	must(db, sql);
	fill(db);
	for (size_t i = 0; i < 2; i++)
		copy(made, path, tails[i]);
	sqlite3_close(db);
}

/* Of each table that the old file had, the rows as they must be now */
static void
compare(int version)
{
	struct buf want, got, sql;
	sqlite3 *db = open_file(donor);
	sqlite3_stmt *st;

	buf_init(&want, 4 << 20);
	buf_init(&got, 4 << 20);
	buf_init(&sql, 4096);
	if (sqlite3_prepare_v2(db, "SELECT name,(SELECT group_concat("
	    "'quote('||name||')') FROM pragma_table_info(m.name)) FROM"
	    " sqlite_master m WHERE type='table' AND name NOT LIKE 'sqlite_%'"
	    " AND name<>'lesson_gone' ORDER BY name", -1, &st, NULL) != SQLITE_OK)
		abort();
	while (sqlite3_step(st) == SQLITE_ROW) {
		const char *table = (const char *)sqlite3_column_text(st, 0);
		char there[200];

		snprintf(there, sizeof(there), "SELECT count(*) FROM sqlite_master"
		    " WHERE type='table' AND name='%s'", table);
		buf_reset(&sql);
		buf_printf(&sql, "SELECT %s FROM %s ORDER BY 1,2",
		    (const char *)sqlite3_column_text(st, 1), table);
		rows(donor, sql.ptr, &want);
		/* version 5 asks where a lesson came from; before, nobody noted */
		if (strcmp(table, "lesson") == 0 && version < 5)
			rows(donor, "SELECT quote(event),quote(message),quote(spam),"
			    "quote(weight),quote(sample),quote((SELECT max(time) FROM"
			    " label WHERE label.message=lesson.message)),''''''"
			    " FROM lesson ORDER BY 1,2", &want);
		if (number(made, there) == 0)
			buf_reset(&want);
		rows(path, sql.ptr, &got);
		if (!tap_ok(got.len == want.len &&
		    memcmp(got.ptr, want.ptr, got.len) == 0,
		    "version %d: table %s, %s", version, table,
		    want.len > 0 ? "all rows" : "empty"))
			printf("# got %zu bytes, want %zu\n", got.len, want.len);
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	rows(donor, "SELECT type,name,sql FROM sqlite_master ORDER BY 1,2", &want);
	rows(path, "SELECT type,name,sql FROM sqlite_master ORDER BY 1,2", &got);
	tap_is_str(got.ptr, want.ptr, "the schema of a new file");
	buf_done(&want);
	buf_done(&got);
	buf_done(&sql);
}

static int
count_one(void *context, const struct lesson *l)
{
	(void)l;
	++*(int *)context;
	return 0;
}

static double
ham_of(struct store *s, const char *domain)
{
	struct identity id = { IDENTITY_DKIM_ALIGNED, domain };
	struct reputation_row *row;

	if (store_reputation_get(s, &id, 1, T0 + MAIL, arena, &row, &err) != 0)
		return -1;
	return row[0].ham;
}

/* What was said can be taken back, what is new has its place */
static void
use(struct store *s, int version)
{
	struct shadow_said shadow = { "later", HASH, 0, 1, 2 };
	struct lessons_state state, after;
	struct log_entry e;
	int64_t first;
	bool passed;
	double before;
	int lessons = 0, want = version >= 3 ? MAIL / 2 - 1 : 0;

	store_greylist_get(s, "d2.example", T0 + MAIL, &first, &passed, &err);
	tap_ok(first == T0 + 2 && passed, "the greylist knows it");
	store_lessons(s, 0, count_one, &lessons, &err);
	tap_is_int(lessons, want, "the lessons");
	if (store_lessons_state(s, &state, &err) != 0)
		tap_ok(false, "%s", err.text);
	/* which lessons were taken back the old file did not say */
	tap_is_int((int)state.gone, version < 3 ? 0 : version < 5 ? 1 : 5,
	    "from where the model must be built again");
	if (version < 2)
		return;
	tap_ok(store_log_get(s, "v7", arena, &e, &err) == 0 &&
	    span_is(e.record, "{\"score\":6.5}"), "the log has its text");
	before = ham_of(s, "d4.example");
	say(s, 4, LABEL_NONE, "ann");
	tap_ok(ham_of(s, "d4.example") < before - 0.5, "a label is taken back");
	say(s, 4, LABEL_HAM, "ann");
	tap_is_double(ham_of(s, "d4.example"), before, "and given again");
	store_lessons_state(s, &after, &err);
	tap_ok(after.last > state.last, "new lessons come after the old ones");
	store_shadow_put(s, "v7", &shadow, 1, T0);
	tap_is_int(store_flush(s, &err), 0, "what is new can be written");
}

static void
test_versions(void)
{
	struct buf want, got;
	char bak[120];

	buf_init(&want, 4 << 20);
	buf_init(&got, 4 << 20);
	for (int v = 1; v < schema_version; v++) {
		struct store *s;

		printf("# version %d\n", v);
		old_make(v);
		s = open_store(path, STORE_READ);
		tap_ok(s == NULL && strstr(err.text, "version") != NULL,
		    "who may only read says what is wrong");
		store_close(s);
		tap_is_int(store_export(path, stderr, &err), -EINVAL,
		    "nor is it written out as what it is not");
		tap_is_int(store_check(path, NULL, NULL, &err), -EINVAL,
		    "nor called damaged");
		s = open_store(path, STORE_WRITE);
		tap_is_str(said, "", "nothing is complained of");
		store_close(s);
		tap_is_int(number(path, "PRAGMA user_version"), schema_version,
		    "the file is of this version");
		compare(v);
		snprintf(bak, sizeof(bak), "%s.v%d.bak", path, v);
		rows(made, "SELECT quote(identity),quote(counts) FROM reputation",
		    &want);
		rows(bak, "SELECT quote(identity),quote(counts) FROM reputation",
		    &got);
		tap_ok(number(bak, "PRAGMA user_version") == v && want.len > 0 &&
		    got.len == want.len && memcmp(got.ptr, want.ptr, got.len) == 0,
		    "the copy is what it was");
		s = open_store(path, STORE_WRITE);
		use(s, v);
		store_close(s);
		tap_is_int(store_check(path, NULL, NULL, &err), 0, "it is sound");
	}
	buf_done(&want);
	buf_done(&got);
}

/* A step that cannot be taken takes none of the others with it */
static void
test_failing_step(void)
{
	struct store *s;
	sqlite3 *db;

	old_make(3);
	db = open_file(path);
	must(db, "CREATE TABLE message_sample(not_ours)");
	sqlite3_close(db);
	s = open_store(path, STORE_WRITE);
	tap_ok(said[0] != '\0', "a step that fails is said");
	store_close(s);
	tap_is_int(number(path, "PRAGMA user_version"), 3,
	    "the file is what it was");
	tap_is_int(number(path, "SELECT count(*) FROM sqlite_master"
	    " WHERE name='shadow_set'"), 0, "without half of the steps");
	tap_is_int(number(path, "SELECT count(*) FROM label"), MAIL / 2 - 1,
	    "and with its labels");
	db = open_file(path);
	must(db, "DROP TABLE message_sample");
	sqlite3_close(db);
	s = open_store(path, STORE_WRITE);
	tap_is_str(said, "", "with the cause gone it is taken up");
	store_close(s);
	tap_is_int(number(path, "PRAGMA user_version"), schema_version,
	    "as it should");
}

/* Whatever the moment, the file is of the old version or of the new one,
 * with all of its rows, and can be taken up. */
static bool
interrupted(int v, int i, const char *how, rlim_t room, unsigned wait_us)
{
	pid_t pid;
	int status, version;
	struct store *s;

	old_make(v);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct rlimit limit = { room, room };

		if (room != RLIM_INFINITY) {
			signal(SIGXFSZ, SIG_IGN);
			setrlimit(RLIMIT_FSIZE, &limit);
		}
		store_close(open_store(path, STORE_WRITE));
		_exit(0);
	}
	if (room == RLIM_INFINITY) {
		usleep(wait_us);
		kill(pid, SIGKILL);
	}
	waitpid(pid, &status, 0);
	version = number(path, "PRAGMA user_version");
	if (version != v && version != schema_version)
		tap_ok(false, "%s %d: version %d", how, i, version);
	s = open_store(path, STORE_WRITE);
	if (s == NULL || said[0] != '\0')
		tap_ok(false, "%s %d: %s%s", how, i, said, err.text);
	store_close(s);
	if (number(path, "PRAGMA user_version") != schema_version ||
	    number(path, "SELECT count(*) FROM label") != MAIL / 2 - 1 ||
	    number(path, "SELECT count(*) FROM verdict") != MAIL)
		tap_ok(false, "%s %d: not all is there", how, i);
	return version == v;
}

static void
test_interrupted(void)
{
	int before = 0;

	for (int i = 0; i < 40; i++)
		before += interrupted(2 + i % 4, i, "killed", RLIM_INFINITY,
		    (unsigned)i * 400);
	tap_ok(before > 0, "killed at forty moments, %d of them before the end",
	    before);
	before = 0;
	for (int i = 0; i < 20; i++)
		before += interrupted(2 + i % 4, i, "no room", (rlim_t)i * 16384,
		    0);
	tap_ok(before > 0 && before < 20,
	    "twenty sizes of room, %d of them too small", before);
}

int
main(void)
{
	scratch_make();
	snprintf(donor, sizeof(donor), "%s/donor", scratch_dir);
	snprintf(made, sizeof(made), "%s/made", scratch_dir);
	snprintf(path, sizeof(path), "%s/db", scratch_dir);
	arena = arena_new(64 << 20);
	donor_make();
	test_versions();
	test_failing_step();
	test_interrupted();
	arena_free(arena);
	scratch_remove();
	return tap_done();
}
