#!/usr/bin/env python3
"""Records golden captures of databases: see README.md beside this file."""

import datetime
import json
import pathlib
import sys
import tempfile

from databases import memcached, mysql, postgresql, redis  # noqa: F401  each registers its scenarios
from databases.common import DEADLINE, HERE, SCENARIOS, SERVERS, Relay


def record(name, port, work):
    run, client, exchanges, leaves, server, nth = SCENARIOS[name]
    recorder = Relay(port, nth)
    home = work / name.replace("/", "-")
    home.mkdir()
    run(recorder, home)
    recorder.thread.join(DEADLINE)
    capture = {
        "client": client(), "server": SERVERS[server][1](), "recorded": datetime.date.today().isoformat(),
        "leaves": leaves, "exchanges": exchanges, "operations": recorder.operations,
    }
    text = json.dumps(capture, indent=1).replace("[\n   ", "[").replace(",\n   ", ", ").replace("\n  ]", "]")
    (HERE / f"{name}.json").parent.mkdir(exist_ok=True)
    (HERE / f"{name}.json").write_text(text + "\n")
    print(f"{name}: {len(recorder.operations)} operations", flush=True)


if __name__ == "__main__":
    chosen = [name for name in SCENARIOS if not sys.argv[1:] or any(name.startswith(a) for a in sys.argv[1:])]
    for kind in dict.fromkeys(SCENARIOS[name][4] for name in chosen):
        with tempfile.TemporaryDirectory() as directory:
            work = pathlib.Path(directory)
            work.chmod(0o777)
            with SERVERS[kind][0](work) as port:
                for name in chosen:
                    if SCENARIOS[name][4] == kind:
                        record(name, port, work)
