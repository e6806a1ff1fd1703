#!/usr/bin/python3
"""spamscored against a scripted MTA: verdicts, edits, and everything that an
MTA or a network may do to a connection."""
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from milter_peer import (ALL_PROTOCOL, LEADSPC, NR_BODY, NR_EOH, NR_HDR, STAGES,  # noqa: E402
                         RULES as BASE_RULES, Closed, Daemon, Peer, Tap)

RULES = BASE_RULES + r"""body T_LATE /late marker/
score T_LATE 6
header T_FROM EnvelopeFrom =~ /\xc3\xbcser\@/
score T_FROM 6
"""
CONFIG = """greylist_delay 1s
mynetworks 192.0.2.128/25
trusted_networks 198.51.100.0/24
authserv_id mx.example.org
scan_size 64k
log_repeat 0
"""
tap = Tap()


def names(result):
    return [n for (kind, n, _) in result.edits if kind == "insert"]


def test_negotiation(d):
    with tap.case("negotiation"), Peer(d.address()) as p:
        p.negotiate()
        for bit, word in ((LEADSPC, "leading space"), (NR_HDR, "no reply to header"),
                          (NR_EOH, "no reply to eoh"), (NR_BODY, "no reply to body")):
            tap.ok(p.protocol & bit, "asks for " + word)
        tap.eq(p.actions & 0xFF, 0x11, "asks to add and to change header fields, no more")
        tap.match(p.symlists.get(5), r"\bi\b", "asks for the queue id at end of message")
    with tap.case("an MTA without the means"), Peer(d.address()) as p:
        try:
            p.negotiate(protocol=ALL_PROTOCOL & ~LEADSPC)
            tap.ok(False, "an MTA that eats leading spaces is refused")
        except (Closed, AssertionError):
            tap.ok(True, "an MTA that eats leading spaces is refused")


def test_actions(d):
    with tap.case("actions"), d.connect() as p:
        r = p.message()
        tap.eq(r.reply, "c", "a clean message passes")
        tap.eq(names(r), ["X-Spam-Status", "X-Spam-Score", "Authentication-Results"],
               "fields of a clean message, the first inserted last")
        tap.eq(r.inserted("X-Spam-Score"), [" 0.0"], "its score")
        tap.match(r.inserted("X-Spam-Status")[0], r"^ No, score=0\.0 required=5\.0 tests=",
                  "its status")
        tap.match(r.inserted("Authentication-Results")[0], r"^ mx\.example\.org;",
                  "the results carry our authserv-id")

        r = p.message(subject="tagme")
        tap.eq(r.reply, "c", "a tagged message passes")
        tap.eq(r.inserted("X-Spam-Flag"), [" YES"], "and is flagged")
        tap.match(r.inserted("X-Spam-Status")[0], r"^ Yes, score=6\.0 required=5\.0 tests=T_TAG",
                  "and says why")

        since = len(d.log)
        r = p.message(subject="rejectme", queue_id="Q1REJECT")
        tap.match(r.reply, r"^550 5\.7\.1 .*\b[0-9a-f]{20}$", "reject, with a verdict id")
        tap.ok("T_" not in r.reply and "14" not in r.reply.rsplit(" ", 1)[0],
               "no rule and no score in the reply", r.reply)
        tap.eq(r.edits, [], "a rejected message is not edited")
        line = d.wait_log("queue_id=Q1REJECT", since)
        tap.match(line, r"queue_id=Q1REJECT verdict=%s action=reject score=14\.0 client=192\.0\.2\.1 "
                  r"from=sender@example\.test rules=T_REJECT_A,T_REJECT_B" % r.reply[-20:],
                  "the log line has all keys in order")
        again = p.message(subject="rejectme")
        tap.ok(again.reply[-20:] != r.reply[-20:], "each verdict has an id of its own")


