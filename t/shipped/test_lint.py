#!/usr/bin/python3
"""rules.d loads in SpamAssassin too, whole and with our words left out, and
without a warning: a file can be shared between both."""
import os
import shutil
import subprocess
import tempfile

from shipped import RULES
import tap

TLDS = "/usr/share/spamassassin/20_aux_tlds.cf"
PLUGINS = ("Check", "HeaderEval", "BodyEval", "HTMLEval", "MIMEEval", "DNSEval",
           "RelayEval", "MIMEHeader", "URIDetail")

if shutil.which("spamassassin") is None or not os.path.exists(TLDS):
    tap.skip_all("spamassassin is not installed")
with tempfile.TemporaryDirectory() as top:
    rules, site = (os.path.join(top, d) for d in ("rules", "site"))
    os.mkdir(rules)
    os.mkdir(site)
    for name in os.listdir(RULES):
        if name.endswith(".cf"):
            shutil.copy(os.path.join(RULES, name), rules)
    # what the stock set brings: the top levels that exist
    shutil.copy(TLDS, rules)
    with open(os.path.join(rules, "plugins.pre"), "w", encoding="ascii") as f:
        f.writelines(f"loadplugin Mail::SpamAssassin::Plugin::{p}\n" for p in PLUGINS)
    run = subprocess.run(
        ["spamassassin", "--lint", "-L", "-C", rules, "--siteconfigpath", site,
         "-p", "/dev/null"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={**os.environ, "HOME": top, "PATH": "/usr/bin:/bin"})
    if not tap.ok(run.returncode == 0 and run.stdout == "", "spamassassin --lint is silent"):
        tap.note(run.stdout)
    # and that this test can fail
    with open(os.path.join(rules, "99_broken.cf"), "w", encoding="ascii") as f:
        f.write("header BROKEN Subject =~ /(/\n")
    run = subprocess.run(
        ["spamassassin", "--lint", "-L", "-C", rules, "--siteconfigpath", site,
         "-p", "/dev/null"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={**os.environ, "HOME": top, "PATH": "/usr/bin:/bin"})
    tap.ok(run.returncode != 0, "a broken rule is noticed")
tap.done()
