"""What the scenarios of all databases use."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from record import DEADLINE, HERE, Recorder, free_port, version, wait_for

NODE_PATH = os.environ.get("NODE_PATH", "")
SCENARIOS = {}
# name: (a context that yields a port, its version)
SERVERS = {}


class Relay(Recorder):
    """Lets any number of connections through and notes the one that is the `nth`, counting from 0."""

    def __init__(self, port, nth):
        self.nth = nth
        super().__init__(port)

    def run(self):
        for _ in range(self.nth):
            self.connect(self.let)
        noted = self.connect(self.pump)
        threading.Thread(target=self.rest, daemon=True).start()
        for thread in noted:
            thread.join(DEADLINE)
        self.listener.close()

    def rest(self):
        with contextlib.suppress(OSError):
            while True:
                self.connect(self.let)

    def connect(self, pump):
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.target))
        threads = []
        for source, sink, direction in ((client, server, "request"), (server, client, "response")):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threads.append(threading.Thread(target=pump, args=(source, sink, direction), daemon=True))
            threads[-1].start()
        return threads

    def let(self, source, sink, direction):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def scenario(protocol, name, client, exchanges, leaves=False, server=None, nth=0):
    """The decorated function is the client: it is given the recorder and a work directory."""
    def register(run):
        SCENARIOS[f"{protocol}/{name}"] = (run, client, exchanges, leaves, server or protocol, nth)
        return run
    return register


def python_version(module):
    return lambda: f"{module} {__import__(module).__version__}"


def node(script, *arguments):
    subprocess.run(["node", "-e", script, *map(str, arguments)], check=True, timeout=DEADLINE,
                   env={**os.environ, "NODE_PATH": NODE_PATH})


def python(script, *arguments):
    """A client that holds the interpreter's lock while it waits for answers: the relay here would wait for it."""
    subprocess.run([sys.executable, "-c", script, *map(str, arguments)], check=True, timeout=DEADLINE)


def node_version(package):
    return lambda: f"{package} " + json.loads((pathlib.Path(NODE_PATH) / package / "package.json").read_text())["version"]


def raw(recorder, *steps):
    """A bare socket: sends each step's bytes, then waits for as many bytes to come, or for that ending."""
    with socket.create_connection(("127.0.0.1", recorder.port)) as sock:
        sock.settimeout(DEADLINE)
        for data, until in steps:
            sock.sendall(data)
            got = b""
            while not (len(got) >= until if isinstance(until, int) else got.endswith(until)):
                part = sock.recv(65536)
                if not part:
                    return
                got += part


@contextlib.contextmanager
def process(command, port, **options):
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        wait_for(port)
        yield port
    finally:
        running.terminate()
        running.wait()


def patiently(error, action):
    """A server that listens may still be starting."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return action()
        except error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def as_user(user, *command):
    """Servers refuse to run as root."""
    return ["runuser", "-u", user, "--", *map(str, command)] if os.getuid() == 0 else list(map(str, command))


CLIENTS = HERE.parents[1] / "tests/services/clients"


def go(name, *arguments):
    """A program of the end-to-end tests, with Debian's libraries (`golang-*-dev`) and the `go` that `GO` names."""
    environment = {**os.environ, "GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": ""}
    subprocess.run([os.environ.get("GO", "go"), "run", CLIENTS / name, *map(str, arguments)], check=True, timeout=300, env=environment)


def debian_version(package):
    return lambda: f"{package} " + subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True).stdout


JDBC = """
import java.sql.*;
public class Client { public static void main(String[] a) throws Exception {
  try (Connection c = DriverManager.getConnection(a[0], "app", "")) {
    c.createStatement().execute("CREATE TABLE beans (id int PRIMARY KEY, name varchar(20))");
    try (PreparedStatement p = c.prepareStatement("INSERT INTO beans VALUES (?, ?)")) {
      for (int n = 0; n < 7; n++) { p.setInt(1, n); p.setString(2, "bean"); p.executeUpdate(); }
      for (int n = 10; n < 15; n++) { p.setInt(1, n); p.setString(2, "bean"); p.addBatch(); }
      p.executeBatch();
      try { p.setInt(1, 1); p.executeUpdate(); } catch (SQLException e) {} }
    c.setAutoCommit(false);
    try (PreparedStatement p = c.prepareStatement("SELECT * FROM beans WHERE id > ?")) {
      p.setFetchSize(4); p.setInt(1, 0); ResultSet r = p.executeQuery(); while (r.next()); }
    c.commit(); } } }
"""


def jdbc(url, jar, work):
    (work / "Client.java").write_text(JDBC)
    subprocess.run(["java", "-cp", f"/usr/share/java/{jar}", str(work / "Client.java"), url], check=True, timeout=90)
