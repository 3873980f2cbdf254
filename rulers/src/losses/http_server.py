"""Answers `GET /v/N` with the status 400 + N: `http_server.py WHERE`, a port or the path of a Unix socket."""
import socket
import sys
import threading

WHERE = sys.argv[1]


def serve(connection):
    buffer = b""
    while True:
        more = connection.recv(65536)
        if not more:
            return connection.close()
        buffer += more
        while b"\r\n\r\n" in buffer:
            head, buffer = buffer.split(b"\r\n\r\n", 1)
            number = int(head.split(b" ", 2)[1].rsplit(b"/", 1)[1])
            connection.sendall(b"HTTP/1.1 %d N\r\nContent-Length: 2\r\n\r\nok" % (400 + number))


if WHERE.startswith("/"):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(WHERE)
else:
    listener = socket.create_server(("127.0.0.1", int(WHERE)))
listener.listen(64)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
