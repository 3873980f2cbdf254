"""Celery on Redis: tasks, for whoever sends them and for the worker."""
import os

from celery import Celery

URL = f"redis://127.0.0.1:{os.environ['REDIS']}/0"
app = Celery("tasks", broker=URL, backend=URL)
app.conf.broker_connection_retry_on_startup = True


@app.task
def charge(number, card):
    if number == 0:
        raise ValueError("secret: nothing to charge")
    return number + 1
