#!/usr/bin/env python3
# Real sets, real rules, real packets: what is banned does not get through,
# and nothing else is touched.
import os, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

need_root('ipset', 'iptables', 'ip6tables', 'nsenter', 'ip')

BAD4, GOOD4, ALLOWED4 = '203.0.113.9', '203.0.113.10', '192.0.2.7'
BAD6, GOOD6, SAME6 = '2001:db8:bad::1', '2001:db8:90d::1', '2001:db8:bad::2'
PROVIDER = '203.0.113.77'
net = Network([BAD4, GOOD4, ALLOWED4, PROVIDER], [BAD6, GOOD6, SAME6])
helper = Helper('ban_allow 192.0.2.0/24\nban_protect_days 2\n').start()
admin = helper.client()
firewall = os.path.join(SOURCE, 'dist/iptables/spamscore-firewall')
subprocess.run([firewall, 'start'], check=True)
subprocess.run([firewall, 'start'], check=True)
same(run('iptables', '-S', 'INPUT').count('SPAMSCORE'), 1,
    'starting the firewall twice leaves one jump')

for address in (BAD4, BAD6):
    ok(net.connects(address, 25), address + ' gets through before the ban')

same(admin.add(BAD4), 'ok', 'mail ban, IPv4')
same(admin.add(BAD6), 'ok', 'mail ban, IPv6')
ok(not net.connects(BAD4, 25), 'the banned IPv4 client is dropped on port 25')
ok(not net.connects(BAD6, 25), 'the banned IPv6 client is dropped on port 25')
ok(not net.connects(SAME6, 25), 'its neighbour in the /64 too')
ok(net.connects(BAD4, 22), 'a mail ban leaves port 22 open, IPv4')
ok(net.connects(BAD6, 22), 'a mail ban leaves port 22 open, IPv6')
ok(net.connects(GOOD4, 25), 'another IPv4 client gets through')
ok(net.connects(GOOD6, 25), 'another IPv6 client gets through')
same(list(ipset_entries('spamscore-mail6')), ['2001:db8:bad::/64'],
    'IPv6 is banned as /64')

# what was stopped is counted
row = [r for r in admin.many(LIST, scope=MAIL) if r.net == BAD4 + '/32'][0]
same((row.count, row.source), (1, 'admin'), 'list: count and source')
helper.write_config('ban_allow 192.0.2.0/24\nban_protect_days 2\n'
    'ban_counter_interval 100ms')
helper.proc.send_signal(signal.SIGHUP)
ok(wait_for(lambda: admin.call(CHECK, BAD4, MAIL).packets > 0),
    'the packets that were stopped are read back from the set')

same(admin.delete(BAD4), 'ok', 'unban, IPv4')
same(admin.delete(BAD6), 'ok', 'unban, IPv6')
ok(net.connects(BAD4, 25), 'unbanned: IPv4 gets through again')
ok(net.connects(BAD6, 25), 'unbanned: IPv6 gets through again')

same(admin.add(BAD4, ttl=1), 'ok', 'a ban for one second')
ok(wait_for(lambda: net.connects(BAD4, 25, 0.2)), 'it ends by itself')
same(admin.check(BAD4), 'not-banned', 'and the helper knows')

# the two scopes
same(admin.add(BAD4, scope=HOST), 'ok', 'host ban')
ok(not net.connects(BAD4, 22), 'host ban: port 22 is closed')
ok(net.connects(BAD4, 25), 'host ban alone: port 25 is open')
admin.delete(BAD4)
login = helper.client('fail2ban')
same(login.add(BAD4, scope=HOST), 'ok', 'a login source bans')
ok(not net.connects(BAD4, 22) and not net.connects(BAD4, 25),
    'it bans for mail too')
today = int(time.time())
for day in (0, 86400):
    same(admin.call(CONFIRM, PROVIDER, ttl=today - day).result, 'ok',
        'confirmed good mail')
same(login.add(PROVIDER, scope=BOTH), 'ok', 'a login ban of a protected address')
ok(not net.connects(PROVIDER, 22), 'protected: logins are shut out')
ok(net.connects(PROVIDER, 25), 'protected: port 25 stays open')
milter = helper.client('milter')
same({milter.add(PROVIDER) for _ in range(1000)}, {'refused-protected'},
    'struck 1,000 times for mail: always refused')
ok(net.connects(PROVIDER, 25), 'and it still gets through')

# nothing that must not be banned
own6 = Network.HOST6.rsplit('::', 1)[0] + '::abcd'
for address, why in ((ALLOWED4, 'allow-listed'), (Network.HOST4, 'own IPv4'),
        (Network.HOST6, 'own IPv6'), (own6, 'own /64'), ('127.0.0.1', 'loopback'),
        ('::1', 'loopback'), ('::ffff:127.0.0.1', 'mapped loopback'),
        ('192.0.0.0/16', 'around an allow-listed net'),
        ('::ffff:192.0.2.7', 'mapped allow-listed')):
    for who in (admin, login, milter):
        same(who.add(address, scope=MAIL if who is milter else BOTH),
            'refused-allowed', '%s is not banned: %s' % (address, why))
