"""A gRPC server: unary, three kinds of streams, errors. Threads, or asyncio if ASYNC is set."""

import asyncio
import os
import time
from concurrent import futures

import grpc

ADDRESS = "127.0.0.1:" + os.environ["PORT"]


def one(request, context):
    if request == b"missing":
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
    if request == b"slow":
        time.sleep(1)
    return b"answer to " + request


def many(request, context):
    for n in range(5):
        yield b"item %d" % n


def gather(requests, context):
    return b"%d" % sum(1 for _ in requests)


def talk(requests, context):
    yield from requests


async def many_async(request, context):
    for item in many(request, context):
        yield item


async def one_async(request, context):
    if request == b"missing":
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
    if request == b"slow":
        await asyncio.sleep(1)
    return b"answer to " + request


def handlers(unary, items):
    return grpc.method_handlers_generic_handler("shop.v1.Stock", {
        "One": grpc.unary_unary_rpc_method_handler(unary),
        "Many": grpc.unary_stream_rpc_method_handler(items),
        "Gather": grpc.stream_unary_rpc_method_handler(gather),
        "Talk": grpc.stream_stream_rpc_method_handler(talk),
    })


async def serve_async():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers(one_async, many_async),))
    server.add_insecure_port(ADDRESS)
    await server.start()
    await server.wait_for_termination()


if os.environ.get("ASYNC"):
    asyncio.run(serve_async())
else:
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((handlers(one, many),))
    server.add_insecure_port(ADDRESS)
    server.start()
    server.wait_for_termination()
