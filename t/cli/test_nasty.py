"""Every message of the nasty corpus through the command: judged or refused
with a reason, none lost, no crash."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SPAMSCORE, corpus, done, note, ok, run, same, skip_all  # noqa: E402

where = corpus("nasty")
if where is None:
    skip_all("corpora/nasty.tar.xz is not in SPAMSCORE_SHARED")
# names with a dot are not mail: a .gitignore, a .gitattributes
files = sorted(os.path.join(d, name) for d, _, names in os.walk(where) for name in names if name[0] != ".")
code, out, err = run(SPAMSCORE, "check", "--jobs", "2", "--offline", "--db", "none", "--now", "1704067200",
                     where, timeout=540)
ok(code in (0, 65), f"exit {code}") or note(err[-3000:])
rows = [json.loads(line) for line in out.splitlines()]
parts = [r["path"] for r in rows if re.sub(r":\d+$", "", r["path"]) in files and r["path"] not in files]
same(sorted({re.sub(r":\d+$", "", path) for path in parts} | {r["path"] for r in rows if r["path"] not in parts}), files,
     "each file is read")
same(len({r["path"] for r in rows}), len(rows), "one line a message")
same(len(parts), 71, "three of them are mboxes, of 48, 21 and 2 messages")
same([r for r in rows if "error" in r and not r["error"]], [], "each refusal has a reason")
refused = [r for r in rows if "error" in r]
note(f"{len(rows)} messages, {len(refused)} refused")
same([r["path"] for r in refused], [f for f in files if os.path.getsize(f) == 0], "only what is empty is refused")
done()
