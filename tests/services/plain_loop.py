"""asyncio and nothing else, as server and as client; `queue` has workers make the calls, `executor` the threads of a pool. It says
its version first."""
import asyncio
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

PORT, NEXT = int(sys.argv[1]), int(sys.argv[2])
idle = []


async def call(number, hop):
    reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", NEXT)
    writer.write(f"GET /hop/{number}/{hop} HTTP/1.1\r\nHost: next\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readexactly(int(head.split("content-length: ")[1].split("\r")[0]))
    idle.append((reader, writer))


def blocking_call(number, hop):
    urllib.request.urlopen(f"http://127.0.0.1:{NEXT}/hop/{number}/{hop}").read()


async def work(jobs):
    while True:
        number, result = await jobs.get()
        await call(number, 1)
        result.set_result(number)


async def main():
    jobs = asyncio.Queue()
    pool = ThreadPoolExecutor(2)
    workers = [asyncio.create_task(work(jobs)) for _ in range(2)]

    async def serve(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                _, shape, number, _ = head.split()[1].decode().split("/")
                if shape == "queue":
                    result = asyncio.get_running_loop().create_future()
                    jobs.put_nowait((number, result))
                    await result
                elif shape == "executor":
                    await asyncio.get_running_loop().run_in_executor(pool, blocking_call, number, 1)
                elif shape == "parallel":
                    await asyncio.gather(call(number, 1), call(number, 2))
                else:
                    await call(number, 1)
                    await call(number, 2)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", PORT, backlog=500) as server:
        print(sys.version.split()[0], len(workers), flush=True)
        await server.serve_forever()


asyncio.run(main())
