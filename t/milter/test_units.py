#!/usr/bin/python3
"""What is in dist/ for the host: systemd units are exposed no more than 2.0;
Postfix takes the snippet; the symbols it names exist."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from milter_peer import Tap  # noqa: E402

tap = Tap()


SOURCE = os.environ.get("SPAMSCORE_SOURCE", ".")


def snippet():
    path = os.path.join(SOURCE, "dist", "postfix", "main.cf.snippet")
    with open(path, encoding="ascii") as f:
        text = f.read()
    symbols = set(re.findall(r"\b(?:AUTH|HELO|DNSBL)_[A-Z_]+\b", text))
    rules = ""
    for name in glob.glob(os.path.join(SOURCE, "rules.d", "*.cf")):
        with open(name, encoding="utf-8") as f:
            rules += f.read()
    tap.eq(sorted(s for s in symbols if not re.search(rf"(?m)^describe\s+{s}\s", rules)), [],
           f"the {len(symbols)} symbols that the Postfix snippet names are shipped")
    if shutil.which("postconf") is None:
        tap.skip("the snippet", "needs Postfix")
        return
    with tempfile.TemporaryDirectory() as top:
        shutil.copy(path, os.path.join(top, "main.cf"))
        with open(os.path.join(top, "master.cf"), "w", encoding="ascii") as f:
            f.write("smtp inet n - y - - smtpd\n")
        p = subprocess.run(["postconf", "-c", top, "-n"], capture_output=True, text=True,
                           check=False)
        tap.eq((p.returncode, p.stderr), (0, ""), "Postfix takes the snippet without a warning")


def main():
    snippet()
    if shutil.which("systemd-analyze") is None:
        tap.skip("units", "needs systemd-analyze")
        return tap.done()
    folder = os.path.join(SOURCE, "dist", "systemd")
    for unit in sorted(glob.glob(os.path.join(folder, "*.service"))):
        name = os.path.basename(unit)
        p = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", unit],
                           capture_output=True, text=True, check=False)
        m = re.search(r"Overall exposure level for \S+: ([0-9.]+)", p.stdout)
        if m is None:
            tap.skip(name, "this systemd-analyze looks at no files: " + p.stderr.strip()[:80])
            continue
        with open(unit, encoding="ascii") as f:
            text = f.read()
        tap.ok(float(m.group(1)) <= 2.0, f"{name}: exposure {m.group(1)}, at most 2.0")
        tap.match(text, r"(?m)^NoNewPrivileges=yes$", f"{name}: no new privileges")
    return tap.done()


sys.exit(main())
