"""A scripted MTA: speaks the milter protocol (version 6) to a spamscored of its own.

    with Daemon(config="tag_score 5\n", rules="header A Subject =~ /x/\n") as d:
        with d.connect(ip="192.0.2.1") as p:
            result = p.message(headers=[("Subject", " x")], body=b"hi\r\n")
            result.reply, result.edits

Every stage is a method of Peer, so that a test can stop, abort or break off
anywhere. Peer.raw() sends any bytes. Nothing outside the temporary directory
is touched; Daemon.stop() (or the end of `with`) ends the process by its pid.
"""
import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

BUILD = os.environ.get("SPAMSCORE_BUILD", "build")

ALL_ACTIONS = 0x1FF
ALL_PROTOCOL = 0x1FFFFF
NR_HDR, NR_EOH, NR_BODY, LEADSPC = 0x80, 0x40000, 0x80000, 0x100000
NR_CONN, NR_HELO, NR_MAIL, NR_RCPT = 0x1000, 0x2000, 0x4000, 0x8000
STAGES = ["connect", "helo", "mail", "rcpt", "header", "eoh", "body", "eom"]

# a subject that calls for each action
RULES = r"""
header T_TAG Subject =~ /tagme/
score T_TAG 6
header T_DEFER Subject =~ /deferme/
score T_DEFER 9
header T_REJECT_A Subject =~ /rejectme/
score T_REJECT_A 7
header T_REJECT_B Subject =~ /rejectm/
score T_REJECT_B 7
body T_BODY /marker in the body/
score T_BODY 6
"""


class Closed(Exception):
    """The daemon closed the connection."""


class Result:
    def __init__(self, reply, edits):
        self.reply = reply  # "c" "a" "r" "t", or the text of a reply code
        self.edits = edits  # ("delete", name, index) ("insert", name, value)

    def inserted(self, name):
        return [v for (kind, n, v) in self.edits if kind == "insert" and n == name]


