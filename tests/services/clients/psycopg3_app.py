"""psycopg 3: parameters on the server, a pipeline, a batch, COPY, notifications."""
import sys

import psycopg

with psycopg.connect(host="127.0.0.1", port=int(sys.argv[1]), user="app", dbname="shop", autocommit=True) as connection:
    connection.execute("CREATE TABLE psy3 (id int PRIMARY KEY, data bytea)")
    connection.execute("INSERT INTO psy3 VALUES (%s, %b)", (1, b"\x00secret"))
    with connection.pipeline():
        connection.execute("INSERT INTO psy3 VALUES (%s, %s)", (2, None))
        connection.execute("SELECT * FROM psy3 WHERE id = ANY(%s)", ([1, 2],))
        connection.execute("DELETE FROM psy3 WHERE id = %s", (2,))
    connection.cursor().executemany("UPDATE psy3 SET data = %s WHERE id = %s", [(b"secret", n) for n in range(500)])
    with connection.cursor().copy("COPY psy3 (id) FROM STDIN") as copy:
        for number in range(100, 2000):
            copy.write_row((number,))
    connection.execute("LISTEN news")
    connection.execute("NOTIFY news, 'secret'")
    assert len(list(connection.cursor().stream("SELECT id FROM psy3"))) == 1901
