#!/usr/bin/python3
"""Every message of the nasty corpus through the milter, as Postfix would hand
it over: each gets an answer, the daemon lives, its memory stays bounded."""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, ".."))
from milter_peer import Daemon, Tap, as_postfix  # noqa: E402
from tap import corpus, skip_all  # noqa: E402

tap = Tap()


def main():
    where = corpus("nasty")
    if where is None:
        skip_all("corpora/nasty.tar.xz is not in SPAMSCORE_SHARED")
    paths = sorted(os.path.join(top, name) for top, _, names in os.walk(where) for name in names)
    rules = os.path.join(os.environ["SPAMSCORE_SOURCE"], "rules.d")
    d = Daemon("log_repeat 0\nban_strikes 0\n", "")
    d.rules_path = rules
    replies, lost = {}, []
    with d:
        p = d.connect()
        for path in paths:
            with open(path, "rb") as f:
                fields, body = as_postfix(f.read())
            try:
                reply = p.message(headers=fields, body=body).reply[:3]
            except Exception as e:  # pylint: disable=broad-except
                lost.append(f"{path}: {e!r}")
                if not d.alive():
                    break
                p = d.connect()
                continue
            replies[reply] = replies.get(reply, 0) + 1
        p.quit()
        failed = [line for line in d.log if " failure=" in line]
        bad = [line for line in d.log if re.search("Sanitizer|runtime error", line)]
        with open(f"/proc/{d.process.pid}/status", encoding="ascii") as f:
            peak = int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1))
        tap.eq(lost, [], f"{len(paths)} messages, each with an answer: {replies}")
        tap.eq(failed, [], "each was scored")
        tap.eq(bad, [], "no sanitizer report")
        tap.ok(d.alive(), "the daemon lives")
        if b"libasan" in open(f"/proc/{d.process.pid}/maps", "rb").read():
            tap.skip("memory", "built with a sanitizer")
        else:
            tap.ok(peak < 200 * 1024, f"memory at most {peak} kB")
        tap.eq(d.stop(), 0, "and ends well")
    return tap.done()


sys.exit(main())
