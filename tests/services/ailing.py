"""Django with its ORM on PostgreSQL, and `requests`: each ailment beside what does the same and is well."""
import os
import time

import django
import requests
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, models, transaction
from django.http import HttpResponse
from django.urls import path

DOWNSTREAM = os.environ["DOWNSTREAM"]
DATABASE = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "USER": "app", "HOST": "127.0.0.1",
            "PORT": os.environ["POSTGRES"], "CONN_MAX_AGE": None}

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of nothing", LOGGING_CONFIG=None, MIDDLEWARE=[],
                   DATABASES={"default": DATABASE}, USE_TZ=True)
django.setup()


class Customer(models.Model):
    name = models.TextField()

    class Meta:
        app_label, db_table = "shop", "customers"


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)

    class Meta:
        app_label, db_table = "shop", "bought"


def prepare():
    with connection.schema_editor() as editor:
        editor.create_model(Customer)
        editor.create_model(Order)
    for number in range(20):
        Order.objects.create(customer=Customer.objects.create(name=f"customer {number}"))


SESSION = requests.Session()


def names(orders):
    return [order.customer.name for order in orders]


def ask(numbers, session=SESSION):
    return [session.get(f"{DOWNSTREAM}/item/{number}", timeout=5).status_code for number in numbers]


def lazy():
    names(Order.objects.all())


def eager():
    names(Order.objects.select_related("customer"))


def few():
    names(Order.objects.all()[:5])


def page_by_page():
    for page in range(12):
        list(Order.objects.all()[page * 2:page * 2 + 2])


def each_item():
    ask(range(12))


def some_items():
    ask(range(4))


def polls():
    for _ in range(12):
        ask([7])
        time.sleep(0.03)


def again():
    for _ in range(4):
        list(Customer.objects.all())


def after_writing():
    for number in range(4):
        list(Customer.objects.all())
        Customer.objects.filter(pk=1).update(name=f"customer {number}")


def twice():
    for _ in range(2):
        list(Customer.objects.all())


def tries_again():
    for _ in range(3):
        if SESSION.get(f"{DOWNSTREAM}/status/503", timeout=5).ok:
            return None
    return 502


def passes_on():
    return SESSION.get(f"{DOWNSTREAM}/status/503", timeout=5).status_code


def swallows():
    SESSION.get(f"{DOWNSTREAM}/status/500", timeout=5)


def not_there():
    SESSION.get(f"{DOWNSTREAM}/status/404", timeout=5)


def another_server():
    if not SESSION.get(f"{DOWNSTREAM}/status/500", timeout=5).ok:
        ask([1])


def slow():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.6)")


def quick():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.05)")


def connects_each_time():
    ask(range(4), requests)


def connects_once():
    with requests.Session() as session:
        ask(range(4), session)


def expected_conflict():
    try:
        with transaction.atomic():
            Customer.objects.create(pk=1, name="is there")
    except django.db.IntegrityError:
        pass


SICK = {"lazy": lazy, "each_item": each_item, "again": again, "tries_again": tries_again, "swallows": swallows, "slow": slow,
        "connects_each_time": connects_each_time}
WELL = {"eager": eager, "few": few, "page_by_page": page_by_page, "some_items": some_items, "polls": polls,
        "after_writing": after_writing, "twice": twice, "passes_on": passes_on, "not_there": not_there,
        "another_server": another_server, "quick": quick, "connects_once": connects_once,
        "expected_conflict": expected_conflict}


def view(request, what):
    status = (SICK | WELL)[what]()
    return HttpResponse(what, status=status)


def ready(request):
    prepare()
    return HttpResponse("ready")


urlpatterns = [path("do/<slug:what>", view), path("prepare", ready)]
app = get_wsgi_application()
