#!/usr/bin/python3
"""spamscore tune on real mail: fitted to the older half of a corpus, judged on
the newer one. The stock SpamAssassin rules where their scores are old, the
shipped rules with what was learned where they are ours. Nothing here is known
to the tuner but the first half's labels."""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SOURCE, SPAMSCORE, corpus, done, note, ok, run, skip  # noqa: E402

STOCK = "/usr/share/spamassassin"
OURS = os.path.join(SOURCE, "rules.d")
COST = 50
tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
os.environ["TMPDIR"] = tmp.name


def rows(name):
    folder = corpus(name)
    if folder is None:
        return None
    with open(os.path.join(folder, "ORDER"), encoding="utf-8", errors="surrogateescape") as f:
        return [(label, os.path.join(folder, path)) for label, path in (line.rstrip("\n").split("\t", 1) for line in f)]


def lay_out(name, half):
    for label in ("ham", "spam"):
        os.makedirs(f"{name}/{label}")
    for i, (label, path) in enumerate(half):
        os.symlink(path, f"{name}/{label}/{i:05}")


def must(*args):
    code, out, err = run(*args, timeout=3000)
    if code != 0:
        note((args, err))
    return out


def tune(name, config, rules):
    out = must(SPAMSCORE, "tune", "--ham", f"{name}/ham", "--spam", f"{name}/spam", "--config", config, "--rules", rules,
               "--offline", "--jobs", "2", "--cache", "none", "--output", f"{name}.cf", "--json")
    return json.loads(out)


def errors(pairs, tag):
    lost = sum(label == "ham" and score >= tag for label, score in pairs)
    missed = sum(label == "spam" and score < tag for label, score in pairs)
    return lost, missed, sum(label == "spam" for label, _ in pairs), sum(label == "ham" for label, _ in pairs)


def stock():
    mail = rows("spamassassin")
    if mail is None or not os.path.isdir(STOCK):
        skip("spamassassin", "no corpus, or no stock rules")
        return
    half = len(mail) // 2
    lay_out("sa", mail[:half])
    lay_out("sa2", mail[half:])
    with open("empty.conf", "w") as f:
        f.write(f"state_dir {tmp.name}/none\n")
    result = tune("sa", "empty.conf", STOCK)

    def tcr(*rules, tag=5.0):
        arguments = [x for r in rules for x in ("--rules", r)]
        lines = must(SPAMSCORE, "check", "--offline", "--jobs", "2", "--config", "empty.conf", "--model", "none", *arguments, "sa2")
        pairs = [(row["path"].split("/")[1], row["score"]) for row in map(json.loads, lines.splitlines()) if "score" in row]
        lost, missed, spam, ham = errors(pairs, tag)
        note(f"{lost} of {ham} ham lost, {missed} of {spam} spam missed")
        return spam / max(1, COST * lost + missed)

    before, after = tcr(STOCK), tcr(STOCK, "sa.cf", tag=result["tag_score"])
    ok(after >= 2 * before, f"spamassassin, stock rules: TCR {before:.3f} becomes {after:.3f}")


def learned(name, names):
    halves = [], []
    for one in names:
        mail = rows(one)
        if mail is None:
            skip(name, "the corpus is not at hand")
            return
        for k, part in enumerate((mail[:len(mail) // 2], mail[len(mail) // 2:])):
            halves[k].extend((i / len(part), one, row) for i, row in enumerate(part))
    first, second = ([row for _, _, row in sorted(half, key=lambda x: x[:2])] for half in halves)
    lay_out(name, first)
    with open(f"{name}.order", "w", encoding="utf-8", errors="surrogateescape") as f:
        f.writelines(f"{label}\t{path}\n" for label, path in first + second)
    os.mkdir(f"{name}.state")
    with open(f"{name}.conf", "w") as f:
        f.write(f"state_dir {tmp.name}/{name}.state\nlabel_rate 0\n")
    for label in ("ham", "spam"):
        must(SPAMSCORE, "learn", "--" + label, "--config", f"{name}.conf", f"{name}/{label}")
    result = tune(name, f"{name}.conf", OURS)

    def judged(*rules, tag=5.0):
        arguments = [x for r in rules for x in ("--rules", r)]
        must(SPAMSCORE, "evaluate", "--stream", f"{name}.order", "--config", "empty.conf", *arguments, "--scores", "scores", "--json")
        with open("scores", encoding="utf-8", errors="surrogateescape") as f:
            pairs = [(line.split("\t")[0], float(line.split("\t")[1])) for line in f]
        return errors(pairs[len(first):], tag)

    before, after = judged(OURS), judged(OURS, f"{name}.cf", tag=result["tag_score"])
    bound = result["certificate"]["tag"]["bound"]
    note(f"before, after: ham lost, spam missed, spam, ham: {before} {after}, tag_score {result['tag_score']}, bound {bound:.4f}")
    ok(after[1] <= 0.5 * before[1], f"{name}: spam missed {before[1]} becomes {after[1]} of {after[2]}")
    ok(after[0] <= bound * after[3], f"{name}: ham lost {after[0]} of {after[3]}, at most {100 * bound:.2f} % certified")


stock()
learned("lore", ["lore"])
learned("foff-phish", ["foff", "phish"])
done()
