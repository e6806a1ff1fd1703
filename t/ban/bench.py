#!/usr/bin/env python3
# Figures of the ban helper: bans a second into the kernel, latency of others
# meanwhile, memory and restore time at a million bans (or the argument).
import os, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

need_root('ipset')
FLOOD = os.path.join(BUILD, 't/ban/flood')
BANS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000

def memory(pid):
    status = open('/proc/%d/status' % pid).read()
    return int(status.split('VmRSS:')[1].split()[0]) / 1024

helper = Helper('ban_source admin scopes=mail,host rights=all per_minute=100000000 '
    'max_time=1y escalate=no\nban_source other scopes=mail rights=check,list\n'
    'ban_max_entries 2000000\n').start()
def cpu(pid):
    words = open('/proc/%d/stat' % pid).read().split()
    return (int(words[13]) + int(words[14])) / os.sysconf('SC_CLK_TCK')

burst = 100000
used = cpu(helper.proc.pid)
rate, good = map(float, run(FLOOD, helper.path(), 'add', str(burst), '0').split())
note('pipelined on one connection: %d bans a second' % rate)
note('of the helper\'s own processor time: %d bans a second' %
    (burst / (cpu(helper.proc.pid) - used)))
same(int(good), burst, 'all were banned')
same(len(ipset_entries('spamscore-mail4')), burst, 'all are in the kernel')
ok(rate >= 20000, 'at least 20,000 bans a second')

flooding = subprocess.Popen([FLOOD, helper.path(), 'add', str(BANS - burst),
    str(burst)], stdout=subprocess.PIPE, text=True)
times = run(FLOOD, helper.path('other'), 'latency', '2000', str(helper.proc.pid)).split()
note('another client meanwhile: median %s us, 99 %% within %s us, worst %s us, or %s us '
    'without waiting for a processor' % tuple(times[:4]))
rate, good = map(float, flooding.communicate()[0].split())
note('the rest, up to %d: %d bans a second' % (BANS, rate))
same(int(good), BANS - burst, 'all the others were banned too')
note('memory with %d bans: %.0f MB' % (BANS, memory(helper.proc.pid)))
ok(memory(helper.proc.pid) <= 200, 'the helper needs at most 200 MB')
helper.stop()
run('ipset', 'destroy')
start = time.monotonic()
helper.start()
took = time.monotonic() - start
note('restored %d bans into empty sets in %.2f s' % (BANS, took))
ok(took <= 8, 'restored within 8 s')
entries = int(run('ipset', 'list', '-t', 'spamscore-mail4').split('Number of entries: ')[1])
same(entries, BANS, 'all are in the kernel again')
note('memory after the restore: %.0f MB' % memory(helper.proc.pid))
ok(memory(helper.proc.pid) <= 200, 'the helper needs at most 200 MB')
helper.stop(signal.SIGKILL)
start = time.monotonic()
helper.start()
note('agreed with %d bans in the kernel in %.2f s' % (BANS, time.monotonic() - start))
helper.remove()
done()
