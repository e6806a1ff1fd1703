#!/usr/bin/python3
"""How long somebody waits for `spamscore --explain` with the stock rules,
beside `spamassassin -L -t`.

usage: bench_explain.py SPAMSCORE [MESSAGES]

Both are started anew for each message, in turns. Wall time; the bar of the
median is 120 ms.
"""
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bench_cpu import make_site, prepare  # noqa: E402
from test_sample import RULES  # noqa: E402

BAR_MS = 120


def wall_ms(*command):
    start = time.monotonic()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True)
    return (time.monotonic() - start) * 1000


def main():
    spamscore = sys.argv[1]
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    work, paths, compiled = prepare(wanted, spamscore)
    site = make_site(os.path.join(work, 'explain-site'))
    config = os.path.join(work, 'explain.conf')
    with open(config, 'w') as f:
        f.write(f'compiled_dir {compiled}\n')
    ours, theirs = [], []
    for path in paths:
        ours.append(wall_ms(spamscore, '--explain', '--offline', '--db', 'none',
                            '--config', config, '--rules', RULES, path))
        theirs.append(wall_ms('spamassassin', '-L', '-t', '-C', RULES,
                              '--siteconfigpath=' + site, path))
    mine = statistics.median(ours)
    print(f'# wall ms of {len(paths)} messages, median (least, most): '
          f'--explain {mine:.0f} ({min(ours):.0f}, {max(ours):.0f}), spamassassin -L -t '
          f'{statistics.median(theirs):.0f} ({min(theirs):.0f}, {max(theirs):.0f})')
    print(f'{"" if mine <= BAR_MS else "not "}ok 1 - a message explained: {mine:.0f} ms, '
          f'1/{statistics.median(theirs) / mine:.1f} of spamassassin, bar {BAR_MS} ms')
    print('1..1')


if __name__ == '__main__':
    main()
