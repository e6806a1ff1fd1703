#!/usr/bin/python3
"""Net rules against Debian's SpamAssassin over the same DNS server: the same
questions to every list, and the same hits.

usage: test_net.py DNS_SERVER

Every eval of DNSEval, URIDNSBL, AskDNS and HashBL is here with its options.
What differs is named in `DIFFERENT`, with the reason; see
scoring/rules/DEPARTURES.md.
"""
import base64
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from judging import explained, net_rules, rule_names  # noqa: E402
from tap import done, note, ok, run, same, skip_all  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DNS_SERVER = os.path.abspath(sys.argv[1])
if not glob.glob("/etc/spamassassin/*.pre") or run("perl", "-MMail::SpamAssassin", "-e1")[0] != 0:
    skip_all("SpamAssassin is not installed")

RULES = r"""
util_rb_tld org net com uk de
util_rb_2tld co.uk
uridnsbl_skip_domain skip.org sub.partly.org
originating_ip_headers X-Originating-IP
rbl_headers X-Configured,Reply-To

header L_ALL eval:check_rbl('all', 'all.example.')
header L_ALL_SUB eval:check_rbl_sub('all', '127.0.0.2')
header L_ALL_MASK eval:check_rbl_sub('all', '4')
header L_ALL_RE eval:check_rbl_sub('all', '^127\.0\.[01]\.[2-6]$')
header L_LAST eval:check_rbl('x-lastexternal', 'last.example.')
header L_NOTFIRST eval:check_rbl('x-notfirsthop', 'notfirst.example.')
header L_FIRSTTRUSTED eval:check_rbl('x-firsttrusted', 'trusted.example.')
header L_UNTRUSTED eval:check_rbl('x-untrusted', 'untrusted.example.')
header L_NICE eval:check_rbl('n-firsttrusted', 'nice.example.')
header L_SUBTEST eval:check_rbl('s', 'sub.example.', '127.0.0.3')
header L_TXT eval:check_rbl_txt('t', 'txt.example.', '(?i)dial-?up')
header L_TXT2 eval:check_rbl_txt('t2', 'txt.example.')
header L_FROMHOST eval:check_rbl_from_host('fh', 'fromhost.example.')
header L_FROMDOM eval:check_rbl_from_domain('fd', 'fromdom.example.')
header L_ENV eval:check_rbl_envfrom('ef', 'env.example.')
header L_HDR eval:check_rbl_headers('h', 'hdr.example')
header L_HDR2 eval:check_rbl_headers('h2', 'hdr2.example', '127.0.0.2', 'X-Ip,X-Host,From')
header L_HDR_IPS eval:check_rbl_headers('h3', 'hdr3.example', '127.0.0.2', 'X-Ip,X-Host,From')
header L_HDR_DOMS eval:check_rbl_headers('h4', 'hdr4.example', '127.0.0.2', 'X-Ip,X-Host,From')
header L_RCVD eval:check_rbl_rcvd('r', 'rcvd.example')
header L_ACC eval:check_rbl_accreditor('a', 'acc.example.', '127.0.0.2', 'goodlist')
header L_ACC2 eval:check_rbl_accreditor('a2', 'acc2.example.', '127.0.0.2', 'inheader')
header L_ACC3 eval:check_rbl_accreditor('a3', 'acc3.example.', '127.0.0.2', 'nobody')

urirhsbl U_ANY uany.example. A
body U_ANY eval:check_uridnsbl('U_ANY')
urirhssub U_MASK umask.example. A 4
body U_MASK eval:check_uridnsbl('U_MASK')
urirhssub U_RANGE urange.example. A 127.0.0.10-127.0.0.20
body U_RANGE eval:check_uridnsbl('U_RANGE')
urirhssub U_BITS ubits.example. A 127.0.1.0/255.255.255.0
body U_BITS eval:check_uridnsbl('U_BITS')
urirhssub U_HEX uhex.example. A 0x10
body U_HEX eval:check_uridnsbl('U_HEX')
urirhssub U_NOTRIM unotrim.example. A 127.0.0.2
body U_NOTRIM eval:check_uridnsbl('U_NOTRIM')
urirhsbl U_IPS uips.example. A
body U_IPS eval:check_uridnsbl('U_IPS')
urirhsbl U_DOMS udoms.example. A
body U_DOMS eval:check_uridnsbl('U_DOMS')
urirhsbl U_TXT utxt.example. TXT
body U_TXT eval:check_uridnsbl('U_TXT')
urinsrhsbl U_NSRHS nsrhs.example. A
body U_NSRHS eval:check_uridnsbl('U_NSRHS')
urinsrhssub U_NSRHS_SUB nsrhssub.example. A 127.0.0.8
body U_NSRHS_SUB eval:check_uridnsbl('U_NSRHS_SUB')
urifullnsrhsbl U_FULL full.example. A
body U_FULL eval:check_uridnsbl('U_FULL')
urifullnsrhssub U_FULL_SUB fullsub.example. A 127.0.0.9
body U_FULL_SUB eval:check_uridnsbl('U_FULL_SUB')
uridnssub U_BOTH both.example. A 127.0.0.4
body U_BOTH eval:check_uridnsbl('U_BOTH')
uridnsbl U_A aonly.example. A
body U_A eval:check_uridnsbl('U_A')
uridnsbl U_NS nsonly.example. A
body U_NS eval:check_uridnsbl('U_NS')

askdns Q_AUTHOR _AUTHORDOMAIN_.qauthor.example A 127.0.0.5
askdns Q_SENDER _SENDERDOMAIN_.qsender.example A
askdns Q_TXT _AUTHORDOMAIN_.qtxt.example TXT /^listed/
askdns Q_STRING _AUTHORDOMAIN_.qtxt.example TXT "listed since Monday"
askdns Q_NX _AUTHORDOMAIN_.qnx.example A [NXDOMAIN]
askdns Q_HDR _HEADER(From:addr:domain)_.qhdr.example A
askdns Q_IP _LASTEXTERNALREVIP_.qip.example A
askdns Q_HELO _LASTEXTERNALHELO_.qhelo.example A
askdns Q_RDNS _LASTEXTERNALRDNS_.qrdns.example A
askdns Q_URIS _URIDOMAINS_.quris.example A
askdns Q_HOSTS _URIHOSTS_.qhosts.example A
header __CAPTURE X-Id =~ /^id-(?<XID>\d+)$/
askdns Q_CAPTURED _XID_.qcap.example A
header __CAPTURE2 X-Id =~ /^(?<MY_ID_2>id)-/
askdns Q_UNDERSCORE _MY_ID_2_.qunder.example A
askdns Q_ADJACENT _XID__MY_ID_2_.qadj.example A
askdns Q_TWO _XID_._AUTHORDOMAIN_.qtwo.example A

hashbl_ignore ignored@author.org fe/ignored.pdf text/x-ignored
hashbl_acl_free freemail.org !notme.org
hashbl_acl_free notme.org
hashbl_email_domain_alias canonical.org alias.org alias2.org
header H_DEFAULT eval:check_hashbl_emails('hdefault.example')
header H_MANY eval:check_hashbl_emails('hmany.example', 'sha1/notag/noquote/max=200')
header H_FEW eval:check_hashbl_emails('hfew.example', 'sha1/notag/noquote/max=3/shuffle')
header H_MD5 eval:check_hashbl_emails('hmd5.example/A', 'md5', 'ALLFROM/Reply-To')
header H_SHA256 eval:check_hashbl_emails('hsha256.example', 'sha256', 'From')
header H_RAW eval:check_hashbl_emails('hraw.example', 'raw', 'Reply-To')
header H_CASE eval:check_hashbl_emails('hcase.example', 'sha1/case', 'From/X-Mixed')
header H_NODOT eval:check_hashbl_emails('hnodot.example', 'sha1/nodot', 'X-Mixed')
header H_NOTAG eval:check_hashbl_emails('hnotag.example', 'sha1/notag', 'X-Mixed')
header H_USER eval:check_hashbl_emails('huser.example', 'sha1/user', 'X-Mixed')
header H_HOST eval:check_hashbl_emails('hhost.example', 'sha1/host', 'X-Mixed')
header H_DOMAIN eval:check_hashbl_emails('hdomain.example', 'raw/domain', 'X-Mixed')
header H_ALL eval:check_hashbl_emails('hall.example', 'sha1/max=200', 'ALL')
header H_ACL eval:check_hashbl_emails('hacl.example', 'sha1', 'From/X-Mixed', '^127\.', 'free')
header H_ACLALL eval:check_hashbl_emails('haclall.example', 'sha1', 'From/X-Mixed', '^127\.', 'all')
header H_SUBTEST eval:check_hashbl_emails('hsubtest.example', 'sha1', 'From', '^127\.0\.0\.7$')
header H_BODY eval:check_hashbl_emails('hbody.example', 'sha1/noquote/max=200', 'body')
header H_URI eval:check_hashbl_uris('huri.example')
header H_URI_CASE eval:check_hashbl_uris('huricase.example', 'sha1/case/max=200')
body H_RE eval:check_hashbl_bodyre('hre.example', 'sha1/max=10/shuffle', '\b([13][a-km-zA-HJ-NP-Z1-9]{25,34})\b')
body H_RE_CASE eval:check_hashbl_bodyre('hrecase.example', 'md5/case', '\b([13][a-km-zA-HJ-NP-Z1-9]{25,34})\b')
body H_RE_NUM eval:check_hashbl_bodyre('hrenum.example', 'raw/num', 'call (\S+)')
rawbody H_RE_RAW eval:check_hashbl_bodyre('hreraw.example', 'raw', 'secret-(\d+)-word')
header H_TAG eval:check_hashbl_tag('htag.example', 'raw', 'XID')
header H_TAG_IP eval:check_hashbl_tag('htagip.example', 'raw/ip/revip', '_LASTEXTERNALIP_')
header H_TAG_IP6 eval:check_hashbl_tag('htagip6.example', 'raw/ipv6', 'LASTEXTERNALIP')
header H_TAG_TRIM eval:check_hashbl_tag('htagtrim.example', 'sha1/trim', 'URIHOSTS')
body H_ATT eval:check_hashbl_attachments('hatt.example', 'sha256')
body H_ATT_MIN eval:check_hashbl_attachments('hattmin.example', 'md5/minsize=100')
"""
FLAGS = {"L_NICE": "nice", "L_HDR_IPS": "ips_only", "L_HDR_DOMS": "domains_only", "U_NOTRIM": "notrim", "U_IPS": "ips_only",
         "U_DOMS": "domains_only", "U_BOTH": "a ns", "U_A": "a"}
