# rusty_crowd.py URL CLIENTS EACH LIBRARY VERSION [PAUSE]: clients at a time, each of which asks for paths of its own and checks every answer.
# LIBRARY is ring (httpr) or aws-lc (pyreqwest): both are rustls. VERSION is 1 or 2, of HTTP. PAUSE: seconds between requests.
import sys
import threading
import time
from datetime import timedelta
from urllib.parse import urlsplit

import httpr
from pyreqwest.client import SyncClientBuilder

url, clients, each, library, version = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
pause = float(sys.argv[6]) if len(sys.argv) > 6 else 0
prefix, wrong = urlsplit(url).path, []


def asker():
    if library == "ring":
        client = httpr.Client(verify=False, http1_only=version == "1", timeout=15)
        return lambda path: client.get(url + path).content
    builder = SyncClientBuilder().danger_accept_invalid_certs(True).no_proxy()
    client = (builder.http1_only() if version == "1" else builder).timeout(timedelta(seconds=15)).build()
    return lambda path: bytes(client.get(url + path).build().send().bytes())


def ask(number):
    try:
        get = asker()
        for n in range(each):
            # Some answers are longer than a record.
            more = 40000 if n % 8 == 5 else n
            path = f"/{number}-{n}/{more}"
            if (answer := get(path)) != (prefix + path).encode() + b"." * more:
                wrong.append(f"{path}: {answer[:80]!r}")
            time.sleep(pause)
    except Exception as error:
        wrong.append(f"{number}: {error!r}")


threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if wrong:
    sys.exit("\n".join(wrong[:5]))
