#!/usr/bin/python3
"""The state database is locked by another process for so many seconds (argv):
mail flows as before, the log says it once, and afterwards nothing is missing."""
import os
import sqlite3
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from milter_peer import Daemon, Tap  # noqa: E402

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 60
tap = Tap()


def logged(path):
    db = sqlite3.connect(path)
    try:
        return db.execute("SELECT count(*) FROM verdict").fetchone()[0]
    finally:
        db.close()


def main():
    rules = "header BAD Subject =~ /tagme/\nscore BAD 6\n"
    with tap.case("locked"), Daemon("log_repeat 1s\n", rules) as d, d.connect(ip="203.0.113.9") as p:
        count = 0

        def send():
            nonlocal count
            begun = time.monotonic()
            r = p.message(subject="tagme", queue_id=f"Q{count}", mail=f"a{count}@example.net")
            count += 1
            return r.inserted("X-Spam-Flag") == [" YES"], time.monotonic() - begun
        tap.ok(send()[0], "before")
        path = os.path.join(d.directory, "state", "spamscore.db")
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA busy_timeout=20000")
        db.execute("BEGIN EXCLUSIVE")
        begun, results, times = time.monotonic(), [], []
        while time.monotonic() < begun + SECONDS:
            good, took = send()
            results.append(good)
            times.append(took)
            time.sleep(0.05)
        said = [line for line in d.log if "fault=store error=" in line]
        db.execute("ROLLBACK")
        db.close()
        times.sort()
        print(f"# {len(results)} messages in {SECONDS:.0f} s: median {times[len(times) // 2] * 1000:.1f} ms, "
              f"worst {times[-1] * 1000:.1f} ms")
        tap.eq(set(results), {True}, "all of them were judged and tagged")
        tap.ok(times[-1] < 2, "and none waited for the lock")
        tap.ok(SECONDS < 2 or len(said) == 1, "the log says once that it is locked", *said)
        tap.ok(send()[0], "after")
        end = time.monotonic() + 30
        while logged(path) < count and time.monotonic() < end:
            time.sleep(0.2)
        tap.eq(logged(path), count, "every verdict is in the log")
        tap.ok(d.alive(), "the daemon lives")
    return tap.done()


sys.exit(main())