run('ip', 'addr', 'add', BAD4 + '/32', 'dev', 'lo')
ok(wait_for(lambda: admin.check(BAD4) == 'not-banned'),
    'an address that becomes our own is released')
run('ip', 'addr', 'del', BAD4 + '/32', 'dev', 'lo')

# healing
login.add(BAD4, scope=BOTH)
run('ipset', 'flush', 'spamscore-host4')
ok(wait_for(lambda: BAD4 in ipset_entries('spamscore-host4')),
    'a flushed set is filled again')
run('ipset', 'add', 'spamscore-mail4', '203.0.113.200')
helper.proc.send_signal(signal.SIGHUP)
ok(wait_for(lambda: '203.0.113.200' not in ipset_entries('spamscore-mail4')),
    'an entry that nobody answers for is deleted')
subprocess.run([firewall, 'stop'], check=True)
run('ipset', 'destroy')
ok(wait_for(lambda: BAD4 in ipset_entries('spamscore-host4') and
    BAD4 in ipset_entries('spamscore-mail4')), 'destroyed sets are made again')
with helper.paused():
    run('ipset', 'destroy')
    run('ipset', 'create', 'spamscore-mail4', 'hash:ip')
ok(wait_for(lambda: BAD4 in ipset_entries('spamscore-mail4') and
    'hash:net' in run('ipset', 'list', '-t', 'spamscore-mail4')),
    'a set of another type is replaced')
wait_for(lambda: BAD4 in ipset_entries('spamscore-host4'))
run('ipset', 'create', 'small', 'hash:net', 'timeout', '5', 'maxelem', '1')
subprocess.run([firewall, 'start'], check=True)
run('ipset', 'swap', 'small', 'spamscore-host4')
ok(wait_for(lambda: BAD4 in ipset_entries('spamscore-host4') and
    'maxelem 1000000' in run('ipset', 'list', '-t', 'spamscore-host4')),
    'a set that is too small gives way under the firewall rule')
ok(not net.connects(BAD4, 22), 'and the rule uses the new one')
subprocess.run([firewall, 'stop'], check=True)
with helper.paused():
    run('ipset', 'destroy')
    run('ipset', 'create', 'spamscore-mail4', 'hash:ip')
    run('iptables', '-A', 'INPUT', '-m', 'set', '--match-set', 'spamscore-mail4',
        'src', '-j', 'DROP')
ok(wait_for(lambda: [r for r in admin.many(STATUS) if
    r.source == 'spamscore-mail4' and r.result == 'failed' and
    'firewall rule' in r.reason]), 'a foreign set under a rule is reported')
same(milter.add(GOOD4), 'failed', 'a ban that the kernel refuses is no success')
run('iptables', '-F', 'INPUT')
ok(wait_for(lambda: GOOD4 in ipset_entries('spamscore-mail4')),
    'once the rule is gone the set is mended and the ban comes after all')

# restart: remaining time, not a new one
milter.close()
admin.add('203.0.113.50', ttl=1000)
helper.stop()
run('ipset', 'destroy')
helper.start()
left = int(ipset_entries('spamscore-mail4').get('203.0.113.50', ['', '0'])[1])
ok(990 <= left <= 1000, 'bans outlive a restart without sets, with their time')
admin = helper.client()
same(admin.check(BAD4, HOST), 'ok', 'all of them')
same(helper.client('milter').add(PROVIDER), 'refused-protected',
    'protection outlives it too')
text = helper.log()
for word in ('is gone', 'is foreign', 'bans were missing', "nobody's"):
    ok(word in text, 'logged: ' + word)

# the sanitizers need more calls than any sensible list has
sanitized = b'__asan_init' in open(HELPER, 'rb').read()
threads = os.listdir('/proc/%d/task' % helper.proc.pid)
same(len(threads), 2, 'the loop, and what waits for the disk')
for thread in threads:
    status = open('/proc/%d/task/%s/status' % (helper.proc.pid, thread)).read()
    caps = {l.split(':')[0]: l.split()[1] for l in status.splitlines() if l.split()[1:]}
    same([caps['CapEff'], caps['CapPrm'], caps['CapBnd'], caps['CapInh'], caps['CapAmb']],
        ['%016x' % 0x1000] * 3 + ['0' * 16] * 2, 'CAP_NET_ADMIN and nothing else')
    same((caps['NoNewPrivs'], caps['Seccomp'], caps['Uid']),
        ('1', '0' if sanitized else '2', '65534'),
        'no new privileges, a system call filter, another user')
same(helper.stop(), 0, 'it stops when asked')
helper.remove()
net.close()
done()
