"""Every word and every eval that the installed SpamAssassin registers is known."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from tap import SPAMSCORE, done, ok, run, same, skip_all  # noqa: E402

here = os.path.dirname(os.path.abspath(__file__))
if subprocess.run(["perl", "-MMail::SpamAssassin", "-e1"], stderr=subprocess.DEVNULL).returncode != 0:
    skip_all("Mail::SpamAssassin is not installed")
listed = subprocess.run(["perl", os.path.join(here, "registered.pl")], stdout=subprocess.PIPE, text=True)
if listed.returncode != 0 or listed.stdout.count("eval ") < 100:
    skip_all("this SpamAssassin does not tell what it registers")
tmp = tempfile.TemporaryDirectory()
os.chdir(tmp.name)
values = {"bool": "1", "numeric": "1", "addrlist": "a@b.example", "noargs": "", "ipaddrlist": "192.0.2.1",
          "duration": "1h", "hash_key_value": "NAME 1", "template": "text", "stringlist": "x"}
# where a value of the type alone is not enough
special = {
    "body": "R1 /x/", "rawbody": "R2 /x/", "full": "R3 /x/", "uri": "R4 /x/", "header": "R5 Subject =~ /x/",
    "meta": "R6 R1 && R2", "mimeheader": "R7 Content-Type =~ /x/", "uri_detail": "R8 raw =~ /x/",
    "askdns": "R9 _AUTHORDOMAIN_.x.example A 127.0.0.2", "describe": "R1 text", "score": "R1 1", "tflags": "R1 nice",
    "priority": "R1 1", "test": "R1 ok x", "reuse": "R1 R2", "lang": "en describe R1 text", "require_version": "4.000001",
    "redirector_pattern": "/^http:..r.example.(.*)/", "dns_query_restriction": "allow x.example",
    "def_welcomelist_from_rcvd": "a@b.example b.example", "def_whitelist_from_rcvd": "a@b.example b.example",
    "welcomelist_from_rcvd": "a@b.example b.example", "whitelist_from_rcvd": "a@b.example b.example",
    "enlist_addrlist": "(X) a@b.example", "enlist_uri_host": "(X) b.example", "delist_uri_host": "(X) b.example",
    "fns_add_addrlist": "(X) a@b.example", "fns_remove_addrlist": "(X) a@b.example", "include": "other.cf",
    "uridnsbl": "R1 x.example TXT", "uridnssub": "R1 x.example A 127.0.0.2", "replace_rules": "R1",
    "replace_tag": "T x", "replace_pre": "T x", "replace_post": "T x", "replace_inter": "T x",
    "urirhsbl": "R1 x.example A", "urirhssub": "R1 x.example A 127.0.0.2",
    "urinsrhsbl": "R1 x.example A", "urinsrhssub": "R1 x.example A 127.0.0.2",
    "urifullnsrhsbl": "R1 x.example A", "urifullnsrhssub": "R1 x.example A 127.0.0.2",
}
rows = [line.split() for line in listed.stdout.splitlines()]
words = sorted({r[1]: r[2] for r in rows if r[0] == "word"}.items())
open("other.cf", "w").close()


def lint(lines):
    with open("r.cf", "w") as f:
        f.write("".join(line + "\n" for line in lines))
    code, out, err = run(SPAMSCORE, "lint", "--rules", "r.cf")
    return [(lines[int(text.split(":")[1]) - 1], text.split(": ", 1)[1]) for text in (out + err).decode().splitlines()
            if text.startswith("r.cf:")]


ok(len(words) > 350, f"{len(words)} words are registered")
same(lint([f"{word} {special.get(word, values.get(kind, 'x'))}" for word, kind in words]), [], "lint accepts each")
same(lint(["bayes_stopword_de x", "freemail_domains x.example", "hashbl_acl_x y.example", "ifplugin X", "else", "endif",
           "if (version >= 4)", "endif"]), [], "and those that plugins and the parser take themselves")
same([text for _, text in lint(["no_such_word 1", "txrep_facto 1"])],
     ['unknown word "no_such_word"', 'unknown word "txrep_facto"'], "another one is an error")

types = {"header": "header R{n} eval:{name}(", "body": "body R{n} eval:{name}(", "full": "full R{n} eval:{name}(",
         "rawbody": "rawbody R{n} eval:{name}(", "any": "header R{n} eval:{name}("}
# check_uri_detail is called by uri_detail lines only
evals = [r for r in rows if r[0] == "eval" and r[1] != "check_uri_detail"]
calls = [(types[r[2]].format(n=n, name=r[1]), r[1]) for n, r in enumerate(evals)]
left = {call: name for call, name in calls}
# how many arguments each takes, ours says; one of these must fit
some = {"check_from_in_list": "'X'", "check_to_in_list": "'X'", "check_replyto_in_list": "'X'",
        "check_hashbl_bodyre": "'x.example','raw','/x/'", "check_hashbl_tag": "'x.example','raw','HEADER(X-Y)'",
        "check_uridnsbl": "'U'", "check_rbl_accreditor": "'x','y.example.','127.0.0.2','a'", "html_eval": "'length','< 5'", "html_tag_balance": "'b','!= 0'"}
for arguments in ("", "'1'", "'1','2'", "'Subject','1'", "'/x/'", "'x-y','z.example.'", "'Subject','1','2'",
                  "'gif','1','2','3','4'", "'x','y.example.','z'"):
    lines = [call + arguments + ")" for call in left]
    wrong = {line.split("(")[0] + "(" for line, _ in lint(lines)}
    left = {call: name for call, name in left.items() if call in wrong}
lines = [call + some.get(name, "") + ")" for call, name in left.items()]
more = ["enlist_addrlist (X) a@b.example", "urirhssub U x.example. A 127.0.0.2", "body U eval:check_uridnsbl('U')"]
ok(len(evals) > 150, f"{len(evals)} evals are registered")
same(lint(more + lines), [], "each can be called")
done()
