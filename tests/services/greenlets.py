"""Flask with requests under gunicorn's gevent worker: a greenlet a connection, and all of them on one thread."""
import os

import gevent
import requests
from flask import Flask
from requests.adapters import HTTPAdapter

DOWNSTREAM = os.environ["DOWNSTREAM"]

app = Flask(__name__)
session = requests.Session()
session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=256))


def call(number, hop):
    session.get(f"{DOWNSTREAM}/hop/{number}/{hop}").raise_for_status()


@app.get("/hop/<int:number>/0")
def one_after_the_other(number):
    call(number, 1)
    call(number, 2)
    return ""


@app.get("/parallel/<int:number>/0")
def at_the_same_time(number):
    gevent.joinall([gevent.spawn(call, number, 1), gevent.spawn(call, number, 2)], raise_error=True)
    return ""
