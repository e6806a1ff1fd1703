"""SpamAssassin's net rules over answers from a file: DNSEval, URIDNSBL, AskDNS,
their filters, and what is unknown or not run."""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SPAMSCORE, done, note, run, same  # noqa: E402

tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
RULES = r"""
header R_ANY eval:check_rbl('bl-lastexternal', 'bl.example.')
header R_SUB2 eval:check_rbl_sub('bl-lastexternal', '127.0.0.2')
header R_SUB3 eval:check_rbl_sub('bl-lastexternal', '127.0.0.3')
header R_MASK eval:check_rbl('mask', 'mask.example.', '4')
header R_MASK8 eval:check_rbl_sub('mask', '8')
header R_TXT eval:check_rbl_txt('txt', 'txt.example.', '(?i)dial-?up')
header R_BLOCKED eval:check_rbl('blocked', 'blocked.example.')
header R_FAIL eval:check_rbl('fail', 'fail.example.')
header R_FROM eval:check_rbl_from_domain('rhs', 'rhs.example.')
header R_ENV eval:check_rbl_envfrom('env', 'env.example.')
urirhssub U_TRIM uri.example. A 2
body U_TRIM eval:check_uridnsbl('U_TRIM')
urirhssub U_WHOLE uri.example. A 127.0.0.8
body U_WHOLE eval:check_uridnsbl('U_WHOLE')
urirhsbl U_ANY other.example. A
body U_ANY eval:check_uridnsbl('U_ANY')
urirhssub U_MISS uri.example. A 64
body U_MISS eval:check_uridnsbl('U_MISS')
uridnsbl_skip_domain example.net
uridnsbl U_CHAIN chain.example. TXT
body U_CHAIN eval:check_uridnsbl('U_CHAIN')
askdns A_AUTHOR _AUTHORDOMAIN_.ask.example A 127.0.0.5
askdns A_RANGE _SENDERDOMAIN_.ask.example A 127.0.1.2-127.0.1.9
askdns A_TEXT _AUTHORDOMAIN_.ask.example TXT /^listed/
askdns A_HEADER _HEADER(Reply-To:addr:domain)_.ask.example A
askdns A_NONE _AUTHORDOMAIN_.absent.example A [NXDOMAIN]
"""
names = [w.split()[1] for w in RULES.splitlines() if w.split()[:1] in (["header"], ["body"], ["askdns"])]
with open("r.cf", "w") as f:
    f.write(RULES + "".join(f"tflags {n} net{' notrim' if n == 'U_WHOLE' else ''}\nscore {n} 1\n" for n in names))
with open("dns.txt", "w") as f:
    f.write("""\
9.113.0.203.bl.example A 127.0.0.2
9.113.0.203.mask.example A 127.0.0.6
9.113.0.203.txt.example TXT "a Dialup address"
9.113.0.203.blocked.example A 127.255.255.254
fail.example SERVFAIL
9.113.0.203.fail.example SERVFAIL
author.test.rhs.example A 127.0.0.2
bounce.sender.test.env.example A 127.0.0.2
example.com.uri.example A 127.0.0.2
www.example.com.uri.example A 127.0.0.8
example.net.other.example A 127.0.0.2
author.test.ask.example A 127.0.0.5
author.test.ask.example TXT "listed since Monday"
bounce.sender.test.ask.example A 127.0.1.7
reply.test.ask.example A 127.0.0.1
""")
with open("m.eml", "w") as f:
    f.write("From: a@author.test\nReply-To: x@reply.test\nSubject: x\n\nhttp://www.example.com/a http://example.net/\n")


def judge(*options):
    code, out, err = run(SPAMSCORE, "--explain", "--json", "--rules", "r.cf", "--db", "none", "--ip", "203.0.113.9",
                         "--helo", "h.test", "--mail-from", "b@bounce.sender.test", "--now", "1704067200", *options, "m.eml")
    if code != 0:
        note(err)
    return json.loads(out)


o = judge("--dns-data", "dns.txt")
hits = {h["rule"]: h for h in o["hits"]}
same(sorted(hits), sorted(["R_ANY", "R_SUB2", "R_MASK", "R_TXT", "R_FROM", "R_ENV", "U_TRIM", "U_WHOLE", "A_AUTHOR", "A_RANGE",
                           "A_TEXT", "A_HEADER", "A_NONE"]), "what hits, and nothing else")
same(hits.get("R_SUB2", {}).get("matched"), "127.0.0.2", "the answer is shown")
same({n["test"]: n["unknown"] for n in o["not_run"] if n["test"] in ("R_FAIL", "U_CHAIN")}, {"R_FAIL": True, "U_CHAIN": False},
     "a failure is unknown, a chain is not run")
same((o["score"], o["score_low"], o["score_high"]), (13.0, 13.0, 14.0), "the interval has the unknown list's point")
o = judge("--offline")
same(([h["rule"] for h in o["hits"]], sorted(n["test"] for n in o["not_run"] if n["test"] in names)), ([], sorted(names)),
     "offline none is run")
done()
