#!/usr/bin/python3
"""Rejects become a ban: Postfix, spamscored and the real ban helper in a
network of their own; the kernel drops a struck client's packets, and nobody
else's. Clients have real addresses here, no XCLIENT."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import both as b  # noqa: E402
from private_postfix import DOMAIN, SERVER4, SERVER6, Net, PrivatePostfix, sh, wait_for  # noqa: E402

tap = b.Tap()
BAD = ["203.0.113.61", "203.0.113.62", "203.0.113.63", "203.0.113.64", "203.0.113.65"]
BAD6, BAD6_NEIGHBOUR = "2001:db8:66::1", "2001:db8:66::2"
RELAY, INSIDE, GOOD = "203.0.113.20", "203.0.113.30", "203.0.113.10"
OTHER, UNHELPED = "203.0.113.11", "203.0.113.70"
STRIKES = 5

# Runs in the client's namespace: STRIKES messages, then connections until one
# gets no answer. Prints {"codes", "drop_ms"}; drop_ms null: never dropped.
CLIENT = r'''
import json, smtplib, socket, sys, time
source, server, rcpt, count, until = sys.argv[1:6]
codes = []
for i in range(int(count)):
    s = smtplib.SMTP(timeout=20, source_address=(source, 0), local_hostname="client.example")
    s.connect(server, 25)
    s.ehlo()
    s.mail("a@client.example")
    s.rcpt(rcpt)
    codes.append(s.data(b"From: a@client.example\r\nSubject: rejectme\r\n\r\nx\r\n")[0])
    told = time.monotonic()
    s.close()
def connects(seconds):
    t = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    t.settimeout(seconds)
    t.bind((source, 0))
    try:
        t.connect((server, 25))
        return True
    except TimeoutError:
        return False
    finally:
        t.close()
drop = None
while drop is None and time.monotonic() - told < float(until):
    begun = time.monotonic()
    # a full backlog drops a packet too, but not three in a row
    if not connects(0.1) and not connects(0.3) and not connects(0.3):
        drop = 1000 * (begun - told)
    time.sleep(0.005)
print(json.dumps({"codes": codes, "drop_ms": drop}))
'''


def strike(net, source, count=STRIKES, until=3.0):
    server = SERVER6 if ":" in source else SERVER4
    p = sh("ip", "netns", "exec", net.client, sys.executable, "-c", CLIENT, source, server,
           "user@" + DOMAIN, str(count), str(until), timeout=120)
    return json.loads(p.stdout)


def banned(net, name):
    text = net.run_server("ipset", "list", name, capture_output=True, text=True).stdout
    return re.findall(r"^(\S+) timeout", text, re.M)


def spawn(net, log, *args):
    with open(log, "wb") as f:
        return net.popen_server(*args, stdin=subprocess.DEVNULL, stdout=f, stderr=f)


def run(net, mx, top):
    state, bans, sockets = (os.path.join(top, d) for d in ("state", "bans", "sockets"))
    for d in (state, bans, sockets):
        os.mkdir(d, 0o755)
        shutil.chown(d, "nobody", "nogroup")
    config, rules = os.path.join(top, "spamscore.conf"), os.path.join(top, "rules.cf")
    with open(rules, "w", encoding="ascii") as f:
        f.write(b.RULES)
    with open(config, "w", encoding="ascii") as f:
        f.write(f"""listen unix:{mx.queue}/spamscore/milter.sock
