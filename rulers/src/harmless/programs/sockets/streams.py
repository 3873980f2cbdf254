"""Streams: what waits, what is peeked, urgent bytes, ends, readiness."""
import errno
import fcntl
import select
import signal
import socket
import struct
import threading

from transcript import (REQUEST, RESPONSE, attempt, case, closing, digest, exactly, listener, pair, pattern, readable, say, to_end, until,
                        waiting)

SIOCATMARK = 0x8905
SIOCOUTQ = 0x5411


@case
def fionread():
    client, server = pair()
    with closing(client, server):
        for turn in range(20):
            client.sendall(REQUEST)
            until("the request waits", lambda: waiting(server) == len(REQUEST))
            say(turn, exactly(server, 5), waiting(server), exactly(server, len(REQUEST) - 5), waiting(server))
            server.sendall(RESPONSE)
            until("the response waits", lambda: waiting(client) == len(RESPONSE))
            say(exactly(client, len(RESPONSE)), waiting(client))
        until("all is acknowledged", lambda: struct.unpack("i", fcntl.ioctl(client, SIOCOUTQ, b"\0" * 4))[0] == 0)


@case
def peek():
    client, server = pair()
    with closing(client, server):
        client.sendall(REQUEST * 2)
        until("both wait", lambda: waiting(server) == 2 * len(REQUEST))
        say(server.recv(4, socket.MSG_PEEK), server.recv(4096, socket.MSG_PEEK), waiting(server))
        say(exactly(server, len(REQUEST)), server.recv(4096, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        say(server.recvmsg(4096, 0, socket.MSG_PEEK)[0], exactly(server, len(REQUEST)))
        attempt("nothing to peek at", server.recv, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        client.sendall(pattern(9000))
        until("they wait", lambda: waiting(server) == 9000)
        say("discarded by MSG_TRUNC", server.recv_into(bytearray(100), 100, socket.MSG_TRUNC), waiting(server))


@case
def out_of_band():
    client, server = pair()
    with closing(client, server):
        client.sendall(b"GET /")
        client.send(b"!", socket.MSG_OOB)
        client.sendall(b"a HTTP/1.1\r\n\r\n")
        poll = select.poll()
        poll.register(server, select.POLLPRI)
        say("urgent", bool(poll.poll(20000)), server.recv(1, socket.MSG_OOB))
        attempt("again", server.recv, 1, socket.MSG_OOB)
        at_mark = lambda: struct.unpack("i", fcntl.ioctl(server, SIOCATMARK, b"\0" * 4))[0]
        say(at_mark(), server.recv(100), at_mark(), exactly(server, 14))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        client.sendall(b"ab")
        client.send(b"c", socket.MSG_OOB)
        client.sendall(b"de")
        say("in line", exactly(server, 5))


@case
def half_close():
    client, server = pair()
    with closing(client, server):
        client.sendall(REQUEST)
        client.shutdown(socket.SHUT_WR)
        say("server", to_end(server), server.recv(1))
        attempt("client writes", client.send, b"x")
        server.sendall(RESPONSE)
        server.close()
        say("client", to_end(client), client.recv(1))


@case
def shut_reading():
    client, server = pair()
    with closing(client, server):
        server.shutdown(socket.SHUT_RD)
        say("end at once", server.recv(10))
        client.sendall(REQUEST)
        until("bytes come all the same", lambda: waiting(server) == len(REQUEST))
        say(server.recv(100), server.recv(100))


@case
def linger_reset():
    for unread in (False, True):
        client, server = pair()
        with closing(client, server):
            if unread:
                client.sendall(REQUEST)
                until("the request waits", lambda: waiting(server) == len(REQUEST))
            else:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.close()
            say("hang-up", readable(client))
            attempt("read", client.recv, 10)
            attempt("read again", client.recv, 10)
            attempt("write", client.send, REQUEST, socket.MSG_NOSIGNAL)


@case
def nonblocking():
    with listener() as ear:
        client = socket.socket()
        client.setblocking(False)
        say("connect", client.connect_ex(ear.getsockname()) in (0, errno.EINPROGRESS), bool(select.select([], [client], [], 20)[1]))
        say("error", client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        server, _ = ear.accept()
    server.setblocking(False)
    with closing(client, server):
        attempt("nothing yet", server.recv, 10)
        data, sent = pattern(32 << 20), 0
        try:
            while sent < len(data):
                sent += client.send(data[sent:sent + 65536])
        except BlockingIOError:
            say("full")
        got = bytearray()
        while len(got) < sent:
            select.select([server], [], [], 20)
            got += server.recv(1 << 20)
        say("all came", len(got) == sent, got == data[:sent])
        attempt("nothing more", server.recv, 10)
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    attempt("refused", socket.create_connection, closed.getsockname(), 5)


@case
def edge_triggered():
    client, server = pair()
    server.setblocking(False)
    with closing(client, server), select.epoll() as epoll:
        epoll.register(server, select.EPOLLIN | select.EPOLLET | select.EPOLLRDHUP)
        for turn in range(50):
            client.sendall(pattern(30000 + turn))
            got = b""
            while len(got) < 30000 + turn:
                if not epoll.poll(20):
                    return say("no event", turn, len(got))
                try:
                    while True:
                        got += server.recv(4096)
                except BlockingIOError:
                    pass
            # Bytes read while their event was still on its way leave one event behind.
            epoll.poll(0)
            say(turn, digest(got), epoll.poll(0))
        epoll.modify(server, select.EPOLLIN | select.EPOLLONESHOT)
        client.sendall(REQUEST)
        say("once", [mask for _, mask in epoll.poll(20)], epoll.poll(0.05), exactly(server, len(REQUEST)))
        epoll.modify(server, select.EPOLLIN | select.EPOLLET | select.EPOLLRDHUP)
        client.shutdown(socket.SHUT_WR)
        say("end", any(mask & select.EPOLLRDHUP for _, mask in epoll.poll(20)))


@case
def wait_all():
    client, server = pair()
    with closing(client, server):
        def drip():
            for at in range(0, 9000, 3000):
                until("drained" if at else "begin", lambda: waiting(server) == 0)
                client.sendall(pattern(9000)[at:at + 3000])
        thread = threading.Thread(target=drip)
        thread.start()
        got = server.recv(9000, socket.MSG_WAITALL)
        thread.join()
        say(len(got), digest(got))
        client.sendall(b"short")
        client.close()
        say(server.recv(100, socket.MSG_WAITALL), server.recv(100, socket.MSG_WAITALL))


@case
def low_water_and_timeouts():
    client, server = pair()
    with closing(client, server):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 100)
        client.sendall(b"x" * 99)
        until("99 wait", lambda: waiting(server) == 99)
        say("below", readable(server, 0.05))
        client.sendall(b"y")
        say("reached", readable(server), len(exactly(server, 100)))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50000))
        attempt("no bytes in time", server.recv, 10)


@case
def woken_by_shutdown():
    client, server = pair()
    with closing(client, server):
        thread = threading.Thread(target=lambda: attempt("reader", client.recv, 10))
        thread.start()
        until("blocked", lambda: open(f"/proc/self/task/{thread.native_id}/stat").read().rsplit(")")[-1].split()[0] == "S")
        client.shutdown(socket.SHUT_RDWR)
        thread.join(20)
        say("woken", not thread.is_alive(), to_end(server))


@case
def interrupted():
    client, server = pair()
    with closing(client, server):
        seen = []
        signal.signal(signal.SIGALRM, lambda *_: (seen.append(1), client.sendall(REQUEST)) if not seen else None)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        say("restarted", exactly(server, len(REQUEST)), seen)
        server.close()
        attempt("first write", client.send, REQUEST)
        until("reset", lambda: bool(select.select([client], [], [], 0)[0]))
        signal.signal(signal.SIGPIPE, lambda *_: say("SIGPIPE"))
        attempt("read", client.recv, 1)
        attempt("write", client.send, REQUEST)
        attempt("write, no signal", client.send, REQUEST, socket.MSG_NOSIGNAL)


@case
def pipelined():
    client, server = pair()
    with closing(client, server):
        client.sendall(REQUEST * 500)
        say(digest(exactly(server, 500 * len(REQUEST))))
        for turn in range(500):
            server.sendall(RESPONSE[:turn % len(RESPONSE)])
            server.sendall(RESPONSE[turn % len(RESPONSE):])
        say(digest(exactly(client, 500 * len(RESPONSE))))


@case
def ipv6():
    for address in ("::1", "::ffff:127.0.0.1"):
        client, server = pair(socket.AF_INET6, address)
        with closing(client, server):
            client.sendall(REQUEST)
            server.sendall(RESPONSE)
            say(exactly(server, len(REQUEST)), exactly(client, len(RESPONSE)), client.getpeername()[0], server.getpeername()[0])


@case
def shared_by_threads():
    client, server = pair()
    with closing(client, server):
        lines = [b"%08d-%s\n" % (n, b"x" * (n % 200)) for n in range(4000)]
        def send(part):
            for line in part:
                client.sendall(line)
        threads = [threading.Thread(target=send, args=(lines[n::4],)) for n in range(4)]
        for thread in threads:
            thread.start()
        got = exactly(server, sum(map(len, lines)))
        say(sorted(got.splitlines(True)) == sorted(lines), digest(b"".join(sorted(got.splitlines(True)))))
