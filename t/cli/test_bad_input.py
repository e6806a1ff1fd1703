"""Input that is no mail, or mail that means harm: scored within limits, or,
when it is empty, refused with one clear line and exit 65; never a crash, never more memory than
scan_size and a constant."""
import os
import resource
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SPAMSCORE, done, note, ok, run  # noqa: E402

tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
hdr = b"From: a@b.example\nSubject: x\n"
deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(1000))
cases = {
    # name: (bytes, exit codes allowed)
    "empty file": (b"", {65}),
    "not a message": (b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 20, {0}),
    "plain words": (b"hello there\nthis is no mail\n", {0}),
    "50 MB of one header line": (b"Subject: " + b"a" * 50_000_000 + b"\n\nx\n", {0}),
    "50 MB of one header line, folded": (b"Subject: " + b"a\n " * 17_000_000 + b"\n\nx\n", {0}),
    "50 MB body": (hdr + b"\n" + b"buy now\n" * 6_500_000, {0}),
    "NULs": (hdr + b"X-Nul: \0\0\0\n\n\0\0" * 1000, {0}),
    "bare CR": (b"From: a@b.example\rSubject: x\r\rbody\rmore", {0}),
    "mixed line ends": (b"From: a@b.example\r\nSubject: x\n\r\nbody\r\r\n\n", {0}),
    "100,000 header fields": (b"".join(b"X-%d: y\n" % i for i in range(100_000)) + b"\nx\n", {0}),
    "100,000 Received fields": (b"Received: from a ([192.0.2.1]) by b; Mon, 1 Jan 2024 00:00:00 +0000\n" * 100_000 + b"\n", {0}),
    "MIME nested 1,000 deep": (hdr + b"MIME-Version: 1.0\n" + deep, {0}),
    "100,000 empty parts": (hdr + b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 100_000, {0}),
    "invalid UTF-8": (b"From: \xff\xfe <a@b.example>\nSubject: \xc0\xaf\xed\xa0\x80\n\n\xf5\xf6", {0}),
    "header without colon": (b"From: a@b.example\nnocolonhere\nSubject: x\n\nbody\n", {0}),
    "no header": (b"\nbuy now\n", {0}),
    "no header, CRLF": (b"\r\nbuy now\r\n", {0}),
    "nothing but an empty line": (b"\n", {0}),
    "no body": (b"From: a@b.example\nSubject: x", {0}),
    "HTML bomb": (hdr + b"Content-Type: text/html\n\n" + b"<div>" * 90_000, {0}),
    "entity bomb": (hdr + b"Content-Type: text/html\n\n" + b"&lt;" * 120_000, {0}),
    "encoded words without end": (b"Subject: " + b"=?utf-8?q?" * 20_000 + b"\n\n", {0}),
    "100,000 addresses": (b"From: a@b.example\nTo: " + b"a@b.example, " * 100_000 + b"\n\n", {0}),
    "nested comments": (b"From: " + b"(" * 100_000 + b"a@b.example\n\n", {0}),
    "boundary of 60 kB": (hdr + b"Content-Type: multipart/mixed; boundary=\"" + b"b" * 60_000 + b"\"\n\n--" + b"b" * 60_000 + b"\n\nx\n", {0}),
    "200,000 URIs": (hdr + b"\n" + b"http://a.example/ " * 200_000, {0}),
    "base64 of nothing": (hdr + b"Content-Transfer-Encoding: base64\n\n" + b"=" * 300_000, {0}),
}
sanitized = "-fsanitize" in os.environ.get("SPAMSCORE_SANITIZED", "") or b"__asan_init" in open(SPAMSCORE, "rb").read()
base = ["--explain", "--offline", "--db", "none", "--now", "1704067200"]


def peak(data):
    """exit code, stderr, and the child's largest resident set in bytes"""
    with open("m", "wb") as f:
        f.write(data)
    code, out, err = run("/usr/bin/python3", "-c",
                         "import os,resource,subprocess,sys\n"
                         "p = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
                         "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
                         "sys.exit(p.returncode & 255)\n", SPAMSCORE, *base, "m", timeout=120)
    return code, err, int(out.split()[-1]) * 1024


code, err, floor = peak(hdr + b"\nhello\n")
ok(code == 0, "a small message") or note(err)
note(f"resident set of a small message: {floor >> 20} MB")
for name, (data, allowed) in cases.items():
    code, err, size = peak(data)
    ok(code in allowed, f"{name}: exit {code}") or note(err[-2000:])
    ok(err.count(b"\n") == (1 if code == 65 else 0), f"{name}: {'one clear line' if code == 65 else 'no complaint'}") or note(err[:2000])
    # scan_size is 512 kB; decoded and rendered forms, and the text of the
    # verdict itself, are the constant
    if not sanitized:
        ok(size - floor < 48 << 20, f"{name}: {(size - floor) >> 20} MB above a small message")
done()
