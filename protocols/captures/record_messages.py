#!/usr/bin/env python3
"""Records golden captures of messaging (AMQP, Celery): see README.md beside this file."""

import asyncio
import datetime
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from record import DEADLINE, HERE, Recorder, free_port

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SCENARIOS = {}


class Relay(Recorder):
    """Lets any number of connections through and notes what passes on each."""

    def __init__(self, port):
        self.connections = []
        super().__init__(port)

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            operations = []
            self.connections.append(operations)
            for ends in ((client, server, "request"), (server, client, "response")):
                threading.Thread(target=self.note, args=(*ends, operations), daemon=True).start()

    def note(self, source, sink, direction, operations):
        try:
            while data := source.recv(262144):
                with self.lock:
                    operations.append([direction, data.decode("latin-1")])
                    sink.sendall(data)
        except OSError:
            pass
        with self.lock:
            operations.append(["end", direction])
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def scenario(name, client, exchanges, nth=0, protocol="amqp", holds=""):
    """The decorated function is the client: it is given the relay and a work directory. Of the connections that it
    opens and that hold this text, the `nth` is kept."""
    def register(run):
        SCENARIOS[name] = (run, client, exchanges, nth, protocol, holds)
        return run
    return register


def versions(*packages):
    from importlib.metadata import version
    return ", ".join(f"{package} {version(package)}" for package in packages)


def wait(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"in vain: {what}")
        time.sleep(0.05)


# ---- pika --------------------------------------------------------------------------------------------------------

def pika_connection(relay, **options):
    import pika
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", relay.port, **options))


@scenario("pika-publish", "pika", [
    "producer publish orders", "producer publish orders", "producer publish logs", "client receive orders",
    "client receive orders", "client receive orders"])
def pika_publish(relay, work):
    import pika
    connection = pika_connection(relay)
    channel = connection.channel()
    channel.queue_declare("orders", exclusive=True)
    channel.exchange_declare("logs", "fanout", auto_delete=True)
    channel.basic_publish("", "orders", b"first", pika.BasicProperties(message_id="m-1", content_type="text/plain"))
    channel.basic_publish("", "orders", b"", pika.BasicProperties(
        correlation_id="c-2", headers={"traceparent": TRACEPARENT, "n": 7, "nested": {"list": [1, None, True]}}))
    channel.basic_publish("logs", "", b"nobody listens")
    for _ in range(3):
        channel.basic_get("orders", auto_ack=True)
    connection.close()


@scenario("pika-confirm", "pika", [
    "producer publish shop:order.created", "producer publish nowhere error no-route", "producer publish shop:order.paid"])
def pika_confirm(relay, work):
    import pika
    connection = pika_connection(relay)
    channel = connection.channel()
    channel.exchange_declare("shop", "topic", auto_delete=True)
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "shop", "order.#")
    channel.confirm_delivery()
    channel.basic_publish("shop", "order.created", b"{}", mandatory=True)
    try:
        channel.basic_publish("", "nowhere", b"lost", mandatory=True)
        raise RuntimeError("not returned")
    except pika.exceptions.UnroutableError:
        pass
    channel.basic_publish("shop", "order.paid", b"{}", pika.BasicProperties(delivery_mode=2, priority=3, type="t"))
    connection.close()


@scenario("pika-consume", "pika", [
    "producer publish jobs", "producer publish jobs", "producer publish jobs", "consumer process jobs",
    "consumer process jobs error nack", "consumer process jobs error reject", "producer publish jobs",
    "consumer process jobs"])
def pika_consume(relay, work):
    connection = pika_connection(relay)
    channel = connection.channel()
    channel.queue_declare("jobs", exclusive=True)
    channel.basic_qos(prefetch_count=1)
    for n in range(3):
        channel.basic_publish("", "jobs", b"job %d" % n)
    seen = []

    def work_on(channel, method, properties, body):
        seen.append(body)
        if len(seen) == 1:
            channel.basic_ack(method.delivery_tag)
        elif len(seen) == 2:
            channel.basic_nack(method.delivery_tag, requeue=False)
        else:
            channel.basic_reject(method.delivery_tag, requeue=False)
            channel.stop_consuming()

    channel.basic_consume("jobs", work_on)
    channel.start_consuming()
    # Settled as it is sent.
    channel.basic_publish("", "jobs", b"once more")
    channel.basic_consume("jobs", lambda channel, *_: channel.stop_consuming(), auto_ack=True)
    channel.start_consuming()
    connection.close()


@scenario("pika-large", "pika", ["producer publish large", "client receive large", "producer publish large"])
def pika_large(relay, work):
    connection = pika_connection(relay, frame_max=4096)
    channel = connection.channel()
    channel.queue_declare("large", exclusive=True)
    channel.basic_publish("", "large", b"0123456789" * 1000)
    channel.basic_get("large", auto_ack=True)
    channel.basic_publish("", "large", b"small")
    connection.close()


