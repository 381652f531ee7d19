"""The consumer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from kaffic import _kaffic
from kaffic import _values as values
from kaffic._kaffic import ConsumerRecord
from kaffic._scope import Scope
from kaffic._values import Committed, Offsets, Timeout, TopicPartition

#: Called with the partitions and where reading them begins, or how far they were read.
Told = Callable[[Mapping[TopicPartition, int]], object]
#: May return offsets to commit before the partitions go to others.
Revoked = Callable[[Mapping[TopicPartition, int]], Offsets | None]


class Consumer(Scope):
    """Reads records; made by :meth:`kaffic.Client.consumer`. Iterating gives the records as they
    come, and ends when the consumer is finished (with ``until`` or ``max_records``; otherwise
    never). Any number of threads may call it at once.

    In a group, what was handed out counts as processed at the next poll, commit or close. Leaving
    its ``with`` block closes it; leaving by an exception, what was handed out last is not counted
    as processed, and comes again.

    >>> import kaffic
    >>> client = kaffic.connect("memory://")
    >>> topic = client.create_topic("orders")
    >>> with client.producer("orders") as producer:
    ...     acks = producer.send_batch([b"one", b"two"]).result()
    >>> with client.consumer("orders", group="billing") as consumer:
    ...     for record in consumer:
    ...         print(record.offset, record.value)
    ...         if record.value == b"two":
    ...             break
    0 b'one'
    1 b'two'
    """

    def __init__(self, inner: _kaffic.Consumer) -> None:
        super().__init__("consumer")
        self._inner = inner

    def subscribe(
        self, topics: str | Iterable[str] | None = None, *, pattern: str | None = None
    ) -> None:
        """Reads these topics, or in a group all whose whole name fits a regular expression, in
        place of what was read before.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders-eu")
        >>> with client.consumer(group="billing") as consumer:
        ...     consumer.subscribe(pattern="orders-.*")
        """
        if (topics is None) == (pattern is None):
            raise TypeError("subscribe takes topics or a pattern")
        names = None if topics is None else values.names(topics)
        self._inner.read(None, names, pattern, None)

    def assign(
        self, partitions: Iterable[tuple[str, int] | tuple[str, int, int | None]]
    ) -> None:
        """Reads these partitions, each a topic, a partition and perhaps an offset to begin at, in
        place of what was read before.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders", partitions=3)
        >>> with client.consumer() as consumer:
        ...     consumer.assign([("orders", 0), ("orders", 2, 0)])
        ...     print(consumer.positions()[("orders", 2)])
        0
        """
        self._inner.read(None, None, None, values.partitions(partitions))

    def __iter__(self) -> Iterator[ConsumerRecord]:
        # This calls without a frame of Python's own; `next` gives None when all is read.
        return iter(self._inner.next, None)

    def __next__(self) -> ConsumerRecord:
        record = self._inner.next()
        if record is None:
            raise StopIteration
        return record

    def poll(self, timeout: Timeout = None) -> ConsumerRecord | None:
        """The next record; None if none came within ``timeout`` seconds (without it, it waits as
        long as it takes), or if the consumer is finished.

        Raises what stopped a partition; polling again tries again. Raises
        :class:`kaffic.Interrupted` after :meth:`wakeup`.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.consumer("orders") as consumer:
        ...     print(consumer.poll(timeout=0.01))
        None
        """
        return self._inner.poll(timeout)

    def poll_batch(self, max_records: int = 500, timeout: Timeout = None) -> list[ConsumerRecord]:
        """Up to ``max_records`` records: waits as :meth:`poll` does for the first, and takes what
        is there besides. Empty if none came in time, or if the consumer is finished.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.producer("orders") as producer:
        ...     acks = producer.send_batch([b"one", b"two"]).result()
        >>> with client.consumer("orders") as consumer:
        ...     print([record.value for record in consumer.poll_batch(timeout=10)])
        [b'one', b'two']
        """
        return self._inner.poll_batch(max_records, timeout)

    def wakeup(self) -> None:
        """Has the poll that waits in another thread, or else the next one, raise
        :class:`kaffic.Interrupted`, also where there are records: those come with the poll after
        it. Signal handlers may call it too.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.consumer("orders") as consumer:
        ...     consumer.wakeup()
        ...     try:
        ...         consumer.poll()
        ...     except kaffic.Interrupted:
        ...         print("awake")
        awake
        """
        self._inner.wake()

    def seek(self, topic: str, partition: int, to: int | str | datetime) -> None:
        """Goes on elsewhere in a partition: at an offset, at the first record of a time, or where
        a text such as ``earliest``, ``latest`` or ``last:10`` says, as the setting ``start``.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.producer("orders") as producer:
        ...     acks = producer.send_batch([b"one", b"two"]).result()
        >>> with client.consumer("orders") as consumer:
        ...     consumer.seek("orders", 0, 1)
        ...     print(consumer.poll(timeout=10).value)
        b'two'
        """
        self._inner.seek(None, topic, partition, values.place(to))

    def pause(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Stops delivering these partitions until :meth:`resume`.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.consumer("orders") as consumer:
        ...     consumer.pause([("orders", 0)])
        """
        self._inner.pause(None, list(partitions), True)

    def resume(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Delivers these partitions again, from where they were.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.consumer("orders") as consumer:
        ...     consumer.pause(consumer.positions())
        ...     consumer.resume(consumer.positions())
        """
        self._inner.pause(None, list(partitions), False)

    def positions(self) -> dict[TopicPartition, int]:
        """The offset of the next record of every partition.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.consumer("orders") as consumer:
        ...     print(consumer.positions())
        {TopicPartition(topic='orders', partition=0): 0}
        """
        return values.positions(self._inner.positions(None))

    def end_offsets(self) -> dict[TopicPartition, int]:
        """The tails of the partitions, asked of the store now: the offsets that the next records
        will get.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.consumer("orders") as consumer:
        ...     print(consumer.end_offsets()[("orders", 0)])
        0
        """
        return values.positions(self._inner.end_offsets(None))

    def lag(self) -> dict[TopicPartition, int]:
        """How many offsets lie between position and tail, of every partition.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.consumer("orders") as consumer:
        ...     print(sum(consumer.lag().values()))
        0
        """
        return values.positions(self._inner.lag(None))

    def commit(self, offsets: Offsets | None = None, *, timeout: Timeout = None) -> None:
        """Commits for the group, and waits: all that was handed out so far; or these offsets, each
        that of the next record to be processed; or up to and with a record.

        Raises :class:`kaffic.Fenced` when a partition went to another meanwhile: what was not
        committed is delivered there again, and this consumer goes on with the rest.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.producer("orders") as producer:
        ...     ack = producer.send(b"v").result()
        >>> with client.consumer("orders", group="billing", auto_commit="never") as consumer:
        ...     record = consumer.poll(timeout=10)
        ...     consumer.commit(record)
        ...     consumer.commit({("orders", 0): (1, "by hand")})
        ...     print(consumer.committed()[("orders", 0)])
        Committed(offset=1, metadata='by hand')
        """
        given = None if offsets is None else values.commits(offsets)
        self._inner.commit(None, given, timeout)

    def commit_async(self) -> None:
        """Begins to commit all that was handed out so far, and does not wait. A failure is logged,
        and the next commit tries again.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.consumer("orders", group="billing") as consumer:
        ...     consumer.commit_async()
        """
        self._inner.commit_async(None)

    def committed(self) -> dict[TopicPartition, Committed]:
        """What is committed in the partitions that it has; those without are left out.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.consumer("orders", group="billing") as consumer:
        ...     print(consumer.committed())
        {}
        """
        return values.committed(self._inner.committed(None))

    def member_name(self) -> str | None:
        """Its name in its group; None without a group.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.consumer("orders", group="billing", member_name="worker-1") as consumer:
        ...     print(consumer.member_name())
        worker-1
        """
        name: str | None = self._inner.member_name(None)
        return name

    def is_finished(self) -> bool:
        """Whether everything that was asked for has been delivered; so too once it is closed.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.consumer("orders") as consumer:
        ...     print(consumer.is_finished())
        False
        """
        finished: bool = self._inner.is_finished(None)
        return finished

    def close(self, timeout: Timeout = None) -> None:
        """Ends it: commits what was handed out, if it commits by itself, and leaves its group. A
        poll that waits in another thread raises :class:`kaffic.Closed`. Closing again does nothing;
        nor does it in a child of a fork, where it is the parent's.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> consumer = client.consumer("orders")
        >>> consumer.close(timeout=10)
        """
        self._close(timeout, unfinished=False)

    def _close(self, timeout: Timeout, *, unfinished: bool) -> None:
        if self._to_close():
            with self._closing():
                self._inner.close(None, timeout, unfinished)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close(None, unfinished=kind is not None)


def teller(
    assigned: Told | None, revoked: Revoked | None, lost: Told | None
) -> Callable[[str, Any], Any] | None:
    """What the native half calls when partitions come and go."""
    if assigned is None and revoked is None and lost is None:
        return None
    others = {"assigned": assigned, "lost": lost}

    def told(what: str, places: list[tuple[str, int, int]]) -> list[Any]:
        partitions = values.positions(places)
        try:
            if what == "revoked":
                offsets = None if revoked is None else revoked(partitions)
                return [] if offsets is None else values.commits(offsets)
            called = others[what]
            if called is not None:
                called(partitions)
        except Exception:
            logging.getLogger("kaffic").exception("a callback failed")
        return []

    return told
