#!/usr/bin/python3
"""Moving mail to Junk and back in Debian's Dovecot teaches the daemon; what
fails is said. Root; Dovecot on loopback in a folder of its own."""
import imaplib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "milter"))
from milter_peer import BUILD, Daemon, Tap, skip_all  # noqa: E402

SOURCE = os.environ.get("SPAMSCORE_SOURCE", ".")
SPAMSCORE = os.path.abspath(os.path.join(BUILD, "cli", "spamscore"))
DOVECOT = shutil.which("dovecot") or "/usr/sbin/dovecot"
if os.geteuid() != 0:
    skip_all("needs root")
if not os.path.exists(DOVECOT) or not shutil.which("sievec"):
    skip_all("needs dovecot-imapd and dovecot-sieve")
if not any(os.path.exists("/usr/lib/dovecot/modules/" + n) for n in ("lib95_imap_sieve_plugin.so",)):
    skip_all("needs Dovecot's imap_sieve plugin")

tap = Tap()
D = tempfile.mkdtemp(prefix="spamscore-dovecot-")
os.chmod(D, 0o755)
MAIL_UID = MAIL_GID = 8  # Debian's "mail"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


PORT = free_port()


def dovecot_config():
    with open(SOURCE + "/dist/dovecot/90-spamscore.conf", encoding="ascii") as f:
        snippet = f.read()
    snippet = snippet.replace("/etc/dovecot/spamscore", D + "/sieve")
    snippet = snippet.replace("/usr/lib/spamscore/dovecot", D + "/bin")
    os.makedirs(D + "/sieve")
    os.makedirs(D + "/bin")
    os.makedirs(D + "/mail")
    os.chown(D + "/mail", MAIL_UID, MAIL_GID)
    for name in ("learn-spam.sieve", "learn-ham.sieve"):
        shutil.copy(SOURCE + "/dist/dovecot/" + name, D + "/sieve/" + name)
    with open(SOURCE + "/dist/dovecot/spamscore-learn", encoding="ascii") as f:
        script = f.read().replace("/usr/bin/spamscore", D + "/bin/spamscore")
    script = script.replace("logger ", "false ")  # the machine's log is not ours
    with open(D + "/bin/spamscore-learn", "w", encoding="ascii") as f:
        f.write(script)
    with open(D + "/bin/spamscore", "w", encoding="ascii") as f:
        f.write('#!/bin/sh\nverb=$1\nshift\nexec %s "$verb" --config %s "$@"\n' %
                (SPAMSCORE, D + "/spamscore.conf"))
    for name in ("spamscore-learn", "spamscore"):
        os.chmod(D + "/bin/" + name, 0o755)
    with open(D + "/dovecot.conf", "w", encoding="ascii") as f:
        f.write(f"""
base_dir = {D}/run-dovecot
state_dir = {D}/state-dovecot
log_path = {D}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:{D}/mail/%u
service imap-login {{
  inet_listener imap {{
    port = {PORT}
  }}
  inet_listener imaps {{
    port = 0
  }}
  chroot =
}}
service anvil {{
  chroot =
}}
passdb {{
  driver = static
  args = password=test
}}
userdb {{
  driver = static
  args = uid={MAIL_UID} gid={MAIL_GID} home={D}/mail/%u
}}
namespace inbox {{
  inbox = yes
  mailbox Junk {{
    auto = create
  }}
  mailbox Trash {{
    auto = create
  }}
}}
""" + snippet)
    for name in ("learn-spam", "learn-ham"):
        subprocess.run(["sievec", "-c", D + "/dovecot.conf", D + "/sieve/" + name + ".sieve"],
                       check=True, timeout=30)


