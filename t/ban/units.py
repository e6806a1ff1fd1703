#!/usr/bin/env python3
# Every systemd unit: what systemd-analyze thinks of its exposure.
import glob, os, re, shutil, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

if shutil.which('systemd-analyze') is None:
    skip_all('no systemd-analyze')
units = sorted(glob.glob(os.path.join(SOURCE, 'dist/systemd/*.service')))
ok(len(units) >= 2, 'there are units')
for unit in units:
    p = subprocess.run(['systemd-analyze', 'security', '--offline=yes', '--no-pager',
        unit], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=dict(os.environ, LC_ALL='C.UTF-8'))
    m = re.search(r'exposure level for \S+: ([0-9.]+)', p.stdout)
    if m is None:
        note(p.stdout[-500:])
    name = os.path.basename(unit)
    ok(m is not None and float(m.group(1)) <= 2.0,
        '%s: exposure %s, at most 2.0' % (name, m and m.group(1)))
done()
