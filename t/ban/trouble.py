#!/usr/bin/env python3
# What goes wrong around the helper: a full disk, a corrupt journal, wrong
# configuration, no privileges; and the trial run that touches nothing.
import os, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

need_root('ipset', 'mount')

# a disk that is full, and then is not
helper = Helper()
state = os.path.join(helper.dir, 'state')
os.mkdir(state)
run('mount', '-t', 'tmpfs', '-o', 'size=300k,mode=0700,uid=65534,gid=65534', 'none', state)
helper.start()
admin = helper.client()
nets = ['32.0.%d.%d' % (i >> 8, i & 255) for i in range(2000)]
results = {admin.add(n, ttl=3600, reason=b'x' * 120) for n in nets}
same(results, {'ok'}, 'a full disk does not stop bans')
same(len(ipset_entries('spamscore-mail4')), len(nets), 'they are in the kernel')
same(helper.log().count('error=journal'), 1, 'the log says so once')
run('mount', '-o', 'remount,size=50M', state)
ok(wait_for(lambda: 'works again' in helper.log(), 15), 'room again: noticed')
helper.stop(signal.SIGKILL)
run('ipset', 'destroy')
helper.start()
same(len(ipset_entries('spamscore-mail4')), len(nets), 'and all bans were written')
same(helper.client().add('203.0.113.9'), 'ok', 'it goes on')
helper.stop()

# a corrupt journal is moved aside and never deleted
path = os.path.join(state, 'ban.db')
with open(path, 'r+b') as f:
    f.seek(0)
    f.write(b'garbage!' * 4096)
helper.start()
ok('moved to' in helper.log() and
    [n for n in os.listdir(state) if n.startswith('ban.db.corrupt-')],
    'a corrupt journal is kept under another name')
same(helper.client().add('203.0.113.9'), 'ok', 'a new one is in use')
helper.stop()
run('umount', state)
os.chown(state, 65534, 65534)

# wrong configuration: all errors, with their lines
def check(config):
    helper.write_config(config)
    return subprocess.run([HELPER, '--config', helper.config, '--check'],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
p = check('ban_typo 1\nban_max_entries 0\n')
same((p.returncode, p.stdout.count(helper.config + ':')), (78, 2),
    'every error in the configuration has its line')
same(check('ban_strikes 3\ntag_score 4\nbody X /x/').returncode, 0,
    'words of other rooms are no errors')
helper.write_config('')
helper.start()
helper.write_config('ban_typo 1')
helper.proc.send_signal(signal.SIGHUP)
ok(wait_for(lambda: 'not reloaded' in helper.log()), 'a bad file is not taken')
same(helper.client().call(PING).result, 'ok', 'the old one still holds')
helper.write_config('ban_allow 203.0.113.0/24')
same(helper.client().add('203.0.113.9'), 'ok', 'before the new one')
helper.proc.send_signal(signal.SIGHUP)
ok(wait_for(lambda: helper.client().check('203.0.113.9') == 'not-banned'),
    'a good one is, and lifts what it forbids')

# editors put a new file in the place of the old one
helper.write_config('ban_allow 203.0.113.0/24')
os.rename(helper.config, helper.config + '~')
helper.write_config('ban_allow 192.0.2.0/24')
helper.proc.send_signal(signal.SIGHUP)
ok(wait_for(lambda: helper.client().add('203.0.113.9') == 'ok'), 'a new file under the old name is read')
helper.client().delete('203.0.113.9')

# the journal is deleted, and damaged, while it is in use
journal = os.path.join(helper.dir, 'state', 'ban.db')
admin = helper.client()
same({admin.add('203.0.113.%d' % i, ttl=3600) for i in range(100)}, {'ok'}, 'some bans')
mark = os.path.getsize(helper.log_path)
os.unlink(journal)
ok(wait_for(lambda: os.path.exists(journal) and 'works again' in helper.log(mark)),
    'a journal that is deleted is made anew')
helper.stop(signal.SIGKILL)
run('ipset', 'destroy')
helper.start()
same(len(ipset_entries('spamscore-mail4')), 100, 'with all bans')
admin = helper.client()
mark = os.path.getsize(helper.log_path)
os.unlink(journal)
os.mkdir(journal)
ok(wait_for(lambda: 'error=journal' in helper.log(mark)), 'a journal that cannot be made is told')
same(admin.add('203.0.113.200'), 'ok', 'and bans go on')
os.rmdir(journal)
ok(wait_for(lambda: 'works again' in helper.log(mark), 20), 'until it can be made')
same(helper.client().delete('203.0.113.200'), 'ok', 'a ban is taken back')

# root sets no rights through a link that the helper's user put there
target = os.path.join(helper.dir, 'target')
with open(target, 'w') as f:
    f.write('root only')
os.chmod(target, 0o600)
helper.stop()
os.unlink(helper.path('fail2ban'))
os.symlink(target, helper.path('fail2ban'))
try:
    helper.start()
    ok(False, 'a link where a socket should be')
except RuntimeError:
    ok(True, 'a link where a socket should be: it does not start')
same(os.stat(target).st_mode & 0o777, 0o600, 'and the file behind it is as it was')
os.unlink(helper.path('fail2ban'))
helper.proc = None
helper.start()
modes = {n: os.stat(helper.path(n)) for n in ('milter', 'fail2ban', 'admin')}
same({n: oct(s.st_mode & 0o777) for n, s in modes.items()},
    {'milter': '0o660', 'fail2ban': '0o600', 'admin': '0o600'}, 'the modes of sockets')
same({s.st_uid for s in modes.values()}, {0}, 'root owns them')

# a second helper must not take over the sockets' journal unnoticed
second = Helper()
second.write_config('ban_state_dir %s/state' % helper.dir)
second.start()
ok('will not survive' in second.log(), 'the journal belongs to one helper')
second.remove()
helper.stop()
run('ipset', 'destroy')

# nobody's helper
p = subprocess.run(['setpriv', '--reuid', '65534', '--regid', '65534',
    '--clear-groups', '--inh-caps', '-all', HELPER, '--config', helper.config],
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20) \
    if os.path.exists('/usr/bin/setpriv') else None
ok(p is None or p.returncode != 0, 'without CAP_NET_ADMIN it does not start')

helper.write_config('ban_simulate yes')
helper.start()
admin = helper.client()
reply = admin.call(ADD, '203.0.113.9', BOTH, 60)
same((reply.result, reply.flags), ('ok', 2), 'simulate: answered, and marked')
same(run('ipset', 'list', '-n'), '', 'simulate: no set is made')
same(admin.check('203.0.113.9'), 'not-banned', 'simulate: nobody is banned')
ok('event=would-ban net=203.0.113.9 ' in helper.log(), 'simulate: the log tells')
caps = [l.split()[1] for l in open('/proc/%d/status' % helper.proc.pid)
    if l.startswith(('CapEff', 'CapPrm', 'CapBnd'))]
same(set(caps), {'0' * 16}, 'simulate: no capability at all')
helper.remove()
done()
