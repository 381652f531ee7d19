"""The client."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterable
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

from kaffic import _answers as answers
from kaffic import _kaffic, _requests, _threads
from kaffic import _values as values
from kaffic._consumer import Consumer, Revoked, Told, teller
from kaffic._producer import Producer
from kaffic._scope import closed_error
from kaffic._values import Committed, Offsets, Setting, TopicPartition

T = TypeVar("T")


def connect(url: str, **options: Setting) -> Client:
    """Connects to the store at ``url``: ``s3://bucket/prefix``, ``az://…``, ``gs://…``, ``file://…``
    or ``memory://``. Options are those of the store, such as ``endpoint`` or ``region``. Nothing is
    asked of the store yet.

    Raises :class:`kaffic.InvalidArgument` for a URL or an option that is not acceptable.

    >>> import kaffic
    >>> kaffic.connect("memory://").list_topics()
    []
    """
    _threads.logs()
    return Client(_kaffic.connect(None, url, values.settings(options)))


class Client:
    """A store that is connected to; made by :func:`kaffic.connect`. Any number of threads may use it.

    Leaving its ``with`` block closes it, and with it the producers and consumers that it made;
    leaving by an exception, these are left so too.

    >>> import kaffic
    >>> with kaffic.connect("memory://") as client:
    ...     print(client.create_topic("orders", partitions=3).partitions)
    3
    """

    def __init__(self, inner: _kaffic.Client) -> None:
        self._inner = inner
        self._closed = False
        self._made: weakref.WeakSet[Producer | Consumer] = weakref.WeakSet()

    def producer(self, topic: str, **settings: Setting) -> Producer:
        """Makes a producer of ``topic``. Settings are those of docs/configuration.md; times may be a
        ``timedelta`` too.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     with client.producer("orders", compression="zstd", linger="5ms") as producer:
        ...         print(producer.send(b"v").result().offset)
        0
        """
        inner = self._open().producer(None, topic, values.settings(settings))
        made = Producer(inner, topic)
        self._made.add(made)
        return made

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
    ) -> Consumer:
        """Makes a consumer of topics, of all whose name fits a pattern (in a group), or of
        partitions. Without any of them it reads nothing until :meth:`Consumer.subscribe` or
        :meth:`Consumer.assign`. Settings are those of docs/configuration.md, ``group`` among them;
        ``start`` and ``until`` may be a ``datetime``.

        In a group, ``on_assigned`` is called with partitions that came, ``on_revoked`` with those
        that are about to go (it may return offsets to commit first) and ``on_lost`` with those that
        others have already. They are called on the thread that polls or closes, and can't make
        calls that wait. What they raise is logged; but KeyboardInterrupt, SystemExit and whatever
        else is no ``Exception`` is raised by the poll or the close.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     with client.consumer("orders", start="latest") as consumer:
        ...         print(consumer.poll(timeout=0.01))
        None
        """
        if sum(given is not None for given in (topics, pattern, partitions)) > 1:
            raise TypeError("a consumer reads topics, a pattern or partitions, one of these")
        told = teller(on_assigned, on_revoked, on_lost)
        inner = self._open().consumer(None, values.settings(settings), told)
        if topics is not None or pattern is not None or partitions is not None:
            names = None if topics is None else values.names(topics)
            places = None if partitions is None else values.partitions(partitions)
            inner.read(None, names, pattern, places)
        made = Consumer(inner)
        self._made.add(made)
        return made

    def create_topic(self, name: str, **settings: Setting) -> answers.Topic:
        """Creates a topic. Raises :class:`kaffic.TopicExists` if there is one of that name.

        >>> import datetime, kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders", retention=datetime.timedelta(days=7))
        ...     print(topic.retention_ms)
        604800000
        """
        return self._ask(_requests.create_topic(name, settings))

    def ensure_topic(self, name: str, **settings: Setting) -> answers.Topic:
        """Creates a topic if there is none of that name, and says what is there.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.ensure_topic("orders", partitions=3)
        ...     print(client.ensure_topic("orders").partitions)
        3
        """
        return self._ask(_requests.ensure_topic(name, settings))

    def alter_topic(self, name: str, **settings: Setting) -> answers.Topic:
        """Changes settings of a topic; those that are not named stay.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     print(client.alter_topic("orders", compression="zstd").compression)
        zstd
        """
        return self._ask(_requests.alter_topic(name, settings))

    def describe_topic(self, name: str) -> answers.Topic:
        """Describes a topic. Raises :class:`kaffic.TopicNotFound`.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     print(client.describe_topic("orders").partitions)
        1
        """
        return self._ask(_requests.describe_topic(name))

    def list_topics(self) -> list[answers.Topic]:
        """All topics, by name.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     print([topic.name for topic in client.list_topics()])
        ['orders']
        """
        return self._ask(_requests.list_topics())

    def delete_topic(self, name: str) -> answers.Deletion:
        """Deletes a topic. What its producers may still be writing to is removed later, by calling
        this again.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     deletion = client.delete_topic("orders")
        ...     print(client.list_topics())
        []
        """
        return self._ask(_requests.delete_topic(name))

    def offset(self, topic: str, partition: int, where: str | datetime = "latest") -> int:
        """An offset of a partition: ``earliest``, ``latest`` (the one that the next record gets), or
        that of the first record of a time.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     print(client.offset("orders", 0, "latest"))
        0
        """
        return self._ask(_requests.offset(topic, partition, where))

    def verify(self, topic: str) -> answers.Verification:
        """Reads everything in a topic and says what is wrong and where.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     print(client.verify("orders").issues)
        []
        """
        return self._ask(_requests.verify(topic))

    def compact(self, topic: str) -> answers.Compaction:
        """Joins the small objects of a topic into few large ones. No record is dropped or changed.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     print(client.compact("orders").compacted)
        0
        """
        return self._ask(_requests.compact(topic))

    def trim(self, topic: str, **settings: Setting) -> answers.Trimmed:
        """Removes the oldest records: those before an offset or a time, those beyond a size, or by
        the topic's retention if nothing is said.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     print(client.trim("orders", before_offset=1000).removed)
        0
        """
        return self._ask(_requests.trim(topic, settings))

    def adopt(self, topic: str, *, dry_run: bool = False) -> answers.Adoption:
        """Makes a copied or restored topic usable, whose newest blocks had no end when they were
        copied. Nothing may write to the copy meanwhile. With ``dry_run`` it only says what it would
        do.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     print(client.adopt("orders", dry_run=True).ended)
        []
        """
        return self._ask(_requests.adopt(topic, dry_run))

    def examine(self) -> answers.Examination:
        """Tries on the store what kaffic rests on, and measures it. Costs some 600 requests.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     print(client.examine().usable)
        True
        """
        return self._ask(_requests.examine())

    def metrics(self) -> answers.Metrics:
        """What this client and everything that it made has done so far, and how long it took.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topics = client.list_topics()
        ...     print(client.metrics().storage.list.count)
        1
        """
        return self._ask(_requests.metrics())

    def list_groups(self) -> list[answers.GroupListing]:
        """All groups, by name.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     print(client.list_groups())
        []
        """
        return self._ask(_requests.list_groups())

    def describe_group(self, name: str) -> answers.Group:
        """A group's members, and owner, committed offset and lag of every partition. Raises
        :class:`kaffic.GroupNotFound`.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     client.commit_group("billing", {("orders", 0): 0})
        ...     print(client.describe_group("billing").partitions[0].lag)
        0
        """
        return self._ask(_requests.describe_group(name))

    def committed_of_group(self, name: str) -> dict[TopicPartition, Committed]:
        """What a group has committed, everywhere.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     client.commit_group("billing", {("orders", 0): 0})
        ...     print(client.committed_of_group("billing")[("orders", 0)].offset)
        0
        """
        return self._ask(_requests.committed_of_group(name))

    def commit_group(self, name: str, offsets: Offsets) -> None:
        """Commits for a group from outside; only while it has no members. Raises
        :class:`kaffic.GroupNotEmpty` otherwise.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     client.commit_group("billing", {("orders", 0): 0})
        """
        return self._ask(_requests.commit_group(name, offsets))

    def reset_group(
        self,
        name: str,
        topic: str,
        to: str | int | datetime,
        *,
        partitions: Iterable[int] | None = None,
        dry_run: bool = False,
    ) -> dict[TopicPartition, Committed]:
        """Sets a group's offsets of a topic: to an offset, to a time, or to where a text says
        (``earliest``, ``latest``, ``shift:-10`` and so on). Says what they are then; with
        ``dry_run`` what they would be. Only while the group has no members.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     client.commit_group("billing", {("orders", 0): 0})
        ...     print(client.reset_group("billing", "orders", "latest"))
        {TopicPartition(topic='orders', partition=0): Committed(offset=0, metadata=None)}
        """
        return self._ask(_requests.reset_group(name, topic, to, partitions, dry_run))

    def delete_group(self, name: str) -> None:
        """Deletes a group and its offsets; only while it has no members.

        >>> import kaffic
        >>> with kaffic.connect("memory://") as client:
        ...     topic = client.create_topic("orders")
        ...     client.commit_group("billing", {("orders", 0): 0})
        ...     client.delete_group("billing")
        """
        return self._ask(_requests.delete_group(name))

    def close(self) -> None:
        """Closes the producers and consumers that it made and that are open. Raises the first
        failure of these, after all are closed. Closing again does nothing.

        >>> import kaffic
        >>> client = kaffic.connect("memory://")
        >>> client.close()
        """
        self.__exit__(None, None, None)

    def _open(self) -> _kaffic.Client:
        if self._closed:
            raise closed_error("client")
        return self._inner

    def _ask(self, request: _requests.Request[T]) -> T:
        asked = request.what, request.words, request.offsets, request.settings
        return request.answer(json.loads(self._open().ask(None, *asked)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        failed: Exception | None = None
        for made in list(self._made):
            try:
                made.__exit__(kind, error, trace)
            except Exception as wrong:
                failed = failed or wrong
        self._made.clear()
        if failed is not None:
            raise failed

    def __repr__(self) -> str:
        # The URL may hold a secret.
        return f"<{'closed ' if self._closed else ''}client>"
