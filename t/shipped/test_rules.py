#!/usr/bin/python3
"""Every scored rule of rules.d says what it is, has a score, and hits what
its `test NAME ok` lines say and not what its `test NAME fail` lines say."""
from concurrent.futures import ThreadPoolExecutor

from shipped import check_messages, check_with_dns, message, read_rules
import tap

rules = read_rules()
scored = [r for r in rules.values() if not r.name.startswith("__")]
tap.ok(len(scored) >= 60, f"{len(scored)} scored rules, at least 60")

for r in scored:
    lacks = [what for what, there in (
        ("a definition", r.where), ("describe", r.describe), ("score", r.score),
        ("test ok", r.ok), ("test fail", r.fail)) if not there]
    tap.same(lacks, [], f"{r.name} lacks nothing")
    tap.ok(r.describe is not None and len(r.describe) <= 50,
           f"{r.name}: description fits a line of the report")

singles = [r.name for r in scored if r.name != "GTUBE" and (r.score or 0) >= 5]
tap.same(singles, [], "no rule tags by itself")

# Tests that bring DNS data along run one by one, the others all at once
messages, with_dns = {"plain": message("")}, {}
for r in scored:
    for kind in ("ok", "fail"):
        for i, text in enumerate(getattr(r, kind)):
            if r.where.startswith("25_"):
                with_dns[f"{r.name}.{kind}.{i}"] = text
            else:
                messages[f"{r.name}.{kind}.{i}"] = message(text)
results = check_messages(messages)
tap.same(len(results), len(messages), "every test message was judged")
with ThreadPoolExecutor(2) as pool:
    results.update(zip(with_dns, pool.map(check_with_dns, with_dns.values())))
tap.same(results.get("plain", {}).get("rules"), [], "a plain good message hits nothing")

for r in scored:
    for kind in ("ok", "fail"):
        for i, text in enumerate(getattr(r, kind)):
            got = results.get(f"{r.name}.{kind}.{i}", {}).get("rules", [])
            if not tap.ok((r.name in got) == (kind == "ok"),
                          f"{r.name} {kind} ({r.where})"):
                tap.note(text)
                tap.note("hit: " + " ".join(got))

tap.done()
