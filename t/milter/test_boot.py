#!/usr/bin/python3
"""The units as systemd starts them: systemd as process 1 of namespaces of its
own, over a copy-on-write view of this host in which the build is installed.
Nothing outside is touched; all ends with that process 1."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from configured import WEEK_CONFIG, WEEK_RULES, label_week, send_week, wait_week  # noqa: E402
from milter_peer import BUILD, Peer, Tap, skip_all  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
UNITS = ["spamscore-banhelper", "spamscored", "spamscore-firewall"]
tap = Tap()


def sh(*args, check=True):
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    if check and p.returncode != 0:
        raise RuntimeError(" ".join(args) + ": " + p.stdout)
    return p.stdout


def wait_for(what, seconds=30.0):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


class Host:
    """A systemd of our own; run() runs a command beside it."""

    def __init__(self, top):
        self.top = top
        self.upper = os.path.join(top, "upper")
        self.process = self.pid1 = None

    def write(self, path, text):
        path = self.upper + path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)

    def write_live(self, path, text):
        """The same while it runs."""
        path = f"/proc/{self.pid1}/root" + path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)

    def install(self):
        sh("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", self.upper)
        # a build for /usr/local, while the units say /usr
        local = os.path.join(self.upper, "usr/local")
        if os.path.isdir(local):
            sh("cp", "-a", local + "/.", os.path.join(self.upper, "usr"))
        for path in (self.upper, os.path.join(self.upper, "usr"), os.path.join(self.upper, "etc")):
            os.makedirs(path, exist_ok=True)
            os.chmod(path, 0o755)
        config = ("listen unix:/var/spool/postfix/spamscore/milter.sock\nstate_dir /var/lib/spamscore\n"
                  "control_socket /run/spamscore/control.sock\nrules_dir /usr/share/spamscore/rules.d\n"
                  "compiled_dir /var/cache/spamscore-compiled\nban_strikes 3\nrules /etc/spamscore/week.cf\n" + WEEK_CONFIG)
        self.write("/etc/spamscore/week.cf", WEEK_RULES)
        # for the tuner's report; no Postfix runs, its sendmail files the mail
        self.write("/etc/postfix/main.cf", "compatibility_level = 3.6\nmyhostname = mx.here.example\n")
        for etc in ("/etc", "/usr/local/etc"):
            self.write(etc + "/spamscore/spamscore.conf", config)
        self.write("/etc/systemd/system/spamscore-test.target", "[Unit]\nDescription=test\n"
                   "Requires=basic.target dbus.service\nAfter=basic.target dbus.service\nWants=" +
                   " ".join(u + ".service" for u in UNITS) + "\nAllowIsolate=yes\n")
        self.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")

    def start(self):
        for d in ("work", "root"):
            os.mkdir(os.path.join(self.top, d))
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net", "--cgroup",
             "--propagation", "private", "sh", os.path.join(HERE, "boot_root.sh"), self.top],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        def up():
            if self.process.poll() is not None:
                return True
            kids = sh("pgrep", "-P", str(self.process.pid), check=False).split()
            if not kids:
                return False
            self.pid1 = kids[0]
            with open(f"/proc/{self.pid1}/comm", encoding="ascii") as f:
                return f.read().strip() == "systemd" and self.state("basic.target") == "active"
        return wait_for(up, 60) and self.process.poll() is None

    def run(self, *args, check=False):
        return sh("nsenter", "-t", self.pid1, "-p", "-m", "-n", "-i", "-u", "-C", "--", *args, check=check)

    def state(self, unit):
        return self.run("systemctl", "is-active", unit).strip()

    def show(self, unit, name):
        return self.run("systemctl", "show", "-P", name, unit).strip()

    def status(self, unit):
        """/proc/PID/status of a unit's process, as the unit's host sees it"""
        text = self.run("cat", "/proc/%s/status" % self.show(unit, "MainPID"))
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(20)


def test_units(h):
    with tap.case("units"):
        for unit in UNITS:
            tap.ok(wait_for(lambda u=unit: h.state(u) == "active", 30), unit + " is active",
                   h.run("journalctl", "--no-pager", "-n", "8", "-u", unit))
        for unit, cap in (("spamscored", 0), ("spamscore-banhelper", 1 << 12)):
            s = h.status(unit)
            tap.eq({int(s[k], 16) for k in ("CapEff", "CapPrm", "CapBnd")}, {cap},
                   unit + (": CAP_NET_ADMIN and no more" if cap else ": no capability"))
            tap.ok(s["Uid"].split()[0] != "0" and s["NoNewPrivs"] == "1" and s["Seccomp"] == "2",
                   unit + ": not root, no new privileges, seccomp")
        tap.eq(h.status("spamscore-banhelper")["Threads"].strip(), "2", "the helper has its thread for the disk")
        tap.eq(h.run("journalctl", "--no-pager", "-q", "-o", "cat", "-p", "err", "-u", "spamscore-banhelper"), "",
               "and no error: the unit lets it have its journal")
        tap.eq(h.run("systemctl", "list-units", "--failed", "--no-legend", "spamscore*").strip(), "", "none failed")
        tap.ok("-j SPAMSCORE" in h.run("iptables-save"), "the firewall's rules are loaded")
        order = [int(h.show(u, "ActiveEnterTimestampMonotonic")) for u in UNITS]
        tap.ok(order[0] < order[1] and order[0] < order[2], "the helper is ready before daemon and firewall")


def test_journal(h):
    with tap.case("journal"):
        for unit, what in (("spamscored", "serves"), ("spamscore-banhelper", "ready version=")):
            said = h.run("journalctl", "--no-pager", "-o", "cat", "-u", unit)
            line = [x for x in said.splitlines() if what in x]
            tap.ok(len(line) == 1 and not re.match(r"<|\S+\[\d+\]: |\S+: ", line[0]),
                   unit + ": the journal's name is not followed by another", said)
        h.run("systemd-run", "--wait", "--collect", "-u", "second", "spamscored", "--foreground")
        tap.match(h.run("journalctl", "--no-pager", "-o", "cat", "-p", "err", "-u", "second"),
                  "^another spamscored has ", "an error of the start has that priority")


def test_mail(h):
    with tap.case("mail"):
        path = f"/proc/{h.pid1}/root/var/spool/postfix/spamscore/milter.sock"
        st = os.stat(path)
        tap.ok(st.st_mode & 0o777 == 0o660 and st.st_gid == shutil._get_gid("postfix"),
               "Postfix's group may connect", oct(st.st_mode))
        gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
        for i in range(3):
            with Peer(path) as p:
                p.negotiate()
                p.connect(ip="203.0.113.9")
                p.helo()
                r = p.message(body=gtube.encode())
        tap.match(r.reply, r"^550 5\.7\.1", "GTUBE is rejected")
        tap.ok(wait_for(lambda: "203.0.113.9" in h.run("spamscore", "ban", "list")),
               "three rejects are a ban, from one unit to the other", h.run("spamscore", "ban", "list"))
        tap.ok("203.0.113.9" in h.run("ipset", "list", "spamscore-mail4"), "in the kernel")
        tap.ok(wait_for(lambda: h.run("spamscore", "log").count(" reject ") == 3, 10), "the verdicts are in the log",
               h.run("spamscore", "log"))


CLIENT = r"""
#include <ban/ban.h>
#include <stdio.h>

