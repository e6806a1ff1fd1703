"""spamscore evaluate: figures, feedback modes, files, errors; no network."""
import json
import os
import random
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SPAMSCORE, done, note, ok, run, same  # noqa: E402
from words import HAM, SPAM  # noqa: E402

tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
os.environ["TMPDIR"] = tmp.name
rng = random.Random(11)
PLAIN = "the and for you with this from have your will".split()
os.mkdir("mail")
order = []
with open("r.cf", "w") as f:
    f.write("header WON Subject =~ /winner/\nscore WON 6\n")
for i in range(400):
    spam = rng.random() < 0.5
    own, other = (SPAM, HAM) if spam else (HAM, SPAM)
    body = " ".join(rng.choice(PLAIN if rng.random() < 0.6 else own if rng.random() < 0.8 else other) for _ in range(60))
    with open(f"mail/{i}", "w") as f:
        f.write("Received: from a.example ([192.0.2.1]) by here.example with SMTP id x;\n"
                f" Mon, 1 Jan 2024 {i // 60:02}:{i % 60:02}:00 +0000\n"
                f"From: p{rng.randrange(30)}@x.example\nTo: me@home.example\nSubject: {rng.choice(own)}\n"
                f"Message-ID: <{i}@x.example>\n\n{body}\n")
    order.append(("spam" if spam else "ham", f"mail/{i}"))


def write(name, rows):
    with open(name, "w") as f:
        f.writelines(f"{a}\t{b}\n" for a, b in rows)


write("ORDER", order)
base = ["evaluate", "--stream", "ORDER", "--json"]


def figures(*args):
    code, out, err = run(SPAMSCORE, *base, *args)
    same((code, err), (0, b""), " ".join(args) + ": works") or note(out)
    row = json.loads(out)
    row.pop("cpu_us_per_message")
    return row


alone = figures("--no-rules", "--scores", "scores", "--plot", "plot.svg")
same(sorted(alone), sorted(["messages", "ham", "spam", "ham_lost", "spam_missed", "roca_pct", "lam_pct",
                            "spam_missed_pct", "model_bytes"]), "the keys of the contract")
same(sorted(alone["spam_missed_pct"]), ["0.01", "0.1", "1"], "levels")
same(alone["messages"], 400, "messages")
same(alone["spam"], sum(a == "spam" for a, _ in order), "spam")
ok(alone["roca_pct"] < 2, f"it learns: 1-ROCA {alone['roca_pct']}")
ok(alone["model_bytes"] <= 64000000, "model_bytes")
rows = [line.rstrip("\n").split("\t") for line in open("scores")]
same([(a, c) for a, _, c in rows], order, "--scores: label, score, path in order")
ham = [float(b) for a, b, _ in rows if a == "ham"]
spam = [float(b) for a, b, _ in rows if a == "spam"]
pairs = sum((h > s) + 0.5 * (h == s) for h in ham for s in spam)
ok(abs(100 * pairs / len(ham) / len(spam) - alone["roca_pct"]) < 1e-3, "1-ROCA is what the scores say")
same(alone["ham_lost"], sum(h >= 0 for h in ham), "ham_lost at 0")
same(alone["spam_missed"], sum(s < 0 for s in spam), "spam_missed at 0")
svg = open("plot.svg").read()
ok(svg.startswith("<svg") and svg.rstrip().endswith("</svg>") and "NaN" not in svg.upper().replace("NANO", ""), "--plot")
import xml.dom.minidom  # noqa: E402
same(xml.dom.minidom.parseString(svg).documentElement.tagName, "svg", "well-formed")
same(figures("--no-rules"), alone, "the same again")

# the same mail, each run of one class in an mbox
runs = []
for label, path in order:
    if not runs or runs[-1][0] != label:
        runs.append((label, f"mail/box{len(runs)}"))
    with open(runs[-1][1], "a") as box:
        box.write(f"From x@x.example Mon Jan  1 00:00:00 2024\n{open(path).read()}\n")
write("BOXES", runs)
code, out, err = run(SPAMSCORE, "evaluate", "--stream", "BOXES", "--json", "--no-rules", "--scores", "boxes")
row = json.loads(out)
same((code, err, row["messages"], row["spam"]), (0, b"", 400, alone["spam"]), "an mbox in the stream is its messages")
ok(abs(row["roca_pct"] - alone["roca_pct"]) < 0.5, "judged alike") or note((row, alone))
names = [line.rstrip("\n").split("\t")[2] for line in open("boxes")]
same([n.split(":")[0] for n in names if n.endswith(":1")], [p for _, p in runs if p + ":1" in names], "named by their place in it")

for kind, other in (("ham", "spam"), ("spam", "ham")):
    write("ONE", [r for r in order if r[0] == kind])
    out = run(SPAMSCORE, "evaluate", "--stream", "ONE", "--no-rules", "--plot", "one.svg")[1].decode()
    ok(f"not to be had without {other}" in out and "1-ROCA 0" not in out, f"{kind} alone: the text claims no order")
    ok("1-ROCA 0" not in open("one.svg").read(), "nor does the plot")

