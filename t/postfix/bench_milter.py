#!/usr/bin/python3
"""Speed of the milter path: spamscored with the shipped rules, every message
judged, against a do-nothing libmilter program, both behind one Postfix.
smtp-source with 20 sessions and 4 kB messages; median of five interleaved
pairs. Needs root. Argument: path of the null milter."""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import both as b  # noqa: E402

MESSAGES, PAIRS, BAR = int(os.environ.get("BENCH_MESSAGES", "3000")), 5, 0.85
NULL_PORT = 2526
tap = b.Tap()


def rate(mx, port):
    start = time.monotonic()
    subprocess.run(["smtp-source", "-s", "20", "-l", "4096", "-m", str(MESSAGES),
                    "-f", "sender@example.net", "-t", b.RCPT,
                    f"127.0.0.1:{port}"], check=True)
    took = time.monotonic() - start
    mx.wait_idle(120)
    return MESSAGES / took


def cpu_ms(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 1000 * seconds / (MESSAGES * (PAIRS + 1))


def main():
    b.begin()
    source = os.environ["SPAMSCORE_SOURCE"]
    rules = os.path.join(source, "rules.d")
    config = ""
    # as on a host: body rules compiled once, beforehand
    compiled = tempfile.mkdtemp(prefix="spamscore-bench-")
    os.chmod(compiled, 0o755)
    p = subprocess.run([os.path.join(os.environ["SPAMSCORE_BUILD"], "cli", "spamscore"), "compile",
                        "--dir", compiled, "--rules", rules], stdout=subprocess.DEVNULL, check=False)
    if p.returncode == 0:
        config = f"compiled_dir {compiled}\n"
    print(f"# rules {'compiled' if config else 'not compiled: built without libhs'}")
    # the null milter's socket stands beside ours, in Postfix's chroot
    second = f"{NULL_PORT} inet n - y - - smtpd\n  -o smtpd_milters=unix:spamscore/null.sock\n"
    with b.both(config, log_file=True, settings={"virtual_transport": "discard:"},
                rules_path=rules,
                master=second) as (d, mx):
        null = subprocess.Popen([sys.argv[1], f"unix:{mx.queue}/spamscore/null.sock"])
        try:
            for port in (25, NULL_PORT):
                rate(mx, port)  # warm
            pairs = []
            for i in range(PAIRS):
                order = (25, NULL_PORT) if i % 2 else (NULL_PORT, 25)
                r = {port: rate(mx, port) for port in order}
                pairs.append((r[25], r[NULL_PORT], r[25] / r[NULL_PORT]))
                print("# spamscored %.0f/s, null %.0f/s, ratio %.3f" % pairs[-1], flush=True)
            median = statistics.median(p[2] for p in pairs)
            print("# processor time a message: spamscored %.3f ms, null %.3f ms"
                  % (cpu_ms(d.process.pid), cpu_ms(null.pid)))
            with open(f"/proc/{d.process.pid}/status", encoding="ascii") as f:
                print("# " + " ".join(" ".join(line.split()) for line in f
                                      if line.startswith(("RssAnon", "Threads"))))
            tap.ok(median >= BAR, f"median ratio {median:.3f} of a do-nothing milter, at least {BAR}")
        finally:
            null.kill()
            null.wait()
            shutil.rmtree(compiled, ignore_errors=True)
    return tap.done()


sys.exit(main())
