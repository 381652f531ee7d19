"""The same for asyncio: names, arguments and meanings are those of ``kaffic``, and what waits is awaited.

>>> import asyncio, kaffic.aio
>>> async def main():
...     async with kaffic.aio.connect("memory://") as client:
...         await client.create_topic("orders")
...         async with client.producer("orders") as producer:
...             ack = await producer.send(b"two coffees", key=b"table 7")
...         async with client.consumer("orders", until="latest") as consumer:
...             async for record in consumer:
...                 print(record.key, record.value)
>>> asyncio.run(main())
b'table 7' b'two coffees'

A client and what it makes belong to the event loop that they were made in.
"""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Awaitable, Callable, Generator, Iterable
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from kaffic import _answers as answers
from kaffic import _kaffic, _requests, _threads
from kaffic import _values as values
from kaffic._consumer import Revoked, Told, teller
from kaffic._kaffic import Ack, ConsumerRecord, Record
from kaffic._producer import Headers
from kaffic._scope import Scope, closed_error
from kaffic._values import Committed, Offsets, Setting, Timeout, TopicPartition

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Client", "Consumer", "Making", "Producer", "connect"]

#: So many records may be taken without waiting before others on the loop have their turn.
_TURN = 64

T = TypeVar("T")


class _Closes(Protocol):
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


M = TypeVar("M", bound=_Closes)


class Making(Generic[M]):
    """Something that is being made: to be awaited, or to be used by ``async with``, which closes it."""

    def __init__(self, make: Callable[[], Awaitable[M]]) -> None:
        self._make = make

    def __await__(self) -> Generator[object, None, M]:
        return self._make().__await__()

    async def __aenter__(self) -> M:
        self._made = await self._make()
        return self._made

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._made.__aexit__(kind, error, trace)


def connect(url: str, **options: Setting) -> Making[Client]:
    """As :func:`kaffic.connect`.

    >>> import asyncio, kaffic.aio
    >>> async def main():
    ...     client = await kaffic.aio.connect("memory://")
    ...     print(await client.list_topics())
    >>> asyncio.run(main())
    []
    """

    async def make() -> Client:
        _threads.logs()
        loop = asyncio.get_running_loop()
        bridge = _kaffic.Bridge(loop, _threads.results(), _threads.settle)
        return Client(await _kaffic.connect(bridge, url, values.settings(options)), bridge)

    return Making(make)


