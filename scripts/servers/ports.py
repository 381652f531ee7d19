"""Free loopback ports.

They lie below the range from which the kernel takes ports for outgoing connections, so that nothing takes a
killed server's port before it is started again. SeaweedFS listens on each port + 10000 too.
"""

import random
import socket

FIRST, LAST = 12_000, 21_999
SECOND_OFFSET = 10_000


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free(count):
    chosen = []
    for port in random.sample(range(FIRST, LAST + 1), LAST + 1 - FIRST):
        if len(chosen) == count:
            return chosen
        if is_free(port) and is_free(port + SECOND_OFFSET):
            chosen.append(port)
    raise OSError(f"fewer than {count} free ports between {FIRST} and {LAST}")
