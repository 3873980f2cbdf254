"""A gRPC server that calls an HTTP server in its handlers. Every call has a method of its own, `/shop.v1.Hop/R<number>`, which
makes it known on the wire. Threads, or asyncio if ASYNC is set."""

import asyncio
import os
import urllib.request
from concurrent import futures

import grpc

ADDRESS = "127.0.0.1:" + os.environ["PORT"]
DOWNSTREAM = os.environ["DOWNSTREAM"]


def url(request):
    return f"{DOWNSTREAM}/hop/{request.decode()}/1"


def hop(request, context):
    with urllib.request.urlopen(url(request)) as answer:
        return answer.read()


class AnyMethod(grpc.GenericRpcHandler):
    def __init__(self, handler):
        self.handler = grpc.unary_unary_rpc_method_handler(handler)

    def service(self, details):
        return self.handler


async def serve_async():
    from aiohttp import ClientSession

    async with ClientSession() as client:
        async def hop_async(request, context):
            async with client.get(url(request)) as answer:
                return await answer.read()

        server = grpc.aio.server()
        server.add_generic_rpc_handlers((AnyMethod(hop_async),))
        server.add_insecure_port(ADDRESS)
        await server.start()
        await server.wait_for_termination()


if os.environ.get("ASYNC"):
    asyncio.run(serve_async())
else:
    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((AnyMethod(hop),))
    server.add_insecure_port(ADDRESS)
    server.start()
    server.wait_for_termination()
