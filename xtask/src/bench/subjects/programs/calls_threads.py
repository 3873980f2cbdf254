"""The Flask application of `cargo xtask bench` that asks another for each request."""

import os

import urllib3
from flask import Flask

app = Flask(__name__)
pool = urllib3.PoolManager(maxsize=8)


@app.get("/<path:name>")
def answer(name):
    return pool.request("GET", os.environ["LEAF"]).data
