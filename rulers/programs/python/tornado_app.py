"""Tornado, server and client, whose client has ten connections and makes those wait that come then. Background work is a callback
of the loop."""

import asyncio
import os

from tornado.httpclient import AsyncHTTPClient, HTTPError
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from asynchronous import Hops


class Ready(RequestHandler):
    def get(self):
        self.write("ready\n")


class Serve(RequestHandler):
    async def get(self, request, hop):
        parameters = {name: values[0].decode() for name, values in self.request.query_arguments.items()}
        self.set_header("Content-Type", "text/plain")
        self.set_status(await self.application.hops.serve(request, hop, parameters, background))
        self.write("tornado\n")


def background(coroutine):
    async def run():
        await coroutine

    IOLoop.current().add_callback(run)


async def main():
    limits = {"defaults": {"request_timeout": 60, "connect_timeout": 60}}
    clients = {
        "usual": AsyncHTTPClient(force_instance=True, **limits),
        "pool": AsyncHTTPClient(force_instance=True, max_clients=2, **limits),
    }

    async def get(url, client):
        try:
            return (await clients[client].fetch(url)).code
        except HTTPError as error:
            return error.code

    application = Application([(r"/ready", Ready), (r"/hop/(\d+)/([\d.]+)", Serve)])
    application.hops = Hops(get)
    application.listen(int(os.environ["PORT"]), "127.0.0.1", backlog=1024)
    await asyncio.Event().wait()


asyncio.run(main())
