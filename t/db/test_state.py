#!/usr/bin/python3
"""The command and what the filter remembers: with a daemon through its
control socket, without one on the files; both must say the same."""
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "milter"))
from milter_peer import BUILD, Daemon, Tap  # noqa: E402

tap = Tap()
SPAMSCORE = os.path.abspath(os.path.join(BUILD, "cli", "spamscore"))
HEADERS = [("From", " Shop <news@shop.example>"), ("To", " <user@example.org>"),
           ("Subject", " an offer"), ("Date", " Mon, 23 Nov 2026 14:00:00 +0000"),
           ("Message-ID", " <1@shop.example>")]
BODY = b"Some words of an offer\r\n"


def headers(n):
    return [(k, v.replace("<1@", "<%d@" % n)) for k, v in HEADERS]


def delivered(n):
    """The message as it lies in a mailbox later."""
    return (b"Return-Path: <news@shop.example>\nReceived: from x by y; z\nX-Spam-Status: No\n" +
            "".join(k + ":" + v + "\n" for k, v in headers(n)).encode() + b"\n" +
            BODY.replace(b"\r", b""))


class Run:
    def __init__(self, config):
        self.config = config

    def __call__(self, *args, stdin=b"", code=0, label=None):
        verb = [args[0]] if not args[0].startswith("--") else []
        p = subprocess.run([SPAMSCORE, *verb, "--config", self.config, *args[len(verb):]],
                           input=stdin, capture_output=True, timeout=60, check=False)
        out, err = p.stdout.decode(), p.stderr.decode() or p.stdout.decode()
        if p.returncode != code:
            tap.ok(False, label or " ".join(args), "exit %d, want %d" % (p.returncode, code),
                   out, err)
        return out if code == 0 else err


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


