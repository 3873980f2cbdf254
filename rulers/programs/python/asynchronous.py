"""What a hop does on an asyncio event loop: FastAPI and aiohttp.

`get(url, client)` makes one call and returns its status; `client` is "usual" or "pool". See ../README.md.
"""

import asyncio
import os

NEXT = os.environ["NEXT"]


class Hops:
    def __init__(self, get):
        self.get = get
        self.work = asyncio.Queue()
        self.workers = [asyncio.create_task(self.serve_queue()) for _ in range(2)]

    async def call(self, request, hop, delay, rest="", client="usual"):
        return await self.get(f"{NEXT}/hop/{request}/{hop}?delay={delay}{rest}", client)

    async def serve_queue(self):
        while True:
            arguments, result = await self.work.get()
            try:
                result.set_result(await self.call(*arguments))
            except Exception as error:
                result.set_exception(error)

    async def serve(self, request, hop, parameters, background):
        """The status with which to answer. `background(coroutine)` makes it run after the answer."""
        delay = int(parameters.get("delay", "0"))
        if parameters.get("shape") == "forget":
            background(self.later(request, hop, delay))
            return 200
        shape = getattr(self, "shape_" + parameters.get("shape", "none"), None)
        if shape is None:
            return 501
        return 200 if await shape(request, hop, delay, parameters) else 502

    async def later(self, request, hop, delay):
        await asyncio.sleep(delay / 1000)
        await self.call(request, f"{hop}.1", delay)

    async def shape_chain(self, request, hop, delay, parameters):
        depth = int(parameters.get("depth", "0"))
        rest = f"&shape=chain&depth={depth - 1}" if depth > 0 else ""
        return await self.call(request, f"{hop}.1", delay, rest) == 200

    async def shape_sequence(self, request, hop, delay, parameters):
        return all([await self.call(request, f"{hop}.{n}", delay) == 200 for n in (1, 2, 3)])

    async def shape_parallel(self, request, hop, delay, parameters):
        calls = [self.call(request, f"{hop}.{n}", delay) for n in (1, 2, 3)]
        return all([status == 200 for status in await asyncio.gather(*calls)])

    async def shape_retry(self, request, hop, delay, parameters):
        if await self.call(request, f"{hop}.1", delay, "&fail=1") != 503:
            return False
        return await self.call(request, f"{hop}.2", delay) == 200

    async def shape_pool(self, request, hop, delay, parameters):
        return await self.call(request, f"{hop}.1", delay, client="pool") == 200

    async def shape_queue(self, request, hop, delay, parameters):
        result = asyncio.get_running_loop().create_future()
        await self.work.put(((request, f"{hop}.1", delay), result))
        return await result == 200

    async def shape_timer(self, request, hop, delay, parameters):
        await asyncio.sleep(delay / 1000)
        return await self.call(request, f"{hop}.1", delay) == 200