def test_greylist(d):
    with tap.case("greylist"), d.connect(ip="192.0.2.77") as p:
        first = time.monotonic()
        r = p.message(subject="deferme")
        tap.match(r.reply, r"^451 4\.7\.1 .*\b[0-9a-f]{20}$", "deferred at first sight")
        tap.ok("T_" not in r.reply, "no rule in the reply", r.reply)
        r = p.message(subject="deferme")
        if time.monotonic() - first < 0.9:
            tap.match(r.reply, r"^451 4\.7\.1 ", "deferred again before greylist_delay")
        time.sleep(max(0, 2.1 - (time.monotonic() - first)))
        r = p.message(subject="deferme")
        tap.eq(r.reply, "c", "taken after greylist_delay")
        tap.eq(r.inserted("X-Spam-Flag"), [" YES"], "and tagged")
        r = p.message(subject="deferme", mail="other@example.test")
        tap.match(r.reply, r"^451 4\.7\.1 ", "another envelope sender is new")
        r = p.message(subject="deferme", rcpt=("user@example.org", "Postmaster@example.org"))
        tap.eq(r.reply, "c", "an exempt recipient: tagged at most")
        r = p.message(subject="rejectme", rcpt=("abuse@example.org",))
        tap.eq((r.reply, r.inserted("X-Spam-Flag")), ("c", [" YES"]),
               "an exempt recipient: not rejected")


def test_forgery(d):
    ours = "Authentication-Results"
    fields = [("Received", " from a by b; Mon, 23 Nov 2026 14:00:00 +0000"),
              ("X-Spam-Flag", " NO"), ("Subject", " x"), ("x-spam-flag", " NO"),
              ("X-SPAM-Status", " No"), (ours, " mx.example.org; spf=pass"),
              (ours, " other.example; spf=pass"), ("X-Spam-Flag", ""),
              ("AUTHENTICATION-RESULTS", " (c) MX.Example.ORG\n\t/1; dkim=pass"),
              ("X-Spam-Anything", " 1"), ("X-Spammer", " kept"), ("From", " a@b.example")]
    want = [("delete", "X-Spam-Anything", 1), ("delete", ours, 3), ("delete", "X-Spam-Flag", 3),
            ("delete", ours, 1), ("delete", "X-SPAM-Status", 1), ("delete", "X-Spam-Flag", 2),
            ("delete", "X-Spam-Flag", 1)]
    with tap.case("forged fields"), d.connect() as p:
        r = p.message(headers=fields)
        tap.eq([e for e in r.edits if e[0] == "delete"], want,
               "all that only we may write is deleted, highest index first")
        kinds = [e[0] for e in r.edits]
        tap.eq(kinds, sorted(kinds), "no deletion after an insertion")
        r = p.message(headers=fields, auth="alice")
        tap.eq(r.edits, want, "from an authenticated client: deleted, nothing added")
    with tap.case("forged fields, mynetworks"), d.connect(ip="192.0.2.200") as p:
        r = p.message(headers=fields, body=b"marker in the body\r\n")
        tap.eq((r.reply, r.edits), ("c", want), "from mynetworks: the same")
    with tap.case("many forged fields"), d.connect() as p:
        r = p.message(headers=[(f"X-Spam-N{i}", " x") for i in range(3000)] +
                      [("X-Spam-Same", " x")] * 2000)
        removed = [e for e in r.edits if e[0] == "delete"]
        tap.eq(len(removed), 5000, "five thousand forged fields are deleted")
        tap.eq([e[2] for e in removed[:2000]], list(range(2000, 0, -1)), "from the top down")


def test_not_judged(d):
    with tap.case("not judged"), d.connect() as p:
        since = len(d.log)
        r = p.message(subject="rejectme", auth="alice", queue_id="QAUTH")
        tap.eq((r.reply, r.edits), ("c", []), "an authenticated client is not judged")
        tap.match(d.wait_log("queue_id=QAUTH", since), r"action=accept .*not_judged=authenticated",
                  "the log says so")


