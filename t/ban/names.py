#!/usr/bin/env python3
# Names in ban_allow, the whole way: a DNS server, the daemon that asks it, the
# helper, the kernel's sets. argv: the DNS server.
import os, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

need_root('ipset')
sys.path.insert(0, os.path.join(SOURCE, 't', 'milter'))
os.environ['SPAMSCORE_BUILD'] = BUILD
from milter_peer import Daemon

class Dns:
    """Serves a zone; the next one takes over its port."""
    port = 0

    def __init__(self, zone):
        self.file = tempfile.NamedTemporaryFile('w', suffix='.zone')
        self.file.write('! ttl 1\n! port %d\n%s' % (Dns.port, zone))
        self.file.flush()
        self.proc = subprocess.Popen([sys.argv[1], self.file.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        Dns.port = int(self.proc.stdout.readline())

    def stop(self):
        self.proc.stdin.close()
        self.proc.wait(10)
        self.file.close()

    def then(self, zone):
        self.stop()
        return Dns(zone)

ONE, TWO, SIX = '203.0.113.25', '203.0.113.26', '2001:db8:25::25'
SIX_NET = '2001:db8:25::/64'
MAIL_A = 'mail.example.org A %s\n'
ALIAS = 'mx.example.org CNAME host.example.net\nhost.example.net AAAA %s\n' % SIX

dns = Dns('')
helper = Helper('''ban_allow 192.0.2.0/24 mail.example.org mx.example.org
ban_source milter mode=0666 scopes=mail rights=add,check,confirm,allow per_minute=100000
ban_source fail2ban scopes=mail,host login=yes rights=add,check
ban_source admin scopes=mail,host rights=all
''').start()
admin, milter, login = helper.client(), helper.client('milter'), helper.client('fail2ban')
directory = os.path.join(helper.dir, 'daemon')
os.mkdir(directory)
daemon = Daemon('ban_socket %s\nban_allow_refresh 500ms\nlog_repeat 0\nresolver 127.0.0.1@%d\n'
    'ban_allow 192.0.2.0/24 mail.example.org mx.example.org\n' %
    (helper.path('milter'), Dns.port), '', args=(), directory=directory)

for address in (ONE, TWO, SIX):
    same(login.call(ADD, address, BOTH, 3600, label=b'sshd').result, 'ok', address +
        ' is banned, from logins too')
daemon.start()
mail = lambda: set(ipset_entries('spamscore-mail4')) | set(ipset_entries('spamscore-mail6'))
host = lambda: set(ipset_entries('spamscore-host4')) | set(ipset_entries('spamscore-host6'))
refused = lambda address: milter.add(address, ttl=1) == 'refused-allowed'

same(mail(), {ONE, TWO, SIX_NET}, 'names that do not exist allow nothing')
dns = dns.then(MAIL_A % ONE + ALIAS)
ok(wait_for(lambda: mail() == {TWO}), 'where names lead is released, CNAME and IPv6 too')
same(host(), {ONE, TWO, SIX_NET}, 'for mail only')
note(daemon.wait_log(r'ban_allow name=mail\.example\.org addresses=203\.0\.113\.25\b'))
same((refused(ONE), refused(SIX), refused('2001:db8:25::1'), refused(TWO)),
    (True, True, True, False), 'and not banned again, IPv6 by /64')
same(login.call(ADD, ONE, BOTH, 3600, label=b'sshd').scope, HOST,
    'a login ban of an allowed host is for logins only')

# the address moves: the new one at once, the old one when its lease has ended
dns = dns.then(MAIL_A % TWO + ALIAS)
ok(wait_for(lambda: mail() == set()), 'a new address is released')
ok(wait_for(lambda: not refused(ONE), 20), 'the one given up is no longer spared')

# answers that fail change nothing, for longer than a lease
dns = dns.then('! * rcode 2\n')
ok(daemon.wait_log(r'fault=ban allow=mail\.example\.org error="server failure" addresses_kept=1'),
    'a lookup that fails is logged')
begun = time.monotonic()
ok(not wait_for(lambda: not (refused(TWO) and refused(SIX)), 12),
    'and the last good answer stays in force for longer than a lease')
note('%.0f s' % (time.monotonic() - begun))

# a helper that begins anew learns it all again
helper.stop()
helper.start()
milter = helper.client('milter')
ok(wait_for(lambda: refused(TWO) and refused(SIX), 5), 'a new helper is told, too')

# names go with a reload of the configuration
dns = dns.then(MAIL_A % TWO + ALIAS)
config = open(daemon.config_path).read()
with open(daemon.config_path, 'w') as f:
    f.write(config.replace(' mx.example.org', ''))
daemon.signal(signal.SIGHUP)
ok(wait_for(lambda: not refused(SIX), 20), 'a name that was taken out is no longer spared')
ok(refused(TWO), 'the other still is')

# and what nobody renews ends
same(daemon.stop(), 0, 'the daemon stops')
ok(wait_for(lambda: not refused(TWO), 20), 'a daemon that is gone spares nobody')
same(milter.call(ALLOW, '203.0.113.0/24', ttl=60).result, 'refused-invalid',
    'no networks by this way')
dns.stop()
helper.remove()
done()
