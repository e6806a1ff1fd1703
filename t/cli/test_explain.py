"""spamscore --explain: the contract of its JSON, options, errors, escaping."""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SPAMSCORE, done, note, ok, run, same  # noqa: E402

tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)


def write(name, data):
    with open(name, "wb") as f:
        f.write(data)
    return name


def explain(*args, stdin=None):
    return run(SPAMSCORE, "--explain", *args, stdin=stdin)


rules = write("r.cf", b"""header A Subject =~ /hello/
describe A says hello
score A 3
header B Subject:raw =~ /w.rld/
score B 2.5
header C exists:X-Gone
score C 1
header __D From =~ /example/
meta E (__D && A)
score E 0.25
header F Subject =~ /never/
score F 9
header S eval:check_for_spf_fail()
score S 4
header P eval:check_for_spf_pass()
score P -1.5
tflags S net
tflags P net
""")
head = b"Received: from mail.example.org (mail.example.org [192.0.2.7])\n\tby mx.here.example (Postfix) with ESMTP id ABC\n\tfor <me@here.example>; Mon, 1 Jan 2024 00:00:00 +0000\n"
msg = write("m.eml", b"Return-Path: <a@example.org>\n" + head +
            b"From: \"An\" <a@example.org>\nSubject: hello \xc3\xa4 world\nMessage-ID: <1@example.org>\n\nbody\n")
base = ["--rules", rules, "--db", "none", "--now", "1704067200"]

code, out, err = explain("--json", "--offline", *base, msg)
same((code, err), (0, b""), "--json exits 0, stderr is empty")
o = json.loads(out)
want = {"message": ["message_id", "size_bytes", "header_from", "subject"],
        "envelope": ["client_ip", "client_name", "helo", "mail_from", "rcpt_to", "source"],
        "thresholds": ["tag", "tempfail", "reject"],
        "auth": ["spf", "dkim", "iprev", "dmarc", "arc", "helo"]}
for key in ["score", "score_low", "score_high", "action", "hits", "reputation", "not_run", "flip", "timing_us"]:
    ok(key in o, f"key {key}")
for key, names in want.items():
    same([n for n in names if n not in o.get(key, {})], [], f"keys of {key}")
same(sorted(h["rule"] for h in o["hits"]), ["A", "B", "E"], "the hits")
same((o["score"], o["action"]), (5.75, "tag"), "score and action")
same(round(sum(h["score"] for h in o["hits"]) + sum(r["score"] for r in o["reputation"]), 3), o["score"],
     "the points add up")
a = next(h for h in o["hits"] if h["rule"] == "A")
raw = open(msg, "rb").read()
same(raw[a["offset"]:a["offset"] + 5], b"hello", "the offset counts bytes of the raw file")
e = next(h for h in o["hits"] if h["rule"] == "E")
same((e["matched"], raw[e["offset"]:e["offset"] + 7]), ("example", b"example"), "a meta shows what its part matched")
same([(p["rule"], p["count"], p["target"], p["matched"], raw[p["offset"]:p["offset"] + len(p["matched"])])
      for p in e["parts"]], [("__D", 1, "From", "example", b"example"), ("A", 1, "Subject", "hello", b"hello")],
     "and each part of it that is true")
ok("parts" not in a, "other rules have no parts")
ok(b"          __D: From, byte %d: \"example\"\n          A: Subject, byte " % e["offset"] in
   explain("--offline", "--color=never", *base, msg)[1], "as text, a line a part")
same((a["matched"], a["line"], os.path.basename(a["file"]), a["describe"], a["count"]),
     ("hello", 1, "r.cf", "says hello", 1), "what matched and where the rule stands")
same(o["message"]["size_bytes"], len(raw), "size_bytes")
same(o["message"]["subject"], "hello \u00e4 world", "subject")
same((o["envelope"]["client_ip"], o["envelope"]["mail_from"], o["envelope"]["source"]),
     ("192.0.2.7", "a@example.org", "message"), "the envelope comes from the message")
