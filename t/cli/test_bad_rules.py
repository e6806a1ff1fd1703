"""Rule files that are wrong, huge or meant to hurt: each fault is named with
file and line, what stands behind it is still read, and neither time nor
memory runs away. A pattern without end is no fault: it meets its step limit."""
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SPAMSCORE, done, note, ok, run, same  # noqa: E402

tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
MILLION = 1_000_000
deep = b"(" * MILLION + b"G" + b")" * MILLION
# name: (text, what is said, in order; the last line of each file is "bogus")
cases = {
    "bad pattern": (b"body A /(/\n", ["1: A: bad pattern: "]),
    "parentheses, a million deep": (b"body A /" + deep + b"/\n", ["1: A: bad pattern: pattern longer than "]),
    "and in a meta": (b"meta A " + deep + b"\n", ["1: A: nested too deep"]),
    "and in a condition": (b"if " + deep + b"\nendif\n", ["1: if: nested too deep"]),
    "a million signs": (b"meta A " + b"!" * MILLION + b"G\n", ["1: A: nested too deep"]),
    "a million summands": (b"meta A " + b"G+" * MILLION + b"G\n", ["1: warning: A: there is no rule \"G\"", "1: A: expression too long"]),
    "meta loop": (b"meta A B\nmeta B C\nmeta C A\n", ["3: C: depends on itself through "]),
    "meta loop of 50,000": (b"".join(b"meta L%d L%d\n" % (i, (i + 1) % 50000) for i in range(50000)),
                            ["50000: L49999: depends on itself through "]),
    "missing part": (b"meta A B || C\n", ["1: warning: A: there is no rule \"B\"", "1: warning: A: there is no rule \"C\""]),
    "not UTF-8": (b"describe A caf\xe9\nbody A /caf\xe9/\n", ["1: warning: not UTF-8"]),
    "NULs": (b"bo\0dy A /x/\nbody B /a\0b/\n", ["1: a NUL byte", "2: a NUL byte"]),
    "CR LF": (b"header A Subject =~ /x/\r\n", []),
    "a mark of byte order": (b"\xef\xbb\xbfheader A Subject =~ /x/\n", []),
    "UTF-16": ("header A Subject =~ /x/\n".encode("utf-16-le"), ["1: a NUL byte", "2: a NUL byte"]),
    "more rules than there can be": (b"".join(b"score R%d 1\n" % i for i in range(250_000)), ["200001: more than 200000 rules"]),
    "scores that are no numbers": (b"".join(b"score A %s\n" % s for s in (b"inf", b"nan", b"1e400", b"-1e400", b"0x10", b"1,5", b"1 2")),
                                   [f"{i}: score: " for i in range(1, 8)]),
    "tflags": (b"body A /x/\ntflags A multiple maxhits=-1 maxhits=99999999999999999999 range=9-1\ntflags\n", ["3: tflags: "]),
    "tags within tags": (b"".join(b"replace_tag T%d %s\n" % (i, b"<T%d>" % (i + 1) * 10) for i in range(9)) +
                         b"replace_tag T9 x\nbody A /<T0>/\nreplace_rules A\n", ["11: A: replaced pattern longer than "]),
    "a tag within itself": (b"replace_tag T <T>\nbody A /<T>/\nreplace_rules A\n", []),
    "20,000 named groups": (b"body A /" + b"".join(b"(?<N%d>x)?" % i for i in range(20000)) + b"/\n", ["1: A: bad pattern: too many"]),
    "a group's name of 10,000 bytes": (b"body A /(?<" + b"N" * 10000 + b">x)/\n", ["1: A: bad pattern: "]),
    "repeats of repeats": (b"body A /((((a{1000}){1000}){1000}){1000})/\nbody B /a{99999}/\n", ["1: A: bad pattern: ", "2: B: bad pattern: "]),
    "100,000 arguments": (b"header A eval:check_for_spf_pass(" + b",".join([b"'x'"] * 100_000) + b")\n", ["1: A: cannot read the arguments"]),
    "1,000 open conditions": (b"if 1\n" * 99 + b"if (\nendif\n" + b"endif\n" * 99, ["100: if: "]),
    "a file that includes itself": (b"include r.cf\n", None),
    "a file that is no file": (b"include pipe\ninclude /dev/zero\ninclude .\ninclude nowhere\ninclude\n",
                               ['1: include: not a regular file: "pipe"', '2: include: not a regular file: "/dev/zero"', "4: include: cannot open", "5: include: needs"]),
}
os.mkfifo("pipe")
os.mkdir("inner")
for name, (text, want) in cases.items():
    lines = text.count(b"\n") + (2 if name == "UTF-16" else 1)
    with open("r.cf", "wb") as f:
        f.write(text + (b"\n" if name == "UTF-16" else b"") + b"bogus\n")
    start = time.monotonic()
    code, out, err = run("/usr/bin/python3", "-c",
                         "import resource,subprocess,sys\n"
                         "p = subprocess.run(sys.argv[1:])\n"
                         "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
                         "sys.exit(p.returncode & 255)\n", SPAMSCORE, "lint", "--rules", "r.cf", timeout=120)
    took = time.monotonic() - start
    said = out.decode().splitlines()
    peak = int(next(s for s in said if s.startswith("peak")).split()[1])
    said = [s.removeprefix("r.cf:") for s in said if s.startswith("r.cf:")]
    if want is None:
        ok(code == 78 and any("perhaps a file includes itself" in s for s in said), f"{name}: said") or note(said[:9])
    else:
        want = want + [f'{lines}: unknown word "bogus"']
        ok(code == 78 and len(said) == len(want) and all(any(s.startswith(w) for s in said) for w in want),
           f"{name}: each fault with its line, and the rest") or note((code, said[:9], want[:9]))
    ok(took < 60 and (peak < 300_000 or b"__asan_init" in open(SPAMSCORE, "rb").read()), f"{name}: within limits") or note((took, peak))

with open("r.cf", "wb") as f:
    f.write(b"#" * 50_000_000)
code, out, err = run(SPAMSCORE, "lint", "--rules", "r.cf")
ok(code == 78 and out.startswith(b"r.cf:1: larger than the limit of "), "50 MB: refused, with a line") or note(out[:300])
with open("inner/a.cf", "wb") as f:
    f.write(b"#" * 50_000_000)
with open("inner/b.cf", "wb") as f:
    f.write(b"bogus\n")
code, out, err = run(SPAMSCORE, "lint", "--rules", "inner")
same([s.split(b": ")[0] for s in out.splitlines()], [b"inner/a.cf:1", b"inner/b.cf:1"], "the other files of a folder are read")

with open("r.cf", "wb") as f:
    f.write(b"body A /(a+)+$/\nbody B /(?:a|aa)+$/\nheader C Subject =~ /^(([a-z])+.)+[A-Z]([a-z])+$/\nbody D /(?R)/\nbody GOOD /fine/\n")
with open("m.eml", "wb") as f:
    f.write(b"From: a@b.example\nSubject: " + b"a" * 3000 + b"\n\nfine\n" + (b"a" * 60 + b"!\n\n") * 20)
start = time.monotonic()
code, out, err = run(SPAMSCORE, "--explain", "--offline", "--db", "none", "--rules", "r.cf", "m.eml")
ok(code == 0 and b"GOOD" in out and b"match limit" in out and time.monotonic() - start < 60,
   "patterns without end: unknown, and said; the other rules run") or note((code, out[-1500:]))
done()
