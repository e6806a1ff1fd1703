/*
 * internal - what the files of db/ share: the store's struct, the writer's
 * operations, the pool of readers, faults. Not for other rooms.
 *
 * Threads: the writer thread alone touches `writer`; everything else in
 * struct store is under `lock`. A reader belongs to whoever acquired it.
 */
#ifndef DB_INTERNAL_H
#define DB_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "db/counts.h"
#include "db/store.h"

enum {
	STORE_MAX_READERS = 8,
	STORE_BATCH_OPS = 8192,	   /* operations in one transaction */
	STORE_LINGER_MS = 100,	   /* an update waits for company this long */
	STORE_RETRY_MS = 500,	   /* between attempts while there is a fault */
	STORE_TICK_MS = 2000,	   /* upkeep: expiry, is the file still there */
	STORE_EXPIRE_ROWS = 2000,  /* looked at by one step of upkeep */
	STORE_WAL_PAGES = 8000,	   /* then the WAL goes into the database */
	STORE_DEFAULT_QUEUE = 65536,
	STORE_DEFAULT_BUSY_MS = 100,
	STORE_STORED_KEY = IDENTITY_KEY_BYTES + 1,
	GREYLIST_KEY_BYTES = 16,
	ADDRESS_KEY_BYTES = 16,
	SECRET_BYTES = 32,
	STORE_ROUND_MS = 600000, /* from one full expiry to the next */
	/* RFC 6647 5: forget a client that never came back, and one that
	 * passed but was not seen for a good month */
	GREYLIST_PENDING_SEC = 2 * 86400,
	GREYLIST_PASSED_SEC = 36 * 86400,
};

enum fault {
	FAULT_LOCKED, FAULT_FULL, FAULT_READ_ONLY, FAULT_IO, FAULT_CORRUPT,
	FAULT_GONE, FAULT_MEMORY, FAULT_VERSION, FAULT_QUEUE, FAULTS
};

/* who meets a fault: it has healed when that side works again */
enum side { SIDE_WRITE, SIDE_READ, SIDES };

enum op_kind {
	OP_REPUTATION, OP_GREYLIST, OP_CORRESPONDENT, OP_LOG, OP_LESSON, OP_SAMPLE,
	OP_SHADOW, /* behind the verdict that it belongs to */
	OP_CALL
};

/* Runs inside a transaction of its own on the writer thread; a negative
 * return (an SQLite code is mapped by store_error) rolls it back. */
typedef int store_call_fn(struct store *s, sqlite3 *db, void *context,
    struct error *err);

struct call {
	store_call_fn *fn;
	void *context;
	int rc;
	struct error *err;
	bool done;
};

struct op {
	struct op *next;
	enum op_kind kind;
	uint64_t seq;
	struct call *call; /* OP_CALL */
	int64_t now;
	bool passed;	   /* OP_GREYLIST */
	struct counts counts; /* OP_REPUTATION */
	size_t key_len;
	char *key;	   /* in the same allocation */
};

struct file_id {
	dev_t dev;
	ino_t ino;
};

struct writer {
	sqlite3 *db;
	struct file_id file;
	sqlite3_stmt *begin, *commit, *rollback;
	sqlite3_stmt *reputation_put, *greylist_put;
	sqlite3_stmt *log_put, *log_address_put;
	sqlite3_stmt *shadow_put, *shadow_set_put;
	int wal_pages; /* not yet in the database */
	bool wants_truncate; /* erased text must not stay in the WAL */
	bool log_counted;
	int64_t log_bytes;
	/* upkeep: where the scan for expired rows goes on */
	char cursor[STORE_STORED_KEY];
	size_t cursor_len;
	int64_t next_round_ms; /* monotonic */
};

struct reader {
	struct reader *next;
	sqlite3 *db;
	struct file_id file;
	sqlite3_stmt *begin, *end;
	sqlite3_stmt *reputation_get, *reputation_scan, *greylist_get;
	sqlite3_stmt *correspondent_get;
};

struct store {
	char *path, *lock_path;
	enum store_mode mode;
	size_t max_queue;
	int busy_ms;
	void (*fault)(void *context, const char *text);
	void *fault_context;
	int lock_fd;

	pthread_mutex_t lock;
	pthread_cond_t wake;	    /* the writer: work, or stop */
	pthread_cond_t done;	    /* flush and calls: something was finished */
	pthread_cond_t reader_free;
	pthread_t thread;
	bool thread_runs;
	struct op *first, **last;   /* waiting, in order */
	size_t queued;		    /* waiting or being written */
	uint64_t seq, seq_done;	    /* given out, finished */
	uint64_t attempts_failed;   /* flush must not wait for ever */
	bool stop, urgent, file_gone, saw_corrupt;
	uint64_t dropped;	    /* updates lost since the last fault began */
	int64_t log_age, log_size;  /* limits of the verdict log */
	int64_t sample_age;	    /* of samples of messages judged */
	bool sample_limited;	    /* somebody has said so */
	int64_t clock;		    /* the last `now` of a caller */
	unsigned faults[SIDES];	    /* bits of enum fault */
	struct reader *idle;
	unsigned readers;	    /* open, idle or in use */

