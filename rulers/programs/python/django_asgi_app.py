"""Django's coroutines under an ASGI server, with httpx. Background work is a task."""

import asyncio

import httpx
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

from asynchronous import Hops

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of nothing",
    LOGGING_CONFIG=None,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # sets Content-Length
)

clients = {
    "usual": httpx.AsyncClient(timeout=60),
    "pool": httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=2)),
}
have, tasks = {}, set()


async def get(url, client):
    return (await clients[client].get(url)).status_code


def background(coroutine):
    task = asyncio.create_task(coroutine)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def ready(request):
    return HttpResponse("ready\n", content_type="text/plain")


async def serve(incoming, request, hop):
    if "hops" not in have:  # which needs the loop
        have["hops"] = Hops(get)
    status = await have["hops"].serve(request, hop, incoming.GET, background)
    return HttpResponse("django\n", status=status, content_type="text/plain")


urlpatterns = [path("ready", ready), path("hop/<int:request>/<str:hop>", serve)]
app = get_asgi_application()
