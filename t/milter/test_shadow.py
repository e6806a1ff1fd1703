#!/usr/bin/python3
"""Shadows on live mail: a shadow that rejects everything changes nothing that
the MTA sees; what it would have done is kept, reported both ways and against
people's labels; scores are taken up and refused by reload."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from configured import Configured  # noqa: E402
from milter_peer import Tap  # noqa: E402

RULES = r"""
header T_ONE Subject =~ /one/
score T_ONE 3
header T_TWO Subject =~ /two/
score T_TWO 6
header T_BAD Subject =~ /bad/
score T_BAD 9
header T_WORSE Subject =~ /bad/
score T_WORSE 9
"""
SUBJECTS = ("nothing", "one", "two", "bad", "q" * 40 + "!")
tap = Tap()


class Shadowed(Configured):
    def __init__(self, shadows):
        super().__init__(RULES, "log_repeat 0\nshadow_steps 3000\n")
        for name, text in shadows.items():
            self.write(name + ".cf", text)
        with open(self.config_path, "a", encoding="utf-8") as f:
            f.writelines("shadow %s %s/%s.cf\n" % (name, self.directory, name) for name in shadows)

    def rows(self, *args, kind=None):
        found = [json.loads(line) for line in self.run(*args, "--json").splitlines()]
        return [r for r in found if kind in (None, r.get("kind"))]

    def ids(self, count):
        """Ids by subject, when all are in the log."""
        for _ in range(100):
            found = self.rows("log")
            if len(found) == count:
                return {r["queue_id"]: r["id"] for r in found}
            time.sleep(0.05)
        raise AssertionError("the log has %d verdicts, not %d" % (len(found), count))

    def reported(self, count):
        """What differs, when so much is there."""
        for _ in range(100):
            found = self.rows("shadow", "report", kind="verdict")
            if len(found) == count:
                break
            time.sleep(0.05)
        return found


def replies(d):
    with d.connect() as p:
        out = {}
        for subject in SUBJECTS:
            r = p.message(subject=subject, queue_id="Q" + subject[:7])
            out[subject] = (r.reply[:3], [(k, n, v) for (k, n, v) in r.edits])
        return out


def test_never_acts():
    shadows = {
        "all": "score T_ONE 100\nscore T_TWO 100\ntag_score 0.1\nreject_score 0.2\n",
        "own": "header S_ALL Subject =~ /./\nscore S_ALL 50\nheader S_TOO Subject =~ /./\n"
               "score S_TOO 50\ntflags S_TOO spamscore_reject\n",
        "slow": "header S_SLOW Subject =~ /(?:q+)+$/\nscore S_SLOW 50\n",
        "broken": "score T_ONE 1\nheader S_BAD Subject =~ /(/\n",
    }
    with tap.case("a shadow that rejects everything"), Shadowed({}) as plain, \
            Shadowed(shadows) as d:
        want, got = replies(plain), replies(d)
        tap.eq(got, want, "replies and edits are those without shadows, byte for byte")
        tap.eq(want["bad"][0], "550", "and they are not all the same")
        d.wait_log(r"fault=shadow error=.*broken\.cf:2: ")
        tap.ok(True, "a broken one is told with its line")
        rows = d.reported(6)
        tap.eq(sorted((r["set"], r["judged"], r["action"]) for r in rows),
               [("all", "accept", "tempfail"), ("all", "tag", "tempfail")] +
               [("own", "accept", "reject")] * 3 + [("own", "tag", "reject")],
               "what they would have done is kept")
        d.wait_log(r"fault=shadow name=slow verdict=\S+ error=\"shadow_steps were spent\"")
        tap.ok(True, "a budget that was spent is told")
        ids = d.ids(5)
        tap.eq(sorted(r["action"] for r in d.rows("log")),
               ["accept", "accept", "accept", "reject", "tag"], "the log has the real actions")
        tap.eq([r["id"] for r in rows if r["set"] == "all" and r["score"] == 3], [ids["Qone"]],
               "with the verdict's id")
        stored = json.loads(d.run("explain", "--id", ids["Qone"], "--json"))
        tap.eq([(s["name"], s["action"]) for s in stored["shadow"]], [("all", "tempfail")],
               "the stored verdict shows sets of scores")
        listed = [json.loads(line) for line in d.run("shadow", "list", "--json", code=78).splitlines()
                  if line.startswith("{")]
        tap.eq([(s["name"], s["kind"]) for s in listed],
               [("all", "scores"), ("own", "rules"), ("slow", "rules")],
               "those that can be loaded are listed")


def test_both_ways():
    with tap.case("the report"), Shadowed({"try": "score T_ONE 7\nscore T_TWO 1\n"}) as d:
        replies(d)
        ids = d.ids(5)
        d.reported(2)
        d.run("learn", "--spam", "--user", "ann", "--id", ids["Qone"])
        d.run("learn", "--ham", "--user", "ann", "--id", ids["Qtwo"])
        d.run("learn", "--ham", "--user", "ann", "--id", ids["Qnothing"])
        total = d.rows("shadow", "report", kind="set")[0]
        tap.eq((total["verdicts"], total["would_catch"], total["would_let_pass"]),
               (5, {"none": 0, "ham": 0, "spam": 1}, {"none": 0, "ham": 1, "spam": 0}),
               "both ways, by people's labels")
        tap.eq((total["stops"], total["stops_now"], total["labelled"]),
               ({"none": 1, "ham": 0, "spam": 1}, {"none": 1, "ham": 1, "spam": 0},
                {"none": 2, "ham": 2, "spam": 1}), "and what it stops, against now")
        rows = {r["id"]: r for r in d.rows("shadow", "report", kind="verdict")}
        tap.eq({k: (r["judged"], r["action"], r["shadow_score"], r["label"])
                for k, r in rows.items()},
               {ids["Qone"]: ("accept", "tag", 7, "spam"),
                ids["Qtwo"]: ("tag", "accept", 1, "ham")}, "one by one, with verdict ids")
        text = d.run("shadow", "report")
        tap.match(text, r"would catch +1 +of these 1 spam", "as text")
        tap.match(text, r"stops 1, now 0; of 2 labelled ham stops 0, now 1", "against labels")
        tap.match(text, ids["Qone"] + r"  try: accept -> tag  3\.0 -> 7\.0  spam", "each verdict")
        d.write("try.cf", "score T_ONE 0.5\n")
        d.ask({"op": "reload"})
        listed = d.rows("shadow", "list")[0]["hash"]
        with d.connect() as p:
            p.message(subject="two", queue_id="Qagain")
        hashes = set()
        for _ in range(100):
            hashes = {r["hash"] for r in d.rows("shadow", "report", kind="set")}
            if len(hashes) == 2:
                break
            time.sleep(0.05)
        tap.ok(len(hashes) == 2 and listed in hashes, "a file that was replaced is another set",
               hashes, listed)
        tap.eq(d.rows("shadow", "report", "--set", "other"), [], "another set said nothing")
        tap.eq(d.rows("shadow", "report", "--until", "2020-01-01"), [], "nor did it then")


def test_tuned():
    with tap.case("tuned scores"), Shadowed({}) as d:
        tap.eq(d.score("one"), "3.0", "without")
        d.write("tuned/tuned.cf", "# made by hand\nscore T_ONE 4.5\ntag_score 4\n")
        tap.eq(d.ask({"op": "reload"})[0], {"ok": True, "reloaded": True}, "a reload is asked for")
        tap.eq(d.score("one"), "4.5", "in force")
        d.write("tuned/tuned.cf", "score T_ONE 9\nbody T_NEW /x/\n")
        got = d.ask({"op": "reload"})[0]
        tap.eq((got.get("code"), got.get("ok")), (78, None), "a rule among them is refused")
        d.wait_log(r"tuned\.cf:2: \"body\" may not stand in a file of scores")
        tap.eq(d.score("one"), "4.5", "and the scores before stay")
        tap.match(d.run("lint", code=78), r"tuned\.cf:2: ", "lint says it too")
        d.write("tuned/tuned.cf", "score T_ONE 1\n")
        d.write("tuned/candidate.cf", "score T_TWO 2\n")
        d.ask({"op": "reload"})
        replies(d)
        rows = d.reported(1)
        tap.eq([(r["set"], r["judged"], r["action"], r["shadow_score"]) for r in rows],
               [("candidate", "tag", "accept", 2)], "the candidate runs as shadow by itself")
        all_ = d.rows("shadow", "list")
        tap.eq([(s["name"], s["kind"], s["scores"]) for s in all_], [("candidate", "scores", 1)],
               "and is listed")


test_never_acts()
test_both_ways()
test_tuned()
sys.exit(tap.done())
