"""Kills and starts servers for a test that runs beside them, over a Unix socket.

The supervisor does it and not the test, so that it alone knows the processes and stops those that are left.
One line asks, `kill NAME` or `start NAME`; one line answers, `ok` or what was wrong.
"""

import os
import socket

from process import Failed

ASK_S = 120


def listen(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


def serve(listener, servers):
    by_name = {server.name: server for server in servers}
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as stream:
            try:
                answer = act(by_name, stream.readline().split())
            except (Failed, OSError) as error:
                answer = str(error).replace("\n", " | ")
            try:
                stream.write(f"{answer}\n")
                stream.flush()
            except OSError:
                pass  # Whoever asked has gone.


def act(by_name, words):
    if len(words) != 2 or words[0] not in ("kill", "start"):
        raise Failed("say kill NAME or start NAME")
    action, name = words
    if name not in by_name:
        raise Failed(f"{name} is not among the servers here: {', '.join(by_name)}")
    server = by_name[name]
    if not server.survives_kill:
        raise Failed(f"{name} does not keep its data when it is killed")
    if action == "kill":
        server.kill()
    else:
        server.launch()
        server.wait_until_ready()
    return "ok"


def ask(*words):
    """Raises Failed with the reason where it was not done."""
    path = os.environ.get("KAFFIC_TEST_SERVERS")
    if not path:
        raise Failed("KAFFIC_TEST_SERVERS is not set: run this under scripts/servers/run")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ASK_S)
        connection.connect(path)
        with connection.makefile("rw") as stream:
            stream.write(f"{' '.join(words)}\n")
            stream.flush()
            answer = stream.readline().strip()
    if answer != "ok":
        raise Failed(answer or "the servers have gone")
