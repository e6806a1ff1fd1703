#!/usr/bin/python3
"""rules.d over the shared corpora, offline: what it tags, by corpus and
half. The guards stand well clear of what is measured; they are there to
notice a rule that goes wrong, not to be tuned against."""
import os
import zlib

from shipped import check
import tap

# corpus: (most ham tagged, least spam tagged), parts of one
GUARDS = {
    "spamassassin": (0.0025, None),
    "lore": (0.0025, None),
    "foff": (0.0140, None),
    "phish": (None, 0.45),
}

ran = False
for corpus, (most_ham, least_spam) in GUARDS.items():
    folder = tap.corpus(corpus)
    if folder is None:
        tap.skip(corpus, "the corpus is not at hand")
        continue
    ran = True
    with open(os.path.join(folder, "ORDER"), encoding="utf-8", errors="replace") as f:
        labels = dict(reversed(line.rstrip("\n").split("\t", 1)) for line in f)
    count = {}
    for path, result in check(folder).items():
        name = os.path.relpath(path, folder)
        label = labels.get(name)
        if label is None or "error" in result:
            continue
        # halves by name, the same on every machine
        for half in ("AB"[zlib.crc32(name.encode()) & 1], "all"):
            n = count.setdefault((label, half), [0, 0, 0])
            n[0] += 1
            n[1] += result["score"] >= 5
            n[2] += result["action"] == "reject"
    for (label, half), (n, tagged, rejected) in sorted(count.items()):
        tap.note(f"{corpus} {label} {half}: {tagged} of {n} at 5 points or more"
                 f" ({100 * tagged / n:.2f} %), {rejected} rejected")
    if ("ham", "all") in count:
        n, tagged, rejected = count["ham", "all"]
        tap.same(rejected, 0, f"{corpus}: no ham is rejected")
        tap.ok(tagged <= most_ham * n, f"{corpus}: ham tagged at most {100 * most_ham:.2f} %")
    if least_spam is not None:
        for half in "AB":
            n, tagged, _ = count["spam", half]
            tap.ok(tagged >= least_spam * n,
                   f"{corpus}: spam tagged at least {100 * least_spam:.0f} %, half {half}")
if not ran:
    tap.skip("all", "no corpus is at hand")
tap.done()
