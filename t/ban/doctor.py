#!/usr/bin/env python3
# `spamscore doctor` on a host that is well, and with one thing at a time that
# is not: a real Postfix of the test's own, sockets, rights, sets, firewall.
# What the doctor prints to mend a fault is run, and then the fault is gone.
import json, os, shutil, socket, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

need_root('ipset', 'iptables', 'ip6tables', 'postconf', 'ip')
sys.path.insert(0, os.path.join(SOURCE, 't', 'postfix'))
from private_postfix import Net, PrivatePostfix

COMMAND = os.path.join(BUILD, 'cli', 'spamscore')
FIREWALL = os.path.join(SOURCE, 'dist/iptables/spamscore-firewall')
helper = Helper()

def doctor(*args):
    # Postfix waits until its files are a second or two old before it believes
    # them: 0.3 s at a time, in each postconf
    for name in ('main.cf', 'master.cf'):
        os.utime(os.path.join(pf.etc, name), (0, 0))
    p = subprocess.run([COMMAND, 'doctor', '--host', '--config', helper.config,
        '--postconf', 'postconf -c ' + pf.etc, *args], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    if p.stderr:
        note(p.stderr)
    return p

def findings():
    return [json.loads(l) for l in doctor('--json').stdout.splitlines()]

def states(rows, check, word=''):
    return sorted({r['state'] for r in rows if r['check'] == check and word in r['text']})

def faults(rows):
    # this host has no resolver and no systemd, and perhaps no fail2ban
    return [r for r in rows if r['state'] in ('bad', 'warn') and
        r['check'] not in ('dns', 'fail2ban')]

def mend(fix):
    fix = fix.replace('postconf', 'postconf -c ' + pf.etc).replace(
        '/usr/share/spamscore/firewall/spamscore-firewall', FIREWALL)
    if '# in spamscore.conf' in fix:
        with open(helper.config, 'a') as f:
            f.write(fix + '\n')
        return
    subprocess.run(fix, shell=True, check=True, stdout=subprocess.DEVNULL)

def fault(label, check, word, want='bad', by_hand=None):
    """Just this fault is found; its line mends it (or by_hand does)."""
    rows = faults(findings())
    found = [r for r in rows if r['check'] == check and word in r['text']]
    if not ok(len(rows) == len(found) == 1 and found[0]['state'] == want and
            found[0]['fix'], label):
        note('\n'.join(r['check'] + ': ' + r['text'] for r in rows))
        return
    note(found[0]['text'] + ' -> ' + found[0]['fix'])
    if by_hand is None:
        mend(found[0]['fix'])
    else:
        by_hand()
    left = faults(findings())
    same([r['text'] for r in left], [], label + (': its line mends it' if by_hand is None else ': mended'))

with Net() as net, PrivatePostfix(net) as pf:
    def postfix(*lines):
        run('postconf', '-c', pf.etc, *lines)

    milter = os.path.join(pf.queue, 'spamscore', 'milter.sock')
    state = os.path.join(helper.dir, 'spamscore')
    base = 'listen unix:%s\nstate_dir %s\nban_socket %s\nuser nobody\n' % (
        milter, state, helper.path('milter'))
    os.mkdir(os.path.dirname(milter))
    helper.write_config(base)

    # nothing is there
    rows = findings()
    same(doctor().returncode, 1, 'a host that is not well: exit 1')
    for check, word, want in (('milter', 'nobody listens', 'bad'), ('bans', 'connect', 'bad'),
            ('postfix', 'does not pass', 'bad'), ('postfix', 'smtpd_helo_required', 'warn'),
            ('postfix', 'disable_vrfy', 'warn'), ('postfix', 'strict_rfc821', 'warn'),
            ('postfix', 'may claim any client', 'warn'), ('firewall', 'mail4', 'bad'),
            ('firewall', 'host6', 'bad'), ('rights', state + ':', 'bad')):
        same(states(rows, check, word), [want], '%s: %s' % (check, word))
    ok(all(r['fix'] for r in rows if r['state'] in ('bad', 'warn')),
        'each fault has a line that mends it')

    # Postfix is mended by what the doctor prints, the rest is started
    for r in rows:
        if r['check'] in ('postfix', 'rights') and r['fix'] and 'ban_state' not in r['text'] \
                and helper.dir + '/state' not in r['text']:
            mend(r['fix'])
    listener = socket.socket(socket.AF_UNIX)
    def listen(mode=0o660, group='postfix'):
        global listener
        listener.close()
        if os.path.exists(milter):
            os.unlink(milter)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(milter)
        os.chmod(milter, mode)
        shutil.chown(milter, 'nobody', group)
        listener.listen(4000) # nobody accepts
    listen()
    helper.start()
    run(FIREWALL, 'start')
    rows = findings()
    same([r['text'] for r in faults(rows)], [], 'a host that is well')
    for check in ('configuration', 'rules', 'rights', 'milter', 'postfix', 'bans', 'firewall'):
        same(states(rows, check), ['ok'], check + ' is fine')
    same((len([r for r in rows if r['check'] == 'bans']),
        len([r for r in rows if r['check'] == 'firewall'])), (4, 4), 'each set, and a rule for each')

    # Postfix
    postfix('-e', 'smtpd_milters=inet:127.0.0.1:8891')
    fault('a milter list without the filter', 'postfix', 'does not pass')
    same(run('postconf', '-c', pf.etc, '-h', 'smtpd_milters').strip(),
        'unix:spamscore/milter.sock, inet:127.0.0.1:8891', 'it is added before the others')
    for line, word, want in (
            ('milter_default_action=reject', 'rejected for good', 'warn'),
            ('milter_protocol=2', 'the filter needs 6', 'bad'),
            ('milter_content_timeout=10s', 'waits 10s for a verdict', 'bad'),
            ('smtpd_helo_required=no', 'no MTA', 'warn'),
            ('disable_vrfy_command=no', 'who exists', 'warn'),
            ('mynetworks=127.0.0.0/8, 0.0.0.0/0', 'open relay', 'bad'),
            ('mynetworks=127.0.0.0/8, 198.51.100.0/24', 'can be banned', 'warn'),
            ('smtpd_authorized_xclient_hosts=198.51.100.2', 'may claim', 'warn')):
        postfix('-e', line)
        fault('Postfix: ' + line, 'postfix', word, want)
    postfix('-e', 'mynetworks=')
    helper.write_config(base)
    postfix('-e', 'smtpd_relay_restrictions=permit_mynetworks', 'smtpd_recipient_restrictions=')
    fault('Postfix: an open relay', 'postfix', 'relaying')
    postfix('-P', '25/inet/smtpd_milters=')
    fault('master.cf leaves the filter out', 'postfix', 'master.cf', 'bad')
    postfix('-M', 'submission/inet=submission inet n - n - - smtpd -o smtpd_milters=')
    fault('submission leaves the filter out', 'postfix', 'whom users write to', 'warn')

    # sockets and rights
    listen(0o600)
    fault('a socket that Postfix may not use', 'postfix', 'may not connect')
    listen(0o660, 'nogroup')
    fault('a socket of another group', 'postfix', 'may not connect')
    listen(0o666)
    fault('a socket that everybody may use', 'milter', 'everybody')
    outside = os.path.join(helper.dir, 'milter.sock')
    os.rename(milter, outside)
    helper.write_config(base.replace(milter, outside))
    postfix('-e', 'smtpd_milters=unix:' + outside)
    os.chown(outside, -1, os.stat(pf.data).st_gid)
    shutil.chown(outside, None, 'postfix')
    fault('a socket outside of the chroot', 'postfix', 'chrooted',
        by_hand=lambda: (os.rename(outside, milter), helper.write_config(base),
            postfix('-e', 'smtpd_milters=unix:spamscore/milter.sock')))
    os.chmod(helper.config, 0o666)
    rows = faults(findings())
    same([r['check'] for r in rows], ['configuration', 'rights'],
        'a configuration that anybody can write, so the daemon too')
    mend(rows[0]['fix'])
    same(faults(findings()), [], 'its line mends it')
    os.chmod(state, 0o755)
    fault('a state directory that is open', 'rights', 'open to others')
    os.chown(state, 0, 0)
    fault('a state directory of another user', 'rights', "is not user nobody's")
    compiled = os.path.join(helper.dir, 'compiled')
    os.mkdir(compiled)
    shutil.chown(compiled, 'nobody')
    helper.write_config(base + 'compiled_dir %s\n' % compiled)
    fault('compiled rules that the daemon may write', 'rights', 'which the daemon loads')
    helper.write_config(base + 'rules %s/none.cf\n' % helper.dir)
    ok('bad' in states(findings(), 'rules'), 'rules that cannot be read')
    with open(os.path.join(helper.dir, 'bad.cf'), 'w') as f:
        f.write('header A Subject =~ /(/\n')
    helper.write_config(base + 'rules %s/bad.cf\n' % helper.dir)
    fault('rules with an error', 'rules', '1 errors', by_hand=lambda: helper.write_config(base))
    helper.write_config(base + 'tag_score much\n')
    rows = findings()
    same(states(rows, 'configuration'), ['bad'], 'a configuration with an error')
    helper.write_config(base)

    # the firewall and the sets
    run('iptables', '-D', 'INPUT', '-j', 'SPAMSCORE')
    rows = findings()
    same((states(rows, 'firewall', 'mail4'), states(rows, 'firewall', 'mail6')),
        (['bad'], ['ok']), 'a chain that nothing jumps to')
    mend([r for r in rows if r['state'] == 'bad' and r['check'] == 'firewall'][0]['fix'])
    same(faults(findings()), [], 'its line mends it')
    run(FIREWALL, 'stop')
    run('ipset', 'destroy', 'spamscore-mail4')
    run('ipset', 'create', 'spamscore-mail4', 'hash:ip')
    run('iptables', '-A', 'INPUT', '-m', 'set', '--match-set', 'spamscore-mail4', 'src', '-j', 'DROP')
    ok(wait_for(lambda: states(findings(), 'bans', 'spamscore-mail4') == ['bad']),
        'a broken set is told')
    ok('\nbad   bans: spamscore-mail4' in doctor().stdout, 'as text, too')
    fix = [r['fix'] for r in findings() if r['check'] == 'bans' and r['state'] == 'bad'][0]
    words, _, restart = fix.partition(' && ')
    same(restart, 'systemctl restart spamscore-banhelper spamscore-firewall', 'the units that make it anew')
    # no systemd here: the helper has to notice by itself
    subprocess.run(words, shell=True, check=True)
    ok(wait_for(lambda: states(findings(), 'bans') == ['ok']), 'and without the rule it is mended')
    run(FIREWALL, 'start')
    same(faults(findings()), [], 'all is well again')
    helper.stop()
    same(states(findings(), 'bans'), ['bad'], 'no helper')
helper.remove()
done()
