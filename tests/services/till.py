"""A gRPC server with credentials: every call has a method of its own, `/bank.Till/R<number>`, and is answered with its request."""

import sys
from concurrent import futures

import grpc


class AnyMethod(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)


with open("key.pem", "rb") as key, open("cert.pem", "rb") as certificate:
    credentials = grpc.ssl_server_credentials([(key.read(), certificate.read())])
server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
server.add_generic_rpc_handlers([AnyMethod()])
server.add_secure_port(f"127.0.0.1:{sys.argv[1]}", credentials)
server.start()
server.wait_for_termination()
