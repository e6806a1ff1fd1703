"""SpamAssassin's net rules over answers from a file: DNSEval, URIDNSBL, AskDNS,
their filters, and what is unknown or not run."""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from judging import explained, net_rules, rule_names  # noqa: E402
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
uridnssub U_HOST hosts.example. A 127.0.0.4
body U_HOST eval:check_uridnsbl('U_HOST')
uridnssub U_MASK hosts.example. A 16
body U_MASK eval:check_uridnsbl('U_MASK')
uridnsbl U_HOST_NS both.example. A
body U_HOST_NS eval:check_uridnsbl('U_HOST_NS')
urinsrhsbl U_NSRHS nsrhs.example. A
body U_NSRHS eval:check_uridnsbl('U_NSRHS')
urinsrhssub U_NSRHS_NOT nsrhs.example. A 127.0.0.9
body U_NSRHS_NOT eval:check_uridnsbl('U_NSRHS_NOT')
urifullnsrhssub U_FULL full.example. A 127.0.0.2
body U_FULL eval:check_uridnsbl('U_FULL')
urifullnsrhsbl U_FULL_NOT nsrhs.example. A
body U_FULL_NOT eval:check_uridnsbl('U_FULL_NOT')
header R_NS eval:check_rbl_ns_from('ns', 'nsfrom.example.')
header R_NS_SUB eval:check_rbl_sub('ns', '127.0.0.6')
header R_ACCREDITED eval:check_rbl_accreditor('acc-lastexternal', 'acc.example.', '', 'goodlist')
header R_ACCREDITED2 eval:check_rbl_accreditor('acc-lastexternal', 'acc.example.', '', 'other')
header R_HEADERS eval:check_rbl_headers('hdr', 'hdr.example.', '', 'X-Origin-Host,Reply-To')
header R_HEADERS_CONF eval:check_rbl_headers('hdr2', 'hdr2.example.')
header R_RCVD eval:check_rbl_rcvd('rcvd', 'rcvd.example.')
header R_NAMED eval:check_rbl('blocked', 'blocked.example.', '^127\.255\.255\.254$')
header R_NOT_NAMED eval:check_rbl('blocked', 'blocked.example.', '^127\.')
rbl_headers X-Configured
askdns A_AUTHOR _AUTHORDOMAIN_.ask.example A 127.0.0.5
askdns A_RANGE _SENDERDOMAIN_.ask.example A 127.0.1.2-127.0.1.9
askdns A_TEXT _AUTHORDOMAIN_.ask.example TXT /^listed/
askdns A_HEADER _HEADER(Reply-To:addr:domain)_.ask.example A
askdns A_TAGS _LASTEXTERNALREVIP_.tags.example A
askdns A_HELO _LASTEXTERNALHELO_.tags.example A
askdns A_URIS _URIDOMAINS_.tags.example A 127.0.0.3
askdns A_HOSTS _URIHOSTS_.tags.example A 127.0.0.3
header __CAPTURE X-Id =~ /^id-(?<XID>\d+)$/
askdns A_CAPTURED _XID_.tags.example A
askdns A_NONE _AUTHORDOMAIN_.absent.example A [NXDOMAIN]
"""
names = rule_names(RULES)
with open("r.cf", "w") as f:
    f.write(net_rules(RULES, {"U_WHOLE": "notrim", "U_HOST": "a", "U_HOST_NS": "a ns", "U_MASK": "a"}))
with open("dns.txt", "w") as f:
    f.write("""\
