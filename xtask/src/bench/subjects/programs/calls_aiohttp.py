"""The aiohttp application of `cargo xtask bench` that asks another for each request."""

import sys

import aiohttp
from aiohttp import web


async def answer(request):
    async with request.app["client"].get(sys.argv[2]) as response:
        return web.Response(body=await response.read())


async def client(app):
    app["client"] = aiohttp.ClientSession()
    yield
    await app["client"].close()


app = web.Application()
app.cleanup_ctx.append(client)
app.router.add_get("/{name:.*}", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
