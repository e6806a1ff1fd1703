#!/usr/bin/python3
"""The daemon teaches itself when it is told to: what the rules alone are sure of, in the log and for the doctor, below
people's labels and taken back like them."""
import json
import os
import re
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from milter_peer import BUILD, Daemon, Tap  # noqa: E402

RULES = r"""
header T_GOOD Subject =~ /good/
score T_GOOD -3
header T_BAD Subject =~ /bad/
score T_BAD 7
body T_PILLS /pills/
score T_PILLS 7
"""
SPAMSCORE = os.path.abspath(os.path.join(BUILD, "cli", "spamscore"))
tap = Tap()


def fields(subject, n):
    return [("From", " a@b.example"), ("To", " user@example.org"), ("Subject", " " + subject),
            ("Date", " Mon, 23 Nov 2026 14:00:00 +0000"), ("Message-ID", " <%d@b.example>" % n)]


def run(d, *args, stdin=b"", code=0):
    p = subprocess.run([SPAMSCORE, args[0], "--config", d.config_path, *args[1:]], input=stdin,
                       capture_output=True, timeout=60, check=False)
    if p.returncode != code:
        tap.ok(False, " ".join(args), p.returncode, p.stdout, p.stderr)
    return p.stdout.decode()


def text(subject, n, body):
    return ("".join(k + ":" + v + "\n" for k, v in fields(subject, n)) + "\n" + body).encode()


def send(d, subject, n, body):
    at = len(d.log)
    with d.connect() as mta:
        mta.message(headers=fields(subject, n), body=body.replace("\n", "\r\n").encode(), queue_id="Q%d" % n)
    return d.wait_log("queue_id=Q%d " % n, since=at)


def lessons(d, count):
    """When the writer has come so far"""
    path = os.path.join(d.directory, "state", "spamscore.db")
    for _ in range(100):
        db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
        found = db.execute("SELECT spam,weight FROM lesson WHERE source='auto' ORDER BY event").fetchall()
        db.close()
        if len(found) == count:
            break
        time.sleep(0.05)
    return found


def daemon(settings):
    d = Daemon(rules=RULES)
    with open(d.config_path, encoding="utf-8") as f:
        config = f.read()
    with open(d.config_path, "w", encoding="utf-8") as f:
        f.write(config + settings + "control_socket %s/run/control.sock\nlearned_size 1000000\n" % d.directory)
    return d


for settings, want in (("", False), ("auto_learn yes\n", True)):
    with daemon(settings) as d, tap.case("auto_learn yes" if want else "the default"):
        for n in range(8):
            run(d, "learn", "--spam" if n % 2 else "--ham", "-", stdin=text("by people", n, "words\n"))
        line = send(d, "good news", 100, "words\n")
        tap.eq("autolearn=ham" in line, want, "good mail")
        line = send(d, "bad news", 101, "pills\n")
        tap.eq("autolearn=spam" in line, want, "spam")
        line = send(d, "bad news", 102, "words\n")
        tap.ok("autolearn=" not in line, "points of the header alone")
        found = lessons(d, 2 if want else 0)
        tap.eq(found, [(0, 0.2), (1, 0.2)] if want else [], "lessons at a fifth of a person's weight")
        doctor = run(d, "doctor", "--learning")
        tap.ok(("learning: auto: " in doctor) == want, "the doctor shows it", doctor)
        if not want:
            continue
        out = run(d, "learn", "--spam", "-", stdin=text("good news", 100, "words\n"))
        tap.match(out, "1 messages, 1 changed", "a person says otherwise")
        out = run(d, "forget", "-", stdin=text("bad news", 101, "pills\n"))
        tap.match(out, "1 messages, 1 changed", "what it taught itself is forgotten")
        tap.eq(lessons(d, 0), [], "none of its own is left")
        out = subprocess.run([SPAMSCORE, "learn", "--config", d.config_path, "--ham", "--source", "auto", "-"],
                             input=text("x", 9, "y"), capture_output=True, check=False)
        tap.eq(out.returncode, 65, "nobody else may call himself auto")
with daemon("log_samples 1h\n") as d, tap.case("log_samples"):
    line = send(d, "bad news", 200, "pills\n")
    ident = re.search(r"verdict=(\S+)", line).group(1)
    for _ in range(100):  # the log is written a moment later
        if ident in run(d, "log"):
            break
        time.sleep(0.05)
    out = run(d, "learn", "--spam", "--id", ident, "--json")
    tap.eq((json.loads(out)["taught"], json.loads(out)["known"]), (True, True), "by id: model and reputation")
    out = run(d, "log", "erase", "--address", "a@b.example")
    db = sqlite3.connect("file:%s/state/spamscore.db?mode=ro" % d.directory, uri=True)
    tap.eq(db.execute("SELECT count(*) FROM message_sample").fetchall(), [(0,)], "erased with the verdict")
    db.close()
d = daemon("log_samples 1h\nlog_addresses keyed\n")
d.start(ready=False)
try:
    tap.eq(d.process.wait(30), 78, "not with log_addresses keyed")
finally:
    d.stop()
    d.remove()
tap.done()
