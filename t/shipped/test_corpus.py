#!/usr/bin/python3
"""rules.d over the shared corpora, offline: what it tags, by corpus and
half. The guards stand well clear of what is measured; they are there to
notice a rule that goes wrong, not to be tuned against."""
import os
import re
import tempfile
import zlib

from shipped import check
import tap

# corpus: (most ham tagged, least spam tagged), parts of one
GUARDS = {
    "spamassassin": (0.0025, None),
    "lore": (0.0025, None),
    "lore-direct": (0.0025, 0.25),
    "foff": (0.0140, 0.25),
    "phish": (None, 0.50),
}

LIST_FIELDS = re.compile(
    rb"(?:list-[\w-]*|precedence|sender|x-mailing-list|mailing-list|return-path|"
    rb"x-beenthere|x-google-group-id|x-original-sender|x-loop|x-original-to|"
    rb"delivered-to|arc-[\w-]*):", re.I)


def as_direct_mail(raw):
    """A list message as if its author had written to us: without the list's
    fields and hops. Lists are exempt from much, private mail is not."""
    head, _, body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
    fields = re.split(rb"\n(?![ \t])", head)
    author = next((f for f in fields if f.lower().startswith(b"from:")), b"")
    address = re.search(rb"[\w.+=-]+@[\w.-]+", author.split(b"<")[-1])
    received = [f for f in fields if f.lower().startswith(b"received:")]
    hops = [i for i, f in enumerate(received)
            if re.search(rb"listexpand|majordomo|googlegroups|by [\w.]*lfdr", f)]
    received = received[hops[-1] + 1 if hops else 0:]
    if address is None or not received:
        return None
    kept = [f for f in fields if not LIST_FIELDS.match(f)
            and not f.lower().startswith(b"received:")]
    return b"\n".join([b"Return-Path: <" + address.group(0) + b">"] + received
                      + kept) + b"\n\n" + body


def direct_mail():
    """lore in that shape, or None"""
    lore = tap.corpus("lore")
    target = os.path.join(tap.BUILD, "corpora", "lore-direct")
    if lore is None:
        return None
    if not os.path.isdir(target):
        scratch = tempfile.mkdtemp(prefix="lore-direct.", dir=os.path.dirname(target))
        for label in ("ham", "spam"):
            os.makedirs(os.path.join(scratch, label))
        with open(os.path.join(lore, "ORDER"), "rb") as order, \
                open(os.path.join(scratch, "ORDER"), "wb") as out:
            for line in order:
                name = line.rstrip(b"\n").split(b"\t", 1)[1]
                with open(os.path.join(os.fsencode(lore), name), "rb") as f:
                    direct = as_direct_mail(f.read())
                if direct is not None:
                    with open(os.path.join(os.fsencode(scratch), name), "wb") as f:
                        f.write(direct)
                    out.write(line)
        os.rename(scratch, target)
    return target


ran = False
for corpus, (most_ham, least_spam) in GUARDS.items():
    folder = direct_mail() if corpus == "lore-direct" else tap.corpus(corpus)
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
