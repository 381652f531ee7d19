"""What is asked of the store about topics and groups, the same for both kinds of client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from kaffic import _answers as answers
from kaffic import _values as values

T = TypeVar("T")
Settings = Mapping[str, values.Setting]


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    what: str
    answer: Callable[[Any], T]
    words: Sequence[str] = ()
    offsets: Sequence[tuple[str, int, int, str | None]] = ()
    settings: Sequence[tuple[str, str]] = ()


def _nothing(_: Any) -> None:
    return None


def _int(json: Any) -> int:
    return int(json)


def _committed(json: list[dict[str, Any]]) -> dict[values.TopicPartition, values.Committed]:
    return values.committed(
        [(at["topic"], at["partition"], at["offset"], at["metadata"]) for at in json]
    )


def create_topic(name: str, settings: Settings) -> Request[answers.Topic]:
    return Request("create_topic", answers.of(answers.Topic), [name], (), values.settings(settings))


def ensure_topic(name: str, settings: Settings) -> Request[answers.Topic]:
    return Request("ensure_topic", answers.of(answers.Topic), [name], (), values.settings(settings))


def alter_topic(name: str, settings: Settings) -> Request[answers.Topic]:
    return Request("alter_topic", answers.of(answers.Topic), [name], (), values.settings(settings))


def describe_topic(name: str) -> Request[answers.Topic]:
    return Request("describe_topic", answers.of(answers.Topic), [name])


def list_topics() -> Request[list[answers.Topic]]:
    return Request("list_topics", answers.each(answers.Topic))


def delete_topic(name: str) -> Request[answers.Deletion]:
    return Request("delete_topic", answers.of(answers.Deletion), [name])


def verify(topic: str) -> Request[answers.Verification]:
    return Request("verify", answers.of(answers.Verification), [topic])


def compact(topic: str) -> Request[answers.Compaction]:
    return Request("compact", answers.of(answers.Compaction), [topic])


def trim(topic: str, settings: Settings) -> Request[answers.Trimmed]:
    return Request("trim", answers.of(answers.Trimmed), [topic], (), values.settings(settings))


def adopt(topic: str, dry_run: bool) -> Request[answers.Adoption]:
    return Request("adopt", answers.of(answers.Adoption), [topic, "true" if dry_run else "false"])


def examine() -> Request[answers.Examination]:
    return Request("examine", answers.of(answers.Examination))


def metrics() -> Request[answers.Metrics]:
    return Request("metrics", answers.of(answers.Metrics))


def offset(topic: str, partition: int, where: str | datetime) -> Request[int]:
    return Request("offset", _int, [topic, str(partition), values.moment(where)])


def list_groups() -> Request[list[answers.GroupListing]]:
    return Request("list_groups", answers.each(answers.GroupListing))


def describe_group(name: str) -> Request[answers.Group]:
    return Request("describe_group", answers.of(answers.Group), [name])


def committed_of_group(
    name: str,
) -> Request[dict[values.TopicPartition, values.Committed]]:
    return Request("committed_of_group", _committed, [name])


def commit_group(name: str, offsets: values.Offsets) -> Request[None]:
    return Request("commit_group", _nothing, [name], values.commits(offsets))


def reset_group(
    name: str,
    topic: str,
    to: str | int | datetime,
    partitions: Iterable[int] | None,
    dry_run: bool,
) -> Request[dict[values.TopicPartition, values.Committed]]:
    words = [name, topic, values.place(to), "true" if dry_run else "false"]
    words.extend(str(partition) for partition in partitions or ())
    return Request("reset_group", _committed, words)


def delete_group(name: str) -> Request[None]:
    return Request("delete_group", _nothing, [name])
