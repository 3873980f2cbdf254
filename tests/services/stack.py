"""A Flask application on everything that such an application usually stands on, each by its usual client."""
import functools
import os

import pika
import psycopg
import pymysql
import redis
from flask import Flask
from pymemcache.client.base import Client
from sqlalchemy import create_engine, text

app = Flask(__name__)
HOST = "127.0.0.1"


def port(name):
    return int(os.environ[name])


@functools.cache
def postgres():
    return psycopg.connect(host=HOST, port=port("POSTGRES"), user="app", dbname="shop", autocommit=True)


@functools.cache
def engine():
    return create_engine(f"postgresql+psycopg://app@{HOST}:{port('POSTGRES')}/shop")


@functools.cache
def mariadb():
    return pymysql.connect(host=HOST, port=port("MARIADB"), user="app", password="hunter2", database="shop",
                           autocommit=True)


@functools.cache
def cache():
    return redis.Redis(host=HOST, port=port("REDIS"))


@functools.cache
def memcached():
    return Client((HOST, port("MEMCACHED")))


@functools.cache
def broker():
    channel = pika.BlockingConnection(pika.ConnectionParameters(HOST, port("RABBITMQ"))).channel()
    channel.queue_declare("parcels")
    return channel


@app.get("/warm")
def warm():
    """Opens every connection."""
    postgres().execute("SELECT 1")
    with engine().connect() as connection:
        connection.execute(text("SELECT 1"))
    mariadb().ping()
    cache().ping()
    memcached().get("warm")
    return "warm\n"


@app.get("/order/<int:number>")
def order(number):
    """One call or more to each."""
    postgres().execute(f"INSERT INTO orders VALUES ({number}, 'secret bean')")
    with engine().begin() as connection:
        connection.execute(text("SELECT name FROM orders WHERE id = :id"), {"id": number})
    with mariadb().cursor() as cursor:
        cursor.execute("INSERT INTO stock VALUES (%s, %s)", (number, "secret tea"))
        cursor.execute("SELECT * FROM stock WHERE name = 'secret tea'")
    cache().set(f"order:{number}", "secret jam")
    with cache().pipeline(transaction=False) as pipeline:
        pipeline.get(f"order:{number}").incr("orders").execute()
    memcached().set(f"order-{number}", b"secret milk", noreply=False)
    memcached().get(f"order-{number}")
    return "done\n"


@app.get("/wrong")
def wrong():
    """What each of them refuses, after order 7."""
    for error, attempt in (
        (psycopg.Error, lambda: postgres().execute("SELECT 'secret' FROM nowhere")),
        (pymysql.Error, lambda: mariadb().cursor().execute("SELECT 'secret' FROM nowhere")),
        (redis.RedisError, lambda: cache().execute_command("LPUSH", "order:7", "secret")),
    ):
        try:
            attempt()
        except error:
            continue
        raise AssertionError("it was not refused")
    return "refused\n"


@app.get("/prepared/<int:number>")
def prepared(number):
    """A statement that the server knows by a name."""
    return str(postgres().execute("SELECT %s::int + 41", (number,), prepare=True).fetchone()[0])


@app.get("/parcel/<name>")
def parcel(name):
    """Sends a message."""
    properties = pika.BasicProperties(message_id=name, content_type="text/plain")
    broker().basic_publish("", "parcels", b"secret parcel", properties)
    return "sent\n"


@app.get("/charge/<int:number>")
def charge(number):
    """Sends a task to a worker, and waits for its result."""
    from tasks import charge as task
    return str(task.delay(number, "secret card").get(timeout=20))
