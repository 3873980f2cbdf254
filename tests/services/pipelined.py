"""Sends statements without waiting for the answers in between: `pipelined.py PORT STATEMENTS BYTES`."""

import sys

import psycopg

port, statements, size = (int(argument) for argument in sys.argv[1:])
with psycopg.connect(host="127.0.0.1", port=port, user="app", dbname="shop", autocommit=True) as connection:
    with connection.pipeline():
        for number in range(statements):
            connection.execute("INSERT INTO orders VALUES (%s, %s)", (number, "x" * size))
