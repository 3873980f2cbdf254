"""System calls: vectored, many messages at once, wrong memory, nothing at all, bytes that no program touches."""
import ctypes
import errno
import mmap
import os
import select
import socket
import struct
import tempfile

from transcript import (REQUEST, RESPONSE, attempt, case, closing, digest, exactly, pair, pattern, say, to_end, until, waiting)

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
BAD = ctypes.c_void_p(16)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(Iovec)), ("iovlen", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("header", Msghdr), ("length", ctypes.c_uint)]


def call(what, name, *arguments):
    """Calls libc and says its result and errno."""
    ctypes.set_errno(0)
    result = getattr(libc, name)(*arguments)
    code = ctypes.get_errno()
    say(what, result, errno.errorcode.get(code, code) if result < 0 else "")
    return result


def messages(buffers):
    array = (Mmsghdr * len(buffers))()
    for entry, pieces in zip(array, buffers):
        vector = (Iovec * len(pieces))(*[Iovec(ctypes.addressof(piece), len(piece)) for piece in pieces])
        entry.header.iov, entry.header.iovlen = vector, len(pieces)
    return array


def text(data):
    return (ctypes.c_char * len(data)).from_buffer_copy(data)


@case
def vectored():
    client, server = pair()
    with closing(client, server):
        for count in (1, 2, 11, 12, 13, 40, 1024):
            data = pattern(count * 37)
            pieces = [data[at:at + 37] for at in range(0, len(data), 37)]
            say(count, client.sendmsg(pieces), digest(exactly(server, len(data))))
            say(count, os.writev(client.fileno(), [b"", *pieces[:1022], b""]))
            until("they wait", lambda: waiting(server) == min(count, 1022) * 37)
            room = [bytearray(37) for _ in range(1024)]
            say(os.readv(server.fileno(), room), digest(b"".join(room)))
        attempt("too many", client.sendmsg, [b"x"] * 1025)
        client.sendall(REQUEST)
        until("it waits", lambda: waiting(server) == len(REQUEST))
        room = [bytearray(0), bytearray(3), bytearray(0), bytearray(100)]
        say(server.recvmsg_into(room)[0], room[1], room[3].rstrip(b"\0"))


@case
def many_messages():
    for kind, ends in (("stream", pair()), ("datagrams", socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))):
        client, server = ends
        with closing(client, server):
            out = [[text(REQUEST)], [text(b"a"), text(b"bc")], [text(pattern(3000))], []]
            array = messages(out)
            call(kind + " sendmmsg", "sendmmsg", client.fileno(), array, len(out), 0)
            say([entry.length for entry in array])
            room = [[text(b"\0" * 4096)] for _ in range(6)]
            array = messages(room)
            if kind == "stream":
                until("they wait", lambda: waiting(server) == len(REQUEST) + 3003)
            call(kind + " recvmmsg", "recvmmsg", server.fileno(), array, 6, socket.MSG_DONTWAIT, None)
            say([(entry.length, digest(bytes(piece[0])[:entry.length])) for entry, piece in zip(array, room)])
            call(kind + " empty", "recvmmsg", server.fileno(), array, 6, socket.MSG_DONTWAIT, None)
            call(kind + " no messages", "sendmmsg", client.fileno(), array, 0, 0)
            call(kind + " bad", "sendmmsg", client.fileno(), BAD, 2, 0)


