"""Unary calls as fast as they are answered: ADDRESS METHOD CALLS CONNECTIONS STREAMS. Prints calls a second."""
import asyncio
import sys
import time

import grpc


async def ask(call, numbers):
    for _ in numbers:
        await call(b"x" * 63)


async def main(address, method, calls, connections, streams):
    # Channels to one address share a connection unless they are told not to.
    own = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=own) for _ in range(connections)]
    for channel in channels:
        await channel.channel_ready()
    numbers = iter(range(calls))
    begin = time.monotonic()
    await asyncio.gather(*(ask(c.unary_unary(method), numbers) for c in channels for _ in range(streams)))
    print(calls / (time.monotonic() - begin))
    for channel in channels:
        await channel.close()


asyncio.run(main(*sys.argv[1:3], *map(int, sys.argv[3:])))
