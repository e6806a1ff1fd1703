"""uri_detail: all conditions of a rule on one and the same link."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from judging import explained  # noqa: E402
from tap import SPAMSCORE, done, run, same  # noqa: E402

tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
rules = {
    "U_TEXT": r"text =~ /\bsign in\b/i type =~ /^a$/",
    "U_HOST": r"host =~ /^www\.example\.com$/ domain =~ /^example\.com$/",
    "U_NOT": r"type =~ m{^a$} text !~ /sign in/i",
    "U_PARSED": r"type =~ /^parsed$/ raw =~ m!example\.net/plain!",
    "U_OTHER": r"text =~ /sign in/i host =~ /example\.org/",
}
with open("r.cf", "w") as f:
    f.writelines(f"uri_detail {n} {v}\nscore {n} 1\n" for n, v in rules.items())
with open("m.eml", "w") as f:
    f.write("From: a@b.test\nSubject: x\nContent-Type: text/html\n\n"
            "<a href='http://www.example.com/x'>Sign in here</a> <a href='http://example.org/'>more</a>"
            " http://example.net/plain\n")
hits = {h["rule"]: h["matched"] for h in explained("m.eml", "--offline")["hits"]}
same(sorted(hits), ["U_HOST", "U_NOT", "U_PARSED", "U_TEXT"], "one link must meet all conditions")
same(hits.get("U_TEXT"), "http://www.example.com/x", "the link is shown")
with open("bad.cf", "w") as f:
    f.write("uri_detail A nokey =~ /x/\nuri_detail B raw = /x/\nuri_detail C raw =~ x\nuri_detail D raw =~ /(/\nuri_detail E\n")
code, out, err = run(SPAMSCORE, "lint", "--rules", "bad.cf")
same((code, sorted({line.split(":")[1] for line in out.decode().splitlines()})), (78, ["1", "2", "3", "4", "5"]),
     "each bad line is named")
done()
