"""A private Postfix with a spamscored behind it, for the tests of this folder.

    both.begin()                         # SKIP, or go on in own namespaces
    with both.both(config="tag_score 4\n") as (daemon, mx):
        with mx.smtp(xclient={"ADDR": "203.0.113.9"}) as c:
            code, text = mx.send(c, b"Subject: x\r\n\r\nhi\r\n")
        mx.wait_idle()
        mx.delivered()

begin() starts the program again below unshare(1) with network (loopback only),
mount and process namespaces of its own: when it ends, for whatever reason, the
kernel ends all that was started in it. Client addresses come from XCLIENT.
"""
import contextlib
import os
import shutil
import smtplib
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "milter"))
import private_postfix  # noqa: E402
from milter_peer import RULES, Daemon, Tap, skip_all  # noqa: E402,F401

MARK = "SPAMSCORE_TEST_NAMESPACE"
RCPT = "user@" + private_postfix.DOMAIN
CONFIG = """socket_group postfix
greylist_delay 1s
authserv_id mx.here.example
log_repeat 0
"""


def unmet_need():
    if os.geteuid() != 0:
        return "needs root"
    for program in ("postfix", "unshare", "ip", "ss"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            return "needs " + program
    if subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"],
                      stderr=subprocess.DEVNULL, check=False).returncode != 0:
        return "needs the right to make namespaces"
    return None


def begin():
    why = unmet_need()
    if why is not None:
        skip_all(why)
    if os.environ.get(MARK) != "1":
        os.environ[MARK] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                              "--mount-proc", sys.executable] + sys.argv)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class Here:
    """private_postfix's idea of a network: the one we are in."""

    @staticmethod
    def run_server(*args, **kw):
        return subprocess.run(args, check=False, **kw)

    @staticmethod
    def popen_server(*args, **kw):
        return subprocess.Popen(args, **kw)


class MX(private_postfix.PrivatePostfix):
    def __init__(self, settings=None, master=""):
        """master: further lines of master.cf"""
        self.more_services = master
        super().__init__(Here(), {
            "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
            "disable_dns_lookups": "yes", "in_flow_delay": "0", "header_size_limit": "8388608",
            "smtpd_hard_error_limit": "1000000", "smtpd_soft_error_limit": "1000000",
            "milter_connect_timeout": "10s", "default_process_limit": "200",
            "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4",
            **(settings or {})})

    def _configure(self):
        super()._configure()
        with open(os.path.join(self.etc, "master.cf"), "a", encoding="ascii") as f:
            f.write(self.more_services)

    @contextlib.contextmanager
    def smtp(self, xclient=None, helo="client.example.net", timeout=60):
        """A connection that has said EHLO; xclient: attributes as Postfix names them."""
        c = smtplib.SMTP(timeout=timeout)
        try:
            code, text = c.connect("127.0.0.1", self.port)
            if code == 220 and xclient:
                c.ehlo("localhost")
                code, text = c.docmd("XCLIENT", " ".join(f"{k}={v}" for k, v in xclient.items()))
            if code != 220:
                raise smtplib.SMTPConnectError(code, text)
            c.ehlo(helo)
            yield c
        finally:
            c.close()

    @staticmethod
    def send(c, raw, mail_from="sender@example.net", rcpt_to=(RCPT,), options=()):
        """One transaction, bytes as they are (CRLF); (code, text) of the last reply."""
        c.send(b"MAIL FROM:<%s>%s\r\n" % (mail_from.encode(),
                                          b"".join(b" " + o.encode() for o in options)))
        code, text = c.getreply()
        for r in rcpt_to:
            if code < 400:
                c.send(b"RCPT TO:<%s>\r\n" % r.encode())
                code, text = c.getreply()
        if code < 400:
            code, text = c.docmd("DATA")
        if code == 354:
            data = raw if raw.endswith(b"\r\n") or not raw else raw + b"\r\n"
            data = data.replace(b"\r\n.", b"\r\n..")
            c.send((b"." if data.startswith(b".") else b"") + data + b".\r\n")
            code, text = c.getreply()
        else:
            with contextlib.suppress(smtplib.SMTPServerDisconnected):
                c.rset()
        return code, text.decode("utf-8", "replace")

    def queue_files(self, *queues):
        found = []
        for q in queues:
            for root, _, files in os.walk(os.path.join(self.queue, q)):
                found += [os.path.join(root, f) for f in files]
        return found

    def wait_idle(self, timeout=60):
        """Until nothing is under way: all delivered, held or deferred."""
        until = time.monotonic() + timeout
        while self.queue_files("incoming", "active", "maildrop"):
            if time.monotonic() > until:
                raise TimeoutError("the queue does not run dry\n" + self.log_tail())
            time.sleep(0.02)

    def held(self):
        """The messages in the hold queue."""
        return [subprocess.run(["postcat", "-c", self.etc, "-hb", path], check=True,
                               capture_output=True).stdout for path in self.queue_files("hold")]

    def clear(self):
        """Forget what was delivered."""
        shutil.rmtree(os.path.join(self.mail, "all"), ignore_errors=True)

    def log_tail(self, lines=15):
        return "\n".join(self.read_log().splitlines()[-lines:])


@contextlib.contextmanager
def both(config="", rules=RULES, args=("--offline",), default_action="accept", settings=None,
         rules_path=None, master="", log_file=False):
    # smtpd is chrooted, so the socket stands below the queue directory
    settings = {"smtpd_milters": "unix:spamscore/milter.sock",
                "milter_default_action": default_action, **(settings or {})}
    with MX(settings, master) as mx:
        d = Daemon(CONFIG + config, rules, args,
                   listen=f"unix:{mx.queue}/spamscore/milter.sock")
        if rules_path is not None:
            d.rules_path = rules_path
        d.to_file = log_file
        try:
            yield d.start(), mx
        finally:
            d.stop()
            d.remove()
