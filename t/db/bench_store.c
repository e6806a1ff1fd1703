/*
 * The figures of the store: bytes an identity, lookups of one message among
 * ten million rows, updates beside four busy readers. Prints them, and is a
 * failure below the bars. Takes a folder with 2 GB free (TMPDIR).
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "db/counts.h"
#include "db/store.h"
#include "t/tap.h"

#define T0 INT64_C(1700000000)

static char dir[256], path[300];
static long rows_total = 10000000;

static uint64_t
mix(uint64_t x)
{
	x += 0x9E3779B97F4A7C15u;
	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
	return x ^ (x >> 31);
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The n-th identity of a mix as mail has it: keys of 9 to 35 bytes. */
static void
identity_at(uint64_t n, struct identity *id, char key[64])
{
	static const enum identity_kind kinds[] = { IDENTITY_ADDRESS,
		IDENTITY_DKIM_ALIGNED, IDENTITY_SPF, IDENTITY_HELO, IDENTITY_IP,
		IDENTITY_NET, IDENTITY_ADDRESS, IDENTITY_DKIM };
	uint64_t h = mix(n);
	unsigned a = (unsigned)(h >> 8 & 0xFF), b = (unsigned)(h >> 16 & 0xFF),
	    c = (unsigned)(h >> 24 & 0xFF), d = (unsigned)(h >> 32 & 0xFF);

	id->kind = kinds[n % 8];
	id->key = key;
	switch (id->kind) {
	case IDENTITY_ADDRESS:
		snprintf(key, 64, "user%x@mail%06x.example", (unsigned)(h >> 44),
		    (unsigned)(h & 0xFFFFFF));
		break;
	case IDENTITY_IP:
		snprintf(key, 64, "%u.%u.%u.%u", a, b, c, d);
		break;
	case IDENTITY_NET:
		snprintf(key, 64, "%u.%u.%u.0/24", a, b, c);
		break;
	default:
		snprintf(key, 64, "mail%07x.example",
		    (unsigned)(h >> 13 & 0xFFFFFFF));
	}
}

static int
compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Ten million rows at once, sorted, past the store's queue: what is measured
 * is reading. Records of the size that the store writes. */
