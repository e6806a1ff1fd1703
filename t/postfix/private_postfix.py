"""A Postfix of our own: queue, configuration, log and mailboxes below one
temporary folder, its network a namespace that goes away with it. Nothing of
the system's Postfix is read or written.

    with Net() as net:                      # namespaces "server" and "client"
        net.client_address("198.51.100.66") # one more address of the client
        with PrivatePostfix(net, {"smtpd_milters": "unix:spamscore/milter.sock"}) as pf:
            reply = net.send(pf, mail_from, [rcpt], data, source="198.51.100.66")
            pf.delivered()                  # list of bytes, as Postfix delivered them

server has 198.51.100.1 and 2001:db8:51::1, the client 198.51.100.2 and
2001:db8:51::2; port 25 is open to it. Mail to anything @here.example is
delivered to one maildir below pf.mail; Delivered-To tells the recipient. smtpd runs chrooted in
pf.queue as on Debian. XCLIENT is allowed to the client, so a test may claim
any client address (net.send(..., xclient={"ADDR": ..., "NAME": ...})).
Root is needed. Everything is taken down by the with block, and by the kernel
if the test dies: processes live in the namespaces, which stop() empties.
"""
import email.utils
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SERVER4, CLIENT4 = "198.51.100.1", "198.51.100.2"
SERVER6, CLIENT6 = "2001:db8:51::1", "2001:db8:51::2"
DOMAIN = "here.example"


def sh(*args, check=True, **kw):
    p = subprocess.run(args, capture_output=True, text=True, check=False, **kw)
    if check and p.returncode != 0:
        raise RuntimeError(f"{' '.join(args)}: exit {p.returncode}: {p.stderr.strip()}")
    return p


