"""Calls `till.py` with credentials, over several channels at once, and checks every answer. Arguments: port, channels, calls of each,
number of the first."""

import sys
import threading

import grpc

port, channels, each, first = (int(word) for word in sys.argv[1:])
with open("cert.pem", "rb") as certificate:
    credentials = grpc.ssl_channel_credentials(certificate.read())
wrong = []


def run(begin):
    # (Channels with other arguments have connections of their own.)
    options = [("grpc.primary_user_agent", f"till-{begin}")]
    with grpc.secure_channel(f"localhost:{port}", credentials, options=options) as channel:
        for number in range(begin, begin + each):
            request = str(number).encode()
            answer = channel.unary_unary(f"/bank.Till/R{number}")(request, timeout=20)
            if answer != request:
                wrong.append((request, answer))


threads = [threading.Thread(target=run, args=(first + n * each,)) for n in range(channels)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(f"wrong answers: {wrong[:3]}" if wrong else 0)
