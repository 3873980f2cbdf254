"""Says one thing to a WebSocket server and checks the answer."""
import sys

from websockets.sync.client import connect

with connect(sys.argv[1], proxy=None) as connection:
    connection.send("GET /not-http HTTP/1.1\r\n\r\n")
    assert connection.recv() == "GET /not-http HTTP/1.1\r\n\r\n"
