#!/usr/bin/env python3
# `spamscore doctor`: what it says of a host that is well, and of one that is
# not, with the line that mends it.
import json, os, socket, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

need_root('ipset', 'iptables', 'ip6tables')
COMMAND = os.path.join(BUILD, 'cli', 'spamscore')
helper = Helper()
milter = os.path.join(helper.dir, 'spool', 'spamscore', 'milter.sock')
os.makedirs(os.path.dirname(milter))
postconf = os.path.join(helper.dir, 'postconf')
state = os.path.join(helper.dir, 'spamscore')
os.mkdir(state, 0o700)
helper.write_config('listen unix:%s\nstate_dir %s\nban_socket %s\n' %
    (milter, state, helper.path('milter')))

def postfix(**settings):
    settings.setdefault('queue_directory', helper.dir + '/spool')
    with open(postconf, 'w') as f:
        f.write(''.join('%s = %s\n' % i for i in settings.items()))

def doctor(*args):
    p = subprocess.run([COMMAND, 'doctor', '--host', '--config', helper.config,
        '--postconf', 'cat ' + postconf, *args], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    if p.stderr:
        note(p.stderr)
    return p

def findings():
    return [json.loads(l) for l in doctor('--json').stdout.splitlines()]

def state_of(rows, check, word=''):
    return sorted({r['state'] for r in rows if r['check'] == check and word in r['text']})

def fix_of(rows, check, word):
    return [r['fix'] for r in rows if r['check'] == check and word in r['text']][0]

# nothing is there
postfix(smtpd_milters='inet:127.0.0.1:8891', milter_default_action='reject',
    mynetworks='127.0.0.0/8, 0.0.0.0/0', smtpd_relay_restrictions='permit_mynetworks')
rows = findings()
same(doctor().returncode, 1, 'a host that is not well: exit 1')
same(state_of(rows, 'milter'), ['bad'], 'no daemon')
same(fix_of(rows, 'postfix', 'does not pass'), "postconf -e 'smtpd_milters = "
    "unix:spamscore/milter.sock, inet:127.0.0.1:8891'", 'the milter is added before others')
for word, want in (('for good', 'warn'), ('everybody', 'bad'), ('relaying', 'bad'),
        ('smtpd_helo_required', 'warn'), ('disable_vrfy', 'warn')):
    same(state_of(rows, 'postfix', word), [want], 'postfix: ' + word)
same(state_of(rows, 'bans'), ['bad'], 'no helper')
same(state_of(rows, 'firewall'), ['bad'], 'no rules')

# all is there
listener = socket.socket(socket.AF_UNIX)
listener.bind(milter)
os.chmod(milter, 0o660)
listener.listen(5)
helper.start()
firewall = os.path.join(SOURCE, 'dist/iptables/spamscore-firewall')
subprocess.run([firewall, 'start'], check=True)
postfix(smtpd_milters='unix:spamscore/milter.sock', milter_default_action='accept',
    smtpd_helo_required='yes', disable_vrfy_command='yes',
    strict_rfc821_envelopes='yes')
rows = findings()
for check in ('configuration', 'rights', 'milter', 'postfix', 'bans', 'firewall'):
    same(state_of(rows, check), ['ok'], check + ' is fine')
same(len([r for r in rows if r['check'] == 'bans']), 4, 'each set is looked at')
same(len([r for r in rows if r['check'] == 'firewall']), 4, 'each set has a rule')

# one thing at a time
run('iptables', '-D', 'INPUT', '-j', 'SPAMSCORE')
rows = findings()
same(state_of(rows, 'firewall', 'mail4'), ['bad'], 'a chain that nothing jumps to')
same(state_of(rows, 'firewall', 'mail6'), ['ok'], 'the other still works')
subprocess.run([firewall, 'start'], check=True)
os.chmod(helper.config, 0o666)
os.chmod(state, 0o755)
rows = findings()
ok('bad' in state_of(rows, 'configuration') and
    fix_of(rows, 'configuration', 'others') == 'chmod go-w ' + helper.config,
    'a configuration that anybody can write')
same(state_of(rows, 'rights', state), ['bad'], 'a state directory that is open')
os.chmod(helper.config, 0o644)
subprocess.run([firewall, 'stop'], check=True)
run('ipset', 'destroy', 'spamscore-mail4')
run('ipset', 'create', 'spamscore-mail4', 'hash:ip')
run('iptables', '-A', 'INPUT', '-m', 'set', '--match-set', 'spamscore-mail4', 'src', '-j', 'DROP')
ok(wait_for(lambda: state_of(findings(), 'bans', 'spamscore-mail4') == ['bad']),
    'a broken set is told')
text = doctor().stdout
ok('\nbad   bans: spamscore-mail4' in text, 'as text, too')
helper.remove()
done()
