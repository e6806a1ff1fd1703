#!/usr/bin/python3
"""The RFC 7208 suite through `spamscore --explain --json --dns-data`: the
command must say what spf_check_host() says."""
import json
import os
import subprocess
import sys
import tempfile

try:
    import yaml
except ImportError:
    print("1..0 # SKIP no python3-yaml")
    sys.exit(0)

path = os.path.join(os.environ.get("SPAMSCORE_SHARED", "../shared"),
                    "conformance", "rfc7208-tests.yml")
if not os.path.exists(path):
    print("1..0 # SKIP no conformance/rfc7208-tests.yml")
    sys.exit(0)
spamscore = sys.argv[1]


def escaped(text, name):
    out = b""
    for c in text:
        b = ord(c) & 0xFF
        if c in '"\\':
            out += b"\\" + c.encode()
        elif 0x20 < b < 0x7F or (c == " " and not name):
            out += bytes([b])
        else:
            out += b"\\%03d" % b
    return out


def txt(name, value):
    parts = value if isinstance(value, list) else [value]
    return name + b" TXT " + b" ".join(
        b'"' + escaped(str(p), False) + b'"' for p in parts or [""]) + b"\n"


def zone_of(data):
    out = b""
    for owner, items in data.items():
        name = escaped(str(owner), True)
        has_txt = any(isinstance(i, dict) and "TXT" in i for i in items)
        given = False
        for item in items:
            if not isinstance(item, dict):
                if len(items) == 1:
                    out += name + b" " + item.encode() + b"\n"
                elif not (has_txt and given):
                    out += name + b" " + item.encode() + b" TXT\n"
                continue
            (kind, value), = item.items()
            if kind == "SPF":
                if not has_txt:
                    out += txt(name, value)
            elif kind == "TXT" and value == "NONE":
                out += name + b" EMPTY\n"
            elif kind == "TXT":
                given = True
                out += txt(name, value)
            elif kind == "MX":
                host = escaped(value[1], True) or b"."
                out += name + b" MX %d %s\n" % (value[0], host)
            else:
                out += b"%s %s %s\n" % (name, kind.encode(),
                                        escaped(str(value), True))
    return out


count = passed = 0
with tempfile.TemporaryDirectory() as tmp:
    message, zone, rules = (os.path.join(tmp, n) for n in "mzr")
    with open(message, "w") as f:
        f.write("From: a@example.invalid\nSubject: x\n\nhello\n")
    with open(rules, "w") as f:
        f.write("header A_RULE Subject =~ /x/\ndescribe A_RULE it\nscore A_RULE 0.1\n")
    with open(path, encoding="utf-8") as f:
        suites = list(yaml.safe_load_all(f))
    for suite in suites:
        with open(zone, "wb") as f:
            f.write(zone_of(suite["zonedata"]))
        for label, test in suite["tests"].items():
            count += 1
            run = subprocess.run(
                [spamscore, "--explain", "--json", "--rules", rules,
                 "--db", "none", "--dns-data", zone, "--ip", test["host"],
                 "--helo", test["helo"], "--mail-from", test["mailfrom"],
                 "--now", "1700000000", message],
                capture_output=True, timeout=60)
            want = test["result"]
            want = want if isinstance(want, list) else [want]
            try:
                spf = json.loads(run.stdout)["auth"]["spf"]
                got = spf["result"]
                text = spf.get("explanation") or "DEFAULT"
            except (ValueError, KeyError) as e:
                got, text = "no JSON: %s %s" % (e, run.stderr[:200]), ""
            ok = got in want and test.get("explanation", text) == text
            passed += ok
            print("%sok %d - %s" % ("" if ok else "not ", count, label))
            if not ok:
                print("#  got: %s %r\n# want: %s %r" % (
                    got, text, want, test.get("explanation")))
print("# RFC 7208 suite through the command: %d of %d" % (passed, count))
count += 1
print("%sok %d - all 203 cases" % ("" if passed == 203 == count - 1 else
                                    "not ", count))
print("1..%d" % count)