same(sorted(n["test"] for n in o["not_run"] if n["test"] in "SP"), ["P", "S"], "net rules are not run offline")
same(o["auth"]["spf"]["result"], None, "no SPF result offline")
same([f["action"] for f in o["flip"]], ["accept"], "flip says what would change it")

lists = write("lists.cf", b"".join(b"header L%d eval:check_rbl%s('l%d-lastexternal', '%s.example.'%s)\nscore L%d 1\ntflags L%d net\n" % (
    n, how, n, zone, more, n, n) for n, (how, zone, more) in enumerate([
        (b"", b"bl", b""), (b"_txt", b"bl", b""), (b"", b"other", b""), (b"", b"says", b""), (b"_txt", b"says", b"")])))
dns = write("lists.dns", b'7.2.0.192.says.example A 127.0.0.2\n7.2.0.192.says.example TXT "why"\n')
for options, want in ((("--offline",), ["bl.example: offline", "other.example: offline", "says.example: offline"]),
                      (("--dns-data", dns), ["says.example: 127.0.0.2", "says.example: why"])):
    out = explain(*options, "--rules", lists, *base[2:], msg)[1].decode()
    same(sorted(line.split(None, 1)[1] for line in out.splitlines() if line.startswith("  list ")), want,
         f"{options[0]}: what each list says, once")
again = json.loads(explain("--json", "--offline", *base, msg)[1])
o.pop("timing_us"), again.pop("timing_us")
same(again, o, "the same verdict again")
code, out, err = explain("--json", "--offline", *base, "-", stdin=raw)
piped = json.loads(out)
piped.pop("timing_us")
same(piped, o, "standard input gives the same")

# an mbox
box = write("box", b"From a Mon Jan  1 12:34:56 2024\nSubject: hello\n\nFrom here on\n\nFrom b Mon Jan  1 12:34:57 2024\nSubject: bye\n\n"
            b"x\nFrom c Mon Jan  1 12:34:58 2024\n")
code, out, err = explain("--json", "--offline", *base, box)
same([json.loads(line)["message"]["subject"] for line in out.splitlines()], ["hello", "bye"],
     "each message of an mbox: a From line stands behind an empty one and has a time")
same(explain("--json", "--offline", *base, "-", stdin=open(box, "rb").read())[0], 0, "on standard input, too")
code, out, err = explain("--offline", *base, box)
ok(out.startswith(box.encode() + b":1:\n") and b"\n\n" + box.encode() + b":2:\n" in out, "as text, headed by their names") or note(out)
with open("box", "ab") as f:
    f.write(b"\nFrom d Mon Jan  1 12:34:59 2024\n")
code, out, err = explain("--json", "--offline", *base, "box")
same((code, len(out.splitlines()), err.startswith(b"spamscore: box:3: ")), (65, 2, True), "one that is no message is named")

# DNS from a file, the envelope from options
dns = write("dns.txt", b"""# a comment
example.org TXT "v=spf1 ip4:192.0.2.7 " "-all"
slow.example TIMEOUT
broken.example SERVFAIL TXT
broken.example MX 10 mx.example
""")


def spf(mail_from, ip):
    code, out, err = explain("--json", "--dns-data", dns, *base, "--ip", ip, "--helo", "mail.example.org",
                             "--mail-from", mail_from, "--rcpt-to", "me@here.example", msg)
    if code != 0:
        note(err)
    return json.loads(out)


o = spf("a@example.org", "192.0.2.7")
same((o["auth"]["spf"]["result"], o["auth"]["spf"]["domain"], o["auth"]["spf"]["scope"]),
     ("pass", "example.org", "mfrom"), "SPF pass from the data file")
same(o["envelope"], {"client_ip": "192.0.2.7", "client_name": None, "helo": "mail.example.org",
                     "mail_from": "a@example.org", "rcpt_to": ["me@here.example"], "source": "options"},
     "the envelope of the options")