int
main(void)
{
	struct ban_client *c;
	struct network net;
	enum ban_result result;
	struct error err;

	if (!network_parse(span_cstr("198.51.100.99"), &net) ||
	    ban_client_new(BAN_SOCKET_ADMIN, 2000, &c, &err) != 0 ||
	    ban_add(c, &net, BAN_MAIL, 60, "by a program", &result, &err) != 0)
		return 1;
	puts(ban_result_name(result));
	ban_client_free(c);
	return 0;
}
"""


def test_client(h):
    """Somebody else's C program, with what is installed and documented."""
    with tap.case("client"):
        if shutil.which("cc") is None or shutil.which("pkg-config") is None:
            tap.skip("a C client", "needs cc and pkg-config")
            return
        h.write_live("/tmp/client.c", CLIENT)
        said = h.run("sh", "-c", "export PKG_CONFIG_PATH=$(find /usr/lib -name spamscore-ban.pc -printf %h) && "
                     "cc -Wall -Werror -o /tmp/client /tmp/client.c $(pkg-config --define-variable=prefix=/usr "
                     "--cflags --libs spamscore-ban) && /tmp/client")
        tap.eq(said, "ok\n", "a C program with the client library")
        tap.match(h.run("spamscore", "ban", "show", "198.51.100.99"), "by a program", "has banned")


NFT = """#!/usr/sbin/nft -f
flush ruleset
table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
		tcp dport 25 accept
	}
}
"""


def ours(h):
    """In which kind of iptables our rules stand, for both families."""
    return [k for k in ("nft", "legacy")
            if all("-j SPAMSCORE" in h.run(p + "-" + k + "-save") for p in ("iptables", "ip6tables"))]


