"""memcached."""

import contextlib

from .common import SERVERS, as_user, free_port, process, python_version, raw, scenario, version


@contextlib.contextmanager
def memcached_server(work):
    port = free_port()
    with process(as_user("nobody", "memcached", "-l", "127.0.0.1", "-p", port, "-U", "0"), port):
        yield port


SERVERS["memcached"] = (memcached_server, lambda: version("memcached", "--version"))


@scenario("memcached", "pymemcache", python_version("pymemcache"), [
    "set", "get", "get", "add", "replace", "append", "gets", "cas", "cas", "incr", "decr", "touch", "get", "delete", "delete", "set",
    "stats", "version", "flush_all", "set", "incr error CLIENT_ERROR"])
def pymemcache_client(recorder, work):
    from pymemcache.client.base import Client
    from pymemcache.exceptions import MemcacheClientError
    c = Client(("127.0.0.1", recorder.port), default_noreply=False)
    c.set("user:17", b"secret value")
    c.get("user:17")
    c.get("missing")
    c.add("a", b"1")
    c.replace("a", b"2")
    c.append("a", b"3")
    _, token = c.gets("a")
    c.cas("a", b"4", token)
    c.cas("a", b"5", token)
    c.incr("a", 5)
    c.decr("a", 1)
    c.touch("a", 100)
    c.get_many(["a", "user:17", "missing"])
    c.delete("a")
    c.delete("a")
    c.set("large", b"x" * 20000)
    c.stats()
    c.version()
    c.flush_all()
    c.set("quiet", b"text", noreply=True)
    # It closes the connection on an error.
    with contextlib.suppress(MemcacheClientError):
        c.incr("quiet", 1)


@scenario("memcached", "pymemcache-pipelines", python_version("pymemcache"), ["set"] * 6 + ["PIPELINE set", "get"])
def pymemcache_pipelines(recorder, work):
    from pymemcache.client.base import Client
    c = Client(("127.0.0.1", recorder.port), default_noreply=False)
    c.set("key", b"secret")
    c.set_many({f"few:{n}": b"secret" for n in range(5)})
    c.set_many({f"many:{n}": b"secret" for n in range(100)})
    c.get_many(["many:1", "many:99", "missing"])


@scenario("memcached", "meta", lambda: "bare socket", [
    "ms", "mg", "mg", "mg", "mg", "mn", "ma error CLIENT_ERROR", "md", "mn", "memcached error ERROR", "me"])
def memcached_meta(recorder, work):
    raw(recorder, (b"ms key 5 T90\r\nhello\r\n", b"\r\n"), (b"mg key v t\r\n", b"hello\r\n"), (b"mg missing v\r\n", b"\r\n"),
        (b"mg key s v q\r\nmg missing v q\r\nmn\r\n", b"MN\r\n"), (b"ma key N90 J5\r\n", b"\r\n"),
        (b"md key\r\nmn\r\n", b"MN\r\n"), (b"bogus\r\n", b"\r\n"), (b"me missing\r\n", b"\r\n"))


@scenario("memcached", "bmemcached", lambda: "python-binary-memcached", [
    "set", "get", "get", "add", "incr", "incr", "set", "set", "noop", "get", "get", "get", "delete", "set", "stats", "flush"])
def bmemcached_client(recorder, work):
    import bmemcached
    c = bmemcached.Client((f"127.0.0.1:{recorder.port}",))
    c.set("a", "1")
    c.get("a")
    c.get("missing")
    c.add("a", "2")
    c.incr("n", 1)
    c.incr("n", 1)
    c.set_multi({"x": "1", "y": "2"})
    c.get_multi(["x", "y", "missing"])
    c.delete("a")
    c.set("large", "x" * 9000, compress_level=0)
    c.stats()
    c.flush_all()
    c.disconnect_all()
