#!/usr/bin/python3
"""Messages that are odd in one way each (odd_mail.py), under the stock rules
and under every construct of the language (language.cf): rule by rule, and how
often each hit, as SpamAssassin finds it.

usage: test_odd.py OURS [--all]

What differs stands below with its reason; nothing else may. A fifth of the
messages is taken, with --all every one.
"""
import glob
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare  # noqa: E402
import odd_mail  # noqa: E402
import test_sample  # noqa: E402

# name of the message, rules (or all), reason; see the two DEPARTURES.md
REASONS = [
    (r'lines-cr$', r'', 'CR alone ends lines when there is no LF'),
    (r'lines-mixed-blank$', r'', 'an empty line ends the header however it is written'),
    (r'mime-deep$', r'', 'more levels of MIME are read'),
    (r'label-.*(49534f2d323032322d4a|756e69636f64652d312d)$', r'', 'text that is not of its charset: Encode loses it'),
    (r'(eai|html-idn.*)$', r'', 'hosts of other scripts: Net::LibIDN is missing'),
    (r'field-093', r'DATE_IN_PAST_06_12$', 'the time of day of an asctime date'),
]


def reason(name, rules):
    return next((why for pattern, only, why in REASONS if re.match(pattern, name) and
                 all(re.match(only, r) for r in rules)), None)


def main():
    ours, everything = sys.argv[1], '--all' in sys.argv
    test_sample.need_spamassassin()
    work = os.path.join(os.environ['SPAMSCORE_BUILD'], 'differential', 'odd')
    site = os.path.join(work, 'site')
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(site)
    for pre in glob.glob('/etc/spamassassin/*.pre'):
        shutil.copy(pre, site)
    more = os.path.join(work, 'more.cf')
    with open(more, 'w') as f:
        for part in ('departures.cf', 'language.cf'):
            f.write(open(os.path.join(test_sample.HERE, part)).read())
    paths = []
    for n, (name, data) in enumerate(odd_mail.mails()):
        if everything or n % 5 == 0:
            paths.append(os.path.join(work, name.replace('/', '_').replace(' ', '_')))
            with open(paths[-1], 'wb') as f:
                f.write(data)
    results = []
    for command in (['perl', os.path.join(test_sample.HERE, 'theirs.pl'), '--mend', site, test_sample.RULES, more],
                    [ours, test_sample.RULES, more]):
        text, _ = test_sample.run(command, paths)
        with open(os.path.join(work, 'out.txt'), 'w', errors='surrogateescape') as f:
            f.write(text)
        results.append(compare.read(f.name))
    theirs, mine = results
    wrong = 0
    for path in paths:
        name = os.path.basename(path)
        a, b = theirs.get(path, (None, {}))[1], mine.get(path, (None, {}))[1]
        differ = sorted(r for r in a.keys() | b.keys() if a.get(r) != b.get(r))
        why = reason(name, differ)
        if differ and why is None:
            wrong += 1
            print(f'# {name}: ' + ', '.join(f'{r} theirs {a.get(r, 0)} ours {b.get(r, 0)}' for r in differ[:8]))
        elif differ:
            print(f'# {name} differs: {why}')
    print(f'{"not " if wrong else ""}ok 1 - {len(paths)} odd messages: {wrong} differ without a reason')
    print(f'{"" if len(theirs) == len(mine) == len(paths) else "not "}ok 2 - each was read by both')
    print('1..2')
    sys.exit(wrong != 0)


if __name__ == '__main__':
    main()
