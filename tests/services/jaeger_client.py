"""Asks a Jaeger query API through jaeger-mcp's client, which nobody here wrote, and prints what it understood as JSON.

Arguments: URL, service, operation, a trace id, a tag as key=value.
"""

import dataclasses
import json
import sys

from jaeger_mcp import JaegerClient

url, service, operation, trace_id, tag = sys.argv[1:]
key, value = tag.split("=", 1)
client = JaegerClient.from_env(url=url, token="")


def ids(**query):
    return [trace.trace_id for trace in client.search_traces(service, **query)]


trace = client.get_trace(trace_id)
answer = {
    "services": client.list_services(),
    "by_operation": ids(operation=operation),
    "by_other_operation": ids(operation="no such operation"),
    "by_tag": ids(tags={key: value}),
    "by_other_tag": ids(tags={key: value + "x"}),
    "by_error": ids(tags={"error": "true"}),
    "by_duration": ids(min_duration="1us", max_duration="60s"),
    "too_long": ids(min_duration="60s"),
    "summary": dataclasses.asdict(client.search_traces(service, operation=operation)[0]),
    "trace": dataclasses.asdict(trace),
    "dependencies": [dataclasses.asdict(edge) for edge in client.get_dependencies()],
    "critical_path": client.critical_path(trace_id),
    "statistics": dataclasses.asdict(client.span_statistics(service)),
}
try:
    client.get_trace("0123456789abcdef0123456789abcdef")
    answer["unknown"] = "found"
except Exception as error:
    answer["unknown"] = getattr(getattr(error, "response", None), "status_code", repr(error))
print(json.dumps(answer, default=str))
