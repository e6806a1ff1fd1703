#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/admin.h"
#include "db/internal.h"
#include "db/query.h"
#include "db/schema.h"

enum { MAX_COLUMNS = 20, MAX_LINE = 8 << 20 };

/* All that is worth keeping; NULL ends it. */
static const char *const tables[] = { "reputation", "greylist", "verdict",
	"verdict_address", "label", "label_identity", "learning",
	"correspondent", "lesson", "lesson_gone", "lesson_folded",
	"shadow_set", "shadow", "message_sample", NULL };

static int
open_file(const char *path, sqlite3 **ret_db, struct error *err)
{
	int rc;

	if (access(path, F_OK) != 0)
		return error_set(err, -errno, "cannot open \"%s\": %s", path,
		    strerror(errno));
	rc = sqlite3_open_v2(path, ret_db,
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(*ret_db, 5000);
		sqlite3_db_config(*ret_db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		sqlite3_db_config(*ret_db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		rc = sqlite3_exec(*ret_db, "PRAGMA query_only=1", NULL, NULL, NULL);
	}
	if (rc == SQLITE_OK)
		return 0;
	rc = store_error(err, *ret_db, rc, "cannot open the database");
	sqlite3_close(*ret_db);
	return rc;
}

/* A file too damaged to say is taken for one of this version. */
static int
check_version(const char *path, sqlite3 *db, struct error *err)
{
	struct query q = query_begin(db, "PRAGMA user_version");
	int version = query_row(&q) ? sqlite3_column_int(q.st, 0) :
	    schema_version;

	query_end(&q);
	return version == schema_version ? 0 : error_set(err, -EINVAL,
	    "\"%s\" is of version %d, not %d: the daemon, or any command that "
	    "writes, brings up an older one", path, version, schema_version);
}

int
store_check(const char *path, store_check_fn *fn, void *context,
    struct error *err)
{
	sqlite3 *db;
	struct query q;
	bool sound = true;
	int rc = open_file(path, &db, err), code;

	if (rc != 0)
		return rc;
	q = query_begin(db, "PRAGMA integrity_check(100)");
	while (query_row(&q)) {
		const char *text = (const char *)sqlite3_column_text(q.st, 0);

		if (text != NULL && strcmp(text, "ok") == 0)
			continue;
		sound = false;
		fn(context, text != NULL ? text : "?");
	}
	code = query_end(&q);
	if (code == SQLITE_OK && sound)
		rc = check_version(path, db, err);
	/* each record must be one */
	q = query_begin(db, "SELECT count(*) FROM reputation"
	    " WHERE length(counts) NOT IN (20,28,48)");
	if (code == SQLITE_OK && sound && rc == 0 && query_row(&q) &&
	    sqlite3_column_int64(q.st, 0) != 0) {
		fn(context, "records in table reputation that are none");
		sound = false;
	}
	query_end(&q);
	if (code != SQLITE_OK)
		rc = store_error(err, db, code, "cannot check");
	else if (!sound)
		rc = error_set(err, -EBADMSG, "\"%s\" is not sound", path);
	sqlite3_close(db);
	return rc;
}

int
store_backup(const char *path, const char *to, struct error *err)
{
	sqlite3 *db;
	int rc = open_file(path, &db, err), code;

	if (rc != 0)
		return rc;
	code = file_backup(db, to);
	if (code != SQLITE_OK)
		rc = error_set(err, code == SQLITE_CANTOPEN ? -EACCES : -EIO,
		    "cannot write \"%s\": %s", to, sqlite3_errstr(code));
	sqlite3_close(db);
	return rc;
}

static json_t *
hex_json(const unsigned char *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	char *text = malloc(2 * n + 1);
	json_t *j;

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[p[i] >> 4];
		text[2 * i + 1] = digits[p[i] & 15];
	}
	text[2 * n] = '\0';
	j = json_pack("{s:s%}", "hex", text, 2 * n);
	free(text);
	return j;
}

static json_t *
column_json(sqlite3_stmt *st, int i)
{
	switch (sqlite3_column_type(st, i)) {
	case SQLITE_INTEGER:
		return json_integer(sqlite3_column_int64(st, i));
	case SQLITE_FLOAT:
		return json_real(sqlite3_column_double(st, i));
	case SQLITE_TEXT: {
		json_t *j = json_stringn((const char *)sqlite3_column_text(st, i),
		    (size_t)sqlite3_column_bytes(st, i));

		/* bytes that are not UTF-8 must survive too */
		return j != NULL ? j : hex_json(sqlite3_column_blob(st, i),
		    (size_t)sqlite3_column_bytes(st, i));
	}
	case SQLITE_BLOB:
		return hex_json(sqlite3_column_blob(st, i),
		    (size_t)sqlite3_column_bytes(st, i));
	default:
		return json_null();
	}
}

static int
write_line(FILE *out, json_t *j)
{
	int rc = j == NULL ? -ENOMEM :
	    json_dumpf(j, out, JSON_COMPACT | JSON_REAL_PRECISION(17)) != 0 ||
	    putc('\n', out) == EOF ? -EIO : 0;

	json_decref(j);
	return rc;
}

static int
export_table(sqlite3 *db, const char *table, FILE *out)
{
	char sql[100];
	struct query q;
	int rc = 0, code;

	snprintf(sql, sizeof(sql), "SELECT * FROM %s", table);
	q = query_begin(db, sql);
	while (rc == 0 && query_row(&q)) {
		json_t *row = json_array();

		for (int i = 0; i < sqlite3_column_count(q.st); i++)
			json_array_append_new(row, column_json(q.st, i));
		rc = write_line(out, json_pack("{s:s, s:o}", "table", table, "row",
		    row));
	}
	code = query_end(&q);
	return rc != 0 ? rc : code == SQLITE_OK ? 0 : -EBADMSG;
}

int
store_export(const char *path, FILE *out, struct error *err)
{
	char damaged[300] = "";
	sqlite3 *db;
	int rc = open_file(path, &db, err);

	if (rc != 0)
		return rc;
	/* or nobody could read it in */
	rc = check_version(path, db, err);
	if (rc != 0) {
		sqlite3_close(db);
		return rc;
	}
	/* one snapshot of all tables */
	sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
	rc = write_line(out, json_pack("{s:i}", "spamscore_db", schema_version));
	for (size_t i = 0; rc == 0 && tables[i] != NULL; i++) {
		rc = export_table(db, tables[i], out);
		/* of a damaged file, all that can be read */
		if (rc == -EBADMSG) {
			snprintf(damaged + strlen(damaged),
			    sizeof(damaged) - strlen(damaged), " %s", tables[i]);
			rc = 0;
		}
	}
	if (rc == 0 && fflush(out) != 0)
		rc = -EIO;
	if (rc == 0 && damaged[0] != '\0')
		rc = error_set(err, -EBADMSG, "\"%s\" is damaged, rows are missing "
		    "from%s", path, damaged);
	else if (rc != 0)
		error_set(err, rc, "cannot write out \"%s\": %s", path,
		    rc == -EIO ? strerror(errno) : rc == -ENOMEM ? "no memory" :
		    sqlite3_errmsg(db));
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(db);
	return rc;
}

struct importing {
	FILE *in;
	size_t rows, line;
	sqlite3_stmt *statements[sizeof(tables) / sizeof(tables[0])];
};

static int
hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' :
	    c >= 'a' && c <= 'f'	 ? c - 'a' + 10 :
					   -1;
}