user nobody
state_dir {state}
control_socket none
trusted_networks {RELAY}
mynetworks {INSIDE}
ban_strikes {STRIKES}
ban_socket {sockets}/milter.sock
ban_socket_dir {sockets}
ban_state_dir {bans}
ban_user nobody
ban_source milter group=nogroup mode=0660 scopes=mail
""")
    helper = spawn(net, top + "/helper.log", os.path.join(os.environ["SPAMSCORE_BUILD"], "ban",
                   "spamscore-banhelper"), "--config", config, "--foreground")
    daemon = None
    try:
        wait_for("the helper's sets", lambda: helper.poll() is None and net.run_server(
            "ipset", "list", "-n", "spamscore-mail6", capture_output=True).returncode == 0)
        for command, name in (("iptables", "spamscore-mail4"), ("ip6tables", "spamscore-mail6")):
            net.run_server(command, "-I", "INPUT", "-p", "tcp", "--dport", "25", "-m", "set",
                           "--match-set", name, "src", "-j", "DROP", check=True)
        daemon = spawn(net, top + "/daemon.log", os.path.join(os.environ["SPAMSCORE_BUILD"], "milter",
                       "spamscored"), "--config", config, "--rules", rules, "--offline", "--foreground")

        def log():
            with open(top + "/daemon.log", encoding="utf-8") as f:
                return f.read()
        wait_for("the daemon", lambda: " serves " in log())

        r = strike(net, GOOD, STRIKES - 1, 0.2)
        tap.eq((r["codes"], r["drop_ms"]), ([550] * (STRIKES - 1), None),
               "one strike fewer than ban_strikes: no ban")
        times = []
        for source in BAD:
            r = strike(net, source)
            tap.eq(r["codes"], [550] * STRIKES, f"{source}: {STRIKES} messages are rejected")
            if tap.ok(r["drop_ms"] is not None, f"{source}: then its packets are dropped", log()):
                times.append(r["drop_ms"])
        times.sort()
        print("# from the reject to the drop, ms: " + " ".join(f"{t:.1f}" for t in times))
        tap.ok(times and times[len(times) // 2] <= 20, "from reject to drop: median at most 20 ms", times)
        r = strike(net, OTHER, 1, 0.2)
        tap.eq((r["codes"], r["drop_ms"]), ([550], None), "another client still gets through")
        tap.eq(sorted(banned(net, "spamscore-mail4")), BAD,
               "the set holds the struck addresses and no other")
        r = strike(net, BAD6)
        tap.ok(r["drop_ms"] is not None, "IPv6: a struck client is dropped", log())
        tap.eq(banned(net, "spamscore-mail6"), ["2001:db8:66::/64"], "IPv6: as a /64")
        p = sh("ip", "netns", "exec", net.client, "python3", "-c",
               "import socket,sys; s = socket.socket(socket.AF_INET6); s.settimeout(0.5);"
               "s.bind((sys.argv[1], 0)); s.connect((sys.argv[2], 25))",
               BAD6_NEIGHBOUR, SERVER6, check=False)
        tap.match(p.stderr, "TimeoutError|timed out", "IPv6: so its neighbour in the /64 is dropped, too")
        for source in (RELAY, INSIDE):
            strike(net, source, STRIKES * 2, 0.1)
        tap.eq([a for a in banned(net, "spamscore-mail4") if a in (RELAY, INSIDE)], [],
               "trusted_networks and mynetworks are never banned")
        tap.match(log(), r"ban client=203\.0\.113\.61 result=ok time=3600s", "the log tells of the ban")

        helper.terminate()
        helper.wait(10)
        start = time.monotonic()
        r = strike(net, UNHELPED, STRIKES, 0.1)
        tap.eq(r["codes"], [550] * STRIKES, "without the helper mail goes on as before")
        wait_for("the log line", lambda: f"fault=ban client={UNHELPED}" in log())
        tap.ok(time.monotonic() - start < 15, "and nothing waits for it; the log says so")
    finally:
        for p in (daemon, helper):
            if p is not None and p.poll() is None:
                p.terminate()
                p.wait(15)


def main():
    why = b.unmet_need()
    if why is None and (shutil.which("ipset") is None or shutil.which("iptables") is None):
        why = "needs ipset and iptables"
    if why is not None:
        b.skip_all(why)
    with Net() as net:
        if net.run_server("ipset", "list", "-n", capture_output=True).returncode != 0:
            b.skip_all("the kernel has no ipset")
        for address in BAD + [BAD6, BAD6_NEIGHBOUR, RELAY, INSIDE, GOOD, OTHER,
                        UNHELPED]:
            net.client_address(address)
        with PrivatePostfix(net, {"smtpd_milters": "unix:spamscore/milter.sock",
                                  "milter_default_action": "tempfail"}) as mx:
            top = os.path.join(mx.top, "spamscore")
            os.mkdir(top, 0o755)
            with tap.case("ban"):
                run(net, mx, top)
    return tap.done()


sys.exit(main())
