"""pymemcache: a few commands in one write, many in one, several keys of one command, an error."""
import sys

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheClientError

client = Client(("127.0.0.1", int(sys.argv[1])), default_noreply=False)
client.set("key", b"secret")
client.set_many({f"few:{n}": b"secret" for n in range(5)})
assert not client.set_many({f"many:{n}": b"secret" for n in range(100)})
assert client.get_many(["many:1", "many:99", "missing"]) == {"many:1": b"secret", "many:99": b"secret"}
try:
    client.incr("key", 1)
except MemcacheClientError:
    pass
client.close()
