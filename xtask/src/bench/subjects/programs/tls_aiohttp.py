"""The aiohttp application that `cargo xtask bench` asks by TLS."""

import ssl
import sys

from aiohttp import web

BODY = b"x" * 1024


async def answer(request):
    return web.Response(body=BODY)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
app = web.Application()
app.router.add_get("/{name:.*}", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), ssl_context=context, print=None)
