"""Values as programs write them, as the text and numbers that the native half takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from kaffic._kaffic import ConsumerRecord

#: What a setting's value may be; docs/configuration.md has their names. None leaves one out.
Setting = str | int | bool | timedelta | datetime | None
#: A time that a call may take, in seconds.
Timeout = float | timedelta | None

_EPOCH = datetime.fromtimestamp(0, timezone.utc)
_MS = timedelta(milliseconds=1)
_US = timedelta(microseconds=1)


class TopicPartition(NamedTuple):
    """A partition of a topic. Any pair will do where one is taken.

    >>> import kaffic
    >>> kaffic.TopicPartition("orders", 3) == ("orders", 3)
    True
    """

    topic: str
    partition: int


class Committed(NamedTuple):
    """A committed offset: that of the next record to be consumed, and what was kept with it.

    >>> import kaffic
    >>> kaffic.Committed(7).metadata is None
    True
    """

    offset: int
    metadata: str | None = None


#: Offsets to commit: of partitions, with metadata or without; or the record that was processed last.
Offsets = Mapping[tuple[str, int], int | tuple[int, str | None]] | ConsumerRecord


def timestamp_ms(value: object) -> int:
    if not isinstance(value, datetime):
        raise TypeError(f"a timestamp is Unix milliseconds or a datetime, not {value!r}")
    if value.tzinfo is None:
        raise ValueError(f"a timestamp without a time zone: {value!r}")
    return (value - _EPOCH) // _MS


def to_datetime(ms: int) -> datetime:
    return _EPOCH + ms * _MS


def seconds(timeout: Timeout) -> float | None:
    if timeout is None:
        return None
    wait = timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)
    if math.isnan(wait):
        raise ValueError("a timeout is not a number")
    return max(0.0, wait)


def settings(given: Mapping[str, Setting]) -> list[tuple[str, str]]:
    return [(name, _text(name, value)) for name, value in given.items() if value is not None]


def _text(name: str, value: Setting) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, timedelta):
        return duration(value)
    if isinstance(value, datetime):
        return moment(value) if name in ("start", "until") else str(timestamp_ms(value))
    raise TypeError(
        f"{name}={value!r}: a setting is a str, int, bool, timedelta or datetime; "
        "a time is a timedelta or text such as '5ms'"
    )


def duration(value: timedelta) -> str:
    if value < timedelta(0):
        raise ValueError(f"a negative time: {value!r}")
    return f"{value // _MS}ms" if value % _MS == timedelta(0) else f"{value // _US}us"


def moment(value: str | datetime) -> str:
    return value if isinstance(value, str) else f"timestamp:{timestamp_ms(value)}"


def place(value: str | int | datetime) -> str:
    return f"offset:{value}" if isinstance(value, int) else moment(value)


def names(topics: str | Iterable[str]) -> list[str]:
    return [topics] if isinstance(topics, str) else list(topics)


def partitions(
    given: Iterable[tuple[str, int] | tuple[str, int, int | None]],
) -> list[tuple[str, int, int | None]]:
    return [(at[0], at[1], at[2] if len(at) == 3 else None) for at in given]


def commits(offsets: Offsets) -> list[tuple[str, int, int, str | None]]:
    if isinstance(offsets, ConsumerRecord):
        return [(offsets.topic, offsets.partition, offsets.offset + 1, None)]
    all_: list[tuple[str, int, int, str | None]] = []
    for (topic, partition), at in offsets.items():
        offset, metadata = (at, None) if isinstance(at, int) else at
        all_.append((topic, partition, offset, metadata))
    return all_


def positions(given: list[tuple[str, int, int]]) -> dict[TopicPartition, int]:
    return {TopicPartition(topic, partition): offset for topic, partition, offset in given}


def committed(given: list[tuple[str, int, int, str | None]]) -> dict[TopicPartition, Committed]:
    return {
        TopicPartition(topic, partition): Committed(offset, metadata)
        for topic, partition, offset, metadata in given
    }
