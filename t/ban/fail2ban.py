#!/usr/bin/env python3
# Debian's real fail2ban, with our action, filter and jails, on log files with
# classic lines: it bans through the helper, and lets go again.
import datetime, os, shutil, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

need_root('ipset', 'fail2ban-server', 'fail2ban-client')
if not os.path.isdir('/etc/fail2ban/filter.d'):
    skip_all('no /etc/fail2ban')

helper = Helper('ban_allow 192.0.2.0/24\nban_protect_days 1\n').start()
admin = helper.client()
conf = os.path.join(helper.dir, 'fail2ban')
shutil.copytree('/etc/fail2ban', conf)
for name in ('action.d', 'filter.d', 'jail.d'):
    shutil.copy(os.path.join(SOURCE, 'dist/fail2ban', name, 'spamscore.conf'),
        os.path.join(conf, name))
for name in os.listdir(os.path.join(conf, 'jail.d')):
    if name != 'spamscore.conf':
        os.remove(os.path.join(conf, 'jail.d', name))
logs = {name: os.path.join(helper.dir, name + '.log') for name in
    ('auth', 'mail', 'fail2ban')}
for path in logs.values():
    open(path, 'w').close()
with open(os.path.join(conf, 'action.d/spamscore.local'), 'w') as f:
    f.write('[Init]\nspamscore = %s\nsocket = %s\n' %
        (helper.copy(os.path.join(BUILD, 'cli/spamscore')), helper.path('fail2ban')))
with open(os.path.join(conf, 'fail2ban.local'), 'w') as f:
    f.write('[DEFAULT]\nallowipv6 = yes\nlogtarget = %s\nsocket = %s/f2b.sock\npidfile = %s/f2b.pid\n'
        'dbfile = %s/f2b.sqlite\n' % (logs['fail2ban'], *[helper.dir] * 3))
with open(os.path.join(conf, 'jail.d/test.local'), 'w') as f:
    f.write('''[DEFAULT]
backend = polling
usedns = no
maxretry = 3
bantime = 600
[sshd]
logpath = %(auth)s
[postfix-sasl]
backend = polling
logpath = %(mail)s
[dovecot]
backend = polling
logpath = %(mail)s
[spamscore]
enabled = true
backend = polling
logpath = %(mail)s
[recidive]
logpath = %(fail2ban)s
maxretry = 2
''' % logs)

def client(*args, check=True):
    return subprocess.run(['fail2ban-client', '-c', conf, '-s',
        helper.dir + '/f2b.sock', '-p', helper.dir + '/f2b.pid', *args],
        check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, text=True).stdout

def say(log, text, times=1):
    stamp = datetime.datetime.now().strftime('%b %d %H:%M:%S')
    with open(logs[log], 'a') as f:
        f.write(('%s mx %s\n' % (stamp, text)) * times)

def tell():
    stop_if_failed(logs['fail2ban'], helper.log_path)

pids = iter(range(1000, 2000))

def ssh(address):
    pid = next(pids)
    say('auth', SSH % (pid, address), 3)

def banned(address, scope=BOTH):
    return admin.call(CHECK, address, scope).scope

