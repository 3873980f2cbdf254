"""FastAPI with httpx: many requests at a time, each with calls made by the task that answers it, or by tasks of their own."""
import asyncio
import os

import httpx
from fastapi import BackgroundTasks, FastAPI

DOWNSTREAM = os.environ["DOWNSTREAM"]

app = FastAPI()
client = httpx.AsyncClient(limits=httpx.Limits(max_connections=256))
blocking_client = httpx.Client(limits=httpx.Limits(max_connections=256))


async def call(number, hop):
    (await client.get(f"{DOWNSTREAM}/hop/{number}/{hop}")).raise_for_status()


@app.get("/hop/{number}/0")
async def one_after_the_other(number: int):
    await call(number, 1)
    await call(number, 2)


@app.get("/parallel/{number}/0")
async def at_the_same_time(number: int):
    await asyncio.gather(call(number, 1), call(number, 2))


@app.get("/later/{number}/0")
async def after_the_answer(number: int, tasks: BackgroundTasks):
    tasks.add_task(call, number, 1)
    tasks.add_task(call, number, 2)


def blocking_call(number, hop):
    blocking_client.get(f"{DOWNSTREAM}/hop/{number}/{hop}").raise_for_status()


@app.get("/sync/{number}/0")
def in_a_thread(number: int):
    blocking_call(number, 1)
    blocking_call(number, 2)


@app.get("/to_thread/{number}/0")
async def in_threads(number: int):
    await asyncio.gather(asyncio.to_thread(blocking_call, number, 1), asyncio.to_thread(blocking_call, number, 2))
