"""A server of asyncio for the ruler harmless: tasks call, fork, and let go of a library.

    lives.py PORT
"""

import _ctypes
import asyncio
import ctypes
import os
import sys


async def ask(path):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: lives\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    if b"well" not in answer:
        raise RuntimeError(answer)


def fork():
    child = os.fork()
    if child == 0:
        code = 1
        try:
            # Tasks of a loop of its own, by the functions at which its parent has probes.
            asyncio.events._set_running_loop(None)
            asyncio.run(asyncio.wait_for(asyncio.sleep(0), 1))
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1] != 0:
        raise RuntimeError("the child ended badly")


def let_go():
    library = ctypes.CDLL("libz.so.1")
    library.zlibVersion()
    _ctypes.dlclose(library._handle)


async def serve(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    path = head.split()[1].decode()
    said = "well"
    try:
        if path == "/call":
            await asyncio.gather(*(asyncio.create_task(ask("/leaf")) for _ in range(2)))
        elif path == "/fork":
            fork()
        elif path == "/dlclose":
            let_go()
    except Exception as error:
        said = repr(error)
    status = "200 OK" if said == "well" else "500 Bad"
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n{said}".encode())
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
