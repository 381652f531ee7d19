"""The threads that hand over what happens outside Python: results for event loops, calls that were
asked for, log lines. Each empties a mailbox. They begin when they are first needed, end before the
interpreter does, and begin anew in a child of a fork.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading

from kaffic._kaffic import Mailbox, log_to

#: How long the end of the program waits for what is being handed over.
_LAST_SECONDS = 5.0

_lock = threading.Lock()
_running: dict[str, tuple[Mailbox, threading.Thread]] = {}
_level: int | None = None
_over = False


def _mailbox(name: str) -> Mailbox:
    there = _running.get(name)
    if there is not None:
        return there[0]
    with _lock:
        if name in _running:
            return _running[name][0]
        mailbox = Mailbox(_emit if name == "logs" else None)
        if _over:
            mailbox.close()
            return mailbox
        # A daemon: one that is not would keep the program from its end, where it is told to stop.
        thread = threading.Thread(target=mailbox.run, name=f"kaffic-{name}", daemon=True)
        thread.start()
        _running[name] = (mailbox, thread)
        return mailbox


def results() -> Mailbox:
    """For results of event loops."""
    return _mailbox("results")


def deliveries() -> Mailbox:
    """For calls when records are delivered: a program's own code, which may take its time."""
    return _mailbox("deliveries")


def logs() -> None:
    """Has log lines go to ``logging``, at the level that it is set to now."""
    global _level
    level = logging.getLogger("kaffic").getEffectiveLevel()
    if level != _level or "logs" not in _running:
        log_to(_mailbox("logs"), level)
        _level = level


def _emit(level: int, target: str, text: str) -> None:
    name = target.replace("kaffic_core", "kaffic").replace("::", ".")
    logging.getLogger(name).log(level, "%s", text)


def _end() -> None:
    global _over
    with _lock:
        _over = True
        running = list(_running.values())
        _running.clear()
    for mailbox, _ in running:
        mailbox.close()
    for _, thread in running:
        thread.join(_LAST_SECONDS)


def _in_the_child() -> None:
    global _lock
    _lock = threading.Lock()
    _running.clear()


atexit.register(_end)
os.register_at_fork(after_in_child=_in_the_child)