def test_bytes(d):
    with tap.case("message bytes"), d.connect() as p:
        r = p.message(headers=[("From", " a@b.example")], body=b"marker in the\r\n body\r\n")
        tap.eq(r.inserted("X-Spam-Flag"), [" YES"], "a body over two lines is one text")
        p.begin()
        p.header("From", " a@b.example")
        p.eoh()
        for c in b"the marker in the body\r\n":
            p.body(bytes([c]))
        tap.eq(p.eom().inserted("X-Spam-Flag"), [" YES"], "chunks of one byte")
        r = p.message(headers=[], body=b"marker in the body\r\n")
        tap.eq(r.inserted("X-Spam-Flag"), [" YES"], "a message without any field is judged")
        r = p.message(headers=[], body=b"")
        tap.eq(r.reply, "c", "nothing at all passes")
        r = p.message(headers=[], body=b"marker in the body\r\n")
        tap.eq(r.inserted("X-Spam-Flag"), [" YES"], "a message without a header is judged")
        r = p.message(mail="\u00fcser@b\u00fccher.example", rcpt=("r\u00fcd@example.org",))
        tap.eq(r.inserted("X-Spam-Flag"), [" YES"], "SMTPUTF8: the envelope is judged")
        r = p.message(mail="")
        tap.eq(r.reply, "c", "the null reverse-path")
        r = p.message(mail="\udcff\udcfe@example.test", headers=[("Subj\xff", " \x01\x7f")])
        tap.eq(r.reply, "c", "bytes that are no UTF-8 in envelope and header")
        r = p.message(rcpt=[f"u{i}@example.org" for i in range(1000)])
        tap.eq(r.reply, "c", "a thousand recipients")
    with tap.case("large messages"), d.connect() as p:
        since = len(d.log)
        r = p.message(body=b"x" * 70 + b"\r\n" + b"line\r\n" * 100000 + b"late marker\r\n",
                      queue_id="QLARGE")
        tap.eq((r.reply, r.inserted("X-Spam-Flag")), ("c", []), "only scan_size is looked at")
        tap.match(d.wait_log("queue_id=QLARGE", since), r"truncated=yes .*size=500\d\d\d ",
                  "and the log says so, with the whole size")
        r = p.message(subject="tagme", body=b"\0" * 300000)
        tap.eq(r.inserted("X-Spam-Flag"), [" YES"], "a body of NULs")
        r = p.message(subject="tagme", body=b"\r" * 5000)
        tap.eq(r.inserted("X-Spam-Flag"), [" YES"], "a body of bare CRs")
        p.begin()
        for i in range(20000):
            p.header("Subject" if i == 0 else "X", " tagme")
        p.eoh()
        tap.eq(p.eom().reply, "c", "twenty thousand fields")
        r = p.message(headers=[("Subject", " tagme" + " y" * 30000)])
        tap.eq(r.inserted("X-Spam-Flag"), [" YES"], "a field of 60 kB")


def test_relay(d):
    """Behind a trusted relay the hop before it is judged and nobody is struck"""
    with tap.case("trusted relay"), d.connect(ip="198.51.100.5", name="relay.example") as p:
        since = len(d.log)
        r = p.message(headers=[("Received", " from spam.example (spam.example [203.0.113.9])\n"
                                "\tby relay.example (Postfix) with ESMTP id 1\n"
                                "\tfor <user@example.org>; Mon, 23 Nov 2026 14:00:00 +0000")] +
                      Peer.DEFAULT_HEADERS, subject="rejectme", queue_id="QRELAY")
        tap.match(r.reply, "^550", "mail through a trusted relay is judged")
        tap.match(d.wait_log("queue_id=QRELAY", since), "client=198.51.100.5 ",
                  "the log has the SMTP client")


