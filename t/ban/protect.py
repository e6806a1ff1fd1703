#!/usr/bin/env python3
# Earned protection, the whole way: mail that authenticated, a person who says
# that it was good, the daemon, the helper; then strikes that ban nobody.
import os, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

need_root('ipset')
sys.path.insert(0, os.path.join(SOURCE, 't', 'milter'))
os.environ['SPAMSCORE_BUILD'] = BUILD
from milter_peer import Daemon

COMMAND = os.path.join(BUILD, 'cli', 'spamscore')
PROVIDER, STRANGER = '203.0.113.77', '203.0.113.78'
HEADERS = [('From', ' Shop <news@shop.example>'), ('To', ' <user@example.org>'),
    ('Subject', ' an invoice'), ('Date', ' Mon, 23 Nov 2026 14:00:00 +0000'),
    ('Message-ID', ' <%s@shop.example>')]
BODY = b'Some words of an invoice\r\n'

helper = Helper('ban_protect_days 1\nban_source milter mode=0666 scopes=mail '
    'rights=add,check,confirm,allow\nban_source admin scopes=mail,host rights=all\n').start()
directory = os.path.join(helper.dir, 'daemon')
os.mkdir(directory)
dns = os.path.join(directory, 'dns.txt')
with open(dns, 'w') as f:
    f.write('shop.example TXT "v=spf1 ip4:%s -all"\n' % PROVIDER)
daemon = Daemon('ban_socket %s\ncontrol_socket %s/run/control.sock\n' %
    (helper.path('milter'), directory), '', args=('--dns-data', dns),
    directory=directory)
daemon.start()
milter = helper.client('milter')

def send(address, name):
    headers = [(k, v % name if '%s' in v else v) for k, v in HEADERS]
    p = daemon.connect(ip=address)
    p.message(headers, BODY, queue_id='Q' + name, mail='news@shop.example')
    p.close()
    return ''.join(k + ':' + v + '\n' for k, v in headers).encode() + b'\n' + \
        BODY.replace(b'\r', b'')

def say(label, message):
    return subprocess.run([COMMAND, 'learn', '--config', daemon.config_path,
        '--' + label, '--user', 'ann', '-'], input=message,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)

good, forged = send(PROVIDER, 'good'), send(STRANGER, 'forged')
same(milter.check(PROVIDER), 'not-banned', 'nobody is banned')
# the verdict log is written by and by
for name, message in (('good', good), ('forged', forged)):
    ok(wait_for(lambda: b'shop.example' in subprocess.run([COMMAND, 'log', '--config',
        daemon.config_path, '--json'], stdout=subprocess.PIPE).stdout), 'logged: ' + name)
    p = say('ham', message)
    same(p.returncode, 0, 'a person says that it was good: ' + name)
    note(p.stdout.decode())
ok(wait_for(lambda: helper.client().add(PROVIDER, ttl=1) == 'refused-protected', 15),
    'the client of authenticated mail is protected')
same({milter.add(PROVIDER) for _ in range(100)}, {'refused-protected'},
    'however many strikes')
same(milter.add(STRANGER), 'ok', 'what did not authenticate protects nobody')
same(milter.add('203.0.113.79'), 'ok', 'nor its neighbours')
same(daemon.stop(), 0, 'the daemon stops')
helper.remove()
done()
