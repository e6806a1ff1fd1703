#!/usr/bin/python3
"""A signed zone under a trust anchor: what is validated is said, what is
spoilt on the way is a failure and never an answer.

The zone is signed by ldns-signzone and served by nsd, both on this host."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from judging import explained  # noqa: E402
from tap import done, note, ok, run, same, skip_all  # noqa: E402

os.environ["PATH"] += ":/usr/sbin"
for tool, package in (("nsd", "nsd"), ("ldns-signzone", "ldnsutils"), ("ldns-keygen", "ldnsutils")):
    if shutil.which(tool) is None:
        skip_all(f"{tool} is not installed (package {package})")
tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)

ZONE = """\
$ORIGIN signed.example.
$TTL 300
@ IN SOA ns hostmaster 1 3600 900 604800 300
@ IN NS ns
ns IN A 127.0.0.1
@ IN MX 10 mail
mail IN A 192.0.2.1
@ IN TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc IN TXT "v=DMARC1; p=reject"
spoilt IN TXT "v=spf1 ip4:192.0.2.0/24 -all"
spoilt IN MX 10 mail
2.0.0.127.list IN A 127.0.0.2
9.113.0.203.list IN A 127.0.0.2
"""
PLAIN = ZONE.replace("signed.example.", "plain.example.")
RULES = "header T_LIST eval:check_rbl('l', 'list.signed.example.')\ntflags T_LIST net\nscore T_LIST 1\n"
MAIL = """\
Received: from mail (mail [203.0.113.9]) by h.example.net with ESMTP id 1; Mon, 1 Jan 2024 00:00:00 +0000
From: a@%s
Subject: x

x
"""


def sign(inception=None, expiration=None):
    with open("zone", "w") as f:
        f.write(ZONE)
    command = ["ldns-signzone", "-f", "zone.signed", "-n"]
    for flag, value in (("-i", inception), ("-e", expiration)):
        if value is not None:
            command += [flag, value]
    code, _, err = run(*command, "zone", key)
    if code != 0:
        note(err)
    return open("zone.signed").read()


class Nsd:
    def __init__(self, signed):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        with open("served", "w") as f:
            f.write(signed)
        with open("plain", "w") as f:
            f.write(PLAIN)
        with open("nsd.conf", "w") as f:
            f.write(f"""server:
  ip-address: 127.0.0.1@{self.port}
  username: ""
  zonesdir: "{tmp.name}"
  database: ""
  pidfile: "{tmp.name}/nsd.pid"
  xfrdfile: "{tmp.name}/xfrd.state"
  zonelistfile: "{tmp.name}/zone.list"
  xfrdir: "{tmp.name}"
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: signed.example
  zonefile: served
zone:
  name: plain.example
  zonefile: plain
""")
        self.process = subprocess.Popen(["nsd", "-d", "-c", "nsd.conf"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __enter__(self):
        query = b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05plain\x07example\x00\x00\x06\x00\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            until = time.monotonic() + 10
            while time.monotonic() < until and self.process.poll() is None:
                try:
                    s.sendto(query, ("127.0.0.1", self.port))
                    s.recv(512)
                    return self
                except OSError:
                    pass
        self.process.kill()
        note(self.process.communicate()[0].decode())
        skip_all("nsd does not start here")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


def judge(server, domain, anchor=True):
    with open("conf", "w") as f:
        f.write(f"resolver 127.0.0.1@{server.port}\nevidence_timeout 5s\n" +
                (f"trust_anchor {tmp.name}/anchor\n" if anchor else ""))
    with open("m.eml", "w") as f:
        f.write(MAIL % domain)
    return explained("m.eml", "--config", "conf", "--ip", "203.0.113.9", "--helo", "mail." + domain, "--mail-from", "a@" + domain)


def results(o):
    a = o["auth"]
    return [(a[k]["result"], a[k]["dnssec"]) for k in ("spf", "dmarc")] + [[h["rule"] for h in o["hits"]]]


with open("r.cf", "w") as f:
    f.write(RULES)
key = subprocess.run(["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", "signed.example"], stdout=subprocess.PIPE, text=True,
                     check=True).stdout.strip()
shutil.copy(key + ".key", "anchor")

signed = sign()
ok("RRSIG" in signed, "a zone is signed")
with Nsd(signed) as server:
    same(results(judge(server, "signed.example")), [("fail", True), ("fail", True), ["T_LIST"]], "validated, and said")
    same(results(judge(server, "plain.example")), [("fail", False), ("fail", False), ["T_LIST"]],
         "what nobody signed is as it was")
    same(results(judge(server, "signed.example", anchor=False))[0], ("fail", False), "nothing is validated without an anchor")
    same(judge(server, "none.signed.example")["auth"]["dmarc"]["dnssec"], True, "the parent's record for a name that is not")

# somebody on the way changes what lists and records say
lines = signed.replace("ip4:192.0.2.0/24 -all", "ip4:203.0.113.0/24 -all").replace("p=reject", "p=none")
lines = "\n".join(line.replace("127.0.0.2", "127.0.0.3") if line.startswith("9.113.0.203.list") and "RRSIG" not in line else line
                  for line in lines.splitlines()) + "\n"
with Nsd(lines) as server:
    o = judge(server, "signed.example")
    same(results(o), [("temperror", False), ("temperror", False), []], "changed answers are none")
    same([n["unknown"] for n in o["not_run"] if n["test"] == "T_LIST"], [True], "a list's changed answer is unknown")
    same(o["action"], "accept", "and nothing rests on them")

# signatures taken away
bare = "\n".join(line for line in signed.splitlines() if "RRSIG" not in line) + "\n"
with Nsd(bare) as server:
    same(results(judge(server, "signed.example"))[0], ("temperror", False), "no signatures at all")

with Nsd(sign("20200101000000", "20200201000000")) as server:
    same(results(judge(server, "signed.example"))[0], ("temperror", False), "signatures that have expired")

key, old = subprocess.run(["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", "signed.example"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip(), key
with Nsd(sign()) as server:
    same(results(judge(server, "signed.example"))[0], ("temperror", False), "signed by another key")
done()
