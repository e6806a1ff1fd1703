"""spamscore compile and spamscore rules --slowest: what they print, byte by
byte, with file names' hashes and times masked; and how they fail."""
import json
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SPAMSCORE, done, note, ok, run, same, skip  # noqa: E402

tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
with open("r.cf", "w") as f:
    f.write("body B1 /buy now/\nbody B2 /\\bcheap\\b/i\nrawbody R1 /<b>/\nuri U1 /example\\.com/\n"
            "header H1 Subject =~ /x/\nfull F1 /Received/\n")
with open("one.cf", "w") as f:
    f.write("header H1 Subject =~ /x/\n")
with open("bad.cf", "w") as f:
    f.write("body A /(/\n")
os.makedirs("mail/sub")
for name in ("mail/a", "mail/sub/b"):
    with open(name, "w") as f:
        f.write("From: a@b.example\nSubject: x\n\nbuy now cheap\n")
with open("empty", "w"):
    pass


def fails(args, code, out, err, label):
    got = run(SPAMSCORE, *args)
    same((got[0], got[1].decode(), got[2].decode()), (code, out, err), label)


# compile
os.mkdir("out")
code, out, err = run(SPAMSCORE, "compile", "--rules", "r.cf", "--dir", "out")
if code == 69:
    skip("compile", err.decode().strip())
else:
    lines = out.decode().splitlines()
    shape = r"([a-z-]+): (\d+) patterns(, unchanged)?, (\1-[0-9a-f]{32}\.hs)"
    first = [re.fullmatch(shape, line) for line in lines]
    ok(code == 0 and err == b"" and all(first), "compile: a line a database") or note((code, out, err))
    masked = [re.sub(r"[0-9a-f]{32}", "HASH", line) for line in lines]
    for want in ("body: 2 patterns, body-HASH.hs", "rawbody: 1 patterns, rawbody-HASH.hs", "uri: 1 patterns, uri-HASH.hs",
                 "full: 1 patterns, full-HASH.hs"):
        ok(want in masked, f"compile: {want}") or note(masked)
    same(sorted(os.listdir("out")), sorted(m[4] for m in first), "the files are those, and nothing is left beside them")
    code, again, err = run(SPAMSCORE, "compile", "--rules", "r.cf", "--dir", "out", "--jobs", "1")
    same((code, again.decode().splitlines()), (0, [line.replace("patterns,", "patterns, unchanged,") for line in lines]),
         "again: all are kept")
    with open("out/" + first[0][4], "r+b") as f:
        f.truncate(10)
    code, again, err = run(SPAMSCORE, "compile", "--rules", "r.cf", "--dir", "out")
    same((code, again.decode().splitlines()[0]), (0, lines[0]), "a damaged one is built anew")
    code, out, err = run(SPAMSCORE, "compile", "--rules", "one.cf", "--dir", "out")
    same((code, out, err), (0, b"", b""), "header rules need none")
    code, out, err = run(SPAMSCORE, "compile", "--rules", "r.cf", "--dir", "nowhere/x")
    ok(code == 73 and out == b"" and err.startswith(b'spamscore: cannot use directory "nowhere/x": '),
       "no such directory: exit 73") or note((code, out, err))
    before = sorted(os.listdir("out"))
    fails(["compile", "--rules", "bad.cf", "--dir", "out"], 78, "",
          'bad.cf:1: A: bad pattern: missing closing parenthesis at offset 1, near ""\nspamscore: the rules have errors\n',
          "bad rules: exit 78")
    same(sorted(os.listdir("out")), before, "and the databases stay")
usage = "usage: spamscore compile [--dir D] [--jobs N] [--config F] [--rules DIR|FILE]...\n"
fails(["compile", "--rules", "r.cf"], 64, "", "spamscore: needs --dir, or compiled_dir in the configuration\n", "no directory")
fails(["compile", "--jobs", "0"], 64, "", 'spamscore: --jobs: not from 1 to 64: "0"\n', "no jobs")
fails(["compile", "file"], 64, "", usage, "an argument too many")
fails(["compile", "--help"], 0, usage + "\nbuild the databases that make body rules fast.\nSee spamscore(1).\n", "", "compile --help")

# rules --slowest
code, out, err = run(SPAMSCORE, "rules", "--slowest", "--rules", "one.cf", "mail")
masked = re.sub(r"(?m)^ *\d+\.\d\d ", "      N.NN ", out.decode())
same((code, masked, err), (0,
     "us/message  share    hits  type       rule\n"
     "      N.NN 100.0%       2  header     H1 (one.cf:1)\n"
     "      N.NN                 all 1 rules over 2 messages\n", b""), "rules --slowest over a directory")
code, out, err = run(SPAMSCORE, "rules", "--slowest", "--rules", "r.cf", "--count", "3", "mail/a")
lines = out.decode().splitlines()
took = [float(line.split()[0]) for line in lines[1:-1]]
ok(code == 0 and len(lines) == 5 and took == sorted(took, reverse=True) and lines[-1].endswith(" all 6 rules over 1 messages"),
   "--count, the slowest first") or note(out)
code, out, err = run(SPAMSCORE, "rules", "--slowest", "--rules", "r.cf", "--json", "mail")
rows = [json.loads(line) for line in out.splitlines()]
same((code, [list(r) for r in rows]), (0, [["rule", "type", "us_per_message", "share", "hits", "file", "line"]] * 6), "--json: keys")
same(sorted((r["rule"], r["type"], r["hits"], r["file"], r["line"]) for r in rows),
     [("B1", "body", 2, "r.cf", 1), ("B2", "body", 2, "r.cf", 2), ("F1", "full", 0, "r.cf", 6), ("H1", "header", 2, "r.cf", 5),
      ("R1", "rawbody", 0, "r.cf", 3), ("U1", "uri", 0, "r.cf", 4)], "--json: rules, hits, places")
ok(abs(sum(r["share"] for r in rows) - 1) < 1e-6 and all(r["us_per_message"] >= 0 for r in rows), "--json: shares are of the whole")
code, out, err = run(SPAMSCORE, "rules", "--slowest", "--rules", "one.cf", "nowhere", "empty", "mail/a")
ok(code == 65 and b"spamscore: nowhere: cannot open: No such file or directory\n" in err and b"spamscore: empty: " in err and
   out.endswith(b"over 1 messages\n"), "files that cannot be read are said, the others counted") or note((code, out, err))
usage = "usage: spamscore rules --slowest [--count N] [--rules DIR|FILE]... PATH...\n"
fails(["rules", "mail"], 64, "", usage, "without --slowest")
fails(["rules", "--slowest"], 64, "", usage, "without files")
fails(["rules", "--slowest", "--count", "0", "mail"], 64, "", 'spamscore: --count: not a number: "0"\n', "--count 0")
fails(["rules", "--help"], 0, usage + "\nwhich rules take the time.\nSee spamscore(1).\n", "", "rules --help")
done()
