# What the ban tests share: TAP, the wire format, a helper of their own, and
# a little network of namespaces. Written against spamscore-banhelper(8), not
# against the C code, so that it tests the documented format.
import contextlib, os, shutil, signal, socket, struct, subprocess, sys, tempfile, time

SOURCE = os.environ.get('SPAMSCORE_SOURCE') or \
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('SPAMSCORE_BUILD') or os.path.join(SOURCE, 'build')
HELPER = os.path.join(BUILD, 'ban', 'spamscore-banhelper')

PING, ADD, DEL, CHECK, LIST, HISTORY, FLUSH, CONFIRM, ALLOW, STATUS = range(1, 11)
MAIL, HOST, BOTH = 1, 2, 3
RESULTS = ['ok', 'not-banned', 'refused-allowed', 'refused-protected',
    'refused-limit', 'refused-rights', 'refused-invalid', 'failed']
EVERYTHING = 1
MORE = 1
REQUEST = struct.Struct('=IHHQBBBBIq16s32s128s48x')
REPLY = struct.Struct('=IHHQBBBBHBxq16sqqQI4x32s32s128s112x')

count = failed = 0

def ok(good, label):
    global count, failed
    count += 1
    failed += not good
    print('%sok %d - %s' % ('' if good else 'not ', count, label), flush=True)
    return good

def same(got, want, label):
    if not ok(got == want, label):
        print('#  got: %r\n# want: %r' % (got, want), flush=True)

def note(text):
    for line in str(text).splitlines():
        print('# ' + line, flush=True)

def skip_all(why):
    print('1..0 # SKIP ' + why)
    sys.exit(0)

def done():
    print('1..%d' % count)
    sys.exit(1 if failed else 0)

def stop_if_failed(*logs):
    """What builds on what failed only waits. The ends of the log files say why."""
    if failed:
        for path in logs:
            with open(path, errors='replace') as f:
                note('%s:\n%s' % (path, ''.join(f.readlines()[-60:])))
        done()

def need_root(*programs):
    """In namespaces of our own (nothing outlives the test), or not at all."""
    if os.geteuid() != 0:
        skip_all('not root')
    for p in programs:
        if shutil.which(p) is None:
            skip_all('no ' + p)
    if os.environ.get('BAN_TEST_NS') != '1':
        os.environ['BAN_TEST_NS'] = '1'
        os.execvp('unshare', ['unshare', '-n', '-m', '-p', '--fork',
            '--kill-child', '--mount-proc', sys.executable] + sys.argv)
    run('ip', 'link', 'set', 'lo', 'up')
    if subprocess.call(['ipset', 'create', 'probe', 'hash:net'],
            stderr=subprocess.DEVNULL) != 0:
        skip_all('the kernel has no ipset')
    run('ipset', 'destroy', 'probe')

def run(*args, **kw):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE,
        text=True, **kw).stdout

