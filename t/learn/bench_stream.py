"""Benchmark: the learned model and Debian's bogofilter on the same streams with the same feedback, one row each.

usage: bench_stream.py [--feedback immediate|delayed:N|none] [ORDER...]
Without ORDER: the corpora in $SPAMSCORE_SHARED that have one. A row is 1-ROCA, spam
missed at 0.1 % and 1 % of ham lost, and CPU microseconds a message. Fails when the model is not the better one in 1-ROCA.
"""
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SPAMSCORE, corpus, done, note, ok  # noqa: E402


def streams():
    for name in ("lore", "spamassassin", "foff"):
        place = corpus(name)
        for base, _, files in os.walk(place) if place else ():
            if "ORDER" in files:
                yield os.path.join(base, "ORDER")


def figures(rows):
    """rows: (score, is spam). 1-ROCA and spam missed in percent."""
    rows = sorted(rows)
    spam = sum(y for _, y in rows)
    ham = len(rows) - spam
    wrong = below = i = 0
    while i < len(rows):
        j, h, s = i, 0, 0
        while j < len(rows) and rows[j][0] == rows[i][0]:
            s, h, j = s + rows[j][1], h + (not rows[j][1]), j + 1
        wrong, below, i = wrong + h * (below + s / 2), below + s, j
    missed = []
    for level in (0.001, 0.01):
        lost, at = int(level * ham + 1e-9), sorted((s for s, y in rows if not y), reverse=True)
        missed.append(100 * sum(1 for s, y in rows if y and s <= at[lost]) / max(1, spam))
    return 100 * wrong / max(1, ham * spam), *missed


def bogofilter(order, feedback):
    delay = int(feedback[8:]) if feedback.startswith("delayed:") else 0
    here, rows, waiting = os.path.dirname(order), [], []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as d:
        base = ["bogofilter", "-C", "-d", d]
        for line in open(order):
            label, path = line.rstrip("\n").split("\t")
            path = os.path.join(here, path)
            out = subprocess.run([*base, "-T", "-I", path], capture_output=True, text=True).stdout.split()
            rows.append((float(out[1]) if len(out) > 1 else 0.5, label == "spam"))
            if feedback == "none":
                continue
            waiting.append((label, path))
            if len(waiting) > delay:
                label, path = waiting.pop(0)
                subprocess.run([*base, "-s" if label == "spam" else "-n", "-I", path])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return *figures(rows), 1e6 * cpu / max(1, len(rows))


def model(order, feedback):
    out = subprocess.run([SPAMSCORE, "evaluate", "--stream", order, "--feedback", feedback, "--no-rules", "--json"],
                         capture_output=True, check=True).stdout
    row = json.loads(out)
    return row["roca_pct"], row["spam_missed_pct"]["0.1"], row["spam_missed_pct"]["1"], row["cpu_us_per_message"]


args, feedback = sys.argv[1:], "immediate"
if args[:1] == ["--feedback"]:
    feedback, args = args[1], args[2:]
orders = [os.path.abspath(a) for a in args] or list(streams())
if not orders:
    print("1..0 # SKIP no stream: $SPAMSCORE_SHARED has no corpora")
    sys.exit(0)
note(f"{'stream':24} {'filter':11} 1-ROCA %  missed at 0.1 %   at 1 %   cpu us")
for order in orders:
    name = os.path.basename(os.path.dirname(order))
    rows = {"spamscore": model(order, feedback)}
    if shutil.which("bogofilter"):
        rows["bogofilter"] = bogofilter(order, feedback)
    for who, (roca, tenth, one, cpu) in rows.items():
        note(f"{name:24} {who:11} {roca:8.4f}  {tenth:15.2f} {one:8.2f} {cpu:8.0f}")
    if "bogofilter" in rows:
        ok(rows["spamscore"][0] < rows["bogofilter"][0], f"{name}: better than bogofilter")
    else:
        ok(True, f"{name}: bogofilter # SKIP bogofilter is not installed")
done()
