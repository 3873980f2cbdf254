"""Django under an ASGI server: a view that is a coroutine, and one that is not and runs in a thread."""
import os

import httpx
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.urls import path

DOWNSTREAM = os.environ["DOWNSTREAM"]
client = httpx.AsyncClient(limits=httpx.Limits(max_connections=256))
blocking_client = httpx.Client(limits=httpx.Limits(max_connections=256))

settings.configure(ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__, SECRET_KEY="of nothing", LOGGING_CONFIG=None,
                   MIDDLEWARE=["django.middleware.common.CommonMiddleware"])


async def hop(request, number):
    for n in (1, 2):
        await client.get(f"{DOWNSTREAM}/hop/{number}/{n}")
    return HttpResponse()


def in_a_thread(request, number):
    for n in (1, 2):
        blocking_client.get(f"{DOWNSTREAM}/hop/{number}/{n}")
    return HttpResponse()


urlpatterns = [path("hop/<int:number>/0", hop), path("sync/<int:number>/0", in_a_thread)]
app = get_asgi_application()
