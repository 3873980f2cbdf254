"""redis-py on RESP3: a transaction, a pipeline of many commands, a script, a subscription, an error."""
import sys

import redis

client = redis.Redis(port=int(sys.argv[1]), protocol=3, single_connection_client=True)
client.set("key", "secret")
client.hset("hash", mapping={"a": "secret"})
client.hgetall("hash")
client.pipeline().incr("n").incr("n").execute()
with client.pipeline(transaction=False) as many:
    for number in range(100):
        many.set(f"key:{number}", "secret")
    many.execute()
client.eval("return ARGV[1]", 0, "secret")
try:
    client.execute_command("LPUSH", "key", "secret")
except redis.ResponseError:
    pass
client.blpop(["nothing"], timeout=0.1)
client.close()
