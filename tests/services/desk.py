"""A Flask application that sends tasks to Celery's workers, and that they call."""
import time

from flask import Flask

import jobs

app = Flask(__name__)


@app.get("/item/<int:number>")
def item(number):
    time.sleep(0.005)
    return f"{number}\n"


@app.get("/send/<task>/<int:first>/<int:count>")
def send(task, first, count):
    """Sends one task for each number, and tells their ids."""
    return "\n".join(getattr(jobs, task).delay(first + n).id for n in range(count))


@app.get("/workflow/<int:number>")
def workflow(number):
    jobs.workflow(number)
    return "sent\n"
