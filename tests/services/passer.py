"""Accepts in one process and answers in another: each connection's descriptor is passed over a Unix socket."""
import os
import socket
import sys
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"passed\n")


ours, theirs = socket.socketpair()
if os.fork() == 0:
    while True:
        _, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
        if not descriptors:
            sys.exit()
        with socket.socket(fileno=descriptors[0]) as connection:
            Handler(connection, connection.getpeername(), None)

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=16)
while True:
    connection, _ = listener.accept()
    socket.send_fds(ours, [b"x"], [connection.fileno()])
    connection.close()
