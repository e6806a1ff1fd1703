#!/usr/bin/python3
"""The four actions through a real Postfix: what the client is told and what
is delivered, byte for byte - with a shadow beside it that rejects everything,
and must not be seen in any of it."""
import os
import re
import signal
import sqlite3
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import both as b  # noqa: E402

tap = b.Tap()
HEAD = b"""From: A <a@example.net>
To: user@here.example
Subject: SUBJECT
Date: Mon, 23 Nov 2026 14:00:00 +0000
Message-Id: <1@example.net>
"""
BODY = b"\nhello\n..dots\n.\n\nlast\n"
ENVELOPE = (rb"Return-Path: <[^>]*>\nX-Original-To: [^\n]*\nDelivered-To: [^\n]*\n")
RECEIVED = rb"Received: from [^\n]*\n(?:\t[^\n]*\n)+"


def crlf(data):
    return data.replace(b"\n", b"\r\n")


def message(subject, extra=b""):
    return HEAD.replace(b"SUBJECT", subject.encode()) + extra + BODY


def split(raw):
    """(what the filter put on top, Postfix's Received, the message) as delivered"""
    m = re.match(ENVELOPE + rb"((?:(?!Received:)[^\n]*\n)*)(" + RECEIVED + rb")(.*)\Z", raw, re.S)
    return m.groups() if m else (None, None, raw)


def one(mx, raw, xclient=None, **envelope):
    """Sends one message: code, text, list of what was delivered."""
    mx.clear()
    with mx.smtp(xclient=xclient or {"ADDR": "203.0.113.9", "NAME": "[UNAVAILABLE]"}) as c:
        code, text = mx.send(c, crlf(raw), **envelope)
    mx.wait_idle()
    return code, text, mx.delivered()


def edits_are(raw, want_top, want_message, label):
    top, received, rest = split(raw)
    if not tap.ok(top is not None, label + ": the parts are there", raw):
        return
    ar = re.match(rb"Authentication-Results: mx\.here\.example;[^\n]*\n(?:\t[^\n]*\n)*", top)
    tap.ok(ar is not None, label + ": our Authentication-Results come first", top)
    tap.eq(top[ar.end():] if ar else top, want_top, label + ": what was added, byte for byte")
    tap.ok(received.count(b"Received:") == 1, label + ": one Received")
    tap.eq(rest, want_message, label + ": the rest as it was sent, byte for byte")


def test_actions(d, mx):
    with tap.case("accept"):
        code, text, got = one(mx, message("hello"))
        tap.eq((code, len(got)), (250, 1), "accept: 250 and delivered once")
        edits_are(got[0], b"X-Spam-Score: 0.0\nX-Spam-Status: No, score=0.0 required=5.0 "
                  b"tests=none\n", message("hello"), "accept")
    with tap.case("tag"):
        code, text, got = one(mx, message("tagme"))
        tap.eq((code, len(got)), (250, 1), "tag: 250 and delivered once")
        edits_are(got[0], b"X-Spam-Flag: YES\nX-Spam-Score: 6.0\nX-Spam-Status: Yes, score=6.0 "
                  b"required=5.0 tests=T_TAG\n", message("tagme"), "tag")
    with tap.case("tempfail"):
        start = time.monotonic()
        code, text, got = one(mx, message("deferme"))
        tap.match(f"{code} {text}", r"^451 4\.7\.1 .* id [0-9a-f]{20}$", "tempfail: 451 4.7.1, an id")
        tap.eq(got, [], "tempfail: nothing is delivered")
        time.sleep(max(0, 2.1 - (time.monotonic() - start)))
        code, text, got = one(mx, message("deferme"))
        tap.eq((code, len(got)), (250, 1), "a retry after greylist_delay is delivered")
        edits_are(got[0], b"X-Spam-Flag: YES\nX-Spam-Score: 9.0\nX-Spam-Status: Yes, score=9.0 "
                  b"required=5.0 tests=T_DEFER\n", message("deferme"), "retry")
    with tap.case("reject"):
        code, text, got = one(mx, message("rejectme"))
        tap.match(f"{code} {text}", r"^550 5\.7\.1 .* id [0-9a-f]{20}$", "reject: 550 5.7.1, an id")
        tap.ok("T_REJECT" not in text and "14" not in text.rsplit(" ", 1)[0],
               "reject: no rule and no score", text)
        tap.eq(got, [], "reject: nothing is delivered")
        line = d.wait_log("action=reject")
        tap.match(line, r"queue_id=[0-9A-F]{6,} verdict=" + text[-20:] + r" action=reject "
                  r"score=14\.0 client=203\.0\.113\.9 from=sender@example\.net "
                  r"rules=T_REJECT_A,T_REJECT_B", "reject: the log line, with Postfix's queue id")