# There the addresses of a header are cached whatever the options, so that the
# first rule decides for the others: these options have a run of their own
BODY = """
util_rb_tld org net com uk de
header H_NOURI eval:check_hashbl_emails('hbody.example', 'sha1/nouri/max=200', 'body')
"""
# SpamAssassin 4.0.1 looks up the addresses of name servers for rules with
# `tflags a` alone: the one list too many, the other not at all
DIFFERENT = {"U_A", "U_NS"}
UNLIKE = {"aonly.example", "nsonly.example",
          "hfew.example"}  # lots are drawn

ZONE = """\
spam.org NS ns1.host.net
spam.org NS ns2.host.co.uk
other.org NS ns1.host.net
ns1.host.net A 198.51.100.7
ns2.host.co.uk A 198.51.100.8
www.spam.org A 198.51.100.9
www.spam.org A 198.51.100.10
deep.www.other.org A 198.51.100.11
9.100.51.198.both.example A 127.0.0.4
8.100.51.198.nsonly.example A 127.0.0.2
11.100.51.198.aonly.example A 127.0.0.2
host.net.nsrhs.example A 127.0.0.2
host.co.uk.nsrhssub.example A 127.0.0.8
ns1.host.net.full.example A 127.0.0.2
ns1.host.net.fullsub.example A 127.0.0.8
200.100.51.198.all.example A 127.0.0.6
201.100.51.198.last.example A 127.0.0.2
200.100.51.198.last.example A 127.0.0.2
50.113.0.203.all.example A 127.0.0.2
200.100.51.198.sub.example A 127.0.0.3
200.100.51.198.txt.example TXT "a Dialup address"
201.100.51.198.txt.example TXT "something else"
author.org.fromdom.example A 127.0.0.2
mail.author.org.fromhost.example A 127.0.0.2
a--goodlist.bounce.spam.org.env.example A 127.0.0.2
200.100.51.198.acc.example A 127.0.0.2
200.100.51.198.acc2.example A 127.0.0.2
conf.org.hdr.example A 127.0.0.2
88.113.0.203.hdr2.example A 127.0.0.2
88.113.0.203.hdr3.example A 127.0.0.2
host.author.org.hdr4.example A 127.0.0.2
mx.spam.org.rcvd.example A 127.0.0.2
spam.org.uany.example A 127.0.0.2
spam.org.umask.example A 127.0.0.8
other.org.umask.example A 127.0.0.12
spam.org.urange.example A 127.0.0.15
other.org.urange.example A 127.0.0.21
spam.org.ubits.example A 127.0.1.77
spam.org.uhex.example A 127.0.0.16
www.spam.org.unotrim.example A 127.0.0.2
5.113.0.203.uips.example A 127.0.0.2
5.113.0.203.uany.example A 127.0.0.2
spam.org.udoms.example A 127.0.0.2
spam.org.utxt.example TXT "listed"
mail.author.org.qauthor.example A 127.0.0.5
a--goodlist.bounce.spam.org.qsender.example A 127.0.0.1
mail.author.org.qtxt.example TXT "listed since Monday"
author.org.qhdr.example A 127.0.0.2
200.100.51.198.qip.example A 127.0.0.2
mx.spam.org.qrdns.example A 127.0.0.2
spam.org.quris.example A 127.0.0.2
4711.qcap.example A 127.0.0.2
4711.htag.example A 127.0.0.2
id.qunder.example A 127.0.0.2
4711id.qadj.example A 127.0.0.2
200.100.51.198.trusted.example A 127.0.0.2
200.100.51.198.nice.example A 127.0.0.2
201.100.51.198.notfirst.example A 127.0.0.2
201.100.51.198.untrusted.example A 127.0.0.2
mx.spam.org.qhelo.example A 127.0.0.2
pics.spam.org.qhosts.example A 127.0.0.2
4711.mail.author.org.qtwo.example A 127.0.0.2
200.100.51.198.htagip.example A 127.0.0.2
mixed.case.co.uk.hhost.example A 127.0.0.2
case.co.uk.hdomain.example A 127.0.0.2
15550100.hrenum.example A 127.0.0.2
123.hreraw.example A 127.0.0.2
"""


