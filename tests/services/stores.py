"""FastAPI with httpx, and with the clients that people use for what they store: each call is about its request's number."""
import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import asyncpg
import grpc
import httpx
import psycopg
import redis.asyncio
from fastapi import FastAPI

DOWNSTREAM = os.environ["DOWNSTREAM"]
have = {}


@asynccontextmanager
async def lifespan(app):
    if port := os.environ.get("POSTGRES"):
        have["postgres"] = dict(host="127.0.0.1", port=int(port), user="app")
        have["pool"] = await asyncpg.create_pool(**have["postgres"], database="shop", ssl=False, min_size=8, max_size=8)
    if port := os.environ.get("REDIS"):
        have["redis"] = redis.asyncio.Redis(host="127.0.0.1", port=int(port), max_connections=100)
    have["client"] = httpx.AsyncClient(limits=httpx.Limits(max_connections=256))
    if address := os.environ.get("GRPC"):
        have["channel"] = grpc.aio.insecure_channel(address)
    yield


app = FastAPI(lifespan=lifespan)


async def call(number, hop):
    (await have["client"].get(f"{DOWNSTREAM}/hop/{number}/{hop}")).raise_for_status()


@app.get("/order/{number}")
async def calls_and_asks(number: int):
    await call(number, 1)
    await have["pool"].fetch(f"SELECT 1 AS a{number}")


@app.get("/psycopg/{number}")
async def asks_over_a_connection_of_its_own(number: int):
    async with await psycopg.AsyncConnection.connect(**have["postgres"], dbname="shop", autocommit=True) as connection:
        await connection.execute(f"SELECT 1 AS a{number}")
        await connection.execute(f"SELECT 1 AS b{number}")


@app.get("/redis/{number}")
async def asks_redis(number: int):
    await have["redis"].get(f"hop:{number}")
    async with have["redis"].pipeline(transaction=False) as pipeline:
        await pipeline.get(f"hop:{number}").execute()


@app.get("/grpc/{number}")
async def calls_by_grpc(number: int):
    await have["channel"].unary_unary(f"/shop.v1.Hop/R{number}")(b"")


jobs = asyncio.Queue()


async def work():
    while True:
        number, result = await jobs.get()
        await call(number, 1)
        result.set_result(number)


workers = []


@app.get("/queue/{number}")
async def hands_it_to_a_worker(number: int):
    if not workers:
        workers.extend(asyncio.create_task(work()) for _ in range(2))
    result = asyncio.get_running_loop().create_future()
    jobs.put_nowait((number, result))
    await result


pool = ThreadPoolExecutor(2)


@app.get("/executor/{number}")
async def hands_it_to_a_thread(number: int):
    await asyncio.get_running_loop().run_in_executor(pool, httpx.get, f"{DOWNSTREAM}/hop/{number}/1")
