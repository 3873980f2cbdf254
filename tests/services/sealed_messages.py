# sealed_messages.py PORT: sends a message to a broker over TLS, and takes it from there.
import ssl
import sys

import pika

trust = ssl.create_default_context(cafile="cert.pem")
options = pika.SSLOptions(trust, "localhost")
connection = pika.BlockingConnection(pika.ConnectionParameters("localhost", int(sys.argv[1]), ssl_options=options))
channel = connection.channel()
channel.queue_declare("sealed", exclusive=True)
channel.basic_publish("", "sealed", b"not for everybody")
for method, _, body in channel.consume("sealed", inactivity_timeout=10):
    assert body == b"not for everybody", body
    channel.basic_ack(method.delivery_tag)
    break
connection.close()
