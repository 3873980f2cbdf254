"""A Flask application with OpenTelemetry's SDK, which instruments its server and its client.

PROTOCOL is grpc or http/protobuf; each request of /order/N calls DOWNSTREAM/hop/N/1, if that is given.
"""
import os

import requests
from flask import Flask
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if os.environ["PROTOCOL"] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

provider = TracerProvider(resource=Resource.create({"service.name": "sdk-shop", "deployment.environment.name": "test"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=100))
trace.set_tracer_provider(provider)

app = Flask(__name__)
FlaskInstrumentor().instrument_app(app)
RequestsInstrumentor().instrument()
downstream = os.environ.get("DOWNSTREAM")


@app.get("/warm")
def warm():
    return "warm\n"


@app.get("/order/<int:number>")
def order(number):
    with trace.get_tracer("shop.own").start_as_current_span("price") as span:
        span.set_attribute("numbers", [1, 2, 3])
        span.add_event("looked up", {"rows": 2})
    return requests.get(f"{downstream}/hop/{number}/1", timeout=10).text if downstream else "order\n"


app.run(host="127.0.0.1", port=int(os.environ["PORT"]), threaded=True)