class Producer(Scope):
    """As :class:`kaffic.Producer`.

    >>> import asyncio, kaffic.aio
    >>> async def main():
    ...     async with kaffic.aio.connect("memory://") as client:
    ...         await client.create_topic("orders")
    ...         async with client.producer("orders") as producer:
    ...             sends = [producer.send(b"one"), producer.send(b"two")]
    ...             print([ack.offset for ack in await asyncio.gather(*sends)])
    >>> asyncio.run(main())
    [0, 1]
    """

    def __init__(self, inner: _kaffic.Producer, topic: str, bridge: _kaffic.Bridge) -> None:
        super().__init__(f"producer of topic {topic}")
        self._inner = inner
        self._topic = topic
        self._bridge = bridge

    @property
    def topic(self) -> str:
        """The topic that it writes to."""
        return self._topic

    def send(
        self,
        value: Buffer | None = None,
        key: Buffer | None = None,
        *,
        headers: Headers | None = None,
        timestamp: int | datetime | None = None,
        partition: int | None = None,
        sequence: int | None = None,
        on_delivery: Callable[[asyncio.Future[Ack]], object] | None = None,
    ) -> asyncio.Future[Ack]:
        """Sends a record, at once and in the order of the calls, and returns a future of its
        acknowledgement. Cancelling the future does not take the record back. ``on_delivery`` is
        called with the future when it is done.

        While the buffer is full, records wait outside it, 64 MiB of them; beyond that the future
        fails with :class:`kaffic.QueueFull`. With ``when_full="fail"`` it does so at once.
        """
        sent = self._inner.send_soon(
            self._bridge, value, key, headers, timestamp, partition, sequence
        )
        if on_delivery is not None:
            sent.add_done_callback(on_delivery)
        return sent

    def send_batch(self, records: Iterable[Record | Buffer | None]) -> asyncio.Future[list[Ack]]:
        """Sends many records, and returns a future of their acknowledgements in order. Much faster
        than one by one. It fails with the first failure once all are done; the exception has as
        ``outcomes`` what became of each, an acknowledgement or a failure."""
        return self._inner.send_batch_soon(self._bridge, records)

    async def append(
        self,
        partition: int,
        records: Iterable[Record | Buffer | None],
        expected_offset: int | None = None,
        *,
        timeout: Timeout = None,
    ) -> Ack:
        """As :meth:`kaffic.Producer.append`."""
        ack: Ack = await self._inner.append(
            self._bridge, partition, records, expected_offset, timeout
        )
        return ack

    async def flush(self, timeout: Timeout = None) -> None:
        """As :meth:`kaffic.Producer.flush`."""
        await self._inner.flush(self._bridge, timeout)

    async def fence_all(self) -> None:
        """As :meth:`kaffic.Producer.fence_all`."""
        await self._inner.fence_all(self._bridge)

    async def last_sequence(self, partition: int) -> int | None:
        """As :meth:`kaffic.Producer.last_sequence`."""
        last: int | None = await self._inner.last_sequence(self._bridge, partition)
        return last

    @property
    def partitions(self) -> int:
        """The topic's number of partitions."""
        return self._inner.partitions

    @property
    def epoch(self) -> int | None:
        """As :attr:`kaffic.Producer.epoch`."""
        return self._inner.epoch

    async def close(self, timeout: Timeout = None) -> None:
        """As :meth:`kaffic.Producer.close`."""
        if self._to_close():
            with self._closing():
                await self._inner.close(self._bridge, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class Consumer(Scope):
    """As :class:`kaffic.Consumer`. Cancelling a poll loses no record.

    >>> import asyncio, kaffic.aio
    >>> async def main():
    ...     async with kaffic.aio.connect("memory://") as client:
    ...         await client.create_topic("orders")
    ...         async with client.consumer("orders") as consumer:
    ...             print(await consumer.poll(timeout=0.01))
    >>> asyncio.run(main())
    None
    """

    def __init__(self, inner: _kaffic.Consumer, bridge: _kaffic.Bridge) -> None:
        super().__init__("consumer")
        self._inner = inner
        self._bridge = bridge
        self._taken = 0

    async def subscribe(
        self, topics: str | Iterable[str] | None = None, *, pattern: str | None = None
    ) -> None:
        """As :meth:`kaffic.Consumer.subscribe`."""
        if (topics is None) == (pattern is None):
            raise TypeError("subscribe takes topics or a pattern")
        names = None if topics is None else values.names(topics)
        await self._inner.read(self._bridge, names, pattern, None)

    async def assign(
        self, partitions: Iterable[tuple[str, int] | tuple[str, int, int | None]]
    ) -> None:
        """As :meth:`kaffic.Consumer.assign`."""
        await self._inner.read(self._bridge, None, None, values.partitions(partitions))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ConsumerRecord:
        if self._taken < _TURN:
            record = self._inner.take()
            if record is not None:
                self._taken += 1
                return record
        record = await self.poll()
        if record is None:
            raise StopAsyncIteration
        return record

    async def poll(self, timeout: Timeout = None) -> ConsumerRecord | None:
        """As :meth:`kaffic.Consumer.poll`."""
        records = await self.poll_batch(1, timeout)
        return records[0] if records else None

    async def poll_batch(
        self, max_records: int = 500, timeout: Timeout = None
    ) -> list[ConsumerRecord]:
        """As :meth:`kaffic.Consumer.poll_batch`."""
        loop = asyncio.get_running_loop()
        wait = values.seconds(timeout)
        deadline = None if wait is None else loop.time() + wait
        if self._taken >= _TURN:
            self._taken = 0
            await asyncio.sleep(0)
        while True:
            # Nothing is awaited between a record's being taken and its being the program's, so a
            # poll that is cancelled has taken none.
            records = self._inner.take_batch(max_records)
            if records or max_records == 0:
                self._taken += len(records)
                return records
            left = None if deadline is None else max(0.0, deadline - loop.time())
            if not await self._inner.ready(self._bridge, left):
                return []

    def wakeup(self) -> None:
        """As :meth:`kaffic.Consumer.wakeup`."""
        self._inner.wake()

    async def seek(self, topic: str, partition: int, to: int | str | datetime) -> None:
        """As :meth:`kaffic.Consumer.seek`."""
        await self._inner.seek(self._bridge, topic, partition, values.place(to))

    async def pause(self, partitions: Iterable[tuple[str, int]]) -> None:
        """As :meth:`kaffic.Consumer.pause`."""
        await self._inner.pause(self._bridge, list(partitions), True)

    async def resume(self, partitions: Iterable[tuple[str, int]]) -> None:
        """As :meth:`kaffic.Consumer.resume`."""
        await self._inner.pause(self._bridge, list(partitions), False)

    async def positions(self) -> dict[TopicPartition, int]:
        """As :meth:`kaffic.Consumer.positions`."""
        return values.positions(await self._inner.positions(self._bridge))

    async def end_offsets(self) -> dict[TopicPartition, int]:
        """As :meth:`kaffic.Consumer.end_offsets`."""
        return values.positions(await self._inner.end_offsets(self._bridge))

    async def lag(self) -> dict[TopicPartition, int]:
        """As :meth:`kaffic.Consumer.lag`."""
        return values.positions(await self._inner.lag(self._bridge))

    async def commit(self, offsets: Offsets | None = None, *, timeout: Timeout = None) -> None:
        """As :meth:`kaffic.Consumer.commit`."""
        given = None if offsets is None else values.commits(offsets)
        await self._inner.commit(self._bridge, given, timeout)

    async def commit_async(self) -> None:
        """As :meth:`kaffic.Consumer.commit_async`."""
        await self._inner.commit_async(self._bridge)

    async def committed(self) -> dict[TopicPartition, Committed]:
        """As :meth:`kaffic.Consumer.committed`."""
        return values.committed(await self._inner.committed(self._bridge))

    async def member_name(self) -> str | None:
        """As :meth:`kaffic.Consumer.member_name`."""
        name: str | None = await self._inner.member_name(self._bridge)
        return name

    async def is_finished(self) -> bool:
        """As :meth:`kaffic.Consumer.is_finished`."""
        finished: bool = await self._inner.is_finished(self._bridge)
        return finished

    async def close(self, timeout: Timeout = None) -> None:
        """As :meth:`kaffic.Consumer.close`."""
        await self._close(timeout, unfinished=False)

    async def _close(self, timeout: Timeout, *, unfinished: bool) -> None:
        if self._to_close():
            with self._closing():
                await self._inner.close(self._bridge, timeout, unfinished)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close(None, unfinished=kind is not None)


class Client:
    """As :class:`kaffic.Client`. Producers and consumers are made by ``async with`` or ``await``.

    >>> import asyncio, kaffic.aio
    >>> async def main():
    ...     async with kaffic.aio.connect("memory://") as client:
    ...         topic = await client.create_topic("orders", partitions=3)
    ...         producer = await client.producer("orders")
    ...         print(topic.partitions, producer.partitions)
    >>> asyncio.run(main())
    3 3
    """

    def __init__(self, inner: _kaffic.Client, bridge: _kaffic.Bridge) -> None:
        self._inner = inner
        self._bridge = bridge
        self._closed = False
        self._made: weakref.WeakSet[Producer | Consumer] = weakref.WeakSet()

    def producer(self, topic: str, **settings: Setting) -> Making[Producer]:
        """As :meth:`kaffic.Client.producer`."""

        async def make() -> Producer:
            pairs = values.settings(settings)
            inner = await self._open().producer(self._bridge, topic, pairs)
            made = Producer(inner, topic, self._bridge)
            self._made.add(made)
            return made

        return Making(make)

    def consumer(
        self,
        topics: str | Iterable[str] | None = None,
        *,
        pattern: str | None = None,
        partitions: Iterable[tuple[str, int] | tuple[str, int, int | None]] | None = None,
        on_assigned: Told | None = None,
        on_revoked: Revoked | None = None,
        on_lost: Told | None = None,
        **settings: Setting,
    ) -> Making[Consumer]:
        """As :meth:`kaffic.Client.consumer`. The callbacks are plain functions, and are called on
        the loop's thread."""
        if sum(given is not None for given in (topics, pattern, partitions)) > 1:
            raise TypeError("a consumer reads topics, a pattern or partitions, one of these")

        async def make() -> Consumer:
            told = teller(on_assigned, on_revoked, on_lost)
            inner = self._open().consumer(self._bridge, values.settings(settings), told)
            if topics is not None or pattern is not None or partitions is not None:
                names = None if topics is None else values.names(topics)
                places = None if partitions is None else values.partitions(partitions)
                await inner.read(self._bridge, names, pattern, places)
            made = Consumer(inner, self._bridge)
            self._made.add(made)
            return made

        return Making(make)

    async def create_topic(self, name: str, **settings: Setting) -> answers.Topic:
        """As :meth:`kaffic.Client.create_topic`."""
        return await self._ask(_requests.create_topic(name, settings))

    async def ensure_topic(self, name: str, **settings: Setting) -> answers.Topic:
        """As :meth:`kaffic.Client.ensure_topic`."""
        return await self._ask(_requests.ensure_topic(name, settings))

    async def alter_topic(self, name: str, **settings: Setting) -> answers.Topic:
        """As :meth:`kaffic.Client.alter_topic`."""
        return await self._ask(_requests.alter_topic(name, settings))

    async def describe_topic(self, name: str) -> answers.Topic:
        """As :meth:`kaffic.Client.describe_topic`."""
        return await self._ask(_requests.describe_topic(name))

    async def list_topics(self) -> list[answers.Topic]:
        """As :meth:`kaffic.Client.list_topics`."""
        return await self._ask(_requests.list_topics())

    async def delete_topic(self, name: str) -> answers.Deletion:
        """As :meth:`kaffic.Client.delete_topic`."""
        return await self._ask(_requests.delete_topic(name))

    async def offset(self, topic: str, partition: int, where: str | datetime = "latest") -> int:
        """As :meth:`kaffic.Client.offset`."""
        return await self._ask(_requests.offset(topic, partition, where))

    async def verify(self, topic: str) -> answers.Verification:
        """As :meth:`kaffic.Client.verify`."""
        return await self._ask(_requests.verify(topic))

    async def compact(self, topic: str) -> answers.Compaction:
        """As :meth:`kaffic.Client.compact`."""
        return await self._ask(_requests.compact(topic))

    async def trim(self, topic: str, **settings: Setting) -> answers.Trimmed:
        """As :meth:`kaffic.Client.trim`."""
        return await self._ask(_requests.trim(topic, settings))

    async def adopt(self, topic: str, *, dry_run: bool = False) -> answers.Adoption:
        """As :meth:`kaffic.Client.adopt`."""
        return await self._ask(_requests.adopt(topic, dry_run))

    async def examine(self) -> answers.Examination:
        """As :meth:`kaffic.Client.examine`."""
        return await self._ask(_requests.examine())

    async def metrics(self) -> answers.Metrics:
        """As :meth:`kaffic.Client.metrics`."""
        return await self._ask(_requests.metrics())

    async def list_groups(self) -> list[answers.GroupListing]:
        """As :meth:`kaffic.Client.list_groups`."""
        return await self._ask(_requests.list_groups())

    async def describe_group(self, name: str) -> answers.Group:
        """As :meth:`kaffic.Client.describe_group`."""
        return await self._ask(_requests.describe_group(name))

    async def committed_of_group(self, name: str) -> dict[TopicPartition, Committed]:
        """As :meth:`kaffic.Client.committed_of_group`."""
        return await self._ask(_requests.committed_of_group(name))

    async def commit_group(self, name: str, offsets: Offsets) -> None:
        """As :meth:`kaffic.Client.commit_group`."""
        return await self._ask(_requests.commit_group(name, offsets))

    async def reset_group(
        self,
        name: str,
        topic: str,
        to: str | int | datetime,
        *,
        partitions: Iterable[int] | None = None,
        dry_run: bool = False,
    ) -> dict[TopicPartition, Committed]:
        """As :meth:`kaffic.Client.reset_group`."""
        return await self._ask(_requests.reset_group(name, topic, to, partitions, dry_run))

    async def delete_group(self, name: str) -> None:
        """As :meth:`kaffic.Client.delete_group`."""
        return await self._ask(_requests.delete_group(name))

    async def close(self) -> None:
        """As :meth:`kaffic.Client.close`."""
        await self.__aexit__(None, None, None)

    def _open(self) -> _kaffic.Client:
        if self._closed:
            raise closed_error("client")
        return self._inner

    async def _ask(self, request: _requests.Request[T]) -> T:
        asked = request.what, request.words, request.offsets, request.settings
        return request.answer(json.loads(await self._open().ask(self._bridge, *asked)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        closing = [made.__aexit__(kind, error, trace) for made in self._made]
        outcomes = await asyncio.gather(*closing, return_exceptions=True)
        # Until here it may be cancelled, and closed again.
        self._made.clear()
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    def __repr__(self) -> str:
        # The URL may hold a secret.
        return f"<{'closed ' if self._closed else ''}client>"
