"""Answers requests by HTTP/1.1, and from the first on makes tasks without end: hundreds of thousands a second."""
import asyncio
import sys


async def nothing():
    pass


async def restless():
    await asked.wait()
    while True:
        await asyncio.gather(*(nothing() for _ in range(5000)))


async def answer(reader, writer):
    while await reader.readuntil(b"\r\n\r\n"):
        asked.set()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")


async def main():
    global asked
    asked = asyncio.Event()
    await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]))
    await restless()


asyncio.run(main())
