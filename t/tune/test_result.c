/*
 * tuned.cf: what is written is read back, anything else is refused; the cache
 * of hits likewise; files are replaced or left.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "t/tap.h"
#include "tune/cache.h"
#include "tune/file.h"
#include "tune/result.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD "# spamscore-tuned 1\n# Written by spamscore tune\n" \
	"# made: 2026-11-23T17:00:00Z (1795453200)\n# ruleset: " HASH "\n" \
	"# seed: 1\n# fitted to: 10 ham, 20 spam\n# judged on: 3 ham, 4 spam\n" \
	"# certified: no, loss 0.001, confidence 0.95, lost 0 of 3\n" \
	"# certificate reject: a\n# certificate tag: b\n"
#define ABOUT(n) "# " n ": was 1; 1 ham, 2 spam, S/O 0.9 (0.8 .. 0.95): why\n"
#define BASE(n) "# base " n " 1.5\n"
#define SCORE(n) "score " n " 2\n"

static struct arena *arena;

static int
parse(const char *text, size_t n, struct result *r, struct diags *d)
{
	struct error err;

	diags_init(d, arena);
	return result_parse(span_of(text, n), "tuned.cf", arena, d, r, &err);
}

static void
test_round_trip(void)
{
	struct result_entry entries[] = {
		{ "A_1", 1.5, 1.25, 2.001, 3, 400, 0.987, 0.95, 0.99, "raised", 0 },
		{ "B", -0.5, -0.5, 0, 7, 9, 0.5, 0.25, 0.75, "odd\nwords # here", 0 },
	};
	struct result r = { .made = 1795453200, .ruleset = HASH, .seed = 42,
		.fit_ham = 10, .fit_spam = 20, .held_ham = 3, .held_spam = 4,
		.certified = { true, 0.001, 0.95, 1, 3 },
		.certificate_reject = "one\nline", .certificate_tag = "t",
		.has_reject = true, .reject_score = 12.5, .entries = entries,
		.count = 2 }, got;
	struct diags d;
	struct error err;
	struct buf out;

	buf_init(&out, 1 << 20);
	tap_is_int(result_format(&r, &out, &err), 0, "format");
	tap_is_int(parse(out.ptr, out.len, &got, &d), 0, "parse");
	tap_ok(got.made == r.made && got.seed == 42 && got.fit_spam == 20 &&
		got.held_ham == 3 && strcmp(got.ruleset, HASH) == 0 &&
		strcmp(got.certificate_reject, "one line") == 0, "the header");
	tap_ok(!got.has_tag && got.has_reject && got.reject_score == 12.5,
	    "the threshold");
	tap_ok(got.count == 2 && got.entries[0].base == 1.5 &&
		got.entries[0].old == 1.25 && got.entries[0].score == 2.001 &&
		got.entries[0].spam == 400 && got.entries[0].so_low == 0.95 &&
		strcmp(got.entries[0].why, "raised") == 0, "an entry");
	tap_ok(strcmp(got.entries[1].name, "B") == 0, "and the next");
	tap_ok(!result_stale(&got.entries[0], 1.5) &&
		result_stale(&got.entries[0], 1.4), "based on another score");
	/* cut anywhere, it is refused or whole lines short, never odd */
	for (size_t n = 0; n < out.len; n++)
		if (parse(out.ptr, n, &got, &d) == 0 && out.ptr[n - 1] != '\n' &&
		    out.ptr[n] != '\n' && got.count == 2 &&
		    got.entries[1].score != 0)
			tap_ok(false, "cut at %zu", n);
	entries[0].name = "A B";
	tap_is_int(result_format(&r, &out, &err), -EINVAL, "a name with a space");
	entries[0].name = "A\nscore B 100";
	tap_is_int(result_format(&r, &out, &err), -EINVAL, "a name with a line");
	entries[0].name = "C";
	tap_is_int(result_format(&r, &out, &err), -EINVAL, "out of order");
	buf_done(&out);
}