def wait_for(what, condition, seconds=20):
    """Waits for an event, not for a time; returns its truth."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise TimeoutError(f"no {what} within {seconds} s")


class Net:
    """Two namespaces joined by a veth pair."""

    def __init__(self):
        # /run/netns is everybody's, and a test in a pid namespace of its own
        # is always process 1: a name from the pid would meet another's
        self.tag = "ss" + secrets.token_hex(4)
        self.server, self.client = self.tag + "s", self.tag + "c"

    def __enter__(self):
        try:
            for ns in (self.server, self.client):
                sh("ip", "netns", "add", ns)
                sh("ip", "-n", ns, "link", "set", "lo", "up")
                # duplicate address detection would delay the first packets
                sh("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0",
                   "net.ipv6.conf.default.accept_dad=0")
            sh("ip", "link", "add", "v0", "netns", self.server, "type", "veth", "peer", "name", "v0", "netns",
               self.client)
            for ns, a4, a6 in ((self.server, SERVER4, SERVER6), (self.client, CLIENT4, CLIENT6)):
                sh("ip", "-n", ns, "address", "add", a4 + "/24", "dev", "v0")
                sh("ip", "-n", ns, "address", "add", a6 + "/64", "dev", "v0", "nodad")
                sh("ip", "-n", ns, "link", "set", "v0", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for ns in (self.server, self.client):
            pids = sh("ip", "netns", "pids", ns, check=False).stdout.split()
            for pid in pids:
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            sh("ip", "netns", "del", ns, check=False)

    def client_address(self, address):
        """One more source address for the client."""
        sh("ip", "-n", self.client, "address", "add", address + ("/128" if ":" in address else "/32"), "dev", "v0",
           *(["nodad"] if ":" in address else []))
        sh("ip", "-n", self.server, "route", "add", address, "dev", "v0", check=False)

    def run_server(self, *args, **kw):
        return subprocess.run(["ip", "netns", "exec", self.server, *args], **kw)

    def popen_server(self, *args, **kw):
        return subprocess.Popen(["ip", "netns", "exec", self.server, *args], **kw)

    def send(self, pf, mail_from, rcpt_to, data, source=None, helo="mail.client.example", xclient=None,
             timeout=30, options=()):
        """One message over SMTP from the client's namespace. Returns
        {"stage", "code", "text"}: the reply that decided, stage "connect",
        "helo", "xclient", "mail", "rcpt" or "data"."""
        job = json.dumps({"host": SERVER6 if source and ":" in source else SERVER4, "port": pf.port,
                          "mail_from": mail_from, "rcpt_to": list(rcpt_to), "helo": helo, "source": source,
                          "xclient": xclient, "timeout": timeout, "options": list(options),
                          "data": data.decode("latin-1")})
        p = subprocess.run(["ip", "netns", "exec", self.client, "/usr/bin/python3", os.path.abspath(__file__),
                            "--send"], input=job, capture_output=True, text=True, timeout=timeout + 30)
        if p.returncode != 0:
            raise RuntimeError(p.stderr)
        return json.loads(p.stdout)


MASTER = """\
{port} inet n - y - - smtpd
pickup unix n - y 60 1 pickup
cleanup unix n - y - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - y 1000? 1 tlsmgr
rewrite unix - - y - - trivial-rewrite
bounce unix - - y - 0 bounce
defer unix - - y - 0 bounce
trace unix - - y - 0 bounce
verify unix - - y - 1 verify
flush unix n - y 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - y - - smtp
showq unix n - y - - showq
error unix - - y - - error
retry unix - - y - - error
discard unix - - y - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - y - 1 anvil
scache unix - - y - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class PrivatePostfix:
    def __init__(self, net, settings=None, port=25):
        self.net, self.port, self.settings = net, port, settings or {}
        self.master = None

    def __enter__(self):
        # /tmp, not the build folder: Postfix's own user must get through
        self.top = tempfile.mkdtemp(prefix="spamscore-postfix-", dir="/tmp")
        os.chmod(self.top, 0o755)
        self.etc, self.queue, self.data, self.mail = (os.path.join(self.top, n)
                                                      for n in ("etc", "queue", "data", "mail"))
        self.log = os.path.join(self.top, "maillog")
        try:
            self._configure()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _configure(self):
        for d in (self.etc, self.queue, self.mail):
            os.mkdir(d)
        os.mkdir(self.data, 0o700)
        shutil.chown(self.data, "postfix")
        shutil.chown(self.mail, "nobody", "nogroup")
        main = {
            "compatibility_level": "3.6", "queue_directory": self.queue, "data_directory": self.data,
            "command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin",
            "mail_owner": "postfix", "setgid_group": "postdrop", "maillog_file": self.log,
            "maillog_file_prefixes": "/tmp", "myhostname": "mx." + DOMAIN, "mydestination": "",
            "mynetworks": "", "inet_interfaces": "all", "inet_protocols": "all",
            "smtpd_peername_lookup": "no", "alias_maps": "", "alias_database": "",
            "local_recipient_maps": "", "virtual_mailbox_domains": DOMAIN,
            "virtual_mailbox_base": self.mail, "virtual_mailbox_maps": "static:all/",
            "virtual_minimum_uid": "1", "virtual_uid_maps": "static:65534", "virtual_gid_maps": "static:65534",
            "virtual_mailbox_limit": "0", "message_size_limit": "104857600", "mailbox_size_limit": "0",
            "smtpd_authorized_xclient_hosts": CLIENT4 + " [" + CLIENT6 + "] 198.51.100.0/24 203.0.113.0/24",
            "smtpd_recipient_restrictions": "reject_unauth_destination", "smtputf8_enable": "yes",
            "smtpd_client_connection_rate_limit": "0", "smtpd_client_connection_count_limit": "0",
            "smtpd_error_sleep_time": "0", "smtpd_hard_error_limit": "1000", "smtpd_soft_error_limit": "1000",
            "milter_default_action": "tempfail", "milter_protocol": "6",
        }
        main.update(self.settings)
        with open(os.path.join(self.etc, "main.cf"), "w") as f:
            f.writelines(f"{k} = {v}\n" for k, v in main.items())
        with open(os.path.join(self.etc, "master.cf"), "w") as f:
            f.write(MASTER.format(port=self.port))
        p = self.net.run_server("postfix", "-c", self.etc, "check", capture_output=True, text=True)
        if p.returncode != 0:
            raise RuntimeError("postfix check: " + p.stdout + p.stderr)

    def start(self):
        self.master = self.net.popen_server("/usr/lib/postfix/sbin/master", "-c", self.etc, "-d",
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL, start_new_session=True,
                                            env={**os.environ, "MAIL_CONFIG": self.etc})

        def up():
            if self.master.poll() is not None:
                raise RuntimeError("postfix master ended: " + self.read_log())
            listening = self.net.run_server("ss", "-Hltn", "sport", "=", f":{self.port}", capture_output=True)
            return listening.stdout.strip()
        wait_for("listening Postfix", up)

    def stop(self):
        if self.master and self.master.poll() is None:
            self.master.terminate()
            self.master.wait(20)
        self.master = None

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.top, ignore_errors=True)

    def command(self, name, *args, **kw):
        """postqueue, postsuper, postcat ... on this instance"""
        return self.net.run_server(name, "-c", self.etc, *args, capture_output=True, text=True, **kw)

    def reload(self, settings):
        with open(os.path.join(self.etc, "main.cf"), "a") as f:
            f.writelines(f"{k} = {v}\n" for k, v in settings.items())
        self.master.send_signal(signal.SIGHUP)

    def read_log(self):
        try:
            with open(self.log, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def queued(self):
        """[{"queue_name", "queue_id", ...}] of everything not yet delivered"""
        return [json.loads(line) for line in self.command("postqueue", "-j").stdout.splitlines()]

    def delivered(self):
        """Messages in the maildir, oldest first"""
        new = os.path.join(self.mail, "all", "new")
        found = []
        for name in os.listdir(new) if os.path.isdir(new) else ():
            path = os.path.join(new, name)
            with open(path, "rb") as f:
                found.append((os.stat(path).st_mtime_ns, f.read()))
        return [data for _, data in sorted(found)]

    def wait_delivered(self, count, seconds=30):
        try:
            wait_for(f"delivery of {count}", lambda: len(self.delivered()) >= count, seconds)
        except TimeoutError as e:
            raise TimeoutError(f"{e}\n{self.read_log()}") from None
        return self.delivered()


def _send(job):
    import smtplib

    def reply(stage, code, text):
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        return {"stage": stage, "code": code, "text": text}

    source = (job["source"], 0) if job["source"] else None
    try:
        s = smtplib.SMTP(local_hostname=job["helo"], timeout=job["timeout"], source_address=source)
        code, text = s.connect(job["host"], job["port"])
    except OSError as e:
        return reply("connect", 0, e)
    if code != 220:
        return reply("connect", code, text)
    code, text = s.ehlo()
    if code != 250:
        return reply("helo", code, text)
    if job["xclient"]:
        code, text = s.docmd("XCLIENT", " ".join(f"{k}={v}" for k, v in job["xclient"].items()))
        if code != 220:
            return reply("xclient", code, text)
        s.ehlo()
    code, text = s.mail(job["mail_from"], job["options"])
    if code != 250:
        return reply("mail", code, text)
    for rcpt in job["rcpt_to"]:
        code, text = s.rcpt(rcpt)
        if code // 100 != 2:
            return reply("rcpt", code, text)
    code, text = s.data(job["data"].encode("latin-1"))
    s.close()
    return reply("data", code, text)


if __name__ == "__main__":
    if sys.argv[1:] == ["--send"]:
        print(json.dumps(_send(json.load(sys.stdin))))
    else:
        # by hand: is this harness itself sound?
        with Net() as n, PrivatePostfix(n) as p:
            date = email.utils.formatdate()
            print(n.send(p, "a@client.example", ["b@" + DOMAIN], f"Date: {date}\r\nSubject: x\r\n\r\nhello\r\n".encode()))
            print(n.send(p, "a@client.example", ["b@" + DOMAIN], b"Subject: y\r\n\r\nhello\r\n", xclient={"ADDR": "203.0.113.9", "NAME": "x.example"}))
            print(n.send(p, "a@client.example", ["b@elsewhere.example"], b"\r\n"))
            for m in p.wait_delivered(2):
                print(m.decode())
            print(p.read_log())