def test_lifecycle(d):
    for stage in STAGES[1:-1]:
        with tap.case(f"abort after {stage}"), Peer(d.address()) as p:
            p.until(stage)
            p.header("X-Spam-Old", " 1") if stage == "header" else None
            p.abort()
            if stage == "helo":
                p.abort()  # twice, and without a message
            r = p.message(subject="tagme")
            tap.eq((r.reply, r.inserted("X-Spam-Flag"),
                    [e for e in r.edits if e[0] == "delete"]), ("c", [" YES"], []),
                   f"abort after {stage}: the next message is whole and knows nothing of it")
    for stage in STAGES:
        with tap.case(f"break off after {stage}"), Peer(d.address()) as p:
            p.until(stage)
    with tap.case("one connection, many messages"), d.connect() as p:
        want = [None, "tagme", "rejectme"] * 20
        got = []
        for subject in want:
            r = p.message(subject=subject)
            got.append("rejectme" if r.reply.startswith("550") else
                       "tagme" if r.inserted("X-Spam-Flag") else None)
            if len(got) % 7 == 0:
                p.mail()
                p.abort()
        tap.eq(got, want, "sixty messages on one connection keep apart")
    with tap.case("two MAIL without abort"), d.connect() as p:
        p.begin()
        p.header("X-Spam-Old", " 1")
        r = p.message(subject="tagme")
        tap.eq([e for e in r.edits if e[0] == "delete"], [], "a second MAIL begins anew")
    with tap.case("interleaved"):
        peers = [d.connect(ip=f"192.0.2.{i}") for i in range(1, 31)]
        for p in peers:
            p.begin()
        for i, p in enumerate(peers):
            p.header("Subject", " tagme" if i % 2 else " x")
        for p in peers:
            p.eoh()
            p.packet("E")
        flags = [bool(p.result().inserted("X-Spam-Flag")) for p in peers]
        tap.eq(flags, [bool(i % 2) for i in range(30)], "thirty connections at once keep apart")
        for p in peers:
            p.quit()


def test_garbage(d):
    rnd = random.Random(20261123)
    good = struct.pack("!I", 13) + b"O" + struct.pack("!III", 6, 0x1FF, ALL_PROTOCOL)
    tails = [b"", b"\0", b"\xff" * 4, struct.pack("!I", 0), struct.pack("!I", 0xFFFFFFFF) + b"L",
             struct.pack("!I", 1) + b"C", struct.pack("!I", 5) + b"Cx\0" + b"4\0",
             struct.pack("!I", 3) + b"M\0\0", struct.pack("!I", 2) + b"R\0",
             struct.pack("!I", 2) + b"L\0", struct.pack("!I", 100) + b"Lshort\0",
             struct.pack("!I", 1) + b"\x01", struct.pack("!I", 6) + b"DMi\0x"]
    tails += [bytes(rnd.randrange(256) for _ in range(rnd.randrange(1, 200))) for _ in range(60)]
    for cut in range(len(good)):
        tails.append(good[:cut])
    with tap.case("garbage"):
        for tail in tails:
            for head in (b"", good):
                with Peer(d.address(), timeout=5) as p:
                    try:
                        p.raw(head + tail)
                    except Closed:
                        pass
        # every packet of a message cut short at each byte, then broken off
        with Peer(d.address()) as p:
            p.until("rcpt")
            packet = struct.pack("!I", 12) + b"LSubject\0 x\0"
            for i in range(len(packet)):
                with Peer(d.address()) as q:
                    q.until("rcpt")
                    q.raw(packet[:i])
        with d.connect() as p:
            tap.eq(p.message(subject="tagme").inserted("X-Spam-Flag"), [" YES"],
                   "after garbage and cut packets others are served")
        tap.ok(d.alive(), "and it is the same process")


