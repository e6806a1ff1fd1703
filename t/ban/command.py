#!/usr/bin/env python3
# `spamscore ban`: what it prints and how it ends.
import json, os, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

need_root('ipset')
COMMAND = os.path.join(BUILD, 'cli', 'spamscore')
helper = Helper('ban_allow 192.0.2.0/24\nban_protect_days 2').start()

def ban(*args, socket=None):
    p = subprocess.run([COMMAND, 'ban', '--socket', socket or helper.path(), *args],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return p.returncode, p.stdout, p.stderr

same(ban('ping'), (0, '', ''), 'ping')
same(ban('check', '203.0.113.9'), (1, '203.0.113.9: not banned\n', ''), 'check: 1 not banned')
same(ban('add', '203.0.113.9', '--time', '1h', '--reason', 'said "no"\x1b[2J'),
    (0, '203.0.113.9: banned for mail, 60m\n', ''), 'add')
same(ban('check', '203.0.113.9')[0], 0, 'check: 0 banned')
same(ban('check', '203.0.113.9', '--scope', 'host')[0], 1, 'check in the other scope')
same(ban('add', '2001:db8:5::1', '--scope', 'both', '--time', '2d'),
    (0, '2001:db8:5::1: banned for both, 48h\n'.replace('48h', '2d'), ''), 'add, both scopes')
code, out, err = ban('list')
same((code, len(out.splitlines()), '\x1b' in out), (0, 3, False), 'list, escaped')
rows = [json.loads(l) for l in ban('list', '--json')[1].splitlines()]
row = [r for r in rows if r['net'].startswith('203.0.113.9')][0]
now = time.time()
same((row['scope'], row['count'], row['packets'], row['source'], row['label'],
    3590 <= row['remaining_sec'] <= 3600, abs(row['first_time'] - now) < 10),
    ('mail', 1, 0, 'admin', '', True, True), 'list --json')
same(row['reason'], "said 'no'\\x1b[2J", 'the reason was escaped by the helper')
same(len(ban('list', '--scope', 'host')[1].splitlines()), 1, 'list of one scope')
code, out, err = ban('add', '192.0.2.1')
same((code, out, err), (77, '',
    'spamscore: 192.0.2.1: refused-allowed: allow-listed\n'), 'refused, and why')
code, out, err = ban('add', '192.0.2.1', '--json')
same((code, json.loads(out)), (77, {'net': '192.0.2.1', 'result': 'refused-allowed',
    'scope': None, 'ttl_sec': 0, 'simulated': False, 'why': 'allow-listed'}), 'as JSON')
for day in (0, 1):
    helper.client().call(CONFIRM, '203.0.113.70', ttl=int(time.time()) - day * 86400)
same(ban('add', '203.0.113.70', '--scope', 'both', '--time', '1h'), (0,
    '203.0.113.70: banned for host, 60m; not for mail: confirmed good mail\n', ''),
    'half refused, and why')
same(ban('add', '198.51.0.0/24', '--time', '1h')[0], 0, 'a network')
same([ban('check', a)[0] for a in ('198.51.0.77', '198.51.0.0/25', '198.51.0.0/23')],
    [0, 0, 1], 'an address and a part of it are banned, more than it is not')
same(ban('confirm', '198.51.0.0/24')[0], 64, 'no good mail comes from a network')
code, out, err = ban('add', '203.0.113.9', '--scope', 'host', socket=helper.path('milter'))
same((code, err), (77, 'spamscore: 203.0.113.9: refused-rights: '
    'this source may not ban for that scope\n'), 'a scope too many, and why')
same(ban('del', '198.51.0.0'), (65, '',
    'spamscore: 198.51.0.0: still banned, as a part of 198.51.0.0/24\n'),
    'del of an address in it is not silently nothing')
same(ban('del', '198.51.0.0', '--own')[0], 0, 'an own claim that is none')
same(ban('del', '198.51.0.0/24')[1], '198.51.0.0/24: no longer banned\n', 'del of the network')
same(ban('del', '203.0.113.70')[0], 0, 'and of the other')
same(ban('add', '203.0.113')[0], 64, 'half an address is not a network')
same(ban('add', 'example.org')[0], 64, 'a name is no address')
same(ban('add', '203.0.113.9', '--time', 'soon')[0], 64, 'no time')
same(ban('add', '203.0.113.9', '--label', 'a b')[0], 64, 'no label')
same(ban('nonsense')[0], 64, 'no such action')
same(ban('add')[0], 64, 'no address')
same(ban('list', 'x')[0], 64, 'an address too many')
code, out, err = ban('show', '203.0.113.9')
ok(code == 0 and 'mail' in out.splitlines()[0] and ' ban ' in out.splitlines()[1],
    'show: the ban, then its history')
events = [json.loads(l) for l in ban('history', '--json')[1].splitlines()]
same([(e['event'], e['result']) for e in events],
    [('unban', 'ok')] * 2 + [('ban', 'ok'), ('refused', 'refused-protected'), ('ban', 'ok')] +
    [('refused', 'refused-allowed')] * 2 + [('ban', 'ok')] * 3, 'history, newest first')
same(len(ban('history', '--limit', '2')[1].splitlines()), 2, 'history, limited')
same(len(ban('history', '203.0.113.9')[1].splitlines()), 1, 'history of one')
same(ban('del', '203.0.113.9'), (0, '203.0.113.9: no longer banned\n', ''), 'del')
same(ban('del', '203.0.113.9'), (0, '203.0.113.9: was not banned\n', ''), 'del again')
status = [json.loads(l) for l in ban('status', '--json')[1].splitlines()]
same([(s['set'], s['fine'], s['entries']) for s in status],
    [('spamscore-mail4', True, 0), ('spamscore-mail6', True, 1),
    ('spamscore-host4', True, 0), ('spamscore-host6', True, 1)], 'status')
same(ban('confirm', '203.0.113.77')[0], 0, 'confirm')
same(ban('list', socket=helper.path('milter'))[0], 77, 'a source without the right')
same(ban('flush'), (0, '2 claims ended\n', ''), 'flush')
helper.stop()
code, out, err = ban('list')
same((code, out), (69, ''), 'no helper: unavailable')
helper.remove()
done()
