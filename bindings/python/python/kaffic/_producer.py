"""The producer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

from kaffic import _kaffic
from kaffic._kaffic import Ack, Deliveries, Delivery, Record
from kaffic._scope import Scope
from kaffic._values import Timeout

if TYPE_CHECKING:
    from typing_extensions import Buffer
elif sys.version_info >= (3, 12):
    from collections.abc import Buffer
else:
    # It has no name there: any object with a buffer.
    Buffer = object

#: A mapping, or pairs where a name may come more than once.
Headers: TypeAlias = Mapping[str, Buffer | None] | Iterable[tuple[str, Buffer | None]]


class Producer(Scope):
    """Writes records to one topic; made by :meth:`kaffic.Client.producer`. Any number of threads may
    use it at once.

    Records of one partition are appended in the order of the calls. Leaving its ``with`` block
    closes it.

    >>> import kaffic
    >>> client = kaffic.connect("memory://")
    >>> topic = client.create_topic("orders")
    >>> with client.producer("orders") as producer:
    ...     first = producer.send(b"one")
    ...     second = producer.send(b"two")
    >>> second.result().offset
    1
    """

    def __init__(self, inner: _kaffic.Producer, topic: str) -> None:
        super().__init__(f"producer of topic {topic}")
        self._inner = inner
        self._topic = topic

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
        on_delivery: Callable[[Delivery], object] | None = None,
    ) -> Delivery:
        """Puts a record into the buffer and returns at once; only while the buffer is full it waits
        (or fails, with ``when_full="fail"``). The arguments are those of :class:`kaffic.Record`.

        ``on_delivery`` is called with the delivery when it is done, as by
        :meth:`Delivery.add_done_callback`; while 100,000 such calls are outstanding in the process,
        this waits. What is wrong with the record is raised here; what goes wrong later, by the
        delivery.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.producer("orders") as producer:
        ...     delivery = producer.send(b"v", b"k", headers={"trace": b"17"}, timestamp=5)
        ...     print(delivery.result(timeout=10))
        Ack(partition=0, offset=0, timestamp=5, duplicate=False)
        """
        return self._inner.send(value, key, headers, timestamp, partition, sequence, on_delivery)

    def send_batch(self, records: Iterable[Record | Buffer | None]) -> Deliveries:
        """Puts many records into the buffer, each a :class:`kaffic.Record` or only a value: much
        faster than one by one. If one of them is not acceptable, its own outcome says so, and the
        others are sent; if one is no record at all, nothing is.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.producer("orders") as producer:
        ...     sent = producer.send_batch([b"one", kaffic.Record(b"two", key=b"k"), b"three"])
        ...     print([ack.offset for ack in sent.result()])
        [0, 1, 2]
        """
        return self._inner.send_batch(records)

    def append(
        self,
        partition: int,
        records: Iterable[Record | Buffer | None],
        expected_offset: int | None = None,
        *,
        timeout: Timeout = None,
    ) -> Ack:
        """Appends the records as one batch, all or none, and waits; with ``expected_offset`` only if
        the first of them gets just that offset. The acknowledgement is of the first record.

        Raises :class:`kaffic.ConditionFailed` with the actual ``tail``.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.producer("orders") as producer:
        ...     ack = producer.append(0, [b"a", b"b"], expected_offset=0)
        ...     try:
        ...         producer.append(0, [b"c"], expected_offset=0)
        ...     except kaffic.ConditionFailed as error:
        ...         print(error.tail)
        2
        """
        ack: Ack = self._inner.append(None, partition, records, expected_offset, timeout)
        return ack

    def flush(self, timeout: Timeout = None) -> None:
        """Waits until everything sent so far is acknowledged or has failed, and until the callbacks
        of it have been called (but where a callback calls this). Raises
        :class:`kaffic.KafficTimeout` after ``timeout`` seconds, when the rest is still under way.

        Raises the first failure of the records that were under way at the call. What had failed
        before, and what ``send`` or ``send_batch`` refused, is told by its own delivery only.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.producer("orders") as producer:
        ...     delivery = producer.send(b"v")
        ...     producer.flush(timeout=10)
        ...     print(delivery.done())
        True
        """
        self._inner.flush(None, timeout)

    def fence_all(self) -> None:
        """Fences older instances of the producer's name off all partitions, now. Without this that
        is done in each partition when it is first written to.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.producer("orders", name="copier") as producer:
        ...     producer.fence_all()
        """
        self._inner.fence_all(None)

    def last_sequence(self, partition: int) -> int | None:
        """The last sequence that the producer's name has written to a partition: where a program
        that was restarted goes on. None if no record there had one.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> with client.producer("orders", name="copier") as producer:
        ...     ack = producer.send(b"v", sequence=41).result()
        ...     print(producer.last_sequence(0))
        41
        """
        last: int | None = self._inner.last_sequence(None, partition)
        return last

    @property
    def partitions(self) -> int:
        """The topic's number of partitions."""
        return self._inner.partitions

    @property
    def epoch(self) -> int | None:
        """0 for the first instance of the producer's name, and one more for each after it; None
        without a name."""
        return self._inner.epoch

    def close(self, timeout: Timeout = None) -> None:
        """Sends what is in the buffer, waits for it as :meth:`flush` does, and refuses records from
        then on. Raises what a flush would. Closing again does nothing; nor does it in a child of a
        fork, where the records are the parent's.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> topic = client.create_topic("orders")
        >>> producer = client.producer("orders")
        >>> producer.close(timeout=10)
        """
        if self._to_close():
            with self._closing():
                self._inner.close(None, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