o = spf("a@example.org", "192.0.2.8")
same(o["auth"]["spf"]["result"], "fail", "SPF fail")
ok("S" in [h["rule"] for h in o["hits"]], "the net rule hits")
for domain in ("slow.example", "broken.example"):
    o = spf("a@" + domain, "192.0.2.7")
    same(o["auth"]["spf"]["result"], "temperror", f"{domain}: temperror")
    ok(o["score_low"] < o["score"] < o["score_high"], f"{domain}: the score is an interval")
    same(o["action"], "accept", f"{domain}: the lower end decides")
    same([n["unknown"] for n in o["not_run"] if n["test"] == "S"], [True], f"{domain}: said to be unknown")

# exit codes and complaints
same(explain("--offline", "--exit-status", *base, msg)[0], 1, "--exit-status: 1 for tag")
same(explain("--offline", *base, msg)[0], 0, "a verdict is no error")
same(explain("--offline", "--exit-status", *base, "-", stdin=b"Subject: x\n\n")[0], 0, "--exit-status: 0 for accept")
code, out, err = explain("--offline", *base, "missing.eml")
same((code, out, err.count(b"\n")), (66, b"", 1), "no such file: 66 and one line")
code, out, err = explain("--offline", *base, ".")
same((code, err.count(b"\n")), (66, 1), "a directory: 66 and one line")
same(explain("--offline", *base)[0], 64, "no file: usage")
same(explain("--nonsense", msg)[0], 64, "unknown option: usage")
same(explain("--ip", "1.2.3", "--offline", *base, msg)[0], 64, "--ip that is no address: usage")
same(explain("--now", "tomorrow", "--offline", *base, msg)[0], 64, "--now that is no time: usage")
code, out, err = explain("--rules", write("bad.cf", b"header X Subject =~ /(/\n"), "--offline", "--db", "none", msg)
same(code, 78, "bad rules: 78")
ok(err.startswith(b"bad.cf:1: "), "bad rules: file:line") or note(err)
same(explain("--dns-data", "missing.txt", *base, msg)[0], 66, "no such data file: 66")
same(run(SPAMSCORE)[0], 64, "no arguments: usage")
same(run(SPAMSCORE, "dance")[0], 64, "unknown verb: usage")
code, out, err = run(SPAMSCORE, "--help")
ok(code == 0 and out.startswith(b"usage:") and err == b"", "--help on stdout")
code, out, err = run(SPAMSCORE, "--version")
ok(code == 0 and out.startswith(b"spamscore "), "--version")
code, out, err = run(SPAMSCORE, "--json", "--explain", "--offline", *base, msg)
same((code, json.loads(out)["score"]), (0, 5.75), "--explain may stand among the options")

# text from mail is data
evil = b"From: \x1b[31mred\x1b[0m <a@b.example>\nSubject: hello \xe2\x80\xae evil \xe2\x80\x8b \xff\xfe\x07 w\x00rld\n\nx\n"
code, out, err = explain("--offline", *base, "-", stdin=evil)
same(code, 0, "control characters: exit 0")
ok(not any(b in out for b in (b"\x1b", b"\x07", b"\x00", b"\xe2\x80\xae", b"\xe2\x80\x8b", b"\xff")), "nothing reaches the terminal")
out.decode("utf-8")
code, out, err = explain("--offline", "--color", "always", *base, msg)
ok(b"\x1b[" in out, "--color=always")
code, out, err = explain("--offline", "--json", *base, "-", stdin=evil)
same(json.loads(out)["message"]["subject"].count("\ufffd"), 3, "bytes that are not UTF-8, and NUL, become U+FFFD")
code, out, err = run("sh", "-c", f"{SPAMSCORE} --explain --offline {' '.join(base)} {msg} >/dev/full")
same(code, 74, "a full disk on output is an error")
done()