class Peer:
    def __init__(self, path, timeout=20):
        if isinstance(path, tuple):
            self.sock = socket.create_connection(path, timeout)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(path)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def raw(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed from e

    def packet(self, command, data=b""):
        self.raw(struct.pack("!I", len(data) + 1) + command.encode() + data)

    def receive(self):
        while True:
            if len(self.buffer) >= 4:
                n = struct.unpack("!I", self.buffer[:4])[0]
                if len(self.buffer) >= 4 + n:
                    p = self.buffer[4:4 + n]
                    self.buffer = self.buffer[4 + n:]
                    return chr(p[0]), p[1:]
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError as e:
                raise Closed from e
            if not more:
                raise Closed
            self.buffer += more

    def expect(self, letter="c"):
        got, data = self.receive()
        if got != letter:
            raise AssertionError(f"got reply {got!r} {data!r}, want {letter!r}")
        return data

    def macros(self, command, **values):
        text = b"".join(k.encode() + b"\0" + v.encode("utf-8", "surrogateescape") + b"\0"
                        for k, v in values.items())
        self.packet("D", command.encode() + text)

    def expect_unless(self, bit):
        """The reply to a stage, unless it was negotiated away"""
        return None if self.protocol & bit else self.expect()

    def negotiate(self, actions=ALL_ACTIONS, protocol=ALL_PROTOCOL):
        self.packet("O", struct.pack("!III", 6, actions, protocol))
        data = self.expect("O")
        version, self.actions, self.protocol = struct.unpack("!III", data[:12])
        self.symlists = {}
        rest = data[12:]
        while len(rest) >= 5:
            stage = struct.unpack("!I", rest[:4])[0]
            text, rest = rest[4:].split(b"\0", 1)
            self.symlists[stage] = text.decode()
        return version

    def connect(self, ip="192.0.2.1", name="unknown", ptr=None, host="mx.example.test", port=4711):
        values = {"j": host}
        if ptr is not None:
            values["{client_ptr}"] = ptr
        self.macros("C", **values)
        if ip is None:
            self.packet("C", name.encode() + b"\0U")
        else:
            family = b"6" if ":" in ip else b"4"
            text = "IPv6:" + ip if ":" in ip else ip
            self.packet("C", name.encode() + b"\0" + family + struct.pack("!H", port) +
                        text.encode() + b"\0")
        return self.expect_unless(NR_CONN)

    def helo(self, name="client.example.test"):
        self.macros("H")
        self.packet("H", name.encode() + b"\0")
        return self.expect_unless(NR_HELO)

    def mail(self, address="sender@example.test", auth=None, args=()):
        values = {}
        if auth is not None:
            values["{auth_authen}"] = auth
        self.macros("M", **values)
        self.packet("M", b"".join(a.encode("utf-8", "surrogateescape") + b"\0"
                                  for a in ["<" + address + ">", *args]))
        return self.expect_unless(NR_MAIL)

    def rcpt(self, address="user@example.org", queue_id="QID1"):
        self.macros("R", i=queue_id)
        self.packet("R", b"<" + address.encode("utf-8", "surrogateescape") + b">\0")
        return self.expect_unless(NR_RCPT)

    def header(self, name, value):
        if isinstance(name, str):
            name = name.encode()
        if isinstance(value, str):
            value = value.encode("utf-8", "surrogateescape")
        self.packet("L", name + b"\0" + value + b"\0")

    def eoh(self):
        self.packet("N")

    def body(self, data):
        for i in range(0, len(data), 65535):
            self.packet("B", data[i:i + 65535])

    def eom(self, queue_id="QID1"):
        self.macros("E", i=queue_id)
        self.packet("E")
        return self.result()

    def result(self):
        edits = []
        while True:
            letter, data = self.receive()
            if letter == "m":
                index = struct.unpack("!I", data[:4])[0]
                name, value = data[4:].split(b"\0")[:2]
                assert value == b"", "a field was changed, not deleted"
                edits.append(("delete", name.decode(), index))
            elif letter == "i":
                index = struct.unpack("!I", data[:4])[0]
                assert index == 0, "inserted elsewhere than at the top"
                name, value = data[4:].split(b"\0")[:2]
                edits.append(("insert", name.decode(), value.decode("utf-8", "surrogateescape")))
            elif letter == "h":
                raise AssertionError("a field was appended")
            elif letter == "p":
                continue
            elif letter == "y":
                return Result(data.rstrip(b"\0").decode(), edits)
            else:
                return Result(letter, edits)

    def abort(self):
        self.packet("A")

    def quit(self):
        self.packet("Q")
        self.close()

    DEFAULT_HEADERS = [("From", " A <a@example.test>"), ("To", " user@example.org"),
                       ("Subject", " hello"), ("Date", " Mon, 23 Nov 2026 14:00:00 +0000"),
                       ("Message-Id", " <1@example.test>")]

    def begin(self, mail="sender@example.test", rcpt=("user@example.org",), auth=None,
              queue_id="QID1"):
        self.mail(mail, auth)
        for r in rcpt:
            self.rcpt(r, queue_id)

    def message(self, headers=None, body=b"hello\r\n", subject=None, queue_id="QID1", **envelope):
        self.begin(queue_id=queue_id, **envelope)
        for name, value in (self.DEFAULT_HEADERS if headers is None else headers):
            if subject is not None and name == "Subject":
                value = " " + subject
            self.header(name, value)
        self.eoh()
        if body:
            self.body(body)
        return self.eom(queue_id)

    def until(self, stage):
        """Everything of one message up to and including that stage."""
        self.negotiate()
        steps = [lambda: self.connect(), lambda: self.helo(), lambda: self.mail(),
                 lambda: self.rcpt(), lambda: self.header("Subject", " x"), self.eoh,
                 lambda: self.body(b"some body\r\n"), lambda: self.packet("E")]
        for step in steps[:STAGES.index(stage) + 1]:
            step()


class Daemon:
    """A spamscored in a directory of its own; log lines are collected."""

    def __init__(self, config="", rules="", args=("--offline",), listen=None, wrapper=(),
                 directory=None):
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="spamscored-test-")
        os.chmod(self.directory, 0o755)
        self.socket_path = os.path.join(self.directory, "run", "milter.sock")
        self.config_path = os.path.join(self.directory, "spamscore.conf")
        self.rules_path = os.path.join(self.directory, "rules.cf")
        self.listen = listen or "unix:" + self.socket_path
        if self.listen.startswith("unix:"):
            self.socket_path = self.listen[5:]
        self.args = args
        self.wrapper = list(wrapper)
        self.log = []
        self.changed = threading.Condition()
        self.process = None
        self.to_file = False  # for benchmarks: the log goes to a file, unread
        self.write_config(config)
        if rules is None:  # the configuration says where they are
            self.rules_path = None
            return
        with open(self.rules_path, "w", encoding="utf-8") as f:
            f.write(rules)

    def write_config(self, text):
        base = (f"listen {self.listen}\nstate_dir {self.directory}/state\n"
                f"socket_group {'nogroup' if os.geteuid() == 0 else self.own_group()}\n"
                "user nobody\ncontrol_socket none\nban_socket none\n")
        words = {line.split()[0] for line in text.splitlines() if line.split()}
        base = "".join(line + "\n" for line in base.splitlines() if line.split()[0] not in words)
        with open(self.config_path, "w", encoding="utf-8") as f:
            f.write(base + text)

    @staticmethod
    def own_group():
        import grp
        return grp.getgrgid(os.getegid()).gr_name

    def start(self, ready=True):
        command = self.wrapper + [os.path.join(BUILD, "milter", "spamscored"), "--foreground",
                                  "--config", self.config_path, *self.args]
        if self.rules_path is not None:
            command += ["--rules", self.rules_path]
        if self.to_file:
            return self.start_to_file(command)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read_log, args=(self.process.stderr,), daemon=True)
        self.reader.start()
        if ready:
            self.wait_log(r"spamscored \S+ serves", timeout=60)
        return self

    def start_to_file(self, command):
        path = os.path.join(self.directory, "log")
        with open(path, "wb") as f:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=f)
        self.reader = threading.Thread(target=self.process.wait, daemon=True)
        self.reader.start()
        until = time.monotonic() + 60
        while True:
            with open(path, encoding="utf-8", errors="replace") as f:
                if " serves " in f.read():
                    return self
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError("the daemon did not start")
            time.sleep(0.02)

    def read_log(self, stream):
        for line in stream:
            with self.changed:
                self.log.append(line.decode("utf-8", "replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def wait_log(self, pattern, since=0, timeout=20):
        """The first log line from index `since` that matches; AssertionError else."""
        until = time.monotonic() + timeout
        with self.changed:
            seen = since
            while True:
                while seen < len(self.log):
                    if re.search(pattern, self.log[seen]):
                        return self.log[seen]
                    seen += 1
                left = until - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self.reader.is_alive()):
                    raise AssertionError(f"no log line matches {pattern!r}; the last are: " +
                                         " | ".join(self.log[-8:]))
                self.changed.wait(min(left, 0.2))

    def address(self):
        m = re.match(r"inet:(\d+)@(.*)", self.listen)
        return (m.group(2), int(m.group(1))) if m else self.socket_path

    def connect(self, negotiate=True, helo="client.example.test", **where):
        p = Peer(self.address())
        if negotiate:
            p.negotiate()
            p.connect(**where)
            p.helo(helo)
        return p

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, timeout=40):
        """SIGTERM; the exit code."""
        if self.process is None:
            return None
        if self.alive():
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = "it had to be killed"
        self.reader.join(5)
        if any("Sanitizer" in line or "runtime error: " in line for line in self.log):
            raise AssertionError("\n".join(self.log[-60:]))
        return code

    def remove(self):
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        self.remove()


