"""What producers and consumers of both kinds share: they are closed, in a scope or by hand, and warn if
they were not.
"""

from __future__ import annotations

import os
import warnings
from asyncio import CancelledError
from collections.abc import Generator
from contextlib import contextmanager

from kaffic.errors import Closed, InCallback, KafficTimeout


class Scope:
    """Something that has to be closed."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._closed = False
        self._process = os.getpid()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def _to_close(self) -> bool:
        # A child of a fork has none of its parent's to close.
        return not self._closed and os.getpid() == self._process

    @contextmanager
    def _closing(self) -> Generator[None, None, None]:
        try:
            yield
        except (KafficTimeout, CancelledError, KeyboardInterrupt, InCallback):
            # It may be closed again.
            raise
        except BaseException:
            self._closed = True
            raise
        self._closed = True

    def __repr__(self) -> str:
        return f"<{'closed ' if self._closed else ''}{self._what}>"

    def __del__(self) -> None:
        if hasattr(self, "_process") and self._to_close():
            warnings.warn(f"unclosed {self._what}", ResourceWarning, source=self, stacklevel=2)


def closed_error(what: str) -> Closed:
    error = Closed(f"the {what} was closed")
    error.status = "CLOSED"
    return error
