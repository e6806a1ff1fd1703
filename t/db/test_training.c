/* The model and its snapshots: back and forth byte for byte, folded lessons,
 * damage, no room, killed at any moment, a database that was lost. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scoring/feedback.h"
#include "t/scratch.h"
#include "t/tap.h"

#define T0 INT64_C(1700000000)
enum { DAY = 86400, FEW = 10 };

static char db_path[128], model_path[128], other_path[128];
static struct error err;
static struct store *store;

/* One snapshot after ten lessons, three of them */
static const struct feedback_model model = { .path = model_path,
	.options = { 1000000, 5 }, .snapshots = 3, .snapshot_lessons = FEW };

static void
store_begin(void)
{
	struct store_options o = { .path = db_path, .mode = STORE_WRITE,
		.busy_ms = 5000 };

	if (store_open(&o, &store, &err) != 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
}

static void
begin(const char *name)
{
	char command[400];

	snprintf(command, sizeof(command), "rm -rf %s && mkdir %s", scratch_dir, scratch_dir);
	if (system(command) != 0)
		exit(1);
	printf("# %s\n", name);
	store_begin();
}

static const char *
text_of(int i)
{
	static char text[600];

	snprintf(text, sizeof(text), "Message-ID: <%d@example.org>\n"
	    "From: a%d@example.org\nSubject: %s number %d\n\n%s and %d more\n", i, i,
	    i % 2 ? "cheap pills" : "minutes of the meeting", i,
	    i % 2 ? "Buy now, click here for a wonderful offer" :
	    "Please find the agenda for tomorrow", i);
	return text;
}

static struct label_result
say(int i, enum label_class class, int64_t now)
{
	struct feedback_request r = { .raw = span_cstr(text_of(i)),
		.class = class, .user = "ann", .source = "test", .now = now };
	struct feedback_result result;

	r.raw.len = strlen(text_of(i));
	if (feedback_learn(store, &r, &result, &err) != 0)
		tap_ok(false, "label %d: %s", i, err.text);
	return result.label;
}

static void
teach(int from, int to, int64_t now)
{
	for (int i = from; i < to; i++)
		say(i, i % 2 ? LABEL_SPAM : LABEL_HAM, now);
}

static int
train(const struct feedback_model *m, int64_t now)
{
	bool changed;

	return feedback_train(store, m, now, &changed, &err);
}

/* Sum of the file's bytes; 0: no file */
static uint64_t
digest(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	static unsigned char buf[1 << 16];
	uint64_t x = 0;
	ssize_t n;

	while (fd != -1 && (n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			x = (x ^ buf[i]) * 0x9E3779B97F4A7C15u + 1;
	if (fd != -1)
		close(fd);
	return x;
}

static size_t
snapshots(void)
{
	char command[300], line[32] = "0";
	FILE *f;

	snprintf(command, sizeof(command), "ls %s | grep -c '^model.at-'", scratch_dir);
	f = popen(command, "r");
	if (f == NULL || fgets(line, sizeof(line), f) == NULL)
		exit(1);
	pclose(f);
	return strtoul(line, NULL, 10);
}

/* Is the model what the lessons that stand make, begun from nothing? */
static bool
as_from_nothing(void)
{
	const struct feedback_model other = { .path = other_path,
		.options = model.options };

	unlink(other_path);
	if (train(&other, T0) != 0)
		return false;
	return digest(other_path) == digest(model_path);
}

static void
test_back(void)
{
	uint64_t before, with;

	begin("back over snapshots");
	teach(0, 45, T0);
	tap_is_int(train(&model, T0), 0, "train");
	tap_is_int((long)snapshots(), 3, "no more snapshots than may be");
	tap_ok(as_from_nothing(), "the model is what the lessons make");
	before = digest(model_path);
	teach(45, 48, T0);
	train(&model, T0);
	with = digest(model_path);
	for (int i = 45; i < 48; i++)
		say(i, LABEL_NONE, T0);
	train(&model, T0);
	tap_ok(with != before && digest(model_path) == before,
	    "taught and forgotten: byte for byte as before");
	teach(45, 75, T0);
	train(&model, T0);
	for (int i = 45; i < 75; i++)
		say(i, LABEL_NONE, T0);
	train(&model, T0);
	tap_ok(digest(model_path) == before, "over three snapshots too");
	say(3, LABEL_NONE, T0);
	say(40, LABEL_NONE, T0);
	train(&model, T0);
	tap_ok(digest(model_path) != before && as_from_nothing(),
	    "what is forgotten lies before all snapshots");
	/* learned up to 75; then one of those and one after it, in this order */
	teach(80, 82, T0);
	say(30, LABEL_NONE, T0);
	say(81, LABEL_NONE, T0);
	train(&model, T0);
	tap_ok(as_from_nothing(), "the first of those forgotten counts");
	say(20, LABEL_SPAM, T0);
	train(&model, T0);
	tap_ok(as_from_nothing(), "relearned as the other");
	store_close(store);
}

static void
test_damage(void)
{
	char path[200], command[400];
	uint64_t before;
	struct rlimit limit, old;

	begin("damage");
	teach(0, 35, T0);
	train(&model, T0);
	before = digest(model_path);
	snprintf(command, sizeof(command), "for f in %s/model.at-*; do "
	    "truncate -s 5000 $f; done", scratch_dir);
	if (system(command) != 0)
		exit(1);
	say(34, LABEL_NONE, T0);
	tap_is_int(train(&model, T0), 0, "cut snapshots are no obstacle");
	tap_ok(as_from_nothing(), "the model is what the lessons make");
	say(34, LABEL_HAM, T0);
	train(&model, T0);
	snprintf(path, sizeof(path), "%s/model.at-99999999999999999999", scratch_dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof(path), "%s/model.at-12x", scratch_dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof(path), "%s/model.at-4000", scratch_dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	if (truncate(model_path, 70000) != 0)
		exit(1);
	tap_is_int(train(&model, T0), 0, "nor a cut model, nor odd names");
	tap_ok(as_from_nothing() && before != 0, "it is built again");
	tap_ok(access(path, F_OK) != 0, "a snapshot of no past goes");

	before = digest(model_path);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	teach(35, 50, T0);
	limit = (struct rlimit){ 500000, old.rlim_max };
	setrlimit(RLIMIT_FSIZE, &limit);
	tap_ok(train(&model, T0) < 0, "no room: said");
	tap_ok(digest(model_path) == before, "the old model stays");
	setrlimit(RLIMIT_FSIZE, &old);
	tap_is_int(train(&model, T0), 0, "with room again");
	tap_ok(as_from_nothing(), "nothing was lost");
	store_close(store);
}

static void
test_fold(void)
{
	struct feedback_model m = model;
	struct lessons_state state;
	struct model_info info = { 0 };
	uint64_t before, old;
	struct model *base;

	begin("folded");
	m.keep_sec = 30 * DAY;
	teach(0, 25, T0);
	train(&m, T0);
	teach(25, 30, T0 + 20 * DAY);
	train(&m, T0 + 20 * DAY);
	store_lessons_state(store, &state, &err);
	tap_is_int(state.folded, 0, "nothing is old");
	train(&m, T0 + 31 * DAY);
	store_lessons_state(store, &state, &err);
	tap_is_int(state.folded, 20, "folded up to the last snapshot of old");
	old = digest(model_path);
	tap_ok(say(3, LABEL_NONE, T0 + 31 * DAY).folded, "forget says so");
	tap_ok(!say(3, LABEL_NONE, T0 + 31 * DAY).changed, "once");
	train(&m, T0 + 31 * DAY);
	tap_ok(digest(model_path) == old, "the model keeps it");
	tap_ok(!say(27, LABEL_NONE, T0 + 31 * DAY).folded, "a young one not");
	train(&m, T0 + 31 * DAY);
	before = digest(model_path);
	tap_ok(before != old, "it goes");
	unlink(model_path);
	train(&m, T0 + 31 * DAY);
	tap_ok(digest(model_path) == before, "a lost model: from the base");
	teach(30, 60, T0 + 31 * DAY);
	train(&m, T0 + 31 * DAY);
	for (int i = 30; i < 60; i++)
		say(i, LABEL_NONE, T0 + 32 * DAY);
	train(&m, T0 + 32 * DAY);
	tap_ok(digest(model_path) == before, "back to the base over others");
	tap_ok(say(5, LABEL_HAM, T0 + 32 * DAY).folded,
	    "the other side of a folded one is learned on top");
	train(&m, T0 + 32 * DAY);
	tap_ok(digest(model_path) != before, "so it is");
	/* nothing stands any more but what was folded */
	for (int i = 0; i < 60; i++)
		say(i, LABEL_NONE, T0 + 33 * DAY);
	train(&m, T0 + 33 * DAY);
	unlink(model_path);
	tap_is_int(train(&m, T0 + 33 * DAY), 0, "all else forgotten");
	if (model_open(model_path, &base, &err) == 0) {
		model_info(base, &info);
		model_unref(base);
	}
	tap_is_int((long long)(info.ham + info.spam), 20, "the base stays");
	store_close(store);
}

static void
test_lost(void)
{
	struct lessons_state state;
	struct model_info info = { 0 };
	struct model *m;
	char command[300];

	begin("another database");
	teach(0, 24, T0);
	train(&model, T0);
	store_close(store);
	snprintf(command, sizeof(command), "rm -f %s*", db_path);
	if (system(command) != 0)
		exit(1);
	store_begin();
	teach(100, 106, T0);
	tap_is_int(train(&model, T0), 0, "a model of another database");
	store_lessons_state(store, &state, &err);
	tap_ok(state.folded == 24 && state.last == 30,
	    "its lessons are folded, new ones come after them");
	if (model_open(model_path, &m, &err) == 0) {
		model_info(m, &info);
		model_unref(m);
	}
	tap_ok(info.ham == 15 && info.spam == 15, "it knows both");
	teach(106, 107, T0);
	store_lessons_state(store, &state, &err);
	tap_is_int(state.last, 31, "events go on from there");
	say(101, LABEL_NONE, T0);
	train(&model, T0);
	if (model_open(model_path, &m, &err) == 0) {
		model_info(m, &info);
		model_unref(m);
	}
	tap_ok(info.ham == 16 && info.spam == 14, "and can be taken back");
	store_close(store);
}

/* Teaches, forgets and trains until it is killed */
static void
child(unsigned seed)
{
	store_begin();
	for (unsigned n = 0;; n++) {
		unsigned i = (seed * 31 + n * 7) % 60;

		if (n % 3 == 2)
			say((int)((i + 5) % 60), LABEL_NONE, T0);
		else
			teach((int)i, (int)i + 3, T0);
		train(&model, T0);
	}
}

static void
test_killed(void)
{
	enum { KILLS = 12 };
	int sound = 0;

	begin("killed");
	store_close(store);
	for (unsigned k = 0; k < KILLS; k++) {
		pid_t pid = fork();

		if (pid == 0) {
			child(k);
			_exit(0);
		}
		/* any moment will do */
		usleep(2000 + k * k * 900);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		store_begin();
		if (train(&model, T0) == 0 && as_from_nothing())
			sound++;
		else
			printf("# %u: %s\n", k, err.text);
		store_close(store);
	}
	tap_is_int(sound, KILLS, "the model is what the lessons make, each time");
}

int
main(void)
{
	scratch_make();
	snprintf(db_path, sizeof(db_path), "%s/state.db", scratch_dir);
	snprintf(model_path, sizeof(model_path), "%s/model", scratch_dir);
	snprintf(other_path, sizeof(other_path), "%s/other", scratch_dir);
	test_back();
	test_damage();
	test_fold();
	test_lost();
	test_killed();
	scratch_remove();
	return tap_done();
}
