"""What the tests of rules.d share: the files read as text, messages made
from `test` lines, and a run of the command over a folder of messages."""
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import tap

RULES = os.path.join(tap.SOURCE, "rules.d")

# A good message that no scored rule hits. A test line's fields replace those
# of the same name; a field without a value takes it out.
BASE = [
    ("Return-Path", "<anna@example.org>"),
    ("Received", "from mail.example.org (mail.example.org [198.51.100.7])"
     " by mx.example.net (Postfix) with ESMTPS id 4XyZ1a2b3c"
     " for <bob@example.net>; Mon, 2 Mar 2026 10:00:05 +0000 (UTC)"),
    ("DKIM-Signature", "v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org;"
     " s=mail; h=from:to:subject:date; bh=eA==; b=eA=="),
    ("Date", "Mon, 2 Mar 2026 10:00:00 +0000"),
    ("From", "Anna Berg <anna@example.org>"),
    ("To", "Bob Lind <bob@example.net>"),
    ("Subject", "Minutes of the meeting"),
    ("Message-ID", "<20260302100000.4711@example.org>"),
    ("MIME-Version", "1.0"),
    ("Content-Type", "text/plain; charset=utf-8"),
]
BODY = "Hello Bob,\n\nhere are the minutes.\n\nAnna\n"


def split(test):
    """Fields, DNS data and body of a test line."""
    head, _, body = test.replace("\\n", "\n").partition("\n\n")
    fields, dns = [], []
    for line in filter(None, head.split("\n")):
        name, _, value = line.partition(":")
        if name == "DNS":
            dns.append(value.strip())
        else:
            fields.append((name, value.strip()))
    return fields, dns, body


def message(test):
    """The message that a test line describes, as bytes."""
    fields, _, body = split(test)
    given = {name.lower() for name, _ in fields}
    lines = [f"{n}: {v}" for n, v in BASE if n.lower() not in given]
    lines += [f"{n}: {v}" for n, v in fields if v]
    return ("\n".join(lines) + "\n\n" + (body + "\n" if body else BODY)).encode()


class Rule:
    def __init__(self, name):
        self.name = name
        self.where = None
        self.describe = None
        self.score = None
        self.ok = []
        self.fail = []


def uncomment(line):
    """A comment begins at an unescaped "#"."""
    return re.sub(r"(?<!\\)#.*", "", line).replace("\\#", "#").rstrip()


def read_rules():
    rules = {}
    for file in sorted(os.listdir(RULES)):
        if not file.endswith(".cf"):
            continue
        with open(os.path.join(RULES, file), encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                word, _, rest = uncomment(line).strip().partition(" ")
                name, _, value = rest.strip().partition(" ")
                value = value.strip()
                if word in ("header", "body", "rawbody", "uri", "full",
                            "mimeheader", "meta"):
                    rules.setdefault(name, Rule(name)).where = f"{file}:{number}"
                elif word == "describe":
                    rules.setdefault(name, Rule(name)).describe = value
                elif word == "score":
                    rules.setdefault(name, Rule(name)).score = float(value.split()[0])
                elif word == "test":
                    kind, _, text = value.partition(" ")
                    getattr(rules.setdefault(name, Rule(name)), kind).append(text)
    return rules


COMMON = ["--rules", RULES, "--db", "none", "--now", "1772445605"]


def check(*paths):
    """{path: result} of `spamscore check`, offline."""
    run = subprocess.run(
        [tap.SPAMSCORE, "check", "--jobs", "2", "--offline", *COMMON, *paths],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
        check=False)
    results = {}
    for line in run.stdout.splitlines():
        result = json.loads(line)
        results[result["path"]] = result
    if run.returncode not in (0, 65):
        tap.note(run.stderr)
    return results


def check_messages(messages):
    """Results of {name: bytes}, by name."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in messages.items():
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
        return {os.path.basename(p): r for p, r in check(folder).items()}


def check_with_dns(test):
    """One test line, judged with the DNS that it brings along."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, n) for n in ("message", "dns", "config")]
        for path, data in zip(paths, (
                message(test), "\n".join(split(test)[1]).encode() + b"\n",
                b"authserv_id mx.example.net\n")):
            with open(path, "wb") as f:
                f.write(data)
        run = subprocess.run(
            [tap.SPAMSCORE, "--explain", "--json", *COMMON, "--dns-data", paths[1],
             "--config", paths[2], paths[0]],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", check=False)
    try:
        verdict = json.loads(run.stdout)
    except ValueError:
        tap.note(run.stderr)
        return {"rules": []}
    return {"rules": [h["rule"] for h in verdict["hits"]]}
