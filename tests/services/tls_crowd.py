# Many HTTPS clients at once, each with a connection of its own that it keeps, or one a request: checks that every answer ends with
# what was asked for. Arguments: URL, clients, requests of each, `keep` or `fresh`.
import http.client
import ssl
import sys
import threading
from urllib.parse import urlsplit

url, clients, each, mode = urlsplit(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
trust = ssl.create_default_context(cafile="cert.pem")
wrong = []


def connect():
    return http.client.HTTPSConnection(url.hostname, url.port, context=trust, timeout=15)


def run(first):
    connection = connect()
    for number in range(first, first + each):
        path = f"{url.path}/{number}"
        connection.request("GET", path)
        body = connection.getresponse().read().decode()
        if not body.endswith(path):
            wrong.append((path, body))
        if mode == "fresh":
            connection.close()
            connection = connect()
    connection.close()


threads = [threading.Thread(target=run, args=(n * each,)) for n in range(clients)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(f"wrong answers: {wrong[:3]}" if wrong else 0)