	atomic_bool keyed; /* addresses among the identities are hashes */
	unsigned char secret[SECRET_BYTES]; /* set once, in store_open() */
	struct op **batch; /* the writer's, STORE_BATCH_OPS of them */
	struct writer writer;
};

/* fault.c */
enum fault fault_of(int sqlite_code, sqlite3 *db);
/* Tells the callback unless the same fault is known on either side. */
void fault_raise(struct store *s, enum side side, enum fault f,
    const char *detail);
void fault_heal(struct store *s, enum side side);
/* A negative errno and a text for what SQLite said. */
int store_error(struct error *err, sqlite3 *db, int sqlite_code,
    const char *what);

/* file.c */
int file_lock(struct store *s, struct error *err);
/* Opens for writing: creates, moves a corrupt file aside, migrates. Returns
 * an SQLite code; SQLITE_OK leaves *ret_db open with pragmas set. */
int file_open_writer(struct store *s, sqlite3 **ret_db,
    struct file_id *ret_file, enum fault *ret_fault);
int file_open_reader(struct store *s, sqlite3 **ret_db,
    struct file_id *ret_file);
bool file_identify(const char *path, struct file_id *ret_file);
bool file_same(const struct file_id *a, const struct file_id *b);
/* NAME.corrupt-TIME with its WAL; the new name for the log. */
int file_move_aside(struct store *s, char *ret_name, size_t size);
int file_backup(sqlite3 *db, const char *to);
/* SQLITE_OK, SQLITE_CORRUPT, or why it cannot be said */
int file_check(sqlite3 *db);

/* As root: the owner of the folder shall own it, or else the daemon could
 * not use what the command made. */
void file_give_to_owner(int fd, const char *path);

/* secret.c */
void secret_load(struct store *s);
void secret_hash(struct store *s, const char *address,
    unsigned char out[ADDRESS_KEY_BYTES]);

/* keyed.c */
/* A stored key as it has to be now; out may be stored. Returns its length. */
size_t identity_keyed(struct store *s, const char *stored, size_t n,
    char out[STORE_STORED_KEY]);
/* What the file says, into s->keyed; and the other way. */
void keyed_read(struct store *s, sqlite3 *db);
int keyed_write(struct store *s, sqlite3 *db);

/* writer.c */
/* Steps to the end and resets. */
int writer_step(sqlite3_stmt *st);
/* Zeroed, with room for a key; NULL: no memory. */
struct op *op_new(enum op_kind kind, size_t key_len);
void *writer_main(void *store);
bool writer_open(struct store *s);
void writer_close(struct store *s);
void writer_corrupt(struct store *s);
/* Appends; takes the op. A full queue drops it (calls are never dropped). */
void writer_queue(struct store *s, struct op *op);
/* Runs fn on the writer thread, on disk when it returns. fn's result, or
 * -EAGAIN when the database is not available, -EROFS in STORE_READ. */
int store_call(struct store *s, store_call_fn *fn, void *context,
    struct error *err);

/* reader.c: 0 or -EAGAIN */
int reader_acquire(struct store *s, struct reader **ret_reader,
    struct error *err);
/* code: the last SQLite code met; a bad one closes the reader */
int reader_release(struct store *s, struct reader *r, int code,
    struct error *err);
void reader_close_all(struct store *s);

/* reputation.c, greylist.c: the writer's side of each table */
int reputation_apply(struct writer *w, const struct op *op,
    const struct counts *counts);
int greylist_apply(struct writer *w, const struct op *op);
size_t identity_store_key(struct store *s, const struct identity *id,
    char out[STORE_STORED_KEY]);
void greylist_store_key(const char *key, unsigned char out[GREYLIST_KEY_BYTES]);
/* One step of expiry; an SQLite code. */
int expire_step(struct store *s, int64_t now);
int log_apply(struct writer *w, const struct op *op);
int shadow_apply(struct writer *w, const struct op *op);
int log_expire(struct writer *w, int64_t now, int64_t age, int64_t size);
int correspondent_apply(struct writer *w, const struct op *op);
int lesson_apply(struct writer *w, const struct op *op);
int sample_apply(struct writer *w, const struct op *op);
int sample_expire(struct store *s, int64_t now);

#endif