static void
test_refused(void)
{
	static const struct {
		const char *label, *text, *want;
	} rows[] = {
		{ "empty", "", "header" },
		{ "no header", "score A 1\n", "first line" },
		{ "half a header", "# spamscore-tuned 1\n# seed: 1\n", "not complete" },
		{ "a header twice", HEAD "# seed: 1\n", "twice" },
		{ "a score alone", HEAD SCORE("A"), "does not belong" },
		{ "without a base", HEAD ABOUT("A") SCORE("A"), "does not belong" },
		{ "another's base", HEAD ABOUT("A") BASE("B") SCORE("A"),
		    "does not belong" },
		{ "another's score", HEAD ABOUT("A") BASE("A") SCORE("B"),
		    "does not belong" },
		{ "no score", HEAD ABOUT("A") BASE("A"), "last rule" },
		{ "twice", HEAD ABOUT("A") BASE("A") SCORE("A") ABOUT("A") BASE("A")
		    SCORE("A"), "twice" },
		{ "out of order", HEAD ABOUT("B") BASE("B") SCORE("B") ABOUT("A")
		    BASE("A") SCORE("A"), "out of order" },
		{ "a rule", HEAD "body X /x/\n", "only scores" },
		{ "an include", HEAD "include /etc/passwd\n", "only scores" },
		{ "a threshold below 0", HEAD "tag_score -1\n", "no threshold" },
		{ "no number", HEAD ABOUT("A") BASE("A") "score A nan\n", "no score" },
		{ "four numbers", HEAD ABOUT("A") BASE("A") "score A 1 2 3 4\n",
		    "no score" },
		{ "a comment", HEAD "# hello\n", "not one of" },
		{ "a name of dots", HEAD "# ../x: was 1;\n", "no name" },
		{ "a share above 1", HEAD "# A: was 1; 1 ham, 2 spam, S/O 1.9 (0 .. 1):"
		    " x\n", "does not parse" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;
		struct result r;
		struct diags d;
		int rc = parse(rows[i].text, strlen(rows[i].text), &r, &d);

		buf_init(&out, 65536);
		diags_format(&d, DIAG_ERROR, &out);
		tap_ok(rc == -EINVAL && strstr(out.ptr, rows[i].want) != NULL &&
			strncmp(out.ptr, "tuned.cf:", 9) == 0, "%s: %.*s",
		    rows[i].label, (int)strcspn(out.ptr, "\n"), out.ptr);
		buf_done(&out);
	}
}

static void
test_cache(void)
{
	static const unsigned char key[CACHE_KEY] = { 1 }, other[CACHE_KEY] = { 2 };
	const uint32_t hits[] = { 1, 5, 9 };
	struct cache_entry e = { .identity = "abcdefgh", .time = 77,
		.hits = hits, .hit_count = 3, .tests_open = true };
	const struct cache_entry *got;
	struct cache *c;
	struct error err;
	struct buf bytes;
	const char *why;
	unsigned taken = 0;

	tap_is_int(cache_open("cache", key, 10, &c, &why), 0, "no file");
	tap_ok(why == NULL, "is no fault");
	e.sketch.has_text = true;
	e.sketch.least[3] = 12345;
	tap_is_int(cache_add(c, &e), 0, "add");
	memcpy(e.identity, "ABCDEFGH", 8);
	e.hit_count = 0;
	cache_add(c, &e);
	tap_is_int(cache_save(c, "cache", &err), 0, "save");
	cache_free(c);
	cache_open("cache", key, 10, &c, &why);
	got = cache_find(c, (const unsigned char *)"abcdefgh\0\0\0\0\0\0\0");
	tap_ok(got != NULL && got->time == 77 && got->hit_count == 3 &&
		got->hits[2] == 9 && got->sketch.least[3] == 12345 &&
		got->sketch.has_text && got->tests_open, "and there it is");
	tap_ok(cache_find(c, (const unsigned char *)"zzzzzzzzzzzzzzzz") == NULL,
	    "another is not");
	memcpy(e.identity, "11111111", 8);
	cache_add(c, &e);
	cache_save(c, "cache", &err);
	cache_free(c);
	cache_open("cache", key, 10, &c, &why);
	tap_ok(cache_find(c, (const unsigned char *)"ABCDEFGH\0\0\0\0\0\0\0") == NULL,
	    "what nobody asked for is not kept");
	cache_free(c);
	cache_open("cache", other, 10, &c, &why);
	tap_ok(why == NULL && cache_find(c,
	    (const unsigned char *)"abcdefgh\0\0\0\0\0\0\0") == NULL,
	    "other rules, an empty cache");
	cache_free(c);
	cache_open("cache", key, 9, &c, &why);
	tap_ok(why != NULL && strstr(why, "rule") != NULL, "a rule out of range");
	cache_free(c);
	buf_init(&bytes, 1 << 20);
	file_read("cache", &bytes, &err);
	for (size_t i = 0; i < bytes.len; i += 11) {
		char was = bytes.ptr[i];

		bytes.ptr[i] ^= 0x40;
		file_replace("bad", buf_span(&bytes), 0600, &err);
		bytes.ptr[i] = was;
		cache_open("bad", key, 10, &c, &why);
		taken += why == NULL;
		cache_free(c);
		file_replace("bad", span_of(bytes.ptr, i), 0600, &err);
		cache_open("bad", key, 10, &c, &why);
		taken += why == NULL;
		cache_free(c);
	}
	tap_is_int(taken, 0, "changed or cut at each eleventh byte: not used");
	buf_done(&bytes);
}

static int
refuse(void *context, const char *path, struct error *err)
{
	(void)context;
	return error_set(err, -EINVAL, "no: %s", strrchr(path, '/') != NULL ?
		"path" : "name");
}

static int
die(void *context, const char *path, struct error *err)
{
	(void)context, (void)path, (void)err;
	_exit(0);
}

/* Somebody else writes the same file, while this one waits for its check. */
static int
meanwhile(void *context, const char *path, struct error *err)
{
	(void)context;
	tap_is_int(file_replace("f", SPAN_LIT("theirs"), 0640, err), 0,
	    "two at a time");
	tap_is_int(access(path, F_OK), 0, "what is being written is no leftover");
	return 0;
}

static int
hidden_names(char *name, size_t size)
{
	DIR *d = opendir(".");
	struct dirent *e;
	int n = 0;

	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, ".f.", 3) == 0) {
			snprintf(name, size, "%s", e->d_name);
			n++;
		}
	closedir(d);
	return n;
}

