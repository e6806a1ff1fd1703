"""spamscore tune beside a learned model: it counts as it will for the mail to come, and no message is judged by what its own label taught."""
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SPAMSCORE, done, note, ok, run, same  # noqa: E402
from words import HAM, SPAM  # noqa: E402

tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
os.environ["TMPDIR"] = tmp.name
rng = random.Random(11)
YEAR = 365 * 86400
COUNT = 150
with open("r.cf", "w") as f:
    f.write("body SIGN /\\bsigned\\b/\nscore SIGN 2.5\nbody ALL /\\bhello\\b/\nscore ALL 2.5\nbody OTHER /\\bother\\b/\nscore OTHER 0.5\n")


def mail(path, words, when):
    text = [rng.choice(words) for _ in range(30)] + [f"{rng.randrange(1 << 40):x}" for _ in range(10)]
    stamp = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(when))
    with open(path, "w") as f:
        f.write(f"Received: from a.example ([20.{rng.randrange(250)}.{rng.randrange(250)}.9]) by here.example with SMTP id x; {stamp}\n"
                f"From: p{rng.randrange(1 << 30)}@x{rng.randrange(1 << 30)}.example\nTo: me@home.example\n"
                f"Subject: {rng.choice(words)}\nMessage-ID: <{path}@x.example>\n\n{' '.join(text)}\n")


def corpus(name, words, start):
    """words and start: of ham, of spam"""
    for k, label in enumerate(("ham", "spam")):
        os.makedirs(f"{name}/{label}")
        for i in range(COUNT):
            mail(f"{name}/{label}/{i:04}", words[k](), start[k] + i * 7200)
    os.mkdir(f"{name}.state")
    with open(f"{name}.conf", "w") as f:
        f.write(f"state_dir {tmp.name}/{name}.state\nlearned_size 2000000\nlabel_rate 0\n")
    for label in ("ham", "spam"):
        code, out, err = run(SPAMSCORE, "learn", "--" + label, "--config", f"{name}.conf", f"{name}/{label}")
        same(code, 0, f"{name}: learn {label}") or note((out, err))


def tune(name, *more):
    code, out, err = run(SPAMSCORE, "tune", "--config", f"{name}.conf", "--rules", "r.cf", "--offline", "--now", "1795000000",
                         "--ham", f"{name}/ham", "--spam", f"{name}/spam", "--cache", "none", "--output", f"{name}.cf", "--json", *more)
    same((code, err), (0, b""), f"{name}: tune " + " ".join(more))
    return json.loads(out)


# three years between spam and ham: until the last of the spam came, no ham was learned
corpus("years", (lambda: HAM * 3 + ["hello", "other"], lambda: SPAM * 3 + ["signed", "other"]),
       (1660000000 + 3 * YEAR, 1660000000))
bare, with_model = tune("years", "--model", "none"), tune("years")
missed = [r["compare"]["before"]["spam_missed"] for r in (bare, with_model)]
ok(missed[0]["of"] == missed[1]["of"] >= 20 and missed[0]["share"] == 1, "by rules alone all spam is missed") or note(missed)
ok(missed[1]["share"] < 0.5, "held-out spam of earlier years is judged by a model that knows ham") or note(missed)
ok(with_model["fit"]["cost_before"] < 0.7 * bare["fit"]["cost_before"], "and so is the spam that is fitted to") or \
    note((bare["fit"]["cost_before"], with_model["fit"]["cost_before"]))
os.rename("years.cf", "once.cf")
tune("years", "--jobs", "2")
with open("once.cf", "rb") as a, open("years.cf", "rb") as b:
    same(a.read(), b.read(), "the same bytes again")

# what it remembers meanwhile finds no room: no file may grow beyond 200,000 bytes
p = subprocess.run([SPAMSCORE, "tune", "--config", "years.conf", "--rules", "r.cf", "--offline", "--ham", "years/ham", "--spam", "years/spam",
                    "--cache", "none", "--output", "full.cf"], capture_output=True, restore_signals=False, timeout=100, check=False,
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000)))
same(p.returncode, 74, "no room for the scratch database") or note(p)
ok(re.fullmatch(rb'spamscore: state database "\S+/db" is not available: is there room in its directory\?\n', p.stderr), "is said") or note(p.stderr)
same([n for n in os.listdir(".") if n.startswith(("full", "spamscore-"))], [], "and nothing is left behind")
p = run(SPAMSCORE, "tune", "--config", "years.conf", "--rules", "r.cf", "--offline", "--ham", "years/ham", "--spam", "years/spam", "--dry-run",
        env={"TMPDIR": "nowhere"})
ok(p[0] == 73 and re.fullmatch(rb'spamscore: cannot make "nowhere/spamscore-tune\.\w{6}": No such file or directory\n', p[2]), "nor a directory") or note(p)

# labels that no text tells: 2.5 for all, and up to 4 points more for whoever knows the label
corpus("noise", (lambda: ["hello", "other", "word"],) * 2, (1660000000, 1660000000))
result = tune("noise")
before = result["compare"]["before"]
ok(before["spam_missed"]["share"] > 0.5 and result["fit"]["cost_before"] > 0.25, "no message is known by its own label") or \
    note((before, result["fit"]["cost_before"]))
done()
