"""What a hop does in programs whose handlers block a thread (or a greenlet): Flask and Django.

`get(url, client)` makes one call and returns its status; `client` is "usual" or "pool". See ../README.md.
"""

import os
import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

NEXT = os.environ["NEXT"]


class Hops:
    def __init__(self, get, background):
        self.get = get
        self.background = background
        self.work = queue.Queue()
        for _ in range(2):
            threading.Thread(target=self.serve_queue, daemon=True).start()

    def call(self, request, hop, delay, rest="", client="usual"):
        return self.get(f"{NEXT}/hop/{request}/{hop}?delay={delay}{rest}", client)

    def serve_queue(self):
        while True:
            arguments, result = self.work.get()
            try:
                result.set_result(self.call(*arguments))
            except Exception as error:
                result.set_exception(error)

    def serve(self, request, hop, parameters):
        """The status with which to answer."""
        delay = int(parameters.get("delay", "0"))
        shape = getattr(self, "shape_" + parameters.get("shape", "none"), None)
        if shape is None:
            return 501
        return 200 if shape(request, hop, delay, parameters) else 502

    def shape_chain(self, request, hop, delay, parameters):
        depth = int(parameters.get("depth", "0"))
        rest = f"&shape=chain&depth={depth - 1}" if depth > 0 else ""
        return self.call(request, f"{hop}.1", delay, rest) == 200

    def shape_sequence(self, request, hop, delay, parameters):
        return all([self.call(request, f"{hop}.{n}", delay) == 200 for n in (1, 2, 3)])

    def shape_parallel(self, request, hop, delay, parameters):
        with ThreadPoolExecutor(max_workers=3) as pool:
            calls = [pool.submit(self.call, request, f"{hop}.{n}", delay) for n in (1, 2, 3)]
            return all([call.result() == 200 for call in calls])

    def shape_retry(self, request, hop, delay, parameters):
        if self.call(request, f"{hop}.1", delay, "&fail=1") != 503:
            return False
        return self.call(request, f"{hop}.2", delay) == 200

    def shape_forget(self, request, hop, delay, parameters):
        self.background(delay / 1000, self.call, (request, f"{hop}.1", delay))
        return True

    def shape_pool(self, request, hop, delay, parameters):
        return self.call(request, f"{hop}.1", delay, client="pool") == 200

    def shape_queue(self, request, hop, delay, parameters):
        result = Future()
        self.work.put(((request, f"{hop}.1", delay), result))
        return result.result() == 200

    def shape_timer(self, request, hop, delay, parameters):
        time.sleep(delay / 1000)
        return self.call(request, f"{hop}.1", delay) == 200
