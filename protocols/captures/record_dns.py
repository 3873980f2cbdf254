#!/usr/bin/env python3
"""Records golden captures of DNS: see README.md beside this file. Runs in namespaces of its own, since glibc asks port 53 only."""

import datetime
import json
import os
import pathlib
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

from record import HERE, version

SCENARIOS = {}
RECORDS = [
    "--host-record=web.test,192.0.2.10,2001:db8::10", "--cname=www.test,web.test", "--mx-host=test,mail.test,10",
    "--srv-host=_http._tcp.test,web.test,8080", "--host-record=mail.test,192.0.2.25",
    *(f"--txt-record=long.test,{n}-{'x' * 200}" for n in range(8)),
]


class Relay(threading.Thread):
    """Passes datagrams on, and notes them. Drops the first `lost` queries after noting them."""

    def __init__(self, lost):
        super().__init__(daemon=True)
        self.lost, self.operations, self.clients = lost, [], {}
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.2", 53))
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back.connect(("127.0.0.1", 53))
        self.stopping = False

    def run(self):
        while not self.stopping:
            ready, _, _ = select.select([self.front, self.back], [], [], 0.1)
            if self.front in ready:
                data, client = self.front.recvfrom(65536)
                self.clients[data[:2]] = client
                self.operations.append(["request", data.decode("latin-1")])
                if self.lost > 0:
                    self.lost -= 1
                else:
                    self.back.send(data)
            if self.back in ready:
                data = self.back.recv(65536)
                self.operations.append(["response", data.decode("latin-1")])
                self.front.sendto(data, self.clients[data[:2]])
        self.front.close()
        self.back.close()


def scenario(name, client, exchanges, *command, lost=0):
    SCENARIOS[name] = (client, exchanges, command, lost)


DIG = ("dig", "@127.0.0.2", "+tries=2", "+timeout=1")
scenario("dig-a", "dig", ["DNS A NOERROR 1"], *DIG, "web.test", "A")
scenario("dig-cname", "dig", ["DNS AAAA NOERROR 2"], *DIG, "www.test", "AAAA")
scenario("dig-several", "dig", ["DNS MX NOERROR 1", "DNS SRV NOERROR 1", "DNS PTR NOERROR 1"],
         *DIG, "test", "MX", "_http._tcp.test", "SRV", "-x", "192.0.2.10")
scenario("dig-nxdomain", "dig", ["DNS A NXDOMAIN 0 error NXDOMAIN"], *DIG, "nowhere.test", "A")
scenario("dig-refused", "dig", ["DNS A REFUSED 0 error REFUSED"], *DIG, "example.com", "A")
scenario("dig-truncated", "dig", ["DNS TXT NOERROR 2 truncated"], *DIG, "+noedns", "+ignore", "long.test", "TXT")
scenario("dig-large", "dig", ["DNS TXT NOERROR 8"], *DIG, "+bufsize=4096", "long.test", "TXT")
scenario("dig-resends", "dig", ["DNS A NOERROR 1 resent 1"], *DIG, "web.test", "A", lost=1)
scenario("dig-in-vain", "dig", ["DNS A resent 1 error no_answer"], *DIG, "web.test", "A", lost=9)
scenario("getent", "getent", ["DNS A NOERROR 2", "DNS AAAA NOERROR 2"], "getent", "ahosts", "www.test")
VERSIONS = {"dig": lambda: version("dig", "-v"), "getent": lambda: version("getent", "--version")}


def listens():
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.settimeout(0.2)
    probe.connect(("127.0.0.1", 53))
    try:
        probe.send(b"\0\1\1\0\0\1\0\0\0\0\0\0\3web\4test\0\0\1\0\1")
        return bool(probe.recv(512))
    except OSError:
        return False
    finally:
        probe.close()


def record(name):
    client, exchanges, command, lost = SCENARIOS[name]
    relay = Relay(lost)
    relay.start()
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=30)
    relay.stopping = True
    relay.join()
    capture = {
        "client": VERSIONS[client](), "server": version("dnsmasq", "--version").split("  ")[0],
        "recorded": datetime.date.today().isoformat(), "exchanges": exchanges,
        "operations": [*relay.operations, ["end", "request"]],
    }
    text = json.dumps(capture, indent=1).replace("[\n   ", "[").replace(",\n   ", ", ").replace("\n  ]", "]")
    (HERE / "dns").mkdir(exist_ok=True)
    (HERE / "dns" / f"{name}.json").write_text(text + "\n")
    print(f"{name}: {len(relay.operations)} datagrams", flush=True)


def main(wanted):
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        (work / "resolv.conf").write_text("nameserver 127.0.0.2\n")
        (work / "nsswitch.conf").write_text("hosts: dns\n")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for file in ("resolv.conf", "nsswitch.conf"):
            subprocess.run(["mount", "--bind", str(work / file), f"/etc/{file}"], check=True)
        server = subprocess.Popen(
            ["dnsmasq", "--no-daemon", "--user=root", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--local=/test/",
             "--bind-interfaces", "--edns-packet-max=4096", "--listen-address=127.0.0.1", f"--pid-file={work}/pid", *RECORDS],
            stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 20
            while not listens():
                if time.monotonic() > deadline:
                    raise RuntimeError("dnsmasq does not answer")
                time.sleep(0.02)
            for name in wanted or SCENARIOS:
                record(name)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    if os.environ.get("INSIDE") != "1":
        sys.exit(subprocess.run(["unshare", "--mount", "--net", sys.executable, *sys.argv],
                                env={**os.environ, "INSIDE": "1"}).returncode)
    main(sys.argv[1:])
