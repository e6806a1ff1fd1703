"""spamscore check and lint."""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SPAMSCORE, done, note, ok, run, same  # noqa: E402

tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
with open("r.cf", "w") as f:
    f.write("header A Subject =~ /[02468]$/\nscore A 6\n")
os.makedirs("box/sub")
for i in range(300):
    with open(f"box/{'sub/' if i % 3 == 0 else ''}{i:03}.eml", "w") as f:
        f.write(f"Subject: number {i}\n\nbody\n")
with open("box/empty", "w"):
    pass
base = ["--rules", "r.cf", "--db", "none", "--offline", "--now", "1704067200"]
code, one, err = run(SPAMSCORE, "check", *base, "box")
same((code, err), (65, b""), "a file that is no message: exit 65")
rows = [json.loads(line) for line in one.splitlines()]
same(len(rows), 301, "a line a file")
same([r["path"] for r in rows], sorted(r["path"] for r in rows), "in order")
same([r for r in rows if "error" in r and set(r) != {"path", "error"}], [], "error lines have path and error")
same([r["path"] for r in rows if "error" in r], ["box/empty"], "one error line")
same([r for r in rows if "error" not in r and set(r) != {"path", "score", "action", "rules"}], [], "keys")
ok(all((r["rules"] == ["A"]) == (int(r["path"][-7:-4]) % 2 == 0) for r in rows if "error" not in r), "verdicts")
for jobs in ("2", "7"):
    same(run(SPAMSCORE, "check", "--jobs", jobs, *base, "box")[1], one, f"--jobs {jobs}: the same output")
code, out, err = run(SPAMSCORE, "check", *base, "box/sub", "missing", "box/001.eml")
rows = [json.loads(line) for line in out.splitlines()]
same((code, rows[-1]["path"], rows[-2]["path"], "error" in rows[-2]), (65, "box/001.eml", "missing", True), "input order")
same(run(SPAMSCORE, "check", *base, "box/sub")[0], 0, "all read: exit 0")
same(run(SPAMSCORE, "check", *base)[0], 64, "no path: usage")
same(run(SPAMSCORE, "check", "--jobs", "0", *base, "box")[0], 64, "--jobs 0: usage")

# mailboxes
text = {}
for name, subjects in (("a", (2, 4)), ("b", (1,))):
    text[name] = "".join(f"From x@y.example Mon Jan  1 12:34:5{n} 2024\nSubject: number {n}\n\nFrom me\n\n" for n in subjects)
for d in ("cur", "new", "tmp", ".Junk/cur"):
    os.makedirs("Maildir/" + d)
for path in ("Maildir/cur/a", "Maildir/new/b", "Maildir/tmp/c", "Maildir/.Junk/cur/d", "Maildir/dovecot-uidlist", "box/.hidden"):
    with open(path, "w") as f:
        f.write("Subject: number 7\n\n")
for name in text:
    with open(name + ".mbox", "w") as f:
        f.write(text[name])
code, out, err = run(SPAMSCORE, "check", "--jobs", "3", *base, "a.mbox", "-", "Maildir", "b.mbox", stdin=text["a"].encode())
rows = [json.loads(line) for line in out.splitlines()]
same((code, [(r["path"], "A" in r["rules"]) for r in rows]),
     (0, [("a.mbox:1", True), ("a.mbox:2", True), ("-:1", True), ("-:2", True), ("Maildir/cur/a", False), ("Maildir/new/b", False),
          ("b.mbox", False)]), "the messages of mboxes, stdin and a Maildir, and no others")
with open("a.mbox", "a") as f:
    f.write("\nFrom x@y.example Mon Jan  1 12:34:59 2024\nSubject: long\n\n" + "x" * 700000)
with open("s.conf", "w") as f:
    f.write("scan_size 65536\n")
code, out, err = run(SPAMSCORE, "--explain", "--json", "--config", "s.conf", *base, "a.mbox")
size = len(text["a"]) // 2
same([json.loads(line)["message"]["size_bytes"] for line in out.splitlines()], [size, size + 1, size - 13 + 700000],
     "each has its own size, however much of it is scanned")
os.symlink("..", "box/sub/up")
os.mkfifo("box/sub/pipe")
same(run(SPAMSCORE, "check", *base, "box", timeout=30)[1], one, "a link that leads up is not followed")

with open("bad.cf", "w") as f:
    f.write("header X Subject =~ /(/\nscore X one\nnonsense here\nheader OK Subject =~ /x/\nmeta LOOP LOOP2\nmeta LOOP2 LOOP\n")
code, out, err = run(SPAMSCORE, "lint", "--rules", "bad.cf")
same(code, 78, "lint: 78")
lines = out.decode().splitlines()
for n in (1, 2, 3):
    ok(any(line.startswith(f"bad.cf:{n}: ") for line in lines), f"lint: line {n} is named") or note(out)
same(err, b"", "lint: nothing on stderr")
same(run(SPAMSCORE, "lint", "--rules", "r.cf")[:2], (0, b""), "lint: good rules print nothing")
code, out, err = run(SPAMSCORE, "lint")
same((code, out), (0, b""), "lint: the shipped rules are found and good")
with open("bad.conf", "w") as f:
    f.write("tag_score 9\ntempfail_score 8\nno_such_setting 1\nscan_size lots\n")
code, out, err = run(SPAMSCORE, "lint", "--config", "bad.conf", "--rules", "r.cf")
lines = out.decode().splitlines()
same(code, 78, "lint: bad configuration: 78")
for want in ("bad.conf:3: ", "bad.conf:4: ", "bad.conf:0: tempfail_score 8 is below tag_score 9"):
    ok(any(line.startswith(want) for line in lines), f"lint: {want}") or note(out)

# what the daemon could not start with
with open("net.conf", "w") as f:
    f.write("resolver 192.0.2.1 192.0.2.2@5353 2001:db8::1@53 fe80::1%lo nonsense 192.0.2.1@0 192.0.2.1@ 192.0.2.300\n"
            "trust_anchor /nowhere/key\npublic_suffix_list /nowhere/psl\narc_trusted_sealers list.example not..one com\n")
code, out, err = run(SPAMSCORE, "lint", "--config", "net.conf", "--rules", "r.cf")
same((code, sorted(line.split(": ", 1)[1] for line in out.decode().splitlines())), (78, sorted(
    [f'resolver: not an address or address@port: "{w}"' for w in ("nonsense", "192.0.2.1@0", "192.0.2.1@", "192.0.2.300")] +
    [f'{n}: cannot read "{p}": No such file or directory'
     for n, p in (("trust_anchor", "/nowhere/key"), ("public_suffix_list", "/nowhere/psl"))] +
    [f'arc_trusted_sealers: not a domain: "{w}"' for w in ("not..one", "com")])), "lint: resolvers, files and sealers")
done()