def test_reload(d):
    config = open(d.config_path, encoding="utf-8").read()
    with tap.case("reload"):
        since = len(d.log)
        with open(d.config_path, "w", encoding="utf-8") as f:
            f.write(config + "tag_score nonsense\nno_such_word 1\n")
        d.signal(signal.SIGHUP)
        d.wait_log("reload failed, the old configuration stays", since)
        lines = config.count("\n")
        text = "\n".join(d.log[since:])
        tap.match(text, rf"spamscore\.conf:{lines + 1}: tag_score", "a bad value, with file and line")
        tap.match(text, rf"spamscore\.conf:{lines + 2}: .*no_such_word", "an unknown word, too")
        with d.connect() as p:
            tap.eq(p.message(subject="tagme").inserted("X-Spam-Flag"), [" YES"],
                   "the old configuration stays after a bad one")
        held = d.connect()
        since = len(d.log)
        with open(d.config_path, "w", encoding="utf-8") as f:
            f.write(config + "tag_score 6.5\n")
        d.signal(signal.SIGHUP)
        d.wait_log(r"\breloaded\b", since)
        with d.connect() as p:
            tap.eq(p.message(subject="tagme").inserted("X-Spam-Flag"), [],
                   "a good configuration takes effect")
        tap.eq(held.message(subject="tagme").inserted("X-Spam-Flag"), [" YES"],
               "a connection keeps the snapshot that it began with")
        held.quit()
        since = len(d.log)
        with open(d.rules_path, "a", encoding="utf-8") as f:
            f.write("header T_BROKEN Subject =~ /(/\n")
        d.signal(signal.SIGHUP)
        d.wait_log("reload failed", since)
        tap.match("\n".join(d.log[since:]), r"rules\.cf:\d+: ", "a broken rule, with file and line")
        for label, bad in (("a meta of itself", "meta T_SELF !T_SELF\n"), ("50 MB", "#" * 50_000_000 + "\n"),
                           ("bytes that are no word", "caf\u00e9 1\n"), ("a million parentheses", "meta T_P " + "(" * 1_000_000 + "\n")):
            since = len(d.log)
            with open(d.rules_path, "w", encoding="latin-1") as f:
                f.write(RULES + bad)
            d.signal(signal.SIGHUP)
            d.wait_log("reload failed", since)
            tap.match("\n".join(d.log[since:]), r"rules\.cf:[1-9]\d*: ", f"{label}: file and line")
            with d.connect() as p:
                tap.eq(p.message(subject="rejectme").reply[:3], "550", f"{label}: the old rules serve")
        with open(d.rules_path, "w", encoding="utf-8") as f:
            f.write(RULES)
        with open(d.config_path, "w", encoding="utf-8") as f:
            f.write(config)
        since = len(d.log)
        d.signal(signal.SIGHUP)
        d.wait_log(r"\breloaded\b", since)
        for _ in range(20):  # libmilter itself would stop upon SIGHUP
            d.signal(signal.SIGHUP)
        with d.connect() as p:
            tap.eq(p.message(subject="rejectme").reply[:3], "550", "twenty SIGHUPs later it serves")


def test_stop(d):
    with tap.case("SIGTERM in flight"):
        p, idle, other = d.connect(), d.connect(), d.connect(ip="192.0.2.3")
        p.begin()
        p.header("Subject", " tagme")
        d.signal(signal.SIGTERM)
        until = time.monotonic() + 10
        while os.path.exists(d.socket_path) and time.monotonic() < until:
            time.sleep(0.01)
        tap.ok(not os.path.exists(d.socket_path), "after SIGTERM the socket is gone")
        tap.ok(d.alive(), "the daemon waits for the message in flight")
        r = other.message(subject="rejectme")
        tap.eq((r.reply, r.inserted("X-Spam-Status")), ("c", []),
               "a message begun after SIGTERM: unscored, on_failure accept")
        p.eoh()
        p.body(b"text\r\n")
        tap.eq(p.eom().inserted("X-Spam-Flag"), [" YES"], "the message in flight gets its verdict")
        tap.eq(d.process.wait(10), 0, "then the daemon ends well")
        idle.close()


