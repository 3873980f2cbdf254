"""Calls stock.py: `stock_client.py PORT CALL...`, on asyncio if ASYNC is set.

`wait` waits until the file `go` is in the working directory. `slow` has a deadline, `given_up` is a call of one answer that is
cancelled before that comes, `cancelled` a stream of which something had come.
"""

import asyncio
import os
import pathlib
import sys
import threading
import time

import grpc

ADDRESS = "127.0.0.1:" + sys.argv[1]
# The same context twice, so that HPACK's table has it the second time, and another.
STAMPS = ["00-%032x-%016x-01" % (trace, trace + 1) for trace in (0xA1, 0xA1, 0xB2)]

channel = grpc.insecure_channel(ADDRESS)
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


def given_up():
    call = one.future(b"slow")
    time.sleep(0.1)
    call.cancel()


def watch():
    """A stream that goes on until the file `end` is there."""
    def questions():
        yield b"watch"
        while not pathlib.Path("end").exists():
            time.sleep(0.05)
    for _ in channel.stream_stream("/shop.v1.Stock/Talk")(questions()):
        print("watching", flush=True)


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
    "given_up": given_up,
    "fresh": lambda: one(b"fresh", metadata=(("x-fresh", "yes"),)),
    "stamped": lambda: [one(b"stamped", metadata=(("traceparent", stamp),)) for stamp in STAMPS],
    "threads": lambda: threads(16, 50),
    "wait": wait,
    "watch": watch,
}


async def call_async():
    async with grpc.aio.insecure_channel(ADDRESS) as channel:
        one = channel.unary_unary("/shop.v1.Stock/One")

        async def all_of(stream):
            return [item async for item in stream]

        async def given_up():
            call = one(b"slow")
            await asyncio.sleep(0.1)
            call.cancel()
            await asyncio.sleep(0.1)

        async def wait_async():
            print("waiting", flush=True)
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.01)

        calls = {
            "one": lambda: one(b"first"),
            "slow": lambda: one(b"slow", timeout=0.3),
            "given_up": given_up,
            "wait": wait_async,
            "missing": lambda: one(b"missing"),
            "many": lambda: all_of(channel.unary_stream("/shop.v1.Stock/Many")(b"all")),
            "gather": lambda: channel.stream_unary("/shop.v1.Stock/Gather")(iter([b"a", b"b", b"c"])),
            "talk": lambda: all_of(channel.stream_stream("/shop.v1.Stock/Talk")(iter([b"hello", b"there"]))),
            "crowd": lambda: asyncio.gather(*(one(b"%d" % n) for n in range(300))),
        }
        for call in sys.argv[2:]:
            try:
                await calls[call]()
            except grpc.RpcError:
                pass


def call():
    for call in sys.argv[2:]:
        try:
            CALLS[call]()
        except grpc.RpcError:
            pass
    channel.close()


if os.environ.get("ASYNC"):
    asyncio.run(call_async())
else:
    call()
