# An application for granian, whose HTTPS is rustls with ring: answers with the path that was asked for, and as much more as
# /…/N says. With DOWNSTREAM it asks that first, by a client whose TLS is rustls with AWS-LC.
import os
from datetime import timedelta

from pyreqwest.client import SyncClientBuilder

downstream = os.environ.get("DOWNSTREAM", "")
client = SyncClientBuilder().danger_accept_invalid_certs(True).http1_only()
# (A connection for each request.)
client = client.no_proxy().pool_max_idle_per_host(0).timeout(timedelta(seconds=15)).build()


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if downstream:
        client.get(downstream + path).build().send().bytes()
    last = path.rsplit("/", 1)[-1]
    body = path.encode() + b"." * (int(last) if last.isdigit() else 0)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