@scenario("pika-refused", "pika", ["producer publish nowhere:k error not-found", "producer publish q"])
def pika_refused(relay, work):
    import pika
    connection = pika_connection(relay)
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        channel.basic_publish("nowhere", "k", b"x")
        raise RuntimeError("not refused")
    except pika.exceptions.ChannelClosedByBroker:
        pass
    channel = connection.channel()
    channel.queue_declare("q", exclusive=True)
    channel.confirm_delivery()
    channel.basic_publish("", "q", b"x")
    connection.close()


@scenario("pika-breaks", "pika", ["producer publish fragile", "consumer process fragile error connection_closed"])
def pika_breaks(relay, work):
    # Long enough for heartbeats, then gone without a word.
    script = """if True:
        import os, pika, sys
        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1]), heartbeat=1))
        channel = connection.channel()
        channel.queue_declare("fragile", exclusive=True)
        channel.basic_publish("", "fragile", b"x")
        next(channel.consume("fragile"))
        connection.process_data_events(2)
        os._exit(0)"""
    subprocess.run([sys.executable, "-c", script, str(relay.port)], check=True, timeout=DEADLINE)


# ---- aio-pika ----------------------------------------------------------------------------------------------------

@scenario("aio-pika-rpc", "aio-pika", [
    "producer publish rpc", "consumer process rpc", "producer publish", "consumer process"])
def aio_pika_rpc(relay, work):
    import aio_pika

    async def run():
        connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{relay.port}/")
        async with connection:
            channel = await connection.channel()
            requests = await channel.declare_queue("rpc", exclusive=True)
            replies = await channel.declare_queue(exclusive=True)
            answered = asyncio.get_running_loop().create_future()

            async def serve(message):
                async with message.process():
                    await channel.default_exchange.publish(
                        aio_pika.Message(b"pong", correlation_id=message.correlation_id), message.reply_to)

            async def answer(message):
                await message.ack()
                answered.set_result(message.body)

            await requests.consume(serve)
            await replies.consume(answer)
            await channel.default_exchange.publish(
                aio_pika.Message(b"ping", correlation_id="call-1", reply_to=replies.name), "rpc")
            assert await answered == b"pong"
    asyncio.run(run())


# ---- Celery ------------------------------------------------------------------------------------------------------

TASKS = """
import os
from celery import Celery
app = Celery("shop", broker=os.environ["BROKER"], backend=os.environ.get("BACKEND") or None)
app.conf.update(task_acks_late=bool(os.environ.get("LATE")), task_default_queue=os.environ["QUEUE"],
                worker_enable_remote_control=False, broker_connection_retry_on_startup=True, worker_send_task_events=False,
                task_protocol=int(os.environ.get("PROTOCOL", 2)), task_queue_max_priority=None, worker_prefetch_multiplier=1)

@app.task(name="shop.add")
def add(a, b):
    return a + b

@app.task(name="shop.fail")
def fail(text):
    raise ValueError(text)

@app.task(name="shop.flaky", bind=True, max_retries=1)
def flaky(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return "at last"
"""


def celery(relay, work, send, workers=0, scheme="amqp://guest:guest@127.0.0.1:{}//", **environment):
    """Runs `send` in a process of its own against TASKS, and a worker (`--pool solo`) if asked."""
    (work / "tasks.py").write_text(TASKS)
    queue = f"celery-{os.getpid()}-{free_port()}"
    environment = {**os.environ, "QUEUE": queue, "PYTHONPATH": str(work), **environment}
    direct, through = (scheme.format(port) for port in (relay.target, relay.port))
    worker = None
    try:
        if workers:
            worker = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "solo", "--without-gossip",
                 "--without-mingle", "--without-heartbeat", "-n", f"w{queue}@host", "-l", "WARNING"],
                env={**environment, "BROKER": through}, cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        sender = direct if workers else through
        subprocess.run([sys.executable, "-c", f"from tasks import *\n{send}"], env={**environment, "BROKER": sender},
                       cwd=work, check=True, timeout=60)
    finally:
        if worker:
            worker.send_signal(signal.SIGTERM)
            worker.wait(60)


@scenario("celery-publish", "celery", ["producer apply_async/shop.add", "producer apply_async/shop.fail"])
def celery_publish(relay, work):
    celery(relay, work, "add.delay(1, 2)\nfail.apply_async(('no',), countdown=60, headers={'traceparent': '%s'})" % TRACEPARENT)


@scenario("celery-publish-protocol1", "celery", ["producer apply_async/shop.add"])
def celery_publish_1(relay, work):
    celery(relay, work, "add.delay(1, 2)", PROTOCOL="1")


SEND = "for task in (add.delay(1, 2), fail.delay('no'), flaky.delay()):\n    task.get(timeout=30, propagate=False)"


@scenario("celery-worker", "celery", [
    "consumer receive/shop.add", "consumer receive/shop.fail", "consumer receive/shop.flaky", "consumer receive/shop.flaky"])
def celery_worker(relay, work):
    celery(relay, work, SEND, workers=1, BACKEND="rpc://")


