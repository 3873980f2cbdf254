"""A pytest plugin: writes a line `OUTCOME TEST` for each test into the file that OUTCOMES names."""
import os

FILE = open(os.environ["OUTCOMES"], "w", buffering=1)
WORST = {}
ORDER = ["passed", "skipped", "failed", "error"]


def pytest_runtest_logreport(report):
    outcome = report.outcome
    if outcome == "failed" and report.when != "call":
        outcome = "error"
    WORST[report.nodeid] = max(WORST.get(report.nodeid, "passed"), outcome, key=ORDER.index)
    if report.when == "teardown":
        print(WORST.pop(report.nodeid), report.nodeid, file=FILE)