def test_nftables(h):
    with tap.case("nftables"):
        if shutil.which("nft") is None or not h.run("cat", "/lib/systemd/system/nftables.service"):
            tap.skip("nftables", "is not installed")
            return
        tap.eq(ours(h), ["nft"], "without nft's own rules they stand in the default iptables")
        h.write_live("/etc/nftables.conf", NFT)
        h.run("systemctl", "enable", "--now", "nftables.service", check=True)
        if not h.run("iptables-legacy", "-S", "INPUT").startswith("-P"):
            tap.skip("iptables-legacy", "is not in this kernel")
        else:
            tap.ok(wait_for(lambda: ours(h) == ["legacy"]), "nftables starts, flushes, and they stand apart from it", ours(h))
            for words in (("systemctl", "reload", "nftables"), ("systemctl", "restart", "nftables"),
                          ("nft", "-f", "/etc/nftables.conf"), ("nft", "flush", "ruleset")):
                h.run(*words, check=True)
                tap.eq(ours(h), ["legacy"], "after " + " ".join(words[:2]))
            h.run("sh", "-c", "(echo flush ruleset; nft list ruleset) >/etc/saved && nft -f /etc/saved", check=True)
            tap.eq(ours(h), ["legacy"], "what nft saved can be loaded, and they stand")
        # a kernel without it
        h.write_live("/etc/systemd/system/spamscore-firewall.service.d/nft.conf",
                     "[Service]\nEnvironment=IPTABLES=iptables-nft IP6TABLES=ip6tables-nft\n")
        h.run("systemctl", "daemon-reload", check=True)
        h.run("systemctl", "restart", "spamscore-firewall", check=True)
        tap.eq(ours(h), ["nft"], "among nft's rules")
        for words in (("systemctl", "reload", "nftables"), ("systemctl", "restart", "nftables")):
            h.run("iptables-nft", "-A", "SPAMSCORE", "-s", "192.0.2.77", "-j", "RETURN", check=True)
            h.run(*words, check=True)
            tap.ok(wait_for(lambda: ours(h) == ["nft"] and "192.0.2.77" not in h.run("iptables-nft-save") and
                            h.state("spamscore-firewall") == "active", 10),
                   "put back after " + " ".join(words[:2]), ours(h))
        h.run("systemctl", "stop", "spamscore-firewall", check=True)
        h.run("systemctl", "reload", "nftables", check=True)
        tap.eq((ours(h), h.state("spamscore-firewall")), ([], "inactive"), "but not while spamscore-firewall is off")
        h.run("systemctl", "disable", "--now", "nftables", check=True)
        h.run("rm", "-r", "/etc/systemd/system/spamscore-firewall.service.d")
        h.run("systemctl", "daemon-reload", check=True)
        h.run("systemctl", "start", "spamscore-firewall", check=True)
        tap.eq(ours(h), ["nft"], "without nftables as at first")


def tune(h):
    """One run of the weekly unit: what it logged."""
    before = h.run("journalctl", "--no-pager", "-o", "cat", "-u", "spamscore-tune")
    h.run("systemctl", "start", "spamscore-tune.service")
    tap.eq((h.show("spamscore-tune", "Result"), h.show("spamscore-tune", "ExecMainStatus")), ("success", "0"),
           "spamscore-tune ran")
    said = h.run("journalctl", "--no-pager", "-o", "cat", "-u", "spamscore-tune")
    return " ".join(said[len(before):].split())


def test_tune(h):
    with tap.case("tune"):
        control = f"/proc/{h.pid1}/root/run/spamscore/control.sock"
        tuned = f"/proc/{h.pid1}/root/var/lib/spamscore/tuned/"
        tap.match(tune(h), "Nothing new was tuned: there are no labelled messages", "without labels: says so")
        with Peer(f"/proc/{h.pid1}/root/var/spool/postfix/spamscore/milter.sock") as p:
            p.negotiate()
            p.connect(ip="198.51.100.7")
            p.helo()
            count = send_week(p, 160, 120)
        rows = wait_week(control, count)
        label_week(control, rows[:40])
        tap.match(tune(h), "Nothing new was tuned: ", "with few: says so")
        tap.eq(os.listdir(tuned), ["history"], "and writes nothing else")
        label_week(control, rows[40:])
        # SQLite does not take a path that goes through /proc
        h.run(sys.executable, "-c", "import sys; sys.path.insert(0, %r); import configured; "
              "configured.spread_mail('/var/lib/spamscore/spamscore.db', 5 * 86400)" % HERE, check=True)
        said = tune(h)
        tap.match(said, r"A new candidate was tuned on \d+ good and \d+ bad messages: [1-9]", "with enough: a candidate")
        tap.match(said, "It runs as shadow now", "which runs as shadow")
        tap.eq([json.loads(r)["name"] for r in h.run("spamscore", "shadow", "list", "--json").splitlines()], ["candidate"], "in the daemon, too")
        with open(tuned + "candidate.cf", encoding="utf-8") as f:
            tap.match(f.read(), r"(?m)^score T_ODD ", "it moved what it should")
        with open("/proc/%s/root/etc/spamscore/spamscore.conf" % h.pid1, "a", encoding="ascii") as f:
            f.write("tune_report_to root\n")
        drop = f"/proc/{h.pid1}/root/var/spool/postfix/maildrop/"
        said = re.sub(r"(\S+: )?warning: unable to look up public/pickup: No such file or directory", "", tune(h))
        tap.eq(said.strip(), "", "the report by mail: Postfix's sendmail misses nothing but the running Postfix")
        mails = [open(drop + n, "rb").read() for n in os.listdir(drop)]
        tap.ok(len(mails) == 1 and b"stays on trial" in mails[0], "is with Postfix", mails)
        pid = h.show("spamscored", "MainPID")
        tap.eq(h.run("nsenter", "-t", pid, "-m", "touch", "/var/lib/spamscore/tuned/candidate.cf", check=False)
               .count("Read-only"), 1, "the daemon cannot write what was tuned")
        h.run("systemctl", "enable", "--now", "spamscore-tune.timer", check=True)
        tap.match(h.run("systemctl", "list-timers", "--no-legend"), r"(?m)^\w{3} .*spamscore-tune\.timer", "the timer waits")


