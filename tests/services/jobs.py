"""Celery tasks that do something: call a service, fail, try again, send other tasks."""
import functools
import os
import time

import psycopg
import redis
import requests
from celery import Celery, chain, chord

app = Celery("jobs", broker=os.environ["BROKER"], backend=os.environ.get("BACKEND"))
app.conf.broker_connection_retry_on_startup = True
app.conf.task_track_started = os.environ.get("TRACK_STARTED") == "1"
app.conf.task_acks_late = os.environ.get("ACKS_LATE") == "1"
DESK = os.environ.get("DESK", "")


def item(number):
    return requests.get(f"{DESK}/item/{number}", timeout=15).text


@app.task
def fetch(number):
    """Two calls, with some time between them."""
    item(number)
    time.sleep(number % 3 / 100)
    item(number)
    return number


@functools.cache
def postgres():
    return psycopg.connect(host="127.0.0.1", port=int(os.environ["POSTGRES"]), user="app", dbname="shop",
                           autocommit=True)


@functools.cache
def store():
    return redis.Redis(host="127.0.0.1", port=int(os.environ["STORE"]))


@app.task
def order(number):
    """A call of each kind."""
    item(number)
    postgres().execute(f"INSERT INTO orders VALUES ({number}, 'secret bean')")
    store().incr("orders")
    return number


@app.task(ignore_result=True)
def forget(number):
    item(number)


@app.task
def fail(number):
    item(number)
    raise KeyError("secret")


@app.task(bind=True)
def again(self, number):
    item(number + self.request.retries)
    if self.request.retries < 1:
        raise self.retry(countdown=1)
    return number


@app.task
def parent(number):
    """Sends a task, and goes on for some time."""
    item(number)
    fetch.delay(number + 1)
    time.sleep(1.5)
    return number


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def die(number):
    item(number)
    os._exit(1)


@app.task(time_limit=1)
def endless(number):
    item(number)
    time.sleep(30)


def workflow(number):
    """A chain of two, and a chord of three."""
    line = chain(fetch.s(number), fetch.si(number + 1))
    harp = chord([fetch.s(number + n) for n in (2, 3, 4)], total.s())
    return line.delay(), harp.delay()
