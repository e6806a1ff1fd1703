#!/usr/bin/python3
"""The systemd units: well-formed, and exposed no more than 2.0."""
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from milter_peer import Tap, skip_all  # noqa: E402

tap = Tap()


def main():
    if shutil.which("systemd-analyze") is None:
        skip_all("needs systemd-analyze")
    folder = os.path.join(os.environ["SPAMSCORE_SOURCE"], "dist", "systemd")
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