FORGED = b"""X-Spam-Flag: NO
x-spam-STATUS: No,
\tscore=-100
X-Spam-Level:
Authentication-Results: mx.here.example;
\tdkim=pass header.d=bank.example
Authentication-Results: other.example; spf=pass
X-Spam-Flag: NO
authentication-results: "mx.here.example" 1; spf=pass
X-Spam-Flag : NO
X-Spammer: stays
Authentication-Results: (a (b) c) MX.HERE.EXAMPLE; spf=pass
X-SPAM-FLAG: NO
"""
KEPT = b"""Authentication-Results: other.example; spf=pass
X-Spammer: stays
"""


def test_forgery(d, mx):
    score = b"X-Spam-Score: 0.0\nX-Spam-Status: No, score=0.0 required=5.0 tests=none\n"
    with tap.case("forgery"):
        code, _, got = one(mx, message("hello", FORGED))
        edits_are(got[0], score, message("hello", KEPT), "forged fields")
    with tap.case("forgery first"):
        raw = FORGED + message("hello")
        code, _, got = one(mx, raw)
        edits_are(got[0], score, KEPT + message("hello"), "forged fields on top")
    with tap.case("authenticated"):
        code, _, got = one(mx, message("rejectme", FORGED),
                           xclient={"ADDR": "203.0.113.9", "LOGIN": "alice"})
        tap.eq((code, len(got)), (250, 1), "an authenticated client is not judged")
        top, _, rest = split(got[0])
        tap.eq((top, rest), (b"", message("rejectme", KEPT)),
               "and loses the forged fields, no more")
    with tap.case("forgery, many"):
        code, _, got = one(mx, message("hello", b"X-Spam-Flag: NO\nX-Keep: 1\n" * 300))
        edits_are(got[0], score, message("hello", b"X-Keep: 1\n" * 300), "300 forged fields")


def test_envelope(d, mx):
    with tap.case("SMTPUTF8"):
        since = len(d.log)
        code, _, got = one(mx, message("tagme \u00fc"), mail_from="\u00fcser@b\u00fccher.example",
                           rcpt_to=["r\u00fcd@here.example"], options=["SMTPUTF8"])
        tap.eq((code, len(got)), (250, 1), "SMTPUTF8 addresses are taken")
        tap.ok(b"X-Spam-Flag: YES" in got[0], "and judged")
        tap.match(d.wait_log("action=tag", since), "from=\u00fcser@b\u00fccher.example ",
                  "the log has the address")
    with tap.case("exempt"):
        code, _, got = one(mx, message("rejectme"), rcpt_to=["postmaster@here.example"])
        tap.eq((code, len(got)), (250, 1), "mail to postmaster is not refused")
        tap.ok(got and b"X-Spam-Flag: YES" in got[0], "but tagged")
        code, _, got = one(mx, message("rejectme"), rcpt_to=["user@here.example", "abuse@here.example"])
        tap.eq((code, len(got)), (250, 2), "one exempt recipient of two: one verdict for both")
    with tap.case("several messages"):
        mx.clear()
        codes = []
        with mx.smtp(xclient={"ADDR": "203.0.113.9"}) as c:
            for subject in ("hello", "tagme", "rejectme", "hello"):
                codes.append(mx.send(c, crlf(message(subject)))[0])
                c.rset()
        mx.wait_idle()
        tap.eq(codes, [250, 250, 550, 250], "several messages in one SMTP session")
        tap.eq(sorted(b"X-Spam-Flag: YES" in m for m in mx.delivered()), [False, False, True],
               "each with its own verdict")
    with tap.case("no header"):
        code, _, got = one(mx, b"\nmarker in the body\n")
        tap.eq((code, len(got)), (250, 1), "a message without header is taken")
        tap.ok(got and b"X-Spam-Flag: YES" in got[0], "and judged")