9.113.0.203.bl.example A 127.0.0.2
9.113.0.203.mask.example A 127.0.0.6
9.113.0.203.txt.example TXT "a Dialup address"
9.113.0.203.blocked.example A 127.255.255.254
fail.example SERVFAIL
9.113.0.203.fail.example SERVFAIL
author.org.rhs.example A 127.0.0.2
a--goodlist.bounce.sender.org.env.example A 127.0.0.2
example.com.uri.example A 127.0.0.2
www.example.com.uri.example A 127.0.0.8
example.net.other.example A 127.0.0.2
author.org.ask.example A 127.0.0.5
author.org.ask.example TXT "listed since Monday"
a--goodlist.bounce.sender.org.ask.example A 127.0.1.7
reply.org.ask.example A 127.0.0.1
example.com NS ns2.host.net
example.com NS NS1.Host.NET
ns1.host.net A 198.51.100.7
ns2.host.net A 198.51.100.8
www.example.com A 198.51.100.9
8.100.51.198.chain.example TXT "a bad neighbourhood"
9.100.51.198.hosts.example A 127.0.0.4
7.100.51.198.both.example A 127.0.0.2
host.net.nsrhs.example A 127.0.0.2
ns2.host.net.full.example A 127.0.0.2
sender.org NS ns.sender.net
ns.sender.net.nsfrom.example A 127.0.0.6
9.113.0.203.acc.example A 127.0.0.2
7.113.0.203.hdr.example A 127.0.0.2
conf.org.hdr2.example A 127.0.0.2
9.113.0.203.rcvd.example A 127.0.0.2
9.113.0.203.tags.example A 127.0.0.2
www.example.com.tags.example A 127.0.0.3
4711.tags.example A 127.0.0.2
""")
with open("m.eml", "w") as f:
    f.write("From: a@author.org\nX-Id: id-4711\nX-Origin-Host: 203.0.113.7\nX-Configured: conf.org\nReply-To: x@reply.org\nSubject: x\n\nhttp://www.example.com/a http://example.net/\n")


def judge(*options):
    return explained("m.eml", "--ip", "203.0.113.9", "--helo", "h.test", "--mail-from", "b@a--goodlist.bounce.sender.org",
                     "--now", "1704067200", *options)


o = judge("--dns-data", "dns.txt")
hits = {h["rule"]: h for h in o["hits"]}
same(sorted(h for h in hits if h[:2] != "__"), sorted([
    "R_ANY", "R_SUB2", "R_MASK", "R_TXT", "R_FROM", "R_ENV", "U_TRIM", "U_WHOLE", "A_AUTHOR", "A_RANGE", "A_TEXT", "A_HEADER",
    "A_NONE", "U_CHAIN", "U_HOST", "U_HOST_NS", "U_NSRHS", "U_FULL", "R_NS", "R_NS_SUB", "R_ACCREDITED", "R_HEADERS",
    "R_HEADERS_CONF", "R_RCVD", "R_NAMED", "A_TAGS", "A_HOSTS", "A_CAPTURED"]), "what hits, and nothing else")
same(hits.get("R_SUB2", {}).get("matched"), "127.0.0.2", "the answer is shown")
same({n["test"]: n["unknown"] for n in o["not_run"] if n["test"] in names}, {"R_FAIL": True, "R_BLOCKED": False,
     "R_NOT_NAMED": False}, "a failure is unknown; a list that complains is not run")
same((o["score"], o["score_low"], o["score_high"]), (28.0, 28.0, 29.0), "the interval has the unknown list's point")
same(sorted(l["query"] for l in o["dnsbl"] if l["list"] in ("chain.example", "both.example")),
     ["7.100.51.198.both.example", "7.100.51.198.chain.example", "8.100.51.198.both.example", "8.100.51.198.chain.example",
      "9.100.51.198.both.example"], "a chain ends at the list, whose answers are shown")

# a chain that breaks is unknown, wherever it breaks, and hits elsewhere count all the same
for broken, unknown in (("example.com NS SERVFAIL", True), ("ns2.host.net A TIMEOUT", True),
                        ("8.100.51.198.chain.example SERVFAIL", True), ("8.100.51.198.chain.example EMPTY", False)):
    name, *rest = broken.split()
    with open("dns.txt") as f, open("broken.txt", "w") as g:
        g.write("".join(line for line in f if not line.lower().startswith(name + (" " + rest[0] if len(rest) > 1 else ""))))
        g.write(f"{name} {rest[-1]} {rest[0]}\n" if len(rest) > 1 else broken + "\n")
    o = judge("--dns-data", "broken.txt")
    same([n["unknown"] for n in o["not_run"] if n["test"] == "U_CHAIN"], [True] if unknown else [], "U_CHAIN over: " + broken)
    same([h["rule"] for h in o["hits"] if h["rule"] == "U_HOST_NS"], [] if "NS SERV" in broken else ["U_HOST_NS"],
         "another rule's hit over: " + broken)

o = judge("--offline")
same(([h["rule"] for h in o["hits"] if h["rule"] in names],
      sorted(n["test"] for n in o["not_run"] if n["test"] in names)),
     ([], sorted(names)), "offline none is run")


def judge_with(lines):
    with open("r.cf", "a+") as f:
        size = f.tell()
        f.write(lines)
    o = judge("--dns-data", "dns.txt")
    os.truncate("r.cf", size)
    return {h["rule"] for h in o["hits"]}, {n["test"]: n["why"] for n in o["not_run"]}, o


hit, why, _ = judge_with("skip_rbl_checks 1\n")
same((hit & {"R_ANY", "R_NS", "U_CHAIN"}, why.get("R_ANY")), ({"U_CHAIN"}, "skip_rbl_checks"), "skip_rbl_checks")
hit, why, _ = judge_with("skip_uribl_checks 1\n")
same((hit & {"R_ANY", "U_TRIM", "U_CHAIN"}, why.get("U_CHAIN")), ({"R_ANY"}, "skip_uribl_checks"), "skip_uribl_checks")
hit, why, o = judge_with("dns_query_restriction deny example\ndns_query_restriction allow bl.example chain.example\n")
same((hit & {"R_ANY", "U_CHAIN", "U_TRIM", "A_AUTHOR"}, why.get("U_TRIM")), ({"R_ANY", "U_CHAIN"}, "dns_query_restriction"),
     "dns_query_restriction, the tightest entry decides")
same(sorted({l["list"] for l in o["dnsbl"]}), ["bl.example", "chain.example"], "nothing else was asked")
hit, _, _ = judge_with("dns_query_restriction deny example\nclear_dns_query_restriction\n")
same("U_TRIM" in hit, True, "clear_dns_query_restriction")
hit, _, _ = judge_with("uridnsbl_max_domains 0\n")
same("U_TRIM" in hit, False, "uridnsbl_max_domains")
hit, _, _ = judge_with("uridnsbl_skip_domain Example.COM\n")
same("U_TRIM" in hit, False, "uridnsbl_skip_domain")
hit, _, _ = judge_with("uridnsbl_skip_domain example.com\nclear_uridnsbl_skip_domain example.com\n")
same("U_TRIM" in hit, True, "clear_uridnsbl_skip_domain of a name")

# dns_block_rule: a list that says it was asked too much is left alone for a while, at and below the name given
with open("b.cf", "w") as f:
    f.write("""header B_FULL eval:check_rbl('b-lastexternal', 'sub.bl.example.', '127.0.0.1')
