"""A daemon with rules, tuned scores and a control socket where its configuration says they are, and a week of mail for it."""
import json
import os
import random
import re
import socket
import sqlite3
import subprocess
import time

from milter_peer import BUILD, Daemon

SPAMSCORE = os.path.abspath(os.path.join(BUILD, "cli", "spamscore"))

# for send_week(): odd is spam that is missed, news good mail that is tagged
WEEK_RULES = """header T_ODD Subject =~ /odd/
score T_ODD 2
header T_NEWS Subject =~ /news/
score T_NEWS 6
"""
# all of it comes from one client, at one moment
WEEK_CONFIG = "log_repeat 0\nlabel_rate 0\nreputation_max 0\n"


def ask(path, *requests):
    """The answers of a control socket, each to one line."""
    out = []
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(path)
        f = s.makefile()
        for r in requests:
            s.sendall(json.dumps(r).encode() + b"\n")
            out.append(json.loads(f.readline()))
    return out


def send_week(peer, ham, spam, tag=""):
    """Mail of many senders."""
    kinds = ["plain"] * (ham - ham // 8) + ["news"] * (ham // 8) + ["odd"] * spam
    rng = random.Random(tag)  # the newest are held out: some of each must be among them
    rng.shuffle(kinds)
    for i, kind in enumerate(kinds):
        peer.message(headers=[("From", " a@%s%d%s.example" % (kind, i, tag)),
                              ("Message-ID", " <%s%d%s@x.example>" % (kind, i, tag)),
                              ("Subject", " %s %d%s" % (kind, i, tag))],
                     body=" ".join("w%d" % rng.randrange(3000) for _ in range(40)).encode(),
                     mail="a@%s%d%s.example" % (kind, i, tag), queue_id="Q%s%d%s" % (kind, i, tag))
    return len(kinds)


def wait_week(path, count, tag=""):
    """Its rows of the log, when all are there."""
    mine = []
    for _ in range(200):
        rows = ask(path, {"op": "log", "limit": 5000})[0]["rows"]
        mine = [r for r in rows if re.match(r"Q(plain|news|odd)\d+%s$" % tag, r["queue_id"])]
        if len(mine) == count:
            return mine
        time.sleep(0.05)
    raise AssertionError("%d of %d messages are in the log" % (len(mine), count))


def label_week(path, rows):
    got = ask(path, *[{"op": "learn", "class": "spam" if "odd" in r["queue_id"] else "ham",
                       "user": "ann", "source": "test", "id": r["id"]} for r in rows])
    assert all(g.get("ok") for g in got), got[:3]


def spread_mail(database, seconds):
    """The verdicts of a moment, as if they had come over days."""
    with sqlite3.connect(database, timeout=20) as db:
        most = db.execute("SELECT max(number) FROM verdict").fetchone()[0]
        db.execute("UPDATE verdict SET time=time-(?-number)*?/?", (most, seconds, most))


class Configured(Daemon):
    def __init__(self, rules, config=""):
        super().__init__(rules=None)
        self.tuned = os.path.join(self.directory, "tuned")
        self.control = os.path.join(self.directory, "run", "control.sock")
        os.makedirs(os.path.join(self.directory, "rules.d"))
        os.makedirs(self.tuned)
        self.write("rules.d/rules.cf", rules)
        self.write_config("rules_dir %s/rules.d\ntuned_dir %s\ncontrol_socket %s\n%s" %
                          (self.directory, self.tuned, self.control, config))

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.rename(path + ".new", path)

    def read(self, name):
        try:
            with open(os.path.join(self.directory, name), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None

    def run(self, *args, code=0):
        """What `spamscore ARGS` says, on both streams."""
        p = subprocess.run([SPAMSCORE, args[0], "--config", self.config_path, *args[1:]],
                           capture_output=True, timeout=120, check=False)
        said = p.stdout.decode() + p.stderr.decode()
        if p.returncode != code:
            raise AssertionError("%s: exit %d, want %d: %s" % (" ".join(args), p.returncode, code, said))
        return said

    def ask(self, *requests):
        return ask(self.control, *requests)

    def score(self, subject):
        with self.connect() as p:
            return p.message(subject=subject).inserted("X-Spam-Score")[0].strip()
