"""FastAPI under uvicorn, with httpx. Background work is a `BackgroundTasks` task, as FastAPI's documentation has it."""

from contextlib import asynccontextmanager

import httpx
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import PlainTextResponse

from asynchronous import Hops

state = {}


@asynccontextmanager
async def lifespan(app):
    usual = httpx.AsyncClient(timeout=60)
    pool = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=2))
    clients = {"usual": usual, "pool": pool}

    async def get(url, client):
        return (await clients[client].get(url)).status_code

    async with usual, pool:
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
