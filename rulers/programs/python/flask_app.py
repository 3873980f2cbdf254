"""Flask with requests, under gunicorn's sync, threaded and gevent workers."""

import threading

import requests
from flask import Flask, Response, request as incoming
from requests.adapters import HTTPAdapter

from blocking import Hops

app = Flask(__name__)
clients = {"usual": requests.Session(), "pool": requests.Session()}
clients["pool"].mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=2, pool_block=True))


def get(url, client):
    return clients[client].get(url, timeout=60).status_code


def background(seconds, function, arguments):
    timer = threading.Timer(seconds, function, arguments)
    timer.daemon = True
    timer.start()


hops = Hops(get, background)


@app.get("/ready")
def ready():
    return Response("ready\n", mimetype="text/plain")


@app.get("/hop/<int:request>/<hop>")
def serve(request, hop):
    return Response("flask\n", hops.serve(request, hop, incoming.args), mimetype="text/plain")
