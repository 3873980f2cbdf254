"""A gRPC server that answers every unary call with its request."""
import asyncio
import sys

import grpc


async def echo(request, context):
    return request


class AnyMethod(grpc.GenericRpcHandler):
    handler = grpc.unary_unary_rpc_method_handler(echo)

    def service(self, details):
        return self.handler


async def serve():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((AnyMethod(),))
    server.add_insecure_port(sys.argv[1])
    await server.start()
    await server.wait_for_termination()


asyncio.run(serve())
