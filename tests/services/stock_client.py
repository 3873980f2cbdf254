"""Calls stock.py: `stock_client.py PORT CALL...`. `wait` waits until the file `go` is in the working directory."""

import pathlib
import sys
import threading
import time

import grpc

channel = grpc.insecure_channel("127.0.0.1:" + sys.argv[1])
one = channel.unary_unary("/shop.v1.Stock/One")


def threads(count, each):
    def run():
        for n in range(each):
            one(b"%d" % n)
    running = [threading.Thread(target=run) for _ in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def cancelled():
    stream = channel.stream_stream("/shop.v1.Stock/Talk")(iter(lambda: time.sleep(0.05) or b"on and on", None))
    next(stream)
    stream.cancel()


def wait():
    print("waiting", flush=True)
    while not pathlib.Path("go").exists():
        time.sleep(0.01)


CALLS = {
    "one": lambda: one(b"first"),
    "missing": lambda: one(b"missing"),
    "slow": lambda: one(b"slow", timeout=0.3),
    "many": lambda: list(channel.unary_stream("/shop.v1.Stock/Many")(b"all")),
    "gather": lambda: channel.stream_unary("/shop.v1.Stock/Gather")(iter([b"a", b"b", b"c"])),
    "talk": lambda: list(channel.stream_stream("/shop.v1.Stock/Talk")(iter([b"hello", b"there"]))),
    "cancelled": cancelled,
    "fresh": lambda: one(b"fresh", metadata=(("x-fresh", "yes"),)),
    "threads": lambda: threads(16, 50),
    "wait": wait,
}
for call in sys.argv[2:]:
    try:
        CALLS[call]()
    except grpc.RpcError:
        pass
channel.close()