static void
fill(void)
{
	static const char letters[IDENTITY_KINDS] = { 'd', 'o', 's', 'h', 'a',
		'i', 'n' };
	char **keys = calloc((size_t)rows_total, sizeof(*keys));
	struct counts c = { .spread = 0x8001 };
	unsigned char value[COUNTS_MAX_BYTES];
	sqlite3 *db;
	sqlite3_stmt *st;
	size_t n;

	if (keys == NULL || sqlite3_open(path, &db) != SQLITE_OK)
		abort();
	for (long i = 0; i < rows_total; i++) {
		struct identity id;
		char key[64], text[66];

		identity_at((uint64_t)i, &id, key);
		snprintf(text, sizeof(text), "%c%s", letters[id.kind], key);
		keys[i] = strdup(text);
	}
	qsort(keys, (size_t)rows_total, sizeof(*keys), compare_keys);
	tally_add(&c.seen, 3, 1, T0);
	n = counts_encode(&c, value);
	sqlite3_exec(db, "PRAGMA synchronous=OFF;PRAGMA wal_autocheckpoint=100000;"
	    "BEGIN", NULL, NULL, NULL);
	sqlite3_prepare_v2(db, "INSERT OR IGNORE INTO reputation VALUES(?1,?2)",
	    -1, &st, NULL);
	for (long i = 0; i < rows_total; i++) {
		sqlite3_bind_blob(st, 1, keys[i], (int)strlen(keys[i]),
		    SQLITE_STATIC);
		sqlite3_bind_blob(st, 2, value, (int)n, SQLITE_STATIC);
		if (sqlite3_step(st) != SQLITE_DONE)
			abort();
		sqlite3_reset(st);
		free(keys[i]);
	}
	sqlite3_finalize(st);
	sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	sqlite3_close(db);
	free(keys);
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
one_lookup(struct store *s, struct arena *a, uint64_t seed)
{
	struct identity ids[8];
	char keys[8][64];
	struct reputation_row *rows;
	struct error err;
	double begin;

	for (int k = 0; k < 8; k++)
		identity_at(mix(seed + (uint64_t)k) % (uint64_t)rows_total, &ids[k],
		    keys[k]);
	arena_reset(a);
	begin = seconds();
	if (store_reputation_get(s, ids, 8, T0, a, &rows, &err) != 0) {
		printf("# %s\n", err.text);
		return -1;
	}
	return seconds() - begin;
}

static void
bench_lookup(struct store *s)
{
	enum { N = 20000 };
	static double took[N];
	struct arena *a = arena_new(1 << 20);

	for (int i = 0; i < N; i++) /* warm: the bar is for a warm page cache */
		one_lookup(s, a, (uint64_t)i * 8);
	for (int i = 0; i < N; i++)
		took[i] = one_lookup(s, a, (uint64_t)i * 8);
	qsort(took, N, sizeof(took[0]), compare_doubles);
	printf("# 8 identities of %ld rows: median %.1f us, p99 %.1f us\n",
	    rows_total, took[N / 2] * 1e6, took[N / 100 * 99] * 1e6);
	tap_ok(took[N / 2] <= 150e-6, "lookups of one message in 150 us");
	arena_free(a);
}

static atomic_bool stop_reading;

struct reading {
	struct store *store;
	double *took;
	size_t count, alloc, failed;
	unsigned seed;
	long pause_us;
};

static void *
read_busily(void *arg)
{
	struct reading *r = arg;
	struct arena *a = arena_new(1 << 20);

	while (!atomic_load(&stop_reading) && r->count < r->alloc) {
		double t = one_lookup(r->store, a,
		    ((uint64_t)r->seed << 40) + r->count * 8);

		if (t < 0)
			r->failed++;
		else
			r->took[r->count++] = t;
		if (r->pause_us != 0)
			usleep((useconds_t)r->pause_us);
	}
	arena_free(a);
	return NULL;
}

/* pause_us 0: readers that do nothing else, four for two cores; what is
 * measured then is the scheduler as much as the store. */
static void
bench_updates(struct store *s, long pause_us, bool judge_it)
{
	enum { READERS = 4, MAX_READS = 2000000 };
	const double period = 15;
	struct reading reading[READERS] = { { 0 } };
	pthread_t threads[READERS];
	double begin, took, *all;
	size_t count = 0, failed = 0;
	uint64_t n = 0;
	struct error err;

	for (int i = 0; i < READERS; i++) {
		reading[i] = (struct reading){ .store = s, .alloc = MAX_READS, .pause_us = pause_us,
			.seed = (unsigned)i + 1,
			.took = calloc(MAX_READS, sizeof(double)) };
		pthread_create(&threads[i], NULL, read_busily, &reading[i]);
	}
	atomic_store(&stop_reading, false);
	begin = seconds();
	while (seconds() - begin < period) {
		for (int k = 0; k < 8192; k++, n++) {
			struct identity id;
			char key[64];

			identity_at(mix(n) % (uint64_t)rows_total, &id, key);
			store_reputation_add(s, &id, 1, 0.2, 0, NULL, T0 + 60);
		}
		if (store_flush(s, &err) != 0)
			printf("# %s\n", err.text);
	}
	took = seconds() - begin;
	atomic_store(&stop_reading, true);
	for (int i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		count += reading[i].count;
		failed += reading[i].failed;
	}
	all = calloc(count + 1, sizeof(double));
	for (size_t i = 0, at = 0; i < READERS; at += reading[i++].count)
		memcpy(all + at, reading[i].took,
		    reading[i].count * sizeof(double));
	qsort(all, count, sizeof(double), compare_doubles);
	printf("# %.0f updates/s beside 4 readers (pause %ld us, %.0f lookups/s, median %.0f us,"
	    " p99 %.0f us, %zu failed)\n", (double)n / took, pause_us, (double)count / took,
	    all[count / 2] * 1e6, all[count * 99 / 100] * 1e6, failed);
	if (judge_it) {
		tap_ok((double)n / took >= 15000, "15,000 updates a second");
		tap_ok(all[count * 99 / 100] <= 1e-3, "p99 of a read within 1 ms");
	}
	tap_is_int((long long)failed, 0, "no read failed");
	for (int i = 0; i < READERS; i++)
		free(reading[i].took);
	free(all);
}

/* Rows that came in any order, as in life: pages are half empty. */
static void
bench_size(struct store *s)
{
	enum { N = 500000 };
	struct error err;
	struct stat st;
	double begin = seconds();

	for (int i = 0; i < N; i++) {
		struct identity id;
		char key[64];

		identity_at((uint64_t)i, &id, key);
		store_reputation_add(s, &id, 1, 0.2, 0, key, T0);
		if (i % 8192 == 0)
			store_flush(s, &err);
	}
	store_flush(s, &err);
	printf("# %.0f first sights a second\n", N / (seconds() - begin));
	store_close(s);
	if (stat(path, &st) != 0)
		abort();
	printf("# %.1f bytes an identity\n", (double)st.st_size / N);
	tap_ok((double)st.st_size / N <= 100, "100 bytes an identity");
}

int
main(int argc, char **argv)
{
	struct store_options o = { .path = path, .mode = STORE_WRITE };
	const char *base = getenv("TMPDIR");
	struct store *s;
	struct error err;
	char command[400];

	if (argc > 1)
		rows_total = atol(argv[1]);
	snprintf(dir, sizeof(dir), "%s/spamscore-bench.XXXXXX",
	    base != NULL ? base : "/tmp");
	if (rows_total < 1000 || mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/state.db", dir);
	if (store_open(&o, &s, &err) != 0)
		return 1;
	bench_size(s);
	snprintf(command, sizeof(command), "rm -f %s/*", dir);
	if (system(command) != 0 || store_open(&o, &s, &err) != 0)
		return 1;
	store_close(s);
	fill();
	if (store_open(&o, &s, &err) != 0)
		return 1;
	bench_lookup(s);
	/* four threads of a daemon, together at four times the rate at which
	 * Postfix hands in messages on such a machine */
	bench_updates(s, 1000, true);
	bench_updates(s, 0, false);
	store_close(s);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) != 0 || tap_done();
}
