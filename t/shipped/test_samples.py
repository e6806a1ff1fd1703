#!/usr/bin/python3
"""Whole messages of each kind, good and bad, written for this test: the
rules that must be among the hits, and on which side of a score they end."""
import json
import os

from shipped import check
import tap

FOLDER = os.path.join(tap.SOURCE, "t", "shipped", "samples")
with open(os.path.join(FOLDER, "expect.json"), encoding="utf-8") as f:
    expect = json.load(f)
results = {os.path.basename(p): r for p, r in check(FOLDER).items()
           if p.endswith(".eml")}
tap.same(sorted(results), sorted(n + ".eml" for n in expect),
         "every sample has its expectation")
for name, want in sorted(expect.items()):
    got = results.get(name + ".eml", {"score": 0, "rules": []})
    told = tap.same(sorted(set(want.get("rules", [])) - set(got["rules"])), [],
                    f"{name}: hits what it should")
    told &= tap.ok(got["score"] <= want.get("max", 1e9),
                   f"{name}: at most {want.get('max', 'any')} points")
    told &= tap.ok(got["score"] >= want.get("min", -1e9),
                   f"{name}: at least {want.get('min', 'any')} points")
    if not told:
        tap.note(f"{got['score']}: {' '.join(got['rules'])}")
tap.done()
