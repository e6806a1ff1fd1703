#!/usr/bin/env python3
# Whom do rejects hurt? Nobody can make the filter ban a third party, and who
# is to blame is banned: scripted MTA, real daemon, real helper, real sets.
import os, re, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

need_root('ipset')
sys.path.insert(0, os.path.join(SOURCE, 't', 'milter'))
os.environ['SPAMSCORE_BUILD'] = BUILD
from milter_peer import Daemon

RULES = '''header BAD Subject =~ /rejectme/
score BAD 10
header ALSO Subject =~ /rejectme/
score ALSO 10
'''
helper = Helper('''ban_source milter mode=0666 scopes=mail rights=add,check,confirm,allow
ban_source admin scopes=mail,host rights=all
''').start()
directory = os.path.join(helper.dir, 'daemon')
os.mkdir(directory)
daemon = Daemon('ban_socket %s\nban_strikes 3\ntrusted_networks 203.0.113.70\n'
    'mynetworks 203.0.113.71\n' % helper.path('milter'), RULES, directory=directory)
daemon.start()

def send(address, subject, count=1, mail='spam@elsewhere.example', auth=None):
    codes = set()
    with daemon.connect(ip=address) as p:
        for i in range(count):
            codes.add(p.message(subject=subject, mail=mail, auth=auth).reply[:3])
    return codes

def banned():
    return set(ipset_entries('spamscore-mail4')) | set(ipset_entries('spamscore-mail6'))

def after(address, good=None, **kw):
    """Three rejects of that client, and then one that is banned for sure: what
    came before it has been dealt with."""
    same(send(address, 'rejectme', 3, **kw), {'550'}, 'rejects of ' + str(address))
    global marker
    marker += 1
    fence = '198.51.100.%d' % marker
    send(fence, 'rejectme', 3)
    ok(wait_for(lambda: fence in banned()), 'are dealt with')
    fences.add(fence)
    return banned() - fences

fences, marker = set(), 0

same(after('203.0.113.1'), {'203.0.113.1'}, 'who sends it is banned')
same(after('203.0.113.2', mail=''), {'203.0.113.1'},
    'a bounce of what somebody sent in our name is not held against its server')
with open(os.path.join(SOURCE, 'dist/fail2ban/filter.d/spamscore.conf')) as f:
    ignored = re.compile(re.search(r'^ignoreregex = (.*)$', f.read(), re.M).group(1))
log = daemon.wait_log(r'client=203\.0\.113\.2 ')
ok(' no_strike=bounce rcpts=' in log and ignored.search(log),
    "and the log says so, as fail2ban's filter reads it")
send('203.0.113.5', 'rejectme', mail='a" no_strike=bounce rcpts=1 size=1 removed=0 time_us=1')
log = daemon.wait_log(r'client=203\.0\.113\.5 ')
ok('no_strike=bounce rcpts=1' in log and not ignored.search(log),
    'a client cannot write that')
same(after('203.0.113.70'), {'203.0.113.1'}, 'nor a trusted relay')
send('203.0.113.71', 'rejectme', 3)
send('203.0.113.3', 'rejectme', 3, auth='ann')
same(after('::ffff:203.0.113.4'), {'203.0.113.1', '203.0.113.4'},
    'a mapped address is the IPv4 address; own and authenticated clients are not judged')
send('2001:db8:4:4::1', 'rejectme', 1)
send('2001:db8:4:4:ffff::2', 'rejectme', 1)
same(after('2001:db8:4:4::3') - {'203.0.113.1', '203.0.113.4'}, {'2001:db8:4:4::/64'},
    'a /64 is one client')
ok(not any(a.startswith('64:ff9b') for a in after('64:ff9b::c633:6401')),
    'translated IPv4 is nobody in particular')

# a provider: much good mail, and one of its users who wants it to be banned
same(send('203.0.113.10', 'hello', 8, mail='friend@provider.example'), {'c'}, 'good mail')
def record():
    out = subprocess.run([os.path.join(BUILD, 'cli', 'spamscore'), 'reputation', 'show',
        '--config', daemon.config_path, '--json', 'ip:203.0.113.10'],
        stdout=subprocess.PIPE, text=True).stdout
    return 'ham' in out and float(re.search(r'"ham": ?([0-9.]+)', out).group(1)) >= 1.5
ok(wait_for(record), 'is remembered')
same('203.0.113.10' in after('203.0.113.10'), False, 'three rejects do not ban it')
daemon.wait_log(r'client=203\.0\.113\.10 .*no_strike="good record" rcpts=')
same(send('203.0.113.10', 'rejectme', 30), {'550'}, 'thirty more')
ok(wait_for(lambda: '203.0.113.10' in banned() or not send('203.0.113.10', 'rejectme', 3)),
    'outweigh what it had')
same(daemon.stop(), 0, 'the daemon stops')
helper.remove()
done()
