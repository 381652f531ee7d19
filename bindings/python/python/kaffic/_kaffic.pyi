# The native half. Programs use what `kaffic` exports of it; `kaffic` itself calls the rest.
import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias, final

from typing_extensions import Buffer

from kaffic.errors import KafficError

__all__ = [
    "Ack",
    "Bridge",
    "Client",
    "Consumer",
    "ConsumerRecord",
    "Deliveries",
    "Delivery",
    "Errands",
    "Mailbox",
    "Pending",
    "Producer",
    "Record",
    "View",
    "close_gate",
    "connect",
    "log_to",
    "open_gate",
]

_Headers: TypeAlias = Mapping[str, Buffer | None] | Iterable[tuple[str, Buffer | None]]
_Timeout: TypeAlias = float | timedelta | None
_Pairs: TypeAlias = Sequence[tuple[str, str]]
_Commits: TypeAlias = Sequence[tuple[str, int, int, str | None]]

@final
class Record:
    """A record to be produced. Everything is optional; a record may even be empty. It may be compared
    and pickled.

    `value` and `key` are bytes, or whatever has a buffer; None is null, which is not the same as
    empty. `headers` are a mapping, or pairs where a name may come more than once. `timestamp` is
    in Unix milliseconds, or a `datetime` with a time zone; without it, it is the time of sending.
    `partition` names one; without it the key decides, or the producer where there is no key.
    `sequence` is for producers with a name: a record whose number is not above the last one that
    the name has written to the partition is acknowledged as a duplicate.
    """

    def __new__(
        cls,
        value: Buffer | None = None,
        key: Buffer | None = None,
        *,
        headers: _Headers | None = None,
        timestamp: int | datetime | None = None,
        partition: int | None = None,
        sequence: int | None = None,
    ) -> Record: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def headers(self) -> list[tuple[str, bytes | None]]: ...
    @property
    def timestamp(self) -> int | None: ...
    @property
    def partition(self) -> int | None: ...
    @property
    def sequence(self) -> int | None: ...
    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class ConsumerRecord:
    """A record that was read. It may be compared and pickled.

    It keeps the batch that it came in in memory, so keep `value` rather than the record where only
    that matters. Each access makes new `bytes`; `value_view` and `key_view` show them without a copy.
    """

    def __new__(
        cls,
        topic: str,
        partition: int,
        offset: int,
        timestamp: int,
        key: Buffer | None = None,
        value: Buffer | None = None,
        headers: _Headers | None = None,
    ) -> ConsumerRecord: ...
    @property
    def topic(self) -> str:
        """The topic it was read from."""
    @property
    def partition(self) -> int:
        """The partition it was read from."""
    @property
    def offset(self) -> int:
        """Its position in the partition: offsets grow, may have gaps, and never repeat."""
    @property
    def timestamp(self) -> int:
        """Unix milliseconds, as its producer gave it."""
    @property
    def datetime(self) -> datetime:
        """The timestamp as a time of day in UTC; OverflowError beyond the years 1 to 9999."""
    @property
    def key(self) -> bytes | None:
        """The key, or None where it is null."""
    @property
    def value(self) -> bytes | None:
        """The value, or None where it is null."""
    @property
    def key_view(self) -> memoryview | None:
        """The key without a copy."""
    @property
    def value_view(self) -> memoryview | None:
        """The value without a copy."""
    @property
    def headers(self) -> list[tuple[str, bytes | None]]:
        """The headers in order."""
    def header(self, name: str) -> bytes | None:
        """The value of the last header of this name; None where it is null, or there is none."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]: ...

@final
class View: ...

@final
class Ack:
    """Where a record went. It may be compared, hashed and pickled."""

    def __new__(
        cls, partition: int, offset: int, timestamp: int, duplicate: bool = False
    ) -> Ack: ...
    @property
    def partition(self) -> int:
        """The partition."""
    @property
    def offset(self) -> int:
        """The offset; of the first record, where several were appended at once. -1 for a duplicate."""
    @property
    def timestamp(self) -> int:
        """The record's timestamp in Unix milliseconds."""
    @property
    def duplicate(self) -> bool:
        """The producer's name had written this sequence before: it was not written again."""
    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Delivery:
    """The acknowledgement of a record that is under way. Dropping it does not take the record back."""

    def result(self, timeout: _Timeout = None) -> Ack:
        """Waits for the acknowledgement: the record is durable then. Raises what became of it
        otherwise, or `KafficTimeout` after `timeout` seconds."""
    def exception(self, timeout: _Timeout = None) -> KafficError | None:
        """Waits as `result` does, and returns the failure; None if there is none."""
    def done(self) -> bool:
        """Whether it is acknowledged or has failed."""
    def add_done_callback(self, callback: Callable[[Delivery], object], /) -> None:
        """Has `callback` called with this when it is done, on a thread of the library's. Calls come one
        at a time. What it raises is logged. Waits while 100,000 calls are outstanding in the
        process, but on that thread."""