def test_compile(h):
    with tap.case("compile"):
        h.run("systemctl", "start", "spamscore-compile", check=True)
        said = h.run("journalctl", "--no-pager", "-o", "cat", "-u", "spamscore-compile")
        if "without libhs" in said:
            tap.skip("rules are compiled", "built without libhs")
            return
        tap.match(said, r"body: \d+ patterns, \S+", "spamscore-compile compiles rules")
        dirs = h.run("stat", "-c", "%U %a", "/var/cache/spamscore-compiled").strip()
        tap.eq(dirs, "spamscore-compile 755", "where its own user alone may write")
        log = lambda: h.run("journalctl", "--no-pager", "-o", "cat", "-u", "spamscored")
        tap.match(log(), r"fault=compiled error=\"not compiled: cannot open", "before, the daemon said that it has none")
        before = len(log())
        h.run("systemctl", "reload", "spamscored", check=True)
        tap.ok("reloaded" in log()[before:] and "fault=" not in log()[before:], "a reload takes them up", log()[before:])


def test_life(h):
    with tap.case("life"):
        pid = h.show("spamscored", "MainPID")
        h.run("systemctl", "reload", "spamscored", check=True)
        tap.eq((h.state("spamscored"), h.show("spamscored", "MainPID")), ("active", pid), "reload")
        h.run("systemctl", "reload", "spamscore-banhelper", check=True)
        tap.ok(wait_for(lambda: "configuration reloaded" in
                        h.run("journalctl", "--no-pager", "-u", "spamscore-banhelper")), "reload of the helper")
        for unit in ("spamscored", "spamscore-banhelper"):
            pid = h.show(unit, "MainPID")
            h.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", unit, check=True)
            tap.ok(wait_for(lambda u=unit, p=pid: h.state(u) == "active" and h.show(u, "MainPID") not in ("0", p)),
                   unit + " comes back after SIGKILL")
        tap.ok("203.0.113.9" in h.run("spamscore", "ban", "list"), "and the ban is still there")
        tap.ok(wait_for(lambda: h.state("spamscore-firewall") == "active" and
                        "-j SPAMSCORE" in h.run("iptables-save")), "so are the firewall's rules")
        h.run("systemctl", "enable", *UNITS, check=True)
        out = h.run("spamscore", "doctor", "--postconf", "false")
        tap.eq(re.findall(r"^(?:bad|warn) +(?:units|timers|tuning|bans|firewall|milter|rights|daemon|rules).*", out, re.M), [],
               "the doctor finds nothing wrong with units, timer, tuning, bans, firewall, sockets and rights")
        begun = time.monotonic()
        h.run("systemctl", "stop", *UNITS, check=True)
        tap.ok(time.monotonic() - begun < 20, "all stop in time")
        tap.eq([h.show(u, "Result") for u in UNITS], ["success"] * 3, "and well")


def main():
    if os.geteuid() != 0:
        skip_all("not root")
    for program in ("unshare", "nsenter", "meson", "ipset", "iptables", "systemctl"):
        if shutil.which(program) is None:
            skip_all("no " + program)
    if not os.path.exists("/lib/systemd/systemd") or shutil._get_gid("postfix") is None:
        skip_all("no systemd, or no Postfix")
    top = tempfile.mkdtemp(prefix="spamscore-boot-")
    try:
        sh("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", top)
        h = Host(top)
        os.mkdir(h.upper)
        h.install()
        try:
            if not h.start():
                h.stop()
                skip_all("systemd cannot be started here: " + h.process.stderr.read().decode()[-300:])
            test_units(h)
            test_journal(h)
            test_mail(h)
            test_client(h)
            test_nftables(h)
            test_tune(h)
            test_compile(h)
            test_life(h)
        finally:
            h.stop()
    finally:
        sh("umount", "-l", top, check=False)
        os.rmdir(top)
    return tap.done()


sys.exit(main())
