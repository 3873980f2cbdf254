"""redis-py: a pipeline of so many commands, of which the middle one fails: `pipeline.py PORT COUNT`."""
import sys

import redis

port, count = int(sys.argv[1]), int(sys.argv[2])
client = redis.Redis(port=port)
with client.pipeline(transaction=False) as many:
    for number in range(count):
        if number == count // 2:
            many.lpush("key:0", "secret")
        else:
            many.set(f"key:{number}", "secret")
    replies = many.execute(raise_on_error=False)
assert sum(isinstance(reply, redis.ResponseError) for reply in replies) == 1
client.close()