def test_reload(d, mx):
    with tap.case("SIGHUP"):
        with open(d.config_path, encoding="utf-8") as f:
            good = f.read()
        since = len(d.log)
        with open(d.config_path, "w", encoding="utf-8") as f:
            f.write(good + "tag_score ten\n")
        d.signal(signal.SIGHUP)
        d.wait_log("old configuration stays", since)
        tap.match("\n".join(d.log[since:]), rf"spamscore\.conf:{good.count(chr(10)) + 1}: tag_score",
                  "a broken configuration is reported with file and line")
        code, _, got = one(mx, message("tagme"))
        tap.ok(code == 250 and b"X-Spam-Flag: YES" in got[0], "and the old one goes on")
        with open(d.config_path, "w", encoding="utf-8") as f:
            f.write(good)


def test_stop(d, mx):
    with tap.case("SIGTERM in flight"):
        mx.clear()
        with mx.smtp(xclient={"ADDR": "203.0.113.9"}) as c:
            c.docmd("MAIL", "FROM:<a@example.net>")
            c.docmd("RCPT", "TO:<user@here.example>")
            c.docmd("DATA")
            # enough that Postfix hands the beginning to cleanup, not yet to the filter
            c.send(crlf(HEAD.replace(b"SUBJECT", b"tagme") + b"\n" + b"line of text\n" * 3000))
            d.signal(signal.SIGTERM)
            until = time.monotonic() + 10
            while os.path.exists(d.socket_path) and time.monotonic() < until:
                time.sleep(0.01)
            tap.ok(d.alive(), "the daemon waits for the message in flight")
            c.send(b"end\r\n.\r\n")
            code, _ = c.getreply()
        mx.wait_idle()
        got = mx.delivered()
        tap.eq((code, len(got)), (250, 1), "the message in flight is taken and delivered")
        tap.ok(got and b"X-Spam-Flag: YES" in got[0], "with its verdict")
        tap.eq(d.process.wait(20), 0, "then the daemon ends well")
        code, _, got = one(mx, message("rejectme"))
        tap.eq((code, len(got)), (250, 1), "without daemon milter_default_action=accept applies")


def test_shadow(d):
    with tap.case("shadow"):
        with sqlite3.connect(d.directory + "/state/spamscore.db", timeout=20) as db:
            rows = dict(db.execute("SELECT action,count(*) FROM shadow GROUP BY action").fetchall())
        tap.ok(set(rows) <= {1, 3} and rows.get(3, 0) >= 10,
               "the shadow would have rejected every message, but for exempt recipients", rows)


def main():
    b.begin()
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        with open(top + "/all.cf", "w", encoding="ascii") as f:
            f.write("header S_ONE ALL =~ /./\nscore S_ONE 50\ntflags S_ONE spamscore_reject\n"
                    "header S_TWO ALL =~ /./\nscore S_TWO 50\n")
        with b.both(config="shadow all %s/all.cf\n" % top) as (d, mx):
            for test in (test_actions, test_forgery, test_envelope, test_reload, test_stop):
                test(d, mx)
            test_shadow(d)
    return tap.done()


sys.exit(main())