def hashed(algorithm, text, zone, answer="127.0.0.2"):
    digest = hashlib.new(algorithm, text.encode())
    name = base64.b32encode(digest.digest()).decode().lower().rstrip("=") if algorithm == "sha256" else digest.hexdigest()
    return f"{name}.{zone}.example A {answer}\n"


ZONE += hashed("md5", "r.r@reply.org", "hmd5") + hashed("sha256", "john.doe+tag@mail.author.org", "hsha256")
ZONE += hashed("sha1", "John.Doe+tag@mail.Author.org", "hcase") + hashed("sha1", "ab+c@mixed.case.co.uk", "hnodot")
ZONE += hashed("sha1", "a.b@mixed.case.co.uk", "hnotag") + hashed("sha1", "a.b+c", "huser")
ZONE += hashed("sha1", "mixed.case.co.uk", "hhost") + hashed("sha1", "subject@insubject.org", "hall")
ZONE += hashed("sha1", "e@freemail.org", "hacl") + hashed("sha1", "x@skip.org", "haclall")
ZONE += hashed("sha1", "spammer@freemail.org", "hsubtest", "127.0.0.7")
ZONE += hashed("sha1", "john.doe+tag@mail.author.org", "hsubtest") + hashed("sha1", "linked@mailto.org", "hbody")
ZONE += hashed("sha1", "http://www.spam.org/path?q=1", "huri") + hashed("sha1", "http://www.spam.org/Path?Q=1", "huricase")
ZONE += hashed("sha1", "1boatslrhtknngkdxeeobr76b53lettpyt", "hre") + hashed("md5", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "hrecase")
ZONE += hashed("sha1", "spam.org", "htagtrim") + hashed("sha256", "kept", "hatt") + hashed("md5", "0123456789" * 20, "hattmin")
ZONE += hashed("sha1", "subject@insubject.org", "hmany") + hashed("sha1", "you@other.net", "hdefault")

