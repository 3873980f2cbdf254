"""`/w` prints one exception to each of two logs, of one length and from one buffer; anything else prints nothing."""

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

TRACE = b'Traceback (most recent call last):\n  File "a.py", line 1, in work\nValueError: %s\n'
buffer = bytearray(TRACE % b"first")
flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
first, other = os.open("first.log", flags), os.open("other.log", flags)
# What is written there begins where the first log has the middle of it.
os.write(other, b"\n" * (len(buffer) // 2))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/w":
            for log, text in ((first, b"first"), (other, b"other")):
                buffer[:] = TRACE % text
                os.write(log, buffer)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
