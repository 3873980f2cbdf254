"""An event loop (asyncio alone, or under uvloop), and the shapes that turns of a loop do not tell. See ../README.md."""

import asyncio
import http.client
import os
from urllib.parse import parse_qs, urlsplit

NEXT = urlsplit(os.environ["NEXT"])
# Work that is nobody's in particular.
NOBODYS = "/hop/0/b?delay=2"
idle = []


async def call(target):
    """One call over a connection that is idle, or a new one; its status."""
    reader, writer = idle.pop() if idle else await asyncio.open_connection(NEXT.hostname, NEXT.port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {NEXT.netloc}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    await reader.readexactly(int(fields["content-length"]))
    idle.append((reader, writer))
    return int(head.split()[1])


class Hop:
    def __init__(self, request, name, delay):
        self.request, self.name, self.delay = request, name, delay

    def target(self, n):
        return f"/hop/{self.request}/{self.name}.{n}?delay={self.delay}"

    async def call(self, n):
        return await call(self.target(n))


class Shapes:
    def __init__(self):
        self.permits = asyncio.Semaphore(2)
        self.jobs = asyncio.Queue()
        self.workers = 0
        self.common = self.key = self.gate = None
        self.uses = 0
        self.waiting, self.gathered, self.tasks = [], [], set()
        self.stale = asyncio.Event()
        self.lazy_jobs, self.lazy_workers = asyncio.Queue(), []

    def begin(self):
        self.background(self.refresher())

    def background(self, coroutine):
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def mix(self, hop):
        return await getattr(self, MIXED[int(hop.request) % len(MIXED)])(hop)

    async def shared(self, hop):
        if self.common is not None:
            return await asyncio.shield(self.common)
        self.common = asyncio.get_running_loop().create_future()
        status = await hop.call(1)
        mine, self.common = self.common, None
        mine.set_result(status)
        return status

    async def semaphore(self, hop):
        async with self.permits:
            return await hop.call(1)

    async def token(self, hop):
        self.uses += 1
        if self.uses % 10 == 1:
            self.key = asyncio.get_running_loop().create_future()
            mine = self.key
            mine.set_result(await hop.call(1))
        await asyncio.shield(self.key)
        return await hop.call(2)

    async def timed(self, hop):
        result = asyncio.get_running_loop().create_future()
        if not self.waiting:
            asyncio.get_running_loop().call_later(0.01, lambda: self.background(self.flush(hop)))
        self.waiting.append(result)
        return await result

    async def flush(self, hop):
        everybody, self.waiting = self.waiting, []
        status = await hop.call(1)
        for one in everybody:
            one.set_result(status)

    async def sized(self, hop):
        result = asyncio.get_running_loop().create_future()
        self.gathered.append(result)
        if len(self.gathered) == 4:
            full, self.gathered = self.gathered, []
            status = await hop.call(1)
            for one in full:
                if not one.done():
                    one.set_result(status)
            return status
        try:
            return await asyncio.wait_for(result, 0.06)
        except TimeoutError:
            if result in self.gathered:
                self.gathered.remove(result)
            return await hop.call(1)

    async def barrier(self, hop):
        if self.gate is None:
            self.gate = asyncio.get_running_loop().create_future()
            await asyncio.wait([self.gate], timeout=0.02)
            self.gate = None
        elif not self.gate.done():
            self.gate.set_result(None)
        return await hop.call(1)

    async def refresh(self, hop):
        self.stale.set()
        return await hop.call(1)

    async def refresher(self):
        """Of all requests that found something stale since the last time, and of none."""
        while await self.stale.wait():
            self.stale.clear()
            await asyncio.sleep(0.02)
            await call(NOBODYS)

    async def prefetch(self, hop):
        status = await hop.call(1)
        self.background(hop.call(2))
        return status

    async def shrinking(self, hop):
        """At most four tasks, which are made when there is work and end when there is none."""
        result = asyncio.get_running_loop().create_future()
        self.jobs.put_nowait((hop, result))
        if self.workers < 4:
            self.workers += 1
            self.background(self.work())
        return await result

    async def work(self):
        while not self.jobs.empty():
            hop, result = self.jobs.get_nowait()
            result.set_result(await hop.call(1))
        self.workers -= 1

    async def lazy(self, hop):
        result = asyncio.get_running_loop().create_future()
        self.lazy_jobs.put_nowait((hop, result))
        if len(self.lazy_workers) < 4:
            self.lazy_workers.append(asyncio.create_task(self.labour()))
        return await result

    async def labour(self):
        while True:
            hop, result = await self.lazy_jobs.get()
            result.set_result(await hop.call(1))

    async def after(self, hop):
        self.background(hop.call(1))
        return 200

    async def blocking(self, hop):
        """A call that blocks the whole loop."""
        connection = http.client.HTTPConnection(NEXT.hostname, NEXT.port, timeout=60)
        connection.request("GET", f"/hop/{hop.request}/{hop.name}.1?delay={min(hop.delay, 5)}")
        status = connection.getresponse().status
        connection.close()
        return status


MIXED = ["shared", "semaphore", "token", "timed", "sized", "barrier", "refresh", "prefetch", "shrinking", "lazy", "after", "blocking"]


async def serve(reader, writer):
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            parts = urlsplit(head.split()[1].decode())
            status = 200
            if parts.path != "/ready":
                _, _, request, name = parts.path.split("/")
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                shape = query.get("shape", "")
                hop = Hop(request, name, int(query.get("delay", "0")))
                status = await getattr(SHAPES, shape)(hop) if shape == "mix" or shape in MIXED else 501
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhard\n".encode())
            await writer.drain()
            if b"connection: close" in head.lower():
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def main():
    global SHAPES
    SHAPES = Shapes()
    SHAPES.begin()
    server = await asyncio.start_server(serve, "127.0.0.1", int(os.environ["PORT"]), backlog=1024)
    async with server:
        await server.serve_forever()


if os.environ["STACK_MODE"] == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
