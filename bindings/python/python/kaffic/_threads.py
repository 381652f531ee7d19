"""The threads that hand over what happens outside Python: results for event loops, calls that were
asked for, log lines. Each empties a mailbox. They begin when they are first needed, end before the
interpreter does, and begin anew in a child of a fork.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from kaffic._kaffic import Errands, Mailbox, Pending, close_gate, log_to, open_gate
from kaffic.errors import make

#: How long the end of the program waits for what is being handed over.
_LAST_SECONDS = 5.0

log = logging.getLogger("kaffic")
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
        mailbox = Mailbox(_CALLS[name])
        if _over:
            mailbox.close()
            return mailbox
        # A daemon: one that is not would keep the program from its end, where it is told to stop.
        thread = threading.Thread(target=_empty, args=(mailbox,), name=f"kaffic-{name}", daemon=True)
        thread.start()
        _running[name] = (mailbox, thread)
        return mailbox


def _empty(mailbox: Mailbox) -> None:
    while calls := mailbox.take():
        for call, *args in calls:
            try:
                call(*args)
            # Neither does sys.exit() end the thread that makes all calls.
            except BaseException:
                log.exception("a callback failed")


def _deliver(callback: Callable[[Any], object], delivery: Any, pending: Pending) -> None:
    try:
        callback(delivery)
    finally:
        pending.done()


def _tell(loop: asyncio.AbstractEventLoop, errands: Errands) -> None:
    try:
        loop.call_soon_threadsafe(_come, errands)
    except RuntimeError:
        # The loop is closed: nobody waits any more.
        errands.take()


def _come(errands: Errands) -> None:
    """On the loop: what ends programs ends it, once all have been told."""
    ended: BaseException | None = None
    for call, *args in errands.take():
        try:
            call(*args)
        except Exception:
            log.exception("a callback failed")
        except BaseException as error:
            ended = ended or error
    if ended is not None:
        raise ended


_Parts = tuple[str, str, bool, bool, int | None, int | None]


def settle(
    future: asyncio.Future[Any], value: Any, failed: BaseException | _Parts | None
) -> None:
    """Ends a future with a value, an exception, or the parts of one."""
    if future.done():
        return
    if failed is None:
        future.set_result(value)
    else:
        future.set_exception(make(*failed) if isinstance(failed, tuple) else failed)


def results() -> Mailbox:
    """For results of event loops."""
    return _mailbox("results")


def deliveries() -> Mailbox:
    """For calls when records are delivered: a program's own code, which may take its time."""
    return _mailbox("deliveries")


def logs() -> None:
    """Has log lines go to ``logging``, at the level that it is set to now."""
    global _level
    level = log.getEffectiveLevel()
    if level != _level or "logs" not in _running:
        log_to(_mailbox("logs"), level)
        _level = level


def _emit(level: int, target: str, text: str) -> None:
    name = target.replace("kaffic_core", "kaffic").replace("::", ".")
    logging.getLogger(name).log(level, "%s", text)


_CALLS: dict[str, Callable[..., object]] = {
    "results": _tell,
    "deliveries": _deliver,
    "logs": _emit,
}


def _end() -> None:
    global _over
    with _lock:
        _over = True
        running = list(_running.values())
        _running.clear()
    for mailbox, _ in running:
        mailbox.close()
    close_gate()
    for _, thread in running:
        thread.join(_LAST_SECONDS)


def _in_the_child() -> None:
    global _lock
    _lock = threading.Lock()
    _running.clear()
    open_gate()


atexit.register(_end)
os.register_at_fork(after_in_child=_in_the_child)
