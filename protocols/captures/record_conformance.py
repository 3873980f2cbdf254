#!/usr/bin/env python3
"""Records what h2spec, a public HTTP/2 conformance suite, says to real servers: see README.md beside this file.

The truth about each connection comes from hyperframe and hpack, which share nothing with the parser under test: which
requests the client made, where in its stream their first byte lies, and with which status the server answered them.
"""

import collections
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import hpack
import hyperframe.frame as frames

import record
import record_http2

MOST = 64 * 1024
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Recorder(record.Recorder):
    """A proxy for any number of connections, one after the other or at once."""

    def run(self):
        self.connections = []
        self.listener.settimeout(None)
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            connection = Connection(client, self.target)
            self.connections.append(connection)


class Connection:
    """One connection of the proxy's."""

    def __init__(self, client, port):
        self.operations, self.lock = [], threading.Lock()
        server = socket.create_connection(("127.0.0.1", port))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ways = ((client, server, "request"), (server, client, "response"))
        self.threads = [threading.Thread(target=record.Recorder.pump, args=(self, *way), daemon=True) for way in ways]
        for thread in self.threads:
            thread.start()


def frames_of(data):
    """Frames with their offsets, as far as the bytes are HTTP/2."""
    at = 0
    while at + 9 <= len(data):
        try:
            frame, length = frames.Frame.parse_frame_header(memoryview(data[at:at + 9]))
            if at + 9 + length > len(data):
                return
            frame.parse_body(memoryview(data[at + 9:at + 9 + length]))
        except Exception:  # Whatever a hostile frame provokes: it is none.
            return
        yield at, frame
        at += 9 + length


def heads(data):
    """Offset, stream, fields and last flag of each header block, whole or not; and of DATA that ends a stream."""
    decoder, block = hpack.Decoder(), None
    # A table larger than allowed is the receiver's to refuse. What was asked for was asked for.
    decoder.max_allowed_table_size = 1 << 24
    for at, frame in frames_of(data):
        if isinstance(frame, (frames.HeadersFrame, frames.PushPromiseFrame)):
            block = [at, frame.stream_id, b"", "END_STREAM" in frame.flags]
        if isinstance(frame, (frames.HeadersFrame, frames.PushPromiseFrame, frames.ContinuationFrame)):
            if block is None or block[1] != frame.stream_id:
                break
            block[2] += frame.data
            if "END_HEADERS" in frame.flags:
                try:
                    fields = decoder.decode(block[2], raw=True)
                except Exception:
                    break
                yield block[0], block[1], fields, block[3]
                block = None
        elif block is not None:
            break
        elif isinstance(frame, frames.DataFrame) and "END_STREAM" in frame.flags:
            yield at, frame.stream_id, None, True
    if block is not None:
        # It was begun, but what it asks for is not sure.
        yield block[0], block[1], [(b":", b"")], False


def shortened(operations):
    """At most `MOST` bytes: what a client goes on sending to a server that does not read says nothing new."""
    total = 0
    for operation in operations:
        total += len(operation[1])
        if total > MOST:
            return
        yield operation


def value(fields, name):
    return next((v.decode("latin-1") for n, v in fields if n == name), None)


def requests(operations):
    """What the client asked for: offset of the head, method, path, and the status if the server answered in full."""
    sent = {way: b"".join(o[1].encode("latin-1") for o in operations if o[0] == way) for way in ("request", "response")}
    if not sent["request"].startswith(PREFACE):
        return []
    statuses, answered = {}, {}
    for _, stream, fields, last in heads(sent["response"]):
        status = value(fields or [], b":status")
        if status and not status.startswith("1"):
            statuses.setdefault(stream, int(status))
        if last:
            answered[stream] = statuses.get(stream)
    asked, newest = [], 0
    for at, stream, fields, _ in heads(sent["request"][len(PREFACE):]):
        # (Trailers have no such fields.) A second head on a stream is refused, and was sent all the same.
        if stream % 2 == 1 and any(name.startswith(b":") for name, _ in fields or []):
            status = answered.get(stream) if stream > newest else None
            newest = max(newest, stream)
            asked.append([at + len(PREFACE), value(fields, b":method"), value(fields, b":path"), status])
    return asked


SERVERS = {
    "nghttpd": (record_http2.nghttpd_server, ("nghttpd", "--version")),
    "nginx": (record_http2.nginx_http2_server, ("nginx", "-v")),
    "hypercorn": (record_http2.hypercorn_server, (sys.executable, "-c", "import h2; print('hypercorn with h2', h2.__version__)")),
}
PATHS = {"nghttpd": "/a", "nginx": "/small.txt", "hypercorn": "/small"}


def main(wanted):
    for name, (command, version) in SERVERS.items():
        if wanted and name not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            work, port = Path(folder), record.free_port()
            server = subprocess.Popen(command(work, port), cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                record.wait_for(port)
                recorder = Recorder(port)
                arguments = ["h2spec", "-h", "127.0.0.1", "-p", str(recorder.port), "-P", PATHS[name], "-o", "1"]
                report = subprocess.run(arguments, capture_output=True, text=True, timeout=600).stdout
            finally:
                server.terminate()
                server.wait()
        connections = [list(shortened(o for o in c.operations if o[0] != "end")) for c in recorder.connections]
        summary = re.search(r"\d+ tests.*", report).group(0)
        write(name, {"client": "h2spec, " + summary, "server": record.version(*version),
                     "recorded": str(record.datetime.date.today())}, [c for c in connections if c])


def write(name, about, connections):
    kept = [{"operations": c, "requests": requests(c)} for c in connections]
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in kept)
    file_of(name).write_text(json.dumps(about)[:-1] + ', "connections": [\n' + lines + "\n]}\n")
    statuses = collections.Counter(str(r[3]) for c in kept for r in c["requests"])
    print(f"{name}: {about['client']}; {len(kept)} connections, requests by status {dict(sorted(statuses.items()))}")


def file_of(name):
    return record.HERE / "http2-conformance" / f"{name}.json"


def judge():
    """Finds the truth about what is recorded anew."""
    for name in SERVERS:
        capture = json.loads(file_of(name).read_text())
        write(name, capture, [c["operations"] for c in capture.pop("connections")])


if __name__ == "__main__":
    judge() if sys.argv[1:] == ["--judge"] else main(sys.argv[1:])
