"""Connects to two peers that it cannot reach: `stranded.py PORT`. Ends when its input does."""

import errno
import socket
import sys

for address in ("198.51.100.7", "192.0.2.8"):
    with socket.socket() as connection:
        try:
            connection.connect((address, int(sys.argv[1])))
        except OSError as error:
            print(errno.errorcode[error.errno], flush=True)
sys.stdin.read()
