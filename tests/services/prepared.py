"""Runs a statement that it prepared earlier: `prepared.py PORT`. Waits until the file `go` is in the working directory."""

import pathlib
import sys
import time

import psycopg

with psycopg.connect(host="127.0.0.1", port=int(sys.argv[1]), user="app", dbname="shop", autocommit=True) as connection:
    def run():
        connection.execute("SELECT name FROM orders WHERE id = %s", (1,), prepare=True).fetchall()

    run()
    run()
    print("waiting", flush=True)
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    for _ in range(4):
        run()