RECEIVED = """\
Received: from mx.spam.org (mx.spam.org [198.51.100.200]) by h.example.net with ESMTP id 1; Mon, 1 Jan 2024 00:00:00 +0000
Received: from inner.spam.org (inner.spam.org [198.51.100.201]) by mx.spam.org with ESMTP id 2; Mon, 1 Jan 2024 00:00:00 +0000
Received: from pc (unknown [203.0.113.50]) by inner.spam.org with ESMTP id 3; Mon, 1 Jan 2024 00:00:00 +0000
"""
MESSAGES = {
    "links": "Return-Path: <x@a--goodlist.bounce.spam.org>\n" + RECEIVED + """\
From: Some One <John.Doe+tag@mail.Author.org>
Reply-To: r.r@reply.org, ignored@author.org
To: us@example.net
Accreditor: InHeader, x=y
X-Id: id-4711
X-Host: host.author.org
X-Ip: 203.0.113.88
X-Configured: conf.org
X-Mixed: A.b+c@Mixed.Case.co.uk and d@alias.org, e@freemail.org; f@notme.org x@skip.org, abuse@spam.org
X-Originating-IP: [203.0.113.77]
Subject: a subject to subject@insubject.org
Content-Type: text/html

<a href="http://www.spam.org/Path?Q=1">click</a> <a href="http://deep.www.other.org/"></a>
<img src="http://pics.spam.org/x.gif"> http://skip.org/ http://sub.partly.org/ http://www.partly.org/ http://203.0.113.5/
http://10.1.2.3/ <a href="mailto:linked@mailto.org?subject=x">mail</a>
<p>write to body.one@body.org or &lt;quoted@body.org&gt; or late@body.org wrote: or tel@body.org tel: 1
at http://x.org/?u=inuri@body.org or not@valid.tldx.</p>
<p>Pay 1BoatSLRHtKNngkdXEeobR76b53LETtpyT or call +1-(555)-0100</p> secret-123-word
""",
    "plain": RECEIVED.split("\n", 1)[0] + """
From: spammer@freemail.org
Delivered-To: us@example.net
Subject: x
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

us@example.net wrote to you@other.net and Mixed.Up@Other.NET; see other.org/page
--b
Content-Type: application/pdf; name="ignored.pdf"
Content-Transfer-Encoding: base64

aWdub3JlZA==
--b
Content-Type: application/octet-stream; name="kept.bin"
Content-Transfer-Encoding: base64

a2VwdA==
--b
Content-Type: application/octet-stream; name="big.bin"

""" + "0123456789" * 20 + "\n--b--\n",
    "bare": "From: <x@[203.0.113.9]>\nReply-To: undisclosed-recipients:;\nSubject: nothing\n\nnothing here\n",
    "null": "Return-Path: <>\n" + RECEIVED + "From: a..b@dots..author.org\nResent-From: re@sent.org\nSubject: x\n\nhttp://www.spam.org/\n",
}

tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
os.mkdir("site")
for pre in glob.glob("/etc/spamassassin/*.pre"):
    shutil.copy(pre, "site")
for name, text in MESSAGES.items():
    with open(name, "w") as f:
        f.write(text)


class Server:
    """The test DNS server; below `zone` it keeps a list of what was asked."""

    def __init__(self, log):
        with open(log + ".zone", "w") as f:
            f.write(f"! log {os.path.abspath(log)}\n" + ZONE)
        self.log = log
        self.process = subprocess.Popen([DNS_SERVER, log + ".zone"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = self.process.stdout.readline().strip()

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        return {tuple(line.lower().split()) for line in open(self.log) if line.lower().split()[0].endswith(".example")}


def alike(questions):
    return {q for q in questions if ".".join(q[0].split(".")[-2:]) not in UNLIKE}


def theirs(rules):
    """Hits by message, and questions."""
    with open("theirs.cf", "w") as f:
        f.write(rules + "trusted_networks 192.0.2.0/24\n")
    server = Server("theirs")
    result = subprocess.run(["perl", os.path.join(HERE, "theirs_net.pl"), "site", "theirs.cf", server.port] + list(MESSAGES),
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=100)
    ok(result.returncode == 0, "SpamAssassin ran")
    note(result.stderr)
    lines = [line.split("\t") for line in result.stdout.splitlines() if "\t" in line]
    return {name: set(hits.split()) for name, hits in lines}, server.stop()


def ours(rules):
    """The same, and what is unknown."""
    server = Server("ours")
    with open("r.cf", "w") as f:
        f.write(rules)
    with open("ours.conf", "w") as f:
        f.write(f"resolver 127.0.0.1@{server.port}\ntrusted_networks 192.0.2.0/24\nmax_dns_queries 2000\n")
    hits, unknown = {}, []
    for name in MESSAGES:
        o = explained(name, "--config", "ours.conf", "--now", "1704067200")
        hits[name] = {h["rule"] for h in o["hits"]}
        unknown += [(name, n["test"], n["why"]) for n in o["not_run"] if n["unknown"]]
    probes = ("2.0.0.127.", "1.0.0.127.", "test.", "invalid.")
    return hits, {q for q in server.stop() if not any(q[0].startswith(p) and q[0].count(".") - p.count(".") == 1
                                                      for p in probes)}, unknown


def compare(rules):
    names, rules = rule_names(rules), net_rules(rules, FLAGS)
    their_hits, their_questions = theirs(rules)
    our_hits, our_questions, unknown = ours(rules)
    for name in MESSAGES:
        a, b = their_hits.get(name, set()) & set(names), our_hits.get(name, set()) & set(names)
        same(sorted(b - DIFFERENT), sorted(a - DIFFERENT), f"hits on \"{name}\"")
    same(unknown, [], "nothing is unknown")
    same(sorted(alike(our_questions) - their_questions), [], "questions that SpamAssassin does not ask")
    same(sorted(alike(their_questions) - our_questions), [], "questions that only SpamAssassin asks")
    hit = set().union(*our_hits.values())
    note("rules that hit nowhere: " + " ".join(sorted(set(names) - hit)))
    return hit, our_questions


hit, questions = compare(RULES)
same(DIFFERENT - hit, set(), "addresses of hosts and of name servers, each for its tflags")
drawn = {q[0].split(".")[0] for q in questions if q[0].endswith(".hfew.example")}
many = {q[0].split(".")[0] for q in questions if q[0].endswith(".hmany.example")}
ok(3 <= len(drawn) <= 3 * len(MESSAGES) and drawn < many, "of more than three addresses three are asked about")
compare(BODY)
done()
