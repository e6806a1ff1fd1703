"""./run demo: sample mail through a private Postfix, judged by spamscored,
and a hostile client that the kernel no longer lets in.

usage: demo.py BUILD. Root; everything happens in two network namespaces and
a temporary folder, and is taken down again.
"""
import email.utils
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(SOURCE, "t", "postfix"))
from private_postfix import DOMAIN, Net, PrivatePostfix, wait_for  # noqa: E402

GOOD, BAD = "198.51.100.10", "203.0.113.66"


class Stack:
    """Ban helper, daemon and Postfix in one network."""

    def __init__(self, build, net, top):
        self.build, self.net, self.top = build, net, top
        self.children = []

    def spawn(self, log, *args):
        with open(os.path.join(self.top, log), "wb") as f:
            p = self.net.popen_server(*args, stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        self.children.append(p)
        return p

    def read(self, log):
        with open(os.path.join(self.top, log), errors="replace") as f:
            return f.read()

    def wait_socket(self, path, process, log):
        def there():
            if process.poll() is not None:
                sys.exit(f"{log}: the program ended:\n{self.read(log)}")
            return os.path.exists(path)
        try:
            wait_for(path, there)
        except TimeoutError as e:
            sys.exit(f"{e}\n{self.read(log)}")

    def start(self, postfix):
        state, bans, sockets = (os.path.join(self.top, d) for d in ("state", "bans", "sockets"))
        for d in (state, bans, sockets):
            os.mkdir(d, 0o755)
        # no user of the system's is made for a demo: "nobody" must do
        shutil.chown(state, "nobody", "nogroup")
        shutil.chown(bans, "nobody", "nogroup")
        milter_dir = os.path.join(postfix.queue, "spamscore")
        os.makedirs(milter_dir, exist_ok=True)
        shutil.chown(milter_dir, "nobody", "postfix")
        os.chmod(milter_dir, 0o750)
        config = os.path.join(self.top, "spamscore.conf")
        with open(config, "w") as f:
            f.write(textwrap.dedent(f"""\
                listen unix:{milter_dir}/milter.sock
                user nobody
                state_dir {state}
                control_socket none
                authserv_id mx.{DOMAIN}
                local_domains {DOMAIN}
                ban_socket {sockets}/milter.sock
                ban_socket_dir {sockets}
                ban_state_dir {bans}
                ban_user nobody
                ban_source milter group=nogroup mode=0660 scopes=mail
                ban_source admin mode=0600 scopes=mail,host rights=all
                ban_strikes 5
                ban_time 1h
                """))
        helper = self.spawn("helper.log", os.path.join(self.build, "ban", "spamscore-banhelper"), "--config", config,
                            "--foreground")
        self.wait_socket(os.path.join(sockets, "milter.sock"), helper, "helper.log")
        wait_for("ipset of the helper", lambda: self.net.run_server(
            "ipset", "list", "-n", "spamscore-mail6", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0)
        # the firewall line of dist/iptables
        for command, name in (("iptables", "spamscore-mail4"), ("ip6tables", "spamscore-mail6")):
            self.net.run_server(command, "-I", "INPUT", "-p", "tcp", "--dport", "25", "-m", "set", "--match-set",
                                name, "src", "-j", "DROP", check=True)
        daemon = self.spawn("daemon.log", os.path.join(self.build, "milter", "spamscored"), "--config", config,
                            "--foreground", "--dns-data", os.path.join(HERE, "dns.txt"))
        self.wait_socket(os.path.join(milter_dir, "milter.sock"), daemon, "daemon.log")
        self.config = config

    def stop(self):
        for p in reversed(self.children):
            p.terminate()
        for p in self.children:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()


def field(line, key):
    m = re.search(rf'(?:^| ){key}=("(?:[^"\\]|\\.)*"|\S*)', line)
    return m.group(1).strip('"') if m else ""


def describe_rules():
    """Rule name to its description, from the shipped rules"""
    names = {}
    for name in sorted(os.listdir(os.path.join(SOURCE, "rules.d"))):
        if name.endswith(".cf"):
            with open(os.path.join(SOURCE, "rules.d", name), encoding="utf-8", errors="replace") as f:
                for line in f:
                    m = re.match(r"\s*describe\s+(\S+)\s+(.*)", line)
                    if m:
                        names[m.group(1)] = m.group(2).strip()
    return names


def show(label, reply, line, descriptions):
    print(f"\n{label}")
    told = f"{reply['code']} {reply['text']}" if reply["code"] else reply["text"]
    print(f"  client was told  {told.splitlines()[0][:100]}")
    print(f"  action           {field(line, 'action')}, score {field(line, 'score')}")
    for rule in [r for r in field(line, "rules").split(",") if r][:3]:
        print(f"  because          {rule}: {descriptions.get(rule, '')}"[:110])


def demo(build):
    with open(os.path.join(HERE, "messages.json"), encoding="utf-8") as f:
        messages = json.load(f)
    descriptions = describe_rules()
    with Net() as net:
        for address in sorted({m["ip"] for m in messages} | {GOOD, BAD}):
            net.client_address(address)
        with PrivatePostfix(net, {"smtpd_milters": "unix:spamscore/milter.sock",
                                  "milter_default_action": "tempfail"}) as postfix:
            os.mkdir(os.path.join(postfix.top, "demo"), 0o755)
            stack = Stack(build, net, os.path.join(postfix.top, "demo"))
            try:
                stack.start(postfix)
                run(net, postfix, stack, messages, descriptions)
            finally:
                stack.stop()


def verdicts(stack):
    return [line for line in stack.read("daemon.log").splitlines() if "verdict=" in line]


def deliver(net, postfix, stack, m):
    with open(os.path.join(HERE, m["file"]), "rb") as f:
        data = f.read().replace(b"@DATE@", email.utils.formatdate().encode())
    before = len(verdicts(stack))
    reply = net.send(postfix, m["mail_from"], m["rcpt_to"], data, source=m["ip"], helo=m["helo"],
                     xclient={"NAME": m["name"]} if m.get("name") else None)
    line = wait_for("verdict in the log", lambda: verdicts(stack)[before:])[-1]
    return reply, line


def run(net, postfix, stack, messages, descriptions):
    print("A private Postfix asks spamscored about each message:")
    worst = None
    for m in messages:
        reply, line = deliver(net, postfix, stack, m)
        show(f"{m['title']}  ({m['file']}, from {m['ip']})", reply, line, descriptions)
        if field(line, "action") == "reject":
            worst = m
    if worst is None:
        sys.exit("demo: no sample was rejected")
    print(f"\nA client that goes on sending such mail ({BAD}):")
    for n in range(1, 6):
        reply, line = deliver(net, postfix, stack, {**worst, "ip": BAD})
        print(f"  message {n}: {reply['code']} {reply['text'].splitlines()[0][:90]}")
    listed = wait_for("ban in the kernel", lambda: [
        x for x in net.run_server("ipset", "list", "spamscore-mail4", capture_output=True, text=True).stdout.splitlines()
        if x.startswith(BAD)])
    print(f"  the kernel now has  {listed[0]}")
    blocked = net.send(postfix, "a@spam.example", ["user@" + DOMAIN], b"Subject: x\r\n\r\n", source=BAD, timeout=2)
    print(f"  its next connection: {blocked['text']}")
    fine = net.send(postfix, "a@client.example", ["user@" + DOMAIN], b"Subject: x\r\n\r\nhi\r\n", source=GOOD)
    print(f"  another client:      {fine['code']} {fine['text'].split(':')[0]}")
    if blocked["stage"] != "connect" or blocked["code"] != 0 or fine["code"] == 0:
        sys.exit("demo: the ban does not hold, or holds too much")
    print("\nTo see every point of a verdict:")
    print(f"  build/cli/spamscore --explain --offline dist/demo/{worst['file']}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or os.geteuid() != 0:
        sys.exit("usage (as root): demo.py BUILD")
    demo(os.path.abspath(sys.argv[1]))
