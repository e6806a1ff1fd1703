"""The learned model in a verdict: silent until it has seen enough, then one symbol with its reasons; damage to its file."""
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SPAMSCORE, done, note, ok, run, same  # noqa: E402
from words import HAM, SPAM  # noqa: E402

tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
rng = random.Random(5)
with open("r.cf", "w") as f:
    f.write("header NEVER Subject =~ /never to be seen/\nscore NEVER 1\n")
with open("conf", "w") as f:
    f.write(f"state_dir {tmp.name}\nlearned_size 2000000\nlearned_need 20\nlabel_rate 0\n")


def mail(name, words, extra=""):
    with open(name, "w") as f:
        f.write(f"From: p{rng.randrange(30)}@x.example\nTo: me@home.example\nSubject: {rng.choice(words)}\n"
                f"Message-ID: <{name}@x.example>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n\n"
                f"{extra}{' '.join(rng.choice(words) for _ in range(40))}\n")
    return name


def learn(what, names):
    code, out, err = run(SPAMSCORE, "learn", "--" + what, "--config", "conf", "--db", "spamscore.db", *names)
    same(code, 0, f"learn {len(names)} {what}") or note((out, err))


def explain(name, *more):
    return run(SPAMSCORE, "explain", "--rules", "r.cf", "--db", "none", "--offline", "--now", "1704067200", *more, name)


def verdict(name):
    code, out, err = explain(name, "--model", "model", "--json")
    same(code, 0, f"explain {name}") or note(err)
    return json.loads(out)


spam = mail("new-spam", SPAM, "\x1b[31m\u202emiracle ")
learn("spam", [mail(f"s{i}", SPAM) for i in range(30)])
v = verdict(spam)
same([h["rule"] for h in v["hits"]], [], "one class alone: no symbol")
ok(any(n["test"] == "LEARNED" and "good mail" in n["why"] for n in v["not_run"]), "and it says why") or note(v["not_run"])
learn("ham", [mail(f"h{i}", HAM) for i in range(30)])
ok(os.path.getsize("model") <= 2000000, "learned_size bounds the file")
v = verdict(spam)
hits = [h for h in v["hits"] if h["rule"] == "LEARNED"]
ok(len(hits) == 1 and 1 < hits[0]["score"] <= 4 and hits[0]["type"] == "learned", "one symbol, for spam, bounded") or note(v)
features = hits[0]["matched"].splitlines()
ok(len(features) == 5 and all(float(x.split()[0]) and ":" in x for x in features), "five features with their share") or note(features)
ok(any(w in " ".join(features) for w in SPAM), "words that one can read")
text = explain(spam, "--model", "model")[1].decode()
ok("LEARNED" in text and any(f" {x.split()[0]} " in text for x in features), "in the text too, a line each") or note(text)
ok("\x1b[31" not in text and "\u202e" not in text, "what mail says is escaped")
same(verdict(spam)["score"], v["score"], "the same again")
ham = verdict(mail("new-ham", HAM))
ok(-4 <= ham["score"] < -1, f"good mail: {ham['score']}")

with open("model", "r+b") as f:
    f.seek(1500000)
    f.write(b"\x55")
code, out, err = explain(spam, "--model", "model")
ok(code == 78 and b"damaged" in err, "a flipped byte in a file that was named: an error") or note((code, err))
code, out, err = explain(spam, "--config", "conf", "--json")
ok(code == 0 and not any(h["rule"] == "LEARNED" for h in json.loads(out)["hits"]),
   "in the configured one: judged without it") or note((code, err))
learn("ham", [mail("h99", HAM)])
same([h["rule"] for h in verdict(spam)["hits"]], ["LEARNED"], "the next lesson builds it again from all that stand")
with open("conf", "a") as f:
    f.write("learned_keep 1h\nlearned_snapshot_lessons 5\n")
names = [mail(f"old{i}", HAM) for i in range(6)]
subprocess.run([SPAMSCORE, "learn", "--ham", "--config", "conf", "--db", "old.db", *names], check=True, capture_output=True)
db = sqlite3.connect("old.db")
db.execute("UPDATE lesson SET time=1704067200")
db.commit()
db.close()
subprocess.run([SPAMSCORE, "learn", "--ham", "--config", "conf", "--db", "old.db", mail("young", HAM)], check=True, capture_output=True)
code, out, err = run(SPAMSCORE, "forget", "--config", "conf", "--db", "old.db", *names)
ok(code == 0 and b"5 learned longer ago than learned_keep" in out, "forget says what the model cannot take back") or note((out, err))
with open("conf", "a") as f:
    f.write("label_weights robot=0.25 a=b=0.5 robot=0.5\n")
for user in ("robot", "a=b", "ann"):
    subprocess.run([SPAMSCORE, "learn", "--spam", "--config", "conf", "--db", "weights.db", "--user", user,
                    mail(f"by-{user}", SPAM)], check=True, capture_output=True)
db = sqlite3.connect("weights.db")
same(db.execute("SELECT l.weight,m.weight FROM label l JOIN lesson m USING (message) ORDER BY event").fetchall(),
     [(0.5, 0.5), (0.5, 0.5), (1, 1)], "labels weigh what the configuration says of their user")
db.close()
with open("bad-conf", "w") as f:
    f.write("label_weights ann ann=0 ann=1.5 =1 ann=0.5x ann=0.5\n")
code, out, err = run(SPAMSCORE, "lint", "--config", "bad-conf")
same(out.count(b"label_weights: not") + err.count(b"label_weights: not"), 5, "five of six are no weights") or note((out, err))

os.truncate("model", 5000)
code, out, err = explain(spam, "--config", "conf", "--json")
same(code, 0, "cut off: judged without it")
done()
