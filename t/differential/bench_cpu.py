#!/usr/bin/python3
"""CPU a message under the stock rules, beside `spamd -L`.

usage: bench_cpu.py OURS SPAMSCORE [MESSAGES]

spamd, our ruleset with its compiled databases and our ruleset with PCRE2 alone
judge the same different messages, in turns of a hundred, so that whatever else
the machine does weighs on all three alike. Counted is the CPU time of the
processes, from the first message to the last; loading is not. The bars of the
ratios are 1/100 and 1/10.
"""
import glob
import os
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_sample import RULES, need_spamassassin, skip, unpack  # noqa: E402

TURN = 100
CORPORA = ('spamassassin', 'lore', 'foff', 'phish')


def cpu_of(pid):
    """Seconds of a process and of its children, living and dead."""
    with open(f'/proc/{pid}/stat') as f:
        words = f.read().rpartition(')')[2].split()
    total = sum(int(w) for w in words[11:15]) / os.sysconf('SC_CLK_TCK')
    with open(f'/proc/{pid}/task/{pid}/children') as f:
        return total + sum(cpu_of(child) for child in f.read().split())


class Ours:
    """Our ruleset in a process that lives through the whole run."""

    def __init__(self, *args):
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True,
                                        errors='surrogateescape')
        self.ask(['/dev/null'])
        self.start = cpu_of(self.process.pid)

    def ask(self, paths):
        self.process.stdin.write('\n'.join(paths) + '\n')
        self.process.stdin.flush()
        for _ in paths:
            self.process.stdout.readline()

    def seconds(self):
        return cpu_of(self.process.pid) - self.start

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def make_site(path):
    """SpamAssassin's settings: Debian's plugins, no Bayes."""
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    for pre in glob.glob('/etc/spamassassin/*.pre'):
        shutil.copy(pre, path)
    with open(os.path.join(path, 'local.cf'), 'w') as f:
        f.write('use_bayes 0\nuse_learner 0\n')
    return path


def prepare(wanted, spamscore):
    """Where to work, so many different messages, the compiled stock rules."""
    need_spamassassin()
    work = os.path.join(os.environ['SPAMSCORE_BUILD'], 'differential')
    compiled = os.path.join(work, 'compiled')
    os.makedirs(compiled, exist_ok=True)
    paths = [p for name in CORPORA for p in unpack(name, work)]
    if not paths:
        skip('no corpora under $SPAMSCORE_SHARED')
    subprocess.run([spamscore, 'compile', '--rules', RULES, '--dir', compiled],
                   stdout=subprocess.DEVNULL, check=True)
    return work, paths[::max(1, len(paths) // wanted)][:wanted], compiled


class Spamd:
    """One child without end, the network or Bayes."""

    def __init__(self, work):
        site = make_site(os.path.join(work, 'spamd'))
        self.path = os.path.join(site, 'socket')
        self.process = subprocess.Popen(
            ['spamd', '-L', '-x', '-m1', '--max-conn-per-child=1000000',
             '--socketpath=' + self.path, '-C', RULES, '--siteconfigpath=' + site,
             '-H', site, '-s', 'null', '-u', 'nobody'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while not os.path.exists(self.path):
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError('spamd does not start')
            time.sleep(0.1)
        self.check(b'Subject: first\n\nsay\n')
        self.start = cpu_of(self.process.pid)

    def check(self, mail):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path)
            s.sendall(b'SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n' % len(mail) + mail)
            s.shutdown(socket.SHUT_WR)
            answer = b''
            while part := s.recv(65536):
                answer += part
        if b' 0 EX_OK' not in answer:
            raise RuntimeError(answer.decode(errors='replace')[:200])

    def ask(self, paths):
        for path in paths:
            with open(path, 'rb') as f:
                self.check(f.read())

    def seconds(self):
        return cpu_of(self.process.pid) - self.start

    def stop(self):
        self.process.terminate()
        self.process.wait()


def main():
    ours, spamscore = sys.argv[1:3]
    wanted = int(sys.argv[3]) if len(sys.argv) > 3 else 3000
    if shutil.which('spamd') is None:
        skip('needs spamd (packages spamd or spamassassin)')
    work, paths, compiled = prepare(wanted, spamscore)
    peers = (Spamd(work), Ours(ours, '-n', '-c', compiled, RULES),
             Ours(ours, '-n', RULES))
    for i in range(0, len(paths), TURN):
        for peer in peers:
            peer.ask(paths[i:i + TURN])
    theirs, fast, plain = (peer.seconds() / len(paths) * 1000 for peer in peers)
    for peer in peers:
        peer.stop()
    print(f'# CPU of {len(paths)} messages, ms each: spamd -L {theirs:.1f}, '
          f'compiled {fast:.3f}, PCRE2 alone {plain:.3f}')
    for number, (name, ms, bar) in enumerate((('compiled', fast, 100),
                                              ('PCRE2 alone', plain, 10)), 1):
        print(f'{"" if theirs / ms >= bar else "not "}ok {number} - {name}: '
              f'1/{theirs / ms:.0f} of spamd -L, bar 1/{bar}')
    print('1..2')


if __name__ == '__main__':
    main()
