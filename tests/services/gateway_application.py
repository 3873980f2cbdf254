"""What uWSGI runs: /hop/N/M calls the next service and hands its answer on."""

import os
import urllib.request


def application(environ, start_response):
    _, _, number, hop = environ["REQUEST_URI"].split("/")
    url = f"{os.environ['DOWNSTREAM']}/hop/{number}/{int(hop) + 1}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        body = answer.read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