def wait_for(what, seconds=10.0):
    """Polls for what nothing announces; never a plain sleep."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True

class Reply:
    def __init__(self, packet):
        (self.magic, self.version, self.op, self.id, family, prefix,
            self.scope, self.flags, result, self.event, self.remaining,
            addr, self.first, self.last, self.packets, self.count, source,
            label, reason) = REPLY.unpack(packet)
        self.result = RESULTS[result]
        self.net = None
        if family == 4:
            self.net = '%s/%d' % (socket.inet_ntop(socket.AF_INET, addr[:4]), prefix)
        elif family == 6:
            self.net = '%s/%d' % (socket.inet_ntop(socket.AF_INET6, addr), prefix)
        text = lambda b: b.split(b'\0')[0].decode()
        self.source, self.label, self.reason = text(source), text(label), text(reason)

def request(op, net=None, scope=0, ttl=0, label=b'', reason=b'', flags=0,
        limit=0, id=1):
    family = prefix = 0
    addr = b''
    if net is not None:
        text, _, length = net.partition('/')
        family = 6 if ':' in text else 4
        addr = socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, text)
        prefix = int(length) if length else len(addr) * 8
    return REQUEST.pack(0x71425353, 1, op, id, family, prefix, scope, flags,
        limit, ttl, addr, label, reason)

class Client:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(20)
        self.sock.connect(path)

    def call(self, op, *args, **kw):
        self.sock.send(request(op, *args, **kw))
        return self.answer()

    def answer(self):
        packet = self.sock.recv(4096)
        if packet == b'':
            raise ConnectionResetError('closed')
        return Reply(packet)

    def many(self, op, *args, **kw):
        self.sock.send(request(op, *args, **kw))
        rows = []
        while True:
            r = self.answer()
            if not r.flags & MORE:
                return rows
            rows.append(r)

    def add(self, net, scope=MAIL, ttl=60, **kw):
        return self.call(ADD, net, scope, ttl, **kw).result

    def delete(self, net, scope=BOTH, flags=EVERYTHING, **kw):
        return self.call(DEL, net, scope, flags=flags, **kw).result

    def check(self, net, scope=BOTH):
        return self.call(CHECK, net, scope).result

    def close(self):
        self.sock.close()

class Helper:
    """A spamscore-banhelper with sockets and journal in a directory."""
    def __init__(self, config='', program=HELPER):
        self.dir = tempfile.mkdtemp(prefix='spamscore-ban.')
        os.chmod(self.dir, 0o755)
        self.program = self.copy(program)
        self.config = os.path.join(self.dir, 'spamscore.conf')
        self.log_path = os.path.join(self.dir, 'log')
        self.proc = None
        self.write_config(config)

    def copy(self, program):
        """Of its own: a linker at work leaves a file that cannot be run."""
        wait_for(lambda: os.access(program, os.X_OK), 60)
        return shutil.copy(program, self.dir)

    def write_config(self, config):
        with open(self.config, 'w') as f:
            f.write('ban_user nobody\nban_socket_dir %s/run\n'
                'ban_state_dir %s/state\nban_check_interval 200ms\n%s\n'
                % (self.dir, self.dir, config))

    def start(self, wait=True):
        with open(self.log_path, 'ab') as log:
            mark = log.tell()
            self.proc = subprocess.Popen([self.program, '--config', self.config],
                stderr=log)
        if wait and not wait_for(lambda: 'ready version' in self.log(mark) or
                self.proc.poll() is not None, 60) or self.proc.poll() is not None:
            note(self.log()[-3000:])
            raise RuntimeError('the helper does not start')
        return self

    def log(self, start=0):
        with open(self.log_path, 'rb') as f:
            f.seek(start)
            return f.read().decode('utf-8', 'replace')

    def path(self, source='admin'):
        return '%s/run/%s.sock' % (self.dir, source)

    def client(self, source='admin'):
        return Client(self.path(source))

    def stop(self, sig=signal.SIGTERM):
        if self.proc is not None:
            self.proc.send_signal(sig)
            code = self.proc.wait(20)
            self.proc = None
            if any(w in self.log() for w in ('Sanitizer', 'runtime error: ')):
                ok(False, 'the sanitizers find nothing')
                note(self.log()[-5000:])
            return code

    @contextlib.contextmanager
    def paused(self):
        """What takes two commands, with no helper mending in between."""
        state = lambda: open('/proc/%d/stat' % self.proc.pid).read().rpartition(')')[2].split()[0]
        self.proc.send_signal(signal.SIGSTOP)
        wait_for(lambda: state() == 'T')
        yield
        self.proc.send_signal(signal.SIGCONT)

    def remove(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

def ipset_entries(name):
    out = subprocess.run(['ipset', 'list', name], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True).stdout
    members = out.partition('Members:\n')[2]
    return {line.split()[0]: line.split()[1:] for line in members.splitlines() if line}

class Network:
    """This namespace is the host; a second one has the clients."""
    HOST4, HOST6 = '198.51.100.1', '2001:db8:100::1'

    def __init__(self, addresses4, addresses6):
        self.holder = subprocess.Popen(['unshare', '-n', 'cat'],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        own = os.readlink('/proc/self/ns/net')
        wait_for(lambda: os.readlink('/proc/%d/ns/net' % self.holder.pid) != own)
        run('ip', 'link', 'add', 'h0', 'type', 'veth', 'peer', 'name', 'c0',
            'netns', str(self.holder.pid))
        run('ip', 'addr', 'add', self.HOST4 + '/32', 'dev', 'h0')
        run('ip', 'addr', 'add', self.HOST6 + '/64', 'dev', 'h0', 'nodad')
        run('ip', 'link', 'set', 'h0', 'up')
        self.inside('ip', 'link', 'set', 'lo', 'up')
        self.inside('ip', 'link', 'set', 'c0', 'up')
        for a in addresses4:
            self.inside('ip', 'addr', 'add', a + '/32', 'dev', 'c0')
            run('ip', 'route', 'add', a + '/32', 'dev', 'h0')
        for a in addresses6:
            self.inside('ip', 'addr', 'add', a + '/128', 'dev', 'c0', 'nodad')
            run('ip', 'route', 'add', a + '/128', 'dev', 'h0')
        self.inside('ip', 'route', 'add', self.HOST4 + '/32', 'dev', 'c0')
        self.inside('ip', 'route', 'add', self.HOST6 + '/128', 'dev', 'c0')
        self.listeners = []
        for port in (22, 25):
            for family, address in ((socket.AF_INET, self.HOST4),
                    (socket.AF_INET6, self.HOST6)):
                s = socket.socket(family, socket.SOCK_STREAM)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((address, port))
                s.listen(200)
                self.listeners.append(s)

    def inside(self, *args):
        return run('nsenter', '-t', str(self.holder.pid), '-n', *args)

    def connects(self, address, port, timeout=0.6):
        """Does a TCP connection from that client address come about?"""
        code = '''
import socket, sys
src, dst, port, timeout = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
s = socket.socket(socket.AF_INET6 if ':' in src else socket.AF_INET)
s.settimeout(timeout)
s.bind((src, 0))
try:
    s.connect((dst, port))
    print('yes')
except socket.timeout:
    print('no')
'''
        host = self.HOST6 if ':' in address else self.HOST4
        out = self.inside(sys.executable, '-c', code, address, host, str(port),
            str(timeout))
        return out.strip() == 'yes'

    def close(self):
        self.holder.kill()
        self.holder.wait()
