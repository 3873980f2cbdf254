"""`/w/N` fails with an exception that says `n=N`, raised three frames deep, with a cause; `/fine/N` does not, and logs that.

`failing:wsgi` is Flask's, `failing:asgi` FastAPI's. Whoever calls waits a little between, so that others run.
"""

import asyncio
import json
import logging
import sys
import time


def cause(n):
    raise KeyError(f"no {n}")


def deep(n):
    try:
        cause(n)
    except KeyError as error:
        raise ValueError(f"n={n}") from error


def make_wsgi():
    from flask import Flask

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    shop = logging.getLogger("shop")
    app = Flask(__name__)

    @app.get("/w/<int:n>")
    def fails(n):
        time.sleep(0.002)
        deep(n)

    @app.get("/fine/<int:n>")
    def fine(n):
        time.sleep(0.002)
        shop.warning("fine n=%s, password=s3cret", n)
        return f"n={n}"

    return app


def make_asgi():
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/w/{n}")
    async def fails(n: int):
        await asyncio.sleep(0.002)
        deep(n)

    @app.get("/fine/{n}")
    async def fine(n: int):
        await asyncio.sleep(0.002)
        record = {"level": "warning", "message": f"fine n={n}", "user": {"id": n}, "password": "s3cret"}
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()
        return f"n={n}"

    return app


def __getattr__(name):
    if name == "wsgi":
        return make_wsgi()
    if name == "asgi":
        return make_asgi()
    raise AttributeError(name)
