"""Is killed while a call of a database is under way: `leaver.py postgres|mariadb|redis PORT`."""

import os
import signal
import sys
import time


def postgres(port):
    import psycopg
    connection = psycopg.connect(host="127.0.0.1", port=port, user="app", dbname="shop")
    connection.pgconn.send_query(b"SELECT pg_sleep(1.5)")
    connection.pgconn.flush()
    return connection


def mariadb(port):
    import pymysql
    from pymysql.constants import COMMAND
    connection = pymysql.connect(host="127.0.0.1", port=port, user="app", password="hunter2", database="shop")
    connection._execute_command(COMMAND.COM_QUERY, "SELECT SLEEP(1.5)")
    return connection


def redis(port):
    import redis
    connection = redis.Redis(port=port).connection_pool.get_connection()
    connection.send_command("BLPOP", "nothing", 0)
    return connection


kept = {"postgres": postgres, "mariadb": mariadb, "redis": redis}[sys.argv[1]](int(sys.argv[2]))
time.sleep(0.3)
os.kill(os.getpid(), signal.SIGKILL)