@scenario("celery-worker-results", "celery", [
    "producer publish {uuid} SUCCESS", "producer publish {uuid} FAILURE", "producer apply_async/shop.flaky",
    "producer publish {uuid} RETRY", "producer publish {uuid} SUCCESS"], nth=1)
def celery_results(relay, work):
    celery(relay, work, SEND, workers=1, BACKEND="rpc://", LATE="1")


REDIS = {"scheme": "redis://127.0.0.1:{}/0", "BACKEND": "redis://127.0.0.1:{}/0"}


def celery_redis(relay, work, send, **options):
    backend = REDIS["BACKEND"].format(relay.port)
    celery(relay, work, send, scheme=REDIS["scheme"], BACKEND=backend, **options)


@scenario("redis-publish", "celery", ["publish shop.add", "publish shop.fail"], protocol="celery", holds="LPUSH")
def redis_publish(relay, work):
    celery_redis(relay, work, "add.delay(1, 2)\nfail.apply_async(('no',), countdown=60, priority=9, "
                              "headers={'traceparent': '%s'})" % TRACEPARENT)


@scenario("redis-publish-protocol1", "celery", ["publish shop.add"], protocol="celery", holds="LPUSH")
def redis_publish_1(relay, work):
    celery_redis(relay, work, "add.delay(1, 2)", PROTOCOL="1")


@scenario("redis-worker", "celery", [
    "receive shop.add", "receive shop.fail", "receive shop.flaky", "receive shop.flaky"],
    protocol="celery", holds="BRPOP")
def redis_worker(relay, work):
    celery_redis(relay, work, SEND, workers=1)


@scenario("redis-results", "celery", [
    "SUCCESS", "FAILURE builtins.ValueError", "RETRY", "SUCCESS"],
    protocol="celery", holds="SETEX")
def redis_results(relay, work):
    celery_redis(relay, work, SEND, workers=1)


# ---- Redis -------------------------------------------------------------------------------------------------------

class Redis:
    """A Redis of our own on loopback."""

    def __enter__(self):
        self.port = free_port()
        self.version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True)
        self.version = "Redis " + self.version.stdout.split("v=")[1].split()[0]
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait(lambda: listens(self.port), "Redis starts")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


# ---- RabbitMQ ----------------------------------------------------------------------------------------------------

class Rabbit:
    """A broker of our own on loopback."""

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        work, (self.port, dist, epmd) = pathlib.Path(self.directory.name), (free_port() for _ in range(3))
        (work / "plugins").write_text("[].")
        home = next(pathlib.Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
        self.version = home.name.replace("rabbitmq_server-", "RabbitMQ ")
        self.environment = {
            **os.environ, "HOME": str(work), "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(epmd),
            "RABBITMQ_NODENAME": f"capture{self.port}@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port), "RABBITMQ_DIST_PORT": str(dist),
            "RABBITMQ_MNESIA_BASE": str(work / "mnesia"), "RABBITMQ_LOG_BASE": str(work / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(work / "plugins"), "RABBITMQ_CONFIG_FILE": str(work / "none"),
        }
        self.process = subprocess.Popen([home / "sbin/rabbitmq-server"], env=self.environment, start_new_session=True,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait(lambda: listens(self.port), "RabbitMQ starts")
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(60)
        # Its port mapper stays behind, and refuses to go while it still lists the node.
        epmd = self.environment["ERL_EPMD_PORT"]
        def gone():
            subprocess.run(["epmd", "-port", epmd, "-kill"], env=self.environment, capture_output=True)
            return not listens(int(epmd))
        wait(gone, "epmd ends")
        self.directory.cleanup()


def record(name, server):
    run, client, exchanges, nth, protocol, holds = SCENARIOS[name]
    with tempfile.TemporaryDirectory() as directory:
        relay = Relay(server.port)
        run(relay, pathlib.Path(directory))
    kept = [c for c in relay.connections if any(holds in text for _, text in c)]
    connection = kept[nth]
    wait(lambda: sum(what == "end" for what, _ in connection) == 2, f"{name} ends")
    relay.listener.close()
    with relay.lock:
        capture = {
            "client": versions(client, "amqp", "redis") if client == "celery" else versions(client),
            "server": server.version, "recorded": datetime.date.today().isoformat(), "exchanges": exchanges,
            "operations": connection,
        }
    text = json.dumps(capture, indent=1).replace("[\n   ", "[").replace(",\n   ", ", ").replace("\n  ]", "]")
    (HERE / protocol).mkdir(exist_ok=True)
    (HERE / protocol / f"{name}.json").write_text(text + "\n")
    print(f"{name}: {len(connection)} operations, {sum(len(t) for w, t in connection if w != 'end')} bytes", flush=True)


if __name__ == "__main__":
    wanted = sys.argv[1:] or list(SCENARIOS)
    for protocol, broker in (("amqp", Rabbit), ("celery", Redis)):
        if names := [name for name in wanted if SCENARIOS[name][4] == protocol]:
            with broker() as server:
                for name in names:
                    record(name, server)