@case
def wrong_memory():
    client, server = pair()
    page = mmap.PAGESIZE
    base = libc.mmap(None, 2 * page, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    libc.mprotect(ctypes.c_void_p(base + page), page, 0)
    ctypes.memmove(base, pattern(page), page)
    edge = ctypes.c_void_p(base + page - len(REQUEST))
    ctypes.memmove(edge, REQUEST, len(REQUEST))
    out, inn = client.fileno(), server.fileno()
    with closing(client, server):
        call("send", "send", out, BAD, 100, 0)
        call("write", "write", out, BAD, 100)
        call("sendto nowhere", "sendto", out, BAD, 0, 0, None, 0)
        call("beyond the edge", "send", out, edge, 4096, 0)
        call("to the edge", "send", out, edge, len(REQUEST), 0)
        call("sendmsg", "sendmsg", out, BAD, 0)
        header = Msghdr(iov=(Iovec * 2)(Iovec(edge.value, len(REQUEST)), Iovec(16, 10)), iovlen=2)
        call("good and bad", "sendmsg", out, ctypes.byref(header), 0)
        client.sendall(b"end")
        call("recv", "recv", inn, BAD, 100, 0)
        call("read", "read", inn, BAD, 100)
        call("recvmsg", "recvmsg", inn, BAD, 0)
        call("recv over the edge", "recv", inn, ctypes.c_void_p(base + page - 4), 8, 0)
        client.shutdown(socket.SHUT_WR)
        say("left", to_end(server))
        call("closed descriptor", "send", 9999, edge, 4, 0)
        call("not a socket", "send", os.open("/dev/null", os.O_RDWR), edge, 4, 0)


@case
def nothing_at_all():
    client, server = pair()
    with closing(client, server):
        say(client.send(b""), os.write(client.fileno(), b""), client.sendmsg([b""]), client.sendmsg([]), os.writev(client.fileno(), [b"", b""]))
        say(server.recv(0), waiting(server))
        attempt("still empty", server.recv, 1, socket.MSG_DONTWAIT)
        client.sendall(REQUEST)
        until("it waits", lambda: waiting(server) == len(REQUEST))
        say(server.recv(0), os.read(server.fileno(), 0), exactly(server, len(REQUEST)))
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with closing(one, two):
        say(one.send(b""), one.send(b"x"), two.recv(10), two.recv(10))


@case
def sendfile():
    client, server = pair()
    data = pattern(300000)
    with closing(client, server), tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        for offset, count in ((0, 1), (0, 4096), (1, 4097), (299999, 10), (300000, 10), (0, 60000), (None, 100)):
            file.seek(5)
            sent = os.sendfile(client.fileno(), file.fileno(), offset, count)
            say(offset, count, sent, digest(exactly(server, sent)), file.tell())
        client.sendall(RESPONSE)
        say(exactly(server, len(RESPONSE)))


@case
def splice():
    client, server = pair()
    out, into = os.pipe()
    tee_out, tee_into = os.pipe()
    with closing(client, server), tempfile.TemporaryFile() as file:
        file.write(pattern(50000))
        file.flush()
        moved = os.splice(file.fileno(), into, 50000, offset_src=3)
        say(moved, libc.tee(out, tee_into, 50000, 0))
        rest = moved
        while rest:
            rest -= os.splice(out, client.fileno(), rest)
        say(digest(exactly(server, moved)), digest(os.read(tee_out, 65536)))
        server.sendall(REQUEST)
        until("it waits", lambda: waiting(client) == len(REQUEST))
        say(os.splice(client.fileno(), into, 4), exactly(client, len(REQUEST) - 4), os.read(out, 10))
        vector = (Iovec * 1)(Iovec(ctypes.addressof(text(RESPONSE)), len(RESPONSE)))
        call("vmsplice", "vmsplice", into, vector, 1, 0)
        say(os.splice(out, server.fileno(), 1000), len(exactly(client, len(RESPONSE))))


@case
def zero_copy():
    client, server = pair()
    with closing(client, server):
        client.setsockopt(socket.SOL_SOCKET, 60, 1)
        data = pattern(200000)
        sent = client.send(data, 0x4000000)
        say(digest(exactly(server, sent)) == digest(data[:sent]))
        poll = select.poll()
        poll.register(client, 0)
        say("completed", bool(poll.poll(20000)))
        _, control, flags, _ = client.recvmsg(100, 512, socket.MSG_ERRQUEUE)
        number, origin, low, high = struct.unpack("=IB3x4xII", control[0][2][:20])
        say("errno", number, "origin", origin, "range", low, high, "error queue", bool(flags & socket.MSG_ERRQUEUE))


@case
def corked():
    client, server = pair()
    with closing(client, server):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        for at in range(0, len(REQUEST), 4):
            client.send(REQUEST[at:at + 4])
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        say(exactly(server, len(REQUEST)))
        for at in range(0, len(RESPONSE), 4):
            server.send(RESPONSE[at:at + 4], socket.MSG_MORE)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        say(exactly(client, len(RESPONSE)))


@case
def fast_open():
    ear = socket.socket()
    ear.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
    ear.bind(("127.0.0.1", 0))
    ear.listen()
    for _ in range(3):
        client = socket.socket()
        attempt("sent in the handshake", client.sendto, REQUEST, socket.MSG_FASTOPEN, ear.getsockname())
        server, _ = ear.accept()
        with closing(client, server):
            say(exactly(server, len(REQUEST)), server.send(RESPONSE), exactly(client, len(RESPONSE)))