def with_daemon():
    d = Daemon("mynetworks 192.0.2.128/25\ncontrol_socket %s/run/control.sock\n" %
               DIRECTORY, "header T_TAG Subject =~ /tagme/\nscore T_TAG 6\n",
               directory=DIRECTORY)
    d.start()
    run = Run(d.config_path)
    path = DIRECTORY + "/run/control.sock"
    with tap.case("the socket"):
        st = os.stat(path)
        tap.eq(stat.S_IMODE(st.st_mode), 0o660, "the socket is for user and group")
    with tap.case("verdict log"), d.connect(ip="198.51.100.7") as p:
        for n in range(1, 6):
            r = p.message(headers(n), BODY, queue_id="Q%d" % n)
            tap.eq(r.reply, "c", "message %d passes" % n)
        p.message(headers(9), BODY, subject="tagme", queue_id="QT")
        run("db", "check")
        found = []
        for _ in range(50):
            found = rows(run("log", "--json"))
            if len(found) == 6:
                break
            time.sleep(0.1)
        tap.eq([r["queue_id"] for r in found], ["QT", "Q5", "Q4", "Q3", "Q2", "Q1"],
               "every verdict is in the log, newest first")
        tap.eq([r["queue_id"] for r in rows(run("log", "--json", "--action", "tag"))], ["QT"],
               "by action")
        tap.eq(rows(run("log", "--json", "--from", "nobody@example.org")), [], "by sender")
        tap.eq(len(rows(run("log", "--json", "--since", "1h"))), 6, "by time")
        tap.eq(len(rows(run("log", "--json", "--until", "2020-01-01"))), 0, "until")
        ident = found[0]["id"]
        whole = json.loads(run("--explain", "--id", ident, "--json"))
        tap.eq((whole["action"], whole["hits"][0]["rule"], whole["envelope"]["client_ip"]),
               ("tag", "T_TAG", "198.51.100.7"), "a stored verdict is shown again")
        tap.match(run("--explain", "--id", ident), r"T_TAG.*\n.*rules\.cf:1", "as text too")
        run("--explain", "--id", "nope", code=66, label="an id that is not there")
    with tap.case("reputation"):
        got = rows(run("reputation", "--json", "list", "ip:"))
        tap.eq([(r["identity"], round(r["ham"], 1)) for r in got], [("ip:198.51.100.7", 1.0)],
               "the filter's own verdicts count a fifth")
    with tap.case("labels"):
        mail = os.path.join(DIRECTORY, "mail")
        os.makedirs(mail, exist_ok=True)
        for n in range(1, 4):
            with open(os.path.join(mail, str(n)), "wb") as f:
                f.write(delivered(n))
        before = run("db", "export")
        tap.match(run("learn", "--spam", "--user", "ann", mail),
                  r"^3 messages, 3 changed, 0 of unknown senders, 0 failed", "learn")
        got = rows(run("reputation", "--json", "show", "ip:198.51.100.7"))[0]
        tap.ok(got["spam"] > 2 and abs(got["ham"] - 0.4) < 0.01,
               "a person's word replaces the filter's", got)
        tap.match(run("learn", "--spam", "--user", "ann", mail), "3 messages, 0 changed", "again")
        tap.match(run("learn", "--ham", "--user", "ann", mail), "3 messages, 3 changed",
                  "the other side")
        tap.match(run("forget", "--user", "ann", mail), "3 messages, 3 changed", "forget")
        box = os.path.join(DIRECTORY, "box")
        with open(box, "w", encoding="ascii") as f:
            for i in range(3):
                f.write("From x Mon Jan  1 12:34:56 2024\nFrom: a@box.example\nSubject: mbox\n"
                        f"Message-ID: <box{i}@box.example>\n\n" + f"line {i}\n" * 60000 + "\n")
        tap.match(run("learn", "--spam", "--user", "ann", box), "^3 messages, 3 changed, 3 of unknown",
                  "each message of an mbox, however large it is")
        tap.match(run("forget", "--user", "ann", box), "^3 messages, 3 changed", "and taken back")
        after = run("db", "export")
        state = [[line for line in t.splitlines() if '"learning"' not in line and
                  '"lesson_gone"' not in line] for t in (before, after)]
        tap.eq(state[1], state[0], "learn and forget leave the state of before")
        tap.match(run("learn", "--spam", "--user", "ann", "--id", ident), "1 messages, 1 changed",
                  "by verdict id")
        run("forget", "--user", "ann", "--id", ident)
        tap.match(run("learn", "--spam", "-", stdin=b"no message at all", code=65),
                  "^spamscore: -: ", "what is no message is refused, aloud")
        tap.match(run("doctor", "--learning", code=1), r"bad   learning: command: .*failed 1 times.*\n      journalctl",
                  "and the doctor says so")
        tap.match(run("learn", "--spam", "--user", "ann", mail), "3 messages, 3 changed",
                  "learn again")
        tap.match(run("doctor", "--learning"), r"ok    daemon: answers\nok    learning: command:.*\nok    model: ",
                  "the doctor is content after the next success")
    with tap.case("erase"):
        tap.match(run("log", "erase", "--address", "nobody@example.org"), "^0 verdicts",
                  "erase what is not there")
        tap.match(run("log", "erase", "--address", "NEWS@shop.example"), "^6 verdicts",
                  "erase by the author's address")
        tap.eq(rows(run("log", "--json")), [], "the log is empty")
    with tap.case("correspondents"), d.connect(ip="203.0.113.9") as p:
        def known():
            return run("db", "export").count('"table":"correspondent"')

        def send(extra=(), rcpt=("news@shop.example",), **k):
            p.message(headers(1) + list(extra), BODY, rcpt=rcpt, mail="user@example.org", **k)

        send()
        send([("Auto-Submitted", " auto-replied")], rcpt=("a@x.example",), auth="user")
        send([("List-Id", " <x>")], rcpt=("b@x.example",), auth="user")
        send(rcpt=["r%d@x.example" % i for i in range(30)], auth="user")
        time.sleep(0.5)
        tap.eq(known(), 0, "strangers, automatic mail, lists and bulk make none")
        send([("Auto-Submitted", " no")], auth="user")
        for _ in range(50):
            if known():
                break
            time.sleep(0.1)
        tap.eq(known(), 1, "a letter to one makes one")
        dns = os.path.join(DIRECTORY, "dns")
        with open(dns, "w", encoding="ascii") as f:
            f.write('shop.example TXT "v=spf1 ip4:198.51.100.9 -all"\n')
        explain = ["--explain", "--json", "--db", DIRECTORY + "/state/spamscore.db",
                   "--dns-data", dns, "--mail-from", "news@shop.example", "-"]
        got = json.loads(run(*explain, "--ip", "198.51.100.9", stdin=delivered(1)))["reputation"]
        tap.ok([t["score"] < -2 for t in got if t["identity"] == "correspondent"] == [True],
               "a reply from there, authenticated, is good", got)
        got = json.loads(run(*explain, "--ip", "198.51.100.8", stdin=delivered(1)))["reputation"]
        tap.eq([t for t in got if t["identity"] == "correspondent"], [],
               "one that only claims to be is not")
    with tap.case("a hostile client of the socket"):
        for junk in (b"\n", b"{}\n", b"[]\n", b"\x00" * 100 + b"\n", b'{"op":"learn"}\n',
                     b'{"op":"learn","size":99999999999}\n', b'{"op":"learn","size":-1}\n',
                     b'{"op":"nope"}\n', b"x" * 200000, b'{"op":"log","limit":"x"}\n',
                     b'{"op":"reputation","keys":[1]}\n', b'{"op":"ping","op":"ping"}\n',
                     b'{"op":"learn","class":"spam","user":"u","source":"s","size":5}\nab'):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(10)
            s.connect(path)
            answer = b""
            try:
                s.sendall(junk)
                s.shutdown(socket.SHUT_WR)
                while True:
                    part = s.recv(65536)
                    if not part:
                        break
                    answer += part
            except OSError:
                pass
            s.close()
            for line in answer.splitlines():
                tap.ok("ok" in json.loads(line) or "error" in json.loads(line),
                       "an answer to %r" % junk[:40])
        tap.match(run("doctor", "--learning"), "daemon: answers", "the daemon lives")
    with tap.case("two at once"):
        out = subprocess.run([SPAMSCORE, "db", "--config", d.config_path, "import", "-"],
                             input=b"", capture_output=True, timeout=60, check=False)
        tap.eq(out.returncode, 75, "import waits for the daemon's end")
    d.stop()
    tap.ok(not os.path.exists(path), "the socket is gone with the daemon")
    return run