def start_dovecot():
    p = subprocess.Popen([DOVECOT, "-F", "-c", D + "/dovecot.conf"], stdin=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", PORT), timeout=5).close()
            return p
        except OSError:
            time.sleep(0.05)
    raise AssertionError("dovecot does not listen")


def run(*args):
    p = subprocess.run([SPAMSCORE, args[0], "--config", D + "/spamscore.conf", *args[1:]],
                       capture_output=True, timeout=60, check=False)
    return p.stdout.decode() + p.stderr.decode()


def counts():
    row = json.loads(run("reputation", "--json", "show", "ip:198.51.100.7"))
    return round(row["ham"], 1), round(row["spam"], 1)


def wait_counts(want, label):
    got = None
    for _ in range(100):
        got = counts()
        if got == want:
            break
        time.sleep(0.1)
    log = ""
    if got != want and os.path.exists(D + "/dovecot.log"):
        with open(D + "/dovecot.log", encoding="utf-8") as f:
            log = f.read()[-2000:]
    tap.ok(got == want, label, " got: %r" % (got,), "want: %r" % (want,), log)


HEADERS = [("From", " Shop <news@shop.example>"), ("To", " <ann@example.org>"),
           ("Subject", " an offer"), ("Date", " Mon, 23 Nov 2026 14:00:00 +0000"),
           ("Message-ID", " <1@shop.example>")]
BODY = b"Some words of an offer\r\nand more\r\n"

d = Daemon("control_socket %s/control/control.sock\ncontrol_group mail\n" % D, "", directory=D)
dovecot = None
try:
    d.start()
    dovecot_config()
    with d.connect(ip="198.51.100.7") as peer:
        tap.eq(peer.message(HEADERS, BODY, queue_id="Q1").reply, "c", "a message is judged")
    dovecot = start_dovecot()
    wait_counts((0.2, 0.0), "and counted a fifth by the filter itself")
    delivered = ("Return-Path: <news@shop.example>\r\nDelivered-To: ann@example.org\r\n" +
                 "".join(k + ":" + v + "\r\n" for k, v in HEADERS) + "\r\n").encode() + BODY
    imap = imaplib.IMAP4("127.0.0.1", PORT)
    imap.login("ann", "test")
    imap.append("INBOX", None, None, delivered)
    imap.select("INBOX")
    tap.eq(imap.uid("MOVE", "1", "Junk")[0], "OK", "MOVE to Junk")
    wait_counts((0.0, 1.0), "teaches that it is spam")
    imap.select("Junk")
    tap.eq(imap.uid("COPY", "1", "Trash")[0], "OK", "COPY to Trash")
    time.sleep(0.5)
    tap.eq(counts(), (0.0, 1.0), "teaches nothing")
    tap.eq(imap.uid("MOVE", "1", "INBOX")[0], "OK", "MOVE back")
    wait_counts((1.0, 0.0), "teaches that it is not")
    imap.select("INBOX")
    imap.uid("COPY", "*", "Junk")
    wait_counts((0.0, 1.0), "COPY to Junk teaches as well")
    imap.append("Junk", None, None, delivered.replace(b"<1@", b"<2@"))
    for _ in range(50):
        if "learning: imap: 4 times" in run("doctor"):
            break
        time.sleep(0.1)
    tap.match(run("doctor"), r"learning: imap: 4 times, last 20", "the doctor knows the source")

    d.process.send_signal(signal.SIGTERM)
    d.process.wait(30)
    imap.select("Junk")
    imap.uid("MOVE", "*", "INBOX")
    said = ""
    for _ in range(100):
        with open(D + "/dovecot.log", encoding="utf-8") as f:
            said = f.read()
        if "spamscore-learn" in said:
            break
        time.sleep(0.1)
    tap.match(said, r"(?s)spamscore-learn.*(exit=\d+|exit status \d+|failed)",
              "teaching without the daemon fails aloud")
    imap.logout()
finally:
    if dovecot is not None:
        dovecot.terminate()
        dovecot.wait(30)
    if d.process is not None and d.process.poll() is None:
        d.stop()
    shutil.rmtree(D, ignore_errors=True)
raise SystemExit(tap.done())