def test_failures():
    """message_memory is the one limit that a test can reach at will"""
    rcpt = ["%s%d@example.org" % ("r" * 400, i) for i in range(3000)]
    for word, reply in (("accept", "^c$"), ("tempfail", r"^451 4\.3\.1 ")):
        config = CONFIG + f"on_failure {word}\nmessage_memory 1m\n"
        with tap.case("failure " + word), Daemon(config, RULES) as d, d.connect() as p:
            r = p.message(headers=[("X-Spam-Flag", " NO"), ("Subject", " tagme")], rcpt=rcpt,
                          queue_id="QFAIL")
            tap.match(r.reply, reply, f"out of memory, on_failure {word}")
            if word == "accept":
                tap.eq(r.edits, [("delete", "X-Spam-Flag", 1)],
                       "unscored mail carries no stranger's verdict")
            tap.match(d.wait_log("queue_id=QFAIL"), rf"action={word} score=- .*failure=memory",
                      "the log says which failure")
            tap.eq(p.message(subject="tagme").inserted("X-Spam-Flag"), [" YES"],
                   "the next message is judged")


def test_observe():
    config = CONFIG + "action observe\n"
    with tap.case("observe"), Daemon(config, RULES) as d, d.connect() as p:
        r = p.message(headers=[("X-Spam-Flag", " NO"), ("Subject", " rejectme")], queue_id="QOBS")
        tap.eq((r.reply, r.edits), ("c", []), "observe never acts and never edits")
        tap.match(d.wait_log("queue_id=QOBS"), r"action=accept score=14\.0 .*would_action=reject",
                  "but logs what it would have done")


def test_start():
    with tap.case("bad start"):
        d = Daemon("reject_score 1\nlisten nowhere\n", RULES)
        d.start(ready=False)
        tap.eq(d.process.wait(20), 78, "a bad configuration: exit 78")
        d.reader.join(5)
        tap.match("\n".join(d.log), r"spamscore\.conf:\d+: listen", "and why")
        d.remove()
        d = Daemon("", "header T Subject =~ /(/\n")
        d.start(ready=False)
        tap.eq(d.process.wait(20), 78, "broken rules: exit 78")
        d.reader.join(5)
        tap.match("\n".join(d.log), r"rules\.cf:1: ", "with file and line")
        d.remove()
    with tap.case("two daemons"), Daemon(CONFIG, RULES) as d:
        second = Daemon(CONFIG, RULES, directory=d.directory)
        second.start(ready=False)
        tap.eq(second.process.wait(20), 69, "a second daemon on the same state: exit 69")
        with d.connect() as p:
            tap.eq(p.message().reply, "c", "and the first one still has its socket")
    with tap.case("TCP"):
        import socket
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        s.close()
        with Daemon(CONFIG, RULES, listen=f"inet:{port}@127.0.0.1") as d, d.connect() as p:
            tap.eq(p.message(subject="tagme").inserted("X-Spam-Flag"), [" YES"], "over TCP")
    if os.geteuid() == 0:
        with tap.case("privileges"), Daemon(CONFIG, RULES) as d:
            status = open(f"/proc/{d.process.pid}/status", encoding="ascii").read()
            uid = re.search(r"^Uid:\s+(.*)$", status, re.M).group(1).split()
            tap.ok(len(set(uid)) == 1 and uid[0] != "0", "no user id of root is left", uid)
            for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
                tap.eq(int(re.search(rf"^{name}:\s+(\w+)", status, re.M).group(1), 16), 0,
                       f"no capability in {name}")
            tap.match(status, r"(?m)^NoNewPrivs:\s+1", "no new privileges")
            groups = re.search(r"^Groups:[ \t]*(.*)$", status, re.M).group(1).split()
            tap.ok("0" not in groups, "not in root's group", groups)
            mode = os.stat(d.socket_path).st_mode & 0o777
            tap.eq(oct(mode), "0o660", "the socket is for user and group only")
    else:
        tap.skip("privileges", "not root")


