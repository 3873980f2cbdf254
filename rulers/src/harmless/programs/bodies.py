"""A threading HTTP/1.1 server: `GET /FILE` answers in chunks, `PUT` answers with the SHA-256 of what came, `/sendfile/FILE` uses the socket's sendfile."""
import hashlib
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Bodies(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise head and body wait for each other's acknowledgement, and the latency is that of a timer.
    disable_nagle_algorithm = True

    def do_GET(self):
        self.path = self.path.partition("?")[0]
        if self.path.startswith("/sendfile/"):
            return self.by_sendfile(self.path.removeprefix("/sendfile"))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with open("." + self.path, "rb") as file:
            # Sizes that fit no page and no buffer.
            while piece := file.read(60_001):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def by_sendfile(self, path):
        with open("." + path, "rb") as file:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            self.connection.sendfile(file)

    def do_PUT(self):
        digest = hashlib.sha256()
        for piece in self.body():
            digest.update(piece)
        answer = digest.hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            left = int(self.headers["Content-Length"])
            while left:
                piece = self.rfile.read(min(left, 1 << 16))
                if not piece:
                    return
                left -= len(piece)
                yield piece
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_request(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Bodies).serve_forever()
