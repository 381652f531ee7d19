"""Writes a server's own access log to a file, a JSON object a line.

SeaweedFS sends its audit log over the network, as Fluentd's forward protocol in JSON, and to nowhere else. It waits
until a line was taken, so a client that has its answer finds the request in the file at once or very soon after.
"""

import codecs
import json
import socket
import threading


class Receiver:
    def __init__(self, path):
        self.path = path
        self.path.touch()
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.receive, args=(connection,), daemon=True).start()

    def receive(self, connection):
        """Until the server goes. What a kill cut short is not written."""
        left = ""
        text, decoder = codecs.getincrementaldecoder("utf-8")(), json.JSONDecoder()
        with connection:
            while some := connection.recv(1 << 16):
                left += text.decode(some)
                lines = []
                while left:
                    try:
                        (_tag, _time, entry, *_rest), end = decoder.raw_decode(left)
                    except json.JSONDecodeError:
                        break
                    lines.append(json.dumps(entry) + "\n")
                    left = left[end:].lstrip()
                with self.lock, self.path.open("a") as log:
                    log.writelines(lines)

    def settings(self):
        """What the server wants to know, as it wants it."""
        return {
            "fluent_network": "tcp",
            "fluent_host": "127.0.0.1",
            "fluent_port": self.port,
            "marshal_as_json": True,
            "async": False,
        }
