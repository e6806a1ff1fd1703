/*
 * The model as its users see it: it learns, says when it may be used, names
 * what moved it, and its file survives what happens to files.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "t/scratch.h"
#include "t/tap.h"
#include "t/learn/mail.h"

static char path[128];

/* Small, for speed */
static const struct model_options small = { .size_bytes = 1000000,
	.need = 20 };

static struct model_writer *
writer_new(void)
{
	struct model_writer *w;

	if (model_writer_new(&small, &w, NULL) != 0) {
		printf("Bail out! no memory\n");
		exit(1);
	}
	return w;
}

static void
teach(struct model_writer *w, uint64_t seed, unsigned count, int64_t event)
{
	struct arena *a = arena_new(8 << 20);
	struct mail_random r = { seed };

	for (unsigned i = 0; i < count; i++) {
		struct sample s;

		arena_reset(a);
		s = mail_sample(a, mail_make(a, &r, i % 2, "", ""), false);
		model_writer_learn(w, &s, i % 2 ? MODEL_SPAM : MODEL_HAM, 1,
		    event != 0 ? event + i : 0);
	}
	arena_free(a);
}

/* Messages on the wrong side of 0, out of count fresh ones */
static unsigned
mistakes(const struct model *m, uint64_t seed, unsigned count)
{
	struct arena *a = arena_new(8 << 20);
	struct mail_random r = { seed };
	unsigned wrong = 0;

	for (unsigned i = 0; i < count; i++) {
		struct model_prediction p;
		struct sample s;

		arena_reset(a);
		s = mail_sample(a, mail_make(a, &r, i % 2, "", ""), false);
		if (model_predict_sample(m, &s, 0, a, &p) != 0 ||
		    (p.log_odds > 0) != (i % 2 == 1))
			wrong++;
	}
	arena_free(a);
	return wrong;
}

static void
test_learning(void)
{
	struct model_writer *w = writer_new();
	const struct model *m = model_writer_model(w);
	struct arena *a = arena_new(8 << 20);
	struct mail_random r = { 99 };
	struct model_prediction p;
	struct sample s = mail_sample(a, mail_make(a, &r, true, "", ""), false);
	bool named = false;

	model_predict_sample(m, &s, 0, a, &p);
	tap_ok(!p.active, "an empty model is not active");
	tap_is_str(p.why, "has not yet learned enough mail", "and says why");
	for (int i = 0; i < 19; i++)
		model_writer_learn(w, &s, MODEL_SPAM, 1, 0);
	teach(w, 1, 40, 0);
	model_predict_sample(m, &s, 0, a, &p);
	tap_ok(p.active, "active after 20 of each");
	teach(w, 2, 400, 0);
	tap_ok(mistakes(m, 3, 400) <= 4, "at most 1 %% of fresh messages wrong");
	model_predict_sample(m, &s, 8, a, &p);
	tap_is_int((long long)p.feature_count, 8, "eight features are named");
	for (size_t i = 0; i < p.feature_count; i++) {
		if (i > 0 && fabs(p.features[i].share) >
		    fabs(p.features[i - 1].share) + 1e-12)
			tap_ok(false, "features are ordered by share");
		for (size_t k = 0; k < 16; k++)
			named |= strstr(p.features[i].text,
			    mail_spam_words[k]) != NULL && p.features[i].share > 0;
	}
	tap_ok(named, "one of them is a word of spam, and speaks for spam");
	for (size_t i = 0; i < p.feature_count; i++)
		printf("# %s %+.3f\n", p.features[i].text, p.features[i].share);
	arena_free(a);
	model_writer_free(w);
}

static void
test_balance(void)
{
	struct model_writer *w = writer_new();
	struct arena *a = arena_new(8 << 20);
	struct mail_random r = { 5 };
	struct model_prediction p;
	struct sample s;

	s = mail_sample(a, mail_make(a, &r, false, "", ""), false);
	for (int i = 0; i < 30; i++)
		model_writer_learn(w, &s, MODEL_HAM, 1, 0);
	model_predict_sample(model_writer_model(w), &s, 0, a, &p);
	tap_is_str(p.why, "has not yet learned enough spam",
	    "one class alone is not enough");
	arena_free(a);
	model_writer_free(w);
}

static size_t
slurp(const char *name, char **ret)
{
	FILE *f = fopen(name, "rb");
	size_t n;

	if (f == NULL)
		return 0;
	*ret = malloc(2 << 20);
	n = fread(*ret, 1, 2 << 20, f);
	fclose(f);
	return n;
}

static void
spew(const char *name, const char *p, size_t n)
{
	FILE *f = fopen(name, "wb");

	if (f == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0) {
		printf("Bail out! cannot write %s\n", name);
		exit(1);
	}
}

