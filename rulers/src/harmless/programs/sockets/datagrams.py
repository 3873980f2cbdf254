"""Datagrams and Unix sockets."""
import array
import os
import socket
import struct
import tempfile

from transcript import REQUEST, RESPONSE, attempt, case, closing, digest, exactly, pattern, readable, say, to_end


@case
def udp():
    one, two = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
    with closing(one, two):
        for end in (one, two):
            end.bind(("127.0.0.1", 0))
            end.settimeout(20)
        say(one.sendto(REQUEST, two.getsockname()))
        data, address = two.recvfrom(1000)
        say(data, address == one.getsockname())
        one.connect(two.getsockname())
        for size in (0, 1, 1472, 9000, 65507):
            say(one.send(pattern(size)), digest(two.recv(70000)))
        attempt("too large", one.send, b"x" * 65508)
        two.close()
        one.send(b"x")
        readable(one)
        attempt("nobody there", one.recv, 10)


@case
def truncated():
    for family in (socket.AF_INET, socket.AF_UNIX):
        if family == socket.AF_UNIX:
            one, two = socket.socketpair(family, socket.SOCK_DGRAM)
        else:
            one, two = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
            two.bind(("127.0.0.1", 0))
            one.connect(two.getsockname())
        with closing(one, two):
            two.settimeout(20)
            for flags in (0, socket.MSG_TRUNC, socket.MSG_TRUNC | socket.MSG_PEEK):
                one.send(REQUEST)
                room = bytearray(5)
                say(two.recv_into(room, 5, flags), bytes(room))
            one.send(REQUEST)
            two.recv(100)
            data, _, flags, _ = two.recvmsg(4)
            say(data, bool(flags & socket.MSG_TRUNC))


@case
def unix_datagrams():
    with tempfile.TemporaryDirectory() as folder:
        for name in (folder + "/s", "\0wirespan-harmless-%d" % os.getpid()):
            one, two = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            with closing(one, two):
                two.bind(name)
                two.settimeout(20)
                two.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
                one.connect(name)
                say(one.send(REQUEST), one.send(b""), one.send(pattern(100000)))
                data, control, _, _ = two.recvmsg(1000, 100)
                say(data, struct.unpack("3i", control[0][2])[0] == os.getpid())
                say(two.recv(100), digest(two.recv(200000)))


@case
def packets():
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with closing(one, two):
        for data in (REQUEST, b"a", pattern(5000)):
            one.send(data)
        say(two.recv(10), two.recv(10), digest(two.recv(10000)))
        one.shutdown(socket.SHUT_WR)
        say(two.recv(10), two.send(RESPONSE), one.recv(100))


@case
def socketpair():
    one, two = socket.socketpair()
    with closing(one, two):
        for turn in range(100):
            one.sendall(REQUEST)
            say(turn, exactly(two, len(REQUEST)) == REQUEST, two.send(RESPONSE), exactly(one, len(RESPONSE)) == RESPONSE)
        two.close()
        say("end", one.recv(10))
        attempt("write", one.send, b"x", socket.MSG_NOSIGNAL)


@case
def unix_stream():
    with tempfile.TemporaryDirectory() as folder:
        ear = socket.socket(socket.AF_UNIX)
        ear.bind(folder + "/s")
        ear.listen()
        client = socket.socket(socket.AF_UNIX)
        client.connect(folder + "/s")
        server, _ = ear.accept()
        with closing(ear, client, server):
            client.sendall(REQUEST)
            say(server.recv(5, socket.MSG_PEEK), exactly(server, len(REQUEST)))
            server.sendall(RESPONSE)
            server.shutdown(socket.SHUT_WR)
            say(to_end(client), struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0] == os.getpid())


@case
def rights_with_bytes():
    one, two = socket.socketpair()
    with closing(one, two), tempfile.TemporaryFile() as file:
        file.write(b"the file")
        file.flush()
        files = array.array("i", [file.fileno()] * 3)
        one.sendmsg([REQUEST[:7], REQUEST[7:]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        data, passed, flags, _ = socket.recv_fds(two, 1000, 8)
        say(data, len(passed), flags, os.pread(passed[2], 100, 0))
        one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        data, _, flags, _ = two.recvmsg(10, 0)
        say(data, "control truncated", bool(flags & socket.MSG_CTRUNC))