static int
bind_hex(sqlite3_stmt *st, int i, const json_t *value)
{
	const json_t *hex = json_object_get(value, "hex");
	const char *text = json_string_value(hex);
	size_t n = json_string_length(hex);
	unsigned char *p;

	if (text == NULL || n % 2 != 0 || n > MAX_LINE)
		return SQLITE_MISMATCH;
	p = sqlite3_malloc64(n / 2 + 1);
	if (p == NULL)
		return SQLITE_NOMEM;
	for (size_t k = 0; k < n; k += 2) {
		int high = hex_digit(text[k]), low = hex_digit(text[k + 1]);

		if (high < 0 || low < 0) {
			sqlite3_free(p);
			return SQLITE_MISMATCH;
		}
		p[k / 2] = (unsigned char)(high << 4 | low);
	}
	return sqlite3_bind_blob64(st, i, p, n / 2, sqlite3_free);
}

static int
bind_json(sqlite3_stmt *st, int i, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_INTEGER:
		return sqlite3_bind_int64(st, i, json_integer_value(value));
	case JSON_REAL:
		return sqlite3_bind_double(st, i, json_real_value(value));
	case JSON_STRING:
		return sqlite3_bind_text64(st, i, json_string_value(value),
		    json_string_length(value), SQLITE_TRANSIENT, SQLITE_UTF8);
	case JSON_OBJECT:
		return bind_hex(st, i, value);
	default:
		return SQLITE_MISMATCH;
	}
}

