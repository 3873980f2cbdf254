"""What the socket cases share, and their runner: `python3 transcript.py CASE` prints the transcript of one case, `--list` their names.

A case says what it saw: results, bytes, errors. It names no port, no time and nothing else that may differ between two runs, so two transcripts
are equal if the sockets behaved alike. Where the kernel may take its time, a case waits for the condition with a deadline."""
import contextlib
import errno
import fcntl
import hashlib
import select
import socket
import struct
import sys
import termios
import time

REQUEST = b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
DEADLINE = 20.0
CASES = {}


def case(function):
    """Registers a case under its function's name."""
    CASES[function.__name__] = function
    return function


def say(*words):
    print(*words, flush=True)


def pair(family=socket.AF_INET, address="127.0.0.1"):
    """Two ends of a TCP connection: client, server."""
    with listener(family, address) as ear:
        client = socket.socket(family)
        client.connect(ear.getsockname())
        server, _ = ear.accept()
        for end in (client, server):
            # Python's own time-outs would make the sockets non-blocking.
            end.setblocking(True)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(DEADLINE), 0))
        return client, server


def listener(family=socket.AF_INET, address="127.0.0.1"):
    ear = socket.socket(family)
    ear.settimeout(DEADLINE)
    ear.bind((address, 0))
    ear.listen(128)
    return ear


def exactly(sock, count, flags=0):
    """`count` bytes, or fewer where the peer ended."""
    got = b""
    while len(got) < count:
        piece = sock.recv(count - len(got), flags)
        if not piece:
            break
        got += piece
    return got


def to_end(sock):
    """All bytes until the peer ends."""
    got = bytearray()
    while piece := sock.recv(65536):
        got += piece
    return bytes(got)


def attempt(what, function, *arguments):
    """Says what `function` returns, or the name of its error."""
    try:
        say(what, function(*arguments))
    except OSError as error:
        say(what, errno.errorcode.get(error.errno, type(error).__name__))


def until(what, condition):
    """Waits for a condition that the kernel will bring about."""
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            say("never:", what)
            return
        time.sleep(0.001)
    say(what)


def waiting(sock):
    """FIONREAD."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))[0]


def readable(sock, seconds=DEADLINE):
    return bool(select.select([sock], [], [], seconds)[0])


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def pattern(count):
    """Bytes that tell where they belong."""
    unit = b"".join(struct.pack(">I", n) for n in range(16384))
    return (unit * (count // len(unit) + 1))[:count]


def closing(*socks):
    stack = contextlib.ExitStack()
    for sock in socks:
        stack.enter_context(contextlib.closing(sock))
    return stack


def main():
    # The cases import this module, so it is not to be run twice under two names.
    sys.modules["transcript"] = sys.modules["__main__"]
    import calls, datagrams, processes, streams  # noqa: E401,F401
    if sys.argv[1] == "--list":
        print("\n".join(CASES))
    else:
        CASES[sys.argv[1]](*map(int, sys.argv[2:]))


if __name__ == "__main__":
    main()
