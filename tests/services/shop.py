"""A Flask application as people write them, run by gunicorn: each handler calls the service below by `requests`."""
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import requests
from flask import Flask, request

app = Flask(__name__)
DOWNSTREAM = os.environ.get("DOWNSTREAM", "")
POOL = ThreadPoolExecutor(max_workers=4)
SESSION = requests.Session()


def call(path):
    return requests.get(DOWNSTREAM + path, timeout=15).text


@app.get("/plain")
def plain():
    return "plain\n"


@app.get("/fail")
def fail():
    raise RuntimeError("this handler fails")


@app.post("/upload")
def upload():
    return f"{len(request.get_data())}\n"


@app.get("/hop/<number>/<int:hop>")
def next_hop(number, hop):
    """Calls the next service from the thread that serves the request."""
    return call(f"/hop/{number}/{hop + 1}")


@app.get("/itself")
def itself():
    """Calls the service that it is."""
    return call("/plain")


@app.get("/twice/<number>")
def twice(number):
    """Two calls, one after the other."""
    return call(f"/hop/{number}/1") + call(f"/hop/{number}/2")


@app.get("/session/<number>")
def session(number):
    """Calls over connections that all threads share."""
    return SESSION.get(f"{DOWNSTREAM}/hop/{number}/1", timeout=15).text


@app.get("/many/<int:count>")
def many(count):
    """That many calls, one after the other."""
    return "".join(SESSION.get(f"{DOWNSTREAM}/hop/{n}/1", timeout=15).text for n in range(count))


@app.get("/threaded/<number>")
def threaded(number):
    """Calls from a thread that the handler creates."""
    replies = []
    thread = threading.Thread(target=lambda: replies.append(call(f"/hop/{number}/1")))
    thread.start()
    thread.join()
    return replies[0]


@app.get("/subprocess/<number>")
def child(number):
    """Calls from a child process."""
    url = f"{DOWNSTREAM}/hop/{number}/1"
    return subprocess.run(["curl", "-q", "-sS", url], capture_output=True, check=True, timeout=15).stdout


@app.get("/shell/<number>")
def shell(number):
    """Calls from a pipeline of a shell."""
    command = f"curl -q -sS {DOWNSTREAM}/hop/{number}/1 | cat"
    return subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=15).stdout


@app.get("/pooled/<number>")
def pooled(number):
    """Calls from a thread of a pool that outlives the request."""
    return POOL.submit(call, f"/hop/{number}/1").result()
