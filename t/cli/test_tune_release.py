#!/usr/bin/python3
"""From a candidate to scores in force and back, with a daemon: the gate over
labelled mail, adoption, rollback byte for byte, kills, what lost its base, and
what the timer does."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "milter"))
from configured import (SPAMSCORE, WEEK_CONFIG, WEEK_RULES, Configured, label_week,  # noqa: E402
                        send_week, spread_mail, wait_week)
from milter_peer import Tap  # noqa: E402

RULES = WEEK_RULES + """header T_BASE Subject =~ /base/
score T_BASE 1
"""
tap = Tap()


class Tuned(Configured):
    def __init__(self, more=""):
        super().__init__(RULES, WEEK_CONFIG + more)

    def run_confined(self, *args):
        """As the unit does it: the state is read-only but for tuned_dir."""
        state = self.directory + "/state"
        p = subprocess.run(["unshare", "-m", "sh", "-c", 'mount --bind "$0" "$0" && '
                            'mount -o remount,ro,bind "$0" && ! touch "$0/x" 2>/dev/null && exec "$@"',
                            state, SPAMSCORE, args[0], "--config", self.config_path, *args[1:]],
                           capture_output=True, timeout=120, check=False)
        if p.returncode != 0 and os.geteuid() != 0:
            return self.run(*args)
        tap.eq((p.returncode, p.stderr.decode()), (0, ""), "beside a broken shadow, it runs where only tuned_dir can be written")
        return p.stdout.decode()

    def candidate(self, scores, made=None, certified="yes", reject=None):
        """As spamscore tune writes it: {rule: (base, score)}."""
        made = int(time.time()) - 5 if made is None else made
        text = ("# spamscore-tuned 1\n# made: %s (%d)\n# ruleset: %s\n# seed: 1\n"
                "# fitted to: 4000 ham, 2000 spam\n# judged on: 3000 ham, 900 spam\n"
                "# certified: %s, loss 0.02, confidence 0.95, lost 1 of 3000\n"
                "# certificate reject: at most 2 %% of good mail reaches 12\n"
                "# certificate tag: none\n" %
                (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made)), made, "0" * 64, certified))
        if reject is not None:
            text += "reject_score %g\n" % reject
        for name, (base, score) in sorted(scores.items()):
            text += ("\n# %s: was %g; 10 ham, 200 spam, S/O 0.95 (0.9 .. 0.99): raised\n"
                     "# base %s %g\nscore %s %g\n" % (name, base, name, base, name, score))
        self.write("tuned/candidate.cf", text)
        return text.encode()

    def week(self, ham, spam, label=True, tag=""):
        with self.connect() as p:
            count = send_week(p, ham, spam, tag)
        rows = wait_week(self.control, count, tag)
        if label:
            label_week(self.control, rows)


BETTER = {"T_ODD": (2, 6.5), "T_NEWS": (6, 1)}


def test_gate():
    with tap.case("the gate"), Tuned() as d:
        tap.match(d.run("tune", "--adopt", code=66), "no candidate", "nothing to adopt")
        tap.match(d.run("tune", "--rollback", code=66), "no earlier scores", "nothing to undo")
        want = d.candidate(BETTER)
        d.ask({"op": "reload"})
        tap.match(d.run("tune", "--adopt", code=75), "gate: wait: too little labelled mail",
                  "without mail: waits, and says why")
        tap.eq(d.read("tuned/tuned.cf"), None, "and changes nothing")
        d.week(80, 40)
        got = json.loads(d.run("tune", "--adopt", "--dry-run", "--json"))
        tap.eq((got["decision"], got["adopted"], got["ham"], got["spam"], got["spam_missed"],
                got["spam_would_miss"], got["ham_stopped"], got["ham_would_stop"]),
               ("adopt", False, 80, 40, 40, 0, 10, 0), "the gate counts what the shadow said")
        tap.eq(d.read("tuned/tuned.cf"), None, "a dry run changes nothing")
        tap.match(d.run("tune", "--adopt"), r"adopted; the daemon has taken it up", "adopted")
        tap.eq((d.read("tuned/tuned.cf"), d.read("tuned/candidate.cf")), (want, None),
               "the candidate is in force, byte for byte")
        tap.eq((d.score("odd"), d.score("news")), ("6.5", "1.0"), "at once")
        text = d.run("tune", "--history")
        tap.match(text, r"in force +\d{4}-\d\d-\d\d, 2 scores; at most 2 %.*\n0001 +the scores as shipped",
                  "history lists it")
        tap.match(text, r"adopted: the candidate of .*better in", "and why")
        tap.match(d.run("tune", "--rollback", "--dry-run"), "would return to the scores as shipped",
                  "a dry run of rollback")
        tap.match(d.run("tune", "--rollback"), "as shipped are in force again; the daemon has",
                  "one command back")
        tap.eq((d.read("tuned/tuned.cf"), d.score("odd")), (None, "2.0"), "to what was before")
        tap.eq(d.read("tuned/history/undone.cf"), want, "what was undone is kept")


def test_worse():
    with tap.case("worse"), Tuned() as d:
        d.candidate({"T_ODD": (2, 2), "T_NEWS": (6, 6), "T_BASE": (1, 7)})
        d.ask({"op": "reload"})
        with d.connect() as p:
            for i in range(40):
                p.message(headers=[("From", " a@base%d.example" % i), ("Subject", " base %d" % i),
                                   ("Message-ID", " <b%d@x.example>" % i)],
                          mail="a@base%d.example" % i, queue_id="Qplain%dx" % i)
        d.week(40, 40)
        ids = [r["id"] for r in d.ask({"op": "log", "limit": 5000})[0]["rows"]
               if r["queue_id"].endswith("x")]
        d.ask(*[{"op": "learn", "class": "ham", "user": "ann", "source": "test", "id": i} for i in ids])
        tap.match(d.run("tune", "--adopt", code=75), "gate: worse", "a candidate that stops good mail")
        tap.eq(d.read("tuned/tuned.cf"), None, "is not adopted")
        d.run("tune", "--adopt", "--force")
        tap.eq(d.score("base"), "7.0", "unless somebody insists")
        want = d.read("tuned/tuned.cf")
        d.write("tuned/candidate.cf", d.candidate(BETTER).decode() + "body X /x/\n")
        tap.match(d.run("tune", "--adopt", "--force", code=65), r"body|only scores",
                  "but what is no set of scores never")
        tap.eq((d.read("tuned/tuned.cf"), d.score("base")), (want, "7.0"), "and nothing changes")


def test_kill():
    with tap.case("kill -9"), Tuned() as d:
        rng, seen, wrong = random.Random(5), set(), []
        first = d.candidate({"T_ODD": (2, 3)})
        d.run("tune", "--adopt", "--force")
        for n in range(24):
            second = d.candidate(BETTER)
            p = subprocess.Popen([SPAMSCORE, "tune", "--config", d.config_path, "--adopt", "--force"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.random() * 0.06)
            p.send_signal(signal.SIGKILL)
            p.wait()
            now = d.read("tuned/tuned.cf")
            seen.add(now == first)
            if now not in (first, second):
                wrong.append((n, now))
            if now == second:
                d.run("tune", "--rollback")
            if d.read("tuned/tuned.cf") != first:
                wrong.append((n, "not back"))
        tap.eq(wrong, [], "at any moment: the old scores or the new, and the way back")


def test_owner():
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        tap.skip("owner", "needs root and setpriv")
        return
    with tap.case("owner"), Tuned() as d:
        os.chown(d.tuned, 65534, 65534)
        d.candidate({"T_ODD": (2, 3)})
        d.run("tune", "--adopt", "--force")
        made = ["history", "history/log", "history/0001.cf", "lock"]
        tap.eq([os.stat(os.path.join(d.tuned, name)).st_uid for name in made], [65534] * 4,
               "what root makes in the directory belongs to its owner")
        p = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SPAMSCORE,
                            "tune", "--config", d.config_path, "--rollback"],
                           capture_output=True, timeout=60, check=False)
        tap.eq((p.returncode, p.stderr), (0, b""), "who can go on with it")
        secret = os.path.join(d.directory, "secret")
        d.write("secret", "x")
        os.unlink(d.tuned + "/history/log")
        os.symlink(secret, d.tuned + "/history/log")
        d.candidate({"T_ODD": (2, 3)})
        tap.match(d.run("tune", "--adopt", "--force"), "cannot write the history",
                  "but root writes through no link of that owner's")
        tap.eq(d.read("secret"), b"x", "nor changes what it points to")


def test_base():
    with tap.case("bases"), Tuned() as d:
        d.candidate({"T_ODD": (2, 3), "T_NEWS": (6, 5)})
        d.run("tune", "--adopt", "--force")
        tap.eq("fitted beside" in d.run("lint"), False, "as shipped: nothing to say")
        d.write("rules.d/rules.cf", RULES.replace("score T_ODD 2", "score T_ODD 2.5"))
        tap.match(d.run("lint"), r"tuned\.cf:\d+: warning: \"T_ODD\" was fitted beside the score 2, "
                  r"which is 2\.5 now", "a shipped score that changed is told by lint, with its line")
        tap.match(d.run("tune", "--history"), r"1 of 2 tuned scores are based on", "and by the history")
        d.write("rules.d/rules.cf", RULES.replace("T_NEWS", "T_LATEST"))
        tap.match(d.run("lint"), r"no rule \"T_NEWS\" any more", "so is a rule that is gone")
        d.write("tuned/tuned.cf", "score T_ODD 4\n")
        tap.match(d.run("lint", "--verbose"), r"note: not as spamscore tune writes it",
                  "a file by hand says nothing of bases")


def test_doctor():
    with tap.case("doctor"), Tuned() as d:
        def told():
            p = subprocess.run([SPAMSCORE, "doctor", "--host", "--json", "--postconf", "false", "--config",
                                d.config_path], capture_output=True, timeout=120, check=False)
            rows = [json.loads(line) for line in p.stdout.decode().splitlines()]
            return [(r["state"], r["text"], r["fix"]) for r in rows if r["check"] == "tuning"]

        tap.eq([r[0] for r in told()], ["ok"], "never tuned is no fault")
        d.candidate({"T_ODD": (2, 3), "T_NEWS": (6, 5)})
        d.run("tune", "--adopt", "--force")
        d.candidate(BETTER, made=int(time.time()) - 50 * 86400)
        got = told()
        tap.eq([r[0] for r in got], ["ok", "warn", "ok"], "a candidate that waits for ever is doubtful")
        tap.eq(got[1][2], "spamscore tune --adopt --dry-run", "with what mends it")
        tap.match(got[0][1], r"^\d{4}-\d\d-\d\d, adopted: ", "when and how it ended last")
        tap.match(got[2][1], r"^2 tuned scores in force", "what is in force")
        d.write("rules.d/rules.cf", RULES.replace("score T_ODD 2", "score T_ODD 2.5"))
        tap.eq(told()[2], ("warn", "1 of 2 tuned scores are based on what has changed since",
                           "spamscore tune --from-log"), "what lost its base")
        d.write("tuned/tuned.cf", "score T_ODD 4\nbody X /x/\n")
        tap.eq([(r[0], r[2]) for r in told()][2], ("bad", "spamscore tune --rollback"),
               "what does not load")
        with open(d.tuned + "/history/log", "a", encoding="ascii") as f:
            f.write("%d failed no disk\n" % (time.time() - 5))
        got = told()[0]
        tap.eq((got[0], got[2]), ("bad", "journalctl -u spamscore-tune -n 20"), "a tuning that failed")
        with open(d.tuned + "/history/log", "a", encoding="ascii") as f:
            f.write("%d waits x\n" % (time.time() - 20 * 86400))
        got = told()[0]
        tap.eq((got[0], got[1]), ("warn", "nothing happened for 20 days"), "a timer that does not run")


def test_weekly():
    with tap.case("weekly"), \
            Tuned("tune_report_to post@here.example\nshadow other /nowhere/other.cf\n") as d:
        out = os.path.join(d.directory, "mail")
        d.write("sendmail", "#!/bin/sh\necho \"$@\" > %s\ncat >> %s\n" % (out, out))
        program = os.path.join(d.directory, "sendmail")
        os.chmod(program, 0o755)
        d.run("tune", "--weekly", "--sendmail", program)
        mail = d.read("mail").decode()
        tap.match(mail, r"\A-i -- post@here\.example\nTo: post@here\.example\nSubject: spamscore: waits\n",
                  "a report goes to the address")
        tap.match(mail, r"Nothing new was tuned: there\s+are no\s+labelled messages", "with no labels: says so")
        want = d.candidate(BETTER, made=int(time.time()) - 6 * 86400)
        d.ask({"op": "reload"})
        d.week(160, 120)
        spread_mail(d.directory + "/state/spamscore.db", 5 * 86400)
        before = [d.read(n) for n in ("mail", "tuned/tuned.cf", "tuned/candidate.cf", "tuned/history/log")]
        tap.match(" ".join(d.run("tune", "--weekly", "--dry-run", "--sendmail", program).split()),
                  r"would be adopted: .* A new candidate was tuned on .* It was not written\.", "a dry run says what would be")
        tap.eq([d.read(n) for n in ("mail", "tuned/tuned.cf", "tuned/candidate.cf", "tuned/history/log")], before,
               "and neither does it nor sends it")
        d.run_confined("tune", "--weekly", "--sendmail", program)
        mail = " ".join(d.read("mail").decode().split())
        tap.match(mail, r"Subject: spamscore: adopted", "a better candidate is adopted by itself")
        tap.match(mail, r"would have missed 0 bad ones where the scores in force missed 120, and stopped "
                  r"0 good ones where they stopped 20", "with what it would have caught and cost")
        tap.match(mail, r"A new candidate was tuned on \d+ good and \d+ bad messages: \d+ scores moved",
                  "and a new one is tuned")
        tap.match(mail, r"The certificate: not certifiable", "with its certificate")
        tap.ok(all(len(line) <= 78 for line in d.read("mail").decode().split("\n")), "in short lines")
        tap.eq(d.read("tuned/tuned.cf"), want, "in force, byte for byte")
        tap.eq(d.score("odd"), "6.5", "and in the daemon")
        listed = json.loads(d.run("shadow", "list", "--json", code=78).splitlines()[0])
        tap.eq(listed["name"], "candidate", "the new one runs as shadow")
        new = d.read("tuned/candidate.cf")
        d.run("tune", "--weekly", "--sendmail", program)
        mail = " ".join(d.read("mail").decode().split())
        tap.match(mail, r"stays on trial: too little labelled mail", "a week without labels: it stays")
        tap.eq(d.read("tuned/candidate.cf"), new, "and no new one takes its place")
        tap.match(d.run("tune", "--history"), r"(?s)adopted: .*waits: ", "all of it is in the history")


test_gate()
test_worse()
test_kill()
test_owner()
test_base()
test_doctor()
test_weekly()
sys.exit(tap.done())
