# HTTPS on threads, one a connection: each request asks DOWNSTREAM over HTTPS, if that is given; else it answers with its path.
import http.server
import os
import ssl
import sys
import urllib.request

downstream = os.environ.get("DOWNSTREAM", "")
trust = ssl.create_default_context(cafile="cert.pem")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.path.encode()
        if downstream:
            with urllib.request.urlopen(downstream + self.path, context=trust, timeout=15) as answer:
                body = answer.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    # The handshake is the connection's thread's, not the one's that accepts.
    def finish_request(self, request, client_address):
        with context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
