"""Connections that pass between descriptors and processes, and very many of them."""
import fcntl
import os
import socket
import subprocess
import sys
import threading

from transcript import REQUEST, RESPONSE, DEADLINE, case, closing, exactly, listener, pair, say, to_end


def child(function):
    """Runs `function` in a forked process; its exit status."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            function()
        except BaseException as error:
            say("child:", repr(error))
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


@case
def passed_descriptor():
    client, server = pair()
    one, two = socket.socketpair()
    client.sendall(REQUEST * 2)
    say("parent", exactly(server, len(REQUEST)))
    socket.send_fds(one, [b"take it"], [server.fileno()])
    server.close()

    def take():
        data, files, _, _ = socket.recv_fds(two, 100, 1)
        taken = socket.socket(fileno=files[0])
        say("child", data, exactly(taken, len(REQUEST)))
        taken.sendall(RESPONSE)

    say("status", child(take))
    # The child's copy has gone with it; one of the parent's may still lie unread in the socket.
    one.close()
    two.close()
    say("client", to_end(client))


@case
def fork_in_mid_connection():
    client, server = pair()
    with closing(client, server):
        for turn in range(10):
            client.sendall(REQUEST[:10])
            say("parent", exactly(server, 10))
            client.sendall(REQUEST[10:])

            def answer():
                say("child", exactly(server, len(REQUEST) - 10))
                server.sendall(RESPONSE[:9])

            say("status", child(answer))
            server.sendall(RESPONSE[9:])
            say(turn, "client", exactly(client, len(RESPONSE)))


@case
def duplicated():
    client, server = pair()
    with closing(client, server):
        client.sendall(REQUEST)
        copy = server.dup()
        third = socket.socket(fileno=fcntl.fcntl(server, fcntl.F_DUPFD_CLOEXEC, 200))
        say(exactly(server, 3))
        server.close()
        say(exactly(copy, 5))
        copy.close()
        say(exactly(third, len(REQUEST) - 8))
        os.dup2(third.fileno(), 300)
        third.close()
        say(os.write(300, RESPONSE), exactly(client, len(RESPONSE)))
        os.close(300)
        say("end", to_end(client))


@case
def inherited_by_exec():
    client, server = pair()
    with closing(client, server):
        client.sendall(REQUEST)
        client.shutdown(socket.SHUT_WR)
        say("cat", subprocess.run(["cat"], stdin=server, stdout=server).returncode)
        server.close()
        say(to_end(client))


@case
def short_connections(count=10000):
    ear = listener()

    def serve():
        for _ in range(count):
            server, _ = ear.accept()
            with server:
                exactly(server, len(REQUEST))
                server.sendall(RESPONSE)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    right, wrong = 0, {}
    for _ in range(count):
        try:
            with socket.create_connection(ear.getsockname(), DEADLINE) as client:
                client.sendall(REQUEST)
                right += to_end(client) == RESPONSE
        except OSError as error:
            wrong[repr(error)] = wrong.get(repr(error), 0) + 1
    thread.join(DEADLINE)
    say("right", right, "wrong", wrong, "server done", not thread.is_alive())


@case
def forking_server():
    ear = listener()
    for turn in range(100):
        client = socket.create_connection(ear.getsockname(), DEADLINE)
        server, _ = ear.accept()
        client.sendall(REQUEST)
        with client, server:
            status = child(lambda: (exactly(server, len(REQUEST)), server.sendall(RESPONSE)))
            server.close()
            say(turn, status, to_end(client) == RESPONSE)
