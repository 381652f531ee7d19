"""What producers and consumers of both kinds share: they are closed, in a scope or by hand, and warn if
they were not.
"""

from __future__ import annotations

import os
import warnings
from asyncio import CancelledError
from collections.abc import Generator
from contextlib import contextmanager

from kaffic.errors import Closed, KafficTimeout


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

    @contextmanager
    def _closing(self) -> Generator[None, None, None]:
        try:
            yield
        except (KafficTimeout, CancelledError, KeyboardInterrupt):
            # It may be closed again.
            raise
        except BaseException:
            self._closed = True
            raise
        self._closed = True

    def __repr__(self) -> str:
        return f"<{'closed ' if self._closed else ''}{self._what}>"

    def __del__(self) -> None:
        # A child of a fork has none of its parent's to close.
        if not getattr(self, "_closed", True) and os.getpid() == self._process:
            warnings.warn(f"unclosed {self._what}", ResourceWarning, source=self, stacklevel=2)


def closed_error(what: str) -> Closed:
    error = Closed(f"the {what} was closed")
    error.status = "CLOSED"
    return error
