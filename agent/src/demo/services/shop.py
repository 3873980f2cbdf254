"""The shop of `wirespan demo`: takes orders and asks stock, prices and payments. Arguments: port, and theirs."""
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, stock, prices, payments = map(int, sys.argv[1:5])


def ask(port, path, data=None):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data=data, timeout=10) as answer:
        return answer.read()


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        number = self.path.rsplit("/", 1)[-1]
        try:
            ask(stock, f"/stock/{number}")
            ask(prices, f"/price/{number}")
            ask(payments, f"/pay/{number}", b"{}")
            status, body = 200, b'{"order": "accepted"}\n'
        except urllib.error.URLError as error:
            status, body = 502, f'{{"order": "failed", "why": "{error}"}}\n'.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", port), Shop).serve_forever()
