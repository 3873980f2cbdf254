"""Django with httpx's blocking client, under gunicorn's threaded workers. Background work is a thread pool's."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from blocking import Hops

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of nothing",
    LOGGING_CONFIG=None,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # sets Content-Length
)

clients = {"usual": httpx.Client(timeout=60), "pool": httpx.Client(timeout=60, limits=httpx.Limits(max_connections=2))}
executor = ThreadPoolExecutor(max_workers=16)


def get(url, client):
    return clients[client].get(url).status_code


def background(seconds, function, arguments):
    def later():
        time.sleep(seconds)
        function(*arguments)

    executor.submit(later)


hops = Hops(get, background)


def ready(request):
    return HttpResponse("ready\n", content_type="text/plain")


def serve(incoming, request, hop):
    status = hops.serve(request, hop, incoming.GET)
    return HttpResponse("django\n", status=status, content_type="text/plain")


urlpatterns = [path("ready", ready), path("hop/<int:request>/<str:hop>", serve)]
app = get_wsgi_application()