def test_daemon():
    """Without --foreground, under systemd's protocol, and without root"""
    with tap.case("daemon"):
        d = Daemon(CONFIG, RULES)
        command = [os.path.join(os.environ.get("SPAMSCORE_BUILD", "build"), "milter", "spamscored"),
                   "--config", d.config_path, "--rules", d.rules_path, "--offline"]
        p = subprocess.run(command, timeout=60, check=False, capture_output=True, text=True)
        tap.eq(p.returncode, 0, "the starting process ends when the daemon is ready")
        with d.connect() as c:
            tap.eq(c.message(subject="tagme").inserted("X-Spam-Flag"), [" YES"], "which serves")
        with open(os.path.join(d.directory, "state", "spamscored.lock"), encoding="ascii") as f:
            pid = int(f.read())
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 20
        while os.path.exists(f"/proc/{pid}/stat") and time.monotonic() < until:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                if f.read().rsplit(") ", 1)[1][0] == "Z":
                    break  # nobody waits for it in a container
            time.sleep(0.02)
        tap.ok(time.monotonic() < until, "and ends upon SIGTERM")
        d.write_config("tag_score x\n")
        p = subprocess.run(command, timeout=60, check=False, capture_output=True, text=True)
        tap.eq(p.returncode, 78, "a bad configuration: the starting process exits 78")
        tap.match(p.stderr, r"spamscore\.conf:\d+: tag_score", "and says why")
        d.remove()
    with tap.case("systemd"):
        import socket
        d = Daemon(CONFIG, RULES)
        path = os.path.join(d.directory, "notify")
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.settimeout(20)
        s.bind(path)
        os.chmod(path, 0o666)
        os.environ["NOTIFY_SOCKET"] = path
        d.start(ready=False)
        del os.environ["NOTIFY_SOCKET"]
        tap.eq(s.recv(1000), b"READY=1", "systemd is told when it is ready")
        d.signal(signal.SIGHUP)
        tap.match(s.recv(1000).decode(), r"^RELOADING=1\nMONOTONIC_USEC=\d+$", "that it reloads")
        tap.eq(s.recv(1000), b"READY=1", "that it is ready again")
        d.signal(signal.SIGTERM)
        tap.eq(s.recv(1000), b"STOPPING=1", "and that it stops")
        tap.eq(d.stop(), 0, "which it does")
        d.remove()
    if os.geteuid() == 0 and shutil.which("setpriv"):
        with tap.case("not root"):
            # as the unit does: the user, and a setgid directory made before
            d = Daemon(CONFIG, RULES, wrapper=["setpriv", "--reuid=65534", "--regid=65534",
                                               "--clear-groups", "--"])
            for name, mode in (("state", 0o750), ("run", 0o2750)):
                os.mkdir(os.path.join(d.directory, name))
                os.chown(os.path.join(d.directory, name), 65534, 4 if name == "run" else 65534)
                os.chmod(os.path.join(d.directory, name), mode)
            d.write_config(CONFIG + "socket_group adm\n")
            with d, d.connect() as c:
                tap.eq(c.message(subject="tagme").inserted("X-Spam-Flag"), [" YES"],
                       "started by a user that is not root")
                tap.eq((os.stat(d.socket_path).st_gid, os.stat(d.socket_path).st_mode & 0o777),
                       (4, 0o660), "the socket has the directory's group")
    else:
        tap.skip("not root", "needs root and setpriv")


def main():
    test_start()
    test_daemon()
    with Daemon(CONFIG, RULES) as d:
        for test in (test_negotiation, test_actions, test_greylist, test_forgery,
                     test_not_judged, test_bytes, test_relay, test_lifecycle, test_garbage,
                     test_reload):
            test(d)
        test_stop(d)
        # what a sanitizer has to say stands in the log
        bad = [line for line in d.log if re.search("Sanitizer|runtime error", line)]
        tap.eq(bad, [], "no sanitizer report")
    test_failures()
    test_observe()
    return tap.done()


sys.exit(main())
