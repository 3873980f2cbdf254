"""psycopg2: client-side parameters, a cursor on the server, COPY, a warning, an error, a cancelled query."""
import io
import sys
import threading

import psycopg2

connection = psycopg2.connect(host="127.0.0.1", port=int(sys.argv[1]), user="app", dbname="shop")
connection.autocommit = True
cursor = connection.cursor()
cursor.execute("CREATE TABLE psy (id int PRIMARY KEY, name text, data bytea, tags text[])")
cursor.execute("INSERT INTO psy VALUES (%s, %s, %s, %s)", (1, "secret", b"\x00secret\xff", ["secret", None]))
cursor.execute("INSERT INTO psy VALUES (%s, %s, %s, %s)", (2, None, None, None))
cursor.execute("SELECT id, repeat('secret', 200) FROM generate_series(1, 3000) AS id")
assert len(cursor.fetchall()) == 3000
try:
    cursor.execute("INSERT INTO psy VALUES (1, 'secret')")
except psycopg2.errors.UniqueViolation:
    pass
cursor.copy_expert("COPY psy (id, name) FROM STDIN", io.StringIO("".join(f"{n}\tsecret\n" for n in range(10, 500))))
cursor.copy_expert("COPY psy TO STDOUT", io.StringIO())
cursor.execute("DO $$ BEGIN RAISE WARNING 'secret'; END $$")
timer = threading.Timer(0.3, connection.cancel)
timer.start()
try:
    cursor.execute("SELECT pg_sleep(20)")
except psycopg2.errors.QueryCanceled:
    pass
timer.join()
connection.autocommit = False
with connection.cursor("rows") as rows:
    rows.itersize = 200
    rows.execute("SELECT * FROM psy")
    assert len(list(rows)) == 492
connection.commit()
connection.close()
