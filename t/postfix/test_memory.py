#!/usr/bin/python3
"""Memory with 200 open connections, each with a message behind it."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import both as b  # noqa: E402

CONNECTIONS, BAR_KB = 200, 64 * 1024
tap = b.Tap()


def anonymous_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"RssAnon:\s+(\d+) kB", f.read()).group(1))


def main():
    d = b.Daemon("", "", ["--offline"])
    d.rules_path = os.path.join(os.environ["SPAMSCORE_SOURCE"], "rules.d")
    with d:
        start = anonymous_kb(d.process.pid)
        peers = [d.connect(ip=f"192.0.2.{i}") for i in range(CONNECTIONS)]
        body = b"".join(b"some text of a message, line %d\r\n" % i for i in range(120))
        for p in peers:
            p.message(body=body)
        idle = anonymous_kb(d.process.pid)
        # all in the middle of a message at once
        for p in peers:
            p.begin()
            for name, value in p.DEFAULT_HEADERS:
                p.header(name, value)
            p.eoh()
            p.body(body)
        for p in peers[:50]:
            p.packet("E")
        for p in peers[:50]:
            p.result()
        busy = anonymous_kb(d.process.pid)
        print(f"# anonymous memory: {start} kB at start, {idle} kB with {CONNECTIONS} idle "
              f"connections, {busy} kB with their messages under way")
        # a sanitizer's shadow and quarantine are no memory of ours
        if b"libasan" in open(f"/proc/{d.process.pid}/maps", "rb").read():
            tap.skip("memory with 200 open connections", "built with a sanitizer")
        else:
            tap.ok(idle < BAR_KB, f"{CONNECTIONS} open connections: {idle} kB, under {BAR_KB}")
            tap.ok(busy < BAR_KB, f"in the middle of messages: {busy} kB, under {BAR_KB}")
        for p in peers:
            p.quit()
    return tap.done()


sys.exit(main())