FIELD = re.compile(rb"^[!-9;-~]+[ \t]*:")


def as_postfix(raw):
    """(fields, body): folded lines joined with LF, no NUL, body with CRLF"""
    lines = re.split(rb"\r?\n", raw)
    if lines and lines[0].startswith((b"From ", b">From ")):
        lines = lines[1:]
    fields = []
    while lines:
        line = lines[0]
        if fields and line[:1] in (b" ", b"\t"):
            fields[-1][1] += b"\n" + line
        elif FIELD.match(line):
            name, value = line.split(b":", 1)
            fields.append([name, value])
        else:
            if line == b"":
                lines = lines[1:]
            break
        lines = lines[1:]
    fields = [(n, v.replace(b"\0", b"")[:60000]) for n, v in fields]
    return fields, b"\r\n".join(lines)


class Tap:
    """The test protocol, as t/tap.h has it for C."""

    def __init__(self):
        self.count = self.failed = 0

    def ok(self, good, label, *notes):
        self.count += 1
        print(f"{'' if good else 'not '}ok {self.count} - {label}", flush=True)
        if not good:
            self.failed += 1
            for note in notes:
                for line in str(note).splitlines():
                    print(f"# {line}", flush=True)
        return bool(good)

    def eq(self, got, want, label):
        return self.ok(got == want, label, f" got: {got!r}", f"want: {want!r}")

    def match(self, text, pattern, label):
        return self.ok(re.search(pattern, text or "") is not None, label,
                       f"    got: {text!r}", f"pattern: {pattern!r}")

    def skip(self, label, why):
        self.count += 1
        print(f"ok {self.count} - {label} # SKIP {why}", flush=True)

    @contextlib.contextmanager
    def case(self, label):
        """An exception is a failure of this case; the others go on."""
        try:
            yield
        except Exception as e:  # pylint: disable=broad-except
            import traceback
            self.ok(False, label, *traceback.format_exception_only(type(e), e),
                    *traceback.format_tb(e.__traceback__)[-2:])

    def done(self):
        print(f"1..{self.count}", flush=True)
        return 1 if self.failed else 0


def skip_all(why):
    print(f"1..0 # SKIP {why}")
    raise SystemExit(0)
