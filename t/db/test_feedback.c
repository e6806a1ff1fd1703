/* The door for labels: message identity, both sides fed, the model in step;
 * and who a message authenticated as. */
#include <errno.h>
#include <unistd.h>

#include "scoring/engine.h"
#include "scoring/feedback.h"
#include "scoring/learn/model.h"
#include "t/scratch.h"
#include "t/tap.h"

#define T0 INT64_C(1700000000)

static char path[128], model_path[128];
static struct arena *arena;
static struct error err;

#define HEAD "Message-ID: <1@example.org>\nDate: Tue, 14 Nov 2023 22:13:20 +0000\n" \
	"From: Info <info@example.org>\nSubject: A rather long subject line\n"

static struct message *
parse(const char *text)
{
	static const struct message_limits limits = { 1 << 20, 1000, 20, 100, 100 };
	struct message *m;

	if (message_parse(arena, span_cstr(text), strlen(text), &limits, &m,
	    &err) != 0)
		abort();
	return m;
}

static void
test_identity(void)
{
	static const struct {
		const char *label, *text;
		bool same;
	} rows[] = {
		{ "itself", HEAD "\nHello there\n\nBye\n", true },
		{ "as delivered", "Return-Path: <info@example.org>\n"
		  "Delivered-To: me@here.example\nReceived: from x by y; now\n"
		  "X-Spam-Status: No, score=1.0\n" HEAD "Status: RO\n"
		  "\nHello there\n\nBye\n", true },
		{ "CRLF", "Message-ID: <1@example.org>\r\n"
		  "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
		  "From: Info <info@example.org>\r\n"
		  "Subject: A rather long\r\n subject line\r\n\r\n"
		  "Hello there\r\n\r\nBye\r\n", true },
		{ "a line end more", HEAD "\nHello there\n\nBye\n\n\n", true },
		{ "another body", HEAD "\nHello thera\n\nBye\n", false },
		{ "another author", "Message-ID: <1@example.org>\n"
		  "Date: Tue, 14 Nov 2023 22:13:20 +0000\n"
		  "From: Info <info@example.com>\n"
		  "Subject: A rather long subject line\n\nHello there\n\nBye\n",
		  false },
		{ "no header to speak of", "X: y\n\nHello there\n\nBye\n", false },
	};
	unsigned char want[MESSAGE_IDENTITY_BYTES], got[MESSAGE_IDENTITY_BYTES];

	feedback_message_identity(parse(rows[0].text), want);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		feedback_message_identity(parse(rows[i].text), got);
		tap_ok((memcmp(want, got, sizeof(got)) == 0) == rows[i].same,
		    "%s: %s message", rows[i].label,
		    rows[i].same ? "the same" : "another");
	}
}

static int
learn(struct store *s, const char *text, enum label_class class,
    struct feedback_result *result)
{
	struct feedback_request r = { .raw = span_cstr(text), .class = class,
		.user = "ann", .source = "test", .now = T0 };
	struct feedback_result ignored;

	return feedback_learn(s, &r, result != NULL ? result : &ignored, &err);
}

static const char *
text_of(int i)
{
	static char text[4][1200];
	static int next;
	char *t = text[next++ % 4];

	snprintf(t, 1200, "Message-ID: <%d@example.org>\nFrom: a%d@example.org\n"
	    "Subject: %s number %d\n\n%s and %d more words of it\n", i, i,
	    i % 2 ? "cheap pills" : "minutes of the meeting", i,
	    i % 2 ? "Buy now, click here for a wonderful offer" :
	    "Please find the agenda for tomorrow", i);
	return t;
}

static int
train(struct store *s, bool *ret_changed)
{
	const struct feedback_model m = { .path = model_path };

	return feedback_train(s, &m, T0, ret_changed, &err);
}

static double
predict(const char *text)
{
	struct sample_source source = { .message = parse(text),
		.delivered = true };
	struct model_prediction p;
	struct model *m;

	if (model_open(model_path, &m, &err) != 0)
		return NAN;
	if (model_predict(m, &source, 0, arena, &p) != 0)
		abort();
	model_unref(m);
	return p.log_odds;
}

