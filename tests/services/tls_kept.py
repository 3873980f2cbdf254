# HTTPS clients that keep their connections: each asks once, and once the file `go` is there, more often; all at once. Checks that
# every answer ends with what was asked for. Arguments: URL, clients, requests of each then.
import http.client
import os
import ssl
import sys
import threading
import time
from urllib.parse import urlsplit

url, clients, each = urlsplit(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
trust = ssl.create_default_context(cafile="cert.pem")
opened = threading.Barrier(clients + 1)
wrong = []


def ask(connection, path):
    connection.request("GET", path)
    body = connection.getresponse().read().decode()
    if not body.endswith(path):
        wrong.append((path, body))


def run(number):
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=trust, timeout=60)
    ask(connection, f"/before/{number}")
    opened.wait()
    while not os.path.exists("go"):
        time.sleep(0.01)
    for request in range(number * each, (number + 1) * each):
        ask(connection, f"{url.path}/{request}")
    connection.close()


threads = [threading.Thread(target=run, args=(n,)) for n in range(clients)]
for thread in threads:
    thread.start()
opened.wait()
print("opened", flush=True)
for thread in threads:
    thread.join()
print("wrong answers: %r" % wrong[:3] if wrong else "all is well", flush=True)