/* The statement that takes a row of this table; NULL: no such table. */
static sqlite3_stmt *
statement_for(struct importing *im, sqlite3 *db, const char *table)
{
	char sql[300];
	int columns = 0;
	struct query q;

	for (size_t i = 0; table != NULL && tables[i] != NULL; i++) {
		if (strcmp(tables[i], table) != 0)
			continue;
		if (im->statements[i] != NULL)
			return im->statements[i];
		snprintf(sql, sizeof(sql), "SELECT * FROM %s LIMIT 0", table);
		q = query_begin(db, sql);
		if (q.rc == SQLITE_OK)
			columns = sqlite3_column_count(q.st);
		query_end(&q);
		snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO %s VALUES(?1",
		    table);
		for (int k = 2; k <= columns; k++)
			snprintf(sql + strlen(sql), sizeof(sql) - strlen(sql),
			    ",?%d", k);
		strcat(sql, ")");
		sqlite3_prepare_v2(db, sql, -1, &im->statements[i], NULL);
		return im->statements[i];
	}
	return NULL;
}

static int
import_line(struct importing *im, sqlite3 *db, const char *line, size_t n,
    struct error *err)
{
	json_t *j = json_loadb(line, n, 0, NULL);
	const json_t *row = json_object_get(j, "row"), *version;
	sqlite3_stmt *st;
	int rc = SQLITE_OK;

	if (im->line == 1) {
		version = json_object_get(j, "spamscore_db");
		if (!json_is_integer(version) ||
		    json_integer_value(version) != schema_version)
			rc = error_set(err, -EINVAL, "line 1: not an export of a "
			    "version %d database", schema_version);
		json_decref(j);
		return rc;
	}
	st = statement_for(im, db, json_string_value(json_object_get(j, "table")));
	if (st == NULL || !json_is_array(row) ||
	    (int)json_array_size(row) != sqlite3_bind_parameter_count(st))
		rc = SQLITE_MISMATCH;
	for (size_t i = 0; rc == SQLITE_OK && i < json_array_size(row); i++)
		rc = bind_json(st, (int)i + 1, json_array_get(row, i));
	if (rc == SQLITE_OK)
		rc = writer_step(st);
	json_decref(j);
	im->rows++;
	if (rc == SQLITE_OK)
		return 0;
	if (rc == SQLITE_MISMATCH || (rc & 0xFF) == SQLITE_CONSTRAINT)
		return error_set(err, -EINVAL, "line %zu: not a row of a table",
		    im->line);
	return store_error(err, db, rc, "cannot import");
}

static int
import_call(struct store *s, sqlite3 *db, void *context, struct error *err)
{
	struct importing *im = context;
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = getline(&line, &size, im->in)) > 0) {
		im->line++;
		rc = n > MAX_LINE ? error_set(err, -EINVAL,
		    "line %zu is too long", im->line) :
		    import_line(im, db, line, (size_t)n, err);
	}
	if (rc == 0 && ferror(im->in))
		rc = error_set(err, -EIO, "cannot read");
	if (rc == 0 && im->line == 0)
		rc = error_set(err, -EINVAL, "nothing to import");
	free(line);
	for (size_t i = 0; tables[i] != NULL; i++)
		sqlite3_finalize(im->statements[i]);
	s->writer.log_counted = false;
	return rc;
}

int
store_import(struct store *s, FILE *in, size_t *ret_rows, struct error *err)
{
	struct importing im = { .in = in };
	int rc = store_call(s, import_call, &im, err);

	if (rc == 0)
		*ret_rows = im.rows;
	return rc;
}
