#!/usr/bin/env python3
# SIGKILL at any moment, under load, again and again: afterwards kernel and
# journal agree, and nothing that was acknowledged is lost.
import os, random, sys, threading
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from banlib import *

need_root('ipset')
KILLS = int(sys.argv[1]) if len(sys.argv) > 1 else 200
random.seed(1)
helper = Helper('ban_source admin scopes=mail,host rights=all per_minute=100000000\n'
    'ban_counter_interval 100ms').start()
want = set()      # acknowledged and not taken back
unsure = set()    # asked, no answer before the end
number = 0

def load(stop):
    """Bans and unbans, 32 in flight, until the helper is gone."""
    global number
    try:
        c = helper.client()
        flight = []
        while not stop.is_set():
            while len(flight) < 32:
                if want and random.random() < 0.3:
                    net = random.choice(tuple(want)) if len(want) < 50 else \
                        next(iter(want))
                    op, packet = DEL, request(DEL, net, MAIL, flags=EVERYTHING)
                    want.discard(net)
                else:
                    number += 1
                    net = '32.%d.%d.%d' % (number >> 16, number >> 8 & 255, number & 255)
                    op, packet = ADD, request(ADD, net, MAIL, 3600)
                unsure.add(net)
                flight.append((op, net))
                c.sock.send(packet)
            reply = c.answer()
            op, net = flight.pop(0)
            unsure.discard(net)
            if op == ADD and reply.result == 'ok':
                want.add(net)
    except OSError:
        pass

lost = disagree = back = 0
for kill in range(KILLS):
    stop = threading.Event()
    t = threading.Thread(target=load, args=(stop,))
    t.start()
    time.sleep(random.random() * 0.03)
    helper.stop(signal.SIGKILL)
    t.join()
    helper.start()
    kernel = set(ipset_entries('spamscore-mail4'))
    listed = {r.net[:-3] for r in helper.client().many(LIST, scope=MAIL)}
    disagree += kernel != listed
    lost += len(want - kernel)
    back += len(kernel - want - unsure)
    want |= unsure & kernel
    unsure.clear()
note('%d bans were asked for in all, %d are left' % (number, len(want)))
ok(number > KILLS, 'there was load')
same(disagree, 0, 'kernel and journal agree after each of %d kills' % KILLS)
same(lost, 0, 'no acknowledged ban was lost')
same(back, 0, 'no acknowledged unban came back')
helper.remove()
done()