none = figures("--no-rules", "--feedback", "none")
delayed = figures("--no-rules", "--feedback", "delayed:100")
partial = figures("--no-rules", "--feedback", "partial:10%")
ok(alone["roca_pct"] < delayed["roca_pct"] < none["roca_pct"], "late labels cost, no labels cost more") or \
    note((alone, delayed, none))
ok(alone["roca_pct"] < partial["roca_pct"], "few labels cost")
same(figures("--no-rules", "--feedback", "partial:1"), alone, "partial:1 is immediate")
same(figures("--no-rules", "--feedback", "delayed:0"), alone, "delayed:0 is immediate")
same(figures("--no-rules", "--feedback", "delayed:100000"), none, "labels that come after the end")
same(figures("--no-rules", "--flip-labels", "0"), alone, "no flips")
ok(figures("--no-rules", "--flip-labels", "0.5")["roca_pct"] > 20, "half the labels wrong: nothing is learned")
ok(figures("--no-rules", "--model-size", "2000000")["model_bytes"] <= 2000000, "--model-size")
with open("conf", "w") as f:
    f.write("learned_size 4000000\n")
ok(2000000 < figures("--no-rules", "--config", "conf")["model_bytes"] <= 4000000, "learned_size")

ruled = figures("--rules", "r.cf", "--scores", "ruled")
same((ruled["messages"], ruled["spam"]), (400, alone["spam"]), "with rules")
same(figures("--rules", "r.cf"), ruled, "the same again with rules")
won = [float(line.split("\t")[1]) for line in open("ruled")
       if "Subject: winner" in open(line.rstrip("\n").split("\t")[2]).read()]
ok(won and max(won) <= 6 + 4 + 3 and max(won) > 8, "points of the rule, of LEARNED and of reputation, each bounded") or note(won)
same(sorted(p for p in os.listdir(".") if "evaluate" in p), [], "nothing is left in TMPDIR")

code, out, err = run(SPAMSCORE, "evaluate", "--stream", "ORDER", "--no-rules")
text = out.decode()
ok(code == 0 and "1-ROCA" in text and "interval" in text and "calibration" in text, "text")

write("gaps", [("ham", "mail/0"), ("spam", "mail/none"), ("spam", "mail/1")])
code, out, err = run(SPAMSCORE, "evaluate", "--stream", "gaps", "--no-rules", "--json")
same((code, json.loads(out)["messages"]), (65, 2), "a file that is missing: the rest, exit 65")
ok(b"gaps:2:" in err, "and where it stood")
for name, content in (("mail/empty", b""), ("mail/noise", b"\x00\xff" * 3000)):
    with open(name, "wb") as f:
        f.write(content)
write("odd", order[:30] + [("spam", "mail/empty"), ("spam", "mail/noise")])
for more in (["--no-rules"], ["--rules", "r.cf"]):
    code, out, err = run(SPAMSCORE, "evaluate", "--stream", "odd", "--json", *more)
    same((code, err, json.loads(out)["messages"]), (0, b"", 32), "what is empty or noise counts all the same")
os.mkdir("deep")
write("deep/ORDER", [(a, "../" + b) for a, b in order[:5]])
code, out, err = run(SPAMSCORE, "evaluate", "--stream", "deep/ORDER", "--no-rules", "--json")
same((code, json.loads(out)["messages"]), (0, 5), "paths are relative to the file")
write("bad", [("ham", "mail/0"), ("eggs", "mail/1")])
code, out, err = run(SPAMSCORE, "evaluate", "--stream", "bad", "--no-rules", "--json")
ok(code == 65 and b"bad:2:" in err and out == b"", "a label that is none")
write("empty", [])
code, out, err = run(SPAMSCORE, "evaluate", "--stream", "empty", "--no-rules", "--json", "--plot", "e.svg")
same((code, json.loads(out)["roca_pct"]), (0, 0.0), "an empty stream")
for args in ([], ["--stream", "ORDER", "--feedback", "soon"], ["--stream", "ORDER", "--feedback", "delayed:-1"],
             ["--stream", "ORDER", "--feedback", "partial:2"], ["--stream", "ORDER", "--flip-labels", "nan"],
             ["--stream", "ORDER", "--model-size", "1"], ["--stream", "ORDER", "extra"]):
    code, out, err = run(SPAMSCORE, "evaluate", *args, "--no-rules") if args[1:2] == ["ORDER"] else run(SPAMSCORE, "evaluate", *args)
    ok(code == 64 and err != b"" and out == b"", "usage: " + " ".join(args)) or note((code, out, err))
same(run(SPAMSCORE, "evaluate", "--stream", "nowhere", "--no-rules")[0], 66, "no stream: 66")
for option in ("--plot", "--scores"):
    code, out, err = run(SPAMSCORE, "evaluate", "--stream", "ORDER", "--no-rules", "--json", option, "no/where")
    same((code, json.loads(out or "{}").get("roca_pct")), (73, alone["roca_pct"]),
         f"{option} that cannot be written: 73, and the figures all the same")
done()
