#!/usr/bin/python3
"""Anonymous resident memory of the daemon with SpamAssassin's stock rules and
their databases, while several connections hand it real mail: RssAnon of
/proc/PID/status, which leaves out what is only mapped from files.

The bar holds under load and at rest, behind reloads too. While a reload reads
the new ruleset beside the old there are two of them for a second: that figure
is printed.
"""
import os
import re
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, ".."))
from milter_peer import Daemon, Tap, as_postfix, skip_all  # noqa: E402
from tap import SPAMSCORE, corpus  # noqa: E402

RULES = "/usr/share/spamassassin"
CONNECTIONS, MAILS, RELOADS, BAR_MB = 8, 400, 3, 120
tap = Tap()


def mails():
    """MAILS messages, evenly from all corpora"""
    paths = []
    for name in ("spamassassin", "lore", "nasty"):
        where = corpus(name)
        if where is not None:
            paths += sorted(os.path.join(top, f) for top, _, files in os.walk(where)
                            for f in files if f not in ("ORDER", "README.md"))
    return paths[::max(1, len(paths) // MAILS)][:MAILS]


class Memory:
    """The largest RssAnon since begin(), in MB, read every few milliseconds"""

    def __init__(self, pid):
        self.pid, self.most, self.over = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def now(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1)) / 1024

    def watch(self):
        while not self.over.wait(0.005):
            self.most = max(self.most, self.now())

    def begin(self):
        self.most = self.now()

    def close(self):
        self.over.set()
        self.thread.join()


def hand_in(d, paths):
    """All of them over CONNECTIONS at once; how many were answered."""
    answered = []

    def one(own):
        with d.connect() as p:
            for path in own:
                with open(path, "rb") as f:
                    fields, body = as_postfix(f.read())
                answered.append(p.message(headers=fields, body=body).reply)
    threads = [threading.Thread(target=one, args=(paths[i::CONNECTIONS],)) for i in range(CONNECTIONS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return len(answered)


def hold(what, mb):
    tap.ok(mb <= BAR_MB, f"{what}: {mb:.1f} MB, bar {BAR_MB} MB")


def main():
    if not os.path.isdir(RULES):
        skip_all(f"{RULES} is not there")
    paths = mails()
    if not paths:
        skip_all("no corpora in SPAMSCORE_SHARED")
    d = Daemon("log_repeat 0\nban_strikes 0\n", "")
    d.rules_path = RULES
    compiled = os.path.join(d.directory, "compiled")
    os.mkdir(compiled, 0o755)
    with open(d.config_path, "a", encoding="utf-8") as f:
        f.write(f"compiled_dir {compiled}\n")
    subprocess.run([SPAMSCORE, "compile", "--rules", RULES, "--dir", compiled], check=True,
                   stdout=subprocess.DEVNULL)
    with d:
        m = Memory(d.process.pid)
        try:
            print(f"# started: {m.now():.1f} MB")
            tap.eq(hand_in(d, paths), len(paths), f"{len(paths)} messages over {CONNECTIONS} connections are answered")
            hold("under load", m.most)
            hold("at rest behind it", m.now())
            for i in range(RELOADS):
                m.begin()
                since = len(d.log)
                d.signal(signal.SIGHUP)
                hand_in(d, paths[i::RELOADS])
                d.wait_log(r"\breloaded\b", since, timeout=60)
                print(f"# while reload {i + 1} had two rulesets, mail meanwhile: {m.most:.1f} MB")
            # a ruleset lives until the last connection that began with it ends
            until = time.monotonic() + 5
            while m.now() > BAR_MB and time.monotonic() < until:
                time.sleep(0.01)
            m.begin()
            tap.eq(hand_in(d, paths), len(paths), "all of it again")
            hold("under load behind the reloads", m.most)
            hold("at rest behind them", m.now())
        finally:
            m.close()
        tap.eq([line for line in d.log if "fault=compiled" in line or " failure=" in line], [],
               "by the databases, and each was scored")
        tap.eq(d.stop(), 0, "and ends well")
    return tap.done()


sys.exit(main())
