"""FastAPI under ASGI servers, with httpx. Background work is a `BackgroundTasks` task, as FastAPI's documentation has it.

With the mode `to_thread` or `executor` the calls are made by httpx's blocking client, in threads that the tasks hand them to.
"""

import asyncio
import os
from contextlib import asynccontextmanager

import httpx
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import PlainTextResponse

from asynchronous import Hops

state = {}
blocking = {"to_thread": asyncio.to_thread, "executor": lambda *call: asyncio.get_running_loop().run_in_executor(None, *call)}


@asynccontextmanager
async def lifespan(app):
    in_thread = blocking.get(os.environ["STACK_MODE"])
    kind = httpx.Client if in_thread else httpx.AsyncClient
    clients = {"usual": kind(timeout=60), "pool": kind(timeout=60, limits=httpx.Limits(max_connections=2))}

    async def get(url, client):
        call = clients[client].get
        return (await (in_thread(call, url) if in_thread else call(url))).status_code

    state["hops"] = Hops(get)
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/ready")
async def ready():
    return PlainTextResponse("ready\n")


@app.get("/hop/{request}/{hop}")
async def serve(request: int, hop: str, incoming: Request, tasks: BackgroundTasks):
    async def run(coroutine):
        await coroutine

    status = await state["hops"].serve(request, hop, incoming.query_params, lambda it: tasks.add_task(run, it))
    # The tasks of the injected object go with a response of our own only when they are handed to it.
    return PlainTextResponse("fastapi\n", status_code=status, background=tasks)
