#!/usr/bin/python3
"""Rule by rule, SpamAssassin's hits against ours over the same mail.

usage: compare.py theirs.txt ours.txt [--worst N]

Both files hold a line a message: path TAB score TAB RULE=count ...
Agreement is both / (both + only theirs + only ours), in hits: a rule that
fired on a message counts once, however often it matched. A message that we
refuse is compared as one without any hit.
"""
import collections
import sys


def read(path):
    result = {}
    for line in open(path, encoding='utf-8', errors='replace'):
        name, score, rules = (line.rstrip('\n').split('\t') + [''])[:3]
        if score == 'error':
            result[name] = (None, {})
            continue
        hits = {}
        for item in rules.split():
            if not item.startswith('?'):
                rule, _, count = item.partition('=')
                hits[rule] = count
        result[name] = (float(score), hits)
    return result


def compare(theirs, ours):
    both = collections.Counter()
    only_theirs = collections.Counter()
    only_ours = collections.Counter()
    counts = collections.Counter()
    examples = {}
    near = messages = 0
    for name in theirs:
        if name not in ours:
            continue
        messages += 1
        a, b = theirs[name], ours[name]
        near += b[0] is not None and abs(a[0] - b[0]) <= 0.1001
        for rule in a[1].keys() | b[1].keys():
            if rule in a[1] and rule in b[1]:
                both[rule] += 1
                counts[rule] += a[1][rule] != b[1][rule]
            elif rule in a[1]:
                only_theirs[rule] += 1
                examples.setdefault(rule, name)
            else:
                only_ours[rule] += 1
                examples.setdefault(rule, name)
    return both, only_theirs, only_ours, counts, examples, near, messages


def main():
    theirs, ours = read(sys.argv[1]), read(sys.argv[2])
    worst = int(sys.argv[4]) if len(sys.argv) > 4 else 20
    both, a, b, counts, examples, near, messages = compare(theirs, ours)
    total = sum(both.values()) + sum(a.values()) + sum(b.values())
    if total == 0 or messages == 0:
        sys.exit('nothing to compare')
    print(f'messages {messages} hits {total} both {sum(both.values())} '
          f'only theirs {sum(a.values())} only ours {sum(b.values())}')
    print(f'agreement {sum(both.values()) / total:.4%}')
    print(f'same score to 0.1: {near / messages:.2%}')
    off = collections.Counter(a) + collections.Counter(b)
    for rule, _ in off.most_common(worst):
        print(f'  {rule}: both {both[rule]} only theirs {a[rule]} '
              f'only ours {b[rule]} e.g. {examples[rule]}')
    other = [r for r, n in counts.most_common(10) if n]
    if other:
        print('counted otherwise: ' +
              ', '.join(f'{r} {counts[r]}' for r in other))


if __name__ == '__main__':
    main()
