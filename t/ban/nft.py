#!/usr/bin/env python3
# The bans on a host whose firewall is nft's: its rules are loaded, reloaded,
# flushed and saved, beside ours from either kind of iptables, and packets are
# dropped. With the real nftables.service: milter-boot.
import json, os, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

need_root('ipset', 'nft', 'iptables-nft', 'ip6tables-nft', 'iptables-legacy',
    'ip6tables-legacy', 'ip', 'nsenter')
BAD4, GOOD4, BAD6 = '203.0.113.9', '203.0.113.10', '2001:db8:9::9'
DIST = os.path.join(SOURCE, 'dist')
FIREWALL = os.path.join(DIST, 'iptables', 'spamscore-firewall')
RULESET = '''#!/usr/sbin/nft -f
flush ruleset
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iif "lo" accept
		meta l4proto ipv6-icmp accept
		tcp dport { 22, 25 } accept
	}
}
'''
if not os.path.exists('/etc/nftables.conf'):
    skip_all('no /etc/nftables.conf')
if subprocess.call(['iptables-legacy', '-L', '-n'], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL) != 0:
    skip_all('the kernel has no iptables-legacy')

# as on a kernel without iptables-legacy
ONLY_NFT = dict(os.environ, IPTABLES='iptables-nft', IP6TABLES='ip6tables-nft')

def firewall(what, env=None):
    subprocess.run([FIREWALL, what], env=env, check=True)

def kinds():
    """In which kind of iptables our rules stand."""
    return [k for k in ('nft', 'legacy') if all('-j SPAMSCORE' in run(p + '-' + k + '-save',
        stderr=subprocess.DEVNULL) for p in ('iptables', 'ip6tables'))]

helper = Helper().start()
admin = helper.client()
net = Network([BAD4, GOOD4], [BAD6])
conf = os.path.join(helper.dir, 'nftables.conf')
with open(conf, 'w') as f:
    f.write(RULESET)
# the doctor looks at the host's file
run('mount', '-t', 'tmpfs', 'none', '/etc/systemd/system')
os.mkdir('/etc/systemd/system/sysinit.target.wants')
with open('/etc/systemd/system/sysinit.target.wants/nftables.service', 'w'):
    pass # enabled
run('mount', '--bind', conf, '/etc/nftables.conf')
reach = lambda: tuple(net.connects(a, 25) for a in (BAD4, BAD6, GOOD4))

def doctor():
    out = subprocess.run([os.path.join(BUILD, 'cli', 'spamscore'), 'doctor', '--host',
        '--config', helper.config, '--postconf', 'false', '--json'],
        stdout=subprocess.PIPE, text=True).stdout
    return [r for r in map(json.loads, out.splitlines()) if r['check'] == 'firewall']

states = lambda: sorted({r['state'] for r in doctor()})

run('nft', '-f', conf)
for a in (BAD4, BAD6):
    admin.add(a, ttl=600)
same(reach(), (True, True, True), 'the sets alone drop nothing')

# iptables-legacy, by itself: apart from nft in every way
firewall('start')
same(kinds(), ['legacy'], 'beside nft the older kind is taken')
same(reach(), (False, False, True), 'legacy: the banned are dropped, though nft accepts')
same(states(), ['ok'], 'the doctor sees the rules')
run('nft', '-f', conf)
same(reach(), (False, False, True), 'a reload with "flush ruleset" leaves that alone')
with open(conf, 'w') as f:
    f.write('flush ruleset\n' + run('nft', 'list', 'ruleset'))
same(subprocess.call(['nft', '-f', conf]), 0, 'what "nft list ruleset" saved can be loaded')
same(reach(), (False, False, True), 'and they are still dropped')
firewall('start')
firewall('check')
run('nft', 'flush', 'ruleset')
same(reach(), (False, False, True), 'nor does "flush ruleset" by hand')
run('nft', '-f', conf)
firewall('stop')
same((reach(), kinds()), ((True, True, True), []), 'stop lets them in')
same(states(), ['bad'], 'which the doctor sees')
same({r['fix'].split('/')[-1] for r in doctor()}, {'spamscore-firewall start'},
    'and says what to do')

# iptables-nft: among nft's tables
firewall('start', ONLY_NFT)
same((reach(), kinds()), ((False, False, True), ['nft']), 'nft: the banned are dropped')
rows = doctor()
same(sorted({r['state'] for r in rows}), ['ok', 'warn'], 'the doctor sees them, and the danger')
fix = [r['fix'] for r in rows if 'flush ruleset' in r['text']]
same([f.split('/')[-1] for f in fix], ['spamscore-firewall start'], 'that a reload flushes them, and what to do')
firewall('start')
same((reach(), kinds(), states()), ((False, False, True), ['legacy'], ['ok']), 'which moves them')
firewall('start', ONLY_NFT)
same(kinds(), ['nft'], 'and back')
with open(conf) as f:
    own = f.read()
with open(conf, 'w') as f:
    f.write('flush ruleset\n' + run('nft', 'list', 'ruleset'))
ok(subprocess.call(['nft', '-f', conf], stderr=subprocess.DEVNULL) != 0,
    'what "nft list ruleset" saved cannot be loaded')
bad = [r for r in doctor() if r['state'] == 'bad']
ok(len(bad) == 1 and 'xt match' in bad[0]['fix'], 'the doctor sees that')
copy = os.path.join(helper.dir, 'copy.conf')
run('cp', conf, copy)
subprocess.run(bad[0]['fix'].replace('/etc/nftables.conf', copy), shell=True, check=True)
same(subprocess.call(['nft', '-f', copy]), 0, 'and the line that it prints mends the file')
with open(conf, 'w') as f:
    f.write(own)
run('nft', '-f', conf)
same(reach(), (True, True, True), 'a reload deletes our rules')
firewall('start', ONLY_NFT)
same(reach(), (False, False, True), 'and a start brings them back')
firewall('stop')
same(kinds(), [], 'stop finds them there')

# rules that stand too late
run('iptables-legacy', '-A', 'INPUT', '-p', 'tcp', '--dport', '25', '-j', 'ACCEPT')
subprocess.run(['iptables-legacy-restore', '--noflush', os.path.join(DIST, 'iptables',
    'spamscore.v4.rules')], check=True)
run('iptables-legacy', '-A', 'INPUT', '-j', 'SPAMSCORE')
rows = [r for r in doctor() if 'mail4' in r['text']]
same([r['state'] for r in rows], ['bad'], 'a jump behind a rule that accepts mail')
ok('behind' in rows[0]['text'] and net.connects(BAD4, 25), 'is told as such: it drops nothing')
firewall('stop')
firewall('start')
same([r['state'] for r in doctor() if 'mail4' in r['text']], ['ok'], 'stop and start mend it')
same(net.connects(BAD4, 25), False, 'and it is dropped')
net.close()
helper.remove()
done()