static void
test_file(void)
{
	struct model_writer *w = writer_new(), *w2;
	struct model *m, *m2;
	struct model_info info;
	struct error err;
	char *bytes, *again, other[160];
	size_t n, n2;

	tap_is_int(model_open(path, &m, &err), -ENOENT, "no file yet");
	teach(w, 10, 300, 1000);
	tap_is_int(model_writer_save(w, path, &err), 0, "saved");
	tap_is_int(model_open(path, &m, &err), 0, "opened");
	model_info(m, &info);
	tap_ok(info.ham == 150 && info.spam == 150 && info.last_event == 1299 &&
	    info.need == 20, "the header tells what was learned");
	tap_ok(info.size_bytes <= small.size_bytes &&
	    info.size_bytes > small.size_bytes - 16, "the size is as asked");
	tap_is_int(mistakes(m, 11, 200), mistakes(model_writer_model(w), 11, 200),
	    "the file predicts as the writer does");

	/* the same events again: the same bytes */
	w2 = writer_new();
	teach(w2, 10, 300, 1000);
	snprintf(other, sizeof(other), "%s.other", path);
	tap_is_int(model_writer_save(w2, other, &err), 0, "a second writer");
	n = slurp(path, &bytes);
	n2 = slurp(other, &again);
	tap_ok(n == n2 && n > 0 && memcmp(bytes, again, n) == 0,
	    "learning is deterministic, byte for byte");
	model_writer_free(w2);

	/* a reader keeps what it has open while the writer goes on */
	teach(w, 12, 100, 2000);
	tap_is_int(model_writer_save(w, path, &err), 0, "replaced");
	model_info(m, &info);
	tap_is_int((long long)info.ham, 150, "an open model stays as it was");
	tap_is_int(model_open(path, &m2, &err), 0, "the new one opens");
	model_info(m2, &info);
	tap_is_int((long long)info.ham, 200, "and has learned more");
	model_unref(m2);
	tap_is_int(model_writer_open(path, &w2, &err), 0,
	    "a writer goes on from a file");
	model_info(model_writer_model(w2), &info);
	tap_is_int((long long)info.ham, 200, "with what it knew");
	model_writer_free(w2);
	model_unref(model_ref(m));
	tap_is_int(mistakes(m, 11, 20), 0, "references are counted");
	model_unref(m);
	free(bytes);
	free(again);
	unlink(other);
	model_writer_free(w);
}

static void
test_damage(void)
{
	struct model_writer *w = writer_new();
	struct error err;
	struct model *m;
	char *bytes;
	size_t n, found = 0, tried = 0;

	teach(w, 20, 60, 0);
	model_writer_save(w, path, &err);
	n = slurp(path, &bytes);
	/* every part of the file: magic, header, calibration, weights */
	for (size_t at = 0; at < n; at += at < 4200 ? 61 : 49999) {
		bytes[at] ^= 0x10;
		spew(path, bytes, n);
		bytes[at] ^= 0x10;
		tried++;
		if (model_open(path, &m, &err) < 0)
			found++;
		else
			model_unref(m);
	}
	tap_is_int((long long)found, (long long)tried, "every flipped bit is found");
	static const double cuts[] = { 0, 0.0001, 0.004, 0.0041, 0.5, 0.999999 };
	for (size_t i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
		spew(path, bytes, (size_t)((double)n * cuts[i]));
		tap_is_int(model_open(path, &m, &err), -EBADMSG,
		    "a file that was cut off is found");
	}
	spew(path, bytes, n);
	tap_is_int(truncate(path, (off_t)n + 1), 0, "a byte more");
	tap_is_int(model_open(path, &m, &err), -EBADMSG, "is found too");
	bytes[8] = 9;
	spew(path, bytes, n);
	tap_is_int(model_open(path, &m, &err), -EPROTONOSUPPORT,
	    "another version is not damage");
	tap_is_int(model_open(scratch_dir, &m, &err), -EBADMSG, "a directory is no model");
	tap_is_int(model_writer_open(path, &w, &err), -EPROTONOSUPPORT,
	    "nor does the writer take it");
	free(bytes);
	model_writer_free(w);
}

static void
test_disk_full(void)
{
	struct model_writer *w = writer_new();
	struct rlimit old, low;
	struct error err;
	struct model_info info;
	struct model *m;
	struct stat st;
	char temporary[160];

	teach(w, 30, 60, 0);
	tap_is_int(model_writer_save(w, path, &err), 0, "a good file");
	teach(w, 31, 60, 0);
	/* RLIMIT_FSIZE stops a write half way, as a full disk does */
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	low = old;
	low.rlim_cur = 300000;
	setrlimit(RLIMIT_FSIZE, &low);
	tap_is_int(model_writer_save(w, path, &err), -EFBIG, "no room: an error");
	setrlimit(RLIMIT_FSIZE, &old);
	printf("# %s\n", err.text);
	tap_is_int(model_open(path, &m, &err), 0, "the old file is whole");
	model_info(m, &info);
	tap_is_int((long long)info.ham, 30, "and still the old one");
	model_unref(m);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	tap_ok(stat(temporary, &st) != 0 && errno == ENOENT,
	    "nothing is left lying about");
	tap_is_int(model_writer_save(w, path, &err), 0, "room again: saved");
	tap_is_int(model_writer_save(w, "/nowhere/at/all", &err), -ENOENT,
	    "a directory that is not there is an error");
	model_writer_free(w);
}