@final
class Deliveries:
    """The acknowledgements of records that were sent together."""

    def __len__(self) -> int: ...
    def result(self, timeout: _Timeout = None) -> list[Ack]:
        """Waits for all, in the order of the records. Raises the first failure, which has all
        `outcomes`, or `KafficTimeout` after `timeout` seconds."""
    def outcomes(self, timeout: _Timeout = None) -> list[Ack | KafficError]:
        """The same, with a failure where its record was."""
    def done(self) -> bool:
        """Whether all are acknowledged or have failed."""
    def add_done_callback(self, callback: Callable[[Deliveries], object], /) -> None:
        """Has `callback` called with this when all are done, as `Delivery.add_done_callback`."""

@final
class Mailbox:
    def __new__(cls, call: Callable[..., object]) -> Mailbox: ...
    def take(self) -> list[tuple[Any, ...]]: ...
    def close(self) -> None: ...

@final
class Pending:
    def done(self) -> None: ...

def open_gate() -> None: ...
def close_gate() -> None: ...
def log_to(mailbox: Mailbox, level: int) -> None: ...
@final
class Errands:
    def take(self) -> list[tuple[Any, ...]]: ...

@final
class Bridge:
    def __new__(
        cls,
        event_loop: asyncio.AbstractEventLoop,
        mailbox: Mailbox,
        settle: Callable[[asyncio.Future[Any], Any, Any], None],
    ) -> Bridge: ...

# With a bridge these return a future of its loop, without one what the future would come to.
def connect(bridge: Bridge | None, url: str, options: _Pairs) -> Any: ...
@final
class Client:
    def check(self) -> None: ...
    def producer(self, bridge: Bridge | None, topic: str, pairs: _Pairs) -> Any: ...
    def consumer(
        self, bridge: Bridge | None, pairs: _Pairs, told: Callable[[str, Any], Any] | None
    ) -> Consumer: ...
    def ask(
        self,
        bridge: Bridge | None,
        what: str,
        words: Sequence[str],
        offsets: _Commits,
        pairs: _Pairs,
    ) -> Any: ...

@final
class Producer:
    def send(
        self,
        value: Buffer | None,
        key: Buffer | None,
        headers: _Headers | None,
        timestamp: int | datetime | None,
        partition: int | None,
        sequence: int | None,
        on_delivery: Callable[[Delivery], object] | None,
    ) -> Delivery: ...
    def send_soon(
        self,
        bridge: Bridge,
        value: Buffer | None,
        key: Buffer | None,
        headers: _Headers | None,
        timestamp: int | datetime | None,
        partition: int | None,
        sequence: int | None,
    ) -> asyncio.Future[Ack]: ...
    def send_batch(self, given: Iterable[Record | Buffer | None]) -> Deliveries: ...
    def send_batch_soon(
        self, bridge: Bridge, given: Iterable[Record | Buffer | None]
    ) -> asyncio.Future[list[Ack]]: ...
    def append(
        self,
        bridge: Bridge | None,
        partition: int,
        given: Iterable[Record | Buffer | None],
        expected_offset: int | None,
        timeout: _Timeout,
    ) -> Any: ...
    def flush(self, bridge: Bridge | None, timeout: _Timeout) -> Any: ...
    def close(self, bridge: Bridge | None, timeout: _Timeout) -> Any: ...
    def fence_all(self, bridge: Bridge | None) -> Any: ...
    def last_sequence(self, bridge: Bridge | None, partition: int) -> Any: ...
    @property
    def partitions(self) -> int: ...
    @property
    def epoch(self) -> int | None: ...

@final
class Consumer:
    def read(
        self,
        bridge: Bridge | None,
        topics: Sequence[str] | None,
        pattern: str | None,
        partitions: Sequence[tuple[str, int, int | None]] | None,
    ) -> Any: ...
    def next(self) -> ConsumerRecord | None: ...
    def poll(self, timeout: _Timeout) -> ConsumerRecord | None: ...
    def poll_batch(self, max_records: int, timeout: _Timeout) -> list[ConsumerRecord]: ...
    def take(self) -> ConsumerRecord | None: ...
    def take_batch(self, max_records: int) -> list[ConsumerRecord]: ...
    def ready(self, bridge: Bridge, timeout: _Timeout) -> asyncio.Future[bool]: ...
    def wake(self) -> None: ...
    def seek(self, bridge: Bridge | None, topic: str, partition: int, to: str) -> Any: ...
    def pause(
        self, bridge: Bridge | None, partitions: Sequence[tuple[str, int]], paused: bool
    ) -> Any: ...
    def positions(self, bridge: Bridge | None) -> Any: ...
    def end_offsets(self, bridge: Bridge | None) -> Any: ...
    def lag(self, bridge: Bridge | None) -> Any: ...
    def committed(self, bridge: Bridge | None) -> Any: ...
    def commit(self, bridge: Bridge | None, offsets: _Commits | None, timeout: _Timeout) -> Any: ...
    def commit_async(self, bridge: Bridge | None) -> Any: ...
    def member_name(self, bridge: Bridge | None) -> Any: ...
    def is_finished(self, bridge: Bridge | None) -> Any: ...
    def close(self, bridge: Bridge | None, timeout: _Timeout, unfinished: bool) -> Any: ...
