"""aiohttp, server and client. Background work is a task."""

import asyncio
import os

import aiohttp
from aiohttp import web

from asynchronous import Hops

HOPS = web.AppKey("hops", Hops)
tasks = set()


def background(coroutine):
    task = asyncio.create_task(coroutine)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def clients(app):
    usual = aiohttp.ClientSession()
    pool = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2))
    sessions = {"usual": usual, "pool": pool}

    async def get(url, client):
        async with sessions[client].get(url) as response:
            await response.read()
            return response.status

    async with usual, pool:
        app[HOPS] = Hops(get)
        yield


async def ready(incoming):
    return web.Response(text="ready\n")


async def serve(incoming):
    request, hop = int(incoming.match_info["request"]), incoming.match_info["hop"]
    status = await incoming.app[HOPS].serve(request, hop, incoming.query, background)
    return web.Response(text="aiohttp\n", status=status)


app = web.Application()
app.cleanup_ctx.append(clients)
app.router.add_get("/ready", ready)
app.router.add_get("/hop/{request}/{hop}", serve)
web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None, print=None)
