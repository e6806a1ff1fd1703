#include "base/buf.h"
#include "milter/log.h"
#include "milter/settings.h"
#include "t/tap.h"

static void
test_listen(void)
{
	static const struct {
		const char *in, *want, *want_path; /* want NULL: refused */
	} rows[] = {
		{ "unix:/run/x.sock", "unix:/run/x.sock", "/run/x.sock" },
		{ "local:/run/x.sock", "unix:/run/x.sock", "/run/x.sock" },
		{ "/run/x.sock", "unix:/run/x.sock", "/run/x.sock" },
		{ "unix:relative", NULL, NULL },
		{ "unix:", NULL, NULL },
		{ "inet:8891@127.0.0.1", "inet:8891@127.0.0.1", NULL },
		{ "inet:127.0.0.1:8891", "inet:8891@127.0.0.1", NULL },
		{ "inet:localhost:8891", "inet:8891@localhost", NULL },
		{ "inet6:8891@::1", "inet6:8891@::1", NULL },
		{ "inet6:[::1]:8891", "inet6:8891@::1", NULL },
		{ "inet:8891", NULL, NULL },
		{ "inet:0@127.0.0.1", NULL, NULL },
		{ "inet:65536@127.0.0.1", NULL, NULL },
		{ "inet:8891@a b", NULL, NULL },
		{ "inet6:8891@127.0.0.1", NULL, NULL },
		{ "", NULL, NULL },
		{ "fd:3", NULL, NULL },
	};
	char out[256], label[80];
	const char *path;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool ok = milter_listen_parse(rows[i].in, out, &path);

		snprintf(label, sizeof(label), "listen \"%s\"", rows[i].in);
		tap_is_str(ok ? out : NULL, rows[i].want, label);
		if (ok) {
			snprintf(label, sizeof(label), "path of \"%s\"", rows[i].in);
			tap_is_str(path, rows[i].want_path, label);
		}
	}
	snprintf(out, sizeof(out), "/%0107d", 1);
	tap_ok(!milter_listen_parse(out, out, &path),
	    "a path longer than a socket address is refused");
}

static void
test_check(void)
{
	static const struct {
		const char *label, *text, *want;
	} rows[] = {
		{ "defaults", "", "" },
		{ "all words", "listen inet:1@127.0.0.1\non_failure tempfail\n"
		  "action observe\nban_strikes 0\nban_socket none\n"
		  "log_facility local3\nban_time 1w\n", "" },
		{ "bad listen", "listen tcp:1\n",
		  "f:0: listen: not unix:PATH or inet:PORT@HOST: \"tcp:1\"\n" },
		{ "relative state_dir", "state_dir state\n",
		  "f:0: state_dir: not an absolute path: \"state\"\n" },
		{ "state_dir none", "state_dir none\n",
		  "f:0: state_dir: not an absolute path: \"none\"\n" },
		{ "on_failure discard", "\non_failure discard\n",
		  "f:2: on_failure: not one of the known words: \"discard\"\n" },
		{ "networks and names in ban_allow",
		  "ban_allow 192.0.2.0/24 mail.example.org\n", "" },
		{ "nonsense in ban_allow", "ban_allow nonsense\n",
		  "f:1: ban_allow: neither a network nor a host name: "
		  "\"nonsense\"\n" },
		{ "ban_time too long for ipset", "ban_time 4w\n",
		  "f:1: ban_time: out of range: \"4w\"\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct arena *a = arena_new(1 << 20);
		struct milter_settings s;
		struct settings_room room = { milter_settings_table, &s };
		struct conf_lines lines = { 0 };
		struct diags d;
		struct buf out;

		milter_settings_init(&s);
		diags_init(&d, a);
		conf_parse(a, "f", span_cstr(rows[i].text), &lines, &d, NULL);
		for (size_t k = 0; k < lines.count; k++)
			if (conf_apply(&lines.lines[k], &room, 1, a, &d) ==
			    CONF_UNKNOWN)
				tap_ok(false, "%s: unknown word", rows[i].label);
		milter_settings_check(&s, "f", &d);
		buf_init(&out, 10000);
		diags_format(&d, DIAG_ERROR, &out);
		tap_is_str(out.ptr, rows[i].want, rows[i].label);
		buf_done(&out);
		milter_settings_done(&s);
		arena_free(a);
	}
}

static void
test_failures(void)
{
	for (int f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++) {
		const struct failure_row *row = failure_row(f);

		tap_is_int(row->failure, f, row->word);
		tap_is_int(failure_reply(f, ON_FAILURE_ACCEPT), REPLY_ACCEPT,
		    "accepted when on_failure is accept");
		tap_is_int(failure_reply(f, ON_FAILURE_TEMPFAIL), REPLY_TEMPFAIL,
		    "deferred when on_failure is tempfail");
		tap_ok(row->xcode[0] == '4', "%s: a temporary code", row->word);
	}
}

static void
test_log(void)
{
	unsigned long held;
	struct buf b;

	log_repeat(1000);
	tap_ok(log_fault_due("a", 0, &held) && held == 0, "first fault is written");
	tap_ok(!log_fault_due("a", 999, &held), "within log_repeat it is held back");
	tap_ok(log_fault_due("b", 999, &held), "another kind is written");
	tap_ok(!log_fault_due("a", 999, &held), "and again held back");
	tap_ok(log_fault_due("a", 1000, &held) && held == 2,
	    "written again, with how many were held back");
	tap_ok(log_fault_due("a", 2000, &held) && held == 0, "counted anew");

	buf_init(&b, 1000);
	log_add(&b, "from", SPAN_LIT("a@b.example"), 0);
	log_add(&b, "x", SPAN_LIT("two words\nqueue_id=FORGED"), 0);
	log_add(&b, "cut", SPAN_LIT("abcdef"), 3);
	tap_is_str(b.ptr, "from=a@b.example x=\"two words\\nqueue_id=FORGED\" "
	    "cut=abc\xE2\x80\xA6", "values cannot forge a line or a key");
	buf_done(&b);
}

int
main(void)
{
	test_listen();
	test_check();
	test_failures();
	test_log();
	return tap_done();
}
