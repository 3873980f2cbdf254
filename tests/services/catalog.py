"""aiohttp as server and as client: one event loop, many requests at a time."""
import os
import sys

from aiohttp import ClientSession, web

DOWNSTREAM = os.environ["DOWNSTREAM"]


async def hop(request):
    number, at = request.match_info["number"], int(request.match_info["hop"])
    async with request.app["session"].get(f"{DOWNSTREAM}/hop/{number}/{at + 1}") as answer:
        return web.Response(text=await answer.text())


async def session(app):
    async with ClientSession() as client:
        app["session"] = client
        yield


app = web.Application()
app.cleanup_ctx.append(session)
app.router.add_get("/hop/{number}/{hop}", hop)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
