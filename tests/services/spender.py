"""Requests of which it is known where their time went: /WHAT/MILLISECONDS/NUMBER is answered with what the thread's own clocks say.

A thread per connection. `cpu` computes so long, `sleep` sleeps, `lock` waits for a lock that another thread holds, `disk` writes
to a file and waits until that is on the disk, `child` waits for a process, `queue` computes while others want the same CPU, `call` asks DOWNSTREAM, which
takes so long to answer, between computing as long before and after."""
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DOWNSTREAM = urllib.parse.urlsplit(os.environ.get("DOWNSTREAM", ""))
COMPETITORS = 2


def queued():
    """Nanoseconds that this thread waited for a CPU."""
    with open("/proc/thread-self/schedstat") as file:
        return int(file.read().split()[1])


def clocks():
    return time.monotonic_ns(), time.thread_time_ns(), queued()


def cpu(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def lock(seconds):
    held, taken = threading.Lock(), threading.Event()

    def hold():
        with held:
            taken.set()
            time.sleep(seconds)

    threading.Thread(target=hold).start()
    taken.wait()
    with held:
        pass


def disk(seconds):
    until = time.monotonic() + seconds
    with open("written", "wb") as file:
        while time.monotonic() < until:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())


def child(seconds):
    subprocess.run(["sleep", str(seconds)], check=True)


def queue(seconds):
    """All on one CPU: this thread gets a part of it."""
    before = os.sched_getaffinity(0)
    one = {min(before)}
    code = f"import os, time\nos.sched_setaffinity(0, {one})\nuntil = time.monotonic() + {20 * seconds}\nwhile time.monotonic() < until: pass"
    others = [subprocess.Popen([sys.executable, "-S", "-c", code]) for _ in range(COMPETITORS)]
    os.sched_setaffinity(0, one)
    try:
        cpu(seconds)
    finally:
        for other in others:
            other.kill()
            other.wait()
        os.sched_setaffinity(0, before)


def call(seconds):
    cpu(seconds)
    connection = http.client.HTTPConnection(DOWNSTREAM.hostname, DOWNSTREAM.port)
    connection.request("GET", f"/sleep/{round(seconds * 1000)}/0")
    connection.getresponse().read()
    connection.close()
    cpu(seconds)


WORK = {"cpu": cpu, "sleep": time.sleep, "lock": lock, "disk": disk, "child": child, "queue": queue, "call": call}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        _, what, millis, _ = self.path.split("/")
        before = clocks()
        WORK[what](int(millis) / 1000)
        wall, ran, waited = (now - then for now, then in zip(clocks(), before))
        body = json.dumps({"wall": wall, "cpu": ran, "runqueue": waited, "blocked": wall - ran - waited}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