static void
test_training(struct store *s)
{
	struct feedback_result r;
	struct model_info info = { 0 };
	struct model *m;
	double with, without, again;
	bool changed = true;
	struct learning *list;
	size_t count;

	tap_is_int(train(s, &changed), 0,
	    "nothing to train");
	tap_ok(!changed && access(model_path, F_OK) != 0, "makes no file");
	tap_is_int(learn(s, "", LABEL_SPAM, &r), -EINVAL, "not a message");
	tap_is_int(learn(s, "1 2 3\n\nan index: not mail\n", LABEL_SPAM, &r),
	    -EINVAL, "without any header field nothing is learned");
	store_learning_list(s, arena, &list, &count, &err);
	tap_ok(count == 1 && list[0].failed == 2, "which is noted");
	for (int i = 0; i < 20; i++)
		if (learn(s, text_of(i), i % 2 ? LABEL_SPAM : LABEL_HAM, &r) != 0)
			tap_ok(false, "learn: %s", err.text);
	tap_ok(r.taught && r.label.changed && !r.label.known,
	    "a message that was never judged teaches the model");
	learn(s, text_of(3), LABEL_SPAM, &r);
	tap_ok(!r.taught && !r.label.changed, "twice is once");
	tap_is_int(train(s, &changed), 0, "train");
	tap_ok(changed, "there is a file");
	without = predict(text_of(50));
	learn(s, text_of(101), LABEL_SPAM, NULL);
	learn(s, text_of(102), LABEL_SPAM, NULL);
	train(s, &changed);
	with = predict(text_of(50));
	tap_ok(changed && with != without, "two lessons more change it");
	learn(s, text_of(102), LABEL_HAM, &r);
	tap_ok(r.label.changed && r.label.was == LABEL_SPAM, "relearned");
	train(s, &changed);
	if (model_open(model_path, &m, &err) == 0) {
		model_info(m, &info);
		model_unref(m);
	}
	tap_ok(info.ham == 11 && info.spam == 11,
	    "it stands on one side only: %llu and %llu",
	    (unsigned long long)info.ham, (unsigned long long)info.spam);
	learn(s, text_of(101), LABEL_NONE, NULL);
	learn(s, text_of(102), LABEL_NONE, NULL);
	tap_is_int(train(s, &changed), 0, "forget");
	again = predict(text_of(50));
	tap_is_double(again, without, "the model is the one without");
	train(s, &changed);
	tap_ok(!changed, "and is left alone then");
	unlink(model_path);
	train(s, &changed);
	tap_ok(changed, "a lost file is built again");
	tap_is_double(predict(text_of(50)), without, "the same");
}

/* As the daemon does with log_samples */
static void
keep_sample(struct store *s, const char *text, const unsigned char *identity)
{
	struct sample_source source = { .message = parse(text) };
	struct sample sample;
	struct span packed;

	if (sample_make(&source, arena, &sample) != 0 ||
	    sample_pack(&sample, arena, &packed) != 0)
		abort();
	store_sample_limit(s, 3600);
	store_sample_put(s, identity, packed, T0);
	store_flush(s, &err);
}

static struct feedback_result
say_by_id(struct store *s, enum label_class class)
{
	struct feedback_request r = { .verdict_id = "abc", .class = class,
		.user = "ann", .source = "test", .now = T0 };
	struct feedback_result result;

	tap_is_int(feedback_learn(s, &r, &result, &err), 0, "a label by id");
	return result;
}

static void
test_samples(struct store *s)
{
	struct log_entry e = { .id = "abc" };
	struct lessons_state before, after;
	bool changed;

	feedback_message_identity(parse(text_of(77)), e.message);
	keep_sample(s, text_of(77), e.message);
	store_lessons_state(s, &before, &err);
	tap_ok(say_by_id(s, LABEL_SPAM).taught, "its text was kept: the model learns");
	store_lessons_state(s, &after, &err);
	tap_ok(after.last > before.last, "there is a lesson");
	tap_is_int(train(s, &changed), 0, "train");
	tap_ok(!learn(s, text_of(77), LABEL_SPAM, NULL), "the same message");
	store_lessons_state(s, &before, &err);
	tap_is_int(before.last, after.last, "is the same lesson");
	tap_ok(say_by_id(s, LABEL_NONE).taught, "forgotten");
	store_lessons_state(s, &after, &err);
	tap_is_int(after.gone, before.last, "by the model too");
	/* time goes on */
	keep_sample(s, text_of(78), (const unsigned char *)"0123456789abcdef");
	store_sample_limit(s, 0);
	for (int i = 0; i < 200; i++) {
		usleep(50000);
		if (!say_by_id(s, LABEL_SPAM).taught)
			break;
		say_by_id(s, LABEL_NONE);
	}
	tap_ok(!say_by_id(s, LABEL_HAM).taught, "nothing is kept any more");
	say_by_id(s, LABEL_NONE);
}

static void
test_by_verdict(struct store *s)
{
	struct identity id = { IDENTITY_SPF, "judged.example" };
	struct log_entry e = { .id = "abc", .time = T0, .ids = &id,
		.id_count = 1, .record = SPAN_LIT("{}") };
	struct feedback_request r = { .verdict_id = "abc", .class = LABEL_SPAM,
		.user = "ann", .source = "test", .now = T0 };
	struct feedback_result result;
	struct reputation_row *rows;

	feedback_message_identity(parse(text_of(77)), e.message);
	store_log_put(s, &e);
	store_flush(s, &err);
	tap_is_int(feedback_learn(s, &r, &result, &err), 0, "by verdict id");
	tap_ok(result.label.known && !result.taught, "teaches reputation only");
	store_reputation_get(s, &id, 1, T0, arena, &rows, &err);
	tap_is_double(rows[0].spam, 1, "which it does");
	learn(s, text_of(77), LABEL_NONE, NULL);
	store_reputation_get(s, &id, 1, T0, arena, &rows, &err);
	tap_is_int(rows[0].last_seen, 0, "the message itself takes it back");
	r.verdict_id = "none";
	tap_is_int(feedback_learn(s, &r, &result, &err), -ENOENT,
	    "an id that is not in the log");
}

