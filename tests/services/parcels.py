"""Takes as many messages as it is told from RabbitMQ, settles them, and ends."""
import sys

import pika

channel = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1]))).channel()
channel.queue_declare("parcels")
for method, _, _ in channel.consume("parcels"):
    channel.basic_ack(method.delivery_tag)
    if method.delivery_tag == int(sys.argv[2]):
        break
channel.connection.close()
