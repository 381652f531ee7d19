"""What the store says of topics and groups, as objects. Times are in milliseconds, times of day in
milliseconds since the Unix epoch; what is absent is None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic."""

    name: str
    partitions: int
    #: Tells a topic from another that had its name before.
    incarnation: str
    #: The least age at which the storage may delete records; None is never.
    min_expiry_ms: int | None
    retention_ms: int | None
    retention_bytes: int | None
    compression: str | None
    max_record_bytes: int | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class Deletion:
    """What deleting a topic removed, and what is left for later."""

    removed: int
    remaining: int
    removable_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What a trim removed."""

    removed: int
    removed_bytes: int
    remaining: int
    removable_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Compaction:
    """What compacting did."""

    compacted: int
    already: int
    left: int
    segments: int
    segment_bytes: int
    removed: int
    remaining: int
    removable_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Issue:
    """Something that is wrong in a topic."""

    partition: int
    object: str
    problem: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found."""

    records: int
    batches: int
    bytes: int
    gaps: int
    issues: list[Issue]


@dataclass(frozen=True, slots=True)
class AdoptedBlock:
    """A block that adopting ended, or would."""

    partition: int
    block: int
    slots: int
    missing: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class Adoption:
    """What adopting a copy did, or would do."""

    ended: list[AdoptedBlock]
    left_alone: int


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was tried on a store; ``result`` is passed or failed."""

    name: str
    result: str
    detail: str


@dataclass(frozen=True, slots=True)
class Examination:
    """What examining a store found."""

    usable: bool
    checks: list[Check]
    clock_off_seconds: float
    put_small_ms: float
    put_large_ms: float
    get_small_ms: float
    get_large_ms: float


@dataclass(frozen=True, slots=True)
class GroupListing:
    """A group in a list."""

    name: str
    members: int
    generation: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group."""

    name: str
    static: bool
    topics: list[str]
    #: How many it has.
    partitions: int
    session_timeout_ms: int
    joined_ms: int


@dataclass(frozen=True, slots=True)
class GroupPartition:
    """A partition as a group has it."""

    topic: str
    partition: int
    owner: str | None
    committed: int | None
    metadata: str | None
    end: int | None
    lag: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """A group: its members, and owner, committed offset and lag of every partition."""

    name: str
    generation: int
    assignor: str | None
    members: list[Member]
    partitions: list[GroupPartition]


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many of all took no longer than that."""

    #: In milliseconds.
    le: float
    count: int


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took, in milliseconds. Quantiles are as exact as the buckets."""

    sum: float
    mean: float
    p50: float
    p90: float
    p99: float
    max: float
    buckets: list[Bucket]


@dataclass(frozen=True, slots=True)
class OperationMetrics:
    """Something that is done again and again, takes time, and may fail."""

    #: How often it ended, well or not.
    count: int
    failed: int
    #: What it moved.
    bytes: int
    duration_ms: Durations


@dataclass(frozen=True, slots=True)
class StorageMetrics:
    """Requests to the storage, each try on its own."""

    put: OperationMetrics
    get: OperationMetrics
    list: OperationMetrics
    delete: OperationMetrics
    #: Requests that were refused because there were too many.
    throttled: int


@dataclass(frozen=True, slots=True)
class ProducerMetrics:
    """What producers did."""

    #: Batches.
    append: OperationMetrics
    #: Records that were acknowledged.
    records: int
    #: Slots that another writer won; each costs a round trip.
    conflicts: int


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far a group, or a consumer without one, was behind in a partition."""

    group: str | None
    topic: str
    partition: int
    lag: int
    #: How long ago it was asked.
    age_ms: int


@dataclass(frozen=True, slots=True)
class ConsumerMetrics:
    """What consumers and groups did."""

    #: Records that were handed to the program.
    records: int
    bytes: int
    #: Commits, one for each partition.
    commit: OperationMetrics
    #: As of when it was last asked for.
    lag: list[PartitionLag]


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a client has done so far. Counts only grow."""

    storage: StorageMetrics
    producer: ProducerMetrics
    consumer: ConsumerMetrics


def of(kind: type[T]) -> Callable[[Any], T]:
    """Makes one of these of JSON. What a newer library says besides is left out."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]

    def made(json: dict[str, Any]) -> T:
        parts = _PARTS.get(kind, {})
        given = {name: value for name, value in json.items() if name in known}
        for name, part in parts.items():
            given[name] = part(given[name])
        return kind(**given)

    return made


def each(kind: type[T]) -> Callable[[Any], list[T]]:
    one = of(kind)
    return lambda json: [one(item) for item in json]


_PARTS: dict[type[Any], dict[str, Callable[[Any], Any]]] = {
    Verification: {"issues": each(Issue)},
    Adoption: {"ended": each(AdoptedBlock)},
    Examination: {"checks": each(Check)},
    Group: {"members": each(Member), "partitions": each(GroupPartition)},
    Durations: {"buckets": each(Bucket)},
    OperationMetrics: {"duration_ms": of(Durations)},
    StorageMetrics: dict.fromkeys(("put", "get", "list", "delete"), of(OperationMetrics)),
    ProducerMetrics: {"append": of(OperationMetrics)},
    ConsumerMetrics: {"commit": of(OperationMetrics), "lag": each(PartitionLag)},
    Metrics: {
        "storage": of(StorageMetrics),
        "producer": of(ProducerMetrics),
        "consumer": of(ConsumerMetrics),
    },
}
