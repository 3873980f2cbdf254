"""aiohttp with a pool of asyncpg: each request asks twice, over connections that any request before it may have used."""
import sys

import asyncpg
from aiohttp import web


async def ask(request):
    number = request.match_info["number"]
    for which in "ab":
        await request.app["pool"].fetch(f"SELECT 1 AS {which}{number}")
    return web.Response()


async def pool(app):
    async with asyncpg.create_pool(host="127.0.0.1", port=int(sys.argv[2]), user="app", database="shop", ssl=False,
                                   min_size=8, max_size=8) as connections:
        app["pool"] = connections
        yield


app = web.Application()
app.cleanup_ctx.append(pool)
app.router.add_get("/q/{number}", ask)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