def without_daemon(run):
    mail = os.path.join(DIRECTORY, "mail")
    with tap.case("no daemon"):
        tap.match(run("doctor", "--learning"), "daemon: does not run", "the doctor says that none runs")
        tap.match(run("forget", "--user", "ann", mail), "3 messages, 3 changed",
                  "what was said through the daemon is taken back on the files")
        tap.match(run("learn", "--ham", "--user", "ann", mail + "/1"), "1 messages, 1 changed",
                  "learn on the files")
        owner = os.stat(DIRECTORY + "/state")
        for name in os.listdir(DIRECTORY + "/state"):
            st = os.stat(os.path.join(DIRECTORY, "state", name))
            if (st.st_uid, st.st_mode & 0o077) != (owner.st_uid, 0) and name.startswith("spamscore.db"):
                tap.ok(False, "%s is the daemon's alone" % name, oct(st.st_mode), st.st_uid)
    with tap.case("export and import"):
        text = run("db", "export")
        other = os.path.join(DIRECTORY, "other.db")
        run("db", "--db", other, "import", "-", stdin=text.encode())
        tap.eq(run("db", "--db", other, "export"), text, "an import is the export's equal")
        copy = os.path.join(DIRECTORY, "copy.db")
        run("db", "backup", copy)
        tap.eq(run("db", "--db", copy, "export"), text, "so is a backup")
        tap.eq(stat.S_IMODE(os.stat(copy).st_mode), 0o600, "which is private")
        tap.match(run("db", "--db", copy, "check"), "^ok", "and sound")
        broken = text.splitlines()
        broken[2] = broken[2].replace('"row":[', '"row":[7,')
        tap.match(run("db", "--db", other, "import", "-", stdin="\n".join(broken).encode(), code=65),
                  "line 3: ", "a bad line is named")
        tap.eq(run("db", "--db", other, "export"), text, "and nothing of the rest is taken")
        with open(copy, "r+b") as f:
            f.seek(4096)
            f.write(b"\xa5" * 8192)
        run("db", "--db", copy, "check", code=65, label="a damaged file is told")
        p = subprocess.run([SPAMSCORE, "db", "--db", copy, "--config", run.config, "export"],
                           capture_output=True, timeout=60, check=False)
        tap.ok(p.returncode in (0, 65) and b'{"spamscore_db":' in p.stdout,
               "what can be read of it is written out", p.stderr)
        run("db", "--db", DIRECTORY + "/none.db", "check", code=66, label="no file")


def keyed():
    d = Daemon("log_addresses keyed\ncontrol_socket %s/run/control.sock\n" % DIRECTORY,
               "header T_TAG Subject =~ /tag.*/\nscore T_TAG 6\nutil_rb_tld example\n"
               "header T_HASH eval:check_hashbl_emails('hash.example', 'raw', 'From')\n"
               "tflags T_HASH net\nscore T_HASH 1\n", directory=DIRECTORY)
    shutil.rmtree(DIRECTORY + "/state")
    d.start()
    run = Run(d.config_path)
    with tap.case("keyed"), d.connect(ip="198.51.100.7") as p:
        p.message(headers(1), BODY, subject="tagme secretly", queue_id="K1",
                  mail="hidden@shop.example", rcpt=("private@example.org",))
        run("db", "check")
        found = []
        for _ in range(50):
            found = rows(run("log", "--json", "--from", "hidden@shop.example"))
            if found:
                break
            time.sleep(0.1)
        tap.eq([r["queue_id"] for r in found], ["K1"], "found by who knows the address")
        text = run("--explain", "--id", found[0]["id"], "--json")
        tap.match(text, '"T_TAG"', "the rule is there")
        tap.match(text, '"hash.example"', "and the list of hashes")
        for word in ("secretly", "hidden@", "private@", "news@", "an offer"):
            tap.ok(word not in text, "%r is not" % word, text)
    d.stop()
    with tap.case("keyed files"):
        blob = b"".join(open(os.path.join(DIRECTORY, "state", n), "rb").read()
                        for n in os.listdir(DIRECTORY + "/state") if n != "model")
        for word in (b"hidden@", b"private@", b"secretly"):
            tap.ok(word not in blob, "%r stands in no file" % word)


DIRECTORY = tempfile.mkdtemp(prefix="spamscore-state-")
try:
    without_daemon(with_daemon())
    keyed()
finally:
    shutil.rmtree(DIRECTORY, ignore_errors=True)
raise SystemExit(tap.done())