static void
test_killed(void)
{
	struct error err;
	struct buf b;
	char name[256] = "", later[256] = "";

	fflush(stdout);
	if (fork() == 0) {
		file_replace_checked("f", SPAN_LIT("cut"), 0640, die, NULL, &err);
		_exit(1);
	}
	wait(NULL);
	tap_is_int(hidden_names(name, sizeof(name)), 1, "killed: a leftover");
	tap_is_int(file_replace_checked("f", SPAN_LIT("mine"), 0640, meanwhile,
	    NULL, &err), 0, "the next call");
	buf_init(&b, 100);
	tap_is_int(file_read("f", &b, &err), 0, "read");
	tap_ok(span_is(buf_span(&b), "mine"), "the last one stands");
	buf_done(&b);
	tap_ok(hidden_names(later, sizeof(later)) == 0, "nothing is left: %s%s", name,
	    later);
	close(open(".f.backup", O_CREAT | O_WRONLY, 0600));
	file_replace("f", SPAN_LIT("x"), 0640, &err);
	tap_is_int(unlink(".f.backup"), 0, "a file of one's own stays");
}

static void
test_files(void)
{
	struct error err;
	struct buf b;

	buf_init(&b, 100);
	tap_is_int(file_replace("f", SPAN_LIT("one"), 0640, &err), 0, "a file");
	tap_is_int(file_replace_checked("f", SPAN_LIT("two"), 0640, refuse, NULL,
	    &err), -EINVAL, "a check that fails");
	tap_ok(strncmp(err.text, "no: ", 4) == 0, "its reason");
	tap_is_int(file_read("f", &b, &err), 0, "read");
	tap_ok(span_is(buf_span(&b), "one"), "leaves the file");
	mkdir("d", 0700);
	tap_is_int(file_replace("d", SPAN_LIT("x"), 0640, &err), -ENOTSUP,
	    "a directory is not replaced");
	tap_is_int(file_replace("/dev/null", SPAN_LIT("x"), 0640, &err), -ENOTSUP,
	    "nor a device");
	tap_is_int(file_read("/dev/zero", &b, &err), -EINVAL, "nor read");
	mkfifo("fifo", 0600);
	tap_is_int(file_read("fifo", &b, &err), -EINVAL, "nor a FIFO");
	buf_done(&b);
	buf_init(&b, 2);
	tap_is_int(file_read("f", &b, &err), -EFBIG, "too large");
	buf_done(&b);
}

int
main(void)
{
	char dir[] = "/tmp/tune-test.XXXXXX";
	static const char *const left[] = { "cache", "bad", "f", "fifo" };

	if (mkdtemp(dir) == NULL || chdir(dir) != 0)
		return 1;
	arena = arena_new(256 << 20);
	test_round_trip();
	test_refused();
	test_cache();
	test_files();
	test_killed();
	arena_free(arena);
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		unlink(left[i]);
	rmdir("d");
	tap_ok(rmdir(dir) == 0, "nothing else was left there");
	return tap_done();
}
