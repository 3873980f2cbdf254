"""Reads one message of a WebSocket server and is gone, without a word: `chat_reader.py URL`."""

import os
import sys

from websockets.sync.client import connect

connection = connect(sys.argv[1], proxy=None)
connection.send("one")
assert connection.recv() == "one"
os._exit(0)