static struct auth_context *auth;

static const char *
ids_text(const struct evidence *e, const struct envelope *env, const char *text)
{
	static char out[1000];
	struct identity *ids;
	size_t n;

	out[0] = '\0';
	if (gather_identities(auth, e, env, parse(text), arena, &ids, &n) != 0)
		return NULL;
	for (size_t i = 0; i < n; i++)
		snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s:%s ",
		    identity_kind_name(ids[i].kind), ids[i].key);
	return out;
}

static void
test_identities(void)
{
	struct scoring_settings settings;
	struct dkim_evidence dkim[2] = {
		{ .check = { CHECK_DONE, NULL }, .result = AUTH_PASS,
		  .domain = "mail.example.org", .aligned = true,
		  .accountable = true },
		{ .check = { CHECK_DONE, NULL }, .result = AUTH_PASS,
		  .domain = "esp.example", .accountable = true },
	};
	struct evidence e = { .now = T0 }, none = { .now = T0 };
	struct envelope env = { .helo = "Mail.Example.org",
		.mail_from = "bounce@news.example.org" };
	const char *rcpts[] = { "Me@Here.example", "another@here.example" };

	scoring_settings_init(&settings, arena);
	if (auth_context_new(&settings, NULL, &auth, &err) != 0) {
		tap_skip("identities", err.text);
		return;
	}
	netaddr_parse(SPAN_LIT("198.51.100.7"), &env.client_ip);
	env.rcpt_to = rcpts;
	env.rcpt_count = 2;
	tap_is_str(ids_text(&none, &env, HEAD "\nx\n"),
	    "ip:198.51.100.7 net:198.51.100.0/24 ",
	    "an unauthenticated From is nobody");
	tap_is_str(gather_greylist_key(&none, &env, arena),
	    "c|198.51.100.0/24|bounce@news.example.org|another@here.example",
	    "greylist by client, sender, recipient");
	e.dkim = dkim;
	e.dkim_count = 2;
	e.spf_mailfrom = (struct spf_evidence){ .check = { CHECK_DONE, NULL },
		.result = AUTH_PASS, .domain = "news.example.org" };
	e.helo = (struct helo_evidence){ .check = { CHECK_DONE, NULL },
		.matches_client = true };
	e.iprev = (struct iprev_evidence){ .check = { CHECK_DONE, NULL },
		.result = AUTH_PASS, .name = "mx.example.org" };
	tap_is_str(ids_text(&e, &env, HEAD "\nx\n"),
	    "address:info@example.org dkim:mail.example.org dkim:example.org "
	    "spf:news.example.org spf:example.org helo:mail.example.org "
	    "ip:198.51.100.7 net:198.51.100.0/24 dkim-other:esp.example ",
	    "hardest to forge first, organisations behind their parts");
	tap_is_str(gather_greylist_key(&e, &env, arena),
	    "d|mail.example.org|another@here.example",
	    "greylist by authenticated domain");
	tap_is_str(ids_text(&e, &env, HEAD "From: x@other.example\n\nx\n"),
	    "dkim:mail.example.org dkim:example.org "
	    "spf:news.example.org spf:example.org helo:mail.example.org "
	    "ip:198.51.100.7 net:198.51.100.0/24 dkim-other:esp.example ",
	    "two From fields are nobody's");
	dkim[0].aligned = false;
	e.spf_mailfrom.domain = "elsewhere.example";
	tap_ok(strstr(ids_text(&e, &env, HEAD "\nx\n"), "address:") == NULL,
	    "a From that nothing aligned stands for is nobody");
	dkim[0].result = AUTH_FAIL;
	dkim[1].accountable = false;
	e.spf_mailfrom.result = AUTH_SOFTFAIL;
	e.iprev.name = "mx.elsewhere.example";
	tap_is_str(ids_text(&e, &env, HEAD "\nx\n"),
	    "ip:198.51.100.7 net:198.51.100.0/24 ", "nothing passed, nobody");
	netaddr_parse(SPAN_LIT("2001:db8:1:2:3::4"), &env.client_ip);
	tap_is_str(ids_text(&none, &env, HEAD "\nx\n"),
	    "ip:2001:db8:1:2::/64 net:2001:db8:1::/48 ", "IPv6 by networks");
	netaddr_parse(SPAN_LIT("10.1.2.3"), &env.client_ip);
	tap_is_str(ids_text(&none, &env, HEAD "\nx\n"), "",
	    "a private address is nobody in particular");
	auth_context_free(auth);
	scoring_settings_done(&settings);
}

int
main(void)
{
	struct store_options o = { .path = path, .mode = STORE_WRITE };
	struct store *s;
	scratch_make();
	snprintf(path, sizeof(path), "%s/state.db", scratch_dir);
	snprintf(model_path, sizeof(model_path), "%s/model", scratch_dir);
	arena = arena_new(256 << 20);
	test_identity();
	test_identities();
	if (store_open(&o, &s, &err) != 0)
		return 1;
	test_training(s);
	test_by_verdict(s);
	test_samples(s);
	store_close(s);
	arena_free(arena);
	scratch_remove();
	return tap_done();
}
