#!/usr/bin/python3
"""No mail is lost: 2,000 messages while the daemon is killed (SIGKILL) and
started again ten times. What SMTP accepted is what was delivered or held,
exactly once, whatever milter_default_action is. Argument: that action."""
import os
import re
import signal
import smtplib
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import both as b  # noqa: E402

MESSAGES, KILLS, CLIENTS = 2000, 10, 8
# A client that is turned away does not hurry: else all go by while the daemon
# starts, on a slow machine
PAUSE = 0.02
tap = b.Tap()
TOKEN = re.compile(rb"^X-Token: (\d+)\n", re.M)


class Sender:
    """CLIENTS threads share the numbers 0..MESSAGES-1, each sent once."""

    def __init__(self, mx):
        self.mx = mx
        self.lock = threading.Lock()
        self.next = 0
        self.codes = {}  # number: reply code, or what happened instead
        self.progress = threading.Condition(self.lock)

    def take(self):
        with self.lock:
            n = self.next
            self.next += 1
            return n if n < MESSAGES else None

    def note(self, n, code):
        with self.progress:
            self.codes[n] = code
            self.progress.notify_all()

    def wait(self, count):
        with self.progress:
            while len(self.codes) < count:
                if not self.progress.wait(60):
                    raise TimeoutError("sending stands still\n" + self.mx.log_tail())

    def run(self):
        n = self.take()
        while n is not None:
            try:
                n = self.send_some(n)
            except smtplib.SMTPConnectError as e:
                # with "reject" Postfix turns away the connection itself
                self.note(n, e.smtp_code)
                time.sleep(PAUSE)
                n = self.take()

    def send_some(self, n):
        """A few messages over one connection; returns the next number."""
        with self.mx.smtp(xclient={"ADDR": "203.0.113.9"}) as c:
            for _ in range(5):
                if n is None:
                    break
                raw = (b"From: a@example.net\r\nTo: user@here.example\r\nSubject: hello\r\n"
                       b"X-Token: %d\r\nX-Spam-Flag: NO\r\n\r\n" % n + b"some text\r\n" * 50)
                try:
                    code = self.mx.send(c, raw)[0]
                    self.note(n, code)
                    if code != 250:
                        time.sleep(PAUSE)
                except (smtplib.SMTPServerDisconnected, OSError) as e:
                    self.note(n, repr(e))
                    return self.take()
                n = self.take()
        return n


def main():
    action = sys.argv[1]
    b.begin()
    with b.both(default_action=action, settings={"milter_connect_timeout": "3s"}) as (d, mx):
        sender = Sender(mx)
        threads = [threading.Thread(target=sender.run) for _ in range(CLIENTS)]
        for t in threads:
            t.start()
        for kill in range(KILLS):
            sender.wait((kill + 1) * MESSAGES // (KILLS + 2))
            d.signal(signal.SIGKILL)
            d.process.wait()
            d.reader.join(10)
            since = len(sender.codes)
            sender.wait(min(since + 15, MESSAGES))  # some go by without a filter
            d.log.clear()
            d.start()
        for t in threads:
            t.join()
        mx.wait_idle()

        codes = sender.codes
        accepted = sorted(n for n, code in codes.items() if code == 250)
        delivered = [TOKEN.search(m) for m in mx.delivered()]
        held = [TOKEN.search(m) for m in mx.held()]
        tap.eq(len(codes), MESSAGES, "every message had its answer")
        other = sorted({c for c in codes.values() if c != 250}, key=str)
        want = {"accept": [], "quarantine": [], "tempfail": [451], "reject": [550, 554]}[action]
        tap.ok(set(other) <= set(want + [421, 451]), f"replies other than 250: {other}")
        tap.ok(all(isinstance(c, int) for c in codes.values()),
               "no connection was lost without a reply", other)
        tap.ok(None not in delivered and None not in held, "each message is whole")
        got = sorted(int(m.group(1)) for m in delivered + held if m)
        tap.eq(got == accepted, True,
               "what SMTP accepted is exactly what was delivered or held")
        if got != accepted:
            print(f"# lost: {sorted(set(accepted) - set(got))[:20]}, "
                  f"more than once or not accepted: "
                  f"{sorted(set(n for n in got if got.count(n) > 1) | (set(got) - set(accepted)))[:20]}")
        scored = sum(b"\nX-Spam-Status: No" in m for m in mx.delivered())
        tap.ok(scored > MESSAGES // 4, f"{scored} were scored", mx.log_tail(5))
        unscored = MESSAGES - scored
        tap.ok(unscored > 0, f"{unscored} met no filter: the kills were felt")
        tap.eq(len(held) > 0, action == "quarantine", "messages are held with quarantine only")
        tap.eq(mx.queue_files("deferred", "corrupt"), [], "nothing is stuck in the queue")
        print(f"# {action}: accepted {len(accepted)}, delivered {len(delivered)}, held {len(held)}")
    return tap.done()


sys.exit(main())
