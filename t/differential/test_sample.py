#!/usr/bin/python3
"""The stock rules, rule by rule, against Debian's SpamAssassin.

usage: test_sample.py OURS [--all SPAMSCORE]

Takes a sample of each corpus under $SPAMSCORE_SHARED (with --all: every
message, as a benchmark), lets SpamAssassin (offline, no Bayes) and our
ruleset look at it, and holds the agreement against the bar: 99.5 % of hits on
real mail, 98 % on the nasty corpus, 97 % of the scores to 0.1.
"""
import glob
import os
import shutil
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare  # noqa: E402

RULES = '/usr/share/spamassassin'
HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = {'spamassassin': 90, 'lore': 70, 'foff': 20, 'phish': 40, 'nasty': 30}
BARS = {'nasty': 0.98}


def skip(why):
    print(f'1..0 # SKIP {why}')
    sys.exit(0)


def unpack(name, work):
    """Paths of a corpus, unpacked once into the build directory."""
    place = os.path.join(work, name)
    if not os.path.isdir(place):
        archive = os.path.join(os.environ.get('SPAMSCORE_SHARED', '../shared'),
                               'corpora', name + '.tar.xz')
        if not os.path.exists(archive):
            return []
        part = place + '.part'
        shutil.rmtree(part, ignore_errors=True)
        with tarfile.open(archive) as tar:
            tar.extractall(part)
        os.rename(part, place)
    paths = []
    for folder, _, files in os.walk(place):
        paths += [os.path.join(folder, f) for f in files
                  if f not in ('ORDER', 'README.md')]
    return sorted(p for p in paths if 0 < os.path.getsize(p) < 1000000)


def run(command, paths):
    done = subprocess.run(command, input='\n'.join(paths) + '\n', text=True,
                          errors='surrogateescape', stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    cpu = [l.split()[1] for l in done.stderr.splitlines()
           if l.startswith('cpu ')]
    if done.returncode != 0 or not cpu:
        print('# ' + done.stderr[-2000:].replace('\n', '\n# '))
        print(f'Bail out! {command[0]} failed')
        sys.exit(1)
    for line in done.stderr.splitlines():
        if line.startswith('parse '):
            words = line.replace('decode and render', 'render').split()
            print('# ms a message: ' + ', '.join(
                f'{name} {float(seconds) / len(paths) * 1000:.3f}'
                for name, seconds in zip(words[::2], words[1::2])))
    return done.stdout, float(cpu[-1])


def need_spamassassin():
    if not os.path.isdir(RULES) or not glob.glob('/etc/spamassassin/*.pre'):
        skip('SpamAssassin is not installed')
    if subprocess.run(['perl', '-MMail::SpamAssassin', '-e1'],
                      stderr=subprocess.DEVNULL).returncode != 0:
        skip('Mail::SpamAssassin is not installed')


def main():
    ours, everything = sys.argv[1], '--all' in sys.argv
    need_spamassassin()
    work = os.path.join(os.environ['SPAMSCORE_BUILD'], 'differential')
    site = os.path.join(work, 'site')
    os.makedirs(site, exist_ok=True)
    for pre in glob.glob('/etc/spamassassin/*.pre'):
        shutil.copy(pre, site)
    samples = {}
    for name, count in SAMPLE.items():
        paths = unpack(name, work)
        if not everything and len(paths) > count:
            paths = paths[::len(paths) // count][:count]
        if paths:
            samples[name] = paths
    if not samples:
        skip('no corpora under $SPAMSCORE_SHARED')
    every = [p for paths in samples.values() for p in paths]
    more = os.path.join(HERE, 'departures.cf')
    out, their_cpu = run(['perl', os.path.join(HERE, 'theirs.pl'), site, RULES,
                          more], every)
    with open(os.path.join(work, 'theirs.txt'), 'w',
              errors='surrogateescape') as f:
        f.write(out)
    failed = 0
    out, our_cpu = run([ours, RULES, more], every)
    with open(os.path.join(work, 'ours.txt'), 'w',
              errors='surrogateescape') as f:
        f.write(out)
    our_fast = None
    if everything and len(sys.argv) > 3:
        compiled = os.path.join(work, 'compiled')
        os.makedirs(compiled, exist_ok=True)
        subprocess.run([sys.argv[3], 'compile', '--rules', RULES, '--rules',
                        more, '--dir', compiled], stdout=subprocess.DEVNULL)
        again, our_fast = run([ours, '-c', compiled, RULES, more], every)
        print('# with libhs: the same hits' if again == out else
              '# with libhs: OTHER HITS')
        failed += again != out
    theirs = compare.read(os.path.join(work, 'theirs.txt'))
    mine = compare.read(os.path.join(work, 'ours.txt'))
    tests = 0
    for name, paths in samples.items():
        a = {p: theirs[p] for p in paths if p in theirs}
        both, x, y, _, examples, near, messages = compare.compare(a, mine)
        total = sum(both.values()) + sum(x.values()) + sum(y.values())
        share = sum(both.values()) / total if total else 0
        bar = BARS.get(name, 0.995)
        for label, value, want in (('agreement', share, bar),
                                   ('same score', near / max(messages, 1),
                                    0 if name == 'nasty' else 0.97)):
            tests += 1
            ok = value >= want
            failed += not ok
            print(f'{"" if ok else "not "}ok {tests} - {name}: {label} '
                  f'{value:.3%} of {messages} messages, bar {want:.1%}')
        for rule, n in (x + y).most_common(12):
            print(f'#   {rule}: only theirs {x[rule]} only ours {y[rule]} '
                  f'both {both[rule]}, {examples[rule]}')
    print(f'# CPU a message: theirs {their_cpu / len(every) * 1000:.2f} ms, '
          f'ours {our_cpu / len(every) * 1000:.3f} ms, '
          f'1/{their_cpu / max(our_cpu, 1e-6):.0f} (PCRE2 alone)')
    if our_fast is not None:
        print(f'# with libhs {our_fast / len(every) * 1000:.3f} ms, '
              f'1/{their_cpu / max(our_fast, 1e-6):.0f}')
    print(f'1..{tests}')
    sys.exit(failed != 0)


if __name__ == '__main__':
    main()
