"""aio-pika: publishes with confirmation, gets, consumes."""
import asyncio
import sys

import aio_pika


async def main():
    connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{sys.argv[1]}/")
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("boxes", auto_delete=False)
        for name in ("first", "second"):
            message = aio_pika.Message(b"secret box", message_id=name)
            await channel.default_exchange.publish(message, routing_key="boxes")
        got = await queue.get()
        await got.ack()
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    break
        try:
            await channel.default_exchange.publish(aio_pika.Message(b"secret", message_id="third"), routing_key="nowhere")
        except aio_pika.exceptions.DeliveryError:
            pass


asyncio.run(main())
