"""Tornado, as server and as client: more requests at a time than its client makes calls, so that these wait for each other."""
import asyncio
import os
import sys

from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

DOWNSTREAM = os.environ["DOWNSTREAM"]


class Hop(RequestHandler):
    async def get(self, number):
        await AsyncHTTPClient().fetch(f"{DOWNSTREAM}/hop/{number}/1")
        await AsyncHTTPClient().fetch(f"{DOWNSTREAM}/hop/{number}/2")


async def main():
    Application([(r"/hop/(\d+)/0", Hop)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
