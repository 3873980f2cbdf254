"""Answers late, or never stops: http.server from Python, a thread for each connection. PORT is a number or a path.

/slow/MILLIS   answers after that time, as does /hop/MILLIS/N
/events        an event stream: a line every 50 ms, until nobody reads
"""
import os
import socket
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "somebody"

    def log_message(self, *_):
        pass

    def do_GET(self):
        _, kind, *rest = self.path.split("/")
        if kind == "events":
            return self.events()
        if kind in ("slow", "hop"):
            time.sleep(int(rest[0]) / 1000)
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"late\n")

    def events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"9\r\ndata: 1\n\n\r\n")
            time.sleep(0.05)

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass


where = sys.argv[1]
socketserver.ThreadingMixIn.daemon_threads = True
if where.isdigit():
    class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
        allow_reuse_address = True
    server = Server(("127.0.0.1", int(where)), Handler)
else:
    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        pass
    server = Server(where, Handler)
server.serve_forever()
