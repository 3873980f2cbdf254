"""psycopg: rows of one statement, of which the third is there already: `failing_rows.py PORT`."""
import sys

import psycopg

with psycopg.connect(host="127.0.0.1", port=int(sys.argv[1]), user="app", dbname="shop", autocommit=True) as connection:
    try:
        connection.cursor().executemany("INSERT INTO orders VALUES (%s, %s)", [(n, "secret") for n in (1, 2, 1, 3)])
    except psycopg.errors.UniqueViolation:
        pass