header B_LIST eval:check_rbl('b2-lastexternal', 'sub.bl.example.')
header B_OTHER eval:check_rbl('b3-lastexternal', 'bl.example.')
askdns B_ASK _AUTHORDOMAIN_.x.sub.bl.example A
dns_block_rule B_FULL other.example sub.bl.example.
dns_block_time 100
""" + "".join(f"tflags {n} net\nscore {n} 1\n" for n in ("B_FULL", "B_LIST", "B_OTHER", "B_ASK")))
with open("bdns.txt", "w") as f:
    f.write("9.113.0.203.sub.bl.example A 127.0.0.1\n9.113.0.203.bl.example A 127.0.0.2\nauthor.org.x.sub.bl.example A 127.0.0.2\n")
os.mkdir("mails")
for i in range(3):
    with open(f"mails/{i}.eml", "w") as f:
        f.write("Received: from h.test (h.test [203.0.113.9]) by mx.test with SMTP id 1; Mon, 1 Jan 2024 00:00:00 +0000\n" +
                open("m.eml").read())


def rounds(rules):
    with open("b2.cf", "w") as f:
        f.write(rules)
    code, out, err = run(SPAMSCORE, "check", "--json", "--rules", "b2.cf", "--db", "none", "--dns-data", "bdns.txt", "--now",
                         "1704067200", "--jobs", "1", "mails")
    if code != 0:
        note(err)
    return [sorted(json.loads(line)["rules"]) for line in out.splitlines()]


same(rounds(open("b.cf").read()), [["B_ASK", "B_FULL", "B_LIST", "B_OTHER"], ["B_OTHER"], ["B_OTHER"]], "dns_block_rule")
same(rounds(open("b.cf").read().replace("dns_block_time 100", "dns_block_time 0"))[1],
     ["B_ASK", "B_FULL", "B_LIST", "B_OTHER"], "dns_block_time 0 blocks nothing")

# what SpamAssassin passes over must not keep a rule file from being loaded
with open("odd.cf", "w") as f:
    f.write("""header O_OPTION eval:check_hashbl_emails('h.example', 'sha1/nosuch/max=x', 'From')
header O_ACL eval:check_hashbl_emails('h.example', 'sha1', 'From', '', 'nobody')
header O_RAW eval:check_hashbl_uris('h.example', 'raw')
askdns O_TYPE _AUTHORDOMAIN_.x.example A,SOA
""")
code, out, err = run(SPAMSCORE, "lint", "--rules", "odd.cf")
same((code, [line.split(": ", 1)[1] for line in (out + err).decode().splitlines() if "odd.cf" in line]), (0, [
    'warning: O_OPTION: not an option of HashBL: "nosuch"', "warning: O_ACL: not run: no hashbl_acl_nobody",
    "warning: O_RAW: not run: needs one of md5, sha1, sha256",
    'warning: O_TYPE: not run: "A,SOA" is none of A AAAA TXT MX NS PTR CNAME']), "what cannot be asked is a warning")
with open("bad.cf", "w") as f:
    f.write("""header B_TYPE eval:check_hashbl_emails('h.example/MX')
header B_SUBTEST eval:check_hashbl_emails('h.example', '', '', '(')
hashbl_email_domain_alias only.one
dns_query_restriction perhaps example
dns_block_rule B_TYPE
dns_block_time soon
skip_rbl_checks maybe
uridnsbl_max_domains many
hashbl_email_regex (
""")
code, out, err = run(SPAMSCORE, "lint", "--rules", "bad.cf")
same((code != 0, sorted({int(line.split(":")[1]) for line in (out + err).decode().splitlines() if line.startswith("bad.cf:")})),
     (True, list(range(1, 10))), "each bad line is named")
done()
