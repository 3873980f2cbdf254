"""A thread a connection (the standard library's server; under gevent's patch, a greenlet), blocking calls, and the shapes that threads alone do not tell.

See ../README.md.
"""

import http.client
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

NEXT = urlsplit(os.environ["NEXT"])
# Work that is nobody's in particular.
NOBODYS = "/hop/0/b?delay=2"
own = threading.local()


def call(target):
    """One call over the thread's own connection; its status."""
    if not hasattr(own, "connection"):
        own.connection = http.client.HTTPConnection(NEXT.hostname, NEXT.port, timeout=60)
    own.connection.request("GET", target)
    response = own.connection.getresponse()
    response.read()
    return response.status


class Hop:
    def __init__(self, request, name, delay):
        self.request, self.name, self.delay = request, name, delay

    def call(self, n):
        return call(f"/hop/{self.request}/{self.name}.{n}?delay={self.delay}")


class Shrinking:
    """At most four threads, which are made when there is work and end when there is none."""

    def __init__(self):
        self.jobs, self.lock, self.running = [], threading.Lock(), 0

    def submit(self, job, *arguments):
        result = Future()
        with self.lock:
            self.jobs.append((job, arguments, result))
            begins = self.running < 4
            self.running += begins
        if begins:
            threading.Thread(target=self.work, daemon=True).start()
        return result

    def work(self):
        while True:
            with self.lock:
                if not self.jobs:
                    self.running -= 1
                    return
                job, arguments, result = self.jobs.pop(0)
            result.set_result(job(*arguments))


class Shapes:
    def __init__(self):
        self.lock = threading.Lock()
        self.permits = threading.Semaphore(2)
        self.background, self.lazy = ThreadPoolExecutor(2), ThreadPoolExecutor(4)
        self.small = Shrinking()
        self.gate = threading.Barrier(2)
        self.common = self.key = None
        self.uses = 0
        self.waiting, self.gathered = [], []
        self.stale = threading.Event()
        threading.Thread(target=self.refresher, daemon=True).start()

    def mix(self, hop):
        return getattr(self, MIXED[int(hop.request) % len(MIXED)])(hop)

    def shared(self, hop):
        """One request calls, and those that come meanwhile take what it got."""
        with self.lock:
            found = self.common
            if found is None:
                self.common = mine = Future()
        if found is not None:
            return found.result()
        status = hop.call(1)
        with self.lock:
            self.common = None
        mine.set_result(status)
        return status

    def semaphore(self, hop):
        with self.permits:
            return hop.call(1)

    def token(self, hop):
        """Every tenth use needs a new token: who finds that fetches it, the others wait; then each calls."""
        mine = None
        with self.lock:
            if self.uses % 10 == 0:
                self.key = mine = Future()
            self.uses += 1
            wanted = self.key
        if mine is not None:
            mine.set_result(hop.call(1))
        wanted.result()
        return hop.call(2)

    def timed(self, hop):
        """What comes within ten milliseconds is asked for together, by the timer of who came first."""
        result = Future()
        with self.lock:
            if not self.waiting:
                threading.Timer(0.01, self.flush, (hop,)).start()
            self.waiting.append(result)
        return result.result()

    def flush(self, hop):
        with self.lock:
            everybody, self.waiting = self.waiting, []
        status = hop.call(1)
        for one in everybody:
            one.set_result(status)

    def sized(self, hop):
        """Who makes it four asks for all; who waits for long asks for itself."""
        result, full = Future(), []
        with self.lock:
            self.gathered.append(result)
            if len(self.gathered) == 4:
                full, self.gathered = self.gathered, []
        if full:
            status = hop.call(1)
            for one in full:
                one.set_result(status)
            return status
        try:
            return result.result(0.06)
        except TimeoutError:
            with self.lock:
                if result in self.gathered:
                    self.gathered.remove(result)
            return hop.call(1)

    def barrier(self, hop):
        try:
            self.gate.wait(0.02)
        except threading.BrokenBarrierError:
            self.gate.reset()
        return hop.call(1)

    def refresh(self, hop):
        self.stale.set()
        return hop.call(1)

    def refresher(self):
        """Of all requests that found something stale since the last time, and of none."""
        while self.stale.wait():
            self.stale.clear()
            time.sleep(0.02)
            call(NOBODYS)

    def prefetch(self, hop):
        status = hop.call(1)
        self.background.submit(hop.call, 2)
        return status

    def shrinking(self, hop):
        return self.small.submit(hop.call, 1).result()

    def lazily(self, hop):
        return self.lazy.submit(hop.call, 1).result()

    def after(self, hop):
        """Answered at once; the call is a pool's."""
        self.background.submit(hop.call, 1)
        return 200


NAMES = {"lazy": "lazily"}
MIXED = ["shared", "semaphore", "token", "timed", "sized", "barrier", "refresh", "prefetch", "shrinking", "lazily", "after"]
SHAPES = Shapes()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        parts = urlsplit(self.path)
        if parts.path == "/ready":
            return self.answer(200)
        _, _, request, name = parts.path.split("/")
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        shape = query.get("shape", "")
        known = shape in ("mix", "lazy") or shape in MIXED
        hop = Hop(request, name, int(query.get("delay", "0")))
        self.answer(getattr(SHAPES, NAMES.get(shape, shape))(hop) if known else 501)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hard\n")

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
