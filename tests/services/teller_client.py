"""Calls teller.py: `teller_client.py PORT CALLS CONCURRENT`, all on one connection, with so many under way at a time."""

import sys
import threading

import grpc

port, calls, concurrent = sys.argv[1:]
room = threading.Semaphore(int(concurrent))
with grpc.insecure_channel("127.0.0.1:" + port) as channel:
    waiting = []
    for n in range(int(calls)):
        room.acquire()
        call = channel.unary_unary(f"/shop.v1.Hop/R{n}").future(b"%d" % n)
        call.add_done_callback(lambda _: room.release())
        waiting.append((n, call))
    for n, call in waiting:
        assert call.result() == b"/hop/%d/1\n" % n, call.result()
