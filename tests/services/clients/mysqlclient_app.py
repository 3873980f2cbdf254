"""mysqlclient: text queries, an error, another user, a large result, several results."""
import sys

import MySQLdb

connection = MySQLdb.connect(host="127.0.0.1", port=int(sys.argv[1]), user="app", password="hunter2", database="shop")
connection.autocommit(True)
cursor = connection.cursor()
cursor.execute("CREATE TABLE myc (id int PRIMARY KEY, name text, data blob)")
cursor.execute("INSERT INTO myc VALUES (%s, %s, %s)", (1, "secret", b"\x00secret\xff"))
cursor.executemany("INSERT INTO myc VALUES (%s, %s, %s)", [(n, None, None) for n in range(2, 5)])
try:
    cursor.execute("INSERT INTO myc VALUES (1, 'secret', NULL)")
except MySQLdb.IntegrityError:
    pass
cursor.execute("SELECT REPEAT('secret', 4000) FROM myc")
assert len(cursor.fetchall()) == 4
connection.change_user("app", "hunter2", "shop")
connection.ping()
connection.close()
