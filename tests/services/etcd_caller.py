"""Calls etcd with grpcio: `etcd_caller.py PORT`. Makes some calls, waits until the file `go` is in the working directory, makes
them again on the same connection, and leaves a watch of which something had come.
"""

import pathlib
import sys
import time

import grpc

channel = grpc.insecure_channel("127.0.0.1:" + sys.argv[1])


def call(method, message):
    try:
        channel.unary_unary("/etcdserverpb." + method)(message)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error


def calls():
    call("KV/Put", b"\n\x01a\x12\x01b")
    call("KV/Range", b"\n\x01a")
    call("Lease/LeaseRevoke", b"\x08\x7b")


def watch():
    asked = [b"\n\x03\n\x01a"]
    stream = channel.stream_stream("/etcdserverpb.Watch/Watch")(iter(lambda: asked.pop() if asked else time.sleep(0.05) or b"", None))
    next(stream)
    stream.cancel()


calls()
print("waiting", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.01)
calls()
calls()
watch()
time.sleep(0.1)
channel.close()