static void
test_kill(void)
{
	struct model_writer *w = writer_new();
	struct model_info info;
	struct error err;
	struct model *m;
	unsigned bad = 0, moved = 0;
	uint64_t before = 0;

	teach(w, 40, 60, 0);
	model_writer_save(w, path, &err);
	model_writer_free(w);
	for (unsigned i = 0; i < 25; i++) {
		int to_parent[2];
		char byte;
		pid_t pid;

		if (pipe(to_parent) != 0 || (pid = fork()) == -1) {
			printf("Bail out! fork\n");
			exit(1);
		}
		if (pid == 0) {
			if (model_writer_open(path, &w, NULL) != 0)
				_exit(1);
			for (;;) {
				teach(w, 41 + i, 2, 0);
				if (model_writer_save(w, path, NULL) != 0)
					_exit(1);
				if (write(to_parent[1], "", 1) != 1)
					_exit(1);
			}
		}
		close(to_parent[1]);
		/* after a first save, at some moment of a later one */
		if (read(to_parent[0], &byte, 1) != 1)
			bad++;
		usleep(i * 150);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(to_parent[0]);
		if (model_open(path, &m, &err) != 0) {
			printf("# %s\n", err.text);
			bad++;
			continue;
		}
		model_info(m, &info);
		moved += info.ham > before;
		before = info.ham;
		model_unref(m);
	}
	tap_is_int(bad, 0, "25 times SIGKILL while saving: always a whole file");
	tap_is_int(moved, 25, "and what was saved before counts");
}

static void
learn_packed(struct model_writer *w, const struct span *list, int from, int to,
    int but)
{
	struct sample s;

	for (int i = from; i < to; i++)
		if (i != but && sample_unpack(list[i], &s) == 0)
			model_writer_learn(w, &s, i % 2 ? MODEL_SPAM : MODEL_HAM, 1,
			    i + 1);
}

static void
test_replay(void)
{
	enum { COUNT = 120, SNAPSHOT = 80, FORGET = 90 };
	struct arena *a = arena_new(32 << 20);
	struct model_writer *w = writer_new(), *w2;
	struct mail_random r = { 50 };
	struct span list[COUNT];
	struct error err;
	char other[160], *x, *y;
	size_t nx, ny;

	snprintf(other, sizeof(other), "%s.other", path);
	for (int i = 0; i < COUNT; i++) {
		struct sample s = mail_sample(a, mail_make(a, &r, i % 2, "", ""),
		    false);

		sample_pack(&s, a, &list[i]);
	}
	learn_packed(w, list, 0, SNAPSHOT, COUNT);
	model_writer_save(w, path, &err);
	learn_packed(w, list, SNAPSHOT, COUNT, FORGET);
	model_writer_save(w, other, &err);
	tap_is_int(model_writer_open(path, &w2, &err), 0, "from a snapshot");
	learn_packed(w2, list, SNAPSHOT, COUNT, FORGET);
	model_writer_save(w2, path, &err);
	nx = slurp(path, &x);
	ny = slurp(other, &y);
	tap_ok(nx == ny && nx > 0 && memcmp(x, y, nx) == 0,
	    "the later events again: byte for byte");
	free(x);
	free(y);
	unlink(other);
	model_writer_free(w);
	model_writer_free(w2);
	arena_free(a);
}

static void
test_noise(void)
{
	struct model_writer *w = writer_new();
	struct arena *a = arena_new(8 << 20);
	struct mail_random r = { 60 };
	struct model_info info;

	for (unsigned i = 0; i < 1500; i++) {
		struct sample s;
		bool wrong = i % 20 == 7;

		arena_reset(a);
		s = mail_sample(a, mail_make(a, &r, i % 2, "", ""), false);
		model_writer_learn(w, &s, (i % 2 != 0) != wrong ? MODEL_SPAM :
		    MODEL_HAM, 1, 0);
	}
	model_info(model_writer_model(w), &info);
	printf("# estimated %.4f\n", info.noise);
	tap_ok(info.noise > 0.025 && info.noise < 0.08,
	    "5 %% wrong labels are noticed");
	tap_ok(mistakes(model_writer_model(w), 61, 400) <= 6,
	    "and do little harm");
	arena_free(a);
	model_writer_free(w);
}

int
main(void)
{
	scratch_make();
	snprintf(path, sizeof(path), "%s/model", scratch_dir);
	test_learning();
	test_balance();
	test_file();
	test_damage();
	test_disk_full();
	test_kill();
	test_replay();
	test_noise();
	scratch_remove();
	return tap_done();
}
