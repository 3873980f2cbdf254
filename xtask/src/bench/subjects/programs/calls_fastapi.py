"""The FastAPI application of `cargo xtask bench` that asks another for each request."""

import os

import httpx
from fastapi import FastAPI, Response

app = FastAPI()
client = httpx.AsyncClient(trust_env=False)


@app.get("/{name:path}")
async def answer(name: str):
    return Response((await client.get(os.environ["LEAF"])).content)