server = subprocess.Popen(['fail2ban-server', '-c', conf, '-s',
    helper.dir + '/f2b.sock', '-p', helper.dir + '/f2b.pid', '-f', 'start'],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
if not ok(wait_for(lambda: 'pong' in client('ping', check=False), 30),
        'fail2ban starts with our jails'):
    note(client('-d', check=False)[-2000:])
    tell()
jails = ('dovecot', 'postfix-sasl', 'recidive', 'spamscore', 'sshd')
ok(wait_for(lambda: all(j in client('status') for j in jails)), 'all five')

# fail2ban takes lines of one sshd process for one client
SSH = 'sshd[%d]: Failed password for invalid user foo from %s port 55036 ssh2'
SASL = 'postfix/smtpd[77]: warning: unknown[%s]: SASL PLAIN authentication failed:'
DOVE = ('dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): '
    'user=<bob>, method=PLAIN, rip=%s, lip=198.51.100.1, session=<x>')
OURS = ('spamscored[9]: queue_id=4Rx verdict=0123456789abcdef action=%s score=14.200 '
    'client=%s from="a client=192.0.2.66 from=x" rules=A,B rcpts=1')
ssh4, ssh6, sasl, dove, mail = ('203.0.113.9', '2001:db8:5::1', '203.0.113.61',
    '203.0.113.62', '203.0.113.63')
protected, allowed, tagged = '203.0.113.77', '192.0.2.66', '203.0.113.64'
same(admin.call(CONFIRM, protected, ttl=int(time.time())).result, 'ok', 'confirmed')
ssh(ssh4)
ssh(ssh6)
ssh(protected)
ssh(allowed)
say('mail', SASL % sasl, 3)
say('mail', DOVE % dove, 3)
say('mail', OURS % ('reject', mail), 5)
say('mail', OURS % ('tag', tagged), 9)
for address, scope, label in ((ssh4, BOTH, 'sshd, IPv4'), (ssh6, BOTH, 'sshd, IPv6'),
        (sasl, BOTH, 'Postfix SASL'), (dove, BOTH, 'Dovecot'),
        (mail, MAIL, 'our own log line, for mail only'),
        (protected, HOST, 'a protected address, for logins only')):
    wait_for(lambda: banned(address) == scope, 20)
    same(banned(address), scope, label)
same((banned(allowed), banned(tagged)), (0, 0),
    'neither the allow-listed, nor what a client wrote into its address, nor the tagged')
tell()
row = admin.call(CHECK, ssh4, HOST)
same((row.source, row.label, row.reason, 570 <= row.remaining <= 600),
    ('fail2ban', 'sshd', 'fail2ban sshd: 3 failures', True),
    'source, jail, reason and time are kept')
same([k for k in ipset_entries('spamscore-host6')], ['2001:db8:5::/64'],
    'the kernel has the /64')

client('set', 'postfix-sasl', 'unbanip', sasl)
ok(wait_for(lambda: banned(sasl) == 0), 'fail2ban unbans')

# the recidive jail: banned twice, so out for a week; sshd's own end does not
# end it
client('set', 'sshd', 'unbanip', ssh4)
ok(wait_for(lambda: banned(ssh4) == 0), 'unbanned once')
ssh(ssh4)
wait_for(lambda: admin.call(CHECK, ssh4, HOST).remaining > 86400, 20)
row = admin.call(CHECK, ssh4, HOST)
ok(600000 <= row.remaining <= 604800, 'recidive bans through the helper, for a week')
tell()
client('set', 'sshd', 'unbanip', ssh4)
ok(wait_for(lambda: [h for h in admin.many(HISTORY, ssh4, limit=1)]) and
    banned(ssh4) == BOTH, 'sshd lets go, recidive still holds')

# the helper goes and comes back; actioncheck and the next ban notice nothing
helper.stop(signal.SIGKILL)
helper.start()
admin = helper.client()
say('mail', SASL % '203.0.113.65', 3)
ok(wait_for(lambda: banned('203.0.113.65') == BOTH, 20), 'a restarted helper is found')

tell()
client('set', 'recidive', 'unbanip', ssh4)
ok(wait_for(lambda: banned(ssh4) == 0), 'recidive unbans')
client('unban', '--all')
ok(wait_for(lambda: not admin.many(LIST, scope=BOTH)), 'unban --all flushes ours')
admin.add('203.0.113.200')
ssh('203.0.113.201')
ok(wait_for(lambda: banned('203.0.113.201') == BOTH, 20), 'and it goes on')
tell()
client('stop')
server.wait(20)
ok(wait_for(lambda: banned('203.0.113.201') == 0) and banned('203.0.113.200') == MAIL,
    'fail2ban takes its bans along when it stops, and only its own')
text = open(logs['fail2ban']).read()
errors = [l for l in text.splitlines() if ' ERROR ' in l]
other = [l for l in errors if allowed not in l and 'returned 77' not in l]
ok(errors and not other, 'fail2ban complains about the allow-listed, and nothing else')
note('\n'.join(other))
tell()
helper.remove()
done()
