# HTTPS on asyncio, whose TLS is between memory and memory: answers with its path.
import asyncio
import ssl
import sys


async def serve(reader, writer):
    while head := await reader.readline():
        path = head.split()[1]
        while (await reader.readline()).strip():
            pass
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))
        await writer.drain()
    writer.close()


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("cert.pem", "key.pem")
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), ssl=context, backlog=512)
    await server.serve_forever()


asyncio.run(main())
